"""What a creation asks for, checked and filled in: the values of a new codespace's row."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from berth.domain.access import Subject
from berth.domain.codespace import (
    MIN_IDLE_MINUTES,
    check_display_name,
    check_minutes,
    check_path,
    choose_location,
    default_display_name,
    make_name,
)
from berth.domain.codespace_timer import TimeLimits
from berth.domain.machine import Machine
from berth.domain.pull_request import PullRequest
from berth.domain.repository import Repository
from berth.services.ports import Entropy


@dataclass(frozen=True, slots=True, kw_only=True)
class CodespaceLimits:
    """From the settings."""

    per_user: int
    idle_timeout_minutes: int
    retention_minutes: int
    longest: TimeLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class CodespaceRequest:
    """What a creation asks for; None, or an empty text, where the caller left the choice to us."""

    ref: str | None = None
    devcontainer_path: str | None = None
    display_name: str | None = None
    machine: str | None = None
    location: str | None = None
    geo: str | None = None
    idle_timeout_minutes: int | None = None
    retention_period_minutes: int | None = None
    pull_request: PullRequest | None = None  # of the repository; it takes the place of `ref`


def new_values(
    subject: Subject,
    repository: Repository,
    wanted: CodespaceRequest,
    *,
    ref: str,
    machine: Machine,
    limits: CodespaceLimits,
    entropy: Entropy,
    now: datetime,
) -> Mapping[str, object]:
    """The columns that a creation sets. Raises Invalid."""
    random = entropy.token_bytes(16)
    return {
        "name": make_name(subject.login, repository.name, random),
        "display_name": check_display_name(wanted.display_name) or default_display_name(random),
        "environment_id": str(UUID(bytes=entropy.token_bytes(16), version=4)),
        "owner_id": subject.account_id,
        "repository_id": repository.id,
        "ref": ref,
        "pull_request_number": None if wanted.pull_request is None else wanted.pull_request.number,
        "from_fork": wanted.pull_request is not None and wanted.pull_request.is_from_fork,
        "devcontainer_path": check_path(wanted.devcontainer_path),
        "machine": machine.name,
        "location": choose_location(wanted.location, wanted.geo),
        "idle_timeout_minutes": check_minutes(
            wanted.idle_timeout_minutes,
            field="idle_timeout_minutes",
            default=limits.idle_timeout_minutes,
            least=MIN_IDLE_MINUTES,
            most=limits.longest.idle_minutes,
        ),
        "retention_period_minutes": check_minutes(
            wanted.retention_period_minutes,
            field="retention_period_minutes",
            default=limits.retention_minutes,
            least=0,
            most=limits.longest.retention_minutes,
        ),
        "created_at": now,
        "updated_at": now,
        "last_used_at": now,
    }
