"""Use case: what is wrong with an image for somebody who has no server. The same probes and rules as `doctor.py`.

The triples are those of his environment. There is no organization, no built-in registry, and nobody else to mend anything.
"""

from dataclasses import replace

from berth.domain.doctor import Diagnosis, diagnose
from berth.domain.image_reference import ImageReference
from berth.domain.lone_finding import for_one_alone
from berth.domain.registry_credential import RegistryCredentials
from berth.services.image_probe import ImageProbe, Known, Patience
from berth.services.ports import Engine, RegistryClient
from berth.services.registry_credential_swap import RegistryCredentialSwap


class LoneDoctor:
    """Examines images for the one who runs it."""

    def __init__(
        self,
        *,
        registry: RegistryClient,
        engine: Engine,
        swaps: RegistryCredentialSwap,
        patience: Patience | None = None,
    ) -> None:
        self._probe = ImageProbe(registry=registry, engine=engine, swaps=swaps, patience=patience)

    async def examine(self, image: ImageReference, credentials: RegistryCredentials) -> Diagnosis:
        """`credentials` are assembled, and not yet swapped. Never raises."""
        opened = self._probe.swap(credentials, {}, image)
        facts = await self._probe.gather(
            Known(image=image, is_alone=True),
            opened,
            lambda credential, architecture: self._probe.ask(image, credential, architecture),
        )
        diagnosis = diagnose(facts)
        finding = diagnosis.finding
        return diagnosis if finding is None else replace(diagnosis, finding=for_one_alone(finding))
