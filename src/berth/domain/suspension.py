"""Suspended users: somebody left, or an account was taken over. What ends, what stays, whom it may concern.

1. A suspended user is nobody to this server: nothing that proved who he is does so any more, whichever kind it is and whoever
   made it. It is looked at where a token or a session becomes a subject, so no edge can forget it.
2. What Berth does in a user's name it does not do for him: launches, starts, exports, prebuilds that he configured, fresh
   credentials and secrets for his codespaces. Those that run are stopped, and kept.
3. His sessions and his invitation end for good. All else is as it was when he is unsuspended: tokens, roles, secrets, codespaces.
4. Nobody suspends himself, and one site administrator at least is not suspended.
5. Only who proved who he is hears that he is suspended: by the password, or by the provider's word. Anybody else hears what he
   would have heard anyway.

Source: GitHub Enterprise Server REST docs, "Users" (enterprise admin), suspend and unsuspend a user.
"""

from dataclasses import replace

from berth.domain.access import Decision, Effect, Reason
from berth.domain.account import Account
from berth.domain.finding import Finding, Fixer
from berth.domain.plain_text import clean_line
from berth.domain.problem import Conflict, Denied, Invalid

MAX_REASON = 200
STOP_NOTICE = "Its owner was suspended."
FINDING = Finding(
    code="account.suspended",
    sentence="The user is suspended: nothing is done in his name.",
    fixer=Fixer.SITE_ADMIN,
    next_step="Ask a site administrator of this server.",
)


def suspended() -> Denied:
    """For the user himself, who has just proved that he is (policy 5)."""
    return Denied(
        "Your account is suspended.",
        code="account.suspended",
        remedy="Ask a site administrator of this server.",
    )


def why_suspended() -> Reason:
    """The rule, in a decision about somebody who is."""
    return Reason("account.suspended", Effect.DENY, "The user is suspended.")


def refuse_suspended(decision: Decision) -> Decision:
    """What was decided of a user, if he is suspended (policy 1)."""
    return replace(decision, allowed=False, trail=(*decision.trail, why_suspended()))


def require_active(account: Account) -> None:
    """Nobody makes new credentials for a suspended user, or tries what one would get. Raises Conflict."""
    if account.is_suspended:
        raise Conflict(
            f"{account.login} is suspended.",
            code="account.suspended",
            remedy="A site administrator unsuspends the user first.",
        )


def check_may_suspend(actor: Account | None, account: Account, *, others: int) -> None:
    """Policy 4, by what is true at the moment of the change. Raises Denied, Conflict.

    `actor` is None if he is no site administrator any more; `others` are the site administrators beside `account` who are
    not suspended.
    """
    if actor is None or actor.is_suspended:
        raise Denied("You are no site administrator any more.", code="account.not_site_admin")
    if actor.id == account.id:
        raise Denied(
            "Nobody suspends himself.", code="account.suspend_self", remedy="Ask another site administrator to do it."
        )
    if others == 0:
        raise Conflict(
            f"{account.login} is the last site administrator who is not suspended.",
            code="account.last_site_admin",
            remedy="Unsuspend another one first.",
        )


def parse_reason(text: str, *, otherwise: str) -> str:
    """What the audit log is to say, in one line. Raises Invalid."""
    reason = clean_line(text).strip()
    if len(reason) > MAX_REASON:
        raise Invalid(
            f"A reason has at most {MAX_REASON} characters.", field="reason", code="account.suspension_reason"
        )
    return reason or otherwise
