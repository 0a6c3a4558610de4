"""The files of a container that the scripts of a docker config work on: the real scripts, in a folder of this machine."""

import base64
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from berth.domain.docker_config_files import SeenConfig, parse_seen
from berth.services.ports import ExecResult


@dataclass(frozen=True, slots=True)
class ContainerFiles:
    """`home` is on disk, `run` on the tmpfs. `shell` is what the image has as /bin/sh."""

    folder: Path
    shell: tuple[str, ...] = ("busybox", "sh")

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def run_folder(self) -> Path:
        return self.folder / "run"

    @property
    def config_file(self) -> Path:
        """What docker reads."""
        return self.home / ".docker" / "config.json"

    def install(self) -> None:
        """What the installation of the environment leaves."""
        for path in (self.home, self.run_folder / "docker", self.run_folder / "fresh"):
            path.mkdir(parents=True, exist_ok=True)

    def stop(self) -> None:
        shutil.rmtree(self.run_folder, ignore_errors=True)

    def run(self, script: str, stdin: str = "", *, home: str | None = None) -> ExecResult:
        done = subprocess.run(
            [*self.shell, "-c", script, "berth", str(self.run_folder)],
            input=stdin.encode(),
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.home) if home is None else home},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=20,
            check=False,
        )
        return ExecResult(done.returncode, done.stdout)

    def look(self, script: str) -> SeenConfig:
        return parse_seen(self.run(script).output)

    @property
    def config(self) -> Any:
        return json.loads(self.config_file.read_text())

    @property
    def logins(self) -> dict[str, str]:
        """host → user:password."""
        return {host: base64.b64decode(one["auth"]).decode() for host, one in self.config["auths"].items()}

    @property
    def token(self) -> str:
        return (self.run_folder / "fresh" / "token").read_text().strip()
