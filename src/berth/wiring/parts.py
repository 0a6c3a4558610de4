"""The parts that everything else is made of: the adapters, and the services that others stand on."""

import logging
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from berth.adapters.blobs import open_blob_store
from berth.adapters.clock_system import SystemClock
from berth.adapters.engine_docker import DockerEngine
from berth.adapters.entropy_system import SystemEntropy
from berth.adapters.git_repositories import BareGitRepositories
from berth.adapters.store.database import Store
from berth.domain.problem import LimitReached, UpstreamFailed
from berth.domain.registry_host import WebAddress, parse_web_address
from berth.local import data_dir, make_sealer, open_store, own_origin
from berth.outgoing import make_ecr_client, make_identity_provider
from berth.services.access_token import AccessTokenService
from berth.services.codespace_exec import CodespaceExec
from berth.services.codespace_install import CodespaceInstaller
from berth.services.codespace_token import CodespaceTokens
from berth.services.credential_refresh import ask_for_refresh
from berth.services.last_check import LastChecks
from berth.services.launch_credentials import CodespaceCredentials
from berth.services.ports import BlobStore, EcrAPI, IdentityProvider, Sealer
from berth.services.registry_credential_swap import RegistryCredentialSwap
from berth.services.secret import SecretService
from berth.settings import Settings

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The adapters, and the services that others stand on."""

    settings: Settings
    origin: str  # what codespaces call us by
    data: Path
    clock: SystemClock
    entropy: SystemEntropy
    store: Store
    engine: DockerEngine
    git: BareGitRepositories
    blobs: BlobStore
    sealer: Sealer
    secrets: SecretService
    tokens: AccessTokenService
    ecr: EcrAPI
    swaps: RegistryCredentialSwap
    last_checks: LastChecks
    executor: CodespaceExec
    installer: CodespaceInstaller
    codespace_tokens: CodespaceTokens
    identity_provider: IdentityProvider | None

    @property
    def own(self) -> WebAddress:
        return parse_web_address(self.origin)

    @property
    def codespace_credentials(self) -> CodespaceCredentials:
        return CodespaceCredentials(
            secrets=self.secrets, tokens=self.codespace_tokens, swaps=self.swaps, own_host=self.own.host
        )


async def make_parts(settings: Settings, resources: AsyncExitStack) -> Parts:
    data = data_dir(settings)
    clock, entropy = SystemClock(), SystemEntropy()
    store = open_store(settings)
    resources.push_async_callback(store.close)
    blobs = await resources.enter_async_context(open_blob_store(settings.blobs or data / "blobs"))
    engine = DockerEngine(settings.docker_host)
    executor = CodespaceExec(engine)
    resources.push_async_callback(executor.close)
    ecr = make_ecr_client(settings, clock, resources)
    sealer = make_sealer(settings)
    last_checks = LastChecks(store=store, clock=clock)
    swaps = RegistryCredentialSwap(
        ecr=ecr,
        clock=clock,
        entropy=entropy,
        replaced=partial(ask_for_refresh, store),
        asked=last_checks.keep_swap,
    )
    resources.push_async_callback(swaps.close)
    tokens = AccessTokenService(store=store, clock=clock, entropy=entropy)
    return Parts(
        settings=settings,
        origin=settings.external_url or own_origin(settings),
        data=data,
        clock=clock,
        entropy=entropy,
        store=store,
        engine=engine,
        git=BareGitRepositories(data / "repositories"),
        blobs=blobs,
        sealer=sealer,
        secrets=SecretService(store=store, sealer=sealer, clock=clock),
        tokens=tokens,
        ecr=ecr,
        swaps=swaps,
        last_checks=last_checks,
        executor=executor,
        installer=CodespaceInstaller(engine),
        codespace_tokens=CodespaceTokens(
            store=store, access=tokens, clock=clock, entropy=entropy, life_s=settings.codespace_token_ttl_s
        ),
        identity_provider=make_identity_provider(settings, clock, resources),
    )


async def claim_blobs(blobs: BlobStore, server_id: str) -> None:
    """Raises Invalid where the store is another installation's. It may come up later than we do: collection asks again."""
    try:
        await blobs.claim(server_id)
    except (UpstreamFailed, LimitReached) as problem:
        _LOG.warning("blob.not_claimed", extra={"code": problem.code, "reason": problem.message})
