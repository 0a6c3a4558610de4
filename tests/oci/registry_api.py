"""The built-in registry on a store of its own: the real application, in this process, and a client that speaks to it.

REST, git and the registry are one application here, as in a server: accounts and tokens are made through REST.
"""

import base64
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import select, update
from starlette.types import ASGIApp
from tests.oci.images import Image
from tests.rest.berth_api import Berth, make_berth
from tests.rest.test_access_token import codespace_token

from berth.adapters.blobs_directory import DirectoryBlobStore
from berth.adapters.entropy_system import SystemEntropy
from berth.adapters.registry_token_jwt import RegistryTokenJWT
from berth.adapters.store import package as package_rows
from berth.adapters.store.database import Store
from berth.adapters.store.fresh import FreshCache
from berth.adapters.store.tables import access_tokens, audit_log
from berth.domain.image_reference import Digest, DigestAlgorithm
from berth.domain.package import Package, parse_package_name
from berth.domain.package_role import PackageRole
from berth.domain.registry_challenge import Challenge, parse_challenges
from berth.domain.repository import Visibility
from berth.front import make_front
from berth.oci.app import make_oci_app
from berth.oci.call import OCIServices
from berth.services.access_token import AccessTokenService
from berth.services.registry_access import RegistryAccess
from berth.services.registry_blob import RegistryBlobService
from berth.services.registry_catalog import RegistryCatalogService
from berth.services.registry_manifest import RegistryManifestService
from berth.services.registry_token import RegistryTokenService

ORIGIN = "http://berth.test"
HOST = "berth.test"
LIFETIME_S = 300
EVERY_SCOPE = ("repo", "user", "admin:org", "codespace", "write:packages", "delete:packages")


@dataclass
class ShiftedClock:
    """The machine's clock, set forward: registry tokens are checked against the real time, too."""

    ahead: timedelta = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass
class OCIClient:
    """Any registry client: asked for a token it fetches one for that scope and comes again, once.

    `password` is an access token; None: anonymous. Tokens are kept by the scope that was asked for.
    """

    http: httpx.AsyncClient
    password: str | None = None
    user: str = "anyone"
    token: str | None = None  # shown at the next request
    fetched: list[str] = field(default_factory=list)  # scopes, each a trip to the token service

    async def request(
        self,
        method: str,
        path: str,
        *,
        content: bytes | AsyncIterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
    ) -> httpx.Response:
        answer = await self.once(method, path, content=content, headers=headers, params=params)
        if answer.status_code == 401 and not isinstance(content, AsyncIterator):
            await self.log_in(challenge_of(answer).parameters["scope"])
            answer = await self.once(method, path, content=content, headers=headers, params=params)
        return answer

    async def once(self, method: str, path: str, **given: Any) -> httpx.Response:
        """Without the dance."""
        headers = dict(given.pop("headers", None) or {})
        if self.token is not None:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        if given.get("params") is None:
            given.pop("params", None)  # httpx would drop the path's own query
        return await self.http.request(method, path, headers=headers, **given)

    async def get(self, path: str, **given: Any) -> httpx.Response:
        return await self.request("GET", path, **given)

    async def head(self, path: str, **given: Any) -> httpx.Response:
        return await self.request("HEAD", path, **given)

    async def post(self, path: str, **given: Any) -> httpx.Response:
        return await self.request("POST", path, **given)

    async def patch(self, path: str, **given: Any) -> httpx.Response:
        return await self.request("PATCH", path, **given)

    async def put(self, path: str, **given: Any) -> httpx.Response:
        return await self.request("PUT", path, **given)

    async def delete(self, path: str, **given: Any) -> httpx.Response:
        return await self.request("DELETE", path, **given)

    async def ask_token(self, *scopes: str) -> httpx.Response:
        """GET /token."""
        params: list[tuple[str, Any]] = [("service", HOST), *(("scope", scope) for scope in scopes)]
        headers = {} if self.password is None else {"Authorization": basic(self.user, self.password)}
        return await self.http.get("/token", params=params, headers=headers)

    async def log_in(self, scope: str) -> str:
        """Fetch the token for these scopes, and show it from now on."""
        answer = await self.ask_token(*scope.split())
        assert answer.status_code == 200, answer.text
        self.fetched.append(scope)
        self.token = str(answer.json()["token"])
        return self.token

    async def push_blob(self, name: str, content: bytes, algorithm: DigestAlgorithm = DigestAlgorithm.SHA256) -> Digest:
        digest = Digest.of(content, algorithm)
        answer = await self.post(f"/v2/{name}/blobs/uploads/?digest={digest}", content=content)
        assert answer.status_code == 201, answer.text
        return digest

    async def begin(self, name: str, **given: Any) -> str:
        """The location of a new upload."""
        answer = await self.post(f"/v2/{name}/blobs/uploads/", **given)
        assert answer.status_code == 202, answer.text
        return answer.headers["Location"]

    async def put_manifest(
        self, name: str, reference: object, content: bytes, media_type: str, **given: Any
    ) -> httpx.Response:
        headers = {"Content-Type": media_type, **given.pop("headers", {})}
        return await self.put(f"/v2/{name}/manifests/{reference}", content=content, headers=headers, **given)

    async def push(self, name: str, image: Image, reference: object = "latest") -> Digest:
        """An image with its blobs."""
        for blob in image.blobs:
            await self.push_blob(name, blob)
        answer = await self.put_manifest(name, reference, image.content, image.media_type)
        assert answer.status_code == 201, answer.text
        return image.digest


def basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def challenge_of(answer: httpx.Response) -> Challenge:
    """The one challenge of a 401."""
    (challenge,) = parse_challenges(answer.headers["WWW-Authenticate"])
    return challenge


def code_of(answer: httpx.Response) -> str:
    """The one code of an error's body, whose form is held to the specification's."""
    body = answer.json()
    assert list(body) == ["errors"]
    (error,) = body["errors"]
    assert set(error) == {"code", "message", "detail"}
    assert error["message"]
    return str(error["code"])


def outcome(answer: httpx.Response) -> tuple[int, str]:
    """Status and code."""
    return answer.status_code, code_of(answer)


@dataclass
class Registry:
    """A server without sockets."""

    berth: Berth
    services: OCIServices
    blobs: DirectoryBlobStore
    clock: ShiftedClock
    signer: RegistryTokenJWT
    app: ASGIApp
    folder: Path
    rest: dict[str, httpx.AsyncClient] = field(default_factory=dict)  # by login
    codespaces: dict[int, str] = field(default_factory=dict)  # their tokens

    @property
    def store(self) -> Store:
        return self.berth.store

    def http(self, *, external_url: str | None = None) -> httpx.AsyncClient:
        """Of all of it; with an EXTERNAL_URL of the registry alone."""
        app = make_oci_app(self.services, external_url) if external_url else self.app
        return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=ORIGIN)

    def client(self, password: str | None = None) -> OCIClient:
        return OCIClient(self.http(), password)

    @property
    def anonymous(self) -> OCIClient:
        return self.client()

    async def person(self, login: str, *scopes: str) -> OCIClient:
        """Somebody's client, with a personal access token; he is made if he is not there yet."""
        if login not in self.rest:
            self.rest[login] = await self.berth.user(login, *EVERY_SCOPE)
        return self.client(await self.berth.token(login, *(scopes or EVERY_SCOPE)))

    async def organization(self, login: str, owner: str, *members: str) -> None:
        await self.berth.organization(login, owner)
        for member in members:
            if member not in self.rest:
                await self.person(member)
            answer = await self.rest[owner].put(f"/orgs/{login}/memberships/{member}", json={"role": "member"})
            assert answer.status_code == 200, answer.text

    async def repository(self, owner: str, full_name: str, visibility: str = "private") -> int:
        """A repository's id; made by `owner`, in his account or his organization's, if it is not there yet."""
        there = await self.rest[owner].get(f"/repos/{full_name}")
        if there.status_code == 200:
            return int(there.json()["id"])
        where, _, name = full_name.partition("/")
        url = "/user/repos" if where == owner else f"/orgs/{where}/repos"
        answer = await self.rest[owner].post(url, json={"name": name, "visibility": visibility})
        assert answer.status_code == 201, answer.text
        return int(answer.json()["id"])

    async def workflow(self, login: str, repository: str, packages: str = "write") -> OCIClient:
        body = {"permissions": {"packages": packages}}
        answer = await self.rest[login].post(f"/repos/{repository}/workflow-tokens", json=body)
        assert answer.status_code == 201, answer.text
        return self.client(answer.json()["token"])

    async def codespace(self, login: str, repository_id: int) -> OCIClient:
        """A client inside a codespace of this repository; there is one for each repository."""
        if repository_id not in self.codespaces:
            _, token = await codespace_token(self.berth, repository_id, await self.account_id(login))
            self.codespaces[repository_id] = token
        return self.client(self.codespaces[repository_id])

    async def package(self, name: str) -> Package:
        async with self.store.read() as connection:
            known = await package_rows.find_known_package(
                connection, package_rows.Asker(None), parse_package_name(name)
            )
        assert known is not None, name
        return known.package

    async def package_id(self, name: str) -> int:
        return (await self.package(name)).id

    async def set_package(self, name: str, **values: object) -> int:
        """Change columns of a package behind the settings' back; its id."""
        package_id = await self.package_id(name)
        async with self.store.begin() as connection:
            await package_rows.update_package(connection, package_id, values)
        return package_id

    async def audit(self, name: str) -> list[tuple[str, str, str]]:
        """(action, actor, detail) of what was done to the package and what is in it."""
        statement = select(audit_log.c.action, audit_log.c.actor_login, audit_log.c.detail).order_by(audit_log.c.id)
        async with self.store.read() as connection:
            found = await connection.execute(statement.where(audit_log.c.target.startswith(name, autoescape=True)))
            return [(row[0], row[1], row[2]) for row in found]

    async def expire(self, token_id: int) -> None:
        """Let an access token's time be over."""
        past = datetime(2001, 1, 1, tzinfo=UTC)
        async with self.store.begin() as connection:
            mine = access_tokens.c.id == token_id
            await connection.execute(update(access_tokens).where(mine).values(expires_at=past))

    async def account_id(self, login: str) -> int:
        answer = await self.berth.admin.get(f"/users/{login}")
        assert answer.status_code == 200, answer.text
        return int(answer.json()["id"])

    async def grant(self, name: str, login: str, role: str | None) -> None:
        """A role for a user by name; None takes it away."""
        package_id, user_id = await self.package_id(name), await self.account_id(login)
        async with self.store.begin() as connection:
            if role is None:
                await package_rows.remove_user_grant(connection, package_id, user_id)
            else:
                await package_rows.set_user_grant(connection, package_id, user_id, PackageRole[role.upper()])

    async def publish(self, name: str, visibility: Visibility) -> int:
        return await self.set_package(name, visibility=visibility)

    async def delete_package(self, name: str) -> None:
        await self.set_package(name, deleted_at=self.clock.now())


