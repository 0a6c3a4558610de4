"""The access matrix of the REST API: every route, asked by every caller, answers as rest_rows.py says.

A route without a row, a row without a route, a caller without a cell, and a cell of docs/api.md that says something else fail.
"""

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.access_matrix.rest_rows import CALLERS, PERSONS, PRIVATE, PUBLIC, ROWS, TOKENS, Row
from tests.access_matrix.rest_world import CANARIES, World, make_world, matrix_key, places_of, rows_of

from berth.domain.access_token import TokenKind
from berth.rest.app import Route
from berth.rest.codespace_exec import socket_routes
from berth.rest.routes import ROUTES

pytestmark = pytest.mark.asyncio(loop_scope="module")
_API = Path(__file__).parents[2] / "docs" / "api.md"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with make_world(sqlite_template, tmp_path_factory.mktemp("matrix")) as made:
        yield made


def calls() -> Iterator[tuple[Route, str, Row, str]]:
    """A route, a key of its row, the row, a place. An alias by id is asked at one place: its handler is the same."""
    for route in ROUTES:
        for key, row in rows_of(route).items():
            for place in places_of(row)[: 1 if route.path.startswith("/repositories/") else None]:
                yield route, key, row, place


@pytest.mark.parametrize("caller", CALLERS)
async def test_every_route_answers_as_the_table_says(world: World, caller: str) -> None:
    wrong = []
    for route, key, row, place in calls():
        for answer in await world.ask(route, row, place, caller):
            expected = row.expected(place)[caller]
            if answer.cell != expected and not (expected == "ok" and answer.cell == "none"):
                wrong.append(f"{key}: {route.path}, {place}: {answer.cell}, not {expected}: {answer.text[:160]}")
            wrong += [
                f"{key}: {route.path}, {place}: tells {canary}"
                for canary, readers in CANARIES.items()
                if canary in answer.text and caller not in readers
            ]
    assert not wrong, f"{caller}:\n" + "\n".join(wrong)


async def test_what_others_must_not_see_is_there_to_be_seen(world: World) -> None:
    owner = world.clients["owner"]
    paths = ("/repos/acme/web", "/orgs/acme/teams", "/user/codespaces")
    told = "".join([(await owner.get(path)).text for path in paths])
    assert all(canary in told for canary in CANARIES)


async def test_every_route_has_a_row_and_every_row_a_route() -> None:
    missing = sorted({matrix_key(route) for route in ROUTES if not rows_of(route)})
    assert not missing, f"add to tests/access_matrix/rest_rows.py: {missing}"
    known = {matrix_key(route) for route in ROUTES}
    assert not {key for key in ROWS if key.partition(" # ")[0] not in known}, "rows without a route"


async def test_every_row_has_a_cell_for_every_caller() -> None:
    assert {kind.name.lower() for kind in TokenKind} == {"personal", "codespace", "workflow"} <= {"personal", *TOKENS}
    words = {"ok", "none", "401", "403", "404", "409"}
    for key, row in ROWS.items():
        assert len(row.who.cells.split()) == len(PERSONS), key
        assert len(row.tokens.split()) == len(row.public.split()) == len(TOKENS), key
        for place in (PRIVATE, PUBLIC) if row.who.public else (PRIVATE,):
            expected = row.expected(place)
            assert set(expected) == set(CALLERS), key
            assert set(expected.values()) <= words, key


async def test_docs_api_says_who_may_in_the_words_of_the_table() -> None:
    cells = dict(re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", _API.read_text(), re.MULTILINE))
    told = {key: row.cell for key, row in ROWS.items() if key.partition(" # ")[0] in cells}
    wrong = {key: cell for key, cell in told.items() if cells[key.partition(" # ")[0]] != cell}
    assert not wrong, "docs/api.md, second column: " + "\n".join(f"{key} | {cell}" for key, cell in wrong.items())
    sockets = {f"GET {route.path}" for route in socket_routes()}  # who gets in there: tests/rest/test_codespace_exec.py
    assert {key.partition(" # ")[0] for key in told} == set(cells) - sockets
