"""Pull requests, as far as codespaces need them: what is to come into which branch, and whether a stranger wrote it."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from berth.domain.problem import Invalid
from berth.domain.repository import parse_branch_name

MAX_TITLE = 256
MAX_BODY = 65536  # Observed on GitHub: "body is too long (maximum is 65536 characters)"
_HEAD = re.compile(r"(?:(?P<owner>[A-Za-z0-9-]{1,39}):)?(?P<branch>[^:]+)")


class PullRequestState(StrEnum):
    """Merging happens by git; whoever did it closes the pull request."""

    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRequest:
    """One that is to be seen; it goes with its head's repository, but its number is not used again."""

    id: int
    repository_id: int
    number: int
    author_id: int
    title: str
    body: str
    state: PullRequestState
    base_ref: str
    base_sha: str
    head_repository_id: int
    head_ref: str
    head_sha: str
    created_at: datetime
    updated_at: datetime
    closed_at: datetime | None

    @property
    def is_from_fork(self) -> bool:
        """S6: what comes from another repository was written by who may not write here."""
        return self.head_repository_id != self.repository_id

    @property
    def ref(self) -> str:
        """Where its commits are in the repository that it is for; nobody pushes there."""
        return pull_ref(self.number)

    @property
    def codespace_ref(self) -> str:
        """What its codespace checks out: the branch, to go on with it, where that is in the same repository."""
        return self.ref if self.is_from_fork else self.head_ref


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What a pull request would bring: from where it left the base. Numbers of commits, lines, files."""

    commits: int
    additions: int
    deletions: int
    changed_files: int


def pull_ref(number: int) -> str:
    return f"refs/pull/{number:d}/head"


def parse_head(head: str) -> tuple[str | None, str]:
    """`branch`, or `owner:branch` of a fork. Raises Invalid. Source: GitHub REST docs, "Create a pull request"."""
    match = _HEAD.fullmatch(head)
    if match is None:
        raise Invalid("head is a branch, or owner:branch of a fork.", field="head", code="pull_request.head")
    return match["owner"], parse_branch_name(match["branch"], field="head")


def check_title(title: str) -> str:
    """Without the spaces around it. Raises Invalid."""
    stripped = title.strip()
    if not stripped or len(stripped) > MAX_TITLE or not stripped.isprintable():
        raise Invalid(
            f"A title has 1 to {MAX_TITLE} characters, none of them a control character.",
            field="title",
            code="pull_request.title",
        )
    return stripped


def check_body(body: str) -> str:
    """Raises Invalid."""
    if len(body) > MAX_BODY:
        raise Invalid(f"A body has at most {MAX_BODY} characters.", field="body", code="pull_request.body")
    return body


def parse_state(word: str) -> PullRequestState:
    """Raises Invalid."""
    try:
        return PullRequestState(word)
    except ValueError:
        raise Invalid("state is open or closed.", field="state", code="pull_request.state") from None
