"""The real application on a store of its own, spoken to in this process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx
from starlette.applications import Starlette
from starlette.types import ASGIApp
from tests.codespace_world import LONGEST
from tests.fakes.ecr_memory import FakeEcrAPI, make_swaps
from tests.fakes.engine import FakeEngine
from tests.fakes.registry_client import FakeRegistryClient
from tests.rest.schema import check_response

from berth.adapters.blobs_directory import DirectoryBlobStore
from berth.adapters.clock_system import SystemClock
from berth.adapters.disk_folder import FolderDisk
from berth.adapters.entropy_system import SystemEntropy
from berth.adapters.git_http_backend import GitHTTPBackend
from berth.adapters.git_repositories import BareGitRepositories
from berth.adapters.password_argon2 import Argon2Passwords
from berth.adapters.sealer import Sealer
from berth.adapters.store.database import Store
from berth.domain.host_option import parse_host_options
from berth.domain.identity import UnknownIdentity
from berth.domain.machine import Machines
from berth.git.app import make_git_app
from berth.rest.app import make_rest_app
from berth.rest.routes import ROUTES
from berth.services.access_token import AccessTokenService
from berth.services.account import AccountService
from berth.services.audit import AuditService
from berth.services.caller import CallerService
from berth.services.codespace import CodespaceService
from berth.services.codespace_access import CodespaceAccessService
from berth.services.codespace_activity import CodespaceActivity
from berth.services.codespace_export import CodespaceExportService
from berth.services.codespace_log import CodespaceLogService
from berth.services.codespace_policy import CodespacePolicyService
from berth.services.codespace_request import CodespaceLimits
from berth.services.codespace_session import CodespaceSessionService
from berth.services.contents import ContentsService
from berth.services.dev_container import DevContainerService
from berth.services.doctor import DoctorService
from berth.services.fork import ForkService
from berth.services.former_name import FormerNameService
from berth.services.identity import IdentityService
from berth.services.image_probe import ImageProbe
from berth.services.last_check import LastChecks
from berth.services.notification import NotificationService
from berth.services.organization_codespace import OrganizationCodespaceService
from berth.services.package import PackageService
from berth.services.package_content import PackageContentService
from berth.services.package_explanation import PackageExplanationService
from berth.services.package_grant import PackageGrantService
from berth.services.package_policy import PackagePolicyService
from berth.services.package_refusal import PackageRefusals
from berth.services.package_repository import PackageRepositoryService
from berth.services.package_settings import PackageSettingsService
from berth.services.package_version import PackageVersionService
from berth.services.password import PasswordService
from berth.services.ports import IdentityProvider
from berth.services.prebuild import PrebuildService
from berth.services.pull_request import PullRequestService
from berth.services.registry_check import RegistryCheckService
from berth.services.registry_credential import RegistryCredentialService
from berth.services.registry_login import RegistryLogins
from berth.services.registry_triple import RegistryTripleService
from berth.services.repository import RepositoryService
from berth.services.repository_transfer import RepositoryTransferService
from berth.services.secret import SecretService
from berth.services.secret_group import SecretGroupService
from berth.services.services import Services
from berth.services.session import SessionService
from berth.services.site import SiteService
from berth.services.suspension import SuspensionService
from berth.services.team import TeamService
from berth.services.workflow_token import WorkflowTokenService

OWN_HOST = "berth.test"  # of the built-in registry
SITE_OPTIONS = parse_host_options(["privileged", "capability:SYS_PTRACE"])  # what policies may allow of their host


@dataclass
class Berth:
    """A server without sockets. `admin` is the site administrator's client; `user` makes others.

    Every answer is checked against the description; `seen` holds what was called, and its status.
    """

    store: Store
    services: Services
    rest: Starlette
    git: ASGIApp
    repositories: BareGitRepositories
    admin: httpx.AsyncClient
    admin_token: str
    registry: FakeRegistryClient  # where logins are tried
    seen: list[tuple[tuple[str, str], int]] = field(default_factory=list)

    def client(self, token: str | None) -> httpx.AsyncClient:
        headers = {} if token is None else {"Authorization": f"token {token}"}
        transport = httpx.ASGITransport(app=self.rest)
        hooks = {"response": [self._check]}
        return httpx.AsyncClient(
            transport=transport, base_url="http://api.berth.test", headers=headers, event_hooks=hooks
        )

    async def _check(self, response: httpx.Response) -> None:
        await response.aread()
        operation = check_response(response)
        if operation is not None:
            self.seen.append((operation, response.status_code))

    @property
    def anonymous(self) -> httpx.AsyncClient:
        return self.client(None)

    async def token(self, login: str, *scopes: str) -> str:
        answer = await self.admin.post(f"/admin/users/{login}/authorizations", json={"scopes": list(scopes)})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["token"])

    async def user(self, login: str, *scopes: str) -> httpx.AsyncClient:
        """A new user's client, with everything a user can have unless scopes are named."""
        answer = await self.admin.post("/admin/users", json={"login": login, "email": f"{login}@example.com"})
        assert answer.status_code == 201, answer.text
        wanted = scopes or ("repo", "delete_repo", "user", "admin:org", "codespace", "write:packages")
        return self.client(await self.token(login, *wanted))

    async def organization(self, login: str, owner: str) -> dict[str, Any]:
        answer = await self.admin.post("/admin/organizations", json={"login": login, "admin": owner})
        assert answer.status_code == 201, answer.text
        return cast("dict[str, Any]", answer.json())


