"""Sessions of the web console: how long one lasts, what it may do, how its holder knows it again.

1. A session ends LIFE after it began whatever happens, and IDLE after it was last used.
2. It is the person himself: it has every scope that a token of his account could have, `site_admin` only if he is one.
3. Its value, 32 random bytes, is in the browser's cookie only; the store keeps its SHA-256, as of a token.
4. What a form sends along to show that our own page made it, and what signs a remark for the next page, is derived
   from that value. Who cannot read the cookie can make neither, and no further secret has to be kept or shared.
5. One that began on this machine holds on this machine only. A browser sends the cookies of `localhost` to all of its ports,
   so also to what a codespace shows on a forwarded one: that knows the value then, but is elsewhere.
"""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from berth.domain.client_address import is_this_machine
from berth.domain.scope import Scope, expand_scopes
from berth.domain.secret_text import SecretText

LIFE = timedelta(days=30)
IDLE = timedelta(days=7)
RANDOM_BYTES = 32
MAX_USER_AGENT = 300
MAX_SESSIONS = 100  # of an account
_VALUE = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Where a request came from, for the account's holder to know again. `address` is empty where none is known."""

    address: str
    user_agent: str

    @property
    def is_on_this_machine(self) -> bool:
        """By a loopback address: what no other machine, and no container, can come from."""
        return is_this_machine(self.address)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A stored session: everything but its value."""

    id: int
    account_id: int
    created_at: datetime
    last_seen_at: datetime
    visitor: Visitor

    @property
    def ends_at(self) -> datetime:
        """Policy 1."""
        return min(self.created_at + LIFE, self.last_seen_at + IDLE)

    def is_valid(self, now: datetime) -> bool:
        return now < self.ends_at

    def holds_for(self, visitor: Visitor) -> bool:
        """Policy 5."""
        return visitor.is_on_this_machine or not self.visitor.is_on_this_machine


def make_value(random: bytes) -> SecretText:
    """A session's, an invitation's or a visit's value from its random bytes."""
    if len(random) < RANDOM_BYTES:
        raise ValueError(f"it needs {RANDOM_BYTES} random bytes")
    return SecretText(base64.urlsafe_b64encode(random).decode().rstrip("="))


def is_value(text: str) -> bool:
    """Whether it could be one: looked at before a database is asked."""
    return _VALUE.fullmatch(text) is not None


def hash_value(value: SecretText) -> bytes:
    """What the store keeps and looks them up by."""
    return hashlib.sha256(value.reveal().encode()).digest()


def derive(value: SecretText, purpose: str, text: str = "") -> str:
    """Policy 4: a word that only who has the value can make, another one for each purpose and text."""
    return hmac.new(value.reveal().encode(), f"berth {purpose} 1\n{text}".encode(), hashlib.sha256).hexdigest()


def is_derived(shown: str, value: SecretText, purpose: str, text: str = "") -> bool:
    """Whether it is that word; takes as long whatever it is."""
    return hmac.compare_digest(shown.encode(), derive(value, purpose, text).encode())


def session_scopes(*, site_admin: bool) -> frozenset[Scope]:
    """Policy 2, expanded."""
    return expand_scopes(frozenset(scope for scope in Scope if site_admin or scope is not Scope.SITE_ADMIN))


# The first that fits: Edge and Opera also call themselves Chrome, and Chrome calls itself Safari.
_BROWSERS = (("Edg", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrom", "Chrome"), ("Safari/", "Safari"))
_SYSTEMS = (
    ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"), ("Mac OS", "macOS"),
    ("CrOS", "ChromeOS"), ("Linux", "Linux"),
)  # fmt: skip


def describe_user_agent(user_agent: str) -> str:
    """As `Firefox on Linux`: enough for its holder to know it again."""
    browser = next((name for mark, name in _BROWSERS if mark in user_agent), "Another program")
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), "")
    return f"{browser} on {system}" if system else browser
