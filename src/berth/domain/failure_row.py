"""A row of the table of failures (`provider_failure.py`), and what it is held against."""

import re
from dataclasses import dataclass, field

from berth.domain.exchange_message import Phase
from berth.domain.finding import Fixer
from berth.domain.registry_provider import Provider
from berth.domain.secret_text import SecretText

Text = tuple[str, Fixer | None, str]  # sentence, who can mend it (None: who keeps the credential), next step

REJECTED, DENIED, ANONYMOUS = "image.unauthorized", "image.denied", "image.credential_missing"
MISSING, LIMITED, NO_REGISTRY = "image.not_found", "registry.rate_limited", "registry.not_a_registry"

ANY_REFUSAL = (REJECTED, DENIED, ANONYMOUS, NO_REGISTRY, MISSING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What was seen of one failure. `code` is what the exchange made of it."""

    provider: Provider
    code: str
    phase: Phase
    status: int
    error_code: str = ""
    said: str = field(default="", repr=False)
    user: str = ""
    password: SecretText | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A failure of one provider. `seen` are the exchange's codes that it fits, `code` is what it is called.

    Empty means any. `said` is searched in the registry's message in lower case, `user` is matched as a whole; `beginning` is
    the password's.
    """

    provider: Provider
    seen: frozenset[str]
    code: str
    text: Text
    phases: frozenset[Phase] = frozenset()
    statuses: frozenset[int] = frozenset()
    error_codes: frozenset[str] = frozenset()
    said: re.Pattern[str] | None = None
    user: re.Pattern[str] | None = None
    beginning: str = ""

    def fits(self, sight: Sight) -> bool:
        return (
            sight.provider is self.provider
            and sight.code in self.seen
            and (not self.phases or sight.phase in self.phases)
            and (not self.statuses or sight.status in self.statuses)
            and (not self.error_codes or sight.error_code in self.error_codes)
            and (self.said is None or self.said.search(sight.said) is not None)
            and (self.user is None or self.user.fullmatch(sight.user) is not None)
            and _begins(sight.password, self.beginning)
        )


def _begins(password: SecretText | None, beginning: str) -> bool:
    return not beginning or (password is not None and password.reveal().startswith(beginning))


def make_row(
    provider: Provider,
    seen: str | tuple[str, ...],
    text: Text,
    *,
    code: str = "",
    phase: Phase | None = None,
    status: int = 0,
    error_code: str = "",
    said: str = "",
    user: str = "",
    beginning: str = "",
) -> Row:
    """A row; without a `code` it is called what was seen."""
    every = (seen,) if isinstance(seen, str) else seen
    return Row(
        provider=provider,
        seen=frozenset(every),
        code=code or every[0],
        text=text,
        phases=frozenset({phase} if phase else ()),
        statuses=frozenset({status} if status else ()),
        error_codes=frozenset({error_code} if error_code else ()),
        said=re.compile(said) if said else None,
        user=re.compile(user) if user else None,
        beginning=beginning,
    )
