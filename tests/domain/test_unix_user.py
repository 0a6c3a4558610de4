"""Whose the checkout shall be: what images say, and what their /etc/passwd makes of it."""

import pytest

from berth.domain.unix_user import UnixUser, find_unix_user, is_root

PASSWD = (
    b"root:x:0:0:root:/root:/bin/sh\n# a comment\nbroken\ndev:x:1000:1001:dev:/home/dev:/bin/sh\nodd:x:a:b:::\n\xff\n"
)


@pytest.mark.parametrize("user", ["", "root", "0", "0:0", "root:staff"])
def test_root_is_known_without_the_image(user: str) -> None:
    assert is_root(user)


@pytest.mark.parametrize("user", ["dev", "1000", "00x", "rooted"])
def test_others_are_not_root(user: str) -> None:
    assert not is_root(user)


@pytest.mark.parametrize(
    ("user", "found"),
    [
        ("dev", UnixUser(1000, 1001)),
        ("dev:users", UnixUser(1000, 1001)),
        ("1000", UnixUser(1000, 1001)),
        ("1234", UnixUser(1234, 0)),
        ("nobody", None),
        ("odd", None),
        ("99999999999", None),
        ("4294967295", None),
    ],
    ids=[
        "by name", "the group after the colon is left out", "a number with an entry", "a number without an entry",
        "an unknown name", "an entry without numbers", "a number that is none", "a number that chown takes for none",
    ],
)  # fmt: skip
def test_find_unix_user(user: str, found: UnixUser | None) -> None:
    assert find_unix_user(user, PASSWD) == found
