"""The policy of `domain/codespace_timer.py`, quoted by its numbers."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.domain.test_codespace import CODESPACE, NOW

from berth.domain.codespace_timer import TimeLimits, expiry_of, idle_at, idle_minutes, retention_minutes
from berth.domain.lifecycle import Desired, Phase

DAY = 24 * 60
LIMITS = TimeLimits(idle_minutes=240, retention_minutes=30 * DAY)
STOPPED = replace(CODESPACE, desired=Desired.STOPPED, phase=Phase.SHUTDOWN, stopped_at=NOW)


@pytest.mark.parametrize(("own", "most", "minutes"), [(30, 240, 30), (240, 60, 60), (60, 60, 60)])
def test_policy_2_the_shorter_timeout_counts(own: int, most: int, minutes: int) -> None:
    codespace, limits = replace(CODESPACE, idle_timeout_minutes=own), replace(LIMITS, idle_minutes=most)
    assert idle_minutes(codespace, limits) == minutes
    assert idle_at(codespace, limits) == NOW + timedelta(minutes=minutes)


@pytest.mark.parametrize(("own", "most", "minutes"), [(60, DAY, 60), (2 * DAY, DAY, DAY), (0, DAY, 0), (DAY, 0, 0)])
def test_policy_3_the_shorter_period_counts_from_the_stop_on(own: int, most: int, minutes: int) -> None:
    codespace, limits = replace(STOPPED, retention_period_minutes=own), replace(LIMITS, retention_minutes=most)
    expiry = expiry_of(codespace, limits)
    assert expiry is not None
    assert expiry.at == NOW + timedelta(minutes=minutes)
    assert retention_minutes(codespace, limits) == minutes


@pytest.mark.parametrize(("own", "minutes"), [(0, DAY), (60, DAY), (3 * DAY, 3 * DAY)])
def test_policy_4_what_failed_is_there_for_a_day(own: int, minutes: int) -> None:
    failed = replace(
        STOPPED, desired=Desired.RUNNING, phase=Phase.FAILED, generation=1, seen=1, retention_period_minutes=own
    )
    expiry = expiry_of(failed, LIMITS)
    assert expiry is not None
    assert expiry.at == NOW + timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("own", "minutes"), [(30 * DAY, 23 * DAY), (14 * DAY, 7 * DAY), (10 * DAY, 5 * DAY), (60, 30), (0, 0)]
)
def test_policy_5_the_warning_comes_before(own: int, minutes: int) -> None:
    expiry = expiry_of(replace(STOPPED, retention_period_minutes=own), LIMITS)
    assert expiry is not None
    assert expiry.warned_from == NOW + timedelta(minutes=minutes)
    assert "not pushed" in expiry.notice


@pytest.mark.parametrize(
    "changes",
    [
        {"desired": Desired.RUNNING, "phase": Phase.AVAILABLE},
        {"desired": Desired.RUNNING, "generation": 2},
        {"desired": Desired.DELETED},
        {"stopped_at": None},
    ],
    ids=["it runs", "it was asked to start", "it is deleted already", "nobody knows since when"],
)
def test_policy_6_nothing_else_expires(changes: dict[str, object]) -> None:
    assert expiry_of(STOPPED, LIMITS) is not None
    assert expiry_of(replace(STOPPED, **changes), LIMITS) is None  # type: ignore[arg-type]
