"""The worker of the reconcile loop for codespaces: looks at the engine, lets the domain choose the step, does it."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from berth.adapters.store import codespace as rows
from berth.adapters.store import prebuild as prebuild_rows
from berth.adapters.store.database import Store
from berth.adapters.store.tables import codespaces
from berth.domain.codespace import Codespace, FailedHook, failed_hook_to_json, finding_to_json
from berth.domain.compose import SERVICE_LABEL
from berth.domain.finding import Finding
from berth.domain.launch import INTERNAL, LOST, finding_of
from berth.domain.lifecycle import Desired, Phase, Step, World, choose_step
from berth.domain.problem import Problem, is_passing
from berth.services.codespace_install import INSTALL_FAILED, container_ended
from berth.services.codespace_request import CodespaceLimits
from berth.services.codespace_timer import CodespaceTimer
from berth.services.creation_log import CreationLog
from berth.services.launch import Launcher
from berth.services.launch_failure import HookFailed, LaunchFailed
from berth.services.ports import Clock, Container, ContainerStatus
from berth.services.reconcile import Claim, Fenced, Outcome

_LOOK_AGAIN_S = 60.0
_MAX_ATTEMPTS = 6
_AFRESH: dict[str, Any] = {"finding": None, "stop_notice": None, "stopped_at": None, "expiry_warned": False}
_LOG = logging.getLogger(__name__)


class CodespaceWorker:
    """One idempotent step at a time. Containers are found by label, removed by the id seen in the same look."""

    table = codespaces

    def __init__(self, *, store: Store, clock: Clock, launcher: Launcher, limits: CodespaceLimits) -> None:
        self._store = store
        self._clock = clock
        self._launcher = launcher
        self._timer = CodespaceTimer(store=store, clock=clock, limits=limits)
        self._steps: dict[Step, Callable[[Claim, Codespace, tuple[Container, ...]], Awaitable[Outcome]]] = {
            Step.REST: self._rest,
            Step.LAUNCH: self._launch,
            Step.START: self._start,
            Step.REBUILD: self._rebuild,
            Step.STOP: self._stop,
            Step.UNDO: self._undo,
            Step.FAIL_LOST: self._fail_lost,
            Step.REMOVE: self._remove,
        }

    async def act(self, claim: Claim) -> Outcome:
        """Look, choose, do. A Problem on the way is an answer: the codespace fails with it, unless it is passing."""
        codespace = rows.to_codespace(claim.row)
        containers = await self._launcher.look(codespace)
        step = choose_step(
            codespace.desired,
            codespace.phase,
            world_of(codespace, containers),
            launched=codespace.container_id is not None,
            changed=codespace.generation != codespace.seen,
            rebuild=codespace.needs_rebuild,
        )
        _LOG.info("codespace.step", extra={"codespace": codespace.name, "step": step, "generation": claim.generation})
        return await self._steps[step](claim, codespace, containers)

    async def give_up(self, claim: Claim, error: Exception) -> Outcome | None:
        """What was to run fails after a few attempts; removals, and clearing up after failures, are tried for ever."""
        codespace = rows.to_codespace(claim.row)
        clearing_up = codespace.phase is Phase.FAILED and codespace.generation == codespace.seen
        if codespace.desired is Desired.DELETED or clearing_up or claim.attempts < _MAX_ATTEMPTS:
            if claim.attempts == 1 and isinstance(error, Problem) and codespace.desired is Desired.RUNNING:
                await self._log_of(codespace).phase(f"{error.message} Berth tries again.")  # whoever waits shall know
            return None
        await claim.check()
        finding = finding_of(error) if isinstance(error, Problem) else INTERNAL
        failed = await self._failed(codespace, finding)
        return replace(failed, next_in_s=_LOOK_AGAIN_S)  # to clear up what this attempt could not

    async def sweep(self) -> None:
        """Remove checkouts and images of this installation that no row stands for: what a crash between two steps left.

        Safe beside other replicas: a row is stored before anything is made for it, and goes after all of it is gone.
        Containers are the watch's (`codespace_watch.py`).
        """
        checkouts = self._launcher.list_checkouts()
        async with self._store.read() as connection:
            names = await rows.list_names(connection) | await prebuild_rows.list_names(connection)
        for name in checkouts - names:
            await self._launcher.remove_checkout(name)
        await self._launcher.sweep_builds(names)

    async def _rest(self, claim: Claim, codespace: Codespace, containers: tuple[Container, ...]) -> Outcome:
        await self._launcher.discard(find_surplus(codespace, containers))  # it came late, of a killed server
        if codespace.phase is Phase.AVAILABLE:
            due_in_s = await self._timer.look_at_running(claim, codespace)
            return Outcome(next_in_s=min(due_in_s, _LOOK_AGAIN_S))
        if codespace.phase is Phase.FAILED:
            await self._clean_up(codespace, containers)
        return Outcome(next_in_s=await self._timer.look_at_stopped(claim, codespace))

    async def _launch(self, claim: Claim, codespace: Codespace, containers: tuple[Container, ...]) -> Outcome:
        await claim.note(phase=Phase.PROVISIONING, **_AFRESH)
        await self._launcher.undo(codespace, containers)  # what an interrupted attempt left
        return await self._make(claim, codespace, (), self._log_of(codespace))

    async def _rebuild(self, claim: Claim, codespace: Codespace, containers: tuple[Container, ...]) -> Outcome:
        await claim.note(phase=Phase.REBUILDING, **_AFRESH)
        log = self._log_of(codespace)
        await log.phase("Rebuilding from nothing" if codespace.rebuild_full else "Rebuilding")
        return await self._make(claim, codespace, containers, log)

    async def _make(
        self, claim: Claim, codespace: Codespace, replaced: tuple[Container, ...], log: CreationLog
    ) -> Outcome:
        try:
            launched = await self._launcher.launch(codespace, log, replaced)
        except (LaunchFailed, Problem) as error:
            return await self._after_failure(claim, codespace, error, log)
        await log.phase("Available")
        return self._available(
            commit_id=launched.commit_id,
            container_id=launched.container_id,
            image=launched.image,
            from_prebuild=launched.from_prebuild,
            remote_user=launched.remote_user,
            remote_folder=launched.remote_folder,
            built=claim.generation,
            failed_hook=None,
        )

    async def _start(self, claim: Claim, codespace: Codespace, containers: tuple[Container, ...]) -> Outcome:
        await claim.note(phase=Phase.STARTING, **_AFRESH)
        log = self._log_of(codespace)
        try:
            await self._launcher.start(
                codespace, _get_own(codespace, containers), log, _find_others(codespace, containers)
            )
        except HookFailed as failure:
            # Decided: it runs all the same. Its owner's files are in it, and he could not get at them to mend it.
            await log.phase(f"{failure.finding.sentence} The codespace runs all the same.")
            return self._available(failed_hook=self._remember(failure))
        except (LaunchFailed, Problem) as error:
            return await self._after_failure(claim, codespace, error, log)
        await log.phase("Available")
        return self._available(failed_hook=None)

    def _remember(self, failure: HookFailed) -> str:
        return failed_hook_to_json(
            FailedHook(hook=failure.hook, exit_code=failure.exit_code, at=self._clock.now().replace(microsecond=0))
        )

    def _available(self, **values: Any) -> Outcome:
        now = self._clock.now()
        return Outcome(
            values={**values, "phase": Phase.AVAILABLE, "finding": None, "updated_at": now, "last_used_at": now},
            next_in_s=_LOOK_AGAIN_S,
        )

    async def _stop(self, claim: Claim, codespace: Codespace, containers: tuple[Container, ...]) -> Outcome:
        await claim.note(phase=Phase.STOPPING)
        await self._halt(codespace, containers)
        return self._stopped(phase=Phase.SHUTDOWN)

    async def _undo(self, _claim: Claim, codespace: Codespace, containers: tuple[Container, ...]) -> Outcome:
        await self._launcher.undo(codespace, containers)
        return self._stopped(phase=Phase.QUEUED, finding=None)

    def _stopped(self, **values: Any) -> Outcome:
        """It does not run; the next look, at once, sees for how long it may stay so."""
        now = self._clock.now()
        return Outcome(values={**values, "updated_at": now, "stopped_at": now}, next_in_s=0.0)

    async def _fail_lost(self, _claim: Claim, codespace: Codespace, _containers: tuple[Container, ...]) -> Outcome:
        await self._launcher.void_token(codespace)
        return await self._failed(codespace, LOST)

    async def _remove(self, claim: Claim, codespace: Codespace, containers: tuple[Container, ...]) -> Outcome:
        await self._launcher.undo(codespace, containers)
        async with self._store.begin() as connection:
            held = await rows.delete_row(connection, codespace.id, claim.epoch)
        if not held:
            raise Fenced
        return Outcome(removed=True)

    async def _after_failure(
        self, claim: Claim, codespace: Codespace, error: LaunchFailed | Problem, log: CreationLog
    ) -> Outcome:
        """Back to the loop with what may pass; all else is an answer, and nothing half-made is left (L8)."""
        await log.flush()
        if isinstance(error, Problem) and is_passing(error) and claim.attempts < _MAX_ATTEMPTS:
            raise error
        await claim.check()
        containers = await self._launcher.look(codespace)
        if _was_cut_off(error, codespace, containers) and claim.attempts < _MAX_ATTEMPTS:
            raise container_ended()
        await self._clean_up(codespace, containers)
        finding = error.finding if isinstance(error, LaunchFailed) else finding_of(error)
        failed = await self._failed(codespace, finding, log)
        if isinstance(error, HookFailed):
            failed = replace(failed, values={**failed.values, "failed_hook": self._remember(error)})
        if world_of(codespace, containers) is World.ABSENT:
            return failed  # a rebuild stays to be done: nothing else can be started
        return replace(failed, values={**failed.values, "built": claim.generation})

    async def _clean_up(self, codespace: Codespace, containers: tuple[Container, ...]) -> None:
        """What was never available goes; what once was is stopped, for its owner's files are in it."""
        if codespace.container_id is None:
            await self._launcher.undo(codespace, containers)
        else:
            await self._halt(codespace, containers)

    async def _halt(self, codespace: Codespace, containers: tuple[Container, ...]) -> None:
        """Stop the codespace's own container, if there is one, then its services; what an unfinished rebuild made goes.

        A rebuild makes nothing before the old container is gone: services beside that are the old ones. May be repeated.
        """
        own, others = find_own(codespace, containers), _find_others(codespace, containers)
        if codespace.needs_rebuild:
            unfinished = find_surplus(codespace, containers)
            await self._launcher.discard(unfinished)
            others = tuple(one for one in others if one not in unfinished)
        if own is not None and own.status is not ContainerStatus.EXITED:
            await self._launcher.stop(codespace, own)
        else:
            await self._launcher.void_token(codespace)
        await self._launcher.stop_services(others)

    async def _failed(self, codespace: Codespace, finding: Finding, log: CreationLog | None = None) -> Outcome:
        shown = await (log or self._log_of(codespace)).finding(finding)
        return self._stopped(phase=Phase.FAILED, finding=finding_to_json(shown))

    def _log_of(self, codespace: Codespace) -> CreationLog:
        return CreationLog(self._store, self._clock, codespace.id)


