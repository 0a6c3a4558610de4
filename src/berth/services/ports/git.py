"""Git repositories, and git's own protocol."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from berth.domain.git_object import Commit, Signature, TreeEntry, TreeFile, WrittenFile
from berth.domain.pull_request import Comparison


class GitRepositories(Protocol):
    """Bare git repositories on disk, addressed by their id, never by a name that a user chose."""

    async def create(self, repository_id: int, *, default_branch: str) -> None:
        """An empty bare repository. What lies there belongs to no row (a creation was interrupted, or the database is
        older than the disk): it is put aside, never reused.
        """
        ...

    async def delete(self, repository_id: int) -> None: ...

    async def find_commit(self, repository_id: int, ref: str) -> str | None:
        """The full commit id that a branch, tag or (abbreviated) id names; None if there is none. `ref` may be hostile."""
        ...

    async def find_own_commit(self, repository_id: int, ref: str) -> str | None:
        """The same of what is in branches and tags only, by their short names: pull requests bring strangers' commits.

        No form of `refs/pull/…` is found, and a commit's id only where a branch or a tag leads to it.
        """
        ...

    async def fetch(self, repository_id: int, refs: Mapping[str, str], *, source_id: int) -> None:
        """Bring refs of another of these repositories (names or patterns with `*`), and what they need, under our names.

        What is there under such a name is replaced.
        """
        ...

    async def compare(self, repository_id: int, base: str, head: str) -> Comparison:
        """What the commit `head` has over the commit `base`, from where they parted; without such a place, from `base`.

        Raises UpstreamFailed where that takes too much time or memory.
        """
        ...

    async def read_file(self, repository_id: int, commit: str, path: str) -> bytes | None:
        """A regular file's bytes at a commit (symlinks are not followed: None). At most 1 MiB, else LimitReached."""
        ...

    async def read_link(self, repository_id: int, commit: str, path: str) -> str | None:
        """What a symbolic link says, as it stands there: it may point anywhere. None for anything else."""
        ...

    async def check_out(
        self, repository_id: int, commit: str, *, branch: str | None, target: Path, origin: str
    ) -> None:
        """A working clone at `target` (absent or empty before) whose `origin` is that URL. Holds no credential.

        On `branch` where that is one, else at the commit; it may be a whole ref that a clone does not bring.

        Interrupted, it leaves a directory that the next call replaces.
        """
        ...

    async def list_directory(self, repository_id: int, commit: str, path: str) -> tuple[TreeEntry, ...] | None:
        """The entries of a directory ("" is the root) at a commit; None if it is none. At most 1 000.

        Raises LimitReached for one that is too large to be read, as `get_commit` does.
        """
        ...

    async def find_entry(self, repository_id: int, commit: str, path: str) -> TreeEntry | None:
        """What a path names at a commit."""
        ...

    async def find_entries(self, repository_id: int, commit: str, paths: Sequence[str]) -> tuple[TreeEntry, ...]:
        """What these paths, at most some 1 000, name at a commit; those that name nothing are left out. One process."""
        ...

    async def read_blobs(self, repository_id: int, shas: Collection[str]) -> dict[str, bytes]:
        """The contents of blobs that are there, by id. The caller has looked at their sizes. One process."""
        ...

    async def list_tree(self, repository_id: int, commit: str, path: str) -> tuple[TreeFile, ...] | None:
        """All files and links below a directory ("" is the root) at a commit, as git orders them; None if it is none.

        Submodules are left out. Raises LimitReached(code="git.tree_too_large") beyond 100 000 of them, or 100 levels; Invalid
        for a tree that no checkout could hold.
        """
        ...

    def archive(
        self, repository_id: int, files: Sequence[TreeFile], added: Mapping[str, bytes], *, modified_at: datetime
    ) -> AsyncIterator[bytes]:
        """A tar of these files, which are read as they are asked for, and of what is added; everything owned by root."""
        ...

    async def get_commit(self, repository_id: int, commit: str) -> Commit:
        """A commit by its full id. Raises NotFound."""
        ...

    async def list_branches(self, repository_id: int) -> tuple[str, ...]:
        """The first 1 000 branches, by name."""
        ...

    async def set_default_branch(self, repository_id: int, branch: str) -> None:
        """What a clone checks out."""
        ...

    async def write_file(
        self,
        repository_id: int,
        *,
        branch: str,
        path: str,
        data: bytes,
        expected: str | None,
        message: str,
        author: Signature,
    ) -> WrittenFile:
        """Commit one file on a branch; in an empty repository this makes the first commit.

        `expected` is the blob that the caller saw at that path, None for a new file. Raises Conflict where the branch
        holds another, or moved meanwhile; NotFound for a branch that is not there in a repository that has others.
        """
        ...

    def path(self, repository_id: int) -> Path: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GitRequest:
    """One request of git's smart HTTP protocol, its rights already decided."""

    repository: Path
    service_path: str  # info/refs, git-upload-pack or git-receive-pack
    method: str
    query: str
    content_type: str
    content_encoding: str
    protocol: str  # the Git-Protocol header
    login: str  # empty: anonymous, may not push


@dataclass(frozen=True, slots=True, kw_only=True)
class GitResponse:
    """Git's answer; `chunks` is read once."""

    status: int
    headers: tuple[tuple[str, str], ...]
    chunks: AsyncIterator[bytes]


class GitBackend(Protocol):
    """Speaks git's smart HTTP protocol for one repository."""

    def serve(self, request: GitRequest, body: AsyncIterator[bytes]) -> AbstractAsyncContextManager[GitResponse]:
        """Run one request; leaving the context ends whatever still runs. Bodies are streamed both ways."""
        ...
