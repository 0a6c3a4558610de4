"""Signing in by the administrator's OpenID Connect provider: whose account an identity is, and which answers are taken.

1. An identity is what an issuer calls a subject. An account is found by both, never by a name or an e-mail: these change hands.
2. Its holder links an identity to his account, signed in there. Only where the administrator says that verified e-mails are
   to be believed, an unknown identity is linked by its own: if exactly one user has it, who is no site administrator and has
   no identity of this issuer yet.
3. Who is unknown after that is told whom to ask; or gets a new account, where the administrator says so.
4. An answer counts in the browser, and in the session, that asked for it, and once. State, nonce and PKCE's verifier are
   derived from one random value in its cookie. Source: RFC 9700, sections 2.1 and 4.7; OpenID Connect Core, section 3.1.
5. An answer that names another issuer, or none where this one always names itself, is refused (RFC 9207).
"""

import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import urlsplit

from berth.domain.account import MAX_LOGIN_LENGTH, RESERVED_LOGINS, is_login
from berth.domain.problem import Unauthenticated
from berth.domain.secret_text import SecretText
from berth.domain.session import derive, is_value

FLOW_LIFE = timedelta(minutes=10)
MAX_SUBJECT = 255  # OpenID Connect Core, section 2
MAX_SHOWN = 200


class UnknownIdentity(StrEnum):
    """What becomes of an identity that no account has, beside being refused (policies 2 and 3)."""

    LINK_BY_EMAIL = "link_by_email"
    CREATE_USER = "create_user"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """One attempt to sign in, or to link an identity, from its beginning to the provider's answer."""

    value: SecretText
    links: bool
    return_to: str = "/"

    @property
    def state(self) -> str:
        return derive(self.value, "state")

    @property
    def nonce(self) -> str:
        return derive(self.value, "nonce")

    @property
    def verifier(self) -> SecretText:
        return SecretText(derive(self.value, "verifier"))

    def to_text(self) -> str:
        """For the browser's cookie."""
        return f"{'link' if self.links else 'sign_in'} {self.value.reveal()} {self.return_to}"


def parse_issuer(text: str) -> str:
    """A provider's own name, to the letter. Raises ValueError: it is https, but for a provider on this very machine."""
    parts = urlsplit(text)
    is_here = parts.scheme == "http" and parts.hostname in {"127.0.0.1", "::1", "localhost"}
    if (
        not parts.netloc
        or not (parts.scheme == "https" or is_here)
        or parts.query
        or parts.fragment
        or "@" in parts.netloc
    ):
        raise ValueError("it begins with https:// and has neither user nor query")
    return text


def parse_flow(text: str) -> Flow | None:
    """What `to_text` gave; None for anything else."""
    word, _, rest = text.partition(" ")
    value, _, return_to = rest.partition(" ")
    if word not in {"link", "sign_in"} or not is_value(value):
        return None
    return Flow(value=SecretText(value), links=word == "link", return_to=return_to)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the browser brought back from the provider; empty is absent."""

    state: str
    code: str
    error: str = ""
    issuer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a provider proved of somebody. `email` is one that it has verified."""

    issuer: str
    subject: str
    email: str | None = None
    preferred_name: str = ""

    @property
    def shown(self) -> str:
        """By which a person knows it again."""
        return (self.email or self.preferred_name or self.subject)[:MAX_SHOWN]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One that an account has."""

    id: int
    account_id: int
    issuer: str
    subject: str
    shown: str
    created_at: datetime


def check_answer(answer: Answer, flow: Flow, issuer: str, *, always_named: bool) -> None:
    """Policies 4 and 5. Raises Unauthenticated."""
    if not hmac.compare_digest(answer.state.encode(), flow.state.encode()):
        raise refused("this browser did not ask for it")
    if answer.issuer != issuer and (answer.issuer or always_named):
        raise refused("it comes from another provider")
    if answer.error or not answer.code:
        known = answer.error if re.fullmatch(r"[a-z_]{1,40}", answer.error) else "no code"
        raise refused(f"the provider says: {known}")


def refused(why: str) -> Unauthenticated:
    """Nobody is signed in by this answer."""
    return Unauthenticated(
        f"The provider's answer is not taken: {why}.",
        code="identity.refused",
        remedy="Begin anew at the page to sign in.",
    )


def propose_logins(claims: Claims) -> Iterable[str]:
    """Names for a new account, the best first: what fits of the provider's, then the same with a number."""
    given = (claims.preferred_name.partition("@")[0], (claims.email or "").partition("@")[0], "person")
    words = [re.sub(r"[^a-z0-9]+", "-", word.lower()).strip("-")[:MAX_LOGIN_LENGTH].strip("-") for word in given]
    good = [word for word in words if is_login(word) and word not in RESERVED_LOGINS]
    yield from good
    yield from (f"{good[0][: MAX_LOGIN_LENGTH - 5].rstrip('-')}-{number}" for number in range(2, 1000))
