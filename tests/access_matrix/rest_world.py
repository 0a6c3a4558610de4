"""The world of the table in rest_rows.py: acme and octo with one of everything, the callers, and how it becomes new again.

Whatever a call changed is undone before the next one: the database from a copy, the git repositories from another.
"""

import re
import shutil
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import select, update
from tests.access_matrix.rest_rows import PERSONS, PRIVATE, PUBLIC, ROWS, Row
from tests.package_world import insert_package, insert_version
from tests.rest.berth_api import Berth, make_berth
from tests.rest.seeded import EVERYTHING, Seeded, make_pull_request, make_seeded, seal
from tests.rest.test_operations import ROWS as OPERATIONS
from tests.rest.test_operations import Row as Operation
from tests.rest.test_operations import as_login, row_key, secrets_of
from tests.sqlite_here import StoreHere

from berth.adapters.store.tables import access_tokens, codespaces
from berth.domain.repository import Visibility
from berth.domain.scope import Scope, expand_scopes
from berth.rest.app import Route
from berth.rest.routes import ROUTES

_PACKAGE_PATH = re.compile(r"/(?:orgs/\{org\}|users/\{username\}|user)/packages/container/\{package_name\}")
_LOGINS = {
    "anonymous": "nobody",
    "admin": "boss",
    "site": "admin",
    **dict.fromkeys(("owner", "codespace", "workflow"), "octo"),
}
_OPEN = {"orgs": "acme", "users": "octo"}
_REPOSITORY_BASES = ("/repos/{owner}/{repo}", "/repositories/{repository_number}")
_REPOSITORY_ROLES = {"outsider": "admin", "writer": "push", "admin": "admin"}
_PACKAGE_ROLES = {"outsider": "admin", "reader": "read", "writer": "write", "admin": "admin"}
# What may be read only by these. Of "lacking" it depends on what it lacks.
CANARIES = {
    "canary-repository": {"outsider", "reader", "writer", "admin", "owner", "codespace", "workflow", "lacking"},
    "canary-team": {"reader", "writer", "admin", "owner", "lacking"},
    "canary-codespace": {"owner", "lacking"},
}


def login_of(caller: str) -> str:
    return _LOGINS.get(caller, caller)


def matrix_key(route: Route) -> str:
    """Of the route's row: its own, or one that it shares."""
    own = f"{route.method} {route.path}"
    return own if own in ROWS else row_key(route)


def rows_of(route: Route) -> dict[str, Row]:
    """By key; empty where there is none."""
    key = matrix_key(route)
    return {each: row for each, row in ROWS.items() if each.partition(" # ")[0] == key}


def places_of(row: Row) -> tuple[str, ...]:
    """The public one too, where it matters what the place is."""
    return (PRIVATE, PUBLIC) if row.who.public else (PRIVATE,)


@dataclass(frozen=True)
class Answer:
    """What a call got, in the words of a cell, and all of it."""

    cell: str
    text: str


