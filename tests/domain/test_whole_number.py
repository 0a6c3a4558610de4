"""What counts as a whole number."""

import pytest

from berth.domain.whole_number import parse_whole_number


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("7", 7), ("007", 7), ("9" * 18, 10**18 - 1)],
)
def test_a_number(text: str, number: int) -> None:
    assert parse_whole_number(text) == number


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", " 1", "1\n", "1_0", "1.0", "1e3", "0x1", "\u0667", "\u00b2", "x", "9" * 19]
)
def test_none(text: str) -> None:
    assert parse_whole_number(text) is None
