"""What the owner's secrets come to in one launch: variables, registry credentials, and what the log may say of them."""

import base64
from dataclasses import dataclass

from berth.domain.registry_credential import RegistryCredentials, assemble, names_a_registry
from berth.domain.secret_text import SecretText
from berth.services.creation_log import CreationLog
from berth.services.secret import OpenedSecrets, SecretService


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchCredentials:
    """Opened at one moment; opened again where time has passed."""

    opened: OpenedSecrets
    registries: RegistryCredentials

    def mask(self, log: CreationLog) -> None:
        """From now on the log hides them, as they are and as a docker config holds them."""
        log.mask(secret.value for secret in self.opened.secrets if not names_a_registry(secret))
        for credential in self.registries.chosen.values():
            pair = f"{credential.user}:{credential.password.reveal()}".encode()
            log.mask((credential.password, SecretText(base64.b64encode(pair).decode())))

    async def tell(self, log: CreationLog) -> None:
        """What they came to, without any value."""
        self.mask(log)
        if self.opened.withheld_reason:
            await log.output(self.opened.withheld_reason)
        for note in self.registries.trail:
            await log.output(note.text)


async def open_credentials(secrets: SecretService, owner_id: int, repository_id: int) -> LaunchCredentials:
    """What the owner may have for this repository now (S3, S6)."""
    opened = await secrets.open_for_codespace(owner_id, repository_id)
    return LaunchCredentials(opened=opened, registries=assemble(opened.secrets))
