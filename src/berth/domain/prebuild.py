"""Prebuilds: the image of a repository's dev container configuration, built before somebody launches from it.

1. A prebuild's image is known by a hash over all that goes into it: the Dockerfile as Berth writes it anew, with each image
   by digest, the build's arguments and target, the context's files, the engine's platform, and the version of this format.
2. A launch computes the same hash, with the launching user's own credentials: who may not open an image of the
   configuration has no hash, and is refused as without a prebuild (L2). A prebuild opens nothing.
3. It is made for a branch of the repository, never for a fork's pull request, by the rights of the administrator who
   configured it, with secrets of the repository and the organization; never with a user's.
4. The package is as visible as its repository (A8). A public repository's prebuild is public, so it is made of images that
   anybody may pull: no credential is used for it.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from berth.domain.codespace import Codespace, check_path
from berth.domain.finding import Finding, Fixer
from berth.domain.git_object import TreeFile
from berth.domain.lifecycle import Desired, Phase
from berth.domain.package import PackageName
from berth.domain.problem import Invalid
from berth.domain.repository import Repository, parse_branch_name, short_branch

MAX_PREBUILDS = 20  # of one repository
MAX_KEPT_VERSIONS = 5
MAX_EVERY_HOURS = 24 * 30
_FORMAT = 1  # a change of what the builder makes of the same input adds one
_SHORT = 12


class PrebuildTrigger(StrEnum):
    """What makes it anew, beside a request."""

    PUSH = "push"  # to its branch
    SCHEDULE = "schedule"
    MANUAL = "manual"


class PrebuildState(StrEnum):
    """How far the last run came."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    READY = "ready"
    FAILED = "failed"


class PrebuildAvailability(StrEnum):
    """GitHub's `prebuild_availability` of a machine."""

    NONE = "none"
    READY = "ready"
    IN_PROGRESS = "in_progress"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrebuildWish:
    """What an administrator asks for, checked."""

    branch: str
    devcontainer_path: str | None
    trigger: PrebuildTrigger
    every_hours: int | None
    kept_versions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Prebuild:
    """A configuration to keep prebuilt. `commit_id` is the commit that the last run worked on."""

    id: int
    repository_id: int
    creator_id: int
    wish: PrebuildWish
    state: PrebuildState
    is_forced: bool  # a request to build, whatever is there already
    is_deleted: bool
    commit_id: str | None
    finding: Finding | None
    created_at: datetime
    finished_at: datetime | None

    @property
    def name(self) -> str:
        """What its image is called in the engine; no codespace has a name with a dot."""
        return f"prebuild.{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrebuildVersion:
    """An image that was made. `owner_id` is whose package it lies in."""

    id: int
    prebuild_id: int
    owner_id: int
    configuration_hash: str
    digest: str
    commit_id: str
    created_at: datetime

    @property
    def short_hash(self) -> str:
        return shorten(self.configuration_hash)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrebuildInput:
    """All that goes into a built image (policy 1). `dockerfile` holds digests, not tags."""

    dockerfile: bytes
    arguments: Mapping[str, str]
    target: str
    platform: str
    files: Sequence[TreeFile]
    ignore_file: bytes | None


def parse_prebuild(
    *, branch: str, devcontainer_path: str | None, trigger: str, every_hours: int | None, kept_versions: int
) -> PrebuildWish:
    """Raises Invalid."""
    if trigger not in list(PrebuildTrigger):
        raise _invalid(f"trigger is one of {', '.join(PrebuildTrigger)}.", "trigger")
    wanted = PrebuildTrigger(trigger)
    if (every_hours is not None) != (wanted is PrebuildTrigger.SCHEDULE):
        raise _invalid("every_hours goes with trigger 'schedule', and with no other.", "every_hours")
    if every_hours is not None and not 1 <= every_hours <= MAX_EVERY_HOURS:
        raise _invalid(f"every_hours is a number from 1 to {MAX_EVERY_HOURS}.", "every_hours")
    if not 1 <= kept_versions <= MAX_KEPT_VERSIONS:
        raise _invalid(f"kept_versions is a number from 1 to {MAX_KEPT_VERSIONS}.", "kept_versions")
    return PrebuildWish(
        branch=parse_branch_name(short_branch(branch), field="branch"),
        devcontainer_path=check_path(devcontainer_path),
        trigger=wanted,
        every_hours=every_hours,
        kept_versions=kept_versions,
    )


def hash_configuration(given: PrebuildInput) -> str:
    """Policy 1: 64 hexadecimal digits, which are also the version's tag."""
    ignored = None if given.ignore_file is None else hashlib.sha256(given.ignore_file).hexdigest()
    text = json.dumps(
        {
            "format": _FORMAT,
            "dockerfile": hashlib.sha256(given.dockerfile).hexdigest(),
            "arguments": dict(given.arguments),
            "target": given.target,
            "platform": given.platform,
            "files": sorted((file.path, file.kind, file.sha) for file in given.files),
            "ignore_file": ignored,
        },
        sort_keys=True,  # and escaped, so that a path that is no UTF-8 has its place, too
    )
    return hashlib.sha256(text.encode()).hexdigest()


