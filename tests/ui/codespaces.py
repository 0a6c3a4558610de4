"""Codespaces for the console's tests: made by the API, brought where a test wants them in the database."""

import base64
import json
from typing import Any

import httpx
from nacl.public import PublicKey, SealedBox
from sqlalchemy import func, update
from tests.ui.browser import ConsoleWorld

from berth.adapters.clock_system import SystemClock
from berth.adapters.git_process import run_git
from berth.adapters.store import codespace as rows
from berth.adapters.store.tables import codespaces as table
from berth.domain.codespace import finding_to_json
from berth.domain.finding import Finding, Fixer
from berth.domain.lifecycle import Desired, Phase

HOSTILE = '"><img src=x onerror=alert(1)><script>alert(2)</script>\u202egnp.exe\x1b[31m' + "w" * 200
IMAGE = "registry.example.com/team/dev:1"
FINDING = Finding(
    code="image.unauthorized",
    sentence=f"registry.example.com refused the login. {HOSTILE}",
    fixer=Fixer.DEVELOPER,
    next_step=f"Put the right password into the secret. {HOSTILE}",
    evidence={"host": "registry.example.com", "said": HOSTILE},
)
AVAILABLE: dict[str, Any] = {
    "phase": Phase.AVAILABLE,
    "container_id": "c0ffee",
    "image": IMAGE,
    "remote_user": "dev",
    "remote_folder": "/w",
    "seen": table.c.generation,
}
FAILED: dict[str, Any] = {"phase": Phase.FAILED, "finding": finding_to_json(FINDING), "seen": table.c.generation}
STOPPED: dict[str, Any] = {**AVAILABLE, "phase": Phase.SHUTDOWN, "desired": Desired.STOPPED}


async def client_of(console: ConsoleWorld, login: str) -> httpx.AsyncClient:
    scopes = ("repo", "user", "codespace", "codespace:secrets", "admin:org")
    return console.berth.client(await console.berth.token(login, *scopes))


async def make_repository(api: httpx.AsyncClient, name: str = "shop", **files: str) -> str:
    """Private, with a dev container configuration that names IMAGE; its full name."""
    made = await api.post("/user/repos", json={"name": name, "private": True})
    assert made.status_code == 201, made.text
    full_name = str(made.json()["full_name"])
    given = {".devcontainer/devcontainer.json": json.dumps({"name": "Shop", "image": IMAGE}), **files}
    for path, content in given.items():
        await commit(api, full_name, path, content)
    return full_name


async def commit(api: httpx.AsyncClient, full_name: str, path: str, content: str, branch: str = "main") -> None:
    body = {"message": "m", "content": base64.b64encode(content.encode()).decode(), "branch": branch}
    answer = await api.put(f"/repos/{full_name}/contents/{path}", json=body)
    assert answer.status_code == 201, answer.text


async def make_branch(console: ConsoleWorld, api: httpx.AsyncClient, full_name: str, branch: str) -> None:
    """Of `main`."""
    repository_id = int((await api.get(f"/repos/{full_name}")).json()["id"])
    folder = console.berth.repositories.path(repository_id)
    await run_git([f"--git-dir={folder}", "update-ref", f"refs/heads/{branch}", "refs/heads/main"])


def seal(key: str, value: str) -> str:
    return base64.b64encode(SealedBox(PublicKey(base64.b64decode(key))).encrypt(value.encode())).decode()


async def put_secret(api: httpx.AsyncClient, full_name: str, name: str, value: str) -> None:
    key = (await api.get(f"/repos/{full_name}/codespaces/secrets/public-key")).json()
    body = {"encrypted_value": seal(key["key"], value), "key_id": key["key_id"]}
    answer = await api.put(f"/repos/{full_name}/codespaces/secrets/{name}", json=body)
    assert answer.status_code in {201, 204}, answer.text


async def make_codespace(console: ConsoleWorld, api: httpx.AsyncClient, full_name: str, **values: Any) -> str:
    """Its name."""
    made = await api.post(f"/repos/{full_name}/codespaces", json={})
    assert made.status_code == 201, made.text
    name = str(made.json()["name"])
    await set_row(console, name, **values)
    return name


async def set_row(console: ConsoleWorld, name: str, **values: Any) -> None:
    if values:
        async with console.berth.store.begin() as connection:
            await connection.execute(update(table).where(table.c.name == name).values(**values))


async def log(console: ConsoleWorld, name: str, *lines: tuple[str, str]) -> None:
    """Append (kind, text) to its creation log."""
    async with console.berth.store.begin() as connection:
        found = await connection.scalar(
            table.select().with_only_columns(func.max(table.c.id)).where(table.c.name == name)
        )
        await rows.append_log(connection, found, SystemClock().now(), list(lines))


def pulling(done: int, total: int = 112_000_000) -> tuple[str, str]:
    said = {"layers_total": 7, "layers_done": 3, "bytes_total": total, "bytes_done": done}
    return "progress", json.dumps(said)
