"""What a site administrator is shown of the whole server: how much there is, what it needs, what is under way."""

from dataclasses import dataclass
from datetime import datetime

from berth.domain.lifecycle import Desired, Phase

# A codespace in one of these is on its way somewhere; the others are where it rests.
MOVING = frozenset({Phase.QUEUED, Phase.PROVISIONING, Phase.STARTING, Phase.REBUILDING, Phase.STOPPING})


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteCounts:
    """How many there are."""

    users: int
    organizations: int
    repositories: int
    packages: int
    codespaces: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageUse:
    """What images take in the blob store, each layer once; what is on its way out of it; and the database's own size."""

    blobs: int
    blob_bytes: int
    trashed_blobs: int
    database_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A codespace that is on its way somewhere. `step` is what its log said last, `since` when; None: nothing yet.

    `attempts` failed since a step succeeded or a request came. `holder` is the process that works on it; None: none does now.
    """

    name: str
    owner_login: str
    phase: Phase
    desired: Desired
    attempts: int
    holder: str | None
    step: str
    since: datetime | None
