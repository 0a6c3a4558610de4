"""What git holds, as far as the API shows it: tree entries, commits, signatures; and paths that are safe to write."""

from dataclasses import dataclass
from datetime import datetime

from berth.domain.problem import Invalid

MAX_PATH_LENGTH = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeEntry:
    """One name in a directory at a commit. `kind` is GitHub's word: file, dir, symlink, submodule."""

    name: str
    path: str
    kind: str
    sha: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeFile:
    """Something below a directory, at any depth. `path` is relative to it; bytes that are no UTF-8 are surrogates."""

    path: str
    kind: str  # file, executable, symlink
    sha: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Who made a commit, and when."""

    name: str
    email: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A commit."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    author: Signature
    committer: Signature
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenFile:
    """What writing a file through the API made."""

    blob: str
    commit: Commit
    created: bool


def parse_file_path(text: str) -> str:
    """A path inside a repository that a file may be written to. Raises Invalid. Source: git's verify_path()."""
    parts = text.split("/")
    bad = any(part in {"", ".", ".."} or part.lower().rstrip(". ") in {".git", "git~1"} for part in parts)
    if bad or len(text) > MAX_PATH_LENGTH or any(ord(char) < 32 or char in "\\\x7f" for char in text):
        raise Invalid("path contains a malformed path component", field="path", code="contents.path")
    return text


def clean_signature(name: str, email: str, at: datetime) -> Signature:
    """A signature with the characters removed that git's format cannot hold."""
    kept = [
        "".join(char for char in text if char not in "<>" and ord(char) >= 32).strip()[:200] for text in (name, email)
    ]
    return Signature(name=kept[0] or "unknown", email=kept[1] or "unknown@localhost", at=at)
