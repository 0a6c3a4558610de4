"""The access matrix on the wire: who, which package and which route of the registry give which status and code (A1 to A14).

The table says for each caller and each package what he may do; what a route answers then follows from one rule. That the
table knows every kind of token, role, visibility and route is tested below. The pure decision has a matrix of its own.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import jwt
import pytest
import pytest_asyncio
from sqlalchemy import insert
from tests.oci.images import Image, image
from tests.oci.registry_api import OCIClient, Registry, code_of, registry_on_sqlite
from tests.rest.test_access_token import codespace_token

from berth.adapters.store import team as team_rows
from berth.adapters.store.package_tables import package_codespaces, package_teams, package_workflows
from berth.domain.access_token import TokenKind
from berth.domain.image_reference import Digest
from berth.domain.package_access import PackageAction
from berth.domain.package_role import PackageRole
from berth.domain.repository import Visibility
from berth.domain.scope import Scope
from berth.domain.workflow_permissions import WorkflowPermission
from berth.oci.app import ROUTES

pytestmark = pytest.mark.asyncio(loop_scope="module")

PULL, PUSH, DELETE = PackageAction.PULL, PackageAction.PUSH, PackageAction.DELETE
_LETTERS = {"r": PULL, "w": PUSH, "d": DELETE}
_PACKAGES = (Scope.READ_PACKAGES, Scope.WRITE_PACKAGES, Scope.DELETE_PACKAGES)


@dataclass(frozen=True)
class Package:
    """A package of acme's. `linked` is the repository; every grant and list below is on each of them."""

    name: str
    visibility: Visibility
    linked: str | None = None
    inherits: bool = False


PACKAGES = (
    Package("acme/public", Visibility.PUBLIC),
    Package("acme/private", Visibility.PRIVATE),
    Package("acme/internal", Visibility.INTERNAL),
    Package("acme/inheriting", Visibility.PRIVATE, "acme/web", inherits=True),
    Package("acme/linked", Visibility.PRIVATE, "acme/web"),
    Package("acme/of-site", Visibility.PRIVATE, "acme/site", inherits=True),
    Package("acme/of-docs", Visibility.INTERNAL, "acme/docs", inherits=True),
    Package("acme/public-of-web", Visibility.PUBLIC, "acme/web", inherits=True),
)
REPOSITORIES = {
    "acme/web": "private", "acme/site": "public", "acme/docs": "internal", "acme/other": "private",
    "acme/lab": "private", "acme/open": "public",  # both on every Codespaces access list
    "acme/ci-read": "private", "acme/ci-write": "private", "acme/ci-admin": "private",  # on every workflow access list
    "otto/own": "private",
}  # fmt: skip
GRANTED = {"rita": PackageRole.READ, "wes": PackageRole.WRITE, "ada": PackageRole.ADMIN, "gus": PackageRole.WRITE}
MEMBERS = ("mia", "rita", "wes", "ada", "tess")  # olga owns acme; tess is in a team that may write; gus is no member


@dataclass(frozen=True)
class Who:
    """A caller. Of the eight cells each says what he may do with the package above it, in the order of PACKAGES."""

    cells: str
    kind: TokenKind | None = TokenKind.PERSONAL
    login: str = "olga"
    role: PackageRole = PackageRole.NONE  # what he was granted by name, or through the team
    scopes: tuple[Scope, ...] = _PACKAGES
    repository: str = ""
    permission: WorkflowPermission = WorkflowPermission.WRITE
    free: str = "hidden"  # a push to a free name of acme's: made, limited (403), hidden (404) or anonymous (401)

    def may(self, package: Package) -> frozenset[PackageAction]:
        letters = self.cells.split()[PACKAGES.index(package)]
        return frozenset(_LETTERS[letter] for letter in letters if letter != "-")

    @property
    def cannot(self) -> frozenset[PackageAction]:
        """What his token can do with no package at all: that is said of hidden and missing ones alike."""
        if self.kind is TokenKind.CODESPACE or (
            self.kind is TokenKind.WORKFLOW and self.permission is not WorkflowPermission.WRITE
        ):
            return frozenset({PUSH, DELETE})
        lacking = set()
        if self.kind is TokenKind.PERSONAL:
            if Scope.WRITE_PACKAGES not in self.scopes:
                lacking.add(PUSH)
            if Scope.DELETE_PACKAGES not in self.scopes or not {Scope.READ_PACKAGES, Scope.WRITE_PACKAGES} & {
                *self.scopes
            }:
                lacking.add(DELETE)
        return frozenset(lacking)


