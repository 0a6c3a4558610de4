"""What a handler works with: the request, who asks, the package's name, and what stands behind it in the path."""

from dataclasses import dataclass

from berth.domain.image_reference import Digest, parse_digest
from berth.domain.package import PackageName, is_tag
from berth.domain.problem import NotFound
from berth.oci.exchange import OCIRequest
from berth.services.registry_access import Caller, RegistryAccess
from berth.services.registry_blob import RegistryBlobService
from berth.services.registry_catalog import RegistryCatalogService
from berth.services.registry_manifest import RegistryManifestService
from berth.services.registry_token import RegistryTokenService


@dataclass(frozen=True, slots=True, kw_only=True)
class OCIServices:
    """What the edge calls and nothing below it."""

    tokens: RegistryTokenService
    access: RegistryAccess
    manifests: RegistryManifestService
    blobs: RegistryBlobService
    catalog: RegistryCatalogService


class OCICall:
    """One authenticated request below a package's name."""

    __slots__ = ("caller", "name", "reference", "request", "services")

    def __init__(
        self, request: OCIRequest, services: OCIServices, caller: Caller, name: PackageName, reference: str
    ) -> None:
        self.request = request
        self.services = services
        self.caller = caller
        self.name = name
        self.reference = reference

    def digest(self) -> Digest:
        """The path's digest. Raises Invalid."""
        return parse_digest(self.reference)

    def tag_or_digest(self) -> str | Digest:
        """The path's tag or digest: what holds a colon is a digest. Raises Invalid, NotFound for what no tag can be."""
        reference = self.new_tag_or_digest()
        if isinstance(reference, str) and not is_tag(reference):
            raise NotFound("There is no such manifest in this package.", code="manifest.unknown")
        return reference

    def new_tag_or_digest(self) -> str | Digest:
        """The same for a push, where what no tag can be is for the service to refuse. Raises Invalid for a digest."""
        return parse_digest(self.reference) if ":" in self.reference else self.reference

    def path(self, kind: str, reference: object) -> str:
        """The path of something else in this package."""
        return f"/v2/{self.name}/{kind}/{reference}"
