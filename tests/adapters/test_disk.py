"""Calls that Python has no name for."""

from pathlib import Path

from berth.adapters.disk import _SYNC_FILE_RANGE_WRITE, _find_sync_file_range, write_back


def test_the_system_takes_the_call_that_writes_back(tmp_path: Path) -> None:
    """Else it would do nothing, and nobody would notice but for a slow fsync."""
    with (tmp_path / "file").open("wb", buffering=0) as file:
        file.write(b"x" * 10_000)
        sync_file_range = _find_sync_file_range()
        assert sync_file_range is not None
        assert sync_file_range(file.fileno(), 0, 10_000, _SYNC_FILE_RANGE_WRITE) == 0
        assert sync_file_range(file.fileno(), -1, 10_000, _SYNC_FILE_RANGE_WRITE) != 0
        write_back(file.fileno(), 0, 10_000)
    write_back(-1, 0, 1)
