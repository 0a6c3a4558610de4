"""Fetches the Features of a launch, and what they depend on (L1, L2).

1. A published one is asked for with the launching user's credential for its registry, at every launch; nothing of it is kept.
   The first refusal ends the launch, so that no registry is asked twice with a wrong password.
2. What an organization's policies say of images they say of published Features (L6): each is code that runs as root in the
   image. It is asked before a registry is, also about what a Feature depends on.
3. One of the repository is what the commit holds. No link is followed.
"""

import asyncio
import posixpath
from collections import deque
from dataclasses import dataclass

from berth.adapters.store.database import Store
from berth.domain.allowance import Allowances
from berth.domain.codespace import Codespace
from berth.domain.dev_container import DevContainerConfig
from berth.domain.feature import MAX_FEATURES, FeatureRequest, Folder, Place, too_many
from berth.domain.feature_archive import MAX_FILES, read_feature_archive, refuse_archive, too_large
from berth.domain.feature_image import INSTALL_SCRIPT
from berth.domain.feature_metadata import METADATA_FILE, read_feature_metadata
from berth.domain.feature_order import Feature, Key, order_features
from berth.domain.finding import Finding, Fixer
from berth.domain.image_reference import ImageReference
from berth.domain.registry_credential import RegistryCredentials
from berth.domain.repository import Repository
from berth.services.codespace_policy import require_images
from berth.services.creation_log import CreationLog
from berth.services.image_access import ImageAccess, ImageRequest
from berth.services.launch_failure import LaunchFailed
from berth.services.ports import GitRepositories

MAX_BYTES = 64 * 1024 * 1024  # of all files of all Features of a launch: they are held in memory


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedFeatures:
    """What a configuration asks for, before anything is fetched."""

    codespace: Codespace
    repository: Repository
    commit: str
    config: DevContainerConfig
    allowances: Allowances
    requests: tuple[FeatureRequest, ...]
    first: tuple[str, ...]  # as overrideFeatureInstallOrder has it

    @property
    def images(self) -> tuple[ImageReference, ...]:
        """Those that a registry has."""
        return tuple(one.place for one in self.requests if isinstance(one.place, ImageReference))


@dataclass(frozen=True, slots=True)
class _Content:
    """What a place came to."""

    identity: str
    files: dict[str, bytes]


class FeatureFetch:
    """Holds no state."""

    def __init__(self, *, store: Store, images: ImageAccess, git: GitRepositories, max_bytes: int = MAX_BYTES) -> None:
        self._store = store
        self._images = images
        self._git = git
        self._max_bytes = max_bytes

    async def fetch(
        self, wanted: WantedFeatures, registries: RegistryCredentials, log: CreationLog
    ) -> tuple[Feature, ...]:
        """All of them, in the order of their installation. Raises LaunchFailed or a Problem."""
        await log.phase("Fetching Features")
        folder = posixpath.dirname(wanted.config.path)
        contents: dict[Place, _Content] = {}
        found: dict[Key, Feature] = {}
        waiting = deque(wanted.requests)
        while waiting:
            request = waiting.popleft()
            if request.place not in contents:
                left = self._max_bytes - sum(map(_size, contents.values()))
                contents[request.place] = await self._read(request, wanted, registries, log, left)
            content = contents[request.place]
            if (content.identity, request.options) in found:
                continue
            if len(found) == MAX_FEATURES:
                raise too_many()
            feature = Feature(
                request=request,
                identity=content.identity,
                files=content.files,
                metadata=read_feature_metadata(content.files[METADATA_FILE], request, folder, wanted.allowances),
            )
            found[feature.key] = feature
            waiting.extend(feature.metadata.depends_on)
        identities = {place: content.identity for place, content in contents.items()}
        return order_features(tuple(found.values()), identities, wanted.first)

    async def _read(
        self,
        request: FeatureRequest,
        wanted: WantedFeatures,
        registries: RegistryCredentials,
        log: CreationLog,
        left: int,
    ) -> _Content:
        place = request.place
        if isinstance(place, Folder):
            content = await self._read_folder(request, place, wanted, left)
        else:
            await require_images(self._store, wanted.repository, (place,))
            asked = ImageRequest(image=place, user_id=wanted.codespace.owner_id, repository=wanted.repository)
            fetched = await self._images.fetch_feature(asked, registries, log)
            files = await asyncio.to_thread(read_feature_archive, fetched.archive, request.source, left)
            content = _Content(str(fetched.feature.digest), files)
        for name in (METADATA_FILE, INSTALL_SCRIPT):
            if name not in content.files:
                refuse_archive(request.source, f"there is no {name}")
        await log.output(f"{request.name}: {content.identity}")
        return content

    async def _read_folder(self, request: FeatureRequest, place: Folder, wanted: WantedFeatures, left: int) -> _Content:
        repository = wanted.repository
        files = await self._git.list_tree(repository.id, wanted.commit, place.path)
        if files is None:
            raise LaunchFailed(
                Finding(
                    code="feature.missing",
                    sentence=f"{repository.full_name} has no folder {place.path} at {wanted.codespace.ref}"
                    f" ({wanted.commit[:12]}).",
                    fixer=Fixer.DEVELOPER,
                    next_step="A Feature's path is relative to devcontainer.json. Links are not followed.",
                )
            )
        if any(file.kind == "symlink" for file in files):
            refuse_archive(request.source, "there is a link among them")
        if len(files) > MAX_FILES:
            refuse_archive(request.source, f"there are more than {MAX_FILES}")
        if sum(file.size_bytes for file in files) > left:
            raise too_large(request.source, self._max_bytes)
        blobs = await self._git.read_blobs(repository.id, {file.sha for file in files})
        return _Content(place.path, {file.path: blobs[file.sha] for file in files})


def _size(content: _Content) -> int:
    return sum(map(len, content.files.values()))
