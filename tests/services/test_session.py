"""What of sessions and passwords no page shows: costs that changed, a database that cannot be written, the log, both databases."""

import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from tests.account_world import AccountWorld, outcome, outcomes

from berth.adapters.log_lines import LineFormatter
from berth.adapters.store import password as password_rows
from berth.adapters.store.session_tables import account_passwords, sessions, sign_in_attempts
from berth.domain.problem import Problem, Unauthenticated, UpstreamFailed
from berth.domain.secret_text import SecretText
from berth.domain.session import Visitor
from berth.domain.sign_in import MOST_PER_ACCOUNT, MOST_PER_ADDRESS
from berth.domain.workflow_permissions import parse_permissions
from berth.services.session import NewSession

VISITOR = Visitor(address="192.0.2.1", user_agent="Mozilla/5.0")
PASSWORD = SecretText("a long enough sentence")


async def invited(accounts: AccountWorld, login: str = "mia") -> NewSession:
    passwords = accounts.services.passwords
    made = await passwords.invite(accounts.site_admin(), login)
    return await passwords.accept(made.value, PASSWORD, VISITOR)


async def test_a_password_is_hashed_anew_when_costs_have_changed(accounts: AccountWorld) -> None:
    await invited(accounts)
    weak = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD.reveal())
    async with accounts.store.begin() as connection:
        await connection.execute(account_passwords.update().values(hash=weak))
    with pytest.raises(Unauthenticated):
        await accounts.services.sessions.sign_in("mia", SecretText("wrong"), VISITOR)
    await accounts.services.sessions.sign_in("mia", PASSWORD, VISITOR)
    async with accounts.store.read() as connection:
        found = await password_rows.find_user_and_hash(connection, "mia")
    assert found is not None
    assert "m=19456" in (found[1] or "")
    await accounts.services.sessions.sign_in("mia", PASSWORD, VISITOR)


