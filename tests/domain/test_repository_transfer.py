"""The plan of a transfer; the numbers are those of its policy."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from berth.domain.account import Account, AccountType
from berth.domain.problem import Denied, Invalid, Problem
from berth.domain.repository import Repository, Visibility
from berth.domain.repository_transfer import TransferPlan, check_new_owner, plan_transfer

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OCTO, ADAM, ACME, FIRM = 1, 2, 3, 4
NAMES = {OCTO: "octo", ADAM: "adam", ACME: "acme", FIRM: "firm"}
MINE = Repository(
    id=7,
    owner_id=OCTO,
    owner_login="octo",
    owner_is_organization=False,
    name="web",
    description="",
    visibility=Visibility.PRIVATE,
    default_branch="main",
    created_at=NOW,
    updated_at=NOW,
    pushed_at=NOW,
)
THEIRS = replace(MINE, owner_id=ACME, owner_login="acme", owner_is_organization=True)


def account(number: int) -> Account:
    kind = AccountType.ORGANIZATION if number in {ACME, FIRM} else AccountType.USER
    return Account(
        id=number,
        login=NAMES[number],
        type=kind,
        name=None,
        email=None,
        site_admin=False,
        created_at=NOW,
        updated_at=NOW,
    )


OWNERS = {
    "5: a user takes an organization's": (THEIRS, ADAM, ADAM, False, None),
    "5: a user takes another user's, who made him an administrator": (MINE, ADAM, ADAM, False, None),
    "5: a member takes it into his organization": (MINE, ACME, OCTO, True, None),
    "5: a member takes another organization's into his": (THEIRS, FIRM, ADAM, True, None),
    "5: nobody gives it to another user": (MINE, ADAM, OCTO, False, Denied),
    "5: nor an organization's": (THEIRS, OCTO, ADAM, True, Denied),
    "5: who is no member gives an organization nothing": (MINE, ACME, OCTO, False, Denied),
    "it is his already": (MINE, OCTO, OCTO, False, Invalid),
    "it is the organization's already": (THEIRS, ACME, ADAM, True, Invalid),
}


@pytest.mark.parametrize(("repository", "new_owner", "caller", "member", "refused"), OWNERS.values(), ids=OWNERS.keys())
def test_who_may_become_the_owner(
    repository: Repository, new_owner: int, caller: int, member: bool, refused: type[Problem] | None
) -> None:
    if refused is None:
        check_new_owner(repository, account(new_owner), caller_id=caller, is_member=member)
        return
    with pytest.raises(refused) as problem:
        check_new_owner(repository, account(new_owner), caller_id=caller, is_member=member)
    assert problem.value.remedy


PLANS = {
    "4: a user administers what he gives his organization": (MINE, ACME, OCTO, {OCTO}),
    "4: so does who gives it away for another user, and that user": (MINE, ACME, ADAM, {OCTO, ADAM}),
    "4: a user whose repository is taken administers it by name": (MINE, ADAM, ADAM, {OCTO}),
    "4: from one organization to another": (THEIRS, FIRM, ADAM, {ADAM}),
    "4: the user whose it is now has no role by name": (THEIRS, ADAM, ADAM, set()),
}


@pytest.mark.parametrize(("repository", "new_owner", "caller", "administrators"), PLANS.values(), ids=PLANS.keys())
def test_nobody_who_transfers_it_loses_it(
    repository: Repository, new_owner: int, caller: int, administrators: set[int]
) -> None:
    plan = plan_transfer(repository, account(new_owner), caller_id=caller, name=None)
    assert plan == TransferPlan(
        owner_id=new_owner, name="web", visibility=Visibility.PRIVATE, administrators=frozenset(administrators)
    )


@pytest.mark.parametrize(
    ("visibility", "new_owner", "then"),
    [
        (Visibility.INTERNAL, ADAM, Visibility.PRIVATE),
        (Visibility.INTERNAL, FIRM, Visibility.INTERNAL),
        (Visibility.PRIVATE, ADAM, Visibility.PRIVATE),
        (Visibility.PRIVATE, FIRM, Visibility.PRIVATE),
        (Visibility.PUBLIC, ADAM, Visibility.PUBLIC),
        (Visibility.PUBLIC, FIRM, Visibility.PUBLIC),
    ],
)
def test_3_internal_becomes_private_under_a_user_and_nothing_else_changes(
    visibility: Visibility, new_owner: int, then: Visibility
) -> None:
    repository = replace(THEIRS, visibility=visibility)
    plan = plan_transfer(repository, account(new_owner), caller_id=ADAM, name="site")
    assert (plan.visibility, plan.name) == (then, "site")
