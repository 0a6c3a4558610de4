"""A codespace's name, durations, what its row says, and the finding it failed with."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from berth.domain.codespace import (
    MAX_PATH,
    MAX_RECENT_FOLDERS,
    Codespace,
    FailedHook,
    check_display_name,
    check_minutes,
    check_path,
    check_recent_folders,
    choose_location,
    default_display_name,
    failed_hook_from_json,
    failed_hook_to_json,
    finding_from_json,
    finding_to_json,
    make_name,
)
from berth.domain.finding import Finding, Fixer
from berth.domain.lifecycle import Desired, Phase, State
from berth.domain.problem import Invalid

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
CODESPACE = Codespace(
    id=1, name="octo-hello-g4wpq6h95q", display_name="calm bay", environment_id="", owner_id=1, repository_id=2,
    ref="main", commit_id=None, pull_request_number=None, from_fork=False, devcontainer_path=None,
    machine="standardLinux", location="WestEurope", recent_folders=(), idle_timeout_minutes=30,
    retention_period_minutes=60, created_at=NOW, updated_at=NOW, last_used_at=NOW, desired=Desired.RUNNING,
    generation=1, seen=1, phase=Phase.AVAILABLE, epoch=1, attempts=0, container_id="c", image=None, remote_user=None,
    remote_folder=None, finding=None, failed_hook=None, stop_notice=None, stopped_at=None, expiry_warned=False,
    rebuild_asked=0, rebuild_full=False, built=0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("login", "repository", "stem"),
    [
        ("octo", "hello", "octo-hello"),
        ("Octo", "Hello.World_x", "octo-hello-world-x"),
        ("a" * 39, "b" * 100, "a" * 39 + "-" + "b" * 8),
        ("x", "...", "x"),
    ],
    ids=["plain", "case and punctuation", "cut to fit", "nothing usable in the repository's name"],
)
def test_make_name(login: str, repository: str, stem: str) -> None:
    name = make_name(login, repository, bytes(range(16)))
    assert name.rpartition("-")[0] == stem
    assert len(name) <= 60
    assert make_name(login, repository, bytes(range(1, 17))) != name


def test_default_display_name_is_two_words() -> None:
    assert len(default_display_name(b"\x05\x07").split()) == 2


@pytest.mark.parametrize(("value", "minutes"), [(None, 30), (5, 5), (240, 240)])
def test_check_minutes(value: int | None, minutes: int) -> None:
    assert check_minutes(value, field="idle_timeout_minutes", default=30, least=5, most=240) == minutes


@pytest.mark.parametrize("value", [4, 241, -1])
def test_check_minutes_refuses(value: int) -> None:
    with pytest.raises(Invalid, match="from 5 to 240"):
        check_minutes(value, field="idle_timeout_minutes", default=30, least=5, most=240)


def test_state_and_busy_follow_the_row() -> None:
    assert CODESPACE.state is State.AVAILABLE
    assert not CODESPACE.is_busy
    stopping = replace(CODESPACE, desired=Desired.STOPPED, generation=2)
    assert stopping.state is State.SHUTTING_DOWN
    assert stopping.is_busy


def test_a_failed_hook_survives_its_way_through_the_store() -> None:
    failed = FailedHook(hook="postStartCommand", exit_code=7, at=NOW)
    assert failed_hook_from_json(failed_hook_to_json(failed)) == failed
    assert failed.sentence == "postStartCommand ended with exit code 7."


def test_a_finding_survives_its_way_through_the_store() -> None:
    finding = Finding(code="a.b", sentence="S.", fixer=Fixer.REGISTRY, next_step="N.", evidence={"host": "h"})
    assert finding_from_json(finding_to_json(finding)) == finding


@pytest.mark.parametrize(("given", "name"), [(None, ""), ("", ""), (" mine ", "mine"), ("x" * 48, "x" * 48)])
def test_a_display_name(given: str | None, name: str) -> None:
    assert check_display_name(given) == name


@pytest.mark.parametrize("given", ["x" * 49, "a\0b", "a\nb"])
def test_a_display_name_that_is_refused(given: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_display_name(given)
    assert refused.value.code == "codespace.display_name"


@pytest.mark.parametrize(("given", "path"), [(None, None), ("", None), (".devcontainer.json", ".devcontainer.json")])
def test_a_configurations_path(given: str | None, path: str | None) -> None:
    assert check_path(given) == path


@pytest.mark.parametrize("given", ["a\0b", "x" * (MAX_PATH + 1)])
def test_a_configurations_path_that_is_refused(given: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_path(given)
    assert refused.value.code == "codespace.devcontainer_path"


def test_recent_folders() -> None:
    folders = ["/workspaces/r"] * MAX_RECENT_FOLDERS
    assert check_recent_folders(folders) == folders
    for refused in ([*folders, "/a"], [""], ["a\0"], ["x" * (MAX_PATH + 1)]):
        with pytest.raises(Invalid) as problem:
            check_recent_folders(refused)
        assert problem.value.code == "codespace.recent_folders"


LOCATIONS = {
    "nothing": (None, None, "WestEurope"),
    "empty, as gh sends it": ("", "", "WestEurope"),
    "a location": ("EastUs", None, "EastUs"),
    "a geo": (None, "UsWest", "WestUs2"),
    "geo replaces location": ("EastUs", "SoutheastAsia", "SouthEastAsia"),
    "best efforts for what is none": ("Mars", "Moon", "WestEurope"),
}


@pytest.mark.parametrize(("location", "geo", "chosen"), LOCATIONS.values(), ids=LOCATIONS.keys())
def test_the_location_is_one_of_github_s(location: str | None, geo: str | None, chosen: str) -> None:
    assert choose_location(location, geo) == chosen


@pytest.mark.parametrize(
    ("changes", "running"),
    [
        ({}, True),
        ({"exporting": True}, True),
        ({"phase": Phase.SHUTDOWN}, False),
        ({"desired": Desired.STOPPED, "generation": 2}, False),
        ({"container_id": None}, False),
    ],
    ids=["available", "exporting", "stopped", "asked to stop", "without a container"],
)
def test_is_running(changes: dict[str, Any], running: bool) -> None:
    assert replace(CODESPACE, **changes).is_running is running


def test_an_export_is_a_pending_operation() -> None:
    exporting = replace(CODESPACE, exporting=True)
    assert (exporting.state, exporting.is_busy) == (State.EXPORTING, True)
