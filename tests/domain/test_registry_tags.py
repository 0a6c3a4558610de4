"""Which tags are named where one is missing."""

import pytest

from berth.domain.registry_tags import MAX_NAMED, near_tags, read_tags


@pytest.mark.parametrize(
    "body,tags",
    [
        (b'{"name": "a", "tags": ["1", "v2", "<b>", 3, ""]}', ("1", "v2")),
        (b'{"tags": null}', ()),
        (b'{"tags": "1"}', ()),
        (b"<html>", ()),
    ],
)
def test_only_tags_are_read(body: bytes, tags: tuple[str, ...]) -> None:
    assert read_tags(body) == tags


@pytest.mark.parametrize(
    "wanted,tags,named",
    [
        ("lates", ("1.0", "latest", "main"), ("latest",)),
        ("V1.2", ("v1.1", "v1.2", "sha-9"), ("v1.2", "v1.1")),
        ("nothing", ("1", "2", "3", "4", "5", "6"), ("2", "3", "4", "5", "6")),
        ("x", (), ()),
    ],
)
def test_the_nearest_are_named(wanted: str, tags: tuple[str, ...], named: tuple[str, ...]) -> None:
    assert near_tags(wanted, tags) == named
    assert len(near_tags(wanted, tags)) <= MAX_NAMED