def find_own(codespace: Codespace, containers: Sequence[Container]) -> Container | None:
    """The container that its row names."""
    return next((each for each in containers if each.container_id == codespace.container_id), None)


def find_surplus(codespace: Codespace, containers: Sequence[Container]) -> tuple[Container, ...]:
    """Those that are neither its own nor a service beside that: without it, no service is of any use."""
    own = find_own(codespace, containers)
    main = None if own is None else own.labels.get(SERVICE_LABEL)
    return tuple(
        one for one in containers if one is not own and (main is None or one.labels.get(SERVICE_LABEL, main) == main)
    )


def _find_others(codespace: Codespace, containers: tuple[Container, ...]) -> tuple[Container, ...]:
    return tuple(each for each in containers if each.container_id != codespace.container_id)


def _was_cut_off(error: LaunchFailed | Problem, codespace: Codespace, containers: tuple[Container, ...]) -> bool:
    """A command in the container failed, and nothing runs there any more: its end says nothing about the command.

    What the engine then answers in its place (an exit code, an error's text) differs from case to case.
    """
    own = find_own(codespace, containers)
    runs = any(one.status is ContainerStatus.RUNNING for one in ((own,) if own is not None else containers))
    return not runs and (isinstance(error, HookFailed) or (isinstance(error, Problem) and error.code == INSTALL_FAILED))


def _get_own(codespace: Codespace, containers: tuple[Container, ...]) -> Container:
    """Where the step was chosen because there is one."""
    return next(each for each in containers if each.container_id == codespace.container_id)


def world_of(codespace: Codespace, containers: Sequence[Container]) -> World:
    """What a look found of it."""
    own = find_own(codespace, containers)
    if own is None:
        return World.ABSENT
    return World.RUNNING if own.status is ContainerStatus.RUNNING else World.STOPPED
