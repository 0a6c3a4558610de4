"""The decision table of domain.package_access, one rule a row; A1 to A14 are the rules of DESIGN section 2.

The whole space is searched in tests/access_matrix/test_decisions.py.
"""

from dataclasses import replace
from typing import cast

import pytest
from tests.test_documented import first_cells

from berth.domain.access import Decision, Effect, RepositoryFacts, Subject
from berth.domain.access_token import TokenKind
from berth.domain.package import PackagePolicy
from berth.domain.package_access import (
    Creation,
    NamespaceFacts,
    PackageAction,
    PackageFacts,
    SourceFacts,
    account_role,
    decide_creation,
    decide_package,
    limit_of_token,
)
from berth.domain.package_role import PackageRole
from berth.domain.repository import Visibility
from berth.domain.role import Role
from berth.domain.scope import Scope
from berth.domain.workflow_permissions import parse_permissions

PULL, PUSH, DELETE, ADMINISTER = PackageAction
PUBLIC, PRIVATE, INTERNAL = Visibility.PUBLIC, Visibility.PRIVATE, Visibility.INTERNAL
READ, WRITE, ADMIN = PackageRole.READ, PackageRole.WRITE, PackageRole.ADMIN
NOTHING = frozenset[PackageAction]()
READING, WRITING, EVERYTHING = frozenset({PULL}), frozenset({PULL, PUSH}), frozenset(PackageAction)
PACKAGE_SCOPES = frozenset({Scope.READ_PACKAGES, Scope.WRITE_PACKAGES, Scope.DELETE_PACKAGES})

WEB, SITE = 20, 21  # repositories
ACME, OTTO = 10, 11  # accounts

PAT = Subject(
    account_id=1, login="mia", site_admin=False, token_kind=TokenKind.PERSONAL, token_id=1, scopes=PACKAGE_SCOPES
)
CODESPACE = replace(
    PAT,
    token_kind=TokenKind.CODESPACE,
    scopes=frozenset({Scope.REPO, Scope.READ_PACKAGES}),
    codespace_id=1,
    codespace_repository_id=WEB,
)
JOB = replace(
    PAT,
    token_kind=TokenKind.WORKFLOW,
    scopes=frozenset(),
    workflow_repository_id=WEB,
    permissions=parse_permissions({"packages": "write"}),
)
READING_JOB = replace(JOB, permissions=parse_permissions({"packages": "read", "contents": "write"}))
BARE_JOB = replace(JOB, permissions=parse_permissions({"contents": "write"}))
STRANGE = replace(PAT, token_kind=cast("TokenKind", "ghx"))

SECRET = PackageFacts(
    package_id=5,
    owner_id=ACME,
    owner_is_organization=True,
    visibility=PRIVATE,
    inherits_access=False,
    is_owner=False,
    is_member=False,
)
MEMBERS = replace(SECRET, is_member=True)
OPEN, INNER = replace(SECRET, visibility=PUBLIC), replace(SECRET, visibility=INTERNAL)
OTTOS = replace(SECRET, owner_id=OTTO, owner_is_organization=False)
PRIVATE_WEB = RepositoryFacts(repository_id=WEB, visibility=PRIVATE, is_owner=False, is_member=False)
PUBLIC_WEB = replace(PRIVATE_WEB, visibility=PUBLIC)
INTERNAL_WEB = replace(PRIVATE_WEB, visibility=INTERNAL)
OTHER = replace(PRIVATE_WEB, repository_id=SITE)


def scoped(*scopes: Scope) -> Subject:
    return replace(PAT, scopes=frozenset(scopes))


def inheriting(
    repository: RepositoryFacts | None, role: Role = Role.NONE, facts: PackageFacts = SECRET
) -> PackageFacts:
    """Linked to it, with inheritance on; `role` was given to the account by name."""
    linked = None if repository is None else replace(repository, collaborator_role=role)
    return replace(facts, inherits_access=True, linked=linked)


def started(
    repository: RepositoryFacts = PRIVATE_WEB,
    facts: PackageFacts = SECRET,
    *,
    role: Role = Role.PUSH,
    owner_id: int = ACME,
    listed: bool = False,
    workflow_role: PackageRole = PackageRole.NONE,
) -> PackageFacts:
    """The codespace, or the job, is of this repository, on which its user has the role."""
    known = replace(repository, collaborator_role=role)
    source = SourceFacts(repository=known, owner_id=owner_id, on_codespaces_list=listed, workflow_role=workflow_role)
    return replace(facts, source=source)


