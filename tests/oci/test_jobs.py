"""A8 and A12 on the wire: which packages a job pushes to, what ends that while it pushes, and what is written down of it."""

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import select
from tests.oci.images import fresh, image
from tests.oci.registry_api import OCIClient, Registry, code_of, outcome

from berth.adapters.store.tables import access_tokens
from berth.domain.image_reference import Digest
from berth.domain.repository import Visibility

pytestmark = pytest.mark.asyncio(loop_scope="module")
SCOPES = ("repo", "delete_repo", "user", "admin:org", "write:packages", "delete:packages")
_NUMBERS = itertools.count(1)


@dataclass
class Shop:
    """An organization of olga's with two private repositories, `code` and `other`; dev, who is no member, writes to both."""

    registry: Registry
    olga: OCIClient
    rest: httpx.AsyncClient  # olga's
    login: str
    code_id: int

    @property
    def package(self) -> str:
        return f"/orgs/{self.login}/packages/container/app"

    @property
    def name(self) -> str:
        return f"{self.login}/app"

    async def call(self, method: str, path: str, **body: object) -> httpx.Response:
        answer = await self.rest.request(method, path, json=body or None)
        assert answer.status_code < 300, f"{method} {path}: {answer.text}"
        return answer

    async def job(self, repository: str = "code", packages: str = "write") -> OCIClient:
        """Of a workflow that dev started."""
        return await self.registry.workflow("dev", f"{self.login}/{repository}", packages)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def olga(registry: Registry) -> tuple[OCIClient, httpx.AsyncClient]:
    await registry.person("dev")
    client = await registry.person("olga")
    return client, registry.berth.client(await registry.berth.token("olga", *SCOPES))


@pytest_asyncio.fixture(loop_scope="module")
async def shop(registry: Registry, olga: tuple[OCIClient, httpx.AsyncClient]) -> Shop:
    login = f"shop-{next(_NUMBERS)}"
    await registry.organization(login, "olga")
    ids = [await registry.repository("olga", f"{login}/{name}") for name in ("code", "other")]
    made = Shop(registry, *olga, login, ids[0])
    for name in ("code", "other"):
        await made.call("PUT", f"/repos/{login}/{name}/collaborators/dev", permission="push")
    return made


Step = Callable[[Shop], Awaitable[object]]


def does(method: str, path: str, **body: object) -> Step:
    """A request of olga's; `{package}`, `{login}`, and `{code}`, the repository's id, are filled in."""

    async def step(shop: Shop) -> None:
        filled = {
            key: value.format(login=shop.login) if isinstance(value, str) else value for key, value in body.items()
        }
        await shop.call(method, path.format(package=shop.package, login=shop.login, code=shop.code_id), **filled)

    return step


async def nothing(shop: Shop) -> None:
    pass


async def relink(shop: Shop) -> None:
    await shop.call("PATCH", shop.package, repository=f"{shop.login}/code")


async def link(shop: Shop) -> None:
    await shop.call("PATCH", shop.package, repository=f"{shop.login}/code", inherit_access=True)


async def make_admin(shop: Shop) -> None:
    """A job has no more than its repository has, whoever started it."""
    await shop.call("PUT", f"/orgs/{shop.login}/memberships/dev", role="member")
    await shop.call("PUT", f"{shop.package}/collaborators/dev", role="admin")


OK, HIDDEN, DENIED = (202, None), (404, "NAME_UNKNOWN"), (403, "DENIED")
LIST = "{package}/actions/repositories/{code}"
# What is done to a package of `other`, and what a job of `code` may do then: pull, push, delete.
OF_ANOTHER: dict[str, tuple[Step, tuple[int, str | None], tuple[int, str | None], tuple[int, str | None]]] = {
    "nothing": (nothing, HIDDEN, HIDDEN, HIDDEN),
    "listed for read": (does("PUT", LIST, role="read"), OK, DENIED, DENIED),
    "listed for write": (does("PUT", LIST, role="write"), OK, OK, DENIED),
    "listed for admin": (does("PUT", LIST, role="admin"), OK, OK, OK),
    "on the Codespaces list": (does("PUT", "{package}/codespaces/repositories/{code}"), HIDDEN, HIDDEN, HIDDEN),
    "dev is an admin of it himself": (make_admin, HIDDEN, HIDDEN, HIDDEN),
    "internal": (does("PATCH", "{package}", visibility="internal"), HIDDEN, HIDDEN, HIDDEN),
    "public": (does("PATCH", "{package}", visibility="public"), OK, DENIED, DENIED),
    "linked to it, inheritance off": (relink, HIDDEN, HIDDEN, HIDDEN),
    "linked to it, inheritance on": (link, OK, OK, DENIED),
}