def _codespace(cells: str, repository: str, login: str = "olga") -> Who:
    return Who(cells, TokenKind.CODESPACE, login, repository=repository, free="limited")


def _job(cells: str, repository: str, permission: str = "write", login: str = "olga", free: str = "made") -> Who:
    return Who(
        cells, TokenKind.WORKFLOW, login, repository=repository, permission=WorkflowPermission(permission), free=free
    )


# cells:                            public private internal inheriting linked of-site of-docs public-of-web
WHO = {
    "anonymous":                Who("r   -   -   -   -   -   -   r", None, "", free="anonymous"),
    "stranger":                 Who("r   -   -   -   -   -   -   r", login="otto"),
    "site administrator":       Who("r   -   -   -   -   -   -   r", login="admin"),
    "member":                   Who("r   -   r   r   -   -   r   r", login="mia", free="made"),
    "granted read":             Who("r   r   r   r   r   r   r   r", login="rita", role=PackageRole.READ, free="made"),
    "granted write":            Who("rw  rw  rw  rw  rw  rw  rw  rw", login="wes", role=PackageRole.WRITE, free="made"),
    "granted admin":            Who("rwd rwd rwd rwd rwd rwd rwd rwd", login="ada", role=PackageRole.ADMIN, free="made"),
    "team granted write":       Who("rw  rw  rw  rw  rw  rw  rw  rw", login="tess", role=PackageRole.WRITE, free="made"),
    "granted, no member":       Who("rw  -   -   -   -   -   -   rw", login="gus", role=PackageRole.WRITE),
    "collaborator on web":      Who("r   -   -   rw  -   -   -   rw", login="cora"),
    "owner":                    Who("rwd rwd rwd rwd rwd rwd rwd rwd", free="made"),
    "owner, read":              Who("r   r   r   r   r   r   r   r", scopes=(Scope.READ_PACKAGES,), free="limited"),
    "owner, write":             Who("rw  rw  rw  rw  rw  rw  rw  rw", scopes=(Scope.WRITE_PACKAGES,), free="made"),
    "owner, delete":            Who("r   -   -   -   -   -   -   r", scopes=(Scope.DELETE_PACKAGES,), free="limited"),
    "owner, read and delete":   Who("rd  rd  rd  rd  rd  rd  rd  rd", scopes=(Scope.READ_PACKAGES, Scope.DELETE_PACKAGES),
                                    free="limited"),
    "owner, no such scope":     Who("r   -   -   -   -   -   -   r", scopes=(Scope.REPO,), free="limited"),
    "codespace of web":         _codespace("r   -   r   r   -   -   r   r", "acme/web"),
    "codespace of site":        _codespace("r   -   -   -   -   -   -   r", "acme/site"),
    "codespace of docs":        _codespace("r   -   r   -   -   -   r   r", "acme/docs"),
    "codespace, listed":        _codespace("r   r   r   r   r   r   r   r", "acme/lab"),
    "codespace, listed public": _codespace("r   r   r   r   r   r   r   r", "acme/open"),
    "codespace of other":       _codespace("r   -   r   -   -   -   r   r", "acme/other"),
    "codespace of a stranger":  _codespace("r   -   -   -   -   -   -   r", "otto/own", "otto"),
    "codespace, lost its repository": _codespace("r - - - - - - r", "acme/web", "otto"),
    "job of web":               _job("r   -   -   rw  -   -   -   rw", "acme/web"),
    "job of web, read":         _job("r   -   -   r   -   -   -   r", "acme/web", "read", free="limited"),
    "job of web, none":         _job("r   -   -   -   -   -   -   r", "acme/web", "none", free="limited"),
    "job of site":              _job("r   -   -   -   -   rw  -   r", "acme/site"),
    "job, listed for read":     _job("r   r   r   r   r   r   r   r", "acme/ci-read"),
    "job, listed for write":    _job("rw  rw  rw  rw  rw  rw  rw  rw", "acme/ci-write"),
    "job, listed for admin":    _job("rwd rwd rwd rwd rwd rwd rwd rwd", "acme/ci-admin"),
    "job, listed, read":        _job("r   r   r   r   r   r   r   r", "acme/ci-admin", "read", free="limited"),
    "job of other":             _job("r   -   -   -   -   -   -   r", "acme/other"),
    "job of a stranger":        _job("r   -   -   -   -   -   -   r", "otto/own", login="otto", free="hidden"),
    "job, lost its repository": _job("r   -   -   -   -   -   -   r", "acme/web", login="cal", free="hidden"),
}  # fmt: skip