@dataclass(repr=False)
class World:
    """`clients` by caller; `lacking` by login and by what the token lacks."""

    berth: Berth
    seeded: Seeded
    database: Path
    git: Path
    clients: dict[str, httpx.AsyncClient]
    places: dict[str, dict[str, dict[str, str]]]  # values of parameters, by place and first word of the path
    lacking: dict[tuple[str, frozenset[str]], httpx.AsyncClient] = field(default_factory=dict)
    sealed: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)  # by login and path
    _copies: dict[str, sqlite3.Connection] = field(default_factory=dict)  # of the database, by state
    _state: str = "changed"  # for what it was prepared; empty: as it was made

    async def ask(self, route: Route, row: Row, place: str, caller: str) -> list[Answer]:
        """What this caller gets; a caller who lacks something, once for each thing that can be lacked."""
        answers = []
        for client, login in self._clients(row, caller):
            await self._prepare(route, row, place)
            answers.append(await self._call(client, login, route, row, place))
        return answers

    def _clients(self, row: Row, caller: str) -> list[tuple[httpx.AsyncClient, str]]:
        if caller != "lacking":
            return [(self.clients[caller], login_of(caller))]
        login = holder_of(row)
        return [(self.lacking[login, frozenset(each)], login) for each in row.lacks]

    async def _prepare(self, route: Route, row: Row, place: str) -> None:
        """As it was made; and what must have happened before has."""
        wanted = f"{place} {route.path} {row.after}" if row.after else ""
        if self._state == wanted:
            return
        if wanted in self._copies or self._state:
            self._reset(wanted if wanted in self._copies else "")
        if wanted not in self._copies:
            before = _route_before(route, row)
            answer = await self._send(self.clients["owner"], "octo", before, Row(row.who), place)
            assert answer.is_success, f"{row.after}: {answer.text}"
            self._copies[wanted] = self._copy()
        self._state = wanted

    async def _call(self, client: httpx.AsyncClient, login: str, route: Route, row: Row, place: str) -> Answer:
        operation = OPERATIONS.get(row_key(route), Operation(status=200))
        if operation.phase is not None:
            await self.seeded.set_phase(operation.phase)
            self._state = "changed"
        answer = await self._send(client, login, route, row, place)
        if answer.is_success and route.method != "GET":
            self._state = "changed"
        good = {200, 204} if route.method == "GET" else {operation.status}
        cell = str(answer.status_code)
        if answer.status_code in good:
            cell = "none" if route.method == "GET" and answer.content == b"[]" else "ok"
        return Answer(cell, answer.text)

    async def _send(self, client: httpx.AsyncClient, login: str, route: Route, row: Row, place: str) -> httpx.Response:
        operation = OPERATIONS.get(row_key(route), Operation())
        values = {**operation.values, **self.places[place].get(_kind(route), {}), **row.values}
        values = {name: value.replace("{caller}", login) for name, value in values.items()}
        path = self.seeded.fill(route.path, **values)
        body = self._body(operation, row, place, login)
        if operation.sealed:
            secrets = self.seeded.fill(route.path.rpartition("/")[0], **values)
            body = {**(body or {}), **self.sealed[login if secrets.startswith("/user/") else "", secrets]}
        if operation.login:
            secrets = secrets_of(path)
            body = {**(body or {}), **as_login(self.sealed[login if secrets.startswith("/user/") else "", secrets])}
        return await client.request(route.method, f"{path}?{operation.query}" if operation.query else path, json=body)

    def _body(self, operation: Operation, row: Row, place: str, login: str) -> dict[str, Any] | None:
        body = row.body or operation.body
        if body is None:
            return None
        known = {"{caller}": login, "{repository_id}": int(self.places[place]["repos"]["repository_id"])}
        return {key: known.get(value, value) if isinstance(value, str) else value for key, value in body.items()}

    def keep(self) -> None:
        """From now on it becomes again what it is now."""
        self._copies[""] = self._copy()
        self._git_copy = self.git.with_name("kept")
        shutil.copytree(self.git, self._git_copy, symlinks=True)
        self._seen = _fingerprint(self.git)
        self._state = ""

    def _copy(self) -> sqlite3.Connection:
        copy = sqlite3.connect(":memory:")
        with closing(sqlite3.connect(self.database)) as live:
            live.backup(copy)
        return copy

    def _reset(self, state: str) -> None:
        with closing(sqlite3.connect(self.database)) as live:
            self._copies[state].backup(live)
        if _fingerprint(self.git) != self._seen:
            shutil.rmtree(self.git)
            shutil.copytree(self._git_copy, self.git, symlinks=True)
            self._seen = _fingerprint(self.git)

    async def close(self) -> None:
        for client in (*self.clients.values(), *self.lacking.values()):
            await client.aclose()
        for copy in self._copies.values():
            copy.close()


def _fingerprint(folder: Path) -> frozenset[tuple[str, int, int]]:
    return frozenset(
        (str(path), path.lstat().st_mtime_ns, path.lstat().st_size) for path in folder.rglob("*") if not path.is_dir()
    )


def holder_of(row: Row) -> str:
    """Whose token it is that lacks something: of who could do it otherwise. Owners are refused only what is for `site`."""
    return "admin" if row.expected(PRIVATE)["owner"] == "403" else "octo"


