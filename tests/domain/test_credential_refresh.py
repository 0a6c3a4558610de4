"""C8: when credentials in a running codespace are made fresh. Policy numbers are those of the module."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.domain.test_codespace import CODESPACE

from berth.domain.credential_refresh import GRACE, Readiness, due_in_s, find_readiness, is_worn, replaced_until
from berth.domain.lifecycle import Desired, Phase

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("lives_s", "chance", "due"),
    [
        pytest.param([], 0.0, None, id="nothing expires"),
        pytest.param([None], 0.0, None, id="what has no end does not count"),
        pytest.param([8 * 3600], 0.0, 4 * 3600.0, id="at half of its life"),
        pytest.param([8 * 3600], 1.0, 0.9 * 4 * 3600, id="a tenth of that earlier at most"),
        pytest.param([8 * 3600, None, 3600], 0.0, 1800.0, id="the shortest-lived counts"),
        pytest.param([0], 0.5, 1.0, id="over already: soon, not in a circle"),
        pytest.param([-100], 0.0, 1.0, id="long over"),
    ],
)
def test_policy_1(lives_s: list[int | None], chance: float, due: float | None) -> None:
    assert due_in_s([None if one is None else NOW + timedelta(seconds=one) for one in lives_s], NOW, chance) == due


RUNNING = replace(
    CODESPACE, desired=Desired.RUNNING, phase=Phase.AVAILABLE, container_id="c", repository_id=1, generation=1, seen=1
)


@pytest.mark.parametrize(
    ("values", "readiness"),
    [
        pytest.param({}, Readiness.NOW, id="it runs"),
        pytest.param({"exporting": True}, Readiness.NOW, id="an export is in progress"),
        pytest.param({"from_fork": True}, Readiness.NEVER, id="S6 a stranger's code gets nothing"),
        pytest.param({"repository_id": None}, Readiness.NEVER, id="its repository is gone"),
        pytest.param({"desired": Desired.STOPPED}, Readiness.NEVER, id="it is to stop"),
        pytest.param({"desired": Desired.DELETED}, Readiness.NEVER, id="it is to go"),
        pytest.param({"generation": 2, "rebuild_asked": 2}, Readiness.LATER, id="it is to be rebuilt"),
        pytest.param({"phase": Phase.PROVISIONING}, Readiness.LATER, id="it is being launched"),
        pytest.param({"phase": Phase.STARTING}, Readiness.LATER, id="it is being started"),
        pytest.param({"phase": Phase.REBUILDING}, Readiness.LATER, id="it is being rebuilt"),
        pytest.param({"phase": Phase.QUEUED}, Readiness.NEVER, id="S8 a launch brings everything along"),
        pytest.param(
            {"phase": Phase.SHUTDOWN, "generation": 2}, Readiness.NEVER, id="S8 a start brings everything along"
        ),
        pytest.param({"phase": Phase.FAILED}, Readiness.NEVER, id="it failed"),
    ],
)
def test_policy_3(values: dict[str, Any], readiness: Readiness) -> None:
    assert find_readiness(replace(RUNNING, **values)) is readiness


def test_policy_3_one_that_is_gone() -> None:
    assert find_readiness(None) is Readiness.NEVER


@pytest.mark.parametrize(
    ("age", "life", "worn"),
    [
        pytest.param(0 * HOUR, 8 * HOUR, False, id="new"),
        pytest.param(3 * HOUR, 8 * HOUR, False, id="three of eight hours"),
        pytest.param(3.6 * HOUR, 8 * HOUR, True, id="when chance makes a refresh earliest"),
        pytest.param(4 * HOUR, 8 * HOUR, True, id="half"),
        pytest.param(9 * HOUR, 8 * HOUR, True, id="over"),
        pytest.param(0 * HOUR, None, True, id="without an end"),
    ],
)
def test_policy_4(age: timedelta, life: timedelta | None, worn: bool) -> None:
    assert is_worn(NOW - age, None if life is None else NOW - age + life, NOW) is worn


@pytest.mark.parametrize(
    ("expires_at", "until"),
    [
        pytest.param(NOW + 8 * HOUR, NOW + GRACE, id="after a grace"),
        pytest.param(NOW + GRACE / 2, NOW + GRACE / 2, id="at its own end if that is sooner"),
        pytest.param(NOW - HOUR, NOW - HOUR, id="it is over, and stays so"),
        pytest.param(None, NOW + GRACE, id="without an end"),
    ],
)
def test_policy_5(expires_at: datetime | None, until: datetime) -> None:
    assert replaced_until(expires_at, NOW) == until
