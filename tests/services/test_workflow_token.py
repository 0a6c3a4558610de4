"""Who makes a workflow token, how strong it is and how it ends, on both databases (A8, A14)."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from sqlalchemy import func, select
from tests.account_world import AccountWorld, outcome, outcomes
from tests.services.test_access_token import admin, personal

from berth.adapters.store import access_token as rows
from berth.adapters.store import repository as repository_rows
from berth.adapters.store.tables import access_tokens, audit_log
from berth.domain.access import Action, Subject
from berth.domain.access_token import TokenKind, find_token_kind
from berth.domain.problem import Invalid
from berth.domain.repository import Visibility
from berth.domain.role import Role
from berth.domain.secret_text import SecretText
from berth.domain.workflow_permissions import WorkflowPermissions, parse_permissions
from berth.services.repository import RepositoryChange
from berth.services.workflow_token import LIFETIME

OK = "ok"
MISSING = "NotFound repository.not_found"
DENIED = "Denied repository.denied"
NOTHING = parse_permissions({})
CONTENTS = parse_permissions({"contents": "write"})
READ_PACKAGES = parse_permissions({"packages": "read"})
WRITE_PACKAGES = parse_permissions({"packages": "write"})


async def job(
    accounts: AccountWorld, maker: Subject, repository: str, permissions: WorkflowPermissions = CONTENTS
) -> tuple[Subject, SecretText]:
    owner, _, name = repository.partition("/")
    made = await accounts.services.workflow_tokens.create(maker, owner, name, permissions)
    return await proves(accounts, made.value), made.value


async def proves(accounts: AccountWorld, value: SecretText) -> Subject:
    found = await accounts.services.access_tokens.find_subject(value)
    assert found is not None
    return found


async def test_a8_a_token_proves_its_maker_its_repository_and_its_permissions(accounts: AccountWorld) -> None:
    wim, _value = await personal(accounts, "wim", "repo", "write:packages")
    wanted = parse_permissions({"packages": "write", "contents": "read"})
    subject, value = await job(accounts, wim, "acme/web", wanted)
    assert find_token_kind(value.reveal()) is subject.token_kind is TokenKind.WORKFLOW
    assert (subject.login, subject.account_id, subject.site_admin) == ("wim", wim.account_id, False)
    assert (subject.workflow_repository_id, subject.permissions) == (accounts.people.repositories["acme/web"], wanted)
    assert (subject.scopes, subject.codespace_id, subject.codespace_repository_id) == (frozenset(), None, None)
    assert value.reveal() not in repr(subject)
    listed, _total = await accounts.services.access_tokens.list_own(wim, limit=9, offset=0)
    assert [token.id for token in listed] == [wim.token_id]  # it is the job's, no token of the person's


async def test_a8_only_who_may_push_makes_one(accounts: AccountWorld) -> None:
    expected = {
        "olga": OK,
        "wim": OK,
        "adam": OK,
        "mia": DENIED,
        "rita": DENIED,
        "otto": MISSING,  # A13
    }
    for name, want in expected.items():
        maker, _value = await personal(accounts, name, "repo")
        got = await outcome(accounts.services.workflow_tokens.create(maker, "acme", "web", NOTHING))
        assert got == want, name
        missing = await outcome(accounts.services.workflow_tokens.create(maker, "acme", "gone", NOTHING))
        assert missing == MISSING


@pytest.mark.parametrize(
    ("scopes", "web", "site"),
    [
        ("repo", OK, OK),
        ("public_repo", MISSING, OK),
        ("", MISSING, DENIED),
        ("workflow admin:org write:packages", MISSING, DENIED),
    ],
)
async def test_a6_the_makers_token_must_open_the_repository(
    accounts: AccountWorld, scopes: str, web: str, site: str
) -> None:
    wim, _value = await personal(accounts, "wim", *scopes.split())
    create = accounts.services.workflow_tokens.create
    assert await outcomes({name: create(wim, "acme", name, NOTHING) for name in ("web", "site")}) == {
        "web": web,
        "site": site,
    }


@pytest.mark.parametrize(
    ("scope", "permissions", "allowed"),
    [
        ("repo", NOTHING, True),
        ("repo", CONTENTS, True),
        ("repo", READ_PACKAGES, False),
        ("repo", WRITE_PACKAGES, False),
        ("read:packages", READ_PACKAGES, True),
        ("read:packages", WRITE_PACKAGES, False),
        ("write:packages", READ_PACKAGES, True),
        ("write:packages", WRITE_PACKAGES, True),
        ("delete:packages", READ_PACKAGES, False),
    ],
)
async def test_no_token_makes_a_stronger_one(
    accounts: AccountWorld, scope: str, permissions: WorkflowPermissions, allowed: bool
) -> None:
    wim, _value = await personal(accounts, "wim", "repo", scope)
    got = await outcome(accounts.services.workflow_tokens.create(wim, "acme", "web", permissions))
    assert got == (OK if allowed else "Denied token.scopes_exceeded")


async def test_only_a_personal_token_makes_one(accounts: AccountWorld) -> None:
    wim, _value = await personal(accounts, "wim", "repo", "write:packages")
    inside, _value = await job(accounts, wim, "acme/web")
    callers = {"codespace": accounts.who("wim@acme/web"), "workflow": inside}
    calls = {
        name: accounts.services.workflow_tokens.create(caller, "acme", "web", NOTHING)
        for name, caller in callers.items()
    }
    assert await outcomes(calls) == dict.fromkeys(callers, "Denied token.codespace")
    assert await outcome(accounts.services.access_tokens.create_own(inside, "", [], None)) == "Denied token.codespace"


async def test_it_lasts_an_hour_and_no_longer_than_the_token_that_made_it(accounts: AccountWorld) -> None:
    tokens, create = accounts.services.access_tokens, accounts.services.workflow_tokens.create
    wim, _value = await personal(accounts, "wim", "repo")
    before = datetime.now(UTC).replace(microsecond=0)
    made = (await create(wim, "acme", "web", NOTHING)).token.expires_at
    assert made is not None
    assert before + LIFETIME <= made <= datetime.now(UTC) + LIFETIME
    for lasts in (timedelta(minutes=10), timedelta(days=1)):
        own = await tokens.create_own(wim, "", ["repo"], datetime.now(UTC) + lasts)
        mortal = await create(await proves(accounts, own.value), "acme", "web", NOTHING)
        assert mortal.token.expires_at is not None
        assert own.token.expires_at is not None
        assert (mortal.token.expires_at == own.token.expires_at) is (lasts < LIFETIME)
        assert mortal.token.expires_at <= own.token.expires_at


async def test_it_goes_on_without_the_token_that_made_it_and_makes_no_other(accounts: AccountWorld) -> None:
    wim, _value = await personal(accounts, "wim", "repo")
    subject, value = await job(accounts, wim, "acme/web")
    await accounts.services.access_tokens.revoke_own(wim, wim.token_id)
    assert await accounts.services.access_tokens.find_subject(value) == subject
    got = await outcome(accounts.services.workflow_tokens.create(wim, "acme", "web", NOTHING))
    assert got == "Denied token.revoked"


async def test_a8_at_each_use_it_is_no_stronger_than_its_maker_then(accounts: AccountWorld) -> None:
    adam, _value = await personal(accounts, "adam", "repo")
    subject, value = await job(accounts, adam, "acme/web")
    service, olga = accounts.services.repositories, accounts.who("olga")

    async def may() -> list[str]:
        return [await outcome(service.get(subject, "acme", "web", action)) for action in Action]

    assert await may() == [OK, OK, DENIED]
    await service.set_collaborator(olga, "acme", "web", "adam", "pull")
    assert await may() == [OK, DENIED, DENIED]
    await service.remove_collaborator(olga, "acme", "web", "adam")
    assert await may() == [MISSING] * 3
    assert await accounts.services.access_tokens.find_subject(value) == subject


async def test_an_expired_one_proves_nothing_and_is_cleared_away(accounts: AccountWorld) -> None:
    wim, _value = await personal(accounts, "wim", "repo")
    _subject, old = await job(accounts, wim, "acme/web")
    _subject, other = await job(accounts, wim, "acme/site")
    past = datetime.now(UTC) - timedelta(seconds=1)
    async with accounts.store.begin() as connection:
        await connection.execute(access_tokens.update().where(access_tokens.c.kind == "ghs").values(expires_at=past))
    assert await accounts.services.access_tokens.find_subject(old) is None
    await job(accounts, wim, "acme/web")
    async with accounts.store.read() as connection:
        assert await rows.find_holder(connection, old) is None
        assert await rows.find_holder(connection, other) is not None  # another repository's is not looked for


async def test_it_ends_with_its_repository(accounts: AccountWorld) -> None:
    wim, _value = await personal(accounts, "wim", "repo")
    _subject, gone = await job(accounts, wim, "acme/web")
    _subject, stays = await job(accounts, wim, "acme/site")
    async with accounts.store.begin() as connection:
        await repository_rows.delete_repository(connection, accounts.people.repositories["acme/web"])
    assert await accounts.services.access_tokens.find_subject(gone) is None
    assert await accounts.services.access_tokens.find_subject(stays) is not None
    assert await accounts.services.access_tokens.find_subject(SecretText(accounts.berth.admin_token)) is not None


@pytest.mark.parametrize("closed", [Visibility.PRIVATE, Visibility.INTERNAL])
async def test_one_made_with_public_repo_does_not_open_what_is_private_later(
    accounts: AccountWorld, closed: Visibility
) -> None:
    wim, _value = await personal(accounts, "wim", "public_repo")
    subject, value = await job(accounts, wim, "acme/site")
    service, olga = accounts.services.repositories, accounts.who("olga")
    assert await outcome(service.get(subject, "acme", "site", Action.WRITE)) == OK
    for change in (RepositoryChange(description="new"), RepositoryChange(visibility=Visibility.PUBLIC)):
        await service.update(olga, "acme", "site", change)
        assert await accounts.services.access_tokens.find_subject(value) is not None
    await service.update(olga, "acme", "site", RepositoryChange(visibility=closed))
    assert await accounts.services.access_tokens.find_subject(value) is None


async def test_one_of_a_private_repository_stays_when_a_change_leaves_it_private(accounts: AccountWorld) -> None:
    wim, _value = await personal(accounts, "wim", "repo")
    _subject, value = await job(accounts, wim, "acme/web")
    change = RepositoryChange(visibility=Visibility.PRIVATE)
    await accounts.services.repositories.update(accounts.who("olga"), "acme", "web", change)
    assert await accounts.services.access_tokens.find_subject(value) is not None


async def test_making_one_while_the_repository_is_closed_leaves_none_that_opens_it(accounts: AccountWorld) -> None:
    wim, _value = await personal(accounts, "wim", "public_repo")
    service, create = accounts.services.repositories, accounts.services.workflow_tokens.create
    for _ in range(5):
        await service.update(accounts.who("olga"), "acme", "site", RepositoryChange(visibility=Visibility.PUBLIC))
        closing = service.update(accounts.who("olga"), "acme", "site", RepositoryChange(visibility=Visibility.PRIVATE))
        got = await asyncio.gather(
            outcome(create(wim, "acme", "site", CONTENTS)),
            outcome(closing),
            outcome(create(wim, "acme", "site", CONTENTS)),
        )
        assert got[1] == OK
        assert {got[0], got[2]} <= {OK, MISSING}
        async with accounts.store.read() as connection:
            count = select(func.count()).where(access_tokens.c.kind == TokenKind.WORKFLOW)
            assert (await connection.execute(count)).scalar_one() == 0


async def test_making_one_is_written_down_without_its_value(accounts: AccountWorld) -> None:
    wim, _value = await personal(accounts, "wim", "repo", "write:packages")
    _subject, value = await job(accounts, wim, "acme/web", WRITE_PACKAGES)
    async with accounts.store.read() as connection:
        row = (await connection.execute(select(audit_log).order_by(audit_log.c.id.desc()).limit(1))).one()
    assert (row.action, row.actor_login, row.target) == ("workflow_token.create", "wim", "acme/web")
    assert (row.account_id, row.detail) == (accounts.people.accounts["acme"], "contents=none packages=write")
    assert value.reveal() not in str(row)


async def test_a14_stored_permissions_that_nobody_knows_prove_nothing(accounts: AccountWorld) -> None:
    wim, _value = await personal(accounts, "wim", "repo")
    _subject, value = await job(accounts, wim, "acme/web")
    async with accounts.store.begin() as connection:
        unknown = access_tokens.update().where(access_tokens.c.kind == "ghs").values(permissions="contents=admin")
        await connection.execute(unknown)
    with pytest.raises(Invalid):
        await accounts.services.access_tokens.find_subject(value)


@pytest.mark.parametrize(("contents", "visibility"), list(product(["none", "read", "write"], Visibility)))
async def test_the_lists_show_a_job_what_the_decision_lets_it_read(
    accounts: AccountWorld, contents: str, visibility: Visibility
) -> None:
    async with accounts.store.begin() as connection:
        number = accounts.people.repositories["acme/web"]
        await repository_rows.update_repository(connection, number, {"visibility": visibility})
    service = accounts.services.repositories
    base = accounts.people.job("wim", "acme/web", contents=contents)
    strangers = accounts.people.job("otto", "acme/web", contents=contents)
    for subject in (base, strangers, replace(base, workflow_repository_id=None)):
        listed, _total = await service.search(subject, "", limit=99, offset=0)
        readable = {
            number
            for number in accounts.people.repositories.values()
            if await outcome(service.get_by_id(subject, number, Action.READ)) == OK
        }
        assert {view.repository.id for view in listed} == readable
        assert all(view.role in {Role.PULL, Role.PUSH} for view in listed)


async def test_a_site_administrators_job_is_no_site_administrator(accounts: AccountWorld) -> None:
    site = await admin(accounts)
    view = await accounts.services.repositories.create(site, "admin", RepositoryChange(name="tools"))
    subject, _value = await job(accounts, site, view.repository.full_name)
    assert subject.site_admin
    got = await outcome(accounts.services.accounts.create_user(subject, "nina", None))
    assert got == "Denied account.not_site_admin"
