"""Who may do what with a package of the built-in registry. One pure decision, with the trail of rules applied.

Policy; numbers in brackets are DESIGN's, section 2 A:
1. What a person may do is the lesser of his role and his token's scopes. His role is the greatest of
   a) admin: the owning user, an owner of the owning organization (A2);
   b) read on a public package, and on an internal one for members of its organization (A1, A5);
   c) what he or a team of his was granted; on a private or internal package of an organization only while he is a
      member of it (A3);
   d) if the package inherits access: his explicit role on the repository that it is linked to (A4). Being a member of
      the organization counts as one on a private or internal repository, where it is the base permission; that
      everybody reads a public repository counts for nothing.
2. Scopes (A6): pull needs read:packages, push and settings write:packages, delete delete:packages and read:packages.
   Pulling a public package needs none.
3. A codespace's token only pulls (A7), if its user may still read the repository that the codespace was launched from and
   a) the package is public, or b) it is linked to that repository with inheritance on, and the repository is not public, or
   c) the repository is on the package's Codespaces access list, or d) the package is internal, of the same organization,
   and the repository is not public.
4. A workflow's token (A8) may do as much as its permissions say with what is linked to its repository with inheritance on
   (write), or names its repository on its workflow access list (with that role); and pull what is public. Whoever
   asked for the token must still be allowed to write to the repository. It never changes settings.
5. What the caller may not pull does not exist for him (A13).
6. Everything unknown is denied (A14).
7. New packages: a person makes private ones that inherit nothing, in his own account and in his organizations (A9); a
   workflow makes them under its repository's owner, linked to it, as visible as the repository is, inheriting access
   unless the organization says otherwise (A8): then the repository is on the workflow access list with write, or its
   jobs could not even finish the first push. Both only with a visibility that the organization lets members create (A11).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from berth.domain.access import Decision, Effect, Reason, RepositoryFacts, Subject, role_without_token
from berth.domain.access_token import TokenKind
from berth.domain.package import DEFAULT_POLICY, PackagePolicy, is_closed
from berth.domain.package_role import INHERITED, PackageRole
from berth.domain.repository import Visibility
from berth.domain.role import Role
from berth.domain.scope import Scope
from berth.domain.workflow_permissions import WorkflowPermission


class PackageAction(StrEnum):
    """What can be asked of a package. The registry's own words, and `administer` for its settings."""

    PULL = "pull"
    PUSH = "push"
    DELETE = "delete"
    ADMINISTER = "administer"


