"""Who may have codespaces of an organization's repositories, as its owners set it.

Policy, in evaluation order; reading the repository is a condition before all of it, and not decided here:
0. A user who is suspended has none (domain/suspension.py).
1. A user's own repositories, and an organization that never said anything: whoever may read.
2. `disabled`: nobody, its owners included.
3. `all_members`: its members. `all_members_and_outside_collaborators`: also those with a role on the repository by name.
   `selected_members`: those on the list who still are one or the other.
4. What is none of these words is refused (A14).

It is asked when a codespace is created, started, launched, and given secrets: whoever may have none gets no secrets
either. What runs already goes on until it stops. Source: GitHub REST docs, "Codespaces organizations", manage access control.
"""

from dataclasses import dataclass
from enum import StrEnum

from berth.domain.access import Decision, Effect, Reason, RepositoryFacts
from berth.domain.problem import Denied, Invalid
from berth.domain.role import Role
from berth.domain.suspension import suspended, why_suspended

MAX_NAMES = 100  # in one request. Source: GitHub's OpenAPI description, selected_usernames


class AccessVisibility(StrEnum):
    """GitHub's words."""

    DISABLED = "disabled"
    SELECTED_MEMBERS = "selected_members"
    ALL_MEMBERS = "all_members"
    ALL_AND_COLLABORATORS = "all_members_and_outside_collaborators"


@dataclass(frozen=True, slots=True, kw_only=True)
class CodespaceAccess:
    """What the repository's owner says of one user, and the server. `visibility` is None where nothing was said."""

    visibility: str | None = None
    is_selected: bool = False
    is_suspended: bool = False


def decide_access(access: CodespaceAccess, facts: RepositoryFacts) -> Decision:
    """May this user have a codespace of this repository, which he may read?"""
    if access.is_suspended:
        return _deny(why_suspended())
    outside = max(facts.collaborator_role, facts.team_role) > Role.NONE
    match access.visibility:
        case None:
            return _allow(Reason("codespace.access.open", Effect.ALLOW, "Whoever reads the repository may."))
        case AccessVisibility.DISABLED:
            return _deny(Reason("codespace.access.disabled", Effect.DENY, "The organization allows no codespaces."))
        case AccessVisibility.ALL_MEMBERS if facts.is_member:
            return _allow(Reason("codespace.access.member", Effect.ALLOW, "All members of the organization may."))
        case AccessVisibility.ALL_AND_COLLABORATORS if facts.is_member or outside:
            text = "All members of the organization and collaborators of the repository may."
            return _allow(Reason("codespace.access.collaborator", Effect.ALLOW, text))
        case AccessVisibility.SELECTED_MEMBERS if access.is_selected and (facts.is_member or outside):
            return _allow(Reason("codespace.access.selected", Effect.ALLOW, "The organization selected this user."))
        case _:
            return _deny(
                Reason("codespace.access.none", Effect.DENY, "The organization allows this user no codespaces.")
            )


def require_access(decision: Decision, organization: str) -> None:
    """Raises Denied."""
    if why_suspended() in decision.trail:
        raise suspended()
    if not decision:
        raise Denied(
            f"{decision.trail[-1].text.rstrip('.')}: {organization}.",
            code="codespace.access",
            remedy=f"Ask an owner of {organization}.",
        )


def parse_visibility(word: str) -> AccessVisibility:
    """Raises Invalid."""
    try:
        return AccessVisibility(word)
    except ValueError:
        raise Invalid(
            f"visibility is one of {', '.join(AccessVisibility)}.", field="visibility", code="codespace.access_words"
        ) from None


def check_names(names: list[str] | None) -> frozenset[str]:
    """The users that a request names, in lower case. Raises Invalid."""
    if names is None or len(names) > MAX_NAMES:
        raise Invalid(
            f"selected_usernames are at most {MAX_NAMES} names.",
            field="selected_usernames",
            reason="missing_field" if names is None else "invalid",
            code="codespace.access_words",
        )
    return frozenset(name.lower() for name in names)


def _allow(reason: Reason) -> Decision:
    return Decision(allowed=True, may_know_it_exists=True, trail=(reason,))


def _deny(reason: Reason) -> Decision:
    return Decision(allowed=False, may_know_it_exists=True, trail=(reason,))
