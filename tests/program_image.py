"""Layers for images with programs of this machine: busybox, the programs, and what they are linked with."""

import io
import re
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

from tests.world import busybox_layer


def program_layer(programs: Mapping[str, Path], files: Mapping[str, str] | None = None) -> bytes:
    """The tar. Both are by their names in the image, without a slash before them."""
    raw = io.BytesIO(busybox_layer())
    with tarfile.open(fileobj=raw, mode="a", dereference=True) as tar:
        for name, path in programs.items():
            tar.add(path, name)
        for library in sorted({library for path in programs.values() for library in _libraries(path)}):
            tar.add(library, library.lstrip("/"))
        for name, text in (files or {}).items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(text.encode()), 0o644
            tar.addfile(info, io.BytesIO(text.encode()))
    return raw.getvalue()


def _libraries(program: Path) -> list[str]:
    """With the loader."""
    linked = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=True).stdout
    return re.findall(r"(/\S+) \(0x", linked)
