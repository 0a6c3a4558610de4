"""What a prebuild may be made with: triples of the repository and the organization, and a token of the repository.

1. A user's secrets are never opened for it, also not those of the administrator who configured it.
2. The built-in registry is opened by a workflow token of the repository (A8): it pulls the images that the build needs,
   and publishes the version. It is in nobody's hands but this process's, and void when the run ends.
3. A public repository's prebuild is public: it is made without any credential, of what anybody may pull.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from berth.adapters.store import access_token as rows
from berth.adapters.store.database import Store
from berth.domain.access_token import TokenKind, make_token
from berth.domain.prebuild import Prebuild
from berth.domain.registry_credential import add_codespace_token
from berth.domain.registry_triple import assemble
from berth.domain.repository import Repository, Visibility
from berth.domain.secret import SecretLevel
from berth.domain.secret_text import SecretText
from berth.domain.workflow_permissions import WorkflowPermission, WorkflowPermissions
from berth.services.launch_credentials import LaunchCredentials
from berth.services.ports import Clock, Entropy
from berth.services.registry_credential_swap import RegistryCredentialSwap
from berth.services.secret import OpenedSecrets, SecretService

_LIFETIME = timedelta(hours=6)  # longer than a run may take
_LEVELS = (SecretLevel.REPOSITORY, SecretLevel.ORGANIZATION)
_PUBLIC = "The repository is public, and so is its prebuild: images are asked for without a credential."


@dataclass(frozen=True, slots=True, kw_only=True)
class PrebuildCredentials:
    """Opened for one run: what it may pull with, and the token that it publishes with."""

    launch: LaunchCredentials
    token: SecretText


class PrebuildCredentialService:
    """Opens the credentials of prebuilds, and ends them. `own_host` is where the built-in registry answers."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        entropy: Entropy,
        secrets: SecretService,
        swaps: RegistryCredentialSwap,
        own_host: str,
    ) -> None:
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._secrets = secrets
        self._swaps = swaps
        self._own_host = own_host

    @asynccontextmanager
    async def opened(
        self, prebuild: Prebuild, repository: Repository, creator_login: str
    ) -> AsyncIterator[PrebuildCredentials]:
        """For the length of the block, with a token of its own; older ones are void."""
        value, token_id = await self._issue(prebuild)
        try:
            launch = await self._open(prebuild, repository, creator_login, value)
            yield PrebuildCredentials(launch=launch, token=value)
        finally:
            async with self._store.begin() as connection:
                await rows.delete_workflow_token(connection, token_id)

    async def _open(
        self, prebuild: Prebuild, repository: Repository, creator_login: str, token: SecretText
    ) -> LaunchCredentials:
        if repository.visibility is Visibility.PUBLIC:
            nothing = OpenedSecrets(secrets=(), withheld_reason=_PUBLIC)
            return LaunchCredentials(opened=nothing, token=token, registries=assemble((), withheld_reason=_PUBLIC))
        opened = await self._secrets.open_for_codespace(prebuild.creator_id, repository.id, _LEVELS)
        triples = assemble(opened.secrets, withheld_reason=opened.withheld_reason)
        swapped = await self._swaps.swap(triples, opened.owners)
        registries = add_codespace_token(swapped, host=self._own_host, login=creator_login, token=token)
        return LaunchCredentials(opened=opened, token=token, registries=registries)

    async def void(self, prebuild: Prebuild) -> None:
        """Whatever runs left behind is good for nothing from now on. May be repeated."""
        async with self._store.begin() as connection:
            await rows.delete_noted_workflow_tokens(connection, prebuild.repository_id, prebuild.name)

    async def _issue(self, prebuild: Prebuild) -> tuple[SecretText, int]:
        value = make_token(TokenKind.WORKFLOW, self._entropy.token_bytes(32))
        now = self._clock.now()
        async with self._store.begin() as connection:
            await rows.delete_noted_workflow_tokens(connection, prebuild.repository_id, prebuild.name)
            token = await rows.insert_token(
                connection,
                value,
                kind=TokenKind.WORKFLOW,
                account_id=prebuild.creator_id,
                note=prebuild.name,
                scopes=frozenset(),
                now=now,
                expires_at=now + _LIFETIME,
                repository_id=prebuild.repository_id,
                permissions=WorkflowPermissions(packages=WorkflowPermission.WRITE),
            )
        return value, token.id
