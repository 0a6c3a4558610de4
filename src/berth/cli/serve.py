"""`berth serve`."""

import os
import sys

from berth.settings import read_settings

# glibc gives memory back to the kernel after each piece of an upload, and takes it again for the next: a third of the work
# of a push. And it keeps an arena for each thread, where two do. Source: mallopt(3).
_ALLOCATOR = {
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": str(32 * 1024 * 1024),
    "MALLOC_TRIM_THRESHOLD_": str(64 * 1024 * 1024),
}


def serve() -> None:
    """Run the server. Its settings are BERTH_* variables and berth.toml (docs/settings.md)."""
    read_settings()  # what is wrong with them is said here
    # The process becomes the server: what only the command line needs is gone, and the allocator reads its settings. With
    # -m alone, Python would look for modules in the working directory first: whoever may write there would be the server.
    command = [sys.executable, "-P", "-m", "berth.cli.server_process"]
    os.execve(sys.executable, command, {**_ALLOCATOR, **os.environ})  # noqa: S606
