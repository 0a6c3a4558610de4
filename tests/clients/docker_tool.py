"""The docker command line with a real engine, which does the pushing and pulling."""

import shutil
from pathlib import Path

from tests.clients.images import Image, docker_archive
from tests.clients.tool import Program, Said, Tool


class Docker(Tool):
    """The engine takes plain HTTP from 127.0.0.0/8 by itself."""

    def __init__(self, folder: Path, docker_host: str) -> None:
        super().__init__(folder)
        self._config = folder / "config"
        self.run = Program("docker", folder, {"DOCKER_CONFIG": str(self._config), "DOCKER_HOST": docker_host})

    def login(self, host: str, user: str, password: str) -> Said:
        return self.run("login", "--username", user, "--password-stdin", host, stdin=password.encode())

    def logout(self, host: str) -> Said:
        return self.run("logout", host)

    def load(self, image: Image, reference: str) -> None:
        self.run("load", stdin=docker_archive(image, reference)).or_fail()

    def push(self, image: Image, reference: str) -> Said:
        self.load(image, reference)
        return self.run("push", reference)

    def pull(self, reference: str) -> Said:
        found = self.run("image", "inspect", "--format", "{{.Id}}", reference)
        if found.worked:
            self.run("image", "rm", "--force", found.text.strip()).or_fail()
        return self.run("pull", reference)

    def pulled_id(self, reference: str) -> str:
        return self.run("image", "inspect", "--format", "{{.Id}}", reference).or_fail().strip()

    def forget(self) -> None:
        shutil.rmtree(self._config, ignore_errors=True)
