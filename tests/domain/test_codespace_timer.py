"""The policy of `domain/codespace_timer.py`, quoted by its numbers."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.domain.test_codespace import CODESPACE, NOW

from berth.domain.codespace_timer import idle_at, idle_minutes


@pytest.mark.parametrize(("own", "most", "minutes"), [(30, 240, 30), (240, 60, 60), (60, 60, 60)])
def test_policy_2_the_shorter_timeout_counts(own: int, most: int, minutes: int) -> None:
    codespace = replace(CODESPACE, idle_timeout_minutes=own)
    assert idle_minutes(codespace, most=most) == minutes
    assert idle_at(codespace, most=most) == NOW + timedelta(minutes=minutes)
