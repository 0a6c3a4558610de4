"""What people do with codespaces: create, look, start, stop, delete, read the log, run a command.

Every change is a change of what is desired, stored and answered at once; the loop (`lifecycle.py`) brings it about.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import account as account_rows
from berth.adapters.store import audit
from berth.adapters.store import codespace as rows
from berth.adapters.store import repository as repository_rows
from berth.adapters.store.database import Store
from berth.domain.access import Action, Subject, decide_repository
from berth.domain.access_token import TokenKind
from berth.domain.account import Account
from berth.domain.codespace import (
    MAX_DISPLAY_NAME,
    MAX_IDLE_MINUTES,
    MAX_RETENTION_MINUTES,
    MIN_IDLE_MINUTES,
    Codespace,
    LogEntry,
    check_minutes,
    default_display_name,
    make_name,
)
from berth.domain.lifecycle import Desired, State
from berth.domain.problem import Conflict, Denied, Invalid, LimitReached, NotFound
from berth.domain.repository import Repository, short_branch
from berth.services.codespace_exec import CodespaceExec
from berth.services.ports import Clock, Entropy, ExecResult, GitRepositories

MACHINE = "standardLinux"
_LOCATION = "WestEurope"  # GitHub's field is a closed list of its own regions; one has to be picked
_FOLLOW_EVERY_S = 0.1
_LOG_PAGE = 500
_MAX_PATH = 1024
_AT_REST = frozenset({State.AVAILABLE, State.SHUTDOWN, State.FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class CodespaceLimits:
    """From the settings."""

    per_user: int
    idle_timeout_minutes: int
    retention_minutes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CodespaceRequest:
    """What a creation asks for; None where the caller left the choice to us."""

    ref: str | None = None
    devcontainer_path: str | None = None
    display_name: str | None = None
    machine: str | None = None
    idle_timeout_minutes: int | None = None
    retention_period_minutes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CodespaceView:
    """A codespace with what its answers show of others."""

    codespace: Codespace
    owner: Account
    repository: Repository


class CodespaceService:
    """Use cases of codespaces. `wake` tells this process's loop that a request was stored."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        entropy: Entropy,
        git: GitRepositories,
        executor: CodespaceExec,
        limits: CodespaceLimits,
        wake: Callable[[], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._git = git
        self._executor = executor
        self._limits = limits
        self._wake = wake

    async def create(self, subject: Subject, repository: Repository, wanted: CodespaceRequest) -> CodespaceView:
        """Store a new codespace; the loop launches it.

        Raises Invalid for an unknown ref, LimitReached at MAX_CODESPACES_PER_USER, Denied for any but a personal token.
        """
        if subject.token_kind is not TokenKind.PERSONAL:
            raise Denied("The token of a codespace or a workflow creates no codespaces.", code="codespace.by_token")
        ref = short_branch(wanted.ref or "") or repository.default_branch
        commit = await self._git.find_commit(repository.id, ref)
        if commit is None:
            raise Invalid(
                f"The repository {repository.full_name} has no branch, tag or commit '{ref[:100]}'.",
                field="ref",
                code="codespace.ref_unknown",
                remedy="Push it first, or name another with `ref`.",
            )
        values = self._new_values(subject, repository, wanted, ref)
        async with self._store.begin() as connection:
            await rows.lock_owner(connection, subject.account_id)
            self._check_limit(await rows.count_codespaces(connection, subject.account_id))
            codespace = await rows.insert_codespace(connection, values)
            await audit.record(
                connection,
                at=self._clock.now(),
                actor=subject,
                action="codespace.create",
                account_id=repository.owner_id,
                target=codespace.name,
                detail=repository.full_name,
            )
            owner = await self._owner(connection, codespace)
        self._wake()
        return CodespaceView(codespace=codespace, owner=owner, repository=repository)

    def _new_values(
        self, subject: Subject, repository: Repository, wanted: CodespaceRequest, ref: str
    ) -> dict[str, object]:
        if wanted.machine and wanted.machine != MACHINE:
            raise Invalid(
                f"There is no machine '{wanted.machine[:40]}'; there is {MACHINE}.",
                field="machine",
                code="codespace.machine",
            )
        display_name = (wanted.display_name or "").strip()
        if len(display_name) > MAX_DISPLAY_NAME:
            raise Invalid(
                f"A display name has at most {MAX_DISPLAY_NAME} characters.",
                field="display_name",
                code="codespace.display_name",
            )
        if not (display_name or "-").isprintable():
            raise Invalid(
                "A display name holds no control characters.", field="display_name", code="codespace.display_name"
            )
        random = self._entropy.token_bytes(16)
        now = self._clock.now()
        return {
            "name": make_name(subject.login, repository.name, random),
            "display_name": display_name or default_display_name(random),
            "environment_id": str(UUID(bytes=self._entropy.token_bytes(16), version=4)),
            "owner_id": subject.account_id,
            "repository_id": repository.id,
            "ref": ref,
            "devcontainer_path": _check_path(wanted.devcontainer_path),
            "machine": MACHINE,
            "location": _LOCATION,
            "idle_timeout_minutes": check_minutes(
                wanted.idle_timeout_minutes,
                field="idle_timeout_minutes",
                default=self._limits.idle_timeout_minutes,
                least=MIN_IDLE_MINUTES,
                most=MAX_IDLE_MINUTES,
            ),
            "retention_period_minutes": check_minutes(
                wanted.retention_period_minutes,
                field="retention_period_minutes",
                default=self._limits.retention_minutes,
                least=0,
                most=MAX_RETENTION_MINUTES,
            ),
            "created_at": now,
            "updated_at": now,
            "last_used_at": now,
        }

    def _check_limit(self, count: int) -> None:
        if count >= self._limits.per_user:
            raise LimitReached(
                f"You have {count} codespaces; this server allows {self._limits.per_user}.",
                code="codespace.limit",
                remedy="Delete one that you do not need.",
            )

    async def get(self, subject: Subject, name: str) -> CodespaceView:
        """One of the caller's own codespaces. Raises NotFound."""
        async with self._store.read() as connection:
            codespace = await rows.find_codespace(connection, subject.account_id, name)
            view = None if codespace is None else await self._view(connection, codespace)
        if view is None:
            raise NotFound("Not Found", code="codespace.not_found")
        return view

    async def _get_readable(self, subject: Subject, name: str) -> CodespaceView:
        """One of the caller's own whose repository he, and this token of his, may still read (A6). Raises NotFound.

        What runs inside holds a token that may write to the repository: a token that could not even read it must not
        become a stronger one by way of a command.
        """
        view = await self.get(subject, name)
        async with self._store.read() as connection:
            facts = await repository_rows.gather_facts(connection, subject.account_id, view.repository.id)
        if facts is None or not decide_repository(subject, facts, Action.READ):
            raise NotFound("Not Found", code="codespace.not_found")
        return view

    async def list_own(
        self, subject: Subject, repository_id: int | None, *, limit: int, offset: int
    ) -> tuple[list[CodespaceView], int]:
        """A page of the caller's codespaces, newest first, and how many he has. A constant number of queries."""
        async with self._store.read() as connection:
            found, total = await rows.list_codespaces(
                connection, subject.account_id, repository_id, limit=limit, offset=offset
            )
            owner = await account_rows.find_account_by_id(connection, subject.account_id)
            ids = {codespace.repository_id for codespace in found if codespace.repository_id is not None}
            repositories = await repository_rows.find_repositories_by_ids(connection, ids)
        if owner is None:
            return [], 0
        views = [
            CodespaceView(codespace=codespace, owner=owner, repository=repositories[codespace.repository_id])
            for codespace in found
            if codespace.repository_id in repositories
        ]
        return views, total

    async def start(self, subject: Subject, name: str) -> CodespaceView:
        """Ask for it to run. Raises Conflict if it does, or is about to."""
        view = await self._get_readable(subject, name)
        if view.codespace.state is State.AVAILABLE or (
            view.codespace.desired is Desired.RUNNING and view.codespace.state is not State.FAILED
        ):
            raise Conflict("The codespace is already running.", code="codespace.running")
        return await self._request(subject, view, Desired.RUNNING, "codespace.start")

    async def stop(self, subject: Subject, name: str) -> CodespaceView:
        """Ask for it to stop; nothing happens if that was asked already."""
        view = await self.get(subject, name)
        if view.codespace.desired is Desired.STOPPED:
            return view
        return await self._request(subject, view, Desired.STOPPED, "codespace.stop")

    async def delete(self, subject: Subject, name: str) -> None:
        """Ask for it to go; for its owner it is gone from now on."""
        view = await self.get(subject, name)
        await self._request(subject, view, Desired.DELETED, "codespace.delete")

    async def _request(self, subject: Subject, view: CodespaceView, desired: Desired, action: str) -> CodespaceView:
        if not _may_manage(subject, view.codespace):
            raise Denied("This token manages no codespace but its own.", code="codespace.by_token")
        now = self._clock.now()
        async with self._store.begin() as connection:
            await rows.request(connection, view.codespace.id, desired, {"updated_at": now, "last_used_at": now})
            await audit.record(
                connection,
                at=now,
                actor=subject,
                action=action,
                account_id=view.repository.owner_id,
                target=view.codespace.name,
            )
            codespace = await rows.find_codespace_by_id(connection, view.codespace.id)
        self._wake()
        return CodespaceView(codespace=codespace or view.codespace, owner=view.owner, repository=view.repository)

    async def read_log(self, subject: Subject, name: str) -> list[LogEntry]:
        """The whole creation log so far."""
        view = await self.get(subject, name)
        entries: list[LogEntry] = []
        while page := await self._log_page(view.codespace.id, entries[-1].id if entries else 0):
            entries += page
        return entries

    async def follow_log(self, subject: Subject, name: str, *, after: int) -> AsyncIterator[LogEntry]:
        """The lines after `after` as they come, then one of kind `end` with the state, once the codespace rests."""
        view = await self.get(subject, name)
        while True:
            async with self._store.read() as connection:
                codespace = await rows.find_codespace_by_id(connection, view.codespace.id)
            page = await self._log_page(view.codespace.id, after)
            for entry in page:
                yield entry
                after = entry.id
            if page:
                continue
            state = State.DELETED if codespace is None else codespace.state
            if state in _AT_REST or state is State.DELETED:
                yield LogEntry(id=after, at=self._clock.now(), kind="end", text=state)
                return
            await asyncio.sleep(_FOLLOW_EVERY_S)

    async def _log_page(self, codespace_id: int, after: int) -> list[LogEntry]:
        async with self._store.read() as connection:
            return await rows.read_log(connection, codespace_id, after=after, limit=_LOG_PAGE)

    async def execute(self, subject: Subject, name: str, command: list[str], stdin: bytes) -> ExecResult:
        """Run a command as the codespace's user, with its secrets in the environment. Raises Conflict unless it runs."""
        view = await self._get_readable(subject, name)
        if not _may_manage(subject, view.codespace):
            raise Denied("This token runs commands in no codespace but its own.", code="codespace.by_token")
        if view.codespace.state is not State.AVAILABLE or view.codespace.container_id is None:
            raise Conflict(
                f"The codespace is {view.codespace.state}, not Available.",
                code="codespace.not_running",
                remedy="Start it, or wait until it is.",
            )
        return await self._executor.run_in(view.codespace, command, stdin)

    async def _view(self, connection: AsyncConnection, codespace: Codespace) -> CodespaceView | None:
        owner = await account_rows.find_account_by_id(connection, codespace.owner_id)
        repository = await repository_rows.find_repository_by_id(connection, codespace.repository_id or -1)
        if owner is None or repository is None:
            return None
        return CodespaceView(codespace=codespace, owner=owner, repository=repository)

    async def _owner(self, connection: AsyncConnection, codespace: Codespace) -> Account:
        owner = await account_rows.find_account_by_id(connection, codespace.owner_id)
        if owner is None:
            raise NotFound("Not Found")
        return owner


def _may_manage(subject: Subject, codespace: Codespace) -> bool:
    """A personal token all of its user's; a codespace's token its own; a workflow's token none."""
    return subject.token_kind is TokenKind.PERSONAL or subject.codespace_id == codespace.id


def _check_path(path: str | None) -> str | None:
    """A path that git could hold; empty means "not given". Raises Invalid."""
    if path and (len(path) > _MAX_PATH or not path.isprintable()):
        raise Invalid(
            f"devcontainer_path is a path in the repository, of at most {_MAX_PATH} characters.",
            field="devcontainer_path",
            code="codespace.devcontainer_path",
        )
    return path or None
