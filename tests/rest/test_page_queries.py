"""Every list of the route table: a page costs the same number of statements, whatever it and its table hold; and it is bounded.

What a list is says the description: an array, or an object with a `total_count`. A list without a row fails.
"""

import re
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import chain
from typing import Any

import httpx
import pytest
import pytest_asyncio
from starlette.responses import Response
from tests.adapters.postgres import Cluster
from tests.counting import counting
from tests.rest.berth_api import make_berth
from tests.rest.grown import MORE, grow, make_alike
from tests.rest.schema import description
from tests.rest.seeded import Seeded, make_seeded

from berth.adapters.store.database import Store
from berth.rest.app import Route, make_rest_app
from berth.rest.call import Call
from berth.rest.openapi import path_of
from berth.rest.routes import ROUTES
from berth.rest.views import simple_user

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Kind(Enum):
    """PAGED: takes `page` and `per_page`. WHOLE: has everything in one answer. FIXED: as long as it ever was."""

    PAGED = auto()
    WHOLE = auto()
    FIXED = auto()


@dataclass(frozen=True, kw_only=True)
class Row:
    """How a list is asked for, beside what the path says."""

    query: str = ""
    values: dict[str, str] = field(default_factory=dict)
    kind: Kind = Kind.PAGED


_BASES = ("/orgs/{org}", "/users/{username}", "/user")
_PACKAGE = "packages/container/{package_name}"
_SECRETS = ("/user/codespaces/secrets", "/orgs/{org}/codespaces/secrets", "/repos/{owner}/{repo}/codespaces/secrets")
ROWS: dict[str, Row] = {
    "/versions": Row(kind=Kind.FIXED),
    "/user/orgs": Row(),
    "/users": Row(),
    "/user/tokens": Row(),
    "/user/repos": Row(),
    "/user/audit-log": Row(),
    "/user/codespaces": Row(),
    "/user/codespaces/{name}/machines": Row(kind=Kind.FIXED),
    "/user/codespaces/{name}/logs": Row(kind=Kind.WHOLE),
    "/users/{username}/repos": Row(values={"username": "octo"}),
    "/search/repositories": Row(query="q=acme/"),
    "/orgs/{org}/members": Row(),
    "/orgs/{org}/members/{username}/codespaces": Row(values={"username": "octo"}),
    "/orgs/{org}/teams": Row(),
    "/orgs/{org}/teams/{team_slug}/members": Row(),
    "/orgs/{org}/teams/{team_slug}/repos": Row(),
    "/orgs/{org}/repos": Row(),
    "/orgs/{org}/codespaces": Row(),
    "/orgs/{org}/codespaces/policies": Row(kind=Kind.WHOLE),
    "/orgs/{org}/audit-log": Row(),
    "/repos/{owner}/{repo}/collaborators": Row(),
    "/repos/{owner}/{repo}/teams": Row(),
    "/repos/{owner}/{repo}/forks": Row(),
    "/repos/{owner}/{repo}/pulls": Row(),
    "/repos/{owner}/{repo}/contents": Row(kind=Kind.WHOLE),
    "/repos/{owner}/{repo}/contents/{path:path}": Row(values={"path": ".devcontainer"}, kind=Kind.WHOLE),
    "/repos/{owner}/{repo}/codespaces": Row(),
    "/repos/{owner}/{repo}/codespaces/devcontainers": Row(),
    "/repos/{owner}/{repo}/codespaces/machines": Row(kind=Kind.FIXED),
    "/repos/{owner}/{repo}/codespaces/registries": Row(kind=Kind.WHOLE),
    "/repos/{owner}/{repo}/codespaces/prebuilds": Row(),
    "/repos/{owner}/{repo}/codespaces/prebuilds/{prebuild_id}/logs": Row(kind=Kind.WHOLE),
    **dict.fromkeys(_SECRETS, Row()),
    **{f"{path}/{{secret_name}}/repositories": Row() for path in _SECRETS[:2]},
    **{f"{base}/packages": Row(query="package_type=container") for base in _BASES},
    **{f"{base}/docker/conflicts": Row(kind=Kind.FIXED) for base in _BASES},
    **{
        f"{base}/{_PACKAGE}/{rest}": Row()
        for base in _BASES
        for rest in ("versions", "collaborators", "codespaces/repositories", "actions/repositories")
    },
    f"/orgs/{{org}}/{_PACKAGE}/teams": Row(),
    **{f"{base}/{_PACKAGE}/teams": Row(kind=Kind.FIXED) for base in _BASES[1:]},  # a user has no teams
}


def row_key(route: Route) -> str:
    """An alias by id has the row of its name."""
    return route.path.replace("/repositories/{repository_number}", "/repos/{owner}/{repo}", 1)