CONTENT = image()
BLOB, ABSENT = Digest.of(CONTENT.blobs[1]), Digest.of(b"nobody has this")
UPLOAD = "00000000-0000-4000-8000-000000000000"


@dataclass(frozen=True)
class Request:
    """One route, asked so that nothing changes: (status, code) where it is allowed. None: an answer without a code."""

    action: PackageAction
    path: str
    allowed: tuple[int, str | None]


REQUESTS = {
    ("manifests", "GET"): Request(PULL, "manifests/latest", (200, None)),
    ("manifests", "HEAD"): Request(PULL, "manifests/latest", (200, None)),
    ("manifests", "PUT"): Request(PUSH, "manifests/other", (400, "MANIFEST_INVALID")),
    ("manifests", "DELETE"): Request(DELETE, f"manifests/{ABSENT}", (404, "MANIFEST_UNKNOWN")),
    ("blobs", "GET"): Request(PULL, f"blobs/{BLOB}", (200, None)),
    ("blobs", "HEAD"): Request(PULL, f"blobs/{BLOB}", (200, None)),
    ("blobs", "DELETE"): Request(DELETE, f"blobs/{ABSENT}", (404, "BLOB_UNKNOWN")),
    ("uploads", "POST"): Request(PUSH, "blobs/uploads/", (202, None)),
    ("uploads", "GET"): Request(PUSH, f"blobs/uploads/{UPLOAD}", (404, "BLOB_UPLOAD_UNKNOWN")),
    ("uploads", "PATCH"): Request(PUSH, f"blobs/uploads/{UPLOAD}", (404, "BLOB_UPLOAD_UNKNOWN")),
    ("uploads", "PUT"): Request(PUSH, f"blobs/uploads/{UPLOAD}?digest={ABSENT}", (404, "BLOB_UPLOAD_UNKNOWN")),
    ("uploads", "DELETE"): Request(PUSH, f"blobs/uploads/{UPLOAD}", (404, "BLOB_UPLOAD_UNKNOWN")),
    ("tags", "GET"): Request(PULL, "tags/list", (200, None)),
    ("tags", "HEAD"): Request(PULL, "tags/list", (200, None)),
    ("referrers", "GET"): Request(PULL, f"referrers/{CONTENT.digest}", (200, None)),
    ("referrers", "HEAD"): Request(PULL, f"referrers/{CONTENT.digest}", (200, None)),
}


def expected(who: Who, package: Package, kind: str, request: Request) -> tuple[int, str | None]:
    """The one rule: allowed; else log in, or what the token lacks, or what the role lacks if one may know, or nothing there."""
    may = who.may(package)
    if request.action in may:
        return request.allowed
    if who.kind is None:
        return 401, "UNAUTHORIZED"
    if request.action in who.cannot or PULL in may:
        return 403, "DENIED"
    return (
        (200, None) if kind == "referrers" else (404, "NAME_UNKNOWN")
    )  # a list of nothing, as the specification wants


@dataclass
class Matrix:
    registry: Registry
    clients: dict[str, OCIClient]


