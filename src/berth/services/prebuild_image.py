"""The image of a launch that was built before: found by the configuration's hash, opened like any other image.

1. The hash needs each image of the configuration by digest, so the launching user's right to each is proven first, as it
   is without a prebuild (L2). Who is refused one of them is refused here, whatever prebuilds there are.
2. The prebuild itself is pulled like a package's image: with the codespace's token, or the triple in its place (C6, A7).
3. It is a shortcut. If it cannot be had, the log says why, and the image is built.
4. It gets the name of an image built for the codespace, and goes when that goes.
"""

from berth.adapters.store import prebuild as rows
from berth.adapters.store.database import Store
from berth.domain.image_build import built_image_name
from berth.domain.image_reference import ImageReference, parse_digest
from berth.domain.prebuild import PrebuildVersion, hash_configuration, package_of, shorten
from berth.domain.problem import Problem
from berth.domain.registry_credential import RegistryCredentials
from berth.domain.repository import Repository
from berth.services.creation_log import CreationLog
from berth.services.image_access import FetchedImage, ImageAccess, ImageRequest
from berth.services.image_build import BuildPlan, ImageBuilder
from berth.services.launch_failure import LaunchFailed
from berth.services.ports import Engine


class PrebuiltImages:
    """Finds prebuilds for launches. `own_host` is where the built-in registry answers."""

    def __init__(
        self, *, store: Store, engine: Engine, images: ImageAccess, builder: ImageBuilder, own_host: str
    ) -> None:
        self._store = store
        self._engine = engine
        self._images = images
        self._builder = builder
        self._own_host = own_host

    async def find(
        self, plan: BuildPlan, registries: RegistryCredentials, log: CreationLog
    ) -> FetchedImage | BuildPlan:
        """The image; or, to be built, the plan with what is proven already. Raises LaunchFailed or a Problem."""
        repository = plan.source.repository
        async with self._store.read() as connection:
            if not await rows.exist(connection, repository.id):
                return plan
        pinned = await self._builder.pin(plan, registries, log)
        configuration_hash = hash_configuration(await self._builder.describe(pinned))
        async with self._store.read() as connection:
            version = await rows.find_version(connection, repository.id, repository.owner_id, configuration_hash)
        if version is None:
            await log.output(f"No prebuild was made of this configuration ({shorten(configuration_hash)}) yet.")
            return pinned
        made = version.created_at.strftime("%Y-%m-%d %H:%M UTC")
        await log.output(f"Using the prebuild of {version.short_hash}, made {made}.")
        try:
            return await self._fetch(pinned, repository, version, registries, log)
        except LaunchFailed as failure:
            why = failure.finding.sentence
        except Problem as problem:
            why = problem.message
        await log.output(f"The prebuild cannot be used, so the image is built: {why}")
        return pinned

    async def _fetch(
        self,
        plan: BuildPlan,
        repository: Repository,
        version: PrebuildVersion,
        registries: RegistryCredentials,
        log: CreationLog,
    ) -> FetchedImage:
        package = package_of(repository)
        image = ImageReference(host=self._own_host, path=str(package), tag=None, digest=parse_digest(version.digest))
        codespace = plan.source.codespace
        asked = ImageRequest(image=image, user_id=codespace.owner_id, repository=repository)
        fetched = await self._images.fetch(asked, registries, log)
        await self._engine.tag_image(fetched.image.pull_name, built_image_name(codespace.name))
        return fetched
