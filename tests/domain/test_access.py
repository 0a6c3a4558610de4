"""The decision table of domain.access; the numbers are those of its policy and of DESIGN section 2."""

from dataclasses import replace

import pytest

from berth.domain.access import (
    Action,
    Effect,
    OrganizationFacts,
    RepositoryFacts,
    Subject,
    decide_repository,
    effective_role,
    role_without_token,
)
from berth.domain.access_token import TokenKind
from berth.domain.repository import Visibility
from berth.domain.role import Role
from berth.domain.scope import Scope
from berth.domain.workflow_permissions import parse_permissions

PRIVATE = RepositoryFacts(repository_id=7, visibility=Visibility.PRIVATE, is_owner=False, is_member=False)
PUBLIC = replace(PRIVATE, visibility=Visibility.PUBLIC)
INTERNAL = replace(PRIVATE, visibility=Visibility.INTERNAL)
PAT = Subject(
    account_id=1,
    login="octo",
    site_admin=False,
    token_kind=TokenKind.PERSONAL,
    token_id=1,
    scopes=frozenset({Scope.REPO, Scope.PUBLIC_REPO}),
)
PUBLIC_PAT = replace(PAT, scopes=frozenset({Scope.PUBLIC_REPO}))
BARE_PAT = replace(PAT, scopes=frozenset())
OWN_CODESPACE = replace(PAT, token_kind=TokenKind.CODESPACE, codespace_id=1, codespace_repository_id=7)
OTHER_CODESPACE = replace(OWN_CODESPACE, codespace_repository_id=8)
LOST_CODESPACE = replace(OWN_CODESPACE, codespace_repository_id=None)
WRITING_JOB = replace(
    PAT,
    token_kind=TokenKind.WORKFLOW,
    scopes=frozenset(),
    workflow_repository_id=7,
    permissions=parse_permissions({"contents": "write"}),
)
READING_JOB = replace(WRITING_JOB, permissions=parse_permissions({"contents": "read", "packages": "write"}))
BARE_JOB = replace(WRITING_JOB, permissions=parse_permissions({"packages": "write"}))
OTHER_JOB = replace(WRITING_JOB, workflow_repository_id=8)
LOST_JOB = replace(WRITING_JOB, workflow_repository_id=None)


def owned(facts: RepositoryFacts) -> RepositoryFacts:
    return replace(facts, is_owner=True)