async def test_a_page_is_shown_although_its_session_cannot_be_touched(
    accounts: AccountWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await invited(accounts)
    earlier = accounts.services.sessions._clock.now() - timedelta(minutes=2)
    async with accounts.store.begin() as connection:
        await connection.execute(sessions.update().values(last_seen_at=earlier))

    def fail() -> None:
        raise UpstreamFailed("It does not answer.", code="store.unavailable")

    monkeypatch.setattr(accounts.store, "begin", fail)
    known = await accounts.services.sessions.find(made.value, VISITOR)
    assert known is not None
    monkeypatch.undo()
    again = await accounts.services.sessions.find(made.value, VISITOR)
    assert again is not None
    assert again.session.last_seen_at == earlier.replace(microsecond=0)
    touched = await accounts.services.sessions.find_by_id(made.session.id)
    assert touched is not None
    assert touched.session.last_seen_at > earlier


async def test_a_session_is_found_by_its_id_as_long_as_it_holds(accounts: AccountWorld) -> None:
    made = await invited(accounts)
    service = accounts.services.sessions
    found = await service.find_by_id(made.session.id)
    assert found is not None
    assert found.subject == made.subject
    await service.sign_out(found)
    await service.sign_out(found)  # may be repeated
    assert await service.find(SecretText("not a value"), VISITOR) is None
    assert await service.find_by_id(made.session.id) is None


async def test_attack_signing_in_for_ever_keeps_a_bounded_number_of_sessions(
    accounts: AccountWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Policy 4. What is used, and what others have, stays."""
    monkeypatch.setattr("berth.services.session.MAX_SESSIONS", 3)
    service, others = accounts.services.sessions, await invited(accounts, "olga")
    first = await invited(accounts)
    unused = await service.sign_in("mia", PASSWORD, VISITOR)
    async with accounts.store.begin() as connection:
        earlier = service._clock.now() - timedelta(minutes=2)
        await connection.execute(sessions.update().values(last_seen_at=earlier))
    assert await service.find(first.value, VISITOR) is not None  # used
    newer = [await service.sign_in("mia", PASSWORD, VISITOR) for _ in range(2)]
    held = [await service.find(each.value, VISITOR) is not None for each in (first, unused, *newer, others)]
    assert held == [True, False, True, True, True]
    assert (await service.list_own(first.subject, limit=9, offset=0))[1] == 3


async def test_sessions_are_no_business_of_a_codespace(accounts: AccountWorld) -> None:
    service, inside = accounts.services.sessions, accounts.who("mia@acme/web")
    made = await invited(accounts)
    calls = {
        "list": service.list_own(inside, limit=1, offset=0),
        "end": service.end_own(inside, made.session.id),
        "end all": service.end_all_own(inside),
    }
    assert set((await outcomes(calls)).values()) == {"Denied token.codespace"}
    assert await service.find(made.value, VISITOR) is not None


async def test_what_is_made_in_a_session_outlasts_it(accounts: AccountWorld) -> None:
    """services/access_token.py policy 1; workflow tokens likewise."""
    made = await invited(accounts, "olga")
    token = await accounts.services.access_tokens.create_own(made.subject, "laptop", ["repo"], None)
    assert token.token.expires_at is None
    job = await accounts.services.workflow_tokens.create(
        made.subject, "acme", "web", parse_permissions({"contents": "read"})
    )
    assert job is not None


async def test_a_visitor_without_an_address_is_not_counted(accounts: AccountWorld) -> None:
    await invited(accounts)
    nowhere = Visitor(address="", user_agent="")
    made = await accounts.services.sessions.sign_in("mia", PASSWORD, nowhere)
    assert made.session.visitor == nowhere


# What is logged of who is refused (policy 5)

NOWHERE = Visitor(address="", user_agent="")
HOSTILE = "octo\n2026-01-01T00:00:00.000Z warning session.refused address=192.0.2.66 \x1b[31m"


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """As the server writes them, without their time."""
    return [LineFormatter().format(record).partition(" ")[2] for record in caplog.records]


async def try_in(accounts: AccountWorld, login: str, password: str = "wrong", visitor: Visitor = VISITOR) -> str:
    try:
        await accounts.services.sessions.sign_in(login, SecretText(password), visitor)
    except Problem as problem:
        return problem.code
    return "signed in"


@pytest.mark.parametrize(
    ("login", "address", "line"),
    [
        ("mia", "192.0.2.1", "warning session.refused address=192.0.2.1 login=mia way=password"),
        (" MIA ", "::ffff:192.0.2.1", "warning session.refused address=192.0.2.1 login=mia way=password"),
        (
            "otto",
            "2001:db8::1",
            "warning session.refused address=2001:db8::1 login=otto way=password",
        ),  # has no password
        ("mia", "", "warning session.refused address=none login=mia way=password"),
        ("nobody", "192.0.2.1", "warning session.refused address=192.0.2.1 login='unknown account' way=password"),
        ("acme", "192.0.2.1", "warning session.refused address=192.0.2.1 login='unknown account' way=password"),
        (
            PASSWORD.reveal(),
            "192.0.2.1",
            "warning session.refused address=192.0.2.1 login='unknown account' way=password",
        ),
        (HOSTILE, "192.0.2.1", "warning session.refused address=192.0.2.1 login='unknown account' way=password"),
        ("mia", HOSTILE, "warning session.refused address=none login=mia way=password"),
    ],
)
async def test_who_is_refused_is_logged_and_nothing_that_was_typed(
    accounts: AccountWorld, caplog: pytest.LogCaptureFixture, login: str, address: str, line: str
) -> None:
    await invited(accounts)
    visitor = Visitor(address=address, user_agent=HOSTILE)
    assert await try_in(accounts, "mia", PASSWORD.reveal(), visitor) == "signed in"  # is not
    assert lines(caplog) == []
    assert await try_in(accounts, login, "a canary of a password", visitor) == "session.refused"
    assert lines(caplog) == [line]


async def test_a_wrong_old_password_is_logged_too(accounts: AccountWorld, caplog: pytest.LogCaptureFixture) -> None:
    made = await invited(accounts)
    new = SecretText("another long sentence")
    with pytest.raises(Problem):
        await accounts.services.passwords.change_own(
            made.subject, SecretText("wrong"), new, VISITOR, replaces=made.session
        )
    assert lines(caplog) == ["warning session.refused address=192.0.2.1 login=mia way=password"]


@pytest.mark.parametrize(("login", "shown"), [("mia", "mia"), ("nobody", "'unknown account'")])
async def test_attack_an_account_s_attempts_do_not_fill_the_log(
    accounts: AccountWorld, caplog: pytest.LogCaptureFixture, login: str, shown: str
) -> None:
    await invited(accounts)
    tried = [await try_in(accounts, login) for _ in range(MOST_PER_ACCOUNT + 5)]
    assert tried[-1] == "session.too_many_attempts"
    refused = f"warning session.refused address=192.0.2.1 login={shown} way=password"
    last = f"warning session.too_many_attempts address=192.0.2.1 login={shown}"
    assert lines(caplog) == [refused] * MOST_PER_ACCOUNT + [last]


async def test_attack_an_address_s_attempts_do_not_fill_the_log(
    accounts: AccountWorld, caplog: pytest.LogCaptureFixture
) -> None:
    await invited(accounts)
    await try_in(accounts, "mia")
    async with accounts.store.begin() as connection:
        await connection.execute(sign_in_attempts.update().values(tries=MOST_PER_ADDRESS - 1))
    tried = [await try_in(accounts, f"nobody{number}") for number in range(5)]
    assert tried == ["session.refused", *["session.too_many_attempts"] * 4]
    assert lines(caplog)[1:] == [
        "warning session.refused address=192.0.2.1 login='unknown account' way=password",
        "warning session.too_many_attempts address=192.0.2.1 login='unknown account'",
    ]


async def test_attack_who_has_no_address_fills_no_log_with_invented_names(
    accounts: AccountWorld, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing would bound it."""
    await invited(accounts)
    for number in range(2 * MOST_PER_ACCOUNT + 3):
        await try_in(accounts, f"nobody{number % 2}", visitor=NOWHERE)
    assert lines(caplog) == []
    tried = [await try_in(accounts, "mia", visitor=NOWHERE) for _ in range(MOST_PER_ACCOUNT + 3)]
    assert tried[-1] == "session.too_many_attempts"
    assert len(lines(caplog)) == MOST_PER_ACCOUNT + 1  # an account bounds it


async def test_what_the_documented_filter_finds(accounts: AccountWorld, caplog: pytest.LogCaptureFixture) -> None:
    """docs/log-events.md: what bans by the log sees each address, and none that was typed."""
    await invited(accounts)
    document = (Path(__file__).parents[2] / "docs" / "log-events.md").read_text()
    found = re.search(r"^ *failregex = (.*)$", document, re.MULTILINE)
    assert found is not None
    pattern = re.compile(found[1].replace("<HOST>", r"(?P<host>[0-9a-f.:]+)"))
    await try_in(accounts, "mia", visitor=Visitor(address="2001:db8::1", user_agent=""))
    await try_in(accounts, HOSTILE)
    await try_in(accounts, "mia", visitor=NOWHERE)
    matches = [pattern.search(LineFormatter().format(record)) for record in caplog.records]
    assert [each and each["host"] for each in matches] == ["2001:db8::1", "192.0.2.1", None]


CHANGED = SecretText("quite another sentence")


class Meanwhile:
    """A hasher during whose first look something else happens: the look takes long, and holds no lock."""

    def __init__(self, hasher: Any, happens: Callable[[], Awaitable[object]], *, is_outdated: bool = False) -> None:
        self.hasher = hasher
        self.happens: Callable[[], Awaitable[object]] | None = happens
        self._is_outdated = is_outdated

    async def verify(self, password: SecretText, stored: str | None) -> bool:
        right = bool(await self.hasher.verify(password, stored))
        happens, self.happens = self.happens, None
        if happens is not None:
            await happens()
        return right

    async def hash(self, password: SecretText) -> str:
        return str(await self.hasher.hash(password))

    def is_outdated(self, stored: str) -> bool:
        return self._is_outdated or bool(self.hasher.is_outdated(stored))


@pytest.mark.parametrize("is_outdated", [False, True])
async def test_attack_an_old_password_signs_nobody_in_after_it_was_changed(
    accounts: AccountWorld, monkeypatch: pytest.MonkeyPatch, is_outdated: bool
) -> None:
    """Whoever has it may try all the time: one attempt is under way when its holder changes it, which ends all sessions."""
    services, mine = accounts.services, await invited(accounts)
    changing = partial(services.passwords.change_own, mine.subject, PASSWORD, CHANGED, VISITOR, replaces=mine.session)
    hasher = Meanwhile(services.sessions._hasher, changing, is_outdated=is_outdated)
    monkeypatch.setattr(services.sessions, "_hasher", hasher)
    assert await outcome(services.sessions.sign_in("mia", PASSWORD, VISITOR)) == "Unauthenticated session.refused"
    assert (await services.sessions.list_own(mine.subject, limit=9, offset=0))[1] == 1
    assert await outcome(services.sessions.sign_in("mia", PASSWORD, VISITOR)) == "Unauthenticated session.refused"
    made = await services.sessions.sign_in("mia", CHANGED, VISITOR)
    assert await services.sessions.find(made.value, VISITOR) is not None


async def test_attack_an_old_password_changes_none_after_it_was_changed(
    accounts: AccountWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same by who has a session as well."""
    services, mine = accounts.services, await invited(accounts)
    theirs = await services.sessions.sign_in("mia", PASSWORD, VISITOR)
    changing = partial(services.passwords.change_own, mine.subject, PASSWORD, CHANGED, VISITOR, replaces=mine.session)
    monkeypatch.setattr(services.sessions, "_hasher", Meanwhile(services.sessions._hasher, changing))
    late = services.passwords.change_own(
        theirs.subject, PASSWORD, SecretText("what a thief would like"), VISITOR, replaces=theirs.session
    )
    assert await outcome(late) == "Invalid password.wrong"
    assert await outcome(services.sessions.sign_in("mia", CHANGED, VISITOR)) == "ok"


async def test_an_invitation_ends_an_attempt_that_is_under_way(
    accounts: AccountWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    services, mine = accounts.services, await invited(accounts)
    invitation = await services.passwords.invite(accounts.site_admin(), "mia")
    accepting = partial(services.passwords.accept, invitation.value, CHANGED, VISITOR)
    monkeypatch.setattr(services.sessions, "_hasher", Meanwhile(services.sessions._hasher, accepting))
    assert await outcome(services.sessions.sign_in("mia", PASSWORD, VISITOR)) == "Unauthenticated session.refused"
    assert (await services.sessions.list_own(mine.subject, limit=9, offset=0))[1] == 1
