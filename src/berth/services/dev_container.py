"""What can be known of a repository's dev container configurations before a codespace is created from it."""

from berth.domain.codespace import DEFAULT_CONFIGURATIONS
from berth.domain.dev_container_list import FOLDER, DevContainerEntry, configuration_paths, describe_configuration
from berth.domain.problem import NotFound
from berth.domain.repository import Repository, short_branch
from berth.services.ports import GitRepositories

_MAX_NAMED_BYTES = 64 * 1024  # a list of a hundred opens no larger ones


class DevContainerService:
    """Reads git's objects at a ref. The repository is one that the caller may read."""

    def __init__(self, *, git: GitRepositories) -> None:
        self._git = git

    async def list_for(
        self, repository: Repository, ref: str, *, limit: int, offset: int
    ) -> tuple[list[DevContainerEntry], int]:
        """A page of the configurations at a ref (empty: the default branch), and how many there are.

        A constant number of git's processes, whatever there is. Raises NotFound for an unknown ref.
        """
        commit = await self._find_commit(repository, ref)
        if commit is None:
            return [], 0
        inside = await self._git.list_directory(repository.id, commit, FOLDER) or ()
        paths = configuration_paths(entry.name for entry in inside if entry.kind == "dir")
        entries = await self._git.find_entries(repository.id, commit, paths)
        by_path = {entry.path: entry for entry in entries if entry.kind == "file"}
        there = [path for path in paths if path in by_path]
        page = there[offset : offset + limit]
        small = [by_path[path].sha for path in page if by_path[path].size_bytes <= _MAX_NAMED_BYTES]
        data = await self._git.read_blobs(repository.id, small)
        return [describe_configuration(path, data.get(by_path[path].sha)) for path in page], len(there)

    async def list_branches(self, repository: Repository) -> tuple[str, ...]:
        """The first 1 000, the default one first."""
        names = await self._git.list_branches(repository.id)
        return tuple(sorted(names, key=lambda name: (name != repository.default_branch, name)))

    async def find_default(self, repository: Repository, ref: str) -> str | None:
        """Which one a launch takes that is not told; None if there is none. Raises NotFound for an unknown ref."""
        commit = await self._find_commit(repository, ref)
        if commit is None:
            return None
        entries = await self._git.find_entries(repository.id, commit, DEFAULT_CONFIGURATIONS)
        there = {entry.path for entry in entries if entry.kind == "file"}
        return next((path for path in DEFAULT_CONFIGURATIONS if path in there), None)

    async def find_taken(self, repository: Repository, ref: str, path: str | None) -> DevContainerEntry | None:
        """The configuration that a launch takes which is told this path, or none. None if it is not there."""
        try:
            path = path or await self.find_default(repository, ref)
            commit = await self._find_commit(repository, ref)
        except NotFound:
            return None
        entry = None if path is None or commit is None else await self._git.find_entry(repository.id, commit, path)
        if entry is None or entry.kind != "file" or entry.size_bytes > _MAX_NAMED_BYTES:
            return None
        data = await self._git.read_blobs(repository.id, [entry.sha])
        return describe_configuration(entry.path, data.get(entry.sha))

    async def require(self, repository: Repository, ref: str, path: str) -> None:
        """Raises NotFound unless there is a file of this path at the ref."""
        commit = await self._find_commit(repository, ref)
        entry = None if commit is None else await self._git.find_entry(repository.id, commit, path)
        if entry is None or entry.kind != "file":
            raise NotFound(f"{repository.full_name} has no {path[:200]} at {ref[:100]}.", code="devcontainer.missing")

    async def _find_commit(self, repository: Repository, ref: str) -> str | None:
        """None for the default branch of a repository that has no commit yet."""
        name = short_branch(ref)
        commit = await self._git.find_commit(repository.id, name or repository.default_branch)
        if commit is None and name:
            raise NotFound(
                f"The repository {repository.full_name} has no branch, tag or commit '{name[:100]}'.",
                code="codespace.ref_unknown",
                remedy="Push it first, or name another with `ref`.",
            )
        return commit