def started_in_linked(
    repository: RepositoryFacts, *, inherits: bool = True, listed: bool = False, role: Role = Role.PUSH
) -> PackageFacts:
    facts = replace(SECRET, inherits_access=inherits, linked=replace(repository, collaborator_role=role))
    return started(repository, facts, role=role, listed=listed)


PEOPLE = {
    "A1: anonymous pulls a public package": (None, OPEN, READING),
    "A1: so does a token without scopes (A6)": (scoped(), OPEN, READING),
    "A1: so does a token that is for other things": (scoped(Scope.REPO), OPEN, READING),
    "A1: so does a token of an unknown kind, and nothing else (A14)": (
        STRANGE, replace(OPEN, is_owner=True, is_member=True), READING
    ),
    "A1: anonymous has nothing of a private one": (None, SECRET, NOTHING),
    "A1: anonymous has nothing of an internal one": (None, INNER, NOTHING),
    "A2: an owner is admin": (PAT, replace(SECRET, is_owner=True), EVERYTHING),
    "A2: the owning user is admin": (PAT, replace(OTTOS, is_owner=True), EVERYTHING),
    "A2: a site administrator is nobody here": (replace(PAT, site_admin=True), SECRET, NOTHING),
    "A3: granted read": (PAT, replace(MEMBERS, user_role=READ), READING),
    "A3: granted write": (PAT, replace(MEMBERS, user_role=WRITE), WRITING),
    "A3: granted admin": (PAT, replace(MEMBERS, user_role=ADMIN), EVERYTHING),
    "A3: granted to a team": (PAT, replace(MEMBERS, team_role=WRITE), WRITING),
    "A3: the greater of both counts, the team's": (PAT, replace(MEMBERS, user_role=READ, team_role=ADMIN), EVERYTHING),
    "A3: the greater of both counts, his own": (PAT, replace(MEMBERS, user_role=WRITE, team_role=READ), WRITING),
    "A3: a grant on a private package ends with the membership": (PAT, replace(SECRET, user_role=ADMIN), NOTHING),
    "A3: a grant on an internal package ends with the membership": (PAT, replace(INNER, user_role=ADMIN), NOTHING),
    "A3: a team's grant ends with the membership": (PAT, replace(SECRET, team_role=ADMIN), NOTHING),
    "A3: a grant on a public package is for anybody": (PAT, replace(OPEN, user_role=WRITE), WRITING),
    "A3: a user grants a package of his to anybody": (PAT, replace(OTTOS, user_role=WRITE), WRITING),
    "A3: a member has nothing without a grant": (PAT, MEMBERS, NOTHING),
    "A4: pull on the repository reads": (PAT, inheriting(PRIVATE_WEB, Role.PULL), READING),
    "A4: triage reads": (PAT, inheriting(PRIVATE_WEB, Role.TRIAGE), READING),
    "A4: push writes": (PAT, inheriting(PRIVATE_WEB, Role.PUSH), WRITING),
    "A4: maintain writes": (PAT, inheriting(PRIVATE_WEB, Role.MAINTAIN), WRITING),
    "A4: admin administers": (PAT, inheriting(PRIVATE_WEB, Role.ADMIN), EVERYTHING),
    "A4: a team's role on the repository counts": (
        PAT, inheriting(replace(PRIVATE_WEB, team_role=Role.PUSH)), WRITING
    ),
    "A4: the repository's owner administers": (PAT, inheriting(replace(PRIVATE_WEB, is_owner=True)), EVERYTHING),
    "A4: a role on a public repository counts": (PAT, inheriting(PUBLIC_WEB, Role.PULL), READING),
    "A4: that everybody reads a public repository gives nothing": (PAT, inheriting(PUBLIC_WEB), NOTHING),
    "A4: nor to a member of its organization": (PAT, inheriting(replace(PUBLIC_WEB, is_member=True)), NOTHING),
    "A4: the base permission on a private repository reads": (
        PAT, inheriting(replace(PRIVATE_WEB, is_member=True)), READING
    ),
    "A4: the base permission on an internal repository reads": (
        PAT, inheriting(replace(INTERNAL_WEB, is_member=True)), READING
    ),
    "A4: who has no role on the repository has nothing": (PAT, inheriting(PRIVATE_WEB), NOTHING),
    "A4: a link without inheritance gives nothing": (
        PAT, replace(inheriting(PRIVATE_WEB, Role.ADMIN), inherits_access=False), NOTHING
    ),
    "A4: inheritance without a link gives nothing (A12)": (PAT, inheriting(None), NOTHING),
    "A4: the greater of a grant and what is inherited counts": (
        PAT, inheriting(PRIVATE_WEB, Role.PULL, replace(MEMBERS, user_role=WRITE)), WRITING
    ),
    "A5: a member reads an internal package": (PAT, replace(INNER, is_member=True), READING),
    "A5: nobody else does": (PAT, INNER, NOTHING),
    "A5: an owner of the organization is admin all the same": (
        PAT, replace(INNER, is_member=True, is_owner=True), EVERYTHING
    ),
    "A6: no scope, nothing": (scoped(), replace(SECRET, is_owner=True), NOTHING),
    "A6: a scope for repositories opens no package": (scoped(Scope.REPO), replace(SECRET, is_owner=True), NOTHING),
    "A6: read:packages pulls": (scoped(Scope.READ_PACKAGES), replace(SECRET, is_owner=True), READING),
    "A6: write:packages, which implies it, pushes too, and changes settings": (
        scoped(Scope.READ_PACKAGES, Scope.WRITE_PACKAGES), replace(SECRET, is_owner=True), WRITING | {ADMINISTER}
    ),
    "A6: delete:packages alone deletes nothing": (scoped(Scope.DELETE_PACKAGES), replace(SECRET, is_owner=True), NOTHING),
    "A6: delete:packages together with reading deletes": (
        scoped(Scope.READ_PACKAGES, Scope.DELETE_PACKAGES), replace(SECRET, is_owner=True), frozenset({PULL, DELETE})
    ),
    "A6: writing does not delete (A14)": (
        scoped(Scope.READ_PACKAGES, Scope.WRITE_PACKAGES), replace(MEMBERS, user_role=WRITE), WRITING
    ),
    "A6: all scopes add nothing to a role": (
        scoped(*Scope), replace(MEMBERS, user_role=READ), READING
    ),
    "A6: all scopes add nothing to none": (scoped(*Scope), MEMBERS, NOTHING),
    "A6: a public package is pushed to with the scope only": (
        scoped(Scope.READ_PACKAGES), replace(OPEN, is_owner=True), READING
    ),
    "A14: a codespace's repository is no personal token's": (
        replace(PAT, codespace_repository_id=WEB), started_in_linked(PRIVATE_WEB, role=Role.NONE, listed=True), NOTHING
    ),
    "A14: nor are a job's permissions": (
        replace(PAT, permissions=JOB.permissions), started(workflow_role=ADMIN), NOTHING
    ),
    "A14: a token of an unknown kind opens nothing": (
        STRANGE, replace(started(listed=True, workflow_role=ADMIN), is_owner=True), NOTHING
    ),
}  # fmt: skip