def _kind(route: Route) -> str:
    """Which of a place's values a path wants."""
    if _PACKAGE_PATH.match(route.path):
        return f"{route.path.split('/')[1]} packages"
    return "repos" if route.path.startswith(("/repos/", "/repositories/")) else ""


def _route_before(route: Route, row: Row) -> Route:
    found = _PACKAGE_PATH.match(route.path)
    method, _, path = row.after.replace("{package}", found[0] if found else "").partition(" ")
    return next(each for each in ROUTES if (each.method, each.path) == (method, path))


@asynccontextmanager
async def make_world(template: Path, folder: Path) -> AsyncIterator[World]:
    """On a copy of the migrated, empty database, which lies in memory."""
    with tempfile.TemporaryDirectory(dir=template.parent) as beside:
        database = Path(beside) / "berth.db"
        shutil.copy(template, database)
        store = StoreHere(f"sqlite:///{database}")
        async with make_berth(folder, store) as berth:
            world = await _make(berth, database, folder / "repositories")
            yield world
            await world.close()
        await store.close()


async def _make(berth: Berth, database: Path, git: Path) -> World:
    seeded = await make_seeded(berth)
    clients = {"anonymous": berth.anonymous, "owner": seeded.octo, "site": berth.admin}
    for caller in PERSONS:
        if caller not in clients:
            clients[caller] = await berth.user(login_of(caller), *EVERYTHING)
    await berth.user("eve")
    site = await _make_repositories(seeded)
    prebuilds = "/repos/acme/site/codespaces/prebuilds"
    prebuild = str((await _expect(seeded.octo, "POST", prebuilds, {"branch": "main"}))["id"])
    await _make_members(seeded)
    await _open_packages(seeded)
    open_packages = {f"{base} packages": await _make_open_package(seeded, of) for base, of in _OPEN.items()}
    clients["codespace"] = berth.client(await _codespace_token(berth))
    permissions = {"permissions": {"contents": "write", "packages": "write"}}
    job = await _expect(seeded.octo, "POST", "/repos/acme/web/workflow-tokens", permissions)
    clients["workflow"] = berth.client(job["token"])
    web = {"owner": "acme", "repo": "web", **_ids(seeded.values["repository_id"])}
    places = {
        PRIVATE: {"repos": web},
        PUBLIC: {"repos": {"owner": "acme", "repo": "site", "prebuild_id": prebuild, **_ids(site)}, **open_packages},
    }
    world = World(berth, seeded, database, git, clients, places)
    await _make_lacking(world)
    await _seal(world)
    for client in (*clients.values(), *world.lacking.values()):
        client.event_hooks = {}  # that answers are as described is for the tests of each operation
    async with berth.store.begin() as connection:  # so that a token's use is no change
        await connection.execute(update(access_tokens).values(last_used_at=datetime(2100, 1, 1, tzinfo=UTC)))
    world.keep()
    return world


def _ids(number: str) -> dict[str, str]:
    return {"repository_id": number, "repository_number": number}


