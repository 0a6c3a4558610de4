"""A codespace's name, durations, what its row says, and the finding it failed with."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from berth.domain.codespace import (
    Codespace,
    check_minutes,
    default_display_name,
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
    ref="main", commit_id=None, devcontainer_path=None, machine="standardLinux", location="WestEurope",
    idle_timeout_minutes=30, retention_period_minutes=60, created_at=NOW, updated_at=NOW, last_used_at=NOW,
    desired=Desired.RUNNING, generation=1, seen=1, phase=Phase.AVAILABLE, epoch=1, attempts=0, container_id="c",
    image=None, remote_user=None, remote_folder=None, finding=None,
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


def test_retention_counts_from_the_last_use_of_a_stopped_codespace() -> None:
    assert CODESPACE.retention_expires_at is None
    stopped = replace(CODESPACE, desired=Desired.STOPPED, phase=Phase.SHUTDOWN)
    assert stopped.retention_expires_at == NOW + timedelta(minutes=60)


def test_a_finding_survives_its_way_through_the_store() -> None:
    finding = Finding(code="a.b", sentence="S.", fixer=Fixer.REGISTRY, next_step="N.", evidence={"host": "h"})
    assert finding_from_json(finding_to_json(finding)) == finding
