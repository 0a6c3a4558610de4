"""Installs Features upon an image of the engine, by the engine's own builder (L1, L4, L7).

1. It takes any image that the engine holds and that was proven or built for this launch, by digest or id, and gives back one with
   the Features: its label has what they say of themselves, and is reviewed by whoever uses it.
2. No credential and no secret enters the build (S7). What install.sh may reach is the engine's default network.
3. The image carries the name and the labels of any built image, so it goes with its codespace.
"""

from dataclasses import dataclass, replace

from berth.domain.codespace import Codespace
from berth.domain.dev_container import METADATA_LABEL, DevContainerConfig, review_image_metadata
from berth.domain.feature import find_features, find_install_order
from berth.domain.feature_image import DOCKERFILE, feature_context, find_failed, find_users, metadata_label
from berth.domain.feature_order import Feature
from berth.domain.finding import Finding, Fixer
from berth.domain.image_build import build_labels, built_image_name
from berth.domain.machine import Machines
from berth.domain.problem import Invalid, UpstreamFailed
from berth.domain.registry_credential import RegistryCredentials
from berth.services.creation_log import CreationLog
from berth.services.engine_build import BUILD_TIMEOUT_S, BuildFailed, run_build
from berth.services.feature_fetch import FeatureFetch, WantedFeatures
from berth.services.launch_failure import LaunchFailed
from berth.services.launch_source import LaunchSource
from berth.services.ports import Engine, GitRepositories, ImageBuild, LocalImage


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedFeatures:
    """Features that are there, in the order of their installation."""

    wanted: WantedFeatures
    features: tuple[Feature, ...]


class FeatureLayers:
    """Fetches Features, and builds with them. Holds no state."""

    def __init__(
        self,
        *,
        engine: Engine,
        git: GitRepositories,
        sources: FeatureFetch,
        machines: Machines,
        server_id: str,
        timeout_s: float = BUILD_TIMEOUT_S,
    ) -> None:
        self._engine = engine
        self._git = git
        self._sources = sources
        self._machines = machines
        self._server_id = server_id
        self._timeout_s = timeout_s

    def read(
        self, codespace: Codespace, launched: LaunchSource, config: DevContainerConfig, commit: str
    ) -> WantedFeatures | None:
        """What the configuration asks for; None for nothing. No registry is asked. Raises Invalid, LimitReached."""
        requests = find_features(config.values, config.path)
        if not requests:
            return None
        return WantedFeatures(
            codespace=codespace,
            repository=launched.repository,
            commit=commit,
            config=config,
            allowances=launched.allowances,
            requests=requests,
            first=find_install_order(config.values, config.path),
        )

    async def fetch(self, wanted: WantedFeatures, registries: RegistryCredentials, log: CreationLog) -> FetchedFeatures:
        """All of them, with the rights of this user (L2). Raises LaunchFailed or a Problem."""
        return FetchedFeatures(wanted=wanted, features=await self._sources.fetch(wanted, registries, log))

    async def add(self, base: str, fetched: FetchedFeatures, log: CreationLog, *, afresh: bool = False) -> LocalImage:
        """The image `base`, a digest or an id, with the Features; `afresh`: each is installed again.

        Raises LaunchFailed or a Problem. What was built for the codespace before keeps its name until this is there.
        """
        wanted, features = fetched.wanted, fetched.features
        local = await self._find(base)
        metadata = review_image_metadata(local.labels)
        users = find_users(metadata, wanted.config, local.user)
        mine = build_labels(self._server_id, wanted.codespace)
        files, notes = feature_context(base, local.user, features, users, mine)
        for note in notes:
            await log.output(note)
        machine = self._machines.resolve(wanted.codespace.machine)
        request = ImageBuild(
            name=built_image_name(wanted.codespace.name),
            dockerfile=DOCKERFILE,
            arguments={},
            labels={**mine, METADATA_LABEL: metadata_label(metadata, features)},
            cpus=machine.cpus,
            memory_bytes=machine.memory_bytes,
            cached=not afresh,
        )
        await log.phase(f"Installing {', '.join(feature.request.name for feature in features)}")
        at = (await self._git.get_commit(wanted.repository.id, wanted.commit)).committer.at
        context = self._git.archive(wanted.repository.id, (), files, modified_at=at)
        ended = await run_build(self._engine, request, context, log, timeout_s=self._timeout_s)
        if isinstance(ended, BuildFailed):
            raise LaunchFailed(_failed(ended, features))
        return ended

    async def _find(self, base: str) -> LocalImage:
        local = await self._engine.find_image(base)
        if local is None:
            raise UpstreamFailed("The engine does not hold the image for the Features any more.", code="engine.failed")
        if local.triggers:
            raise Invalid(
                "The image has ONBUILD steps, which would run before the Features, unread.",
                field="devcontainer_path",
                code="feature.base_image",
                remedy="Use an image without ONBUILD.",
            )
        return local


def _failed(ended: BuildFailed, features: tuple[Feature, ...]) -> Finding:
    feature = find_failed(ended.step, features)
    if feature is None:
        return replace(
            ended.finding(), next_step="Read the output above; the engine could not build with the Features."
        )
    return Finding(
        code="feature.install_failed",
        sentence=f"install.sh of {feature.request.source} failed: {ended.reason}.",
        fixer=Fixer.DEVELOPER,
        next_step="Read its output above: does the Feature fit this image, its options, and what the engine may reach?",
        evidence={"feature": feature.request.name, **ended.evidence},
    )
