"""A14 on the shortest way: an answer that is given again without a look ends with the right to it, at the very next request.

A really running server, one connection that stays open. What ends the right is done as it is in life: through REST.
"""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import httpx
import pytest
import pytest_asyncio
from starlette.types import Receive, Scope, Send
from tests.oci.images import Image, image
from tests.oci.registry_api import LIFETIME_S, OCIClient, Registry
from tests.oci.test_wire import code_in
from tests.oci.wire import Reply, Wire, listening
from tests.rest.test_access_token import codespace_token

from berth.domain.image_reference import Digest

pytestmark = pytest.mark.asyncio(loop_scope="module")
OLGAS = ("repo", "delete_repo", "user", "admin:org", "codespace", "write:packages", "delete:packages")
_NUMBERS = itertools.count(1)


@dataclass
class Counted:
    """The application, and how many requests came as far as it: the rest was answered while it was read."""

    registry: Registry
    requests: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.requests += scope["type"] == "http"
        await self.registry.app(scope, receive, send)


@dataclass
class Stage:
    """An organization of olga's with one package, and somebody who reads it."""

    registry: Registry
    app: Counted
    port: int
    olga: OCIClient
    rest: httpx.AsyncClient  # olga's
    organization: str
    reader: str
    image: Image = field(default_factory=image)
    codespace_id: int = 0

    @property
    def name(self) -> str:
        return f"{self.organization}/app"

    @property
    def package(self) -> str:
        return f"/orgs/{self.organization}/packages/container/app"

    @property
    def code(self) -> str:
        return f"/repos/{self.organization}/code"

    async def call(self, method: str, path: str, body: object = None) -> httpx.Response:
        answer = await self.rest.request(method, path, json=body)
        assert answer.status_code < 300, f"{method} {path}: {answer.text}"
        return answer

    async def join(self) -> OCIClient:
        """The reader, as a member."""
        await self.call("PUT", f"/orgs/{self.organization}/memberships/{self.reader}", {"role": "member"})
        return await self.registry.person(self.reader, "read:packages")

    async def repository(self) -> int:
        """One of the organization; the reader may write to it, by name."""
        repository_id = await self.registry.repository("olga", f"{self.organization}/code")
        await self.call("PUT", f"{self.code}/collaborators/{self.reader}", {"permission": "push"})
        return repository_id

    async def link(self) -> int:
        """The package to that repository, with inheritance on."""
        repository_id = await self.repository()
        await self.call("PATCH", self.package, {"repository": f"{self.organization}/code", "inherit_access": True})
        return repository_id

    async def codespace(self, repository_id: int) -> OCIClient:
        reader_id = await self.registry.account_id(self.reader)
        self.codespace_id, token = await codespace_token(self.registry.berth, repository_id, reader_id)
        return self.registry.client(token)


Reader = Callable[[Stage], Awaitable[OCIClient]]
End = Callable[[Stage], Awaitable[object]]


async def granted(stage: Stage) -> OCIClient:
    reader = await stage.join()
    await stage.call("PUT", f"{stage.package}/collaborators/{stage.reader}", {"role": "read"})
    return reader


async def member(stage: Stage) -> OCIClient:
    await stage.call("PATCH", stage.package, {"visibility": "internal"})
    return await stage.join()


async def in_a_team(stage: Stage) -> OCIClient:
    reader, teams = await stage.join(), f"/orgs/{stage.organization}/teams"
    await stage.call("POST", teams, {"name": "readers"})
    await stage.call("PUT", f"{teams}/readers/memberships/{stage.reader}", {"role": "member"})
    await stage.call("PUT", f"{stage.package}/teams/readers", {"role": "read"})
    return reader


async def through_the_repository(stage: Stage) -> OCIClient:
    await stage.link()
    return await stage.registry.person(stage.reader, "read:packages")


async def short_lived(stage: Stage) -> OCIClient:
    """A token that ends before the registry token would."""
    await granted(stage)
    end = stage.registry.clock.now() + timedelta(seconds=LIFETIME_S / 2)
    body = {"scopes": ["read:packages"], "expires_at": end.isoformat()}
    made = await stage.registry.rest[stage.reader].post("/user/tokens", json=body)
    return stage.registry.client(made.json()["token"])


