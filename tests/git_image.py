"""A layer for an image with git: busybox, and this machine's git with what it is linked with."""

import shutil
import subprocess
from pathlib import Path

from tests.program_image import program_layer


def git_layer() -> bytes:
    """The tar. It speaks http, not https."""
    program = shutil.which("git")
    assert program is not None
    folder = Path(subprocess.run([program, "--exec-path"], capture_output=True, text=True, check=True).stdout.strip())
    return program_layer(
        {"bin/git": Path(program), f"{folder}/git-remote-http".lstrip("/"): folder / "git-remote-http"}
    )
