"""What a person reads who is refused a package."""

import pytest

from berth.domain.access import Subject
from berth.domain.access_token import TokenKind
from berth.domain.package import PackagePolicy
from berth.domain.package_access import (
    NamespaceFacts,
    PackageAction,
    PackageFacts,
    decide_creation,
    decide_package,
)
from berth.domain.package_advice import _ROLE_FOR, find_remedy, say_hidden
from berth.domain.package_role import PackageRole
from berth.domain.repository import Visibility
from berth.domain.scope import Scope
from berth.domain.workflow_permissions import WorkflowPermission, WorkflowPermissions

PULL, PUSH, DELETE = PackageAction.PULL, PackageAction.PUSH, PackageAction.DELETE
EVERYTHING = frozenset(Scope)


def subject(
    kind: TokenKind = TokenKind.PERSONAL,
    scopes: frozenset[Scope] = EVERYTHING,
    packages: WorkflowPermission = WorkflowPermission.WRITE,
) -> Subject:
    permissions = WorkflowPermissions(packages=packages)
    return Subject(
        account_id=1,
        login="mia",
        site_admin=False,
        token_kind=kind,
        token_id=1,
        scopes=scopes,
        permissions=permissions,
    )


HIDDEN: dict[str, tuple[Subject | None, PackageAction, tuple[str, ...]]] = {
    "anonymous pull": (None, PULL, ("There is no public package of this name. Log in,",)),
    "anonymous push": (None, PUSH, ("This needs a login. Log in,",)),
    "a person's pull": (subject(), PULL, ("There is no such package, or you may not read it.",)),
    "a person's pull without the scope": (
        subject(scopes=frozenset({Scope.REPO})),
        PULL,
        ("There is no such package, or you may not read it.", "lacks the scope read:packages"),
    ),
    "a person's push": (subject(), PUSH, ("neither push to a package of this name nor make one", "the role write")),
    "a person's delete": (subject(), DELETE, ("There is no such package, or you may not read it.",)),
    "a codespace's pull": (subject(TokenKind.CODESPACE), PULL, ("this codespace", "Codespaces access list")),
    "a workflow's pull": (subject(TokenKind.WORKFLOW), PULL, ("this workflow", "workflow access list")),
    "a workflow's pull without the permission": (
        subject(TokenKind.WORKFLOW, packages=WorkflowPermission.NONE),
        PULL,
        ("this workflow", "packages: none; this needs packages: read"),
    ),
    "a workflow's push": (subject(TokenKind.WORKFLOW), PUSH, ("its repository's owner", "workflow access list")),
}


@pytest.mark.parametrize(("asking", "action", "said"), HIDDEN.values(), ids=HIDDEN)
def test_a13_what_is_hidden_or_missing_says_what_can_be_done(
    asking: Subject | None, action: PackageAction, said: tuple[str, ...]
) -> None:
    text = say_hidden(asking, action)
    assert all(part in text for part in said), text
    assert text.endswith(".")


def test_a_sufficient_token_is_not_blamed() -> None:
    assert "scope" not in say_hidden(subject(scopes=frozenset({Scope.READ_PACKAGES})), PULL)
    assert "packages: none" not in say_hidden(subject(TokenKind.WORKFLOW, packages=WorkflowPermission.READ), PULL)


PUBLIC_OF_ANOTHER = PackageFacts(
    package_id=1,
    owner_id=2,
    owner_is_organization=True,
    visibility=Visibility.PUBLIC,
    inherits_access=False,
    is_owner=False,
    is_member=False,
)
READING = frozenset({Scope.READ_PACKAGES})
DENIED: dict[str, tuple[Subject, PackageAction, str]] = {
    "a reader pushes": (subject(), PUSH, "Ask an admin of the package for the role write."),
    "a reader deletes": (subject(), DELETE, "Ask an admin of the package for the role admin."),
    "a reader pushes with a token that may not": (subject(scopes=READING), PUSH, "Log in with one that has it."),
    "a workflow pushes": (
        subject(TokenKind.WORKFLOW),
        PUSH,
        "Ask an admin of the package to put the repository on its workflow access list, with the role write.",
    ),
    "a workflow that may only read pushes": (
        subject(TokenKind.WORKFLOW, packages=WorkflowPermission.READ),
        PUSH,
        "",
    ),
    "a codespace pushes": (subject(TokenKind.CODESPACE), PUSH, ""),
}


@pytest.mark.parametrize(("asking", "action", "remedy"), DENIED.values(), ids=DENIED)
def test_who_may_read_is_told_what_helps(asking: Subject, action: PackageAction, remedy: str) -> None:
    decision = decide_package(asking, PUBLIC_OF_ANOTHER, action)
    assert not decision
    assert decision.may_know_it_exists
    assert find_remedy(asking, action, decision) == remedy


def test_a13_what_helps_against_a_token_is_said_of_missing_packages_too() -> None:
    assert find_remedy(subject(scopes=READING), PUSH, None) == "Log in with one that has it."
    assert find_remedy(subject(), PUSH, None) == ""


def test_a11_what_the_organization_forbids_its_owners_allow() -> None:
    facts = NamespaceFacts(
        owner_id=2, is_owner=False, is_member=True, policy=PackagePolicy(creatable_visibilities=frozenset())
    )
    decision = decide_creation(subject(), facts).decision
    assert not decision
    assert find_remedy(subject(), PUSH, decision) == "Ask an owner of the organization to allow them."


def test_there_is_a_role_for_every_action() -> None:
    assert set(_ROLE_FOR) == set(PackageAction)
    assert PackageRole.NONE not in _ROLE_FOR.values()
