"""A real OpenID Connect provider in a process of its own (provider.mjs), and a browser that signs in there."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from tests.ui.browser import ORIGIN, Browser

from berth.adapters.clock_system import SystemClock
from berth.adapters.guarded_http import GuardedHTTP, GuardedHTTPSettings
from berth.adapters.identity_open_id import OpenIDConnectProvider
from berth.domain.registry_host import parse_web_address
from berth.domain.secret_text import SecretText

ROOT = Path(__file__).parents[2]
CLIENT, SECRET = "berth", "a secret of the client, with: signs"
REDIRECT_URI = f"{ORIGIN}/login/provider/answer"
ACCOUNTS: dict[str, dict[str, Any]] = {
    "sub-ada": {"email": "ada@example.com", "email_verified": True, "preferred_username": "ada", "name": "Ada"},
    "sub-eve": {"email": "octo@example.com", "email_verified": False, "preferred_username": "octo"},
    "sub-octo": {"email": "Octo@Example.com", "email_verified": True, "preferred_username": "octo"},
    "sub-octo-2": {"email": "octo@example.com", "email_verified": True},
    "sub-admin": {"email": "admin@example.com", "email_verified": True, "preferred_username": "admin"},
    "sub-new": {"preferred_username": "<script>alert(1)</script>"},
}


@dataclass
class Provider:
    """Where it listens, and our client of it."""

    issuer: str
    client: OpenIDConnectProvider

    async def sign_in(self, address: str, who: str) -> str:
        """What `who`'s browser does with the address that it was sent to: where it is sent back to, from our path on."""
        async with httpx.AsyncClient(trust_env=False, cookies={"who": who} if who else {}, timeout=30) as browser:
            while not address.startswith(ORIGIN):
                answer = await browser.get(address)
                assert answer.status_code in {302, 303}, f"{address}: {answer.text[:500]}"
                address = str(answer.url.join(answer.headers["location"]))
        return address.removeprefix(ORIGIN)


@asynccontextmanager
async def start_provider() -> AsyncIterator[Provider]:
    said = {"redirect_uri": REDIRECT_URI, "client_id": CLIENT, "client_secret": SECRET, "accounts": ACCOUNTS}
    process = subprocess.Popen(  # noqa: ASYNC220 it starts at once, and is ended below
        [str(ROOT / ".venv/bin/node"), str(Path(__file__).with_name("provider.mjs"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(said).encode())
    process.stdin.close()
    try:
        issuer = (await asyncio.to_thread(process.stdout.readline)).decode().strip()
        assert issuer, "the provider did not start"
        http = GuardedHTTP(GuardedHTTPSettings().reaching([parse_web_address(issuer)]))
        client = OpenIDConnectProvider(
            http, issuer=issuer, client_id=CLIENT, client_secret=SecretText(SECRET), clock=SystemClock()
        )
        yield Provider(issuer, client)
        http.close()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


async def begin(browser: Browser, return_to: str = "") -> str:
    """Where the page to sign in sends this browser."""
    answer = await browser.http.get("/login/provider", params={"return_to": return_to} if return_to else {})
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def asked(address: str) -> dict[str, str]:
    """The parameters of an address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