CODESPACES = {
    "A7 a: a public package": (CODESPACE, replace(OPEN, source=None), READING),
    "A7 b: linked to its repository, with inheritance on": (CODESPACE, started_in_linked(PRIVATE_WEB), READING),
    "A7 b: an internal repository is as good": (CODESPACE, started_in_linked(INTERNAL_WEB), READING),
    "A7 b: not without inheritance": (CODESPACE, started_in_linked(PRIVATE_WEB, inherits=False), NOTHING),
    "A7 b: not if the repository is public": (CODESPACE, started_in_linked(PUBLIC_WEB), NOTHING),
    "A7 b: not if it is linked to another repository": (
        CODESPACE, started(PRIVATE_WEB, inheriting(OTHER, Role.ADMIN)), NOTHING
    ),
    "A7 c: the repository is on the list": (CODESPACE, started(listed=True), READING),
    "A7 c: so may be a public one": (CODESPACE, started(PUBLIC_WEB, listed=True), READING),
    "A7 c: so may be one of another owner": (CODESPACE, started(listed=True, owner_id=OTTO), READING),
    "A7 c: a public one that is linked, too": (CODESPACE, started_in_linked(PUBLIC_WEB, listed=True), READING),
    "A7 c: on the workflow access list is not on this one": (CODESPACE, started(workflow_role=ADMIN), NOTHING),
    "A7 d: internal, same organization": (CODESPACE, started(PRIVATE_WEB, INNER), READING),
    "A7 d: an internal repository is as good": (CODESPACE, started(INTERNAL_WEB, INNER), READING),
    "A7 d: not if the repository is public": (CODESPACE, started(PUBLIC_WEB, INNER), NOTHING),
    "A7 d: unless it is on the list": (CODESPACE, started(PUBLIC_WEB, INNER, listed=True), READING),
    "A7 d: not of another organization": (CODESPACE, started(PRIVATE_WEB, INNER, owner_id=OTTO), NOTHING),
    "A7 d: a private package of the organization is none": (CODESPACE, started(PRIVATE_WEB, SECRET), NOTHING),
    "A7: its user's own roles count for nothing": (
        CODESPACE, started(PRIVATE_WEB, replace(SECRET, is_owner=True, is_member=True, user_role=ADMIN)), NOTHING
    ),
    "A7: its user's membership counts for nothing": (
        CODESPACE, started(PRIVATE_WEB, replace(INNER, is_member=True), owner_id=OTTO), NOTHING
    ),
    "A7: it only pulls, even an owner's and with every scope": (
        replace(CODESPACE, scopes=frozenset(Scope)), replace(started(listed=True), is_owner=True), READING
    ),
    "A7: it only pulls, even what is public": (
        replace(CODESPACE, scopes=frozenset(Scope)), replace(started(facts=OPEN), is_owner=True), READING
    ),
    "A7: its user must still be let into the repository": (
        CODESPACE, started_in_linked(PRIVATE_WEB, role=Role.NONE, listed=True), NOTHING
    ),
    "A7: a deleted repository opens nothing": (CODESPACE, replace(INNER, source=None, is_member=True), NOTHING),
}  # fmt: skip