@asynccontextmanager
async def make_berth(
    folder: Path,
    store: Store,
    *,
    provider: IdentityProvider | None = None,
    unknown: frozenset[UnknownIdentity] = frozenset(),
    machines: Machines | None = None,
) -> AsyncIterator[Berth]:
    clock, entropy, blobs = SystemClock(), SystemEntropy(), DirectoryBlobStore(folder / "blobs")
    git = BareGitRepositories(folder / "repositories")
    repositories = RepositoryService(store=store, clock=clock, git=git)
    tokens = AccessTokenService(store=store, clock=clock, entropy=entropy)
    sealer = Sealer(folder / "key", clock)
    secrets = SecretService(store=store, sealer=sealer, clock=clock)
    activity = CodespaceActivity(store=store, clock=clock)
    codespaces = CodespaceService(
        store=store,
        clock=clock,
        entropy=entropy,
        git=git,
        executor=cast("Any", None),  # there is no engine here
        activity=activity,
        limits=CodespaceLimits(per_user=10, idle_timeout_minutes=30, retention_minutes=60, longest=LONGEST),
        machines=machines or Machines(),
        wake=lambda: None,
    )
    swaps = make_swaps(FakeEcrAPI(), clock)
    hasher = Argon2Passwords()
    sessions = SessionService(store=store, clock=clock, entropy=entropy, hasher=hasher)
    callers = CallerService(clock=clock, tokens=tokens, sessions=sessions)
    registry_credentials = RegistryCredentialService(store=store, secrets=secrets, swaps=swaps, own_host=OWN_HOST)
    registry = FakeRegistryClient()
    probe = ImageProbe(registry=registry, engine=FakeEngine(), swaps=swaps)
    groups = SecretGroupService(store=store, secrets=secrets)
    checks = RegistryCheckService(
        store=store,
        clock=clock,
        sealer=sealer,
        logins=RegistryLogins(registry=registry, probe=probe, ecr=FakeEcrAPI(), clock=clock),
    )
    services = Services(
        accounts=AccountService(store=store, clock=clock),
        suspensions=SuspensionService(store=store, clock=clock, wake=lambda: None),
        teams=TeamService(store=store, clock=clock),
        repositories=repositories,
        repository_transfers=RepositoryTransferService(store=store, clock=clock),
        forks=ForkService(store=store, clock=clock, git=git),
        pull_requests=PullRequestService(store=store, clock=clock, git=git),
        former_names=FormerNameService(store=store),
        contents=ContentsService(store=store, clock=clock, git=git, repositories=repositories),
        access_tokens=tokens,
        workflow_tokens=WorkflowTokenService(store=store, clock=clock, entropy=entropy),
        sessions=sessions,
        passwords=PasswordService(store=store, clock=clock, entropy=entropy, hasher=hasher, sessions=sessions),
        identities=IdentityService(
            store=store, clock=clock, entropy=entropy, sessions=sessions, provider=provider, unknown=unknown
        ),
        notifications=NotificationService(store=store, clock=clock),
        secrets=secrets,
        secret_groups=groups,
        registry_credentials=registry_credentials,
        registry_checks=checks,
        registry_triples=RegistryTripleService(
            secrets=secrets,
            groups=groups,
            checks=checks,
            swaps=swaps,
            last_checks=LastChecks(store=store, clock=clock),
            own_host=OWN_HOST,
        ),
        doctor=DoctorService(
            store=store,
            clock=clock,
            probe=probe,
            credentials=registry_credentials,
            refusals=PackageRefusals(store=store, tokens=tokens, own_host=OWN_HOST),
            own_host=OWN_HOST,
        ),
        codespaces=codespaces,
        codespace_activity=activity,
        codespace_access=CodespaceAccessService(store=store, clock=clock),
        codespace_exports=CodespaceExportService(
            store=store, clock=clock, git=git, codespaces=codespaces, wake=lambda: None
        ),
        codespace_logs=CodespaceLogService(codespaces=codespaces, callers=callers),
        codespace_sessions=CodespaceSessionService(
            codespaces=codespaces,
            callers=callers,
            executor=cast("Any", None),
            activity=activity,
        ),
        codespace_policies=CodespacePolicyService(store=store, clock=clock, site_options=SITE_OPTIONS),
        organization_codespaces=OrganizationCodespaceService(store=store, codespaces=codespaces),
        dev_containers=DevContainerService(git=git),
        prebuilds=PrebuildService(store=store, clock=clock, git=git, wake=lambda: None),
        packages=PackageService(store=store, clock=clock),
        package_versions=PackageVersionService(store=store, clock=clock),
        package_contents=PackageContentService(store=store, blobs=blobs),
        package_settings=PackageSettingsService(store=store, clock=clock),
        package_grants=PackageGrantService(store=store, clock=clock),
        package_repositories=PackageRepositoryService(store=store, clock=clock),
        package_policies=PackagePolicyService(store=store, clock=clock),
        package_explanations=PackageExplanationService(store=store),
        audit=AuditService(store=store),
        site=SiteService(store=store, engine=FakeEngine(), disk=FolderDisk(folder)),
    )
    token = await tokens.ensure_site_admin()
    assert token is not None
    berth = Berth(
        store=store,
        services=services,
        rest=make_rest_app(services, ROUTES, None),
        git=make_git_app(services, GitHTTPBackend()),
        repositories=git,
        admin=cast("Any", None),
        admin_token=token.reveal(),
        registry=registry,
    )
    berth.admin = berth.client(berth.admin_token)
    try:
        yield berth
    finally:
        blobs.close()
