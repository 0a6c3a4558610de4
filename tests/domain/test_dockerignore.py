"""What is kept out of a build context, beside what Docker's documentation and its own tests say."""

import time

import pytest

from berth.domain import dockerignore
from berth.domain.dockerignore import MAX_PATTERNS, MAX_SIZE_BYTES, parse_ignore_rules
from berth.domain.problem import Invalid, LimitReached


def kept(text: str, *paths: str) -> list[str]:
    return parse_ignore_rules(text.encode()).keep(paths)


# pattern, path, whether it is kept out. Source: moby/patternmatcher, patternmatcher_test.go, and the documentation's examples
MATCHES = [
    ("**", "file", True), ("**", "dir/file", True), ("**/", "dir/file", True), ("**/**", "dir/file", True),
    ("dir/**", "dir/file", True), ("dir/**", "dir/dir2/file", True), ("dir/**", "dir", False),
    ("**/dir2/*", "dir/dir2/file", True), ("**/dir2/*", "dir/dir2/dir2/file", True), ("**/dir2/**", "dir/dir2/dir2/file", True),
    ("**file", "dir/file", True), ("**file", "dir/dir/file", True), ("**/file", "dir/file", True),
    ("**/file*", "dir/dir/file.txt", True), ("**/file*txt", "dir/dir/file.txt", True),
    ("**/file*.txt*", "dir/dir/file.txt", True), ("**/**/*.txt", "dir/dir/file.txt", True),
    ("**/**/*.txt2", "dir/dir/file.txt", False), ("**/*.txt", "file.txt", True), ("a**/*.txt", "a/file.txt", True),
    ("a/*.txt", "a/file.txt", True), ("a/*.txt", "a/b/file.txt", False), ("a/[b-d].txt", "a/c.txt", True),
    ("a/[b-d].txt", "a/e.txt", False), ("a[^b].txt", "ac.txt", True), ("a[^b].txt", "ab.txt", False),
    ("a[]b].txt", "a].txt", True), ("a?c", "abc", True), ("a?c", "a/c", False), ("a*", "a/b/c", True), ("*/b", "a/b", True),
    ("*/b", "a/a/b", False), ("a\\*c", "a*c", True), ("a\\*c", "abc", False), ("a\\", "a", True), ("file", "file", True),
    ("/file", "file", True), ("./file", "file", True), ("dir/", "dir/file", True), ("dir", "dir/sub/file", True),
    ("dir", "other/dir/file", False), ("x/../file", "file", True), (".", "file", False), ("..", "file", False),
    ("# file", "file", False), ("", "file", False), ("  file  ", "file", True), (".git*", ".gitignore", True),
    ("a.c", "abc", False), ("a(b", "a(b", True), ("x*y*z", "xaybz", True), ("x*y*z", "xayb", False),
    ("x*y*y*z", "xaybz", False), ("a/**/b/**/c", "a/1/b/2/3/c", True), ("a/**/b/**/c", "a/b/c", True),
    ("a/**/b/**/c", "a/1/2/c", False), ("a/**/b", "a", False), ("a/**/b/c", "a/b/x/b/c", True), ("*.log", "\n.log", True),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "path", "ignored"), MATCHES)
def test_a_pattern(pattern: str, path: str, ignored: bool) -> None:
    assert kept(pattern, path) == ([] if ignored else [path])


def test_the_last_word_counts() -> None:
    paths = ("README.md", "README-secret.md", "docs/a.md", "docs/b.txt")
    assert kept("*.md\n!README*.md\nREADME-secret.md\n", *paths) == ["README.md", "docs/a.md", "docs/b.txt"]
    assert kept("*.md\nREADME-secret.md\n!README*.md\n", *paths) == [
        "README.md",
        "README-secret.md",
        "docs/a.md",
        "docs/b.txt",
    ]
    assert kept("docs\n!docs/a.md\n", *paths) == ["README.md", "README-secret.md", "docs/a.md"]
    assert kept("*\n! docs\ndocs/*.txt", *paths) == ["docs/a.md"]


def test_without_a_file_nothing_is_kept_out() -> None:
    assert parse_ignore_rules(None).keep(["a", "b/c"]) == ["a", "b/c"]


def test_names_that_are_no_utf_8() -> None:
    assert parse_ignore_rules(b"\xef\xbb\xbf\xe9\n").keep(["\udce9", "a"]) == ["a"]


BAD = {
    "an open range": (b"a[b", "line 1: a '\\['"),
    "a range backwards": (b"x\na[z-a]", "line 2: a range"),
    "too large": (b"x" * (MAX_SIZE_BYTES + 1), "larger than 64 KiB"),
    "too many lines": (b"x\n" * (MAX_PATTERNS + 1), "more than 1000 lines"),
}


@pytest.mark.parametrize(("data", "why"), BAD.values(), ids=BAD.keys())
def test_it_refuses(data: bytes, why: str) -> None:
    with pytest.raises(Invalid, match=why) as caught:
        parse_ignore_rules(data)
    assert caught.value.code == "devcontainer.dockerignore"


def test_hostile_patterns_take_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dockerignore, "MAX_WORK", 5_000_000)
    stars = "*a" * 2000 + "b\n" + "**/a/" * 2000 + "b\n" + "**/*a*a*a*a*b/" * 100 + "c"
    began = time.process_time()
    assert kept(stars, "a" * 4000, "/".join("a" * 100), "/".join(["aaaaaaaa"] * 90)) != []
    with pytest.raises(LimitReached, match="too many patterns"):
        kept("*x\n" * 1000, *(f"{number}/a" for number in range(101)))
    assert time.process_time() - began < 3
