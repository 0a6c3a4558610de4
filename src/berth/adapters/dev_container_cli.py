"""The DevContainers port: `devcontainer up` in a sandbox (L5).

Three walls, each of which holds without the others. What the CLI reads instead of the repository's file was made by
`domain/dev_container.py`; the image lies in the engine already, by digest. The engine's socket is the launch's own, behind
`engine_filter.py`. The sandbox (bubblewrap) has a cleared environment, no network, no capability, its own processes, and of
the files only /usr, node, the CLI, the checkout, one temporary directory and that socket.

Observed with version 0.89.0 of the CLI:
- A failed hook's marker is written before the hook runs: the next `up` on that container skips the hook and reports success.
  So whoever sees `up` fail removes the container.
- It asks the network for a control manifest unless it finds a young one in its temporary directory; here it finds one.
- Without any login in the docker config it would ask the machine's key chain; the config here has one for nowhere.
- It waits for ever for a container with an id label whose value holds "=", so such a label is refused here.
- `docker run` may have reached the engine when a launch is cancelled: the container can appear a moment later.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from berth.adapters.dev_container_output import DevContainerOutput
from berth.adapters.disk import translating_disk_full
from berth.adapters.engine_filter import filtered_engine
from berth.domain.dev_container import RUN_DIRECTORY_OPTIONS, container_name
from berth.domain.dev_container_keys import RUN_DIRECTORY
from berth.domain.engine_request import LaunchScope
from berth.domain.problem import UpstreamFailed
from berth.services.ports import UpRequest, UpResult

_KILL_TIMEOUT_S = 10.0
_LINE_LIMIT_BYTES = 4 * 1024 * 1024  # the CLI repeats a whole configuration in one line
_PREFIX = "up-"
_OWNER_FILE = "process"
_LOCK_FILE = "server"  # locked by the server that launches
_USER = "berth"  # the name that /etc/passwd has in the sandbox
_SOCKET = "engine"
_INSIDE_SOCKET = "/run/docker.sock"
_INSIDE_TOOLS = "/berth"
_MANIFEST = '{"disallowedFeatures": [], "featureAdvisories": []}'
_NO_LOGIN = '{"auths": {"berth.invalid": {"auth": "bm9ib2R5Om5vdGhpbmc="}}}'
_FLAGS = (
    "--prebuild",
    "--mount-workspace-git-root=false",
    "--no-lockfile",
    "--buildkit=never",
    "--oci-auth-hardening",
    "--update-remote-user-uid-default=off",
    "--gpu-availability=none",
    "--skip-post-attach",
    "--log-format=json",
)


class DevContainerCLI:
    """The dev container CLI at `node_modules`, run by `node`; replicas of one data folder share `scratch`."""

    def __init__(
        self,
        docker_host: str,
        node_modules: Path,
        scratch: Path,
        docker_path: str = "/usr/bin/docker",
        node: str = "node",
        *,
        timeout_s: float = 3600.0,
    ) -> None:
        self._docker_host = docker_host
        self._node_modules = node_modules
        self._scratch = scratch
        self._docker_path = docker_path
        self._node = node
        self._timeout_s = timeout_s

    async def up(self, request: UpRequest, on_line: Callable[[str], Awaitable[None]]) -> UpResult:
        output = DevContainerOutput(on_line)
        async with _launch_directory(self._scratch) as directory:
            await asyncio.to_thread(_prepare, directory, request.configuration)
            async with (
                filtered_engine(self._docker_host, _scope(request), directory / _SOCKET) as engine,
                _running(self._sandbox(directory, request), directory) as process,
            ):
                try:
                    async with asyncio.timeout(self._timeout_s):
                        answer, _ = await asyncio.gather(_read_all(process.stdout), output.follow(process.stderr))
                        await process.wait()
                except TimeoutError as error:
                    raise UpstreamFailed(
                        f"Creating the container took longer than {self._timeout_s:.0f} seconds and was stopped.",
                        code="devcontainer.timeout",
                        remedy="Look in the log for the command that does not end.",
                    ) from error
        try:
            return output.result(answer)
        except UpstreamFailed as error:
            if not engine.engine_failed:
                raise
            text = "The container engine went away while the container was made."
            raise UpstreamFailed(text, code="engine.unreachable", retryable=True) from error

    async def sweep(self) -> None:
        await asyncio.to_thread(_sweep, self._scratch)

    def _sandbox(self, directory: Path, request: UpRequest) -> list[str]:
        """The whole command line. It holds no secret: everybody on the machine can read it."""
        if any("=" in value for value in request.labels.values()):
            raise ValueError("the value of an id label cannot hold '='")
        workspace = str(request.workspace)
        node = shutil.which(self._node)
        if node is None:
            raise UpstreamFailed(f"The program {self._node} is not installed.", code="devcontainer.not_installed")
        cli = f"{_INSIDE_TOOLS}/node_modules/@devcontainers/cli/devcontainer.js"
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": "/tmp",  # noqa: S108 the sandbox's own
            "TMPDIR": "/tmp",  # noqa: S108 likewise
            "LANG": "C.UTF-8",
            "DOCKER_HOST": f"unix://{_INSIDE_SOCKET}",
            "DOCKER_CONFIG": "/tmp/docker",  # noqa: S108 likewise
        }
        return [
            *("bwrap", "--die-with-parent", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
            *("--unshare-net", "--cap-drop", "ALL", "--clearenv"),
            *(part for name, value in environment.items() for part in ("--setenv", name, value)),
            *_system(self._docker_path),
            *("--ro-bind", str(directory / "passwd"), "/etc/passwd", "--proc", "/proc", "--dev", "/dev"),
            *("--bind", str(directory / "tmp"), "/tmp", "--bind", workspace, workspace),  # noqa: S108 likewise
            *("--ro-bind", str(Path(node).resolve()), f"{_INSIDE_TOOLS}/node"),
            *("--ro-bind", str(self._node_modules.resolve()), f"{_INSIDE_TOOLS}/node_modules"),
            *("--bind", str(directory / _SOCKET), _INSIDE_SOCKET),
            *("--chdir", "/tmp", f"{_INSIDE_TOOLS}/node", cli, "up", *_FLAGS),  # noqa: S108 likewise
            *(f"--workspace-folder={workspace}", "--override-config=/tmp/devcontainer.json"),
            *(f"--docker-path={self._docker_path}",),
            *(f"--id-label={name}={value}" for name, value in request.labels.items()),
        ]


def _scope(request: UpRequest) -> LaunchScope:
    return LaunchScope(
        container_name=container_name(request.codespace),
        image=request.image,
        labels=request.labels,
        source=str(request.workspace),
        target=request.folder,
        tmpfs={RUN_DIRECTORY: RUN_DIRECTORY_OPTIONS},
        machine=request.machine,
        options=request.options,
        added=request.added,
    )


def _system(docker_path: str) -> list[str]:
    """The programs and libraries of this machine, read-only; nothing of /etc but the linker's cache."""
    parts = ["--ro-bind", "/usr", "/usr", "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        path = Path("/", name)
        if path.is_symlink():
            parts += ["--symlink", str(path.readlink()), str(path)]
        elif path.exists():
            parts += ["--ro-bind", str(path), str(path)]
    if not docker_path.startswith("/usr/"):
        parts += ["--ro-bind", docker_path, docker_path]
    return parts


def _prepare(directory: Path, configuration: Mapping[str, object]) -> None:
    """What the CLI will find in its temporary directory."""
    cache, docker = directory / "tmp" / f"devcontainercli-{_USER}", directory / "tmp" / "docker"
    cache.mkdir(mode=0o700, parents=True)
    docker.mkdir(mode=0o700)
    _write(directory / "tmp" / "devcontainer.json", json.dumps(configuration))
    _write(docker / "config.json", _NO_LOGIN)
    _write(directory / "passwd", f"{_USER}:x:{os.getuid()}:{os.getgid()}::/tmp:/bin/sh\n")
    manifest = cache / "control-manifest.json"
    _write(manifest, _MANIFEST)
    tomorrow = time.time() + 86400
    os.utime(manifest, (tomorrow, tomorrow))


def _write(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


@contextmanager
def _locked(scratch: Path, how: int) -> Iterator[None]:
    """A directory that is being made is not swept: launches share this lock, a sweep holds it alone."""
    descriptor = os.open(scratch, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


def _make_directory(scratch: Path) -> tuple[Path, IO[str]]:
    """With its lock, which goes with this process, however that ends."""
    scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(scratch, fcntl.LOCK_SH):
        directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=scratch))
        lock = (directory / _LOCK_FILE).open("w", encoding="ascii")
        fcntl.flock(lock, fcntl.LOCK_EX)
    return directory, lock


def _is_in_use(directory: Path) -> bool:
    """Whether the server that launches there lives, be it this one or another."""
    try:
        with (directory / _LOCK_FILE).open(encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


@asynccontextmanager
async def _launch_directory(scratch: Path) -> AsyncIterator[Path]:
    """A directory for one launch, gone at the end. A killed server's are removed by the sweep."""
    with translating_disk_full():
        directory, lock = await asyncio.to_thread(_make_directory, scratch)
    try:
        with translating_disk_full():
            yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        lock.close()


@asynccontextmanager
async def _running(command: list[str], directory: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """The sandbox as a process group of its own; at the end of the block nothing of it runs any more."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": os.defpath},
            limit=_LINE_LIMIT_BYTES,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise UpstreamFailed("bubblewrap is not installed.", code="devcontainer.not_installed") from error
    try:
        _Owner.of(process.pid).save(directory)
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.shield(_ended(process))


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Wait until all that held the pipes is gone: the whole sandbox."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_KILL_TIMEOUT_S):
            await asyncio.gather(_drain(process.stdout), _drain(process.stderr))
            await process.wait()


async def _drain(stream: asyncio.StreamReader | None) -> None:
    while stream is not None and await stream.read(65536):
        pass


async def _read_all(stream: asyncio.StreamReader | None) -> bytes:
    return b"" if stream is None else await stream.read()


@dataclass(frozen=True, slots=True)
class _Owner:
    """A process that is told apart from a later one with the same number by its start time."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> "_Owner":
        return cls(pid, _start_time(pid) or "gone")

    @classmethod
    def load(cls, directory: Path) -> "_Owner | None":
        try:
            pid, started = (directory / _OWNER_FILE).read_text(encoding="ascii").split()
            return cls(int(pid), started)
        except (OSError, ValueError):
            return None

    def save(self, directory: Path) -> None:
        (directory / _OWNER_FILE).write_text(f"{self.pid} {self.started}", encoding="ascii")

    def is_alive(self) -> bool:
        return _start_time(self.pid) == self.started


def _start_time(pid: int) -> str | None:
    """Clock ticks after boot; None if it is gone or a zombie. Source: proc(5), /proc/pid/stat, fields 3 and 22."""
    try:
        fields = (
            Path("/proc", str(pid), "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
    except OSError:
        return None
    return None if fields[0] in {"Z", "X"} else fields[19]


def _sweep(scratch: Path) -> None:
    if not scratch.exists():
        return
    with _locked(scratch, fcntl.LOCK_EX):
        for directory in scratch.glob(f"{_PREFIX}*"):
            if not _is_in_use(directory):
                _sweep_directory(directory)


def _sweep_directory(directory: Path) -> None:
    owner = _Owner.load(directory)
    if owner is not None and owner.is_alive():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(owner.pid, signal.SIGKILL)
        deadline = time.monotonic() + _KILL_TIMEOUT_S
        while owner.is_alive() and time.monotonic() < deadline:
            time.sleep(0.01)
    shutil.rmtree(directory, ignore_errors=True)