def seen(answer: httpx.Response) -> tuple[int, str | None]:
    """A good answer of any kind is OK."""
    return OK if answer.status_code < 300 else outcome(answer)


@pytest.mark.parametrize("case", OF_ANOTHER)
async def test_a8_what_a_job_does_with_a_package_of_another_repository(shop: Shop, case: str) -> None:
    step, *wanted = OF_ANOTHER[case]
    first, second = image(), image()
    await (await shop.job("other")).push(shop.name, first, "first")
    await step(shop)
    job = await shop.job()
    await job.log_in(f"repository:{shop.name}:pull,push,delete")
    before = await shop.registry.audit(shop.name)
    pulled = await job.once("GET", f"/v2/{shop.name}/manifests/first")
    blob, config = (Digest.of(content) for content in reversed(second.blobs))
    pushed = [
        seen(await job.once("POST", f"/v2/{shop.name}/blobs/uploads/?digest={blob}", content=second.blobs[1])),
        seen(await job.once("POST", f"/v2/{shop.name}/blobs/uploads/?digest={config}", content=second.blobs[0])),
        seen(await job.once("PUT", f"/v2/{shop.name}/manifests/second", content=second.content)),
    ]
    deleted = await job.once("DELETE", f"/v2/{shop.name}/manifests/{first.digest}")
    assert (seen(pulled), set(pushed), seen(deleted)) == (wanted[0], {wanted[1]}, wanted[2])
    tags = (await shop.olga.get(f"/v2/{shop.name}/tags/list")).json()["tags"]
    assert tags == [*(["first"] if wanted[2] != OK else []), *(["second"] if wanted[1] == OK else [])]
    rows = [("package.version_delete", "dev", "")] if wanted[2] == OK else []
    assert (await shop.registry.audit(shop.name))[len(before) :] == rows, "refusals leave nothing"


async def test_a8_what_a_job_makes_is_written_down(shop: Shop) -> None:
    """Another job of the same repository goes on with it; the person who started it has no grant from it."""
    job, next_job = await shop.job(), await shop.job()
    await job.push(shop.name, image(), "1")
    await next_job.push(shop.name, image(), "2")
    made = await shop.registry.package(shop.name)
    assert (made.repository_id, made.inherits_access, made.visibility) == (shop.code_id, True, Visibility.PRIVATE)
    assert await shop.registry.audit(shop.name) == [
        ("package.create", "dev", "private package.create.workflow"),
        ("package.publish", "dev", ""),
    ]
    assert (await shop.call("GET", f"{shop.package}/collaborators")).json() == []


@pytest.mark.parametrize("owner", ["shop-of-others", "dev", "olga", "nobody"])
async def test_a8_a_job_makes_nothing_under_another_owner(shop: Shop, owner: str) -> None:
    """Not even under the login of who started it."""
    name, one = f"{owner}/app", image()
    if owner == "shop-of-others":
        await shop.registry.organization(owner, "olga")
    job = await shop.job()
    await job.log_in(f"repository:{name}:pull,push")
    for answer in (
        await job.once("POST", f"/v2/{name}/blobs/uploads/"),
        await job.once("PUT", f"/v2/{name}/manifests/1", content=one.content),
    ):
        assert outcome(answer) == HIDDEN
    assert await shop.registry.audit(name) == []


async def test_a8_a_job_that_may_only_read_makes_nothing(shop: Shop) -> None:
    job = await shop.job(packages="read")
    await job.log_in(f"repository:{shop.name}:pull,push")
    answer = await job.once("POST", f"/v2/{shop.name}/blobs/uploads/")
    assert outcome(answer) == DENIED
    assert "packages: write" in answer.text
    assert await shop.registry.audit(shop.name) == []


async def time_is_over(shop: Shop) -> None:
    """Of dev's newest token."""
    async with shop.registry.store.read() as connection:
        newest = select(access_tokens.c.id).where(access_tokens.c.repository_id == shop.code_id)
        token_id = (await connection.execute(newest.order_by(access_tokens.c.id.desc()).limit(1))).scalar_one()
    await shop.registry.expire(token_id)


