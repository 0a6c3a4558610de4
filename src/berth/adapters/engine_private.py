"""A Docker engine of our own for demo and tests, where no engine answers or a shared one must not be touched.

It has no bridge, writes no firewall rule and keeps everything in one directory. The engine that codespaces use in
production is the administrator's; its adapter is engine_docker.py.
"""

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import httpx

_START_TIMEOUT_S = 40.0
_STOP_TIMEOUT_S = 30.0
_PING_INTERVAL_S = 0.05
_LOG_TAIL_LINES = 15
_SOCKET_PATH_LIMIT = 107  # bytes in sockaddr_un.sun_path, without the final zero
_ADMIN_PATHS = ("/usr/local/sbin", "/usr/sbin", "/sbin")  # dockerd calls iptables and friends by name


class EngineNotStarted(RuntimeError):
    """The private engine could not be started; the text says why, with the end of its log."""


class PrivateEngine:
    """A dockerd that lives as long as the `async with` block.

    With `directory` its images stay there for the next start (one engine at a time); without, everything is removed at
    the end. The socket, process files and log are always in a short directory under /tmp, because a socket's path may
    have 107 bytes only. Containers have no network but `lo`; `--network host` works. Registries on 127.0.0.0/8 may use
    plain HTTP or an unknown certificate.
    """

    def __init__(self, directory: Path | None = None, *, options: Sequence[str] = ()) -> None:
        self._kept = directory is not None
        self._options = tuple(options)
        self._data = directory.resolve() if directory is not None else Path()
        self._runtime = Path()
        self._log: IO[bytes] | None = None
        self._lock: IO[str] | None = None
        self._process: asyncio.subprocess.Process | None = None

    @property
    def docker_host(self) -> str:
        """What DOCKER_HOST must be for a client to reach this engine."""
        return f"unix://{self.socket}"

    @property
    def socket(self) -> Path:
        return self._runtime / "s"

    @property
    def log_file(self) -> Path:
        return self._runtime / "log"

    async def __aenter__(self) -> Self:
        self._runtime = Path(tempfile.mkdtemp(prefix="berth-e-", dir="/tmp"))
        if not self._kept:
            self._data = self._runtime / "data"
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self._remove_containers()
        finally:
            await self._stop()

    async def _start(self) -> None:
        program = shutil.which("dockerd", path=_search_path())
        if program is None:
            raise EngineNotStarted("dockerd is not installed (Debian: docker.io)")
        if len(os.fsencode(self.socket)) > _SOCKET_PATH_LIMIT:
            raise EngineNotStarted(f"the path of the engine's socket is too long: {self.socket}")
        self._data.mkdir(parents=True, exist_ok=True)
        if self._kept:
            self._lock = await self._take_over(self._data)
        self._log = self.log_file.open("wb")
        self._process = await asyncio.create_subprocess_exec(
            program,
            *self._arguments(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            # runc's process files, which hold an exec's environment, go to XDG_RUNTIME_DIR: memory, not disk.
            env=_environment() | {"XDG_RUNTIME_DIR": "/run"},
            start_new_session=True,  # Ctrl-C in a terminal must reach us, who then stop it in order
        )
        if self._lock is not None:
            _write_pid(self._lock, self._process.pid)
        await self._wait_until_ready(self._process)

    async def _take_over(self, directory: Path) -> IO[str]:
        """Lock a kept directory, and end the engine that a killed owner left in it.

        The lock goes with its owner; so whoever holds it knows that a dockerd on this directory has none.
        """
        lock = (directory / "berth-engine.pid").open("a+", encoding="ascii")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.close()
            raise EngineNotStarted(f"another engine uses {directory}; stop it, or name another directory") from error
        lock.seek(0)
        await _end_orphan(lock.read().strip(), f"--data-root={directory}")
        return lock

    def _arguments(self) -> tuple[str, ...]:
        return (
            f"--host=unix://{self.socket}",
            f"--data-root={self._data}",
            f"--exec-root={self._runtime / 'x'}",
            f"--pidfile={self._runtime / 'pid'}",
            "--log-level=warn",
            "--bridge=none",
            "--iptables=false",
            "--ip6tables=false",
            "--ip-forward=false",
            "--userland-proxy=false",
            *self._options,
        )

    async def _wait_until_ready(self, process: asyncio.subprocess.Process) -> None:
        deadline = asyncio.get_running_loop().time() + _START_TIMEOUT_S
        while not await _pings(self.docker_host):
            if process.returncode is not None:
                raise EngineNotStarted(f"dockerd ended with status {process.returncode}:\n{self._log_tail()}")
            if asyncio.get_running_loop().time() > deadline:
                raise EngineNotStarted(f"dockerd does not answer after {_START_TIMEOUT_S:.0f} s:\n{self._log_tail()}")
            await asyncio.sleep(_PING_INTERVAL_S)

    def _log_tail(self) -> str:
        lines = self.log_file.read_text(errors="replace").splitlines()
        return "\n".join(lines[-_LOG_TAIL_LINES:]) or "(its log is empty)"

    async def _remove_containers(self) -> None:
        """Remove every container at once: a running one whose first process ignores TERM delays the stop by 10 s."""
        if not await _pings(self.docker_host):
            return
        async with _client(self.docker_host, timeout_s=_STOP_TIMEOUT_S) as client:
            listed = await client.get("/containers/json", params={"all": "1"})
            ids = [container["Id"] for container in listed.json()]
            options = {"force": "1", "v": "1"}
            await asyncio.gather(*(client.delete(f"/containers/{id_}", params=options) for id_ in ids))

    async def _stop(self) -> None:
        if self._process is not None:
            await _end(self._process)
            self._process = None
        if self._log is not None:
            self._log.close()
            self._log = None
        await asyncio.to_thread(self._clean_up)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _clean_up(self) -> None:
        """Remove what the engine leaves. It mounts its data-root onto itself; a killed one leaves more."""
        for directory in {self._runtime, self._data}:
            for mount in _mounts_under(directory):
                _umount(mount)
        shutil.rmtree(self._runtime, ignore_errors=True)


async def find_engine(docker_host: str | None) -> str | None:
    """Find the engine that a docker client would use, as a DOCKER_HOST value; None if none answers.

    `docker_host` is the environment's DOCKER_HOST; without it the usual socket is tried.
    """
    url = docker_host or "unix:///var/run/docker.sock"
    return url if await _pings(url) else None


def _client(docker_host: str, *, timeout_s: float) -> httpx.AsyncClient:
    scheme, _, rest = docker_host.partition("://")
    if scheme == "unix":
        transport = httpx.AsyncHTTPTransport(uds=rest)
        return httpx.AsyncClient(transport=transport, base_url="http://engine", timeout=timeout_s)
    base_url = f"http://{rest}" if scheme == "tcp" else docker_host
    return httpx.AsyncClient(base_url=base_url, timeout=timeout_s, trust_env=False)


async def _pings(docker_host: str) -> bool:
    try:
        async with _client(docker_host, timeout_s=2.0) as client:
            return (await client.get("/_ping")).is_success
    except (httpx.TransportError, httpx.InvalidURL, httpx.UnsupportedProtocol):
        return False


async def _end(process: asyncio.subprocess.Process) -> None:
    """Stop a process that we started, by its own id; with KILL if it takes too long."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(_STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _end_orphan(pid: str, argument: str) -> None:
    """End process `pid` if it still is the dockerd that was started with `argument`."""
    arguments = Path("/proc") / pid / "cmdline"
    deadline = asyncio.get_running_loop().time() + _STOP_TIMEOUT_S
    while pid.isdecimal() and _is_running_with(arguments, argument):
        late = asyncio.get_running_loop().time() > deadline
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL if late else signal.SIGTERM)
        await asyncio.sleep(1.0)


def _is_running_with(arguments: Path, argument: str) -> bool:
    try:
        return argument.encode() in arguments.read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return False


def _write_pid(lock: IO[str], pid: int) -> None:
    lock.seek(0)
    lock.truncate()
    lock.write(str(pid))
    lock.flush()


def _search_path() -> str:
    return os.pathsep.join((os.environ.get("PATH", os.defpath), *_ADMIN_PATHS))


def _environment() -> dict[str, str]:
    return {**os.environ, "PATH": _search_path()}


def _mounts_under(directory: Path) -> list[Path]:
    """Mount points at or below `directory`, the deepest first."""
    table = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    points = (Path(line.split(" ")[1].replace("\\040", " ")) for line in table)
    return sorted((point for point in points if point.is_relative_to(directory)), reverse=True)


def _umount(mount: Path) -> None:
    subprocess.run(["umount", "--lazy", str(mount)], check=False, capture_output=True, env=_environment())
