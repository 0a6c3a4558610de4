"""A real third-party registry for demo and tests: Debian's docker-registry with a password file.

Our own registry is in `oci`; this one stands for "some other registry that holds a private image".
"""

import asyncio
import contextlib
import json
import shutil
import socket
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import bcrypt
import httpx

_START_TIMEOUT_S = 20.0
_STOP_TIMEOUT_S = 5.0
_POLL_INTERVAL_S = 0.03
_BCRYPT_ROUNDS = 4  # the registry checks the password at every request; the accounts are made up
_LOG_TAIL_LINES = 15
_PORT_ATTEMPTS = 5


class RegistryNotStarted(RuntimeError):
    """docker-registry could not be started; the text says why, with the end of its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCertificate:
    """PEM files for a registry that speaks TLS; `certificate` must be valid for 127.0.0.1."""

    certificate: Path
    key: Path


class DemoRegistry:
    """A docker-registry on 127.0.0.1 that knows `accounts` (name to password), as long as the `async with` block."""

    def __init__(self, accounts: Mapping[str, str], *, tls: ServerCertificate | None = None) -> None:
        self._accounts = dict(accounts)
        self._tls = tls
        self._process: asyncio.subprocess.Process | None = None
        self._log: IO[bytes] | None = None
        self.directory = Path()
        self.host = ""

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.host}"

    @property
    def log_file(self) -> Path:
        return self.directory / "log"

    async def __aenter__(self) -> Self:
        self.directory = Path(tempfile.mkdtemp(prefix="berth-r-"))
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stop()

    async def _start(self) -> None:
        program = shutil.which("docker-registry")
        if program is None:
            raise RegistryNotStarted("docker-registry is not installed (Debian: docker-registry)")
        self._write_password_file()
        for _ in range(_PORT_ATTEMPTS):
            self.host = f"127.0.0.1:{_free_port()}"
            config = self._write_config()
            await self._end_process()
            self._log = self.log_file.open("wb")
            self._process = await asyncio.create_subprocess_exec(
                program,
                "serve",
                str(config),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                start_new_session=True,  # Ctrl-C in a terminal must reach us, who then stop it in order
            )
            if await self._becomes_ready(self._process):
                return
        raise RegistryNotStarted(f"docker-registry found no free port:\n{self._log_tail()}")

    def _write_password_file(self) -> None:
        salt = bcrypt.gensalt(_BCRYPT_ROUNDS)
        hashes = {name: bcrypt.hashpw(password.encode(), salt).decode() for name, password in self._accounts.items()}
        path = self.directory / "htpasswd"
        path.write_text("".join(f"{name}:{hashed}\n" for name, hashed in hashes.items()), encoding="utf-8")
        path.chmod(0o600)

    def _write_config(self) -> Path:
        http: dict[str, object] = {"addr": self.host}
        if self._tls is not None:
            http["tls"] = {"certificate": str(self._tls.certificate), "key": str(self._tls.key)}
        config = {
            "version": 0.1,
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(self.directory / "storage")}, "delete": {"enabled": True}},
            "http": http,
            "auth": {"htpasswd": {"realm": "demo", "path": str(self.directory / "htpasswd")}},
        }
        path = self.directory / "config.yml"
        path.write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
        return path

    async def _becomes_ready(self, process: asyncio.subprocess.Process) -> bool:
        """Wait for the 401 of a registry that wants a password; False if another program took the port meanwhile."""
        deadline = asyncio.get_running_loop().time() + _START_TIMEOUT_S
        async with httpx.AsyncClient(verify=self._trust(), trust_env=False, timeout=2.0) as client:
            while asyncio.get_running_loop().time() < deadline:
                if process.returncode is not None:
                    if "address already in use" in self._log_tail():
                        return False
                    raise RegistryNotStarted(
                        f"docker-registry ended with status {process.returncode}:\n{self._log_tail()}"
                    )
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get(f"{self.url}/v2/")).status_code == HTTPStatus.UNAUTHORIZED:
                        return True
                await asyncio.sleep(_POLL_INTERVAL_S)
        raise RegistryNotStarted(f"docker-registry does not answer after {_START_TIMEOUT_S:.0f} s:\n{self._log_tail()}")

    def _trust(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
        if self._tls is not None:
            context.load_verify_locations(self._tls.certificate)
        return context

    def _log_tail(self) -> str:
        lines = self.log_file.read_text(errors="replace").splitlines()
        return "\n".join(lines[-_LOG_TAIL_LINES:]) or "(its log is empty)"

    async def _end_process(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            try:
                async with asyncio.timeout(_STOP_TIMEOUT_S):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        self._process = None
        if self._log is not None:
            self._log.close()
            self._log = None

    async def _stop(self) -> None:
        await self._end_process()
        await asyncio.to_thread(shutil.rmtree, self.directory, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