async def everybody(stage: Stage) -> OCIClient:
    await stage.call("PATCH", stage.package, {"visibility": "public"})
    return stage.registry.anonymous


async def codespace_of_the_link(stage: Stage) -> OCIClient:
    return await stage.codespace(await stage.link())


async def codespace_on_the_list(stage: Stage) -> OCIClient:
    repository_id = await stage.repository()
    await stage.call("PUT", f"{stage.package}/codespaces/repositories/{repository_id}")
    return await stage.codespace(repository_id)


async def job_of_the_link(stage: Stage) -> OCIClient:
    await stage.link()
    return await stage.registry.workflow(stage.reader, f"{stage.organization}/code", "read")


async def job_on_the_list(stage: Stage) -> OCIClient:
    repository_id = await stage.repository()
    await stage.call("PUT", f"{stage.package}/actions/repositories/{repository_id}", {"role": "read"})
    return await stage.registry.workflow(stage.reader, f"{stage.organization}/code", "read")


def does(method: str, path: str, **body: object) -> End:
    """A request of olga's; `{package}`, `{org}`, `{reader}`, and `{code}`, the repository's id, are filled in."""

    async def end(stage: Stage) -> None:
        code = (await stage.call("GET", stage.code)).json()["id"] if "{code}" in path else 0
        where = path.format(package=stage.package, org=stage.organization, reader=stage.reader, code=code)
        await stage.call(method, where, body or None)

    return end


async def made_anew(stage: Stage) -> None:
    """Under the same name, with the same grant."""
    await stage.call("DELETE", stage.package)
    await stage.olga.push(stage.name, stage.image)
    await stage.call("PUT", f"{stage.package}/collaborators/{stage.reader}", {"role": "read"})


async def revoked(stage: Stage) -> None:
    rest = stage.registry.rest[stage.reader]
    for token in (await rest.get("/user/tokens")).json():
        if token["scopes"] == ["read:packages"]:
            assert (await rest.delete(f"/user/tokens/{token['id']}")).status_code == 204


async def half_its_time(stage: Stage) -> None:
    stage.registry.clock.ahead = timedelta(seconds=LIFETIME_S / 2 + 1)


async def all_its_time(stage: Stage) -> None:
    stage.registry.clock.ahead = timedelta(seconds=LIFETIME_S + 1)


async def stopped(stage: Stage) -> None:
    await stage.registry.berth.services.access_tokens.revoke_of_codespace(stage.codespace_id)


async def suspended(stage: Stage) -> None:
    answer = await stage.registry.berth.admin.put(f"/users/{stage.reader}/suspended")
    assert answer.status_code == 204


async def transferred(stage: Stage) -> None:
    await stage.call("POST", f"{stage.code}/transfer", {"new_owner": "olga", "new_name": stage.organization})