async def _expect(client: httpx.AsyncClient, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await client.request(method, path, json=body)
    assert answer.is_success, f"{method} {path}: {answer.text}"
    return dict(answer.json()) if answer.content else {}


async def _make_repositories(seeded: Seeded) -> str:
    """acme/site: public, with all that acme/web has; its id."""
    octo = seeded.octo
    site = await _expect(octo, "POST", "/orgs/acme/repos", {"name": "site"})
    for path, content in (("a", "YQ=="), (".devcontainer/devcontainer.json", "e30=")):
        await _expect(octo, "PUT", f"/repos/acme/site/contents/{path}", {"message": "m", "content": content})
    await make_pull_request(seeded.berth, octo, site)
    await _expect(octo, "PUT", "/repos/acme/site/collaborators/ada", {"permission": "push"})
    await _expect(octo, "PUT", "/orgs/acme/teams/core/repos/acme/site", {})
    secrets = "/repos/acme/site/codespaces/secrets"
    await _expect(octo, "PUT", f"{secrets}/ONE", await seal(octo, secrets))
    await _expect(octo, "PATCH", "/repos/acme/web", {"description": "canary-repository"})
    await _expect(octo, "PATCH", "/orgs/acme/teams/core", {"description": "canary-team"})
    await _expect(octo, "PATCH", f"/user/codespaces/{seeded.values['name']}", {"display_name": "canary-codespace"})
    return str(site["id"])


async def _make_members(seeded: Seeded) -> None:
    octo = seeded.octo
    for login in (*map(login_of, ("reader", "writer", "admin")), "eve"):
        await _expect(octo, "PUT", f"/orgs/acme/memberships/{login}", {})
    await _expect(octo, "PUT", f"/orgs/acme/teams/core/memberships/{login_of('admin')}", {"role": "maintainer"})
    for caller, permission in _REPOSITORY_ROLES.items():
        for name in ("web", "site"):
            path = f"/repos/acme/{name}/collaborators/{login_of(caller)}"
            await _expect(octo, "PUT", path, {"permission": permission})


async def _open_packages(seeded: Seeded) -> None:
    """acme's inherits access from acme/web; octo's are granted by name and open to acme/web."""
    octo, number = seeded.octo, seeded.values["repository_id"]
    await _expect(octo, "PATCH", "/orgs/acme/packages/container/tools%2Fdev", {"inherit_access": True})
    for name in ("box", "mine"):
        package = f"/users/octo/packages/container/{name}"
        await _expect(octo, "PUT", f"{package}/codespaces/repositories/{number}", {})
        await _expect(octo, "PUT", f"{package}/actions/repositories/{number}", {"role": "write"})
        await _grant(octo, package)


async def _grant(octo: httpx.AsyncClient, package: str) -> None:
    for caller, role in _PACKAGE_ROLES.items():
        await _expect(octo, "PUT", f"{package}/collaborators/{login_of(caller)}", {"role": role})


async def _make_open_package(seeded: Seeded, owner: str) -> dict[str, str]:
    """A public one, with grants by name; the values of its paths."""
    store = seeded.berth.store
    account_id = int((await seeded.octo.get(f"/users/{owner}")).json()["id"])
    package = await insert_package(store, account_id, "open", Visibility.PUBLIC)
    await insert_version(store, package, "1")
    version = await insert_version(store, package, "2")
    await _grant(seeded.octo, f"/users/{owner}/packages/container/open")
    return {"package_name": "open", "package_version_id": str(version)}


async def _codespace_token(berth: Berth) -> str:
    """Of octo's codespace of acme/web."""
    async with berth.store.read() as connection:
        found = (await connection.execute(select(codespaces.c.owner_id, codespaces.c.id))).one()
    return (await berth.services.access_tokens.issue_for_codespace(found.owner_id, found.id)).reveal()


async def _make_lacking(world: World) -> None:
    for row in ROWS.values():
        for lacked in map(frozenset, row.lacks):
            login = holder_of(row)
            if (login, lacked) not in world.lacking:
                token = await world.berth.token(login, *_all_but(lacked, login))
                world.lacking[login, lacked] = world.berth.client(token)


def _all_but(lacked: frozenset[str], login: str) -> list[str]:
    """Every scope that implies none of these; none at all where a row names none."""
    everything = [*Scope] if login == "admin" else [Scope(word) for word in EVERYTHING]
    return (
        [] if lacked == {""} else [each for each in everything if lacked.isdisjoint(expand_scopes(frozenset({each})))]
    )


async def _seal(world: World) -> None:
    """A secret's value, for each of its owners."""
    octo, site = world.clients["owner"], world.clients["site"]
    for caller in PERSONS[1:]:
        path = "/user/codespaces/secrets"
        world.sealed[login_of(caller), path] = await seal(world.clients[caller], path)
    paths = ["/orgs/acme/codespaces/secrets"]
    for values in (world.places[place]["repos"] for place in world.places):
        paths += [f"{world.seeded.fill(base, **values)}/codespaces/secrets" for base in _REPOSITORY_BASES]
    for path in paths:
        world.sealed["", path] = await seal(octo, path)
    world.sealed["nobody", "/user/codespaces/secrets"] = await seal(site, "/user/codespaces/secrets")
