"""What Berth puts into a codespace's container: its environment, its token and its docker config (L7, L9, S7, C8).

All of it goes in on standard input and lies on a tmpfs that is gone when the container stops: nothing is ever in an argument
list, a container's configuration or on the host's disk. First installation, start and refresh put the docker config in by
the same way: look, merge, replace if it still is what was looked at.
"""

import asyncio
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence

from berth.domain.codespace_environment import INSTALL_SCRIPT, installation_input
from berth.domain.dev_container_keys import RUN_DIRECTORY
from berth.domain.docker_config_files import (
    CHANGED_MEANWHILE,
    READ_SCRIPT,
    WRITE_SCRIPT,
    SeenConfig,
    parse_seen,
    plan_replacement,
    plan_saving,
    replacement_input,
)
from berth.domain.problem import Conflict, Invalid, Problem, UpstreamFailed
from berth.domain.registry_credential import RegistryCredential
from berth.domain.secret_text import SecretText
from berth.services.codespace_exec import tail_of
from berth.services.ports import Engine, ExecResult

_TIMEOUT_S = 60.0
LOOKS = 5
INSTALL_FAILED = "container.install_failed"
_KILLED = 137  # what a shell that got SIGKILL leaves, as everything in a container does that ends
_LOG = logging.getLogger(__name__)


class CodespaceInstaller:
    """Writes into containers of codespaces. Every verb may be repeated."""

    def __init__(self, engine: Engine, *, timeout_s: float = _TIMEOUT_S) -> None:
        self._engine = engine
        self._timeout_s = timeout_s

    async def install(
        self,
        container_id: str,
        user: str,
        environment: Mapping[str, str | SecretText],
        remote_env: Mapping[str, str | None],
    ) -> str:
        """Write the environment; what there is to say about it (empty: nothing). Raises UpstreamFailed."""
        command = ["/bin/sh", "-c", INSTALL_SCRIPT, "berth", user]
        result = await self._run(container_id, "0", command, installation_input(environment, remote_env))
        if result.exit_code != 0:
            raise _failed("The codespace's environment could not be installed", result)
        return tail_of(result.output)

    async def look(self, container_id: str, user: str) -> SeenConfig:
        """The docker config and the token that are in the container. Raises UpstreamFailed."""
        result = await self._run(container_id, user, ["/bin/sh", "-c", READ_SCRIPT, "berth", RUN_DIRECTORY], b"")
        try:
            return parse_seen(result.output)
        except Invalid as error:
            raise _failed(error.message.rstrip("."), ExecResult(result.exit_code, b"")) from error

    async def write(
        self,
        container_id: str,
        user: str,
        seen: SeenConfig,
        credentials: Iterable[RegistryCredential],
        token: SecretText | None,
        *,
        not_renewed: Collection[str] = (),
    ) -> tuple[str, ...] | None:
        """Bring token and logins into the container, beside what its user made; notes for him.

        None: it is not any more what was seen, and nothing was written. Raises UpstreamFailed.
        """
        replacement = plan_replacement(seen, credentials, not_renewed)
        result = await self._write(container_id, user, replacement_input(seen, replacement, token))
        if result.exit_code == CHANGED_MEANWHILE:
            return None
        if result.exit_code != 0:
            raise _failed("The registry credentials could not be written", result)
        return (*replacement.notes, *tail_of(result.output).splitlines())

    async def log_in(
        self, container_id: str, user: str, credentials: Collection[RegistryCredential], token: SecretText | None
    ) -> tuple[str, ...]:
        """The same from a look of its own. Raises UpstreamFailed."""
        for _ in range(LOOKS):
            seen = await self.look(container_id, user)
            notes = await self.write(container_id, user, seen, credentials, token)
            if notes is not None:
                return notes
        raise changes_all_the_time()

    async def save(self, container_id: str, user: str) -> None:
        """Keep what the user logged in to himself, for the next start. What fails is no reason not to stop."""
        try:
            seen = await self.look(container_id, user)
            replacement = plan_saving(seen)
            if replacement is not None:
                await self._write(container_id, user, replacement_input(seen, replacement, None))
        except Problem as problem:
            _LOG.info("codespace.config_not_saved", extra={"container": container_id, "code": problem.code})

    async def _write(self, container_id: str, user: str, stdin: SecretText) -> ExecResult:
        return await self._run(container_id, user, ["/bin/sh", "-c", WRITE_SCRIPT, "berth", RUN_DIRECTORY], stdin)

    async def _run(self, container_id: str, user: str, command: Sequence[str], stdin: bytes | SecretText) -> ExecResult:
        try:
            async with asyncio.timeout(self._timeout_s):
                result = await self._engine.execute(container_id, command, user=user, stdin=stdin)
        except TimeoutError:
            raise UpstreamFailed(
                "The container does not answer in time.", code="engine.unreachable", retryable=True
            ) from None
        except Conflict as problem:
            raise container_ended() from problem
        if result.exit_code == _KILLED:
            raise container_ended()
        return result


def changes_all_the_time() -> UpstreamFailed:
    return UpstreamFailed(
        "The docker config in the codespace changes all the time.", code=INSTALL_FAILED, retryable=True
    )


def container_ended() -> UpstreamFailed:
    """Passing: the next look at the container sees what has become of it."""
    return UpstreamFailed("The container ended meanwhile.", code="container.not_running", retryable=True)


def _failed(what: str, result: ExecResult) -> UpstreamFailed:
    said = tail_of(result.output)
    return UpstreamFailed(
        f"{what}: {said}" if said else f"{what}.",
        code=INSTALL_FAILED,
        remedy="The image needs a POSIX shell at /bin/sh with the usual small tools (busybox is enough).",
    )
