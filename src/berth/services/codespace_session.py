"""Commands in a codespace that somebody talks to while they run: who may, how many at once, and when they end.

1. Who may is asked as for every other request, before anything is started, and again every LOOK_EVERY_S
   (services/caller.py): a token that was revoked, a session of the console that was ended, a codespace that was stopped,
   deleted or rebuilt, a right that was lost ends what runs.
2. At most MAX_PER_CODESPACE at once in a codespace and MAX_PER_USER of a user, in this process.
3. When the caller is gone, the command's process group is ended in the container. What ended by itself left behind what it
   wanted to leave behind.
4. While one is open its codespace is in use: its idle timeout does not run out.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

from berth.domain.access import Subject
from berth.domain.codespace import Codespace
from berth.domain.exec_frame import Start, TerminalSize
from berth.domain.problem import Conflict, LimitReached, NotFound, Problem, UpstreamFailed
from berth.domain.scope import Scope
from berth.services.caller import LOOK_EVERY_S, CallerService, until_refused
from berth.services.codespace import CodespaceService
from berth.services.codespace_activity import CodespaceActivity
from berth.services.codespace_exec import CodespaceExec, StartedCommand
from berth.services.ports import ExecOutput

MAX_PER_CODESPACE, MAX_PER_USER = 64, 128


class CodespaceSession:
    """A command that runs for a caller."""

    def __init__(self, admission: "Admission", command: StartedCommand) -> None:
        self._admission = admission
        self._command = command
        self.ended = False

    async def read(self) -> ExecOutput | None:
        return await self._command.read()

    async def write(self, data: bytes) -> None:
        await self._command.stream.write(data)

    async def end_input(self) -> None:
        await self._command.stream.end_input()

    async def resize(self, size: TerminalSize) -> None:
        await self._command.stream.resize(size)

    async def exit_code(self) -> int:
        """After the end of its output. Raises a Problem where something else ended it: a stop, a deletion, the engine."""
        try:
            code = await self._command.stream.exit_code()
        except UpstreamFailed:
            await self._admission.check()
            raise
        if code > 128:  # a signal, perhaps that of a container which is being stopped
            await self._admission.check()
        self.ended = True
        return code


class Admission:
    """A caller's place in a codespace: what he may start a command with."""

    def __init__(self, service: "CodespaceSessionService", subject: Subject, codespace: Codespace) -> None:
        self._service = service
        self._subject = subject
        self._codespace = codespace

    @asynccontextmanager
    async def start(self, wanted: Start) -> AsyncIterator[CodespaceSession]:
        """Start it; at the end of the context nothing of its process group is left, unless it ended by itself."""
        async with AsyncExitStack() as stack:
            try:
                command = await stack.enter_async_context(self._service.executor.open(self._codespace, wanted))
            except Problem:
                await self.check()  # a codespace that is being stopped has a better reason
                raise
            session = CodespaceSession(self, command)
            try:
                yield session
            finally:
                if not session.ended:
                    await self._service.executor.end(self._codespace, command.process_id)

    async def check(self) -> None:
        """Whether the caller may still, and it is still the same codespace. Raises a Problem that says what ended it."""
        await self._service.check(self._subject, self._codespace)

    async def until_forbidden(self) -> Problem:
        """Wait until he may not any more; why (policy 1)."""
        return await until_refused(self.check, self._service.look_every_s)


class CodespaceSessionService:
    """Admits callers and counts them."""

    def __init__(
        self,
        *,
        codespaces: CodespaceService,
        callers: CallerService,
        executor: CodespaceExec,
        activity: CodespaceActivity,
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._codespaces = codespaces
        self._callers = callers
        self.executor = executor
        self._activity = activity
        self.look_every_s = look_every_s
        self._open: Counter[tuple[str, int]] = Counter()

    @asynccontextmanager
    async def admit(self, subject: Subject, name: str) -> AsyncIterator[Admission]:
        """A place in one of the caller's own codespaces, until the context ends.

        Raises NotFound, Denied, Conflict(code="codespace.not_running"), LimitReached(code="exec.too_many").
        """
        view = await self._codespaces.get_running(subject, name)
        with self._counted(view.codespace):
            async with self._activity.using(view.codespace.id):
                yield Admission(self, subject, view.codespace)

    @contextmanager
    def _counted(self, codespace: Codespace) -> Iterator[None]:
        keys = (("codespace", codespace.id), ("user", codespace.owner_id))
        for key, most, whose in zip(
            keys, (MAX_PER_CODESPACE, MAX_PER_USER), ("The codespace has", "You have"), strict=True
        ):
            if self._open[key] >= most:
                raise LimitReached(
                    f"{whose} {most} open commands and connections, which is as many as there may be.",
                    code="exec.too_many",
                    remedy="Close some first.",
                )
        self._open.update(keys)
        try:
            yield
        finally:
            self._open.subtract(keys)
            for key in keys:
                if not self._open[key]:
                    del self._open[key]

    async def check(self, subject: Subject, codespace: Codespace) -> None:
        """Policy 1. Raises a Problem that says what ended it."""
        now = await self._callers.renew(subject, Scope.CODESPACE)
        try:
            view = await self._codespaces.get_running(now, codespace.name)
        except NotFound:
            raise NotFound(
                "The codespace was deleted, or you may not use it any more.", code="exec.no_codespace"
            ) from None
        except Conflict as problem:
            raise Conflict(f"The codespace was stopped: {problem.message}", code="exec.stopped") from None
        if view.codespace.container_id != codespace.container_id:
            raise Conflict("The codespace has another container now.", code="exec.stopped")