def _resolved(node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        found: Any = description()
        for key in node["$ref"].split("/")[1:]:
            found = found[key]
        node = found
    return node


def _is_list(schema: dict[str, Any]) -> bool:
    schema = _resolved(schema)
    one_of = (*schema.get("oneOf", ()), *schema.get("anyOf", ()))
    return (
        schema.get("type") == "array"
        or "total_count" in schema.get("properties", {})
        or any(_is_list(each) for each in one_of)
    )


def is_list(route: Route) -> bool:
    if route.method != "GET":
        return False
    answer = _resolved(description()["paths"][path_of(route)]["get"]["responses"].get("200", {}))
    return any(_is_list(each.get("schema", {})) for each in answer.get("content", {}).values())


LISTS = tuple(route for route in ROUTES if is_list(route))
PAGED = tuple(
    route
    for route in LISTS
    if row_key(route) == route.path and ROWS.get(route.path, Row()).kind is Kind.PAGED  # an alias's handler is the same
)


async def test_every_list_has_a_row_and_every_row_a_list() -> None:
    assert {row_key(route) for route in LISTS} == set(ROWS)


def items_of(answer: httpx.Response) -> list[Any]:
    body = answer.json()
    return body if isinstance(body, list) else next(value for value in body.values() if isinstance(value, list))


def links_of(answer: httpx.Response) -> dict[str, str]:
    return {name: url for url, name in re.findall(r'<([^>]*)>; rel="(\w+)"', answer.headers.get("link", ""))}


async def ask(client: httpx.AsyncClient, url: str) -> tuple[httpx.Response, list[str]]:
    with counting() as sent:
        answer = await client.get(url)
    assert answer.status_code == 200, f"{url}: {answer.text[:300]}"
    return answer, sent


def url_of(seeded: Seeded, route: Route, query: str = "") -> str:
    row = ROWS[row_key(route)]
    return f"{seeded.fill(route.path, **row.values)}?{'&'.join(filter(None, (row.query, query)))}"


async def check_pages(client: httpx.AsyncClient, url: str, few: int) -> None:
    """First, middle and last pages of one item and of 30, of a list that has more: `few` statements each."""
    for per_page in (1, 30):
        first, sent = await ask(client, f"{url}&per_page={per_page}")
        assert len(items_of(first)) == per_page, url
        pages = {"first": sent}
        for name in ("next", "last"):
            answer, pages[name] = await ask(client, links_of(first)[name])
            assert items_of(answer), f"{name} of {url}"
        for name, statements in pages.items():
            told = "\n".join(statements)
            assert len(statements) == few, f"{url}, {name} page of {per_page}: {len(statements)}, not {few}:\n{told}"


@dataclass(frozen=True)
class World:
    """Lists of more than a page; `few` are the statements and the items of each, by path, when they were short."""

    seeded: Seeded
    few: dict[str, tuple[int, int]]


@pytest_asyncio.fixture(
    scope="module", loop_scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
)
async def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("lists")
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), folder / "berth.db")
        store = Store(f"sqlite:///{folder}/berth.db")
    else:
        cluster: Cluster = request.getfixturevalue("postgres")
        store = Store(cluster.create_database())
    async with make_berth(folder, store) as berth:
        seeded = await make_seeded(berth)
        await make_alike(seeded)
        few = {}
        for route in LISTS:
            answer, sent = await ask(seeded.octo, url_of(seeded, route))
            few[route.path] = (len(sent), len(items_of(answer)))
        await grow(seeded)
        yield World(seeded, few)
    await store.close()


async def test_every_page_takes_the_same_number_of_statements(world: World) -> None:
    for route in LISTS:
        url, kind = url_of(world.seeded, route), ROWS[row_key(route)].kind
        few, items = world.few[route.path]
        if kind is Kind.PAGED:
            assert 0 < items < MORE, url
            await check_pages(world.seeded.octo, url, few)
        else:
            answer, sent = await ask(world.seeded.octo, url)
            assert (len(items_of(answer)) > items) == (kind is Kind.WHOLE), url
            assert len(sent) == few, f"{url}: {len(sent)}, not {few}"


async def test_a_statement_per_item_is_found(world: World) -> None:
    """The positive control of the test above: a list that asks once more for each of its items."""

    async def list_slowly(call: Call) -> Response:
        page = call.page()
        found, total = await call.services.accounts.list_users(call.user, limit=page.limit, offset=page.offset)
        views = [await call.services.accounts.get(call.user, user.login) for user in found]
        return call.list_response([simple_user(call.links, view.account) for view in views], total, page)

    slow = make_rest_app(world.seeded.berth.services, (Route("GET", "/users", list_slowly),), None)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=slow),
        base_url="http://api.berth.test",
        headers={"Authorization": world.seeded.octo.headers["authorization"]},
    ) as client:
        _, sent = await ask(client, "/users?per_page=1")
        with pytest.raises(AssertionError, match="page of 30"):
            await check_pages(client, "/users?", len(sent))


async def walk(client: httpx.AsyncClient, url: str) -> list[httpx.Response]:
    """All pages from this one on."""
    found = []
    while url:
        found.append((await ask(client, url))[0])
        url = links_of(found[-1]).get("next", "")
    return found


async def test_every_list_of_several_pages_links_them(world: World) -> None:
    """GITHUB_API section 2.5 of the references: whoever follows `next` sees each item once."""
    for route in PAGED:
        pages = [await walk(world.seeded.octo, url_of(world.seeded, route, f"per_page={size}")) for size in (15, 100)]
        small, large = [list(chain.from_iterable(map(items_of, found))) for found in pages]
        assert len(small) >= MORE, route.path
        assert small == large, route.path
        assert ("link" in pages[1][0].headers) == (len(large) > 100), route.path


@pytest.mark.parametrize(
    ("query", "size"),
    [
        ("per_page=0", 1),
        ("per_page=9223372036854775808", 100),
        ("per_page=x&page=-1", 30),
        ("page=9223372036854775808", 0),
    ],
)
async def test_what_is_outside_is_clamped(world: World, query: str, size: int) -> None:
    """GITHUB_API section 2.5 of the references. More texts that are no number of a page: test_protocol.py."""
    for route in PAGED:
        answer = await world.seeded.octo.get(url_of(world.seeded, route, query))
        where = f"{answer.url}: {answer.text[:300]}"
        if not size and route.path.endswith("/packages"):
            assert (answer.status_code, answer.json()["code"]) == (400, "package.page"), where
            continue
        assert answer.status_code == 200, where
        there = len(items_of(answer))
        assert there == size if size < 100 else MORE <= there <= 100, where
        relations = {"first", "prev"} if not size else {"next", "last"} if there == size else set()
        assert links_of(answer).keys() == relations, where
