"""A Berth of the demo's own: `berth serve` as a process, with embedded defaults in a folder of its own."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from berth.domain.secret_text import SecretText

_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 30.0
_POLL_INTERVAL_S = 0.03
_LOG_TAIL_LINES = 25


class ServerNotStarted(RuntimeError):
    """`berth serve` did not become ready; the text says why, with the end of its log."""


class DemoServer:
    """`with DemoServer(...)`: started and ready, ended at the end. It gets no setting but the ones that are shown."""

    def __init__(self, directory: Path, docker_host: str, registry_host: str) -> None:
        self.data = directory / "data"
        self.log_file = directory / "berth.log"
        self.address = f"127.0.0.1:{_free_port()}"
        self.settings = {
            "BERTH_DATA_DIR": str(self.data),
            "BERTH_LISTEN": self.address,
            "BERTH_DOCKER_HOST": docker_host,
            "BERTH_PRIVATE_ADDRESSES": registry_host,
            "BERTH_INSECURE_REGISTRIES": registry_host,
        }
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def origin(self) -> str:
        return f"http://{self.address}"

    @property
    def token_file(self) -> Path:
        return self.data / "admin-token"

    def read_token(self) -> SecretText:
        """The site administrator's token, which the first start wrote."""
        return SecretText(self.token_file.read_text(encoding="utf-8").strip())

    def __enter__(self) -> Self:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("BERTH_")}
        try:
            with self.log_file.open("wb") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "berth", "serve"],
                    env=inherited | self.settings,
                    cwd=self._directory,  # a berth.toml of the caller's shall not count
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C in a terminal must reach us, who then stop it in order
                )
            self._wait_until_ready(self._process)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        said = "no answer"
        with httpx.Client(trust_env=False, timeout=5) as client:
            while time.monotonic() < deadline:
                if process.poll() is not None:
                    raise ServerNotStarted(f"berth serve ended with status {process.returncode}:\n{self.log_tail()}")
                try:
                    answer = client.get(f"{self.origin}/readyz")
                    if answer.status_code == 200:
                        return
                    said = answer.text
                except httpx.TransportError:
                    pass  # not listening yet
                time.sleep(_POLL_INTERVAL_S)
        raise ServerNotStarted(f"berth serve is not ready after {_START_TIMEOUT_S:.0f} s ({said}):\n{self.log_tail()}")

    def log_tail(self) -> str:
        lines = self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-_LOG_TAIL_LINES:]) or "(its log is empty)"

    def _stop(self) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
