"""Where this server keeps its files."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskSpace:
    """Of the file system as a whole; `free_bytes` is what this process may still write."""

    total_bytes: int
    free_bytes: int


class Disk(Protocol):
    """The file system with the data folder: the database of a single server, repositories, blobs unless they are in S3."""

    async def measure(self) -> DiskSpace | None:
        """None if it does not say."""
        ...