JOBS = {
    "A8: linked to its repository, with inheritance on": (JOB, started_in_linked(PRIVATE_WEB), WRITING),
    "A8: a public repository's as well": (JOB, started_in_linked(PUBLIC_WEB), WRITING),
    "A8: not without inheritance": (JOB, started_in_linked(PRIVATE_WEB, inherits=False), NOTHING),
    "A8: not if it is linked to another repository": (
        JOB, started(PRIVATE_WEB, inheriting(OTHER, Role.ADMIN)), NOTHING
    ),
    "A8: on the workflow access list with read": (JOB, started(workflow_role=READ), READING),
    "A8: with write": (JOB, started(workflow_role=WRITE), WRITING),
    "A8: with admin": (JOB, started(workflow_role=ADMIN), EVERYTHING - {ADMINISTER}),
    "A8: the greater of list and link counts": (
        JOB, started(PRIVATE_WEB, inheriting(PRIVATE_WEB), workflow_role=READ), WRITING
    ),
    "A8: the same, the list's": (
        JOB, started(PRIVATE_WEB, inheriting(PRIVATE_WEB), workflow_role=ADMIN), EVERYTHING - {ADMINISTER}
    ),
    "A8: on the Codespaces access list is not on this one": (JOB, started(listed=True), NOTHING),
    "A8: packages: read pulls only": (READING_JOB, started(workflow_role=ADMIN), READING),
    "A8: packages: read adds nothing": (READING_JOB, started(), NOTHING),
    "A8: without packages nothing": (BARE_JOB, started(workflow_role=ADMIN), NOTHING),
    "A8: without packages what is public (A1)": (BARE_JOB, started(facts=OPEN, workflow_role=ADMIN), READING),
    "A8: its maker's own roles count for nothing": (
        JOB, started(PRIVATE_WEB, replace(SECRET, is_owner=True, is_member=True, user_role=ADMIN)), NOTHING
    ),
    "A8: an internal package of the organization is not named": (
        JOB, started(PRIVATE_WEB, replace(INNER, is_member=True)), NOTHING
    ),
    "A8: its maker must still be let write to the repository": (
        JOB, started(role=Role.TRIAGE, workflow_role=ADMIN), NOTHING
    ),
    "A8: reading a public repository is not enough": (
        JOB, started(PUBLIC_WEB, role=Role.NONE, workflow_role=ADMIN), NOTHING
    ),
    "A8: a deleted repository opens nothing": (JOB, replace(SECRET, source=None, is_owner=True), NOTHING),
    "A14: a job has no scopes, whatever they say": (
        replace(BARE_JOB, scopes=PACKAGE_SCOPES), replace(started(workflow_role=ADMIN), is_owner=True), NOTHING
    ),
}  # fmt: skip
CASES = {**PEOPLE, **CODESPACES, **JOBS}


