"""Prebuilds: what is asked for, the configuration's hash (policy 1), what is kept, what is said to be available."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from berth.domain.finding import Fixer
from berth.domain.git_object import TreeFile
from berth.domain.image_build import build_key, built_image_name, codespace_of_image
from berth.domain.package import PackageName
from berth.domain.prebuild import (
    MAX_EVERY_HOURS,
    MAX_KEPT_VERSIONS,
    Prebuild,
    PrebuildAvailability,
    PrebuildInput,
    PrebuildState,
    PrebuildTrigger,
    PrebuildVersion,
    as_codespace,
    branch_gone,
    choose_availability,
    choose_retired,
    hash_configuration,
    parse_prebuild,
    wrong_visibility,
)
from berth.domain.problem import Invalid

AT = datetime(2026, 1, 1, tzinfo=UTC)
WISH: dict[str, Any] = {
    "branch": "main",
    "devcontainer_path": None,
    "trigger": "push",
    "every_hours": None,
    "kept_versions": 2,
}
PREBUILD = Prebuild(
    id=5,
    repository_id=7,
    creator_id=3,
    wish=parse_prebuild(**WISH),
    state=PrebuildState.READY,
    is_forced=False,
    is_deleted=False,
    commit_id="c1",
    finding=None,
    created_at=AT,
    finished_at=AT,
)
FILE = TreeFile(path="a", kind="file", sha="1", size_bytes=1)
INPUT = PrebuildInput(
    dockerfile=b"FROM x@sha256:1\n",
    arguments={"A": "1"},
    target="",
    platform="linux/amd64",
    files=[FILE],
    ignore_file=None,
)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"trigger": "sometimes"}, "trigger"),
        ({"every_hours": 3}, "every_hours"),
        ({"trigger": "manual", "every_hours": 3}, "every_hours"),
        ({"trigger": "schedule"}, "every_hours"),
        ({"trigger": "schedule", "every_hours": 0}, "every_hours"),
        ({"trigger": "schedule", "every_hours": MAX_EVERY_HOURS + 1}, "every_hours"),
        ({"kept_versions": 0}, "kept_versions"),
        ({"kept_versions": MAX_KEPT_VERSIONS + 1}, "kept_versions"),
        ({"branch": "a..b"}, "branch"),
        ({"devcontainer_path": "a\nb"}, "devcontainer_path"),
    ],
)
def test_what_is_asked_for_is_checked(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_prebuild(**(WISH | changes))
    assert refused.value.field == field


def test_what_may_be_asked_for() -> None:
    wish = parse_prebuild(**(WISH | {"branch": "refs/heads/x/y", "trigger": "schedule", "every_hours": 24}))
    assert (wish.branch, wish.trigger, wish.every_hours) == ("x/y", PrebuildTrigger.SCHEDULE, 24)


CHANGES: dict[str, dict[str, Any]] = {
    "a base image": {"dockerfile": b"FROM x@sha256:2\n"},
    "an argument": {"arguments": {"A": "2"}},
    "no argument": {"arguments": {}},
    "the target": {"target": "final"},
    "the platform": {"platform": "linux/arm64"},
    "a file's content": {"files": [replace(FILE, sha="2")]},
    "a file's path": {"files": [replace(FILE, path="b")]},
    "a file's mode": {"files": [replace(FILE, kind="executable")]},
    "a file more": {"files": [FILE, replace(FILE, path="b")]},
    "a path that is no UTF-8": {"files": [replace(FILE, path="\udcff")]},
    "an ignore file": {"ignore_file": b""},
    "another ignore file": {"ignore_file": b"x"},
}


def test_the_hash_changes_with_everything_that_goes_into_the_image() -> None:
    hashes = [hash_configuration(INPUT), *(hash_configuration(replace(INPUT, **each)) for each in CHANGES.values())]
    assert len(set(hashes)) == 1 + len(CHANGES)
    assert all(len(each) == 64 for each in hashes)


def test_the_hash_is_the_same_for_the_same() -> None:
    files = [replace(FILE, path="b"), FILE]
    assert hash_configuration(replace(INPUT, files=files)) == hash_configuration(replace(INPUT, files=files[::-1]))
    assert hash_configuration(replace(INPUT, arguments={"A": "1", "B": "2"})) == hash_configuration(
        replace(INPUT, arguments={"B": "2", "A": "1"})
    )


def version(number: int) -> PrebuildVersion:
    return PrebuildVersion(
        id=number,
        prebuild_id=5,
        owner_id=1,
        configuration_hash=f"{number}" * 64,
        digest="d",
        commit_id="c",
        created_at=AT,
    )


def test_the_newest_versions_are_kept() -> None:
    versions = [version(2), version(3), version(1)]
    assert choose_retired(versions, 2) == (versions[2],)
    assert choose_retired(versions, 3) == ()
    assert version(1).short_hash == "1" * 12


@pytest.mark.parametrize(
    ("prebuilds", "expected"),
    [
        ([], PrebuildAvailability.NONE),
        ([PREBUILD], PrebuildAvailability.READY),
        ([replace(PREBUILD, commit_id="older")], PrebuildAvailability.NONE),
        ([replace(PREBUILD, state=PrebuildState.FAILED)], PrebuildAvailability.NONE),
        ([replace(PREBUILD, state=PrebuildState.QUEUED, commit_id="older")], PrebuildAvailability.IN_PROGRESS),
        ([replace(PREBUILD, state=PrebuildState.IN_PROGRESS)], PrebuildAvailability.IN_PROGRESS),
        ([replace(PREBUILD, state=PrebuildState.IN_PROGRESS), PREBUILD], PrebuildAvailability.READY),
    ],
)
def test_what_is_available_at_a_commit(prebuilds: list[Prebuild], expected: PrebuildAvailability) -> None:
    assert choose_availability(prebuilds, "c1") is expected


def test_its_image_is_no_codespaces() -> None:
    """No codespace's name has a dot, so the sweep of one can never take the other's."""
    codespace = as_codespace(PREBUILD, "small")
    assert codespace.name == PREBUILD.name == "prebuild.5"
    assert codespace_of_image(built_image_name(codespace.name)) == PREBUILD.name
    assert (codespace.owner_id, codespace.repository_id, codespace.ref, codespace.machine) == (3, 7, "main", "small")
    assert not codespace.from_fork
    assert build_key("s", codespace) == build_key("s", replace(codespace, name="acme-web-bcdfg"))


def test_findings_say_who_can_mend_it() -> None:
    assert branch_gone("acme/web", "topic").fixer is Fixer.DEVELOPER
    wrong = wrong_visibility(PackageName("acme", "prebuild-7"), "public", "private")
    assert wrong.fixer is Fixer.REPOSITORY_ADMIN
    assert "acme/prebuild-7 is public, and the repository private" in wrong.sentence