CASES = {
    "1: the owner administers": (PAT, owned(PRIVATE), Role.ADMIN),
    "1: a collaborator has his role": (PAT, replace(PRIVATE, collaborator_role=Role.TRIAGE), Role.TRIAGE),
    "1: a team's role": (PAT, replace(PRIVATE, team_role=Role.MAINTAIN), Role.MAINTAIN),
    "1: the greatest role counts": (
        PAT, replace(PRIVATE, collaborator_role=Role.PULL, team_role=Role.PUSH), Role.PUSH
    ),
    "1: a member reads a private repository of his organization": (PAT, replace(PRIVATE, is_member=True), Role.PULL),
    "1, A5: a member reads an internal repository": (PAT, replace(INTERNAL, is_member=True), Role.PULL),
    "1: a stranger has nothing on a private one": (PAT, PRIVATE, Role.NONE),
    "1: a stranger has nothing on an internal one": (PAT, INTERNAL, Role.NONE),
    "1: anyone reads a public one": (PAT, PUBLIC, Role.PULL),
    "1: anonymous reads a public one": (None, PUBLIC, Role.PULL),
    "1: anonymous has nothing on a private one": (None, PRIVATE, Role.NONE),
    "1: a site administrator has no role of his own": (replace(PAT, site_admin=True), PRIVATE, Role.NONE),
    "2, A6: public_repo administers a public one": (PUBLIC_PAT, owned(PUBLIC), Role.ADMIN),
    "2, A6: public_repo does not open a private one": (PUBLIC_PAT, owned(PRIVATE), Role.NONE),
    "2, A6: no scope reads a public one only": (BARE_PAT, owned(PUBLIC), Role.PULL),
    "2, A6: no scope does not open a private one": (BARE_PAT, owned(PRIVATE), Role.NONE),
    "2, A6: a scope never adds": (PAT, replace(PRIVATE, collaborator_role=Role.PULL), Role.PULL),
    "2, L9: a codespace pushes to its own repository": (OWN_CODESPACE, owned(PRIVATE), Role.PUSH),
    "2, L9: only as far as its user may": (OWN_CODESPACE, replace(PRIVATE, collaborator_role=Role.PULL), Role.PULL),
    "2: a codespace opens no other private one": (OTHER_CODESPACE, owned(PRIVATE), Role.NONE),
    "2: a codespace reads other public ones": (OTHER_CODESPACE, owned(PUBLIC), Role.PULL),
    "2: a codespace without a repository opens nothing": (LOST_CODESPACE, owned(PRIVATE), Role.NONE),
    "2, A8: a job with contents: write pushes to its own repository": (WRITING_JOB, owned(PRIVATE), Role.PUSH),
    "2, A8: a job administers nothing": (WRITING_JOB, owned(PUBLIC), Role.PUSH),
    "2, A8: a job does no more than its maker may now": (
        WRITING_JOB, replace(PRIVATE, collaborator_role=Role.PULL), Role.PULL
    ),
    "2, A8: a job of who may nothing any more has nothing": (WRITING_JOB, PRIVATE, Role.NONE),
    "2, A8: a job with contents: read reads its own repository": (READING_JOB, owned(PRIVATE), Role.PULL),
    "2, A8: without contents a job has nothing, packages add nothing": (BARE_JOB, owned(PRIVATE), Role.NONE),
    "2, A8: without contents a job reads what is public": (BARE_JOB, owned(PUBLIC), Role.PULL),
    "2, A8: a job opens no other private one": (OTHER_JOB, owned(PRIVATE), Role.NONE),
    "2, A8: a job opens no other internal one": (OTHER_JOB, replace(INTERNAL, is_member=True), Role.NONE),
    "2, A8: a job reads other public ones": (OTHER_JOB, owned(PUBLIC), Role.PULL),
    "2, A14: a job without a repository opens nothing": (LOST_JOB, owned(PRIVATE), Role.NONE),
    "2, A14: a job has no scopes, whatever they say": (
        replace(BARE_JOB, scopes=PAT.scopes), owned(PRIVATE), Role.NONE
    ),
    "2, A14: a codespace's repository is not a job's": (
        replace(LOST_JOB, codespace_repository_id=7), owned(PRIVATE), Role.NONE
    ),
    "2, A14: a job's permissions give a personal token nothing": (
        replace(WRITING_JOB, token_kind=TokenKind.PERSONAL), owned(PRIVATE), Role.NONE
    ),
}  # fmt: skip


@pytest.mark.parametrize(("subject", "facts", "role"), CASES.values(), ids=CASES.keys())
def test_the_role_is_the_lesser_of_account_and_token(
    subject: Subject | None, facts: RepositoryFacts, role: Role
) -> None:
    assert effective_role(subject, facts) is role
    for action, least in ((Action.READ, Role.PULL), (Action.WRITE, Role.PUSH), (Action.ADMINISTER, Role.ADMIN)):
        decision = decide_repository(subject, facts, action)
        assert bool(decision) is decision.allowed is (role >= least)
        assert decision.may_know_it_exists is (role >= Role.PULL)
        assert decision.trail[-1].effect is (Effect.ALLOW if decision else Effect.DENY)


def test_the_trail_names_the_rules_in_evaluation_order() -> None:
    decision = decide_repository(BARE_PAT, owned(PRIVATE), Action.READ)
    assert [reason.rule for reason in decision.trail] == ["role.admin", "scope.missing", "action.pull"]
    jobs = {
        subject.permissions.format(): [
            reason.rule for reason in decide_repository(subject, owned(PRIVATE), Action.READ).trail
        ]
        for subject in (WRITING_JOB, BARE_JOB)
    }
    assert jobs == {
        "contents=write packages=none": ["role.admin", "token.workflow.own", "action.pull"],
        "contents=none packages=write": ["role.admin", "token.workflow.contents", "action.pull"],
    }
    other = decide_repository(OTHER_JOB, owned(PRIVATE), Action.READ)
    assert [reason.rule for reason in other.trail] == ["role.admin", "token.workflow.other", "action.pull"]
    anonymous = decide_repository(None, PUBLIC, Action.WRITE)
    assert [reason.rule for reason in anonymous.trail] == ["role.pull", "action.push"]


def test_the_accounts_own_role_ignores_the_token() -> None:
    assert role_without_token(owned(PRIVATE)) is Role.ADMIN


def test_nobody_is_nothing_in_an_organization() -> None:
    assert OrganizationFacts() == OrganizationFacts(is_owner=False, is_member=False)


def test_a_subject_has_the_scopes_of_its_token() -> None:
    assert PAT.has(Scope.REPO)
    assert not PAT.has(Scope.SITE_ADMIN)
