"""The checkouts of codespaces on this host's disk: `<folder>/<codespace>/<repository>`."""

import asyncio
import os
import shutil
from pathlib import Path

from berth.adapters.disk import translating_disk_full
from berth.adapters.git_repositories import is_partial
from berth.domain.unix_user import UnixUser


class DiskWorkspaces:
    """Implements Workspaces. The folder is for the server only; a container sees its own checkout, mounted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, codespace: str, repository: str) -> Path:
        return self._folder / codespace / repository

    def find(self, codespace: str) -> Path | None:
        folder = self._folder / codespace
        found = sorted(folder.iterdir()) if folder.is_dir() else []
        return next((path for path in found if not is_partial(path)), None)

    async def give_to(self, codespace: str, owner: UnixUser) -> None:
        with translating_disk_full():
            await asyncio.to_thread(_give_tree, self._folder / codespace, owner)

    async def remove(self, codespace: str) -> None:
        await asyncio.to_thread(shutil.rmtree, self._folder / codespace, ignore_errors=True)

    def names(self) -> set[str]:
        return {path.name for path in self._folder.iterdir()}


def _give_tree(root: Path, owner: UnixUser) -> None:
    """Links are given away themselves, never followed: the tree came from a stranger's repository."""
    for folder, folders, files in os.walk(root, followlinks=False):
        for name in (*folders, *files):
            os.chown(Path(folder) / name, owner.uid, owner.gid, follow_symlinks=False)
