"""A server in which every parameter of a path has a value that is there: for tests over the whole table of routes."""

import base64
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import httpx
from nacl.public import PublicKey, SealedBox
from sqlalchemy import update
from tests.fakes.engine import FakeEngine
from tests.package_world import insert_package, insert_version
from tests.rest.berth_api import Berth

from berth.adapters.store.tables import codespace_exports as exports
from berth.adapters.store.tables import codespaces as table
from berth.domain.codespace_export import ExportState
from berth.domain.lifecycle import Phase
from berth.domain.scope import Scope
from berth.services.codespace_exec import CodespaceExec

EVERYTHING = tuple(str(scope) for scope in Scope if scope is not Scope.SITE_ADMIN)
_SECRETS = ("/user/codespaces/secrets", "/orgs/acme/codespaces/secrets", "/repos/acme/web/codespaces/secrets")
_SEPARATORS = defaultdict(lambda: "%2F", {"{path:path}": "/", "{branch:path}": "/"})
_PACKAGES = {"/orgs": ("acme", "tools/dev"), "/users": ("octo", "box"), "/user": ("octo", "mine")}


@dataclass
class Seeded:
    """octo owns acme; ada is its member, in its team core, and has a role wherever roles are given by name."""

    berth: Berth
    octo: httpx.AsyncClient
    values: dict[str, str]  # of the parameters, where they do not depend on the path
    versions: dict[str, str]  # the version of the package below each base that may be deleted
    sealed: dict[str, dict[str, str]]  # by path of a level: a secret's value as it is sent

    def known(self, path: str) -> dict[str, str]:
        """A value for each parameter of this path, which together name what is there."""
        base = f"/{path.split('/')[1]}"
        known = {**self.values, **({"username": "octo"} if "/packages" in path or "/docker" in path else {})}
        if base in _PACKAGES:
            known |= {"package_name": _PACKAGES[base][1], "package_version_id": self.versions[base]}
        return known

    def fill(self, template: str, /, **values: str) -> str:
        """The path of something that is there. `values` are taken first."""
        known = {**self.known(template), **values}
        return re.sub(
            r"\{(\w+)(?::\w+)?\}", lambda match: known[match[1]].replace("/", _SEPARATORS[match[0]]), template
        )

    async def set_phase(self, phase: Phase) -> None:
        """octo's codespace is there, or at rest, with nothing to be done."""
        async with self.berth.store.begin() as connection:
            await connection.execute(update(table).values(phase=phase, seen=table.c.generation))


async def seal(client: httpx.AsyncClient, path: str, value: bytes = b"value") -> dict[str, str]:
    key = (await client.get(f"{path}/public-key")).json()
    box = SealedBox(PublicKey(base64.b64decode(key["key"]))).encrypt(value)
    return {"key_id": key["key_id"], "encrypted_value": base64.b64encode(box).decode()}