@pytest.mark.parametrize(("subject", "facts", "allowed"), CASES.values(), ids=CASES.keys())
def test_who_may_do_what(subject: Subject | None, facts: PackageFacts, allowed: frozenset[PackageAction]) -> None:
    decisions = {action: decide_package(subject, facts, action) for action in PackageAction}
    assert {action for action, decision in decisions.items() if decision.allowed} == allowed
    for action, decision in decisions.items():
        assert bool(decision) is decision.allowed
        assert decision.may_know_it_exists is (PULL in allowed)  # A13
        last = decision.trail[-1]
        assert last.rule == f"package.action.{action}"
        assert last.effect is (Effect.ALLOW if decision else Effect.DENY)


def rules(decision: Decision) -> list[str]:
    return [reason.rule for reason in decision.trail]


TRAILS = {
    "nobody": (None, SECRET, PULL, ["package.anonymous", "package.action.pull"]),
    "public, first of all": (
        None, OPEN, PULL, ["package.visibility.public", "package.anonymous", "package.action.pull"]
    ),
    "no role": (PAT, MEMBERS, PULL, ["package.role.none", "package.action.pull"]),
    "every source of a role": (
        PAT,
        inheriting(PRIVATE_WEB, Role.PULL, replace(INNER, is_owner=True, is_member=True, user_role=READ)),
        DELETE,
        ["package.owner", "package.visibility.internal", "package.grant", "package.inherited", "package.action.delete"],
    ),
    "a grant that does not hold": (
        PAT, replace(SECRET, user_role=ADMIN), PUSH, ["package.grant.outside", "package.action.push"]
    ),
    "scopes that cap": (
        scoped(Scope.READ_PACKAGES),
        replace(MEMBERS, user_role=WRITE),
        PUSH,
        ["package.grant", "package.scope.missing", "package.action.push"],
    ),
    "a codespace of a public repository": (
        CODESPACE, started_in_linked(PUBLIC_WEB), PULL, ["package.codespace.public_repository", "package.action.pull"]
    ),
    "a codespace with every right to pull": (
        CODESPACE,
        replace(started_in_linked(PRIVATE_WEB, listed=True), visibility=INTERNAL),
        PULL,
        [
            "package.codespace.listed", "package.codespace.linked", "package.codespace.internal", "package.action.pull",
        ],
    ),
    "a codespace of a public repository that is on the list": (
        CODESPACE,
        replace(started_in_linked(PUBLIC_WEB, listed=True), visibility=INTERNAL),
        PULL,
        ["package.codespace.listed", "package.action.pull"],
    ),
    "a codespace with none": (CODESPACE, started(), PULL, ["package.codespace.not_linked", "package.action.pull"]),
    "a codespace of nothing": (CODESPACE, SECRET, PULL, ["package.codespace.no_repository", "package.action.pull"]),
    "a job with every right to push": (
        JOB,
        started(PRIVATE_WEB, inheriting(PRIVATE_WEB), workflow_role=WRITE),
        PUSH,
        ["package.workflow.listed", "package.workflow.linked", "package.action.push"],
    ),
    "a job that may only read": (
        READING_JOB,
        started(workflow_role=WRITE),
        PUSH,
        ["package.workflow.listed", "package.workflow.permission", "package.action.push"],
    ),
    "a job with none": (JOB, started(), PULL, ["package.workflow.not_linked", "package.action.pull"]),
    "a job of nothing": (JOB, SECRET, PULL, ["package.workflow.no_repository", "package.action.pull"]),
    "an unknown kind": (STRANGE, SECRET, PULL, ["package.token.unknown", "package.action.pull"]),
}  # fmt: skip


@pytest.mark.parametrize(("subject", "facts", "action", "expected"), TRAILS.values(), ids=TRAILS.keys())
def test_the_trail_names_the_rules_in_evaluation_order(
    subject: Subject | None, facts: PackageFacts, action: PackageAction, expected: list[str]
) -> None:
    assert rules(decide_package(subject, facts, action)) == expected


