"""Installing a codespace's environment in its container, and running commands with it (L7, L9, S7).

Secrets go in on standard input, lie on a tmpfs that is gone when the container stops, and come into a command by its
shell reading that file: they are never in an argument list, a container's configuration or on the host's disk.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from berth.domain.codespace import Codespace
from berth.domain.codespace_environment import INSTALL_SCRIPT, installation_input, with_environment
from berth.domain.problem import UpstreamFailed
from berth.domain.secret_text import SecretText
from berth.services.ports import Engine, ExecResult

_MAX_TAIL = 300  # characters


class CodespaceExec:
    """Commands in a container, as the codespace's user."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def install(
        self,
        container_id: str,
        remote_user: str,
        environment: Mapping[str, str | SecretText],
        docker_config: SecretText,
        remote_env: Mapping[str, str | None],
    ) -> str:
        """Write the environment and the docker config; what there is to say about it (empty: nothing).

        Raises UpstreamFailed(code="container.install_failed").
        """
        result = await self._engine.execute(
            container_id,
            ["/bin/sh", "-c", INSTALL_SCRIPT, "berth", remote_user],
            user="0",
            stdin=installation_input(environment, docker_config, remote_env),
        )
        if result.exit_code != 0:
            raise UpstreamFailed(
                f"The codespace's environment could not be installed: {_tail(result.output)}",
                code="container.install_failed",
                remedy="The image needs a POSIX shell at /bin/sh with the usual small tools (busybox is enough).",
            )
        return _tail(result.output)

    async def run(
        self,
        container_id: str,
        *,
        user: str,
        folder: str,
        command: Sequence[str],
        stdin: bytes = b"",
        on_output: Callable[[bytes], Awaitable[None]] | None = None,
    ) -> ExecResult:
        """Run a command to its end with the installed environment."""
        return await self._engine.execute(
            container_id,
            with_environment(command),
            user=user,
            working_directory=folder,
            stdin=stdin,
            on_output=on_output,
        )

    async def run_in(
        self,
        codespace: Codespace,
        command: Sequence[str],
        stdin: bytes,
        *,
        on_output: Callable[[bytes], Awaitable[None]] | None = None,
    ) -> ExecResult:
        """Run a command in a codespace that is available."""
        return await self.run(
            codespace.container_id or "",
            user=codespace.remote_user or "",
            folder=codespace.remote_folder or "",
            command=command,
            stdin=stdin,
            on_output=on_output,
        )


def _tail(output: bytes) -> str:
    """The last lines, none of them cut: half a secret would not be recognised and masked."""
    kept: list[str] = []
    for line in reversed(output.decode(errors="replace").strip().splitlines()):
        if sum(map(len, kept)) + len(line) > _MAX_TAIL:
            break
        kept.insert(0, line)
    return "\n".join(kept)
