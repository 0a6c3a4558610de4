"""What the tests do with any client: log in, push, pull, look at what came. One class a tool, in modules of their own."""

import os
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.clients.images import Image

_TIMEOUT_S = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a person sees of a command, and whether it says that it worked."""

    worked: bool
    text: str

    def or_fail(self) -> str:
        assert self.worked, self.text
        return self.text


class Tool(ABC):
    """A client with a folder for all that it keeps. A reference is `host/owner/name:tag`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def login(self, host: str, user: str, password: str) -> Said: ...

    @abstractmethod
    def logout(self, host: str) -> Said: ...

    @abstractmethod
    def push(self, image: Image, reference: str) -> Said:
        """From the tool's own storage, where there is one."""

    @abstractmethod
    def pull(self, reference: str) -> Said:
        """Everything anew: what the tool holds under this name is removed before."""

    @abstractmethod
    def pulled_id(self, reference: str) -> str:
        """`Image.id` of what the last pull brought."""

    @abstractmethod
    def forget(self) -> None:
        """Every login."""


class Program:
    """A program in an environment of its own: nothing of the machine's user, no proxy, one folder for what it keeps."""

    def __init__(self, name: str, folder: Path, environment: Mapping[str, str], wrapper: Sequence[str] = ()) -> None:
        path = os.pathsep.join((os.environ["PATH"], "/usr/sbin", "/sbin"))
        found = shutil.which(name, path=path)
        assert found, f"{name} is not installed; run: make setup"
        (folder / "home").mkdir(parents=True, exist_ok=True)
        self._command = (*wrapper, found)
        self._folder = folder
        self._environment = {"PATH": path, "HOME": str(folder / "home"), "LC_ALL": "C", **environment}

    def __call__(self, *arguments: str, stdin: bytes = b"") -> Said:
        done = subprocess.run(
            [*self._command, *arguments],
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._environment,
            cwd=self._folder,
            timeout=_TIMEOUT_S,
            check=False,
        )
        return Said(worked=done.returncode == 0, text=done.stdout.decode(errors="replace"))
