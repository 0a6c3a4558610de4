"""oras, the Python library, used as its users do: what it logs is what they see."""

import io
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from types import SimpleNamespace
from typing import Any

import pytest
from oras.client import OrasClient
from tests.clients.images import CONFIG, LAYER, Image
from tests.clients.tool import Said, Tool


class Oras(Tool):
    """A client object keeps the first registry token that it gets, whatever for; so each action has one of its own."""

    def __init__(self, folder: Path, *, ca_file: Path | None = None) -> None:
        super().__init__(folder)
        self._ca_file = ca_file
        self._home = folder / "home"
        self._home.mkdir(parents=True)
        self._pulled: dict[str, Any] = {}
        self._clients: list[OrasClient] = []

    def client(self, host: str) -> OrasClient:
        trust = True if self._ca_file is None else str(self._ca_file)
        made = OrasClient(hostname=host, insecure=self._ca_file is None, tls_verify=trust)
        made.session.trust_env = False  # no proxy and no netrc of the machine's user
        self._clients.append(made)
        return made

    def client_for(self, reference: str) -> OrasClient:
        """One that has read the login, for verbs that do not read it themselves."""
        made = self.client(_host(reference))
        made.auth.load_configs(made.get_container(reference))
        return made

    def login(self, host: str, user: str, password: str) -> Said:
        """It asks nobody whether they are right."""
        return self.say(lambda: self.client(host).login(user, password, hostname=host))

    def logout(self, host: str) -> Said:
        """The library forgets in memory only; the file is its users' to remove."""
        self.forget()
        return Said(worked=True, text="")

    def push(self, image: Image, reference: str) -> Said:
        folder = Path(mkdtemp(dir=self.folder))
        (folder / "config").write_bytes(image.config)
        (folder / "layer").write_bytes(image.packed_layer)
        return self.push_files(
            reference,
            [f"{folder / 'layer'}:{LAYER}"],
            manifest_config=f"{folder / 'config'}:{CONFIG}",
            manifest_annotations=dict(image.annotations) or None,
        )

    def push_files(self, reference: str, files: list[str], **options: Any) -> Said:
        client = self.client(_host(reference))
        return self.say(lambda: client.push(reference, files=files, disable_path_validation=True, **options))

    def pull(self, reference: str) -> Said:
        folder = self.folder / "pulled"
        shutil.rmtree(folder, ignore_errors=True)
        self._pulled = {}

        def pull() -> None:
            client = self.client(_host(reference))
            client.pull(reference, outdir=str(folder))
            self._pulled = client.get_manifest(reference)

        return self.say(pull)

    def pulled_id(self, reference: str) -> str:
        return str(self._pulled["config"]["digest"])

    def forget(self) -> None:
        shutil.rmtree(self._home / ".docker", ignore_errors=True)

    def say(self, action: Callable[[], object]) -> Said:
        """Do this with the library, which reads and writes a docker config below HOME.

        Where it would wait before it asks again, for more than two minutes in all, it says so and does not wait here.
        """
        seen = io.StringIO()
        handler = logging.StreamHandler(seen)
        logger = logging.getLogger("oras.logger")
        level = logger.level
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("HOME", str(self._home))
                patch.setattr("oras.decorator.time", SimpleNamespace(sleep=lambda seconds: None))
                action()
        except Exception as error:  # noqa: BLE001 whatever it raises is what its user sees
            return Said(worked=False, text=f"{seen.getvalue()}{error}")
        finally:
            while self._clients:
                self._clients.pop().session.close()
            logger.removeHandler(handler)
            logger.setLevel(level)
        return Said(worked=True, text=seen.getvalue())


def _host(reference: str) -> str:
    return reference.partition("/")[0]
