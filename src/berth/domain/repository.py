"""Repositories: names, visibility, and branch names for a new one."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from berth.domain.account import is_login
from berth.domain.problem import Invalid

_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")


class Visibility(StrEnum):
    """Who may read a repository (or, later, a package) without a role of his own."""

    PUBLIC = "public"
    PRIVATE = "private"
    INTERNAL = "internal"  # every member of the owning organization


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A git repository of an account. `owner_login` is joined for convenience; ids decide."""

    id: int
    owner_id: int
    owner_login: str
    owner_is_organization: bool
    name: str
    description: str
    visibility: Visibility
    default_branch: str
    created_at: datetime
    updated_at: datetime
    pushed_at: datetime
    parent_id: int | None = None  # what it is a fork of

    @property
    def full_name(self) -> str:
        return f"{self.owner_login}/{self.name}"


def hidden(repository: Repository) -> Repository:
    """What is shown of one to who might read it once: its id, which he knows, and names that nothing can have (A13)."""
    then = datetime.fromtimestamp(0, UTC)
    return Repository(
        id=repository.id,
        owner_id=0,
        owner_login="-",
        owner_is_organization=False,
        name="hidden",
        description="",
        visibility=Visibility.PRIVATE,
        default_branch="",
        created_at=then,
        updated_at=then,
        pushed_at=then,
    )


def parse_repository_name(text: str, *, field: str = "name") -> str:
    """A new repository's name, as written. Raises Invalid. Observed on GitHub: letters, digits, `.`, `_`, `-`, 1 to 100."""
    if not _NAME.fullmatch(text) or text in {".", ".."} or text.lower().endswith((".git", ".wiki")):
        raise Invalid(
            "A repository's name has 1 to 100 letters, digits, '.', '_' and '-', and does not end in .git or .wiki.",
            field=field,
            code="repository.name",
        )
    return text


_BRANCH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/-]{0,243}")


def parse_full_name(text: str) -> tuple[str, str]:
    """`owner/name` of a repository. Raises Invalid; never repeats the text."""
    owner, _, name = text.partition("/")
    if not (is_login(owner) and name):
        raise Invalid("A repository is named owner/name.", field="repository", code="package.repository")
    return owner, parse_repository_name(name, field="repository")


def parse_branch_name(text: str, *, field: str = "ref") -> str:
    """A branch's short name in the safe subset of what git allows. Raises Invalid. Source: git-check-ref-format(1)."""
    unsafe = ".." in text or "//" in text or "/." in text or text.endswith(("/", ".", ".lock")) or ".lock/" in text
    if not _BRANCH.fullmatch(text) or unsafe:
        raise Invalid(f"'{text[:80]!s}' is not a branch name.", field=field, code="repository.branch")
    return text


def short_branch(ref: str) -> str:
    """A branch's short name from any of the forms that clients send: `main`, `heads/main`, `refs/heads/main`."""
    return ref.removeprefix("refs/").removeprefix("heads/")
