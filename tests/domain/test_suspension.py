"""Whom a suspension may concern, what is said of it, what a decision becomes."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from berth.domain.access import Decision, Effect, Reason
from berth.domain.account import Account, AccountType
from berth.domain.problem import Invalid, Problem
from berth.domain.suspension import (
    MAX_REASON,
    check_may_suspend,
    parse_reason,
    refuse_suspended,
    require_active,
    suspended,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ADA = Account(
    id=1,
    login="ada",
    type=AccountType.USER,
    name=None,
    email=None,
    site_admin=True,
    created_at=NOW,
    updated_at=NOW,
)
OUT = replace(ADA, suspended_at=NOW)
BOB = replace(ADA, id=2, login="bob")


def code_of(call: object, *args: object, **more: object) -> str:
    assert callable(call)
    try:
        call(*args, **more)
    except Problem as problem:
        return problem.code
    return "ok"


@pytest.mark.parametrize(
    ("actor", "account", "others", "code"),
    [
        (ADA, BOB, 1, "ok"),
        (ADA, BOB, 2, "ok"),
        (ADA, ADA, 1, "account.suspend_self"),
        (ADA, BOB, 0, "account.last_site_admin"),
        (OUT, BOB, 1, "account.not_site_admin"),  # somebody was quicker
        (None, BOB, 1, "account.not_site_admin"),
    ],
    ids=["another", "one of several", "himself", "the last one", "who is suspended himself", "who is none any more"],
)
def test_policy_4_nobody_suspends_himself_and_one_administrator_stays(
    actor: Account | None, account: Account, others: int, code: str
) -> None:
    assert code_of(check_may_suspend, actor, account, others=others) == code


def test_nothing_new_is_made_for_who_is_suspended() -> None:
    assert code_of(require_active, ADA) == "ok"
    assert code_of(require_active, OUT) == suspended().code == "account.suspended"
    assert "site administrator" in suspended().remedy


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("Left in June", "Left in June"),
        (" two\nlines\x1b[1m ", "two lines"),
        ("", "by admin"),
        (" \n", "by admin"),
        ("x" * MAX_REASON, "x" * MAX_REASON),
    ],
)
def test_a_reason_is_one_line(written: str, kept: str) -> None:
    assert parse_reason(written, otherwise="by admin") == kept


def test_a_reason_has_an_end() -> None:
    with pytest.raises(Invalid) as raised:
        parse_reason("x" * (MAX_REASON + 1), otherwise="")
    assert (raised.value.field, raised.value.code) == ("reason", "account.suspension_reason")


def test_a_decision_about_him_is_a_refusal_whatever_it_was() -> None:
    for allowed in (True, False):
        before = Decision(allowed, True, (Reason("package.owner", Effect.ALLOW, "x"),))
        after = refuse_suspended(before)
        assert (after.allowed, after.may_know_it_exists) == (False, True)
        assert [reason.rule for reason in after.trail] == ["package.owner", "account.suspended"]
        assert after.trail[-1].effect is Effect.DENY
