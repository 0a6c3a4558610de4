"""A disk that is soon full."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MIB = 1024 * 1024


@contextmanager
def small_disk(folder: Path, size_mib: int, *, files: int = 0) -> Iterator[Path]:
    """A disk of this size in memory, gone at the end. Only root may mount. `files`: how many it holds, 0 for any number."""
    folder.mkdir()
    options = f"size={size_mib}m,nr_inodes={files}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "berth-test", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take all the room that is left, to the last byte; the file that does it."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (MIB, 4096, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    return filler


def fill_names(folder: Path) -> Path:
    """Take all names that are left: no file can be made any more, though there is room. The folder that holds them."""
    filler = folder / "names"
    filler.mkdir()
    for number in range(100_000):
        try:
            (filler / str(number)).touch()
        except OSError:
            break
    return filler