_Actions = frozenset[PackageAction]
_NOTHING: _Actions = frozenset()
_PULL = frozenset({PackageAction.PULL})
_ACTIONS_OF_ROLE: Mapping[PackageRole, _Actions] = {
    PackageRole.NONE: _NOTHING,
    PackageRole.READ: _PULL,
    PackageRole.WRITE: _PULL | {PackageAction.PUSH},
    PackageRole.ADMIN: frozenset(PackageAction),
}
_SCOPES_OF_ACTION: Mapping[PackageAction, frozenset[Scope]] = {
    PackageAction.PULL: frozenset({Scope.READ_PACKAGES}),
    PackageAction.PUSH: frozenset({Scope.WRITE_PACKAGES}),
    PackageAction.DELETE: frozenset({Scope.READ_PACKAGES, Scope.DELETE_PACKAGES}),
    PackageAction.ADMINISTER: frozenset({Scope.WRITE_PACKAGES}),
}
_ACTIONS_OF_PERMISSION: Mapping[WorkflowPermission, _Actions] = {
    WorkflowPermission.NONE: _NOTHING,
    WorkflowPermission.READ: _PULL,
    # Decided: no settings. A job that runs a stranger's code could open a package to everybody, for ever (A10).
    WorkflowPermission.WRITE: frozenset(PackageAction) - {PackageAction.ADMINISTER},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFacts:
    """The repository behind a codespace's or a workflow's token, with the account's facts about it."""

    repository: RepositoryFacts
    owner_id: int
    on_codespaces_list: bool = False
    workflow_role: PackageRole = PackageRole.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageFacts:
    """What the store knows of one subject and one package, gathered in one look."""

    package_id: int
    owner_id: int
    owner_is_organization: bool
    visibility: Visibility
    inherits_access: bool
    is_owner: bool  # the owning user, or an owner of the owning organization
    is_member: bool  # any member of the owning organization
    user_role: PackageRole = PackageRole.NONE  # granted by name
    team_role: PackageRole = PackageRole.NONE
    linked: RepositoryFacts | None = None  # of the repository that the package is linked to
    source: SourceFacts | None = None  # only for a codespace's or a workflow's token


@dataclass(frozen=True, slots=True)
class _Permitted:
    """Actions, and the reasons for them and for what is missing."""

    actions: _Actions
    trail: tuple[Reason, ...]


def decide_package(subject: Subject | None, facts: PackageFacts, action: PackageAction) -> Decision:
    """May the subject do this with the package?"""
    permitted = _permitted(subject, facts)
    trail = permitted.trail
    if facts.visibility is Visibility.PUBLIC:
        trail = (Reason("package.visibility.public", Effect.ABSTAIN, "Everybody may pull a public package."), *trail)
        permitted = _Permitted(permitted.actions | _PULL, trail)
    allowed = action in permitted.actions
    if allowed:
        reason = Reason(f"package.action.{action}", Effect.ALLOW, f"This gives the right to {action}.")
    else:
        reason = Reason(f"package.action.{action}", Effect.DENY, f"Nothing gives the right to {action}.")
    return Decision(allowed, PackageAction.PULL in permitted.actions, (*trail, reason))


def limit_of_token(subject: Subject | None, action: PackageAction) -> Reason | None:
    """Why this token can do this with no package at all, whatever there is; None if it is not the token's fault.

    It tells nothing about packages, so it may be said of hidden and missing ones alike. Pulling is never refused
    here: public packages need no token.
    """
    if action is PackageAction.PULL:
        return None
    if subject is None:
        return Reason("package.token.anonymous", Effect.DENY, "This needs a login.")
    match subject.token_kind:
        case TokenKind.PERSONAL:
            missing = _SCOPES_OF_ACTION[action] - subject.scopes
            if not missing:
                return None
            text = f"Your token lacks the scope {' and '.join(sorted(missing))}."
            return Reason("package.scope.missing", Effect.DENY, text)
        case TokenKind.CODESPACE:
            text = (
                "A codespace's token pulls only. To push from a codespace, log in with a personal access token that has "
                "the scope write:packages."
            )
            return Reason("package.codespace.pull_only", Effect.DENY, text)
        case TokenKind.WORKFLOW:
            if action in _ACTIONS_OF_PERMISSION[subject.permissions.packages]:
                return None
            text = f"The workflow's token has packages: {subject.permissions.packages}; this needs packages: write."
            if action is PackageAction.ADMINISTER:
                text = "A workflow's token changes no settings of packages; use a personal access token."
            return Reason("package.workflow.permission", Effect.DENY, text)
        case _:
            return Reason("package.token.unknown", Effect.DENY, "This kind of token opens no package.")


def refusal_text(subject: Subject | None, action: PackageAction, decision: Decision | None) -> str | None:
    """What the caller is told of a refusal; None: the package does not exist for him (policy 5).

    `decision` is None for a package that does not exist at all; what the token itself lacks is said of both alike.
    """
    limit = limit_of_token(subject, action)
    if limit is not None:
        return limit.text
    if decision is None or not decision.may_know_it_exists:
        return None
    return " ".join(reason.text for reason in decision.trail if reason.effect is Effect.DENY)


def _permitted(subject: Subject | None, facts: PackageFacts) -> _Permitted:
    if subject is None:
        return _Permitted(_NOTHING, (Reason("package.anonymous", Effect.ABSTAIN, "Nobody is logged in."),))
    match subject.token_kind:
        case TokenKind.PERSONAL:
            return _of_person(subject, facts)
        case TokenKind.CODESPACE:
            return _of_codespace(facts)
        case TokenKind.WORKFLOW:
            return _of_workflow(subject, facts)
        case _:
            return _Permitted(_NOTHING, (Reason("package.token.unknown", Effect.DENY, "Unknown kind of token."),))


def account_role(facts: PackageFacts) -> tuple[PackageRole, tuple[Reason, ...]]:
    """The account's own role (policy 1 a to d), before any token caps it, and where it comes from."""
    found: list[tuple[PackageRole, Reason]] = []

    def add(role: PackageRole, rule: str, text: str) -> None:
        found.append((role, Reason(rule, Effect.ABSTAIN, f"{text}: {role.word}.")))

    if facts.is_owner:
        add(PackageRole.ADMIN, "package.owner", "The account owns the package, or its organization")
    if facts.visibility is Visibility.INTERNAL and facts.is_member:
        add(
            PackageRole.READ,
            "package.visibility.internal",
            "Every member of the organization reads an internal package",
        )
    granted = max(facts.user_role, facts.team_role)
    if granted is not PackageRole.NONE:
        closed = is_closed(facts.visibility, owner_is_organization=facts.owner_is_organization)
        if closed and not facts.is_member:
            text = "A grant on a package that is not public holds for members of its organization only"
            add(PackageRole.NONE, "package.grant.outside", text)
        else:
            add(granted, "package.grant", "The account, or a team of it, was granted a role")
    if facts.inherits_access and facts.linked is not None:
        inherited = INHERITED[_explicit_role(facts.linked)]
        add(inherited, "package.inherited", "The package inherits access from its repository")
    if not found:
        add(PackageRole.NONE, "package.role.none", "The account has no role on the package")
    return max(role for role, _ in found), tuple(reason for _, reason in found)


def _explicit_role(facts: RepositoryFacts) -> Role:
    """Policy 1 d."""
    if facts.is_owner:
        return Role.ADMIN
    base = Role.PULL if facts.is_member and facts.visibility is not Visibility.PUBLIC else Role.NONE
    return max(base, facts.collaborator_role, facts.team_role)


def _of_person(subject: Subject, facts: PackageFacts) -> _Permitted:
    role, trail = account_role(facts)
    scoped = frozenset(action for action, needed in _SCOPES_OF_ACTION.items() if needed <= subject.scopes)
    actions = _ACTIONS_OF_ROLE[role] & scoped
    capped = _ACTIONS_OF_ROLE[role] - scoped
    if capped:
        text = f"The role is {role.word}, but the token's scopes do not let it {', '.join(sorted(capped))}."
        trail = (*trail, Reason("package.scope.missing", Effect.DENY, text))
    return _Permitted(actions, trail)


def _of_codespace(facts: PackageFacts) -> _Permitted:
    """Policy 3."""
    source = facts.source
    if source is None or role_without_token(source.repository) < Role.PULL:
        text = "The codespace's repository is gone, or its user may not read it any more."
        return _Permitted(_NOTHING, (Reason("package.codespace.no_repository", Effect.DENY, text),))
    public_repository = source.repository.visibility is Visibility.PUBLIC
    linked = facts.linked is not None and facts.linked.repository_id == source.repository.repository_id
    trail: list[Reason] = []
    allowed = False
    if source.on_codespaces_list:
        allowed = True
        text = "The codespace's repository is on the package's Codespaces access list."
        trail.append(Reason("package.codespace.listed", Effect.ABSTAIN, text))
    if linked and facts.inherits_access and not (public_repository and allowed):
        allowed |= not public_repository
        trail.append(_of_repository("linked", "The package is linked to it and inherits access", public_repository))
    internal = facts.visibility is Visibility.INTERNAL and source.owner_id == facts.owner_id
    if internal and not (public_repository and allowed):  # the list has answered what a public one would lack
        allowed |= not public_repository
        trail.append(_of_repository("internal", "The package is internal to the same organization", public_repository))
    if not trail:
        text = "The codespace's repository is neither linked to the package with inheritance on, nor on its Codespaces access list."
        trail.append(Reason("package.codespace.not_linked", Effect.DENY, text))
    return _Permitted(_PULL if allowed else _NOTHING, tuple(trail))


def _of_repository(word: str, text: str, public: bool) -> Reason:  # noqa: FBT001
    if public:
        refusal = f"{text}, but a public repository needs to be on the package's Codespaces access list."
        return Reason("package.codespace.public_repository", Effect.DENY, refusal)
    return Reason(f"package.codespace.{word}", Effect.ABSTAIN, f"{text}.")


def _of_workflow(subject: Subject, facts: PackageFacts) -> _Permitted:
    """Policy 4."""
    source = facts.source
    if source is None or role_without_token(source.repository) < Role.PUSH:
        text = "The workflow's repository is gone, or whoever started the workflow may not write to it any more."
        return _Permitted(_NOTHING, (Reason("package.workflow.no_repository", Effect.DENY, text),))
    role = source.workflow_role
    trail: list[Reason] = []
    if role is not PackageRole.NONE:
        text = f"The repository is on the package's workflow access list: {role.word}."
        trail.append(Reason("package.workflow.listed", Effect.ABSTAIN, text))
    linked = facts.linked is not None and facts.linked.repository_id == source.repository.repository_id
    if linked and facts.inherits_access:
        role = max(role, PackageRole.WRITE)
        text = "The package is linked to the workflow's repository and inherits access: write."
        trail.append(Reason("package.workflow.linked", Effect.ABSTAIN, text))
    if not trail:
        text = "The package is neither linked to the workflow's repository, nor names it on its workflow access list."
        trail.append(Reason("package.workflow.not_linked", Effect.DENY, text))
    most = _ACTIONS_OF_PERMISSION[subject.permissions.packages]
    if _ACTIONS_OF_ROLE[role] - most:
        text = f"The token has packages: {subject.permissions.packages}."
        trail.append(Reason("package.workflow.permission", Effect.DENY, text))
    return _Permitted(_ACTIONS_OF_ROLE[role] & most, tuple(trail))


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceFacts:
    """What the store knows of one subject and an account under which it wants to make a package."""

    owner_id: int
    is_owner: bool  # the user himself, or an owner of the organization
    is_member: bool
    policy: PackagePolicy = DEFAULT_POLICY
    source: SourceFacts | None = None  # only for a workflow's token


@dataclass(frozen=True, slots=True, kw_only=True)
class Creation:
    """Whether a package may be made, and what it will be (policy 7)."""

    decision: Decision
    visibility: Visibility = Visibility.PRIVATE
    inherits_access: bool = False
    repository_id: int | None = None
    workflow_role: PackageRole = PackageRole.NONE  # of that repository, on the workflow access list


def decide_creation(subject: Subject | None, facts: NamespaceFacts) -> Creation:
    """May the subject make a package under this account, and what will it be?

    `may_know_it_exists` is about the account's unused names: only who could make packages there learns that one is free.
    """
    limit = limit_of_token(subject, PackageAction.PUSH)
    if subject is None or limit is not None:
        reasons = () if limit is None else (limit,)
        return Creation(decision=Decision(allowed=False, may_know_it_exists=False, trail=reasons))
    creation = _creation_of_workflow(facts) if subject.token_kind is TokenKind.WORKFLOW else _creation_of_person(facts)
    forbidden = limit_of_policy(subject, facts.policy, creation.visibility, is_owner=facts.is_owner)
    if not creation.decision or forbidden is None:
        return creation
    trail = (*creation.decision.trail, forbidden)
    return Creation(decision=Decision(allowed=False, may_know_it_exists=True, trail=trail))


def limit_of_policy(
    subject: Subject, policy: PackagePolicy, visibility: Visibility, *, is_owner: bool
) -> Reason | None:
    """Why the organization does not let the subject make a package of this visibility, or give one to it (A11)."""
    owner_himself = is_owner and subject.token_kind is TokenKind.PERSONAL
    if owner_himself or visibility in policy.creatable_visibilities:
        return None
    text = f"The organization does not let members create {visibility} packages."
    return Reason("package.policy.visibility", Effect.DENY, text)


def _creation_of_person(facts: NamespaceFacts) -> Creation:
    allowed = facts.is_owner or facts.is_member
    if allowed:
        reason = Reason(
            "package.create.namespace", Effect.ALLOW, "Packages may be made in one's account and organizations."
        )
    else:
        reason = Reason(
            "package.create.namespace", Effect.DENY, "The account is neither yours nor an organization of yours."
        )
    return Creation(decision=Decision(allowed, allowed, (reason,)))


def _creation_of_workflow(facts: NamespaceFacts) -> Creation:
    source = facts.source
    if source is None or source.owner_id != facts.owner_id or role_without_token(source.repository) < Role.PUSH:
        text = (
            "A workflow makes packages under its repository's owner only, for somebody who may write to the repository."
        )
        reason = Reason("package.create.workflow", Effect.DENY, text)
        return Creation(decision=Decision(allowed=False, may_know_it_exists=False, trail=(reason,)))
    reason = Reason(
        "package.create.workflow", Effect.ALLOW, "A workflow may make packages under its repository's owner."
    )
    inherits_access = facts.policy.inherit_access_default
    return Creation(
        decision=Decision(allowed=True, may_know_it_exists=True, trail=(reason,)),
        visibility=source.repository.visibility,
        inherits_access=inherits_access,
        repository_id=source.repository.repository_id,
        workflow_role=PackageRole.NONE if inherits_access else PackageRole.WRITE,
    )
