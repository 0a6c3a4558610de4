"""Calls that Python has no name for."""

import os
from pathlib import Path

from berth.adapters.disk import reserve, write_back


def test_the_system_takes_the_call_that_writes_back(tmp_path: Path) -> None:
    """Else it would do nothing, and nobody would notice but for a slow fsync."""
    with (tmp_path / "file").open("wb", buffering=0) as file:
        file.write(b"x" * 10_000)
        assert write_back(file.fileno(), 0, 10_000)
        assert not write_back(file.fileno(), -1, 10_000)
    assert not write_back(-1, 0, 1)


def test_room_is_reserved_and_given_back(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb", buffering=0) as file:
        file.write(b"x" * 10_000)
        assert reserve(file.fileno(), 10_000, 1_000_000)
        held = os.fstat(file.fileno())
        assert (held.st_size, held.st_blocks * 512 >= 1_000_000) == (10_000, True)
        os.ftruncate(file.fileno(), 10_000)
        assert os.fstat(file.fileno()).st_blocks * 512 < 100_000
    assert not reserve(-1, 0, 1)