LET_OUT = does("DELETE", "/repos/{login}/code/collaborators/dev")
READS_ONLY = does("PUT", "/repos/{login}/code/collaborators/dev", permission="pull")
VOID = (401, "UNAUTHORIZED")
ENDS: dict[str, tuple[Step, tuple[int, str]]] = {
    "the token's hour is over": (time_is_over, VOID),
    "who started it is let out": (LET_OUT, HIDDEN),
    "who started it may only read": (READS_ONLY, HIDDEN),
    "A12: the repository is transferred": (
        does("POST", "/repos/{login}/code/transfer", new_owner="olga", new_name="of-{login}"), VOID,
    ),
    "A12: the repository is deleted": (does("DELETE", "/repos/{login}/code"), VOID),
}  # fmt: skip


@pytest.mark.parametrize("case", ENDS)
async def test_a8_what_ends_a_job_ends_it_in_the_middle_of_a_push(shop: Shop, case: str) -> None:
    step, wanted = ENDS[case]
    job, one, new = await shop.job(), image(), f"{shop.login}/new"
    await job.push(shop.name, image(), "before")
    await job.log_in(f"repository:{shop.name}:pull,push repository:{new}:pull,push")
    location = (await job.once("POST", f"/v2/{shop.name}/blobs/uploads/")).headers["Location"]
    assert (await job.once("PATCH", location, content=b"half")).status_code == 202, "so far it works"
    await step(shop)
    for method, path, content in (
        ("PATCH", location, b"more"),
        ("PUT", f"{location}?digest={Digest.of(b'halfmore')}", b"more"),
        ("GET", location, b""),
        *(("POST", f"/v2/{name}/blobs/uploads/", b"") for name in (shop.name, new)),
        *(("PUT", f"/v2/{name}/manifests/after", one.content) for name in (shop.name, new)),
    ):
        assert outcome(await job.once(method, path, content=content)) == wanted, f"{method} {path}"
    assert (await job.ask_token(f"repository:{new}:push")).status_code == (401 if wanted == VOID else 200)
    assert (await shop.olga.get(f"/v2/{shop.name}/tags/list")).json()["tags"] == ["before"]
    assert await shop.registry.audit(new) == []


async def test_a12_a_repository_of_the_same_name_inherits_no_package(shop: Shop) -> None:
    """Deleted, or transferred, and made anew: another one."""
    await (await shop.job()).push(shop.name, image(), "1")
    await shop.call("DELETE", f"/repos/{shop.login}/code")
    assert await shop.registry.repository("olga", f"{shop.login}/code") != shop.code_id
    await shop.call("PUT", f"/repos/{shop.login}/code/collaborators/dev", permission="push")
    job = await shop.job()
    assert outcome(await job.get(f"/v2/{shop.name}/manifests/1")) == HIDDEN
    assert outcome(await job.post(f"/v2/{shop.name}/blobs/uploads/")) == HIDDEN
    await job.push(f"{shop.login}/new", image())
    assert (await shop.olga.get(f"/v2/{shop.name}/manifests/1")).status_code == 200


async def test_a12_a_package_of_the_same_name_takes_nothing_over(shop: Shop) -> None:
    """Neither the link and the lists, nor a token of the job that made the first, nor its uploads and blobs."""
    content = fresh()
    job = await shop.job()
    await job.push(shop.name, image(content), "1")
    await shop.call("PUT", f"{shop.package}/actions/repositories/{shop.code_id}", role="admin")
    await shop.call("PUT", f"{shop.package}/codespaces/repositories/{shop.code_id}")
    await job.log_in(f"repository:{shop.name}:pull,push,delete")
    location = (await job.once("POST", f"/v2/{shop.name}/blobs/uploads/")).headers["Location"]
    await shop.call("DELETE", shop.package)
    await shop.olga.push(shop.name, image(), "1")
    made = await shop.registry.package(shop.name)
    assert (made.repository_id, made.inherits_access) == (None, False)
    for each in ("actions/repositories", "codespaces/repositories"):
        assert (await shop.call("GET", f"{shop.package}/{each}")).json() == {"total_count": 0, "repositories": []}
    assert [each["login"] for each in (await shop.call("GET", f"{shop.package}/collaborators")).json()] == ["olga"]
    blob = f"/v2/{shop.name}/blobs/{Digest.of(content)}"
    for method, path in (("GET", f"/v2/{shop.name}/manifests/1"), ("GET", blob), ("PATCH", location), ("DELETE", blob)):
        assert outcome(await job.once(method, path)) in (HIDDEN, DENIED), f"{method} {path}"
    assert (await job.ask_token(f"repository:{shop.name}:pull")).status_code == 200
    assert code_of(await shop.olga.get(blob)) == "BLOB_UNKNOWN"
    assert code_of(await shop.olga.patch(location)) == "BLOB_UPLOAD_UNKNOWN"
