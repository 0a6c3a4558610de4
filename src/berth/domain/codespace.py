"""A codespace: what was asked for, what is known of it, its name."""

import json
import re
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from berth.domain.finding import Finding, Fixer
from berth.domain.lifecycle import Desired, Phase, State, state_of
from berth.domain.problem import Invalid

MAX_DISPLAY_NAME = 48
MAX_RETENTION_MINUTES = 43200  # 30 days. Source: GitHub's OpenAPI description, create-for-authenticated-user
MIN_IDLE_MINUTES, MAX_IDLE_MINUTES = 5, 240
LABEL = "dev.berth.codespace"  # on every container of a codespace; its value is the codespace's name
SERVER_LABEL = "dev.berth.server"  # which installation it belongs to: several may share an engine
DEFAULT_CONFIGURATIONS = (".devcontainer/devcontainer.json", ".devcontainer.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Codespace:
    """A codespace's row. `desired` is what its owner asked for last, `phase` how far the loop has come."""

    id: int
    name: str
    display_name: str
    environment_id: str
    owner_id: int
    repository_id: int | None
    ref: str
    commit_id: str | None
    devcontainer_path: str | None
    machine: str
    location: str
    idle_timeout_minutes: int
    retention_period_minutes: int
    created_at: datetime
    updated_at: datetime
    last_used_at: datetime
    desired: Desired
    generation: int
    seen: int
    phase: Phase
    epoch: int
    attempts: int
    container_id: str | None
    image: str | None
    remote_user: str | None
    remote_folder: str | None
    finding: Finding | None

    @property
    def state(self) -> State:
        return state_of(self.desired, self.phase, changed=self.generation != self.seen)

    @property
    def is_busy(self) -> bool:
        """GitHub's `pending_operation`: something that was asked for has not come about yet."""
        return self.state not in {State.AVAILABLE, State.SHUTDOWN, State.FAILED}

    @property
    def retention_expires_at(self) -> datetime | None:
        """When a stopped codespace would be deleted; None while it runs."""
        if self.state is not State.SHUTDOWN:
            return None
        return self.last_used_at + timedelta(minutes=self.retention_period_minutes)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """A line of the creation log. `kind`: phase, output, progress (JSON of PullProgress), finding (JSON), end."""

    id: int
    at: datetime
    kind: str
    text: str


_NAME_BREAK = re.compile(r"[^a-z0-9]+")
_SUFFIX_ALPHABET = "bcdfghjkmnpqrstvwxz456789"  # no vowels: no words; no look-alikes


def make_name(login: str, repository_name: str, random: bytes) -> str:
    """A permanent, unique, URL-safe name such as `octo-hello-g4wpq6h95q`; at most 60 characters, from 10 random bytes."""
    stem = _NAME_BREAK.sub("-", f"{login}-{repository_name}".lower()).strip("-")[:48].rstrip("-")
    suffix = "".join(_SUFFIX_ALPHABET[byte % len(_SUFFIX_ALPHABET)] for byte in random[:10])
    return f"{stem}-{suffix}"


def default_display_name(random: bytes) -> str:
    """Two words, so that people can tell their codespaces apart."""
    first, second = random[-2], random[-1]
    return f"{_ADJECTIVES[first % len(_ADJECTIVES)]} {_HARBOURS[second % len(_HARBOURS)]}"


_ADJECTIVES = (
    "amber",
    "bright",
    "calm",
    "deep",
    "fair",
    "gentle",
    "humble",
    "keen",
    "lively",
    "mellow",
    "noble",
    "quiet",
)
_HARBOURS = ("anchor", "bay", "beacon", "buoy", "cove", "ferry", "harbour", "jetty", "lagoon", "pier", "quay", "slip")


def check_minutes(value: int | None, *, field: str, default: int, least: int, most: int) -> int:
    """A duration in minutes within its bounds, or the default. Raises Invalid."""
    if value is None:
        return default
    if not least <= value <= most:
        raise Invalid(f"{field} is a number of minutes from {least} to {most}.", field=field, code="codespace.minutes")
    return value


def finding_to_json(finding: Finding) -> str:
    return json.dumps(asdict(finding))


def finding_from_json(text: str) -> Finding:
    fields = json.loads(text)
    return Finding(**{**fields, "fixer": Fixer(fields["fixer"])})
