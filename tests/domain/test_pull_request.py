"""Pull requests: words that clients send, and whose commits they bring (S6)."""

from datetime import UTC, datetime

import pytest

from berth.domain.problem import Invalid
from berth.domain.pull_request import (
    MAX_BODY,
    MAX_TITLE,
    PullRequest,
    PullRequestState,
    check_body,
    check_title,
    parse_head,
    parse_state,
)

NOW = datetime(2026, 11, 30, 8, 0, tzinfo=UTC)


def pull_request(*, repository_id: int = 7, head_repository_id: int, number: int = 3) -> PullRequest:
    return PullRequest(
        id=1, repository_id=repository_id, number=number, author_id=1, title="t", body="",
        state=PullRequestState.OPEN, base_ref="main", base_sha="a", head_repository_id=head_repository_id,
        head_ref="topic", head_sha="b", created_at=NOW, updated_at=NOW, closed_at=None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("head_repository_id", "is_from_fork", "ref"), [(7, False, "topic"), (8, True, "refs/pull/3/head")]
)
def test_s6_what_comes_from_another_repository(head_repository_id: int, is_from_fork: bool, ref: str) -> None:
    found = pull_request(head_repository_id=head_repository_id)
    assert (found.is_from_fork, found.codespace_ref) == (is_from_fork, ref)


@pytest.mark.parametrize(
    ("head", "parsed"),
    [("topic", (None, "topic")), ("a/b.c", (None, "a/b.c")), ("Octo:topic", ("Octo", "topic"))],
)
def test_parse_head(head: str, parsed: tuple[str | None, str]) -> None:
    assert parse_head(head) == parsed


@pytest.mark.parametrize(
    ("head", "code"),
    [
        ("", "pull_request.head"),
        ("octo:", "pull_request.head"),
        (":topic", "pull_request.head"),
        ("octo:app:topic", "pull_request.head"),
        ("a b:topic", "pull_request.head"),
        ("-x", "repository.branch"),
        ("octo:../x", "repository.branch"),
        ("refs/heads/x\n", "repository.branch"),
    ],
)
def test_what_is_no_head(head: str, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_head(head)
    assert refused.value.code == code


def test_words() -> None:
    assert check_title("  a title ") == "a title"
    assert check_title("x" * MAX_TITLE)
    for title in ("", "  ", "a\nb", "x" * (MAX_TITLE + 1)):
        with pytest.raises(Invalid, match="title"):
            check_title(title)
    assert check_body("x" * MAX_BODY)
    with pytest.raises(Invalid, match="body"):
        check_body("x" * (MAX_BODY + 1))
    assert parse_state("closed") is PullRequestState.CLOSED
    with pytest.raises(Invalid, match="open or closed"):
        parse_state("merged")
