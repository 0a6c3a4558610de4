"""What people do with codespaces: create, look, start, stop, delete, read the log, run a command.

Every change is a change of what is desired, stored and answered at once; the loop (`lifecycle.py`) brings it about.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import account as account_rows
from berth.adapters.store import audit
from berth.adapters.store import codespace as rows
from berth.adapters.store import repository as repository_rows
from berth.adapters.store.database import Store
from berth.domain.access import Action, Subject, decide_repository
from berth.domain.access_token import TokenKind
from berth.domain.account import Account
from berth.domain.codespace import Codespace, LogEntry, Rebuild, check_display_name, check_recent_folders
from berth.domain.codespace_access import require_access
from berth.domain.lifecycle import Desired, State
from berth.domain.machine import Machine, Machines
from berth.domain.problem import Conflict, Denied, Invalid, LimitReached, NotFound
from berth.domain.repository import Repository, short_branch
from berth.services.codespace_access import find_access_decision
from berth.services.codespace_activity import CodespaceActivity
from berth.services.codespace_exec import CodespaceExec
from berth.services.codespace_policy import require_room_for_another
from berth.services.codespace_request import CodespaceLimits, CodespaceRequest, new_values
from berth.services.codespace_view import CodespaceView, CodespaceViews
from berth.services.ports import Clock, Entropy, ExecResult, GitRepositories

_FOLLOW_EVERY_S = 0.1
_MAX_FOLLOWED = 32  # logs by a user, in this process: each asks the database ten times a second
_LOG_PAGE = 500
_LOG_PHASES = 60
_AT_REST = frozenset({State.AVAILABLE, State.EXPORTING, State.SHUTDOWN, State.FAILED})


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
        activity: CodespaceActivity,
        limits: CodespaceLimits,
        machines: Machines,
        wake: Callable[[], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._git = git
        self._executor = executor
        self._activity = activity
        self._limits = limits
        self._machines = machines
        self._views = CodespaceViews(clock=clock, machines=machines, longest=limits.longest)
        self._wake = wake
        self._following: Counter[int] = Counter()  # logs, by account

    async def create(self, subject: Subject, repository: Repository, wanted: CodespaceRequest) -> CodespaceView:
        """Store a new codespace; the loop launches it.

        Raises Invalid for an unknown ref, LimitReached at MAX_CODESPACES_PER_USER, Denied for any but a personal token
        and where the organization does not let this user have codespaces.
        """
        if subject.token_kind is not TokenKind.PERSONAL:
            raise Denied("The token of a codespace or a workflow creates no codespaces.", code="codespace.by_token")
        ref = await self._require_ref(repository, wanted)
        machine = self._machines.choose(wanted.machine)
        values = new_values(
            subject,
            repository,
            wanted,
            ref=ref,
            machine=machine,
            limits=self._limits,
            entropy=self._entropy,
            now=self._clock.now(),
        )
        async with self._store.begin() as connection:
            decision = await find_access_decision(connection, subject.account_id, repository.id)
            require_access(decision, repository.owner_login)
            await rows.lock_owner(connection, subject.account_id)
            self._check_limit(await rows.count_codespaces(connection, subject.account_id))
            await require_room_for_another(connection, repository, subject.account_id)
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
            longest = await self._views.find_longest(connection, repository)
        self._wake()
        return self._views.show(codespace, owner, repository, longest, is_readable=True)

    async def _require_ref(self, repository: Repository, wanted: CodespaceRequest) -> str:
        """What to check out, which is there. Only what gets no secrets may be a stranger's commit (S6). Raises Invalid."""
        ref, find = short_branch(wanted.ref or "") or repository.default_branch, self._git.find_own_commit
        if wanted.pull_request is not None:
            ref = wanted.pull_request.codespace_ref
            find = self._git.find_commit if wanted.pull_request.is_from_fork else find
        if await find(repository.id, ref) is None:
            raise Invalid(
                f"The repository {repository.full_name} has no branch, tag or commit '{ref[:100]}'.",
                field="ref",
                code="codespace.ref_unknown",
                remedy="Push it first, or name another with `ref`.",
            )
        return ref

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
            view = None if codespace is None else await self._views.find(connection, codespace)
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
                connection, owner_id=subject.account_id, repository_id=repository_id, limit=limit, offset=offset
            )
            return await self._views.show_all(connection, subject, found), total

    async def show_all(
        self, connection: AsyncConnection, subject: Subject, found: Sequence[Codespace]
    ) -> list[CodespaceView]:
        """Views of a page; see CodespaceViews."""
        return await self._views.show_all(connection, subject, found)

    async def start(self, subject: Subject, name: str) -> CodespaceView:
        """Ask for it to run. Raises Conflict if it does, or is about to; Denied if its organization allows none any more."""
        view = await self._get_readable(subject, name)
        if view.codespace.state is State.AVAILABLE or (
            view.codespace.desired is Desired.RUNNING and view.codespace.state is not State.FAILED
        ):
            raise Conflict("The codespace is already running.", code="codespace.running")
        await self._require_access(subject, view)
        return await self.request(subject, view, Desired.RUNNING, "codespace.start")

    async def rebuild(self, subject: Subject, name: str, rebuild: Rebuild) -> CodespaceView:
        """Ask for another container on the checkout that is there; a stopped codespace starts with it.

        Raises Conflict while something else that was asked for is under way; Denied as `start`.
        """
        view = await self._get_readable(subject, name)
        if view.codespace.is_busy:
            raise Conflict(
                f"The codespace is {view.codespace.state}.",
                code="codespace.busy",
                remedy="Wait until that is over, or stop the codespace first.",
            )
        await self._require_access(subject, view)
        return await self.request(subject, view, Desired.RUNNING, "codespace.rebuild", rebuild=rebuild)

    async def _require_access(self, subject: Subject, view: CodespaceView) -> None:
        async with self._store.read() as connection:
            decision = await find_access_decision(connection, subject.account_id, view.repository.id)
        require_access(decision, view.repository.owner_login)

    async def stop(self, subject: Subject, name: str) -> CodespaceView:
        """Ask for it to stop; nothing happens if that was asked already."""
        view = await self.get(subject, name)
        if view.codespace.desired is Desired.STOPPED:
            return view
        return await self.request(subject, view, Desired.STOPPED, "codespace.stop")

    async def delete(self, subject: Subject, name: str) -> None:
        """Ask for it to go; for its owner it is gone from now on."""
        view = await self.get(subject, name)
        await self.request(subject, view, Desired.DELETED, "codespace.delete")

    async def update(
        self,
        subject: Subject,
        name: str,
        *,
        display_name: str | None,
        machine: str | None,
        recent_folders: Sequence[str] | None,
    ) -> CodespaceView:
        """Change what is given and differs; None and the empty text leave it. The machine is the next start's. Raises Invalid."""
        view = await self.get(subject, name)
        if not _may_manage(subject, view.codespace):
            raise Denied("This token manages no codespace but its own.", code="codespace.by_token")
        values: dict[str, object] = {}
        if shown := check_display_name(display_name):
            values["display_name"] = shown
        if machine:
            values["machine"] = self._machines.choose(machine).name
        if recent_folders is not None:
            values["recent_folders"] = json.dumps(check_recent_folders(recent_folders))
        values = {key: value for key, value in values.items() if value != getattr(view.codespace, key)}
        if not values:
            return view
        now = self._clock.now()
        async with self._store.begin() as connection:
            await rows.update_codespace(connection, view.codespace.id, {**values, "updated_at": now})
            await audit.record(
                connection,
                at=now,
                actor=subject,
                action="codespace.update",
                account_id=view.repository.owner_id,
                target=view.codespace.name,
                detail=" ".join(sorted(values)),
            )
            codespace = await rows.find_codespace_by_id(connection, view.codespace.id)
        return self._views.show_again(view, codespace)

    async def list_machines(self, subject: Subject, name: str) -> tuple[Machine, ...]:
        """What one of the caller's own codespaces may be moved to."""
        await self.get(subject, name)
        return self._machines.offered

    def list_machines_of_repository(self, _repository: Repository) -> tuple[Machine, ...]:
        """What a new codespace of a repository that the caller may read can have."""
        return self._machines.offered

    async def request(
        self,
        subject: Subject,
        view: CodespaceView,
        desired: Desired,
        action: str,
        *,
        rebuild: Rebuild | None = None,
    ) -> CodespaceView:
        """Store what is desired now. The caller has found out whose the codespace is to rule."""
        if not _may_manage(subject, view.codespace):
            raise Denied("This token manages no codespace but its own.", code="codespace.by_token")
        now = self._clock.now()
        async with self._store.begin() as connection:
            values = {"updated_at": now, "last_used_at": now}
            await rows.request(connection, view.codespace.id, desired, values, rebuild=rebuild)
            await audit.record(
                connection,
                at=now,
                actor=subject,
                action=action,
                account_id=view.repository.owner_id,
                target=view.codespace.name,
                detail=rebuild or "",
            )
            codespace = await rows.find_codespace_by_id(connection, view.codespace.id)
        self._wake()
        return self._views.show_again(view, codespace)

    async def read_log(self, subject: Subject, name: str) -> list[LogEntry]:
        """The whole creation log so far."""
        view = await self.get(subject, name)
        entries: list[LogEntry] = []
        while True:
            page = await self._log_page(view.codespace.id, entries[-1].id if entries else 0)
            entries += page
            if len(page) < _LOG_PAGE:
                return entries

    def follow_log(self, subject: Subject, name: str, *, after: int) -> AsyncGenerator[LogEntry, None]:
        """The lines after `after` as they come, then one of kind `end` with the state, once the codespace rests.

        Raises LimitReached, before anything is asked, if the caller follows as many as he may.
        """
        if self._following[subject.account_id] >= _MAX_FOLLOWED:
            raise LimitReached(
                f"You follow {_MAX_FOLLOWED} logs, which is as many as there may be.",
                code="codespace.too_many_followed",
                remedy="Close some first.",
            )
        return self._follow_counted(subject, name, after)

    async def _follow_counted(self, subject: Subject, name: str, after: int) -> AsyncGenerator[LogEntry, None]:
        """What is never begun to be read does not count."""
        self._following[subject.account_id] += 1
        try:
            async for entry in self._follow(subject, name, after):
                yield entry
        finally:
            self._following[subject.account_id] -= 1

    async def _follow(self, subject: Subject, name: str, after: int) -> AsyncGenerator[LogEntry, None]:
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

    async def read_log_end(self, view: CodespaceView) -> list[LogEntry]:
        """Of a codespace that the caller was shown: the last lines, and before them the phases that led there."""
        async with self._store.read() as connection:
            last = await rows.read_log_end(connection, view.codespace.id, limit=_LOG_PAGE)
            phases = await rows.read_log_end(connection, view.codespace.id, limit=_LOG_PHASES, kinds=("phase",))
        first = last[0].id if last else 0
        return [*(phase for phase in phases if phase.id < first), *last]

    async def _log_page(self, codespace_id: int, after: int) -> list[LogEntry]:
        async with self._store.read() as connection:
            return await rows.read_log(connection, codespace_id, after=after, limit=_LOG_PAGE)

    async def get_running(self, subject: Subject, name: str) -> CodespaceView:
        """One in which the caller may run commands now. Raises NotFound, Denied for another's token, Conflict unless it runs."""
        view = await self.get_to_run(subject, name)
        _require_running(view.codespace)
        return view

    async def execute(self, subject: Subject, name: str, command: list[str], stdin: bytes) -> ExecResult:
        """Run a command as the codespace's user, with its secrets in the environment. Raises as get_running.

        Cancelled, it ends the command.
        """
        view = await self.get_running(subject, name)
        async with self._activity.using(view.codespace.id):
            return await self._executor.run(view.codespace, command, stdin)

    async def keep_running(self, subject: Subject, name: str) -> None:
        """Somebody uses it: its idle timeout begins anew. Raises Conflict unless it runs."""
        view = await self.get(subject, name)
        if not _may_manage(subject, view.codespace):
            raise Denied("This token manages no codespace but its own.", code="codespace.by_token")
        _require_running(view.codespace)
        await self._activity.touch(view.codespace.id)

    async def get_to_run(self, subject: Subject, name: str) -> CodespaceView:
        """One of the caller's own that he, with this token, may run something in. Raises NotFound, Denied."""
        view = await self._get_readable(subject, name)
        if not _may_manage(subject, view.codespace):
            raise Denied("This token runs commands in no codespace but its own.", code="codespace.by_token")
        return view

    async def _owner(self, connection: AsyncConnection, codespace: Codespace) -> Account:
        owner = await account_rows.find_account_by_id(connection, codespace.owner_id)
        if owner is None:
            raise NotFound("Not Found")
        return owner


def _require_running(codespace: Codespace) -> None:
    if not codespace.is_running:
        raise Conflict(
            f"The codespace is {codespace.state}, not Available.",
            code="codespace.not_running",
            remedy="Start it, or wait until it is.",
        )


def _may_manage(subject: Subject, codespace: Codespace) -> bool:
    """A personal token all of its user's; a codespace's token its own; a workflow's token none."""
    return subject.token_kind is TokenKind.PERSONAL or subject.codespace_id == codespace.id