MISSING, REFUSED = (404, "NAME_UNKNOWN"), (401, "UNAUTHORIZED")
CLOSED = does("PATCH", "{package}", inherit_access=False)
DELETED = does("DELETE", "{package}")
LEAVES = does("DELETE", "/orgs/{org}/members/{reader}")
LET_OUT = does("DELETE", "/repos/{org}/code/collaborators/{reader}")
OPENED = does("PATCH", "/repos/{org}/code", visibility="public")
GONE = does("DELETE", "/repos/{org}/code")
NO_CODESPACES = does("DELETE", "{package}/codespaces/repositories/{code}")
NO_JOBS = does("DELETE", "{package}/actions/repositories/{code}")
ENDS: dict[str, tuple[Reader, End, tuple[int, str]]] = {
    "A5: the package is made private": (member, does("PATCH", "{package}", visibility="private"), MISSING),
    "A12: the package is deleted": (granted, DELETED, MISSING),
    "A12: a public package is deleted": (everybody, DELETED, REFUSED),
    "A12: it is made anew under the same name": (granted, made_anew, REFUSED),
    "A3: the grant is taken": (granted, does("DELETE", "{package}/collaborators/{reader}"), MISSING),
    "A3: the team's grant is taken": (in_a_team, does("DELETE", "{package}/teams/readers"), MISSING),
    "A3: he leaves the team": (in_a_team, does("DELETE", "/orgs/{org}/teams/readers/memberships/{reader}"), MISSING),
    "A3: the team is deleted": (in_a_team, does("DELETE", "/orgs/{org}/teams/readers"), MISSING),
    "A3: the membership ends, and the grant with it": (granted, LEAVES, MISSING),
    "A5: the membership ends": (member, LEAVES, MISSING),
    "A4: the role on the repository ends": (through_the_repository, LET_OUT, MISSING),
    "A4: inheritance is switched off": (through_the_repository, CLOSED, MISSING),
    "A12: the repository is transferred": (through_the_repository, transferred, MISSING),
    "A12: the repository is deleted": (through_the_repository, GONE, MISSING),
    "A14: the access token is revoked": (granted, revoked, REFUSED),
    "A14: the user is suspended": (granted, suspended, REFUSED),
    "A14: the codespace's user is suspended": (codespace_of_the_link, suspended, REFUSED),
    "A14: who asked for the job's token is suspended": (job_of_the_link, suspended, REFUSED),
    "A14: the access token's time is over": (short_lived, half_its_time, REFUSED),
    "A14: the registry token's time is over": (granted, all_its_time, REFUSED),
    "A14: anonymous, the registry token's time is over": (everybody, all_its_time, REFUSED),
    "A7: the codespace stops": (codespace_of_the_link, stopped, REFUSED),
    "A7: inheritance is switched off": (codespace_of_the_link, CLOSED, MISSING),
    "A7: the link is taken away": (codespace_of_the_link, does("PATCH", "{package}", repository=None), MISSING),
    "A7: the codespace's user is let out": (codespace_of_the_link, LET_OUT, MISSING),
    "A7: the repository opens to the public": (codespace_of_the_link, OPENED, MISSING),
    "A7: the repository is taken off the list": (codespace_on_the_list, NO_CODESPACES, MISSING),
    "A12: the codespace's repository is transferred": (codespace_on_the_list, transferred, MISSING),
    "A8: inheritance is switched off": (job_of_the_link, CLOSED, MISSING),
    "A8: who asked for the job's token is let out": (job_of_the_link, LET_OUT, MISSING),
    "A8: the repository is taken off the list": (job_on_the_list, NO_JOBS, MISSING),
    "A12: the job's repository is transferred": (job_on_the_list, transferred, REFUSED),
    "A12: the job's repository is deleted": (job_of_the_link, GONE, REFUSED),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(registry: Registry) -> AsyncIterator[tuple[Counted, int]]:
    """With its port."""
    app = Counted(registry)
    async with listening(app, registry.services) as port:
        yield app, port


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def olga(registry: Registry) -> tuple[OCIClient, httpx.AsyncClient]:
    client = await registry.person("olga")
    return client, registry.berth.client(await registry.berth.token("olga", *OLGAS))


@pytest_asyncio.fixture(loop_scope="module")
async def stage(
    registry: Registry, server: tuple[Counted, int], olga: tuple[OCIClient, httpx.AsyncClient]
) -> AsyncIterator[Stage]:
    number = next(_NUMBERS)
    organization, reader = f"org-{number}", f"reader-{number}"
    await registry.organization(organization, "olga")
    registry.rest[reader] = await registry.berth.user(reader, *OLGAS)
    made = Stage(registry, *server, *olga, organization, reader)
    await made.olga.push(made.name, made.image)
    yield made
    registry.clock.ahead = timedelta()


@dataclass
class Connection:
    """One that stays open, of somebody who reads the package."""

    wire: Wire
    app: Counted
    reader: OCIClient
    asks: Sequence[tuple[str, str]]  # method and path

    async def ask(self, method: str, path: str) -> tuple[Reply, bool]:
        """The answer, and whether it was given without asking the application."""
        before = self.app.requests
        await self.wire.head(method, path, Authorization=f"Bearer {self.reader.token}")
        reply = await self.wire.reply(head=method == "HEAD")
        return reply, self.app.requests == before

    async def learn(self) -> None:
        """Every answer is remembered, and is the right one."""
        for method, path in self.asks:
            first, _ = await self.ask(method, path)
            again, at_once = await self.ask(method, path)
            assert (first.status, again.status, at_once) == (200, 200, True), f"{method} {path}"


@asynccontextmanager
async def connect(stage: Stage, reader: OCIClient, *, first: int = 0) -> AsyncIterator[Connection]:
    """`first`: which of the requests comes first."""
    await reader.log_in(f"repository:{stage.name}:pull")
    paths = (
        f"/v2/{stage.name}/manifests/latest",
        f"/v2/{stage.name}/blobs/{Digest.of(stage.image.blobs[1])}",
    )
    asks = [(method, path) for path in paths for method in ("GET", "HEAD")]
    turned = [*asks[first % len(asks) :], *asks[: first % len(asks)]]
    async with Wire.to(stage.port) as wire:
        yield Connection(wire, stage.app, reader, turned)


@pytest.mark.parametrize("case", ENDS)
async def test_a14_what_ends_the_right_ends_the_answer(stage: Stage, case: str) -> None:
    find_reader, end, wanted = ENDS[case]
    reader = await find_reader(stage)
    async with connect(stage, reader, first=list(ENDS).index(case)) as connection:
        await connection.learn()
        await end(stage)
        for method, path in (*connection.asks, connection.asks[0]):  # nor is it remembered that it was refused
            reply, at_once = await connection.ask(method, path)
            code = wanted[1] if method == "HEAD" else code_in(reply)
            assert (reply.status, code) == wanted, f"{method} {path}"
            assert not at_once


async def test_a14_every_reader_and_every_kind_of_token_has_rows() -> None:
    assert {find_reader for find_reader, _, _ in ENDS.values()} == {
        granted, member, in_a_team, through_the_repository, short_lived, everybody, codespace_of_the_link,
        codespace_on_the_list, job_of_the_link, job_on_the_list,
    }  # fmt: skip


OTHERS: dict[str, End] = {
    "another's grant": does("PUT", "{package}/collaborators/olga", role="admin"),
    "another repository": does("POST", "/orgs/{org}/repos", name="elsewhere"),
    "the same visibility": does("PATCH", "{package}", visibility="private"),
}


@pytest.mark.parametrize("case", OTHERS)
async def test_what_ends_nothing_ends_nothing(stage: Stage, case: str) -> None:
    """The control of the whole table: it is not that every change makes a refusal."""
    async with connect(stage, await granted(stage)) as connection:
        await connection.learn()
        await OTHERS[case](stage)
        await connection.learn()


async def test_what_the_answer_says_changes_with_the_package(stage: Stage) -> None:
    """A tag that moves, a tag, a manifest and a blob that go."""
    by_tag, by_digest, blob = (f"/v2/{stage.name}/{path}" for path in (
        "manifests/latest", f"manifests/{stage.image.digest}", f"blobs/{Digest.of(stage.image.blobs[1])}",
    ))  # fmt: skip
    async with connect(stage, await granted(stage)) as connection:
        await connection.learn()
        newer = image()
        await stage.olga.push(stage.name, newer)
        assert (await connection.ask("GET", by_tag))[0].body == newer.content
        assert (await connection.ask("GET", by_digest))[0].body == stage.image.content
        await connection.learn()
        for method, path, code in (
            ("DELETE", by_tag, "MANIFEST_UNKNOWN"), ("DELETE", by_digest, "MANIFEST_UNKNOWN"),
            ("DELETE", blob, "BLOB_UNKNOWN"),
        ):  # fmt: skip
            assert (await connection.ask("GET", path))[0].status == 200
            assert (await stage.olga.request(method, path)).status_code == 202
            reply, _ = await connection.ask("GET", path)
            assert (reply.status, code_in(reply)) == (404, code)


async def test_answers_are_remembered_for_who_showed_that_token(stage: Stage) -> None:
    """A stranger, somebody with half of the token, and nobody at all, on the same connection right behind the reader."""
    reader, stranger = await granted(stage), await stage.registry.person("stranger")
    await stranger.log_in(f"repository:{stage.name}:pull")
    async with connect(stage, reader) as connection:
        await connection.learn()
        for method, path in connection.asks:
            for shown in (f"Bearer {stranger.token}", f"Bearer {str(reader.token)[:-1]}", "Bearer ", "", None):
                headers = {} if shown is None else {"Authorization": shown}
                await connection.wire.head(method, path, **headers)
                reply = await connection.wire.reply(head=method == "HEAD")
                assert reply.status == (404 if shown and str(stranger.token) in shown else 401), shown
            assert (await connection.ask(method, path))[0].status == 200
