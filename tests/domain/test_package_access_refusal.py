"""What a refusal tells (A13), and what an organization's policy keeps members from (A11)."""

from dataclasses import replace

import pytest

from berth.domain.access import Subject
from berth.domain.access_token import TokenKind
from berth.domain.package import PackagePolicy, is_closed
from berth.domain.package_access import (
    PackageAction,
    PackageFacts,
    decide_package,
    limit_of_policy,
    limit_of_token,
    refusal_text,
)
from berth.domain.package_role import PackageRole
from berth.domain.repository import Visibility
from berth.domain.scope import Scope, expand_scopes

SUBJECT = Subject(
    account_id=1,
    login="octo",
    site_admin=False,
    token_kind=TokenKind.PERSONAL,
    token_id=1,
    scopes=expand_scopes(frozenset({Scope.WRITE_PACKAGES, Scope.DELETE_PACKAGES})),
)
HIDDEN = PackageFacts(
    package_id=5,
    owner_id=9,
    owner_is_organization=True,
    visibility=Visibility.PRIVATE,
    inherits_access=False,
    is_owner=False,
    is_member=True,
)
READABLE = replace(HIDDEN, user_role=PackageRole.READ)


@pytest.mark.parametrize("action", PackageAction)
def test_a13_hidden_and_missing_are_told_alike(action: PackageAction) -> None:
    for subject in (
        SUBJECT,
        replace(SUBJECT, scopes=frozenset()),
        replace(SUBJECT, token_kind=TokenKind.CODESPACE),
        replace(SUBJECT, token_kind=TokenKind.WORKFLOW),
    ):
        decision = decide_package(subject, HIDDEN, action)
        assert not decision
        assert refusal_text(subject, action, decision) == refusal_text(subject, action, None)


@pytest.mark.parametrize("action", sorted(set(PackageAction) - {PackageAction.PULL}))
def test_who_may_read_is_told_what_is_missing(action: PackageAction) -> None:
    decision = decide_package(SUBJECT, READABLE, action)
    assert refusal_text(SUBJECT, action, None) is None
    assert refusal_text(SUBJECT, action, decision) == f"Nothing gives the right to {action}."


def test_what_the_token_lacks_is_said_first() -> None:
    reading = replace(SUBJECT, scopes=frozenset({Scope.READ_PACKAGES}))
    limit = limit_of_token(reading, PackageAction.DELETE)
    assert limit is not None
    decision = decide_package(reading, READABLE, PackageAction.DELETE)
    assert refusal_text(reading, PackageAction.DELETE, decision) == limit.text
    assert "delete:packages" in limit.text


@pytest.mark.parametrize(
    ("kind", "is_owner", "wanted", "forbidden"),
    [
        pytest.param(TokenKind.PERSONAL, False, Visibility.PUBLIC, True, id="a member"),
        pytest.param(TokenKind.PERSONAL, False, Visibility.PRIVATE, False, id="a member, allowed"),
        pytest.param(TokenKind.PERSONAL, True, Visibility.PUBLIC, False, id="an owner himself"),
        pytest.param(TokenKind.WORKFLOW, True, Visibility.PUBLIC, True, id="a workflow that an owner started"),
    ],
)
def test_a11_members_give_only_the_visibilities_of_the_policy(
    kind: TokenKind, is_owner: bool, wanted: Visibility, forbidden: bool
) -> None:
    policy = PackagePolicy(creatable_visibilities=frozenset({Visibility.PRIVATE}))
    reason = limit_of_policy(replace(SUBJECT, token_kind=kind), policy, wanted, is_owner=is_owner)
    assert (reason is not None) is forbidden
    assert reason is None or reason.rule == "package.policy.visibility"


def test_a3_what_an_organization_has_and_is_not_public_is_closed() -> None:
    closed = {(of, each) for of in (True, False) for each in Visibility if is_closed(each, owner_is_organization=of)}
    assert closed == {(True, Visibility.PRIVATE), (True, Visibility.INTERNAL)}
