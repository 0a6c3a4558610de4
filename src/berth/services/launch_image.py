"""The image that a codespace's container is made from: the one that its configuration names, or one that is built for it."""

from dataclasses import dataclass

from berth.domain.codespace import Codespace
from berth.domain.dev_container import DevContainerConfig, ImageMetadata, review_image_metadata
from berth.domain.dev_container_build import find_build
from berth.domain.image_reference import ImageReference, parse_image_reference
from berth.domain.problem import Invalid
from berth.domain.registry_credential import RegistryCredentials
from berth.domain.repository import Repository
from berth.services.creation_log import CreationLog
from berth.services.image_access import ImageAccess, ImageRequest
from berth.services.image_build import BuildPlan, BuildSource, ImageBuilder


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedImage:
    """What a launch is to run, before any registry is asked for it."""

    images: tuple[ImageReference, ...]  # all that have to be proven
    source: ImageRequest | BuildPlan

    @property
    def is_built(self) -> bool:
        """Whether the image is made here; else a registry has it."""
        return isinstance(self.source, BuildPlan)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchImage:
    """The image in the engine. `name` says which for good: a reference by digest, or the id of what was built."""

    name: str
    metadata: ImageMetadata
    user: str


class LaunchImages:
    """Obtains images for launches: proven, pulled or built, reviewed (L2, L4)."""

    def __init__(self, *, images: ImageAccess, builder: ImageBuilder) -> None:
        self._images = images
        self._builder = builder

    async def read(
        self, codespace: Codespace, repository: Repository, config: DevContainerConfig, commit: str, log: CreationLog
    ) -> WantedImage:
        """Which images the configuration needs; no registry is asked. Raises LaunchFailed or a Problem."""
        build = find_build(config.values, config.path)
        if build is None:
            image = _parse_image(config)
            asked = ImageRequest(image=image, user_id=codespace.owner_id, repository=repository)
            return WantedImage(images=(image,), source=asked)
        source = BuildSource(codespace=codespace, repository=repository, commit=commit, build=build)
        plan = await self._builder.read(source, log)
        return WantedImage(images=tuple(plan.dockerfile.images), source=plan)

    async def obtain(
        self, wanted: WantedImage, registries: RegistryCredentials, log: CreationLog, *, afresh: bool = False
    ) -> LaunchImage:
        """`afresh`: as far as possible without what the engine holds already. Raises LaunchFailed or a Problem."""
        if isinstance(wanted.source, BuildPlan):
            local = await self._builder.build(wanted.source, registries, log, afresh=afresh)
            return LaunchImage(name=local.image_id, metadata=review_image_metadata(local.labels), user=local.user)
        fetched = await self._images.fetch(wanted.source, registries, log, afresh=afresh)
        return LaunchImage(name=fetched.image.pull_name, metadata=fetched.metadata, user=fetched.user)


def _parse_image(config: DevContainerConfig) -> ImageReference:
    try:
        return parse_image_reference(config.image)
    except Invalid as problem:
        shown = f"'image' in devcontainer.json is '{config.image[:100]}'. {problem.message}"
        raise Invalid(shown, field=problem.field, code=problem.code, remedy=problem.remedy) from None
