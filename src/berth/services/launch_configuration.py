"""What a codespace is launched from: the commit that its ref names, and the dev container configuration at it."""

from berth.domain.codespace import DEFAULT_CONFIGURATIONS, Codespace
from berth.domain.dev_container import DevContainerConfig, parse_dev_container, review_configuration
from berth.domain.finding import Finding, Fixer
from berth.domain.repository import Repository
from berth.services.creation_log import CreationLog
from berth.services.launch_failure import LaunchFailed
from berth.services.launch_source import LaunchSource
from berth.services.ports import GitRepositories


class LaunchConfiguration:
    """Reads git's objects, never the checkout: a symlink in that leads nowhere.

    `default_image` is what a repository without a configuration gets; empty: it gets nothing.
    """

    def __init__(self, *, git: GitRepositories, default_image: str = "") -> None:
        self._git = git
        self._default_image = default_image

    async def find_commit(self, codespace: Codespace, repository: Repository) -> str:
        """What the ref names now; what it named at the last launch if it is gone. Raises LaunchFailed.

        Only what gets no secrets may be a stranger's commit (S6).
        """
        find = self._git.find_commit if codespace.from_fork else self._git.find_own_commit
        commit = await find(repository.id, codespace.ref)
        if commit is None and codespace.commit_id is not None:
            commit = await self._git.find_commit(repository.id, codespace.commit_id)  # found in the same way then
        if commit is None:
            raise LaunchFailed(
                Finding(
                    code="codespace.ref_gone",
                    sentence=f"The repository {repository.full_name} has no branch, tag or commit '{codespace.ref}' any more.",
                    fixer=Fixer.DEVELOPER,
                    next_step="Push it again, or create a codespace from another ref.",
                )
            )
        return commit

    async def read(
        self, codespace: Codespace, source: LaunchSource, commit: str, log: CreationLog
    ) -> DevContainerConfig:
        """The configuration at that commit, reviewed. Raises LaunchFailed, Invalid.

        The default image takes the place of a file that nobody named and that is not there, never of one that is bad.
        A codespace that was launched with it keeps it until it is rebuilt, whatever the setting says now.
        """
        repository, wanted = source.repository, codespace.devcontainer_path
        for path in (wanted,) if wanted else DEFAULT_CONFIGURATIONS:
            data = await self._git.read_file(repository.id, commit, path)
            if data is not None:
                return review_configuration(parse_dev_container(data, path), source.allowances)
        kept = None if codespace.needs_rebuild else codespace.image_reference
        if not wanted and (image := kept or self._default_image):
            await log.phase(f"The repository has no dev container configuration: using {image}")
            return DevContainerConfig({"image": image})
        looked_for = wanted or " or ".join(DEFAULT_CONFIGURATIONS)
        raise LaunchFailed(
            Finding(
                code="devcontainer.missing",
                sentence=f"{repository.full_name} has no {looked_for} at {codespace.ref} ({commit[:12]}).",
                fixer=Fixer.DEVELOPER,
                next_step='Commit one, for example {"image": "debian:12"}, and create the codespace again.',
            )
        )
