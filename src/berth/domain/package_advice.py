"""What a person who is refused a package in his client can do about it. Why he is refused: `domain/package_access.py`.

1. A package that is missing and one that is hidden get one text (A13): it depends on who asks and on what for, and on
   nothing else. What a token lacks by itself may be said of both.
2. Who may know that the package is there is told whom to ask for what.
"""

from collections.abc import Mapping

from berth.domain.access import Decision, Effect, Subject
from berth.domain.access_token import TokenKind
from berth.domain.package_access import PackageAction, limit_of_token
from berth.domain.package_role import PackageRole
from berth.domain.scope import Scope
from berth.domain.workflow_permissions import WorkflowPermission

_LOG_IN = "Log in, with an access token of this server as the password."
_HIDDEN = "There is no such package, or you may not read it."
_HIDDEN_FROM: Mapping[tuple[TokenKind, PackageAction], str] = {
    (TokenKind.PERSONAL, PackageAction.PUSH): (
        "You can neither push to a package of this name nor make one. Push under your own login or an organization of "
        "yours, or ask an admin of the package for the role write."
    ),
    (TokenKind.CODESPACE, PackageAction.PULL): (
        "There is no such package, or this codespace may not read it. It reads packages that are linked to its "
        "repository, or that have its repository on their Codespaces access list."
    ),
    (TokenKind.WORKFLOW, PackageAction.PULL): (
        "There is no such package, or this workflow may not read it. It reads packages that are linked to its "
        "repository, or that have its repository on their workflow access list."
    ),
    (TokenKind.WORKFLOW, PackageAction.PUSH): (
        "This workflow can neither push to a package of this name nor make one. It makes packages under its repository's "
        "owner, and pushes to those that are linked to its repository, or that have it on their workflow access list."
    ),
}
_ROLE_FOR: Mapping[PackageAction, PackageRole] = {
    PackageAction.PULL: PackageRole.READ,
    PackageAction.PUSH: PackageRole.WRITE,
    PackageAction.DELETE: PackageRole.ADMIN,
    PackageAction.ADMINISTER: PackageRole.ADMIN,
}


def say_hidden(subject: Subject | None, action: PackageAction) -> str:
    """Of a package that is missing or hidden (policy 1)."""
    if subject is None:
        what = "There is no public package of this name." if action is PackageAction.PULL else "This needs a login."
        return f"{what} {_LOG_IN}"
    text = _HIDDEN_FROM.get((subject.token_kind, action), _HIDDEN)
    lack = _lack(subject) if action is PackageAction.PULL else None
    return text if lack is None else f"{text} {lack}"


def _lack(subject: Subject) -> str | None:
    """What keeps this token from pulling anything but public packages."""
    if subject.token_kind is TokenKind.PERSONAL and not subject.has(Scope.READ_PACKAGES):
        return f"Your token lacks the scope {Scope.READ_PACKAGES}: it pulls public packages only."
    if subject.token_kind is TokenKind.WORKFLOW and subject.permissions.packages is WorkflowPermission.NONE:
        return "Its token has packages: none; this needs packages: read."
    return None


def find_remedy(subject: Subject, action: PackageAction, decision: Decision | None) -> str:
    """What helps against what `refusal_text` says (policy 2); empty where nothing but that sentence does."""
    if limit_of_token(subject, action) is not None:
        return "Log in with one that has it." if subject.token_kind is TokenKind.PERSONAL else ""
    denials = () if decision is None else [reason.rule for reason in decision.trail if reason.effect is Effect.DENY]
    if "package.policy.visibility" in denials:
        return "Ask an owner of the organization to allow them."
    if f"package.action.{action}" not in denials:
        return ""
    role = _ROLE_FOR[action].word
    if subject.token_kind is TokenKind.WORKFLOW:
        return f"Ask an admin of the package to put the repository on its workflow access list, with the role {role}."
    return f"Ask an admin of the package for the role {role}."
