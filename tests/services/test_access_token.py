"""Whom a token proves, and that no token makes a stronger one, on both databases (A6, A14, L9)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection
from tests.account_world import AccountWorld, outcome
from tests.rest.test_access_token import codespace_token

from berth.adapters.clock_system import SystemClock
from berth.adapters.entropy_system import SystemEntropy
from berth.adapters.store.database import Store
from berth.domain.access import Subject
from berth.domain.access_token import TokenKind
from berth.domain.problem import UpstreamFailed
from berth.domain.scope import Scope
from berth.domain.secret_text import SecretText
from berth.services.access_token import CODESPACE_SCOPES, AccessTokenService

HOUR = timedelta(hours=1)


class NoWriting(Store):
    """A database that can be read but not written, as a full disk leaves it."""

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        if self.url is not None:
            raise UpstreamFailed("No.", code="store.unavailable")
        yield


async def personal(accounts: AccountWorld, login: str, *scopes: str) -> tuple[Subject, SecretText]:
    made = await accounts.services.access_tokens.create_for(await admin(accounts), login, "", list(scopes))
    subject = await accounts.services.access_tokens.find_subject(made.value)
    assert subject is not None
    return subject, made.value


async def admin(accounts: AccountWorld) -> Subject:
    found = await accounts.services.access_tokens.find_subject(SecretText(accounts.berth.admin_token))
    assert found is not None
    return found


async def test_a_token_proves_its_account_and_expanded_scopes(accounts: AccountWorld) -> None:
    subject, value = await personal(accounts, "mia", "repo", "admin:org")
    assert (subject.login, subject.token_kind, subject.site_admin) == ("mia", TokenKind.PERSONAL, False)
    assert subject.scopes >= {Scope.PUBLIC_REPO, Scope.READ_ORG}
    assert await accounts.services.access_tokens.find_subject(value) == subject
    body = value.reveal()
    unknown = "0" if body[10] != "0" else "1"
    for bad in ("", "x", "ghp_" + "0" * 36, body[:-1], body + "0", body[:10] + unknown + body[11:]):
        assert await accounts.services.access_tokens.find_subject(SecretText(bad)) is None


async def test_a_well_formed_token_of_nobody_proves_nothing(accounts: AccountWorld) -> None:
    subject, value = await personal(accounts, "mia", "user")
    tokens = accounts.services.access_tokens
    await tokens.revoke_own(subject, subject.token_id)
    assert await tokens.find_subject(value) is None
    assert await outcome(tokens.revoke_own(subject, subject.token_id)) == "NotFound token.not_found"
    assert await outcome(tokens.create_own(subject, "", [], None)) == "Denied token.revoked"


async def test_a_database_that_cannot_be_written_still_lets_tokens_in(accounts: AccountWorld) -> None:
    _subject, value = await personal(accounts, "mia", "user")
    made = await accounts.services.access_tokens.create_for(await admin(accounts), "mia", "", [])
    store = NoWriting(accounts.store.url.render_as_string(hide_password=False))
    service = AccessTokenService(store=store, clock=SystemClock(), entropy=SystemEntropy())
    assert await service.find_subject(value) is not None  # used a moment ago: nothing to write
    assert await service.find_subject(made.value) is not None
    await store.close()


async def test_no_token_makes_a_stronger_one(accounts: AccountWorld) -> None:
    tokens, now = accounts.services.access_tokens, datetime.now(UTC)
    weak, _value = await personal(accounts, "mia", "user", "read:org")
    assert await outcome(tokens.create_own(weak, "", ["read:org"], now + HOUR)) == "ok"
    assert await outcome(tokens.create_own(weak, "", ["repo"], None)) == "Denied token.scopes_exceeded"
    assert await outcome(tokens.create_own(weak, "", ["root"], None)) == "Invalid scope.unknown"
    assert await outcome(tokens.create_own(weak, "n" * 201, [], None)) == "Invalid token.note"
    assert await outcome(tokens.create_own(weak, "", [], now - HOUR)) == "Invalid token.expired"
    short = await tokens.create_own(weak, "", ["user"], now + HOUR)
    mortal = await tokens.find_subject(short.value)
    assert mortal is not None
    assert await outcome(tokens.create_own(mortal, "", [], now + 2 * HOUR)) == "Denied token.outlives"
    assert (await tokens.create_own(mortal, "", [], None)).token.expires_at == short.token.expires_at
    assert await outcome(tokens.create_own(mortal, "", [], now + HOUR / 2)) == "ok"
    listed, total = await tokens.list_own(weak, limit=2, offset=0)
    assert (len(listed), total) == (2, 5)


async def test_only_a_site_administrator_makes_tokens_for_others(accounts: AccountWorld) -> None:
    tokens, site = accounts.services.access_tokens, await admin(accounts)
    mia, _value = await personal(accounts, "mia", "user")
    denied = "Denied account.not_site_admin"
    assert await outcome(tokens.create_for(mia, "mia", "", [])) == denied
    assert await outcome(tokens.create_for(replace(site, token_kind=TokenKind.CODESPACE), "mia", "", [])) == denied
    assert await outcome(tokens.create_for(site, "mia", "", ["site_admin"])) == "Invalid token.site_admin_only"
    assert await outcome(tokens.create_for(site, "acme", "", [])) == "NotFound account.not_found"
    assert await outcome(tokens.create_for(site, "mia", "", ["repo"])) == "ok"


async def test_a_codespaces_token_neither_makes_nor_sees_tokens(accounts: AccountWorld) -> None:
    tokens, people = accounts.services.access_tokens, accounts.people
    codespace_id, value = await codespace_token(
        accounts.berth, people.repositories["acme/web"], people.accounts["olga"]
    )
    inside = await tokens.find_subject(SecretText(value))
    assert inside is not None
    assert (inside.codespace_id, inside.codespace_repository_id) == (codespace_id, people.repositories["acme/web"])
    assert inside.scopes == CODESPACE_SCOPES | {Scope.PUBLIC_REPO}
    for call in (
        tokens.list_own(inside, limit=9, offset=0),
        tokens.create_own(inside, "", [], None),
        tokens.revoke_own(inside, inside.token_id),
    ):
        assert await outcome(call) == "Denied token.codespace"
    await tokens.revoke_of_codespace(codespace_id)
    await tokens.revoke_of_codespace(codespace_id)
    assert await tokens.find_subject(SecretText(value)) is None


async def test_the_administrators_token_is_renewed_and_the_old_one_ends(accounts: AccountWorld) -> None:
    tokens = accounts.services.access_tokens
    assert await tokens.ensure_site_admin() is None
    new = await tokens.renew_site_admin_token()
    assert await tokens.find_subject(SecretText(accounts.berth.admin_token)) is None
    found = await tokens.find_subject(new)
    assert found is not None
    assert found.scopes == frozenset(Scope)


async def test_there_is_nothing_to_renew_before_the_first_start(store: Store) -> None:
    service = AccessTokenService(store=store, clock=SystemClock(), entropy=SystemEntropy())
    assert await outcome(service.renew_site_admin_token()) == "NotFound cli.admin_token"
