"""The Disk port: the file system that a folder is on."""

import os
from pathlib import Path

from berth.services.ports import DiskSpace


class FolderDisk:
    """Of one folder, which need not be there yet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def measure(self) -> DiskSpace | None:
        try:
            found = os.statvfs(self._folder)
        except OSError:
            return None
        return DiskSpace(total_bytes=found.f_blocks * found.f_frsize, free_bytes=found.f_bavail * found.f_frsize)
