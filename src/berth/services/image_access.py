"""The right to an image, proven before it is used (L2): asked for with the user's credential, pulled by digest, reviewed.

A token that AWS keys were swapped for, and that its registry does not take any more, is replaced by another one: once each time
that an image is asked for, and once in a pull (B3). What is refused after that is refused.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from berth.domain.allowance import NO_ALLOWANCES, Allowances
from berth.domain.dev_container import ImageMetadata, review_image_metadata
from berth.domain.finding import Finding
from berth.domain.image_reference import ImageReference
from berth.domain.problem import UpstreamFailed
from berth.domain.pull_finding import BY_CREDENTIAL, TOKEN_EXPIRED, explain_pull
from berth.domain.registry_credential import (
    Anonymous,
    CredentialKind,
    Failed,
    Found,
    NoCredential,
    RegistryCredential,
    RegistryCredentials,
)
from berth.domain.repository import Repository
from berth.services.creation_log import CreationLog
from berth.services.last_check import LastChecks
from berth.services.launch_credentials import mask_credential
from berth.services.launch_failure import LaunchFailed
from berth.services.package_refusal import PackageRefusals
from berth.services.ports import Engine, FetchedFeature, ImageRefused, LocalImage, RegistryClient, ResolvedImage
from berth.services.registry_credential_swap import RegistryCredentialSwap

_MAX_TOKEN_RENEWALS = 5

_Thing = TypeVar("_Thing", ResolvedImage, FetchedFeature)
_Ask = Callable[[RegistryCredential | Anonymous], Awaitable[_Thing | ImageRefused]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given(Generic[_Thing]):
    """What a registry gave, and the credential that it was given for: not the first one, where that was replaced."""

    thing: _Thing
    choice: Found | NoCredential
    registries: RegistryCredentials


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenImage:
    """The image, proven and pulled; nothing is known yet of what its label says."""

    image: ImageReference  # by digest
    local: LocalImage


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedImage:
    """The image, proven, pulled and reviewed."""

    image: ImageReference  # by digest
    metadata: ImageMetadata
    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRequest:
    """An image, for whom it is asked, and what is launched from it."""

    image: ImageReference
    user_id: int
    repository: Repository
    allowances: Allowances = NO_ALLOWANCES  # for what its label asks for


class ImageAccess:
    """Fetches images for launches. What the engine holds already proves nothing, and is only not transferred again."""

    def __init__(
        self,
        *,
        registry: RegistryClient,
        engine: Engine,
        refusals: PackageRefusals,
        swaps: RegistryCredentialSwap,
        last_checks: LastChecks,
    ) -> None:
        self._registry = registry
        self._engine = engine
        self._refusals = refusals
        self._swaps = swaps
        self._last_checks = last_checks

    async def fetch(
        self, request: ImageRequest, registries: RegistryCredentials, log: CreationLog, *, afresh: bool = False
    ) -> FetchedImage:
        """Prove the right to the image with this user's credential, pull it by digest, review its label (L2, L4).

        `afresh`: what the engine holds of it already is not used, unless a container or another image still needs it.
        """
        proven = await self.prove(request, registries, log, afresh=afresh)
        metadata = review_image_metadata(proven.local.labels, request.allowances)
        return FetchedImage(image=proven.image, metadata=metadata, user=proven.local.user)

    async def prove(
        self, request: ImageRequest, registries: RegistryCredentials, log: CreationLog, *, afresh: bool = False
    ) -> ProvenImage:
        """Prove the right to the image with this user's credential, and pull it by digest (L2). `afresh` is that of `fetch`."""
        await _tell(request.image, registries, log)
        given = await self._resolve(request, registries, log)
        pinned = given.thing.image
        if afresh:
            await self._engine.remove_image(pinned.pull_name)
        await log.phase(f"Pulling {request.image}")
        await self._pull(request, given, log)
        local = await self._engine.find_image(pinned.pull_name)
        if local is None:
            raise UpstreamFailed("The engine pulled the image but does not hold it.", code="image.pull_failed")
        return ProvenImage(image=pinned, local=local)

    async def fetch_feature(
        self, request: ImageRequest, registries: RegistryCredentials, log: CreationLog
    ) -> FetchedFeature:
        """A dev container Feature, with this user's credential (L1); no copy of it is kept (L2). Raises LaunchFailed."""
        await _tell(request.image, registries, log)
        given = await self._ask(request, registries, log, partial(self._registry.fetch_feature, request.image))
        return given.thing

    async def pin(self, request: ImageRequest, registries: RegistryCredentials, log: CreationLog) -> ImageReference:
        """Prove the right to the image with this user's credential, and pull nothing: the image by digest (L2)."""
        await _tell(request.image, registries, log)
        return (await self._resolve(request, registries, log)).thing.image

    async def _resolve(
        self, request: ImageRequest, registries: RegistryCredentials, log: CreationLog
    ) -> _Given[ResolvedImage]:
        architecture = await self._engine.architecture()
        return await self._ask(
            request, registries, log, lambda credential: self._registry.resolve(request.image, credential, architecture)
        )

    async def _ask(
        self, request: ImageRequest, registries: RegistryCredentials, log: CreationLog, ask: _Ask[_Thing]
    ) -> _Given[_Thing]:
        """With the credential for the image's host. Raises LaunchFailed: why not."""
        choice = _choose(request.image, registries)
        answer = await ask(choice.credential)
        if isinstance(answer, ImageRefused) and isinstance(choice, Found) and answer.finding.code == TOKEN_EXPIRED:
            renewed = await self._swaps.renew(registries, choice.credential)
            if renewed is not None:
                for credential in renewed.chosen.values():
                    mask_credential(credential, log)
                await log.output(
                    f"{request.image.host} does not take its token any more: AWS was asked for another one."
                )
                choice, registries = _choose(request.image, renewed), renewed
                answer = await ask(choice.credential)
        if isinstance(choice, Found):
            seen = answer.finding if isinstance(answer, ImageRefused) else answer.login_proof
            await self._last_checks.keep_pull(choice.credential, seen)
        if isinstance(answer, ImageRefused):
            raise await self._refusal(request, choice, answer.finding, partial(ask, Anonymous()))
        return _Given(thing=answer, choice=choice, registries=registries)

    async def _refusal(
        self,
        request: ImageRequest,
        choice: Found | NoCredential,
        finding: Finding,
        without: Callable[[], Awaitable[object]],
    ) -> LaunchFailed:
        """Why not. `without` asks for the same without a credential."""
        image = request.image
        open_to_anybody = False
        if isinstance(choice, Found):
            if finding.code == TOKEN_EXPIRED:
                self._swaps.forget(choice.credential)
            finding = await self._refusals.explain(
                finding, image, choice.credential, user_id=request.user_id, repository=request.repository
            )
        if isinstance(choice, Found) and finding.code in BY_CREDENTIAL:
            open_to_anybody = not isinstance(await without(), ImageRefused)
        return LaunchFailed(explain_pull(finding, choice, image, open_to_anybody=open_to_anybody))

    async def _pull(self, request: ImageRequest, given: _Given[ResolvedImage], log: CreationLog) -> None:
        """Pull; a token lives for minutes, so a pull that got somewhere with one goes on with the next.

        One that AWS ended since the image was resolved may have been the cause, too; that shows when it is asked for again.
        """
        image, most, renewals, swapped_anew = given.thing.image, 0, 0, False
        while True:
            done = 0
            # The engine sends a password wherever the registry tells it to: it gets one only if the registry itself has it.
            credential = given.choice.credential if given.thing.password_shown else Anonymous()
            try:
                async for progress in self._engine.pull(image, credential, given.thing.pull_token):
                    done = progress.layers_done
                    await log.progress(progress)
                return
            except UpstreamFailed as failure:
                got_on = given.thing.pull_token is not None and done > most
                swapped = _is_swapped(given.choice) and not swapped_anew
                if failure.code != "image.pull_failed" or not (got_on or swapped) or renewals == _MAX_TOKEN_RENEWALS:
                    raise
                before, given = given, await self._resolve(request, given.registries, log)
                swapped_anew |= given.choice != before.choice
                if not (got_on or swapped_anew):
                    raise  # the token was not the cause
            most, renewals = done, renewals + 1
            await log.output("The transfer broke off; it goes on with a new token.")
            if given.thing.image.digest != image.digest:
                raise UpstreamFailed(f"The registry now has another image as {image}.", code="image.pull_failed")


def _is_swapped(choice: Found | NoCredential) -> bool:
    return isinstance(choice, Found) and choice.credential.kind is CredentialKind.ECR


def _choose(image: ImageReference, registries: RegistryCredentials) -> Found | NoCredential:
    """The credential for the image's host. Raises LaunchFailed: *failed* is not *none* (C11)."""
    choice = registries.for_image(image)
    if isinstance(choice, Failed):
        raise LaunchFailed(choice.finding)
    return choice


async def _tell(image: ImageReference, registries: RegistryCredentials, log: CreationLog) -> None:
    if isinstance(_choose(image, registries), NoCredential):
        await log.output(f"No secrets name {image.host}: it is asked without a credential.")