@asynccontextmanager
async def make_registry(folder: Path, store: Store) -> AsyncIterator[Registry]:
    async with make_berth(folder, store) as berth:
        clock, cache, blobs = ShiftedClock(), FreshCache(store), DirectoryBlobStore(folder / "blobs")
        signer = RegistryTokenJWT(folder / "key")
        tokens = AccessTokenService(store=store, clock=clock, entropy=SystemEntropy())
        access = RegistryAccess(store=store, clock=clock, cache=cache, signer=signer, tokens=tokens)
        services = OCIServices(
            tokens=RegistryTokenService(store=store, clock=clock, signer=signer, tokens=tokens, lifetime_s=LIFETIME_S),
            access=access,
            manifests=RegistryManifestService(
                store=store, clock=clock, cache=cache, access=access, blobs=blobs, own_hosts=frozenset({HOST})
            ),
            blobs=RegistryBlobService(store=store, clock=clock, cache=cache, access=access, blobs=blobs),
            catalog=RegistryCatalogService(store=store),
        )
        app = make_front(
            rest=berth.rest, sockets=berth.rest, git=berth.git, oci=make_oci_app(services, None), checks={}
        )
        try:
            yield Registry(berth, services, blobs, clock, signer, app, folder)
        finally:
            await cache.close()
            blobs.close()


@asynccontextmanager
async def registry_on_sqlite(template: Path, folder: Path) -> AsyncIterator[Registry]:
    """On a copy of the migrated, empty database, which lies in memory."""
    with tempfile.TemporaryDirectory(dir=template.parent) as beside:
        shutil.copy(template, f"{beside}/berth.db")
        store = Store(f"sqlite:///{beside}/berth.db")
        async with make_registry(folder, store) as made:
            yield made
        await store.close()


def pieces(content: bytes, size: int) -> Iterable[bytes]:
    return (content[start : start + size] for start in range(0, len(content), size))
