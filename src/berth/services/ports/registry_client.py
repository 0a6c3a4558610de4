"""Other registries, asked on a user's behalf."""

from dataclasses import dataclass
from typing import Protocol

from berth.domain.finding import Finding
from berth.domain.image_reference import ImageReference
from berth.domain.login_exchange import LoginProof
from berth.domain.registry_credential import Anonymous, RegistryCredential
from berth.domain.secret_text import SecretText


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedImage:
    """What the registry answered for one reference with one credential: the right to it is proven (L2)."""

    image: ImageReference  # with the digest of the engine's platform set
    media_type: str
    size_bytes: int
    pull_token: SecretText | None  # what a token service gave for this image; it lives for minutes
    password_shown: bool  # to the registry itself, which wants Basic: an engine tells it nothing new
    login_proof: LoginProof | None = None  # what it shows of the login; None: nothing, or there was none


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedFeature:
    """A dev container Feature that the registry gave for this credential (L1)."""

    feature: ImageReference  # with the digest of its manifest
    archive: bytes  # a tar, maybe compressed; its digest is the manifest's word
    login_proof: LoginProof | None = None  # as an image's


@dataclass(frozen=True, slots=True)
class ImageRefused:
    """The registry did not give it, or could not be asked. Never means "anonymous" (C11)."""

    finding: Finding


class RegistryClient(Protocol):
    """Asks other registries, under C7 (who gets a credential) and C9 (which addresses may be reached)."""

    async def resolve(
        self, image: ImageReference, credential: RegistryCredential | Anonymous, architecture: str
    ) -> ResolvedImage | ImageRefused:
        """Get manifest and configuration, for linux and that architecture, with this credential, and check their digests.

        One login attempt at most. Bounded in time and size. Never raises.
        """
        ...

    async def fetch_feature(
        self, feature: ImageReference, credential: RegistryCredential | Anonymous
    ) -> FetchedFeature | ImageRefused:
        """Get a Feature with this credential, and check its digests. Like `resolve` in all else."""
        ...

    async def check_login(self, credential: RegistryCredential) -> LoginProof | Finding:
        """Whether the registry takes the credential, and what that is worth. One login attempt at most. Never raises."""
        ...