async def _expect(client: httpx.AsyncClient, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await client.request(method, path, json=body)
    assert answer.is_success, f"{method} {path}: {answer.text}"
    made: dict[str, Any] = answer.json() if answer.content else {}
    return made


async def _make_packages(berth: Berth, accounts: dict[str, int], repository: int) -> dict[str, str]:
    versions = {}
    for base, (owner, name) in _PACKAGES.items():
        linked = repository if owner == "acme" else None
        package = await insert_package(berth.store, accounts[owner], name, repository_id=linked)
        await insert_version(berth.store, package, "1")
        versions[base] = str(await insert_version(berth.store, package, "2"))
    return versions


async def _make_codespace(berth: Berth, octo: httpx.AsyncClient) -> str:
    engine = FakeEngine(chunks=(b"out",))
    berth.services.codespaces._executor = CodespaceExec(engine)
    name = str((await _expect(octo, "POST", "/repos/acme/web/codespaces", {}))["name"])
    async with berth.store.begin() as connection:
        found = {"container_id": engine.make({}).container_id, "remote_user": "dev", "remote_folder": "/w"}
        await connection.execute(update(table).values(**found, phase=Phase.AVAILABLE, seen=table.c.generation))
    return name


async def make_pull_request(berth: Berth, client: httpx.AsyncClient, repository: dict[str, Any]) -> int:
    """From a branch `topic`, with a commit of its own, to main; its number."""
    path, number = f"/repos/{repository['full_name']}", int(repository["id"])
    await berth.repositories.fetch(number, {"refs/heads/main": "refs/heads/topic"}, source_id=number)
    await _expect(client, "PUT", f"{path}/contents/b", {"message": "m", "content": "Yg==", "branch": "topic"})
    pull = {"title": "t", "head": "topic", "base": "main"}
    return int((await _expect(client, "POST", f"{path}/pulls", pull))["number"])


async def _make_export(berth: Berth, octo: httpx.AsyncClient, codespace: str) -> str:
    """One that has ended, so that another may begin."""
    made = await _expect(octo, "POST", f"/user/codespaces/{codespace}/exports", {})
    async with berth.store.begin() as connection:
        await connection.execute(update(exports).values(state=ExportState.SUCCEEDED, sha="a" * 40, next_at=None))
    return str(made["id"])


async def make_seeded(berth: Berth) -> Seeded:
    octo, ada = await berth.user("octo", *EVERYTHING), await berth.user("ada", *EVERYTHING)
    accounts = {"acme": int((await berth.organization("acme", "octo"))["id"])}
    accounts["octo"] = int((await octo.get("/user")).json()["id"])
    await _expect(octo, "PUT", "/orgs/acme/memberships/ada", {})
    repository = await _expect(octo, "POST", "/orgs/acme/repos", {"name": "web", "private": True})
    await _expect(octo, "PUT", "/repos/acme/web/contents/a", {"message": "m", "content": "YQ=="})
    dev_container = base64.b64encode(b'{"image": "debian"}').decode()
    path = "/repos/acme/web/contents/.devcontainer/devcontainer.json"
    await _expect(octo, "PUT", path, {"message": "m", "content": dev_container})
    pull_number = await make_pull_request(berth, octo, repository)
    await _expect(ada, "POST", "/user/repos", {"name": "open"})
    await _expect(octo, "PUT", "/repos/acme/web/collaborators/ada", {"permission": "push"})
    await _expect(octo, "POST", "/orgs/acme/teams", {"name": "core"})
    await _expect(octo, "PUT", "/orgs/acme/teams/core/memberships/ada", {})
    await _expect(octo, "PUT", "/orgs/acme/teams/core/repos/acme/web", {})
    selected = {"visibility": "selected", "selected_repository_ids": [repository["id"]]}
    sealed = {path: await seal(octo, path) for path in _SECRETS}
    for path, value in sealed.items():
        await _expect(octo, "PUT", f"{path}/ONE", {**value, **selected})
    await _expect(
        octo,
        "PUT",
        "/orgs/acme/codespaces/policies/base",
        {"allowed_images": ["docker.io/**"], "allowed_options": ["privileged"]},
    )
    prebuild = await _expect(octo, "POST", "/repos/acme/web/codespaces/prebuilds", {"branch": "main"})
    token = await _expect(ada, "POST", "/user/tokens", {"scopes": ["repo"], "note": "laptop"})
    mine = await _expect(octo, "POST", "/user/tokens", {"scopes": ["repo"], "note": "laptop"})
    assert token["id"] != mine["id"]
    values = {
        "org": "acme",
        "owner": "acme",
        "repo": "web",
        "username": "ada",
        "login": "ada",
        "collaborator": "ada",
        "team_slug": "core",
        "path": "a",
        "branch": "main",
        "secret_name": "ONE",
        "policy_name": "base",
        "id": str(mine["id"]),
        "repository_id": str(repository["id"]),
        "repository_number": str(repository["id"]),
        "pull_number": str(pull_number),
        "prebuild_id": str(prebuild["id"]),
        "name": await _make_codespace(berth, octo),
    }
    values["export_id"] = await _make_export(berth, octo, values["name"])
    return Seeded(berth, octo, values, await _make_packages(berth, accounts, repository["id"]), sealed)
