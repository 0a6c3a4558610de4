"""Which part of a list a request asks for, and which thing its path names."""

import pytest

from berth.edge.asked import ListPage, parse_id, parse_list_page


@pytest.mark.parametrize(
    ("number", "limit", "page"),
    [
        ("", "", ListPage(1, 30)),
        ("2", "7", ListPage(2, 7)),
        ("0", "0", ListPage(1, 1)),
        ("-3", "-3", ListPage(1, 1)),
        ("x", "\u0667", ListPage(1, 30)),
        ("1" * 5000, "1" * 5000, ListPage(1_000_000, 100)),
        ("0003", "00000000000000000000005", ListPage(3, 5)),
    ],
)
def test_a_part_is_clamped_to_what_there_can_be(number: str, limit: str, page: ListPage) -> None:
    assert parse_list_page(number, limit) == page


def test_the_last_page() -> None:
    assert [ListPage(1, 30).last(total) for total in (0, 1, 30, 31)] == [1, 1, 1, 2]
    assert ListPage(1, 30, deepest=60).last(1000) == 2
    assert ListPage(3, 30).offset == 60


@pytest.mark.parametrize(("text", "number"), [("7", 7), ("x", -1), ("", -1), ("-1", -1), ("9" * 19, -1)])
def test_what_is_no_id_is_never_found(text: str, number: int) -> None:
    assert parse_id(text) == number