async def _client(registry: Registry, who: Who, ids: dict[str, int]) -> OCIClient:
    match who.kind:
        case None:
            return registry.anonymous
        case TokenKind.PERSONAL:
            return registry.client(await registry.berth.token(who.login, *who.scopes))
        case TokenKind.CODESPACE:
            if who.repository == "acme/web" and who.login == "otto":  # launched when he could still read it
                _, token = await codespace_token(
                    registry.berth, ids["acme/web-of-old"], await registry.account_id("otto")
                )
                return registry.client(token)
            return await registry.codespace(who.login, ids[who.repository])
        case TokenKind.WORKFLOW:
            return await registry.workflow(who.login, who.repository, who.permission)


async def _set_up(registry: Registry) -> dict[str, int]:
    """Accounts and repositories; their ids."""
    for login in ("olga", "otto", "gus", "cora", "cal"):
        await registry.person(login)
    await registry.organization("acme", "olga", *MEMBERS)
    ids = {}
    for name, visibility in REPOSITORIES.items():
        ids[name] = await registry.repository("otto" if name.startswith("otto/") else "olga", name, visibility)
    ids["acme/web-of-old"] = await registry.repository("olga", "acme/web-of-old")
    for login in ("cora", "cal"):
        answer = await registry.rest["olga"].put(f"/repos/acme/web/collaborators/{login}", json={"permission": "push"})
        assert answer.status_code in {201, 204}, answer.text
    return ids


async def _publish(registry: Registry, ids: dict[str, int]) -> None:
    """The packages, with every grant and list on each."""
    olga = await registry.person("olga")
    async with registry.store.begin() as connection:
        acme = await registry.account_id("acme")
        team = await team_rows.insert_team(
            connection, organization_id=acme, slug="writers", name="writers", description="", now=registry.clock.now()
        )
        await team_rows.set_team_member(connection, team.id, await registry.account_id("tess"), "member")
    for package in PACKAGES:
        await olga.push(package.name, CONTENT)
        package_id = await registry.set_package(
            package.name,
            visibility=package.visibility,
            repository_id=ids[package.linked] if package.linked else None,
            inherits_access=package.inherits,
        )
        for login, role in GRANTED.items():
            await registry.grant(package.name, login, role.word)
        async with registry.store.begin() as connection:
            row = {"package_id": package_id, "team_id": team.id, "role": int(PackageRole.WRITE)}
            await connection.execute(insert(package_teams).values(**row))
            for listed in ("acme/lab", "acme/open"):
                row = {"package_id": package_id, "repository_id": ids[listed]}
                await connection.execute(insert(package_codespaces).values(**row))
            for listed, role in (
                ("acme/ci-read", PackageRole.READ), ("acme/ci-write", PackageRole.WRITE),
                ("acme/ci-admin", PackageRole.ADMIN),
            ):  # fmt: skip
                row = {"package_id": package_id, "repository_id": ids[listed], "role": int(role)}
                await connection.execute(insert(package_workflows).values(**row))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def matrix(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Matrix]:
    async with registry_on_sqlite(sqlite_template, tmp_path_factory.mktemp("matrix")) as registry:
        ids = await _set_up(registry)
        await _publish(registry, ids)
        clients = {name: await _client(registry, who, ids) for name, who in WHO.items()}
        await registry.rest["olga"].delete("/repos/acme/web/collaborators/cal")  # his job still runs
        yield Matrix(registry, clients)


@pytest.mark.parametrize("name", WHO)
async def test_every_route_answers_as_the_table_says(matrix: Matrix, name: str) -> None:
    who, client = WHO[name], matrix.clients[name]
    everything = " ".join(f"repository:{package.name}:pull,push,delete" for package in PACKAGES)
    await client.log_in(everything)
    for package in PACKAGES:
        for (kind, method), request in REQUESTS.items():
            answer = await client.once(method, f"/v2/{package.name}/{request.path}", content=b"")
            code = None if answer.status_code < 300 or method == "HEAD" else code_of(answer)
            status, wanted = expected(who, package, kind, request)
            where = f"{package.name}: {method} {request.path}"
            assert (answer.status_code, code) == (status, None if method == "HEAD" else wanted), where


