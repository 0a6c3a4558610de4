"""What a codespace may hold at one moment: variables, its own token, registry credentials, and what the log may say of them."""

import base64
from dataclasses import dataclass

from berth.domain.codespace import Codespace
from berth.domain.registry_credential import RegistryCredential, RegistryCredentials, add_codespace_token
from berth.domain.registry_triple import assemble, names_a_registry
from berth.domain.secret_text import SecretText
from berth.services.codespace_token import CodespaceToken, CodespaceTokens
from berth.services.creation_log import CreationLog
from berth.services.registry_credential_swap import RegistryCredentialSwap
from berth.services.secret import OpenedSecrets, SecretService

_FROM_FORK = (
    "This codespace shows a fork's pull request: it gets no secrets, no token and no registry credentials (S6). "
    "Public images only."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchCredentials:
    """Opened at one moment; opened again where time has passed."""

    opened: OpenedSecrets
    token: SecretText | None  # None: a stranger's code gets none
    registries: RegistryCredentials

    def mask(self, log: CreationLog) -> None:
        """From now on the log hides them, as they are and as a docker config holds them."""
        log.mask(secret.value for secret in self.opened.secrets if not names_a_registry(secret))
        log.mask(() if self.token is None else (self.token,))
        for credential in self.registries.chosen.values():
            mask_credential(credential, log)

    async def tell(self, log: CreationLog) -> None:
        """What they came to, without any value."""
        self.mask(log)
        if self.opened.withheld_reason:
            await log.output(self.opened.withheld_reason)
        for note in self.registries.trail:
            await log.output(note.text)


class CodespaceCredentials:
    """Opens the credentials of codespaces, and ends them."""

    def __init__(
        self, *, secrets: SecretService, tokens: CodespaceTokens, swaps: RegistryCredentialSwap, own_host: str
    ) -> None:
        """`own_host` is where the built-in registry answers, in its normal form."""
        self._secrets = secrets
        self._tokens = tokens
        self._swaps = swaps
        self._own_host = own_host

    async def open_for_image(self, codespace: Codespace, owner_login: str, repository_id: int) -> LaunchCredentials:
        """What its owner may have for this repository now (S3, S6), to open an image with.

        The token does not wait for a right to secrets: it opens what A7 says, which reading the repository is enough for.
        A fork's pull request is a stranger's code, whoever looks at it: nothing is put where that could read it.
        """
        if codespace.from_fork:
            return _nothing()
        token = await self._tokens.issue_for_image(codespace)
        return await self.open_with(codespace, owner_login, repository_id, token)

    async def open_for_container(self, codespace: Codespace, owner_login: str, repository_id: int) -> LaunchCredentials:
        """The same, to be put into its container.

        The token comes first: what changes after that makes a refresh due, what changed before is in the secrets.
        """
        if codespace.from_fork:
            return _nothing()
        token = await self._tokens.issue_for_container(codespace)
        return await self.open_with(codespace, owner_login, repository_id, token)

    async def open_with(
        self, codespace: Codespace, owner_login: str, repository_id: int, token: CodespaceToken
    ) -> LaunchCredentials:
        """The same with a token that there is."""
        opened = await self._secrets.open_for_codespace(codespace.owner_id, repository_id)
        triples = assemble(opened.secrets, withheld_reason=opened.withheld_reason)
        swapped = await self._swaps.swap(triples, opened.owners)
        registries = add_codespace_token(
            swapped, host=self._own_host, login=owner_login, token=token.value, expires_at=token.expires_at
        )
        return LaunchCredentials(opened=opened, token=token.value, registries=registries)

    async def void(self, codespace: Codespace) -> None:
        """Its tokens are good for nothing from now on. May be repeated."""
        await self._tokens.void(codespace)


def mask_credential(credential: RegistryCredential, log: CreationLog) -> None:
    """From now on the log hides its password, as it is and as a docker config holds it."""
    pair = f"{credential.user}:{credential.password.reveal()}".encode()
    log.mask((credential.password, SecretText(base64.b64encode(pair).decode())))


def _nothing() -> LaunchCredentials:
    opened = OpenedSecrets(secrets=(), withheld_reason=_FROM_FORK)
    return LaunchCredentials(opened=opened, token=None, registries=assemble((), withheld_reason=_FROM_FORK))
