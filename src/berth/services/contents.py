"""Use cases of a repository's contents: files and directories at a commit, branches, and writing one file."""

from dataclasses import dataclass

from berth.adapters.store import audit
from berth.adapters.store.database import Store
from berth.domain.access import Action, Subject
from berth.domain.account import AccountType
from berth.domain.git_object import Commit, TreeEntry, WrittenFile, clean_signature, parse_file_path
from berth.domain.problem import Invalid, NotFound
from berth.domain.repository import Repository, parse_branch_name, short_branch
from berth.services.account import get_account
from berth.services.ports import Clock, GitRepositories
from berth.services.repository import RepositoryService

_EMPTY = "This repository is empty."


@dataclass(frozen=True, slots=True, kw_only=True)
class FileView:
    """A file, a symbolic link or a submodule, with its bytes where it has any; a link's are its target."""

    entry: TreeEntry
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """A file to write."""

    message: str
    data: bytes
    expected: str | None = None  # the blob that the caller saw
    branch: str | None = None
    author_name: str | None = None
    author_email: str | None = None


class ContentsService:
    """Contents of repositories."""

    def __init__(self, *, store: Store, clock: Clock, git: GitRepositories, repositories: RepositoryService) -> None:
        self._store = store
        self._clock = clock
        self._git = git
        self._repositories = repositories

    async def get(
        self, subject: Subject | None, owner: str, name: str, path: str, ref: str
    ) -> tuple[Repository, FileView | tuple[TreeEntry, ...]]:
        """A file's bytes or a directory's entries. Raises NotFound."""
        repository = await self._repositories.get(subject, owner, name, Action.READ)
        commit = await self._git.find_commit(repository.id, short_branch(ref) or repository.default_branch)
        if commit is None:
            raise NotFound(_EMPTY if not ref else f"No commit found for the ref {ref[:100]}", code="contents.no_ref")
        entry = await self._git.find_entry(repository.id, commit, path) if path else None
        if not path or (entry is not None and entry.kind == "dir"):
            entries = await self._git.list_directory(repository.id, commit, path)
            return repository, entries or ()
        if entry is None:
            raise NotFound("Not Found", code="contents.not_found")
        return repository, FileView(entry=entry, data=await self._read(repository, commit, entry))

    async def _read(self, repository: Repository, commit: str, entry: TreeEntry) -> bytes:
        if entry.kind == "symlink":
            return (await self._git.read_link(repository.id, commit, entry.path) or "").encode()
        return await self._git.read_file(repository.id, commit, entry.path) or b""

    async def get_branch(
        self, subject: Subject | None, owner: str, name: str, branch: str
    ) -> tuple[Repository, Commit]:
        """Raises NotFound."""
        repository = await self._repositories.get(subject, owner, name, Action.READ)
        commit = await self._git.find_commit(repository.id, f"refs/heads/{branch}")
        if commit is None:
            raise NotFound("Branch not found", code="contents.no_branch")
        return repository, await self._git.get_commit(repository.id, commit)

    async def put(
        self, subject: Subject, owner: str, name: str, path: str, change: FileChange
    ) -> tuple[Repository, WrittenFile]:
        """Commit one file. Raises Conflict where `expected` is not what the branch holds."""
        repository = await self._repositories.get(subject, owner, name, Action.WRITE)
        parse_file_path(path)
        if not change.message.strip():
            raise Invalid("A commit needs a message.", field="message", reason="missing_field", code="contents.message")
        branch = parse_branch_name(short_branch(change.branch or repository.default_branch), field="branch")
        now = self._clock.now()
        async with self._store.read() as connection:
            account = await get_account(connection, subject.login, AccountType.USER)
        written = await self._git.write_file(
            repository.id,
            branch=branch,
            path=path,
            data=change.data,
            expected=change.expected,
            message=change.message,
            author=clean_signature(
                change.author_name or account.git_name, change.author_email or account.git_email, now
            ),
        )
        await self._repositories.note_push(repository)
        async with self._store.begin() as connection:
            await audit.record(
                connection,
                at=now,
                actor=subject,
                action="contents.write",
                account_id=repository.owner_id,
                target=repository.full_name,
                detail=f"{branch} {written.commit.sha}",
            )
        return repository, written
