"""A layer for an image with git: busybox, and this machine's git with what it is linked with."""

import io
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

from tests.world import busybox_layer


def git_layer() -> bytes:
    """The tar. It speaks http, not https."""
    program = shutil.which("git")
    assert program is not None
    folder = Path(subprocess.run([program, "--exec-path"], capture_output=True, text=True, check=True).stdout.strip())
    programs = {"bin/git": Path(program), f"{folder}/git-remote-http".lstrip("/"): folder / "git-remote-http"}
    raw = io.BytesIO(busybox_layer())
    with tarfile.open(fileobj=raw, mode="a", dereference=True) as tar:
        for name, path in programs.items():
            tar.add(path, name)
        for library in sorted({library for path in programs.values() for library in _libraries(path)}):
            tar.add(library, library.lstrip("/"))
    return raw.getvalue()


def _libraries(program: Path) -> list[str]:
    """With the loader."""
    linked = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=True).stdout
    return re.findall(r"(/\S+) \(0x", linked)
