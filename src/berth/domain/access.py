"""Who may do what with a repository or an organization. One pure decision, with the trail of rules applied.

Policy, in evaluation order:
1. The role on a repository is the greatest of: owner or organization owner → admin; a collaborator's role; the roles of
   the user's teams; an organization's member → pull on its internal and private repositories (the base permission);
   anyone, also anonymous → pull on a public one. A site administrator has no role of its own: it administers accounts.
2. A token's scopes cap the role (A6): `repo` all, `public_repo` public repositories only; without either only public
   repositories can be read. A codespace token reads and writes, as far as its user may, the repository that its
   codespace was launched from and no other private one. A workflow token (A8) does in its own repository what its
   `contents` permission says, as far as whoever issued it may at that moment; everywhere else, and without that
   permission, it reads what is public.
3. What the role does not let the caller read does not exist for him (A13).
4. Everything unknown is denied (A14).
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import assert_never

from berth.domain.access_token import TokenKind
from berth.domain.repository import Visibility
from berth.domain.role import Role
from berth.domain.scope import Scope
from berth.domain.workflow_permissions import NO_PERMISSIONS, WorkflowPermission, WorkflowPermissions


class Effect(StrEnum):
    """What a rule did to a decision."""

    ALLOW = "allow"
    DENY = "deny"
    ABSTAIN = "abstain"


@dataclass(frozen=True, slots=True)
class Reason:
    """One rule's part in a decision; `rule` is stable, documented and tested by name."""

    rule: str
    effect: Effect
    text: str


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether, whether the caller may know that the thing exists, and why, in evaluation order."""

    allowed: bool
    may_know_it_exists: bool
    trail: tuple[Reason, ...]

    def __bool__(self) -> bool:
        return self.allowed


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Who asks, as his token proves it. Absent (None) is anonymous. `scopes` is already expanded.

    A session of the web console is the person himself, as a personal token with every scope would be; it has a
    `session_id`, and the `token_id` 0, which is no token's.
    """

    account_id: int
    login: str
    site_admin: bool
    token_kind: TokenKind
    token_id: int
    scopes: frozenset[Scope]
    codespace_id: int | None = None
    codespace_repository_id: int | None = None
    workflow_repository_id: int | None = None
    permissions: WorkflowPermissions = NO_PERMISSIONS  # of a workflow token
    session_id: int | None = None

    def has(self, scope: Scope) -> bool:
        return scope in self.scopes


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryFacts:
    """What the store knows of one subject and one repository, gathered in one query."""

    repository_id: int
    visibility: Visibility
    is_owner: bool  # the owning user, or an owner of the owning organization
    is_member: bool  # any member of the owning organization
    collaborator_role: Role = Role.NONE
    team_role: Role = Role.NONE


class Action(StrEnum):
    """What can be asked of a repository. The value names the least role."""

    READ = "pull"
    WRITE = "push"
    ADMINISTER = "admin"


_LEAST_ROLE = {Action.READ: Role.PULL, Action.WRITE: Role.PUSH, Action.ADMINISTER: Role.ADMIN}


def granted_role(facts: RepositoryFacts) -> Role:
    """The role that somebody gave the account, by name or by a membership: not what everybody has."""
    roles = [facts.collaborator_role, facts.team_role]
    if facts.is_owner:
        roles.append(Role.ADMIN)
    if facts.is_member:
        roles.append(Role.PULL)
    return max(roles)


def role_without_token(facts: RepositoryFacts) -> Role:
    """The account's own role (policy 1), before any token caps it."""
    return max(granted_role(facts), Role.PULL if facts.visibility is Visibility.PUBLIC else Role.NONE)


@dataclass(frozen=True, slots=True)
class Cap:
    """The most that a token lets through, and the rule that says so."""

    role: Role
    reason: Reason


def _cap(subject: Subject, facts: RepositoryFacts) -> Cap:
    """Policy 2."""
    match subject.token_kind:
        case TokenKind.PERSONAL:
            return _cap_personal(subject, facts)
        case TokenKind.CODESPACE:
            return _cap_codespace(subject, facts)
        case TokenKind.WORKFLOW:
            return _cap_workflow(subject, facts)
        case _:
            assert_never(subject.token_kind)


def _as_everyone(facts: RepositoryFacts) -> Role:
    return Role.PULL if facts.visibility is Visibility.PUBLIC else Role.NONE


def _cap_personal(subject: Subject, facts: RepositoryFacts) -> Cap:
    if subject.has(Scope.REPO):
        return Cap(Role.ADMIN, Reason("scope.repo", Effect.ABSTAIN, "The token has the scope repo."))
    if facts.visibility is Visibility.PUBLIC and subject.has(Scope.PUBLIC_REPO):
        return Cap(Role.ADMIN, Reason("scope.public_repo", Effect.ABSTAIN, "The token has the scope public_repo."))
    return Cap(_as_everyone(facts), Reason("scope.missing", Effect.DENY, "The token lacks the scope repo."))


def _cap_codespace(subject: Subject, facts: RepositoryFacts) -> Cap:
    if subject.codespace_repository_id == facts.repository_id:
        reason = Reason("token.codespace.own", Effect.ABSTAIN, "The codespace was launched from this repository.")
        return Cap(Role.PUSH, reason)
    reason = Reason("token.codespace.other", Effect.DENY, "A codespace's token opens its own repository only.")
    return Cap(_as_everyone(facts), reason)


_ROLE_OF_CONTENTS = {WorkflowPermission.READ: Role.PULL, WorkflowPermission.WRITE: Role.PUSH}


def _cap_workflow(subject: Subject, facts: RepositoryFacts) -> Cap:
    if subject.workflow_repository_id != facts.repository_id:
        reason = Reason("token.workflow.other", Effect.DENY, "A workflow's token opens its own repository only.")
        return Cap(_as_everyone(facts), reason)
    contents = subject.permissions.contents
    if contents not in _ROLE_OF_CONTENTS:
        reason = Reason("token.workflow.contents", Effect.DENY, "The token lacks the permission contents.")
        return Cap(_as_everyone(facts), reason)
    reason = Reason(
        "token.workflow.own", Effect.ABSTAIN, f"The token is of this repository, with contents: {contents}."
    )
    return Cap(_ROLE_OF_CONTENTS[contents], reason)


def effective_role(subject: Subject | None, facts: RepositoryFacts) -> Role:
    """The lesser of the account's role and what the token lets through."""
    own = role_without_token(facts)
    return own if subject is None else min(own, _cap(subject, facts).role)


def decide_repository(subject: Subject | None, facts: RepositoryFacts, action: Action) -> Decision:
    """May the subject do this with the repository?"""
    own = role_without_token(facts)
    trail = [Reason(f"role.{own.word}", Effect.ABSTAIN, f"The account's role is {own.role_name}.")]
    role = own
    if subject is not None:
        cap = _cap(subject, facts)
        role = min(own, cap.role)
        trail.append(cap.reason)
    least = _LEAST_ROLE[action]
    allowed = role >= least
    effect = Effect.ALLOW if allowed else Effect.DENY
    trail.append(Reason(f"action.{action}", effect, f"This needs the role {least.role_name}; it is {role.role_name}."))
    return Decision(allowed, role >= Role.PULL, tuple(trail))


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganizationFacts:
    """What a subject is in an organization."""

    is_owner: bool = False
    is_member: bool = field(default=False)