def shorten(configuration_hash: str) -> str:
    """For people."""
    return configuration_hash[:_SHORT]


def package_of(repository: Repository) -> PackageName:
    """Where its versions lie: by id, so that it is nobody else's after a rename."""
    return PackageName(repository.owner_login.lower(), f"prebuild-{repository.id}")


def choose_retired(versions: Iterable[PrebuildVersion], kept: int) -> tuple[PrebuildVersion, ...]:
    """All but the newest ones."""
    return tuple(sorted(versions, key=lambda version: version.id, reverse=True)[kept:])


def choose_availability(prebuilds: Iterable[Prebuild], head: str | None) -> PrebuildAvailability:
    """Of the prebuilds of a branch whose commit is `head`."""
    states = {each.state for each in prebuilds if each.commit_id == head or each.state is not PrebuildState.READY}
    if PrebuildState.READY in states:
        return PrebuildAvailability.READY
    if states & {PrebuildState.QUEUED, PrebuildState.IN_PROGRESS}:
        return PrebuildAvailability.IN_PROGRESS
    return PrebuildAvailability.NONE


def as_codespace(prebuild: Prebuild, machine: str) -> Codespace:
    """What is built for it is built as for a codespace that nobody has."""
    return Codespace(
        id=0,
        name=prebuild.name,
        display_name="",
        environment_id="",
        owner_id=prebuild.creator_id,
        repository_id=prebuild.repository_id,
        ref=prebuild.wish.branch,
        commit_id=None,
        pull_request_number=None,
        from_fork=False,
        devcontainer_path=prebuild.wish.devcontainer_path,
        machine=machine,
        location="",
        recent_folders=(),
        idle_timeout_minutes=0,
        retention_period_minutes=0,
        created_at=prebuild.created_at,
        updated_at=prebuild.created_at,
        last_used_at=prebuild.created_at,
        desired=Desired.RUNNING,
        generation=0,
        seen=0,
        phase=Phase.QUEUED,
        epoch=0,
        attempts=0,
        container_id=None,
        image=None,
        remote_user=None,
        remote_folder=None,
        finding=None,
        failed_hook=None,
        stop_notice=None,
        stopped_at=None,
        expiry_warned=False,
        rebuild_asked=0,
        rebuild_full=False,
        built=0,
    )


NOTHING_TO_BUILD = Finding(
    code="prebuild.nothing_to_build",
    sentence="This configuration builds no image from a Dockerfile alone, so there is nothing to make before a launch.",
    fixer=Fixer.REPOSITORY_ADMIN,
    next_step="Delete the prebuild: an image that is named is pulled as quickly. Or build one from a Dockerfile.",
)
NO_ADMINISTRATOR = Finding(
    code="prebuild.no_administrator",
    sentence="Whoever configured this prebuild does not administer the repository any more.",
    fixer=Fixer.REPOSITORY_ADMIN,
    next_step="Delete it and create it again: it is made by the rights of who does.",
)

CREATOR_SUSPENDED = Finding(
    code="prebuild.creator_suspended",
    sentence="Whoever configured this prebuild is suspended.",
    fixer=Fixer.REPOSITORY_ADMIN,
    next_step="Delete it and create it again: it is made by the rights of who does.",
)


INTERRUPTED = Finding(
    code="prebuild.interrupted",
    sentence="The server ended several times while it worked on this prebuild.",
    fixer=Fixer.SITE_ADMIN,
    next_step="Run it again; if it fails again, the server's log names it.",
)


def branch_gone(full_name: str, branch: str) -> Finding:
    return Finding(
        code="prebuild.branch_gone",
        sentence=f"{full_name} has no branch '{branch}'.",
        fixer=Fixer.DEVELOPER,
        next_step="Push it, or delete the prebuild.",
    )


def package_taken(package: PackageName) -> Finding:
    """Whoever made it is its administrator, and may show it to whom he likes."""
    return Finding(
        code="prebuild.package_taken",
        sentence=f"The package {package} is not linked to the repository: somebody made it, or unlinked it.",
        fixer=Fixer.REPOSITORY_ADMIN,
        next_step="Delete that package, or have it deleted by whoever administers it, then run the prebuild again.",
    )


def wrong_visibility(package: PackageName, package_is: str, repository_is: str) -> Finding:
    """A8: what lies in a package is seen by whom the package lets."""
    return Finding(
        code="prebuild.package_visibility",
        sentence=f"The package {package} is {package_is}, and the repository {repository_is}; nothing is published there.",
        fixer=Fixer.REPOSITORY_ADMIN,
        next_step="Delete that package, then run the prebuild again.",
    )


def _invalid(message: str, field: str) -> Invalid:
    return Invalid(message, field=field, code="prebuild.value")