def test_the_trail_says_what_each_source_gives() -> None:
    role, trail = account_role(replace(MEMBERS, visibility=INTERNAL, user_role=WRITE))
    assert role is WRITE
    assert [reason.text.rpartition(": ")[2] for reason in trail] == ["read.", "write."]


LIMITS = {
    "pulling is never refused without looking": (None, PULL, None),
    "nor for a token without scopes": (scoped(), PULL, None),
    "nor in a codespace": (CODESPACE, PULL, None),
    "nor for a job": (BARE_JOB, PULL, None),
    "A1: anonymous pushes nothing": (None, PUSH, "This needs a login."),
    "A6: the scope to push": (scoped(Scope.READ_PACKAGES), PUSH, "Your token lacks the scope write:packages."),
    "A6: the scopes to delete": (
        scoped(Scope.WRITE_PACKAGES), DELETE, "Your token lacks the scope delete:packages and read:packages."
    ),
    "A6: one of two scopes": (
        scoped(Scope.READ_PACKAGES), DELETE, "Your token lacks the scope delete:packages."
    ),
    "A6: a token that has them": (PAT, DELETE, None),
    "A7: what a codespace needs to push": (
        CODESPACE,
        PUSH,
        (
            "A codespace's token pulls only. To push from a codespace, log in with a personal access token that has "
            "the scope write:packages."
        ),
    ),
    "A8: a job that may only read": (
        READING_JOB, PUSH, "The workflow's token has packages: read; this needs packages: write."
    ),
    "A8: a job that may write": (JOB, PUSH, None),
    "A14: an unknown kind": (STRANGE, PUSH, "This kind of token opens no package."),
}  # fmt: skip


@pytest.mark.parametrize(("subject", "action", "text"), LIMITS.values(), ids=LIMITS.keys())
def test_what_a_token_can_do_with_no_package_at_all(
    subject: Subject | None, action: PackageAction, text: str | None
) -> None:
    limit = limit_of_token(subject, action)
    assert (None if limit is None else limit.text) == text
    assert limit is None or limit.effect is Effect.DENY


@pytest.mark.parametrize(("subject", "action"), [row[:2] for row in LIMITS.values() if row[2]])
def test_what_a_token_cannot_do_at_all_no_package_lets_it_do(subject: Subject | None, action: PackageAction) -> None:
    """The sentence about the token is said before anybody looks: it must be true whatever there is."""
    for facts in (
        replace(started(listed=True, workflow_role=ADMIN), is_owner=True, is_member=True),
        replace(started_in_linked(PRIVATE_WEB, listed=True), is_owner=True, visibility=PUBLIC),
    ):
        assert not decide_package(subject, facts, action)


NAMESPACE = NamespaceFacts(owner_id=ACME, is_owner=False, is_member=False)
IN_ACME = replace(NAMESPACE, is_member=True)
OWNS = replace(IN_ACME, is_owner=True)
NO_INHERITANCE = PackagePolicy(inherit_access_default=False)


def only(*visibilities: Visibility) -> PackagePolicy:
    return PackagePolicy(creatable_visibilities=frozenset(visibilities))


def at_work(
    repository: RepositoryFacts,
    facts: NamespaceFacts = NAMESPACE,
    *,
    role: Role = Role.PUSH,
    owner_id: int = ACME,
) -> NamespaceFacts:
    return replace(facts, source=SourceFacts(repository=replace(repository, collaborator_role=role), owner_id=owner_id))


