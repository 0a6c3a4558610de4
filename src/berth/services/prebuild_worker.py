"""The worker of the reconcile loop for prebuilds: builds what a branch's configuration says, publishes it, retires the old.

A run that was cut off is done again: steps that the engine has built already are its cache, a version is published or not.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

from berth.adapters.store import account as account_rows
from berth.adapters.store import prebuild as rows
from berth.adapters.store import repository as repository_rows
from berth.adapters.store.database import Store
from berth.adapters.store.prebuild_tables import prebuilds
from berth.domain.access import role_without_token
from berth.domain.account import Account
from berth.domain.allowance import Allowances
from berth.domain.codespace import finding_to_json
from berth.domain.compose import find_compose
from berth.domain.finding import Finding
from berth.domain.host_option import HostOption
from berth.domain.image_build import built_image_name
from berth.domain.launch import INTERNAL, finding_of
from berth.domain.machine import Machines
from berth.domain.prebuild import (
    CREATOR_SUSPENDED,
    INTERRUPTED,
    NO_ADMINISTRATOR,
    NOTHING_TO_BUILD,
    Prebuild,
    PrebuildState,
    PrebuildVersion,
    as_codespace,
    branch_gone,
    choose_retired,
    hash_configuration,
    shorten,
)
from berth.domain.problem import Problem, is_passing
from berth.domain.repository import Repository
from berth.domain.role import Role
from berth.services.codespace_policy import find_allowances, require_images
from berth.services.creation_log import CreationLog
from berth.services.image_build import BuildPlan, ImageBuilder
from berth.services.launch_configuration import LaunchConfiguration
from berth.services.launch_failure import LaunchFailed
from berth.services.launch_image import LaunchImages, WantedImage
from berth.services.launch_source import LaunchSource
from berth.services.ports import Clock, Engine, GitRepositories
from berth.services.prebuild_credentials import PrebuildCredentials, PrebuildCredentialService
from berth.services.prebuild_package import PrebuildPackages
from berth.services.reconcile import Claim, Fenced, Outcome

MAX_ATTEMPTS = 4
_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PrebuildParts:
    """What a run is made with. `images` looks for no prebuilds."""

    engine: Engine
    git: GitRepositories
    configurations: LaunchConfiguration
    images: LaunchImages
    builder: ImageBuilder
    credentials: PrebuildCredentialService
    packages: PrebuildPackages
    machines: Machines
    site_options: Collection[HostOption] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """What is built, and by whose rights."""

    prebuild: Prebuild
    repository: Repository
    creator: Account
    commit: str
    allowances: Allowances

    @property
    def launched(self) -> LaunchSource:
        """As if the creator launched a codespace of it."""
        return LaunchSource(owner=self.creator, repository=self.repository, allowances=self.allowances)


class PrebuildWorker:
    """Drives the rows of the table `prebuilds`."""

    table = prebuilds

    def __init__(self, *, store: Store, clock: Clock, parts: PrebuildParts) -> None:
        self._store = store
        self._clock = clock
        self._parts = parts

    async def act(self, claim: Claim) -> Outcome:
        """A whole run. A Problem is its answer, unless it is passing."""
        prebuild = rows.to_prebuild(claim.row)
        if prebuild.is_deleted:
            return await self._remove(claim, prebuild)
        log = CreationLog(self._store, self._clock, prebuild.id, append=rows.append_log)
        try:
            await self._run(claim, prebuild, log)
        except LaunchFailed as failure:
            return await self._failed(prebuild, failure.finding, log)
        except Problem as problem:
            await log.flush()
            if is_passing(problem) and claim.attempts < MAX_ATTEMPTS:
                raise
            return await self._failed(prebuild, finding_of(problem), log)
        await log.phase("Ready")
        return self._ended(prebuild, PrebuildState.READY, finding=None)

    async def give_up(self, claim: Claim, error: Exception) -> Outcome | None:
        """What was to be tried again fails after a few attempts; a removal is tried for ever."""
        prebuild = rows.to_prebuild(claim.row)
        if prebuild.is_deleted or claim.attempts < MAX_ATTEMPTS:
            return None
        log = CreationLog(self._store, self._clock, prebuild.id, append=rows.append_log)
        return await self._failed(prebuild, finding_of(error) if isinstance(error, Problem) else INTERNAL, log)

    async def _run(self, claim: Claim, prebuild: Prebuild, log: CreationLog) -> None:
        """Raises LaunchFailed, a Problem or Fenced."""
        if claim.deserted >= MAX_ATTEMPTS:
            raise LaunchFailed(INTERRUPTED)
        source = await self._begin(claim, prebuild)
        parts, repository = self._parts, source.repository
        await log.phase(f"Reading the dev container configuration of {prebuild.wish.branch} at {source.commit[:12]}")
        codespace = as_codespace(prebuild, parts.machines.default.name)
        config = await parts.configurations.read(codespace, source.launched, source.commit, log)
        if find_compose(config) is not None:
            raise LaunchFailed(NOTHING_TO_BUILD)
        wanted = await parts.images.read(codespace, source.launched, config, source.commit, log)
        if wanted.plan is None:
            raise LaunchFailed(NOTHING_TO_BUILD)
        await require_images(self._store, repository, wanted.images)
        await log.phase("Finding the credentials")
        async with parts.credentials.opened(prebuild, repository, source.creator.login) as credentials:
            await credentials.launch.tell(log)
            await self._make(claim, source, wanted, wanted.plan, credentials, log)

    async def _make(
        self,
        claim: Claim,
        source: _Source,
        wanted: WantedImage,
        plan: BuildPlan,
        credentials: PrebuildCredentials,
        log: CreationLog,
    ) -> None:
        """The images' digests decide what it is; it is built of these and no others, though a tag may move meanwhile."""
        parts, prebuild, repository = self._parts, source.prebuild, source.repository
        registries = credentials.launch.registries
        plan = await parts.builder.pin(plan, registries, log)
        configuration_hash = hash_configuration(await parts.builder.describe(plan))
        await log.output(f"The configuration's hash is {shorten(configuration_hash)}.")
        versions = await self._list_versions(prebuild)
        same = [each for each in versions if each.configuration_hash == configuration_hash]
        if not prebuild.is_forced and any([await parts.packages.holds(each, repository) for each in same]):
            await log.output("A version of it is there already.")
            return
        image = await parts.images.obtain(replace(wanted, source=plan), registries, log, afresh=prebuild.is_forced)
        await log.phase("Publishing the image")
        digest = await parts.packages.publish(credentials.token, repository, image.name, configuration_hash)
        await self._store_version(claim, source, configuration_hash, str(digest), same)
        await self._retire(choose_retired(await self._list_versions(prebuild), prebuild.wish.kept_versions), repository)

    async def _begin(self, claim: Claim, prebuild: Prebuild) -> _Source:
        """With the rights of now. Raises LaunchFailed."""
        async with self._store.read() as connection:
            creator = await account_rows.find_account_by_id(connection, prebuild.creator_id)
            repository = await repository_rows.find_repository_by_id(connection, prebuild.repository_id)
            facts = await repository_rows.gather_facts(connection, prebuild.creator_id, prebuild.repository_id)
            allowed = (
                None if repository is None else await find_allowances(connection, repository, self._parts.site_options)
            )
        if (
            creator is None
            or repository is None
            or allowed is None
            or facts is None
            or role_without_token(facts) < Role.ADMIN
        ):
            raise LaunchFailed(NO_ADMINISTRATOR)
        if creator.is_suspended:
            raise LaunchFailed(CREATOR_SUSPENDED)
        branch = prebuild.wish.branch
        commit = await self._parts.git.find_commit(repository.id, f"refs/heads/{branch}")
        async with self._store.begin() as connection:
            await claim.note_in(connection, state=PrebuildState.IN_PROGRESS, commit_id=commit, finding=None)
            await rows.clear_log(connection, prebuild.id)
        if commit is None:
            raise LaunchFailed(branch_gone(repository.full_name, branch))
        return _Source(prebuild=prebuild, repository=repository, creator=creator, commit=commit, allowances=allowed)

    async def _list_versions(self, prebuild: Prebuild) -> list[PrebuildVersion]:
        async with self._store.read() as connection:
            return await rows.list_versions(connection, [prebuild.id])

    async def _store_version(
        self, claim: Claim, source: _Source, configuration_hash: str, digest: str, same: Iterable[PrebuildVersion]
    ) -> None:
        """In place of the versions of the same hash."""
        await self._retire([each for each in same if each.digest != digest], source.repository)
        async with self._store.begin() as connection:
            await claim.note_in(connection, forced=False)
            values = {
                "prebuild_id": source.prebuild.id,
                "owner_id": source.repository.owner_id,
                "configuration_hash": configuration_hash,
                "digest": digest,
                "commit_id": source.commit,
                "created_at": self._clock.now(),
            }
            await rows.store_version(connection, values)

    async def _retire(self, versions: Iterable[PrebuildVersion], repository: Repository) -> None:
        """The image goes first: what is left behind by a crash is a row, which the next run finds."""
        for version in versions:
            async with self._store.read() as connection:
                shared = await rows.is_shared(connection, version)
            if not shared:
                await self._parts.packages.retire(version, repository)
            async with self._store.begin() as connection:
                await rows.delete_version(connection, version)

    async def _remove(self, claim: Claim, prebuild: Prebuild) -> Outcome:
        await self._parts.credentials.void(prebuild)
        async with self._store.read() as connection:
            repository = await repository_rows.find_repository_by_id(connection, prebuild.repository_id)
        if repository is not None:
            await self._retire(await self._list_versions(prebuild), repository)
        await self._parts.engine.remove_image(built_image_name(prebuild.name))
        async with self._store.begin() as connection:
            if not await rows.delete_row(connection, prebuild.id, claim.epoch):
                raise Fenced
        return Outcome(removed=True)

    async def _failed(self, prebuild: Prebuild, finding: Finding, log: CreationLog) -> Outcome:
        shown = await log.finding(finding)
        return self._ended(prebuild, PrebuildState.FAILED, finding=finding_to_json(shown), forced=False)

    def _ended(self, prebuild: Prebuild, state: PrebuildState, **values: Any) -> Outcome:
        hours = prebuild.wish.every_hours
        values |= {"state": state, "finished_at": self._clock.now()}
        return Outcome(values=values, next_in_s=None if hours is None else hours * _HOUR_S)
