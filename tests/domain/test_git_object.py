from datetime import UTC, datetime

import pytest

from berth.domain.git_object import clean_signature, parse_file_path
from berth.domain.problem import Invalid


@pytest.mark.parametrize("path", ["a", "a/b.txt", ".devcontainer/devcontainer.json", "a b", "ä", ".gitignore", "-x"])
def test_a_good_path_is_kept(path: str) -> None:
    assert parse_file_path(path) == path


@pytest.mark.parametrize(
    "path",
    ["", "/a", "a/", "a//b", ".", "a/../b", ".git/config", "a/.GIT/x", ".git. /x", "git~1/x", "a\\b", "a\0b", "a\nb",
     "a" * 4097],
)  # fmt: skip
def test_a_path_that_git_would_refuse_is_refused(path: str) -> None:
    with pytest.raises(Invalid):
        parse_file_path(path)


def test_a_signature_holds_nothing_that_breaks_gits_format() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    dirty = clean_signature("A <x>\nB", "<a@b>\n", now)
    assert (dirty.name, dirty.email) == ("A xB", "a@b")
    empty = clean_signature("<>", "", now)
    assert (empty.name, empty.email) == ("unknown", "unknown@localhost")
