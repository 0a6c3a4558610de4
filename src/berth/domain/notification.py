"""What Settings → Notifications tells somebody of his credentials.

1. A personal access token from SOON before its end until SOON after it: then whoever needed it has noticed.
2. A codespace of his that is to run, while its registry credentials could not be renewed: what it was told last
   (domain/credential_refresh.py, policy 6). That secrets are withheld by rule is no failure.
"""

from dataclasses import dataclass
from datetime import timedelta

from berth.domain.access_token import AccessToken

SOON = timedelta(days=7)
WITHHELD = "Secrets are withheld"  # how every such sentence begins
FAILED = "failed"  # what stands for a refresh that failed as a whole


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleCodespace:
    """A codespace whose credentials are not fresh, with what it was told."""

    name: str
    display_name: str
    said: str

    @property
    def sentences(self) -> list[str]:
        if self.said == FAILED:
            return ["Its registry credentials could not be renewed: the old ones last until they expire."]
        return self.said.splitlines()


@dataclass(frozen=True, slots=True, kw_only=True)
class Notifications:
    """All there are, the most pressing first; at most MOST of each kind."""

    tokens: list[AccessToken]
    codespaces: list[StaleCodespace]
