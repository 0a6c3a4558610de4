"""octokit from npm, unmodified: octokit.mjs says what it does. Source: GITHUB_CLIENTS section 4 of the references."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from nacl.public import PublicKey, SealedBox
from tests.api_clients.api_world import REPOSITORY, USER, ApiWorld
from tests.world import ORGANIZATION

pytestmark = [pytest.mark.engine, pytest.mark.registry]

SCRIPT = Path(__file__).with_name("octokit.mjs")
NODE = Path(sys.executable).with_name("node")

# Generated methods of operations that this server does not have, and why: docs/api.md.
NOT_SERVED = {
    "codespaces.publishForAuthenticatedUser",
}


def run(facts: dict[str, Any], ca_file: Path) -> str:
    done = subprocess.run(
        [NODE, SCRIPT],
        input=json.dumps(facts).encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"PATH": os.environ["PATH"], "NODE_EXTRA_CA_CERTS": str(ca_file)},
        timeout=50,
        check=False,
    )
    said = done.stdout.decode()
    assert done.returncode == 0, said
    return said


async def facts_of(world: ApiWorld, url: str) -> dict[str, Any]:
    owner, _, repo = REPOSITORY.partition("/")
    own, shared = await world.new_repository(USER), await world.new_repository()
    async with world.api() as api:
        number = (await api.get(f"/repos/{REPOSITORY}")).raise_for_status().json()["id"]
        sealed = {
            "user": await seal(api, "/user"),
            "org": await seal(api, f"/orgs/{ORGANIZATION}"),
            "repo": await seal(api, f"/repos/{REPOSITORY}"),
        }
    return {
        "url": url,
        "token": world.token,
        "username": USER,
        "org": ORGANIZATION,
        "owner": owner,
        "repo": repo,
        "repository_id": number,
        "repositories": [number, own[1]],
        "organization_repositories": [number, shared[1]],
        "secret": f"S{os.urandom(4).hex()}".upper(),
        "sealed": sealed,
    }


async def seal(api: httpx.AsyncClient, place: str) -> dict[str, str]:
    """What octokit would be given by a library that seals."""
    key = (await api.get(f"{place}/codespaces/secrets/public-key")).raise_for_status().json()
    value = SealedBox(PublicKey(base64.b64decode(key["key"]))).encrypt(b"value")
    return {"key_id": key["key_id"], "encrypted_value": base64.b64encode(value).decode()}


async def test_every_generated_method_that_applies(api_world: ApiWorld) -> None:
    facts = {
        **await facts_of(api_world, f"https://{api_world.tls_host}/api/v3"),
        "package": await api_world.new_package(),
        "own_package": await api_world.new_package(USER),
        "everything": True,
    }
    assert set(json.loads(run(facts, api_world.ca_file))) == NOT_SERVED


async def test_in_plain_http(api_world: ApiWorld) -> None:
    run(await facts_of(api_world, f"{api_world.plain_url}/api/v3"), api_world.ca_file)
