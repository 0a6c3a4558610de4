"""A real `berth serve` in a process of its own, which a test may kill and start again."""

import asyncio
import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from tests.databases import migrated_sqlite

_START_TIMEOUT_S = 30.0
_AT_REST = {"Available", "Shutdown", "Failed"}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def fresh_name(prefix: str) -> str:
    """A login, repository or file that no test had before, in this run or another one."""
    return f"{prefix}{secrets.token_hex(6)}"


@dataclass
class Server:
    """`async with Server(...)`: started and ready, ended at the end. `kill` is SIGKILL to the server process alone."""

    data: Path
    docker_host: str
    insecure_registries: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    address: str = "127.0.0.1"
    port: int = field(default_factory=free_port)
    ca_file: Path | None = None  # who signed TLS_CERT, if the environment has one: for `localhost`
    also_listen: tuple[str, ...] = ()  # further addresses, perhaps with TLS; the first one is then plain
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}" if self.ca_file is None else f"https://localhost:{self.port}"

    @property
    def listen(self) -> str:
        first = f"{self.address}:{self.port}"
        return ",".join((f"http://{first}", *self.also_listen)) if self.also_listen else first

    @property
    def trust(self) -> ssl.SSLContext | bool:
        """What httpx calls `verify`. Without TLS no authorities are loaded, which takes longer than most requests."""
        return False if self.ca_file is None else ssl.create_default_context(cafile=str(self.ca_file))

    @property
    def log_file(self) -> Path:
        return self.data.with_name(f"{self.data.name}.log")

    @property
    def admin_token(self) -> str:
        return (self.data / "admin-token").read_text().strip()

    def api(self, token: str | None = None) -> httpx.AsyncClient:
        headers = {"Authorization": f"token {token or self.admin_token}"}
        return httpx.AsyncClient(
            base_url=f"{self.url}/api/v3", headers=headers, verify=self.trust, timeout=60, trust_env=False
        )

    async def start(self) -> None:
        if not self.data.exists() and "BERTH_DATABASE_URL" not in self.environment:
            self.data.mkdir(mode=0o700)
            shutil.copy(migrated_sqlite(), self.data / "berth.db")  # tests/test_wiring.py sees the server make its own
        settings = {
            "BERTH_DATA_DIR": str(self.data),
            "BERTH_LISTEN": self.listen,
            "BERTH_DOCKER_HOST": self.docker_host,
            "BERTH_PRIVATE_ADDRESSES": "127.0.0.0/8",
            "BERTH_INSECURE_REGISTRIES": self.insecure_registries,
            "BERTH_MAX_CODESPACES_PER_USER": "1000",
            "PATH": os.environ["PATH"],
            **self.environment,
        }
        with self.log_file.open("ab") as log:
            command = [sys.executable, "-m", "berth", "serve"]
            self.process = subprocess.Popen(  # noqa: ASYNC220 asyncio's own would be reaped by its loop, not by us
                command, env=settings, stdout=log, stderr=log, start_new_session=True
            )
        await self.wait_until_ready()

    async def wait_until_ready(self) -> None:
        async with (
            asyncio.timeout(_START_TIMEOUT_S),
            httpx.AsyncClient(verify=self.trust, trust_env=False) as client,
        ):
            while True:
                assert self.process is not None
                if self.process.poll() is not None:
                    raise AssertionError(f"the server ended:\n{self.log_file.read_text()[-3000:]}")
                try:
                    if (await client.get(f"{self.url}/readyz")).status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.05)

    def kill(self) -> None:
        """The power goes."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    async def stop(self) -> None:
        """The orderly end."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(self.process.wait, 30)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.stop()
        finally:
            if self.process is not None and self.process.poll() is None:
                self.kill()

    async def until_at_rest(self, api: httpx.AsyncClient, name: str, timeout_s: float = 60) -> dict[str, Any]:
        """Wait until the codespace is Available, Shutdown or Failed."""
        async with asyncio.timeout(timeout_s):
            while True:
                body: dict[str, Any] = (await api.get(f"/user/codespaces/{name}")).raise_for_status().json()
                if body["state"] in _AT_REST:
                    return body
                await asyncio.sleep(0.2)
