"""Former names on both databases: who finds a repository by one (A13), what ends one, and what happens at the same time."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import delete, event, func, select
from tests.account_world import AccountWorld, outcome

from berth.adapters.store import repository as rows
from berth.adapters.store.database import Store
from berth.adapters.store.tables import accounts as account_table
from berth.adapters.store.tables import former_names
from berth.domain.repository import Visibility
from berth.services.repository import RepositoryChange

OK = "ok"
TAKEN = "Invalid repository.name.taken"


async def rename(world: AccountWorld, repository: str, name: str) -> None:
    owner, _, before = repository.partition("/")
    await world.services.repositories.update(world.who("olga"), owner, before, RepositoryChange(name=name))


async def find(world: AccountWorld, who: str, repository: str) -> str | None:
    """The present name of what was called so."""
    found = await world.services.former_names.find(world.anyone(who), *repository.split("/"))
    return None if found is None else found.repository.full_name


async def count(world: AccountWorld) -> int:
    async with world.store.read() as connection:
        return int((await connection.execute(select(func.count()).select_from(former_names))).scalar_one())


@pytest.mark.parametrize(
    "name, readers, others",
    [
        (
            "web",
            ["olga", "wim", "rita", "adam", "rita@acme/web", "rita job acme/web read"],
            ["anonymous", "otto", "adam:public_repo", "adam:", "rita@acme/site", "rita job acme/web none"],
        ),
        ("docs", ["olga", "mia", "wim"], ["anonymous", "otto", "rita", "mia:public_repo", "mia@acme/web"]),
        ("site", ["anonymous", "otto", "olga", "otto:", "adam@acme/web"], []),
    ],
)
async def test_a13_who_may_read_it_finds_it(
    accounts: AccountWorld, name: str, readers: list[str], others: list[str]
) -> None:
    await rename(accounts, f"acme/{name}", "Renamed")
    for written in (name, name.upper()):
        found = {who: await find(accounts, who, f"ACME/{written}") for who in (*readers, *others)}
        assert found == {**dict.fromkeys(readers, "acme/Renamed"), **dict.fromkeys(others)}
    assert await find(accounts, "olga", "acme/renamed") is None  # that is its name
    assert await find(accounts, "olga", f"otto/{name}") is None


@contextmanager
def statements(store: Store) -> Iterator[list[tuple[str, Any]]]:
    sent: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        sent.append((statement, parameters))

    event.listen(store.engine.sync_engine, "before_cursor_execute", note)
    yield sent
    event.remove(store.engine.sync_engine, "before_cursor_execute", note)


async def test_a13_hidden_and_missing_take_the_same_queries(accounts: AccountWorld) -> None:
    await rename(accounts, "acme/web", "Renamed")
    seen = []
    for name in ("web", "xyz"):
        with statements(accounts.store) as sent:
            assert await find(accounts, "otto", f"acme/{name}") is None
        seen.append([statement for statement, _parameters in sent if statement.startswith("SELECT")])
    assert seen[0] == seen[1]
    assert len(seen[0]) == 1


async def test_a_name_goes_with_its_repository_and_with_the_account(accounts: AccountWorld) -> None:
    await rename(accounts, "acme/web", "web2")
    await rename(accounts, "acme/site", "site2")
    assert await count(accounts) == 2
    await accounts.services.repositories.delete(accounts.who("olga"), "acme", "web2")
    assert await find(accounts, "olga", "acme/web") is None
    moved = await accounts.services.repository_transfers.transfer(
        accounts.who("olga"), "acme", "site2", "olga", "site3"
    )
    assert [await find(accounts, "olga", f"acme/{name}") for name in ("site", "site2")] == ["olga/site3"] * 2
    async with accounts.store.begin() as connection:
        await connection.execute(delete(account_table).where(account_table.c.id == accounts.people.accounts["acme"]))
    assert await find(accounts, "olga", "acme/site") is None
    assert await count(accounts) == 0
    async with accounts.store.read() as connection:
        assert await rows.find_repository_by_id(connection, moved.repository.id) is not None


async def test_former_names_are_under_the_login_that_their_owner_has_now(accounts: AccountWorld) -> None:
    await rename(accounts, "acme/site", "site2")
    async with accounts.store.begin() as connection:
        renamed = account_table.update().where(account_table.c.id == accounts.people.accounts["acme"])
        await connection.execute(renamed.values(login="Firm", login_key="firm"))
    assert await find(accounts, "anonymous", "firm/site") == "Firm/site2"
    assert await find(accounts, "anonymous", "acme/site") is None


async def test_a_rename_that_fails_keeps_nothing(accounts: AccountWorld) -> None:
    change = RepositoryChange(name="Docs")
    assert await outcome(accounts.services.repositories.update(accounts.who("olga"), "acme", "web", change)) == TAKEN
    assert await count(accounts) == 0


async def test_of_two_renames_to_one_name_at_once_one_wins_and_only_it_moved(accounts: AccountWorld) -> None:
    service, olga = accounts.services.repositories, accounts.who("olga")
    for turn in range(5):
        names = ("web", "site", "docs")
        change = RepositoryChange(name=f"only{turn}")
        got = await asyncio.gather(*(outcome(service.update(olga, "acme", name, change)) for name in names))
        assert sorted(got) == [TAKEN, TAKEN, OK]
        won = names[got.index(OK)]
        assert await find(accounts, "olga", f"acme/{won}") == f"acme/only{turn}"
        assert await count(accounts) == 1
        await rename(accounts, f"acme/only{turn}", won)
        async with accounts.store.begin() as connection:
            await connection.execute(delete(former_names))


@pytest.mark.parametrize("taker", ["creation", "rename", "transfer"])
async def test_who_takes_the_name_while_the_rename_is_under_way_has_it_for_himself(
    accounts: AccountWorld, taker: str
) -> None:
    """It waits for the rename to end, which it does not see before; then no former name is left."""
    services, olga = accounts.services, accounts.who("olga")
    await services.repositories.create(olga, "olga", RepositoryChange(name="mine"))
    calls = {
        "creation": lambda: services.repositories.create(olga, "acme", RepositoryChange(name="WEB")),
        "rename": lambda: services.repositories.update(olga, "acme", "site", RepositoryChange(name="WEB")),
        "transfer": lambda: services.repository_transfers.transfer(olga, "olga", "mine", "acme", "WEB"),
    }
    web = accounts.people.repositories["acme/web"]
    async with accounts.store.begin() as connection:
        await rows.lock_repository(connection, web)
        await rows.update_repository(connection, web, {"name": "moved"})
        waiting = asyncio.create_task(outcome(calls[taker]()))
        done, _ = await asyncio.wait({waiting}, timeout=0.3)
        assert not done
    assert await waiting == OK
    assert await find(accounts, "olga", "acme/web") is None
    view = await services.repositories.view(olga, "acme", "web")
    assert (view.repository.name, view.repository.id == web) == ("WEB", False)


async def test_two_renames_of_one_repository_at_once_leave_both_names(accounts: AccountWorld) -> None:
    service, olga = accounts.services.repositories, accounts.who("olga")
    calls = [service.update(olga, "acme", "web", RepositoryChange(name=name)) for name in ("one", "two")]
    got = await asyncio.gather(*(outcome(call) for call in calls))
    assert sorted(got) == ["NotFound repository.not_found", OK]  # the edge sends that one on
    now = ("one", "two")[got.index(OK)]
    assert await find(accounts, "olga", "acme/web") == f"acme/{now}"


class Model:
    """What leads where, said the simple way."""

    def __init__(self) -> None:
        self.present: dict[tuple[str, str], int] = {}
        self.former: dict[tuple[str, str], int] = {}

    def take(self, number: int, place: tuple[str, str]) -> bool:
        """False: another one has the name."""
        if self.present.get(place, number) != number:
            return False
        for before in [known for known, held in self.present.items() if held == number]:
            del self.present[before]
            self.former[before] = number
        self.present[place] = number
        self.former.pop(place, None)
        return True

    def remove(self, number: int) -> None:
        for known in (self.present, self.former):
            for place in [place for place, held in known.items() if held == number]:
                del known[place]


@pytest.mark.parametrize("seed", range(4))
async def test_any_sequence_of_changes_leads_where_the_model_says(accounts: AccountWorld, seed: int) -> None:
    chance, model, services, olga = random.Random(seed), Model(), accounts.services, accounts.who("olga")
    places = [(owner, name) for owner in ("acme", "olga") for name in "abcd"]
    for _ in range(60):
        place = owner, name = chance.choice(places)
        written = chance.choice([name, name.upper()])
        move = chance.choice(["create", "move", "move", "move", "delete"])
        if move == "create" or not model.present:
            wanted = RepositoryChange(name=written, visibility=Visibility.PRIVATE)
            if place in model.present:
                assert await outcome(services.repositories.create(olga, owner, wanted)) == TAKEN
                continue
            made = (await services.repositories.create(olga, owner, wanted)).repository
            assert model.take(made.id, place)
            continue
        (old_owner, old_name), number = chance.choice(sorted(model.present.items()))
        if move == "delete":
            await services.repositories.delete(olga, old_owner, old_name)
            model.remove(number)
        elif old_owner == owner:
            got = await outcome(services.repositories.update(olga, owner, old_name, RepositoryChange(name=written)))
            assert got == (OK if model.take(number, place) else TAKEN)
        else:
            got = await outcome(services.repository_transfers.transfer(olga, old_owner, old_name, owner, written))
            assert got == (OK if model.take(number, place) else TAKEN)
        await check(accounts, model)


async def check(world: AccountWorld, model: Model) -> None:
    ids = world.people.accounts
    async with world.store.read() as connection:
        held = (await connection.execute(select(former_names))).all()
        found = {(("acme" if row.owner_id == ids["acme"] else "olga"), row.name_key): row.repository_id for row in held}
    assert found == model.former
