"""The image that a codespace's container is made from: the one that its configuration names, or one that is built for it."""

from dataclasses import dataclass, replace

from berth.adapters.store.database import Store
from berth.domain.allowance import Allowances
from berth.domain.codespace import Codespace
from berth.domain.dev_container import DevContainerConfig, ImageMetadata, review_image_metadata
from berth.domain.dev_container_build import find_build
from berth.domain.image_reference import ImageReference, parse_image_reference
from berth.domain.machine import Machines
from berth.domain.problem import Invalid
from berth.domain.registry_credential import RegistryCredentials
from berth.services.creation_log import CreationLog
from berth.services.engine_build import BUILD_TIMEOUT_S
from berth.services.feature_fetch import MAX_BYTES, FeatureFetch, WantedFeatures
from berth.services.feature_layers import FeatureLayers
from berth.services.image_access import FetchedImage, ImageAccess, ImageRequest
from berth.services.image_build import BuildPlan, BuildSource, ImageBuilder
from berth.services.launch_source import LaunchSource
from berth.services.ports import Engine, GitRepositories, LocalImage
from berth.services.prebuild_image import PrebuiltImages


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedImage:
    """What a launch is to run, before any registry is asked for it."""

    images: tuple[ImageReference, ...]  # all that have to be proven; published Features too
    source: ImageRequest | BuildPlan
    features: WantedFeatures | None = None
    allowances: Allowances  # for what its label asks for

    @property
    def is_built(self) -> bool:
        """Whether the image is made here; else a registry has it."""
        return isinstance(self.source, BuildPlan) or self.features is not None

    @property
    def plan(self) -> BuildPlan | None:
        """The build, if all that goes into the image is known from it: then a prebuild can stand for it."""
        return self.source if isinstance(self.source, BuildPlan) and self.features is None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchImage:
    """The image in the engine. `name` says which for good: a reference by digest, or the id of what was built."""

    name: str
    metadata: ImageMetadata
    user: str
    from_prebuild: bool = False


class LaunchImages:
    """Obtains images for launches: proven, pulled or built, reviewed (L2, L4). `prebuilds` None: none is looked for."""

    def __init__(
        self,
        *,
        images: ImageAccess,
        builder: ImageBuilder,
        features: FeatureLayers,
        prebuilds: PrebuiltImages | None = None,
    ) -> None:
        self._images = images
        self._builder = builder
        self._features = features
        self._prebuilds = prebuilds

    async def read(
        self,
        codespace: Codespace,
        launched: LaunchSource,
        config: DevContainerConfig,
        commit: str,
        log: CreationLog,
        *,
        service: str = "",
    ) -> WantedImage:
        """Which images the configuration needs; no registry is asked. Raises LaunchFailed or a Problem.

        `service`: one beside the main one, that the image is for.
        """
        repository, allowances = launched.repository, launched.allowances
        features = self._features.read(codespace, launched, config, commit)
        also = () if features is None else features.images
        build = find_build(config.values, config.path)
        if build is None:
            image = _parse_image(config)
            asked = ImageRequest(image=image, user_id=codespace.owner_id, repository=repository, allowances=allowances)
            return WantedImage(images=(image, *also), source=asked, features=features, allowances=allowances)
        source = BuildSource(codespace=codespace, repository=repository, commit=commit, build=build, service=service)
        plan = await self._builder.read(source, log)
        return WantedImage(
            images=(*plan.dockerfile.images, *also), source=plan, features=features, allowances=allowances
        )

    async def obtain(
        self, wanted: WantedImage, registries: RegistryCredentials, log: CreationLog, *, afresh: bool = False
    ) -> LaunchImage:
        """`afresh`: as far as possible without what the engine holds already. Raises LaunchFailed or a Problem.

        Features are small, and fetched first: a right that is missing shows before an image is pulled.
        """
        if wanted.features is None:
            return await self._obtain_plain(wanted, registries, log, afresh=afresh)
        fetched = await self._features.fetch(wanted.features, registries, log)
        base = await self._obtain_base(wanted, registries, log, afresh=afresh, named=False)
        return _built(await self._features.add(base.name, fetched, log, afresh=afresh), wanted.allowances)

    async def _obtain_plain(
        self, wanted: WantedImage, registries: RegistryCredentials, log: CreationLog, *, afresh: bool
    ) -> LaunchImage:
        """From a prebuild, where there is one."""
        if self._prebuilds is None or wanted.plan is None or afresh:
            return await self._obtain_base(wanted, registries, log, afresh=afresh)
        found = await self._prebuilds.find(wanted.plan, registries, log)
        if not isinstance(found, FetchedImage):
            return await self._obtain_base(replace(wanted, source=found), registries, log, afresh=False)
        return LaunchImage(name=found.image.pull_name, metadata=found.metadata, user=found.user, from_prebuild=True)

    async def _obtain_base(
        self,
        wanted: WantedImage,
        registries: RegistryCredentials,
        log: CreationLog,
        *,
        afresh: bool,
        named: bool = True,
    ) -> LaunchImage:
        source = wanted.source
        if isinstance(source, BuildPlan):
            built = await self._builder.build(source, registries, log, afresh=afresh, named=named)
            return _built(built, wanted.allowances)
        fetched = await self._images.fetch(source, registries, log, afresh=afresh)
        return LaunchImage(name=fetched.image.pull_name, metadata=fetched.metadata, user=fetched.user)


def _built(local: LocalImage, allowances: Allowances) -> LaunchImage:
    return LaunchImage(name=local.image_id, metadata=review_image_metadata(local.labels, allowances), user=local.user)


def make_launch_images(
    *,
    store: Store,
    engine: Engine,
    git: GitRepositories,
    images: ImageAccess,
    builder: ImageBuilder,
    prebuilds: PrebuiltImages | None,
    machines: Machines,
    server_id: str,
    build_timeout_s: float = BUILD_TIMEOUT_S,
    feature_bytes: int = MAX_BYTES,
) -> LaunchImages:
    """All the ways to an image, put together."""
    sources = FeatureFetch(store=store, images=images, git=git, max_bytes=feature_bytes)
    features = FeatureLayers(
        engine=engine, git=git, sources=sources, machines=machines, server_id=server_id, timeout_s=build_timeout_s
    )
    return LaunchImages(images=images, builder=builder, features=features, prebuilds=prebuilds)


def _parse_image(config: DevContainerConfig) -> ImageReference:
    try:
        return parse_image_reference(config.image)
    except Invalid as problem:
        shown = f"'image' in devcontainer.json is '{config.image[:100]}'. {problem.message}"
        raise Invalid(shown, field=problem.field, code=problem.code, remedy=problem.remedy) from None