# Visibility, inheritance, link and the repository's role on the workflow access list, where it may be made.
_AS_A9 = (PRIVATE, False, None, PackageRole.NONE)
CREATIONS = {
    "A9: a person's is private, inherits nothing and is not linked": (PAT, IN_ACME, _AS_A9),
    "A9: in one's own account": (PAT, replace(NAMESPACE, is_owner=True), _AS_A9),
    "A9: in an organization of one's own": (PAT, OWNS, _AS_A9),
    "A9: even if the organization inherits by default": (PAT, replace(IN_ACME, policy=only(PRIVATE)), _AS_A9),
    "A9: nowhere else": (PAT, NAMESPACE, None),
    "A6: not without write:packages": (scoped(Scope.READ_PACKAGES, Scope.REPO), OWNS, None),
    "A1: not without a login": (None, OWNS, None),
    "A7: not in a codespace": (CODESPACE, at_work(PRIVATE_WEB, OWNS), None),
    "A8: a job's is as visible as its repository, linked and inheriting: private": (
        JOB, at_work(PRIVATE_WEB), (PRIVATE, True, WEB, PackageRole.NONE)
    ),
    "A8: the same: public": (JOB, at_work(PUBLIC_WEB), (PUBLIC, True, WEB, PackageRole.NONE)),
    "A8: the same: internal": (JOB, at_work(INTERNAL_WEB), (INTERNAL, True, WEB, PackageRole.NONE)),
    "A8: where inheritance is switched off its repository is on the list, or it could not push": (
        JOB, at_work(PRIVATE_WEB, replace(NAMESPACE, policy=NO_INHERITANCE)), (PRIVATE, False, WEB, WRITE)
    ),
    "A8: not under another owner": (JOB, at_work(PRIVATE_WEB, OWNS, owner_id=OTTO), None),
    "A8: not for who may not write to the repository": (JOB, at_work(PRIVATE_WEB, OWNS, role=Role.TRIAGE), None),
    "A8: not for a public repository's readers": (JOB, at_work(PUBLIC_WEB, OWNS, role=Role.NONE), None),
    "A8: not of a deleted repository": (JOB, OWNS, None),
    "A8: not with packages: read": (READING_JOB, at_work(PRIVATE_WEB, OWNS), None),
    "A11: not with a visibility that members may not create": (PAT, replace(IN_ACME, policy=only(PUBLIC)), None),
    "A11: owners may": (PAT, replace(OWNS, policy=only()), _AS_A9),
    "A11: a job may not, whoever made it": (JOB, at_work(PUBLIC_WEB, replace(OWNS, policy=only(PRIVATE))), None),
    "A11: a job may what members may": (
        JOB, at_work(PUBLIC_WEB, replace(NAMESPACE, policy=only(PUBLIC))), (PUBLIC, True, WEB, PackageRole.NONE)
    ),
    "A14: not with a token of an unknown kind": (STRANGE, at_work(PRIVATE_WEB, OWNS), None),
}  # fmt: skip


@pytest.mark.parametrize(("subject", "facts", "made"), CREATIONS.values(), ids=CREATIONS.keys())
def test_who_makes_which_package(
    subject: Subject | None,
    facts: NamespaceFacts,
    made: tuple[Visibility, bool, int | None, PackageRole] | None,
) -> None:
    creation = decide_creation(subject, facts)
    assert bool(creation.decision) is (made is not None)
    assert creation.decision.trail[-1].effect is (Effect.DENY if made is None else Effect.ALLOW)
    if made is None:
        assert creation == Creation(decision=creation.decision)  # nothing of what it would have been
    else:
        assert creation.decision.may_know_it_exists
        assert (creation.visibility, creation.inherits_access, creation.repository_id, creation.workflow_role) == made


FREE_NAMES = {
    "who may not make packages there": (PAT, NAMESPACE, False, ["package.create.namespace"]),
    "whose token makes none": (scoped(), OWNS, False, ["package.scope.missing"]),
    "a job of another owner": (JOB, at_work(PRIVATE_WEB, owner_id=OTTO), False, ["package.create.workflow"]),
    "A11: a member who may not make such ones is told why": (
        PAT, replace(IN_ACME, policy=only()), True, ["package.create.namespace", "package.policy.visibility"]
    ),
}  # fmt: skip


@pytest.mark.parametrize(("subject", "facts", "told", "expected"), FREE_NAMES.values(), ids=FREE_NAMES.keys())
def test_a13_who_learns_that_a_name_is_free(
    subject: Subject | None, facts: NamespaceFacts, told: bool, expected: list[str]
) -> None:
    decision = decide_creation(subject, facts).decision
    assert not decision.allowed
    assert decision.may_know_it_exists is told
    assert rules(decision) == expected


def test_every_documented_rule_is_reached_by_a_row() -> None:
    seen = {
        rule
        for subject, facts, _allowed in CASES.values()
        for action in PackageAction
        for rule in rules(decide_package(subject, facts, action))
    }
    seen |= {
        rule for subject, facts, _made in CREATIONS.values() for rule in rules(decide_creation(subject, facts).decision)
    }
    assert seen == {rule for rule in first_cells("access-rules.md") if rule.startswith("package.")}