@pytest.mark.parametrize("name", WHO)
async def test_a_token_grants_what_the_table_says(matrix: Matrix, name: str) -> None:
    """The intersection, for one package at a time."""
    for package in PACKAGES:
        answer = await matrix.clients[name].ask_token(f"repository:{package.name}:pull,push,delete")
        claims = jwt.decode(answer.json()["token"], options={"verify_signature": False})
        granted = {action for entry in claims["access"] for action in entry["actions"]}
        assert granted == {str(action) for action in WHO[name].may(package)}, package.name


@pytest.mark.parametrize("name", WHO)
async def test_the_catalog_lists_what_may_be_pulled(matrix: Matrix, name: str) -> None:
    client = matrix.clients[name]
    await client.log_in("registry:catalog:*")
    listed = (await client.once("GET", "/v2/_catalog")).json()["repositories"]
    wanted = sorted(package.name for package in PACKAGES if PULL in WHO[name].may(package))
    assert [found for found in listed if "/free-" not in found] == wanted


async def test_a_mount_takes_from_what_may_be_pulled(matrix: Matrix) -> None:
    """For everybody who may push somewhere; from the rest an ordinary upload begins."""
    targets = {
        "stranger": "otto/mine", "member": "mia/mine", "granted read": "rita/mine", "granted, no member": "gus/mine",
        "collaborator on web": "cora/mine", "owner": "olga/mine", "job of web": "acme/inheriting",
        "job of a stranger": "otto/jobs", "job, listed for write": "acme/private",
    }  # fmt: skip
    for name, target in targets.items():
        client = matrix.clients[name]
        for package in PACKAGES:
            if package.name == target:
                continue
            await client.log_in(f"repository:{target}:pull,push repository:{package.name}:pull")
            path = f"/v2/{target}/blobs/uploads/?mount={BLOB}&from={package.name}"
            status = (await client.once("POST", path)).status_code
            assert status == (201 if PULL in WHO[name].may(package) else 202), f"{name}: {package.name}"


FREE = {
    "made": (202, None),
    "limited": (403, "DENIED"),
    "hidden": (404, "NAME_UNKNOWN"),
    "anonymous": (401, "UNAUTHORIZED"),
}


@pytest.mark.parametrize("name", WHO)
async def test_a_free_name_is_taken_by_whom_the_table_says(matrix: Matrix, name: str) -> None:
    """A8, A9: and what is made is private, but a job's, which is as its repository and inherits."""
    client, free = matrix.clients[name], f"acme/free-{list(WHO).index(name)}"
    await client.log_in(f"repository:{free}:pull,push")
    answer: httpx.Response = await client.once("POST", f"/v2/{free}/blobs/uploads/")
    code = None if answer.status_code < 300 else code_of(answer)
    assert (answer.status_code, code) == FREE[WHO[name].free]
    if answer.status_code == 202:
        known = await matrix.registry.package(free)
        job = WHO[name].kind is TokenKind.WORKFLOW
        assert known.inherits_access == job
        assert known.visibility == (REPOSITORIES[WHO[name].repository] if job else Visibility.PRIVATE)


async def test_no_kind_of_token_role_visibility_permission_scope_or_route_is_missing() -> None:
    assert {who.kind for who in WHO.values()} == {None, *TokenKind}
    assert {who.role for who in WHO.values()} == set(PackageRole)
    assert {who.permission for who in WHO.values() if who.kind is TokenKind.WORKFLOW} == set(WorkflowPermission)
    assert {scope for who in WHO.values() for scope in who.scopes} >= {scope for scope in Scope if "packages" in scope}
    assert {package.visibility for package in PACKAGES} == set(Visibility)
    assert {REPOSITORIES[package.linked] for package in PACKAGES if package.linked} == {
        str(each) for each in Visibility
    }
    assert {package.inherits for package in PACKAGES if package.linked} == {True, False}
    assert set(REQUESTS) == {(kind, method) for kind in ROUTES for method in ROUTES[kind]}
    assert {request.action for request in REQUESTS.values()} == set(PackageAction) - {PackageAction.ADMINISTER}
    for route, request in REQUESTS.items():
        assert request.action in ROUTES[route[0]][route[1]].actions, route
    assert all(len(who.cells.split()) == len(PACKAGES) for who in WHO.values())
    assert isinstance(CONTENT, Image)
