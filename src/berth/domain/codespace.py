"""A codespace: what was asked for, what is known of it, its name."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum

from berth.domain.finding import Finding, Fixer
from berth.domain.lifecycle import Desired, Phase, State, state_of
from berth.domain.problem import Invalid

MAX_DISPLAY_NAME = 48
MAX_RETENTION_MINUTES = 43200  # 30 days. Source: GitHub's OpenAPI description, create-for-authenticated-user
MAX_RECENT_FOLDERS = 20
MAX_PATH = 1024
MIN_IDLE_MINUTES, MAX_IDLE_MINUTES = 5, 240
LABEL = "dev.berth.codespace"  # on every container of a codespace; its value is the codespace's name
SERVER_LABEL = "dev.berth.server"  # which installation it belongs to: several may share an engine
DEFAULT_CONFIGURATIONS = (".devcontainer/devcontainer.json", ".devcontainer.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedHook:
    """A lifecycle command that failed when it ran last."""

    hook: str
    exit_code: int
    at: datetime

    @property
    def sentence(self) -> str:
        return f"{self.hook} ended with exit code {self.exit_code}."


class Rebuild(StrEnum):
    """How a container is made anew."""

    CACHED = "cached"
    FULL = "full"  # nothing that the engine holds already is used


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
    pull_request_number: int | None  # of its repository, that it was created for
    from_fork: bool  # it shows the pull request of a fork: a stranger's code, and no secrets for it (S6)
    devcontainer_path: str | None
    machine: str
    location: str
    recent_folders: tuple[str, ...]
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
    failed_hook: FailedHook | None
    stop_notice: str | None
    stopped_at: datetime | None
    expiry_warned: bool
    rebuild_asked: int
    rebuild_full: bool
    built: int
    exporting: bool = False  # an export of it is in progress
    from_prebuild: bool = False  # its container's image was built before it was launched

    @property
    def image_reference(self) -> str | None:
        """The image that it was launched from, if a registry has it; None for one that was built, which has only an id."""
        return None if (self.image or "").startswith("sha256:") else self.image

    @property
    def state(self) -> State:
        rebuild = self.needs_rebuild and self.container_id is not None
        changed = self.generation != self.seen
        return state_of(self.desired, self.phase, changed=changed, rebuild=rebuild, exporting=self.exporting)

    @property
    def needs_rebuild(self) -> bool:
        """Whether a rebuild was asked for that no container has come of yet. Requests and the loop write one number each."""
        return self.rebuild_asked > self.built

    @property
    def is_running(self) -> bool:
        """Whether commands can run in it."""
        return self.state in {State.AVAILABLE, State.EXPORTING} and self.container_id is not None

    @property
    def is_busy(self) -> bool:
        """GitHub's `pending_operation`: something that was asked for has not come about yet."""
        return self.state not in {State.AVAILABLE, State.SHUTDOWN, State.FAILED}


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


def check_display_name(value: str | None) -> str:
    """Without the spaces around it; empty if none was given. Raises Invalid."""
    name = (value or "").strip()
    if len(name) > MAX_DISPLAY_NAME:
        raise Invalid(
            f"A display name has at most {MAX_DISPLAY_NAME} characters.",
            field="display_name",
            code="codespace.display_name",
        )
    if not name.isprintable():
        raise Invalid(
            "A display name holds no control characters.", field="display_name", code="codespace.display_name"
        )
    return name


def check_path(path: str | None) -> str | None:
    """A path that git could hold; empty means "not given". Raises Invalid."""
    if path and (len(path) > MAX_PATH or not path.isprintable()):
        raise Invalid(
            f"devcontainer_path is a path in the repository, of at most {MAX_PATH} characters.",
            field="devcontainer_path",
            code="codespace.devcontainer_path",
        )
    return path or None


def check_recent_folders(folders: Sequence[str]) -> list[str]:
    """What an editor remembers of a codespace; nothing opens them here. Raises Invalid."""
    if len(folders) > MAX_RECENT_FOLDERS or any(
        not folder or len(folder) > MAX_PATH or not folder.isprintable() for folder in folders
    ):
        raise Invalid(
            f"recent_folders are at most {MAX_RECENT_FOLDERS} paths of at most {MAX_PATH} characters.",
            field="recent_folders",
            code="codespace.recent_folders",
        )
    return list(folders)


# GitHub's field is a closed list of its own regions. It asks for "best efforts", so what is no region is none asked for.
DEFAULT_LOCATION = "WestEurope"
_LOCATIONS = frozenset({"EastUs", "SouthEastAsia", "WestEurope", "WestUs2"})
_LOCATION_OF_GEO = {
    "EuropeWest": "WestEurope",
    "SoutheastAsia": "SouthEastAsia",
    "UsEast": "EastUs",
    "UsWest": "WestUs2",
}


def choose_location(location: str | None, geo: str | None) -> str:
    """The region that a codespace says it is in: `geo`, which replaces `location`, counts first. It runs here anyway."""
    if geo in _LOCATION_OF_GEO:
        return _LOCATION_OF_GEO[geo]
    return location if location in _LOCATIONS else DEFAULT_LOCATION


def failed_hook_to_json(failed: FailedHook) -> str:
    return json.dumps({"hook": failed.hook, "exit_code": failed.exit_code, "at": failed.at.isoformat()})


def failed_hook_from_json(text: str) -> FailedHook:
    fields = json.loads(text)
    return FailedHook(**{**fields, "at": datetime.fromisoformat(fields["at"])})


def finding_to_json(finding: Finding) -> str:
    return json.dumps(asdict(finding))


def finding_from_json(text: str) -> Finding:
    fields = json.loads(text)
    return Finding(**{**fields, "fixer": Fixer(fields["fixer"])})
