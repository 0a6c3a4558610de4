"""Pushes in another process, which is killed in the middle."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.adapters.s3_server import IDENTITY


@contextmanager
def pushing(place: str, size_bytes: int) -> Iterator[subprocess.Popen[str]]:
    """Runs `tests/adapters/blob_pushes.py` as long as the block."""
    command = [sys.executable, "-m", "tests.adapters.blob_pushes", place, str(size_bytes)]
    environment = {**os.environ, **IDENTITY}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def kill_after(place: str, size_bytes: int, word: str, delay_s: float) -> list[list[str]]:
    """The words of each line that the process wrote before it was killed: some time after a line with this first word."""
    with pushing(place, size_bytes) as process:
        assert process.stdout is not None
        lines: list[list[str]] = []
        while not lines or lines[-1][0] != word:
            lines.append(process.stdout.readline().split())
        time.sleep(delay_s)
        process.kill()
        return [*lines, *(line.split() for line in process.stdout if line.endswith("\n"))]
