"""The use cases that the edges call, put together."""

from collections.abc import Callable
from dataclasses import dataclass

from berth.adapters.disk_folder import FolderDisk
from berth.adapters.password_argon2 import Argon2Passwords
from berth.services.account import AccountService
from berth.services.audit import AuditService
from berth.services.caller import CallerService
from berth.services.codespace import CodespaceService
from berth.services.codespace_access import CodespaceAccessService
from berth.services.codespace_activity import CodespaceActivity
from berth.services.codespace_export import CodespaceExportService
from berth.services.codespace_log import CodespaceLogService
from berth.services.codespace_policy import CodespacePolicyService
from berth.services.codespace_session import CodespaceSessionService
from berth.services.contents import ContentsService
from berth.services.dev_container import DevContainerService
from berth.services.doctor import DoctorService
from berth.services.fork import ForkService
from berth.services.former_name import FormerNameService
from berth.services.identity import IdentityService
from berth.services.image_probe import ImageProbe
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
from berth.services.ports import RegistryClient
from berth.services.prebuild import PrebuildService
from berth.services.pull_request import PullRequestService
from berth.services.registry_check import RegistryCheckService
from berth.services.registry_credential import RegistryCredentialService
from berth.services.registry_login import RegistryLogins
from berth.services.registry_triple import RegistryTripleService
from berth.services.repository import RepositoryService
from berth.services.repository_transfer import RepositoryTransferService
from berth.services.secret_group import SecretGroupService
from berth.services.services import Services
from berth.services.session import SessionService
from berth.services.site import SiteService
from berth.services.suspension import SuspensionService
from berth.services.team import TeamService
from berth.services.workflow_token import WorkflowTokenService
from berth.wiring.codespace import make_limits
from berth.wiring.parts import Parts

_Wake = Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wakes:
    """What tells each loop of this process that something was stored for it."""

    codespaces: _Wake
    exports: _Wake
    prebuilds: _Wake


def make_services(parts: Parts, asked: RegistryClient, wakes: Wakes) -> Services:
    store, clock, git = parts.store, parts.clock, parts.git
    repositories = RepositoryService(store=store, clock=clock, git=git)
    activity, codespaces = _make_codespaces(parts, wakes.codespaces)
    sessions, passwords, identities, callers = _make_sign_in(parts)
    groups, checks, triples = _make_registry_triples(parts, asked)
    return Services(
        accounts=AccountService(store=store, clock=clock),
        suspensions=SuspensionService(store=store, clock=clock, wake=wakes.codespaces),
        teams=TeamService(store=store, clock=clock),
        repositories=repositories,
        repository_transfers=RepositoryTransferService(store=store, clock=clock),
        forks=ForkService(store=store, clock=clock, git=git),
        pull_requests=PullRequestService(store=store, clock=clock, git=git),
        former_names=FormerNameService(store=store),
        contents=ContentsService(store=store, clock=clock, git=git, repositories=repositories),
        access_tokens=parts.tokens,
        workflow_tokens=WorkflowTokenService(store=store, clock=clock, entropy=parts.entropy),
        sessions=sessions,
        passwords=passwords,
        identities=identities,
        notifications=NotificationService(store=store, clock=clock),
        secrets=parts.secrets,
        secret_groups=groups,
        registry_credentials=_make_registry_credentials(parts),
        registry_checks=checks,
        registry_triples=triples,
        doctor=_make_doctor(parts, asked),
        codespaces=codespaces,
        codespace_activity=activity,
        codespace_access=CodespaceAccessService(store=store, clock=clock),
        codespace_exports=_make_exports(parts, codespaces, wakes.exports),
        codespace_logs=CodespaceLogService(codespaces=codespaces, callers=callers),
        codespace_sessions=_make_codespace_sessions(parts, codespaces, callers, activity),
        codespace_policies=_make_codespace_policies(parts),
        organization_codespaces=OrganizationCodespaceService(store=store, codespaces=codespaces),
        dev_containers=DevContainerService(git=git),
        prebuilds=PrebuildService(store=store, clock=clock, git=git, wake=wakes.prebuilds),
        packages=PackageService(store=store, clock=clock),
        package_versions=PackageVersionService(store=store, clock=clock),
        package_contents=PackageContentService(store=store, blobs=parts.blobs),
        package_settings=PackageSettingsService(store=store, clock=clock),
        package_grants=PackageGrantService(store=store, clock=clock),
        package_repositories=PackageRepositoryService(store=store, clock=clock),
        package_policies=PackagePolicyService(store=store, clock=clock),
        package_explanations=PackageExplanationService(store=store),
        audit=AuditService(store=store),
        site=SiteService(store=store, engine=parts.engine, disk=FolderDisk(parts.data)),
    )


def _make_codespace_policies(parts: Parts) -> CodespacePolicyService:
    allowed = parts.settings.dev_container_allowed
    return CodespacePolicyService(store=parts.store, clock=parts.clock, site_options=allowed)


def _make_codespace_sessions(
    parts: Parts, codespaces: CodespaceService, callers: CallerService, activity: CodespaceActivity
) -> CodespaceSessionService:
    return CodespaceSessionService(
        codespaces=codespaces,
        callers=callers,
        executor=parts.executor,
        activity=activity,
    )


def _make_sign_in(parts: Parts) -> tuple[SessionService, PasswordService, IdentityService, CallerService]:
    store, clock, entropy, hasher = parts.store, parts.clock, parts.entropy, Argon2Passwords()
    sessions = SessionService(store=store, clock=clock, entropy=entropy, hasher=hasher)
    passwords = PasswordService(store=store, clock=clock, entropy=entropy, hasher=hasher, sessions=sessions)
    identities = IdentityService(
        store=store,
        clock=clock,
        entropy=entropy,
        sessions=sessions,
        provider=parts.identity_provider,
        unknown=parts.settings.oidc_unknown,
    )
    return sessions, passwords, identities, CallerService(clock=clock, tokens=parts.tokens, sessions=sessions)


def _make_registry_credentials(parts: Parts) -> RegistryCredentialService:
    return RegistryCredentialService(
        store=parts.store, secrets=parts.secrets, swaps=parts.swaps, own_host=parts.own.host
    )


def _make_registry_triples(
    parts: Parts, asked: RegistryClient
) -> tuple[SecretGroupService, RegistryCheckService, RegistryTripleService]:
    groups = SecretGroupService(store=parts.store, secrets=parts.secrets)
    checks = RegistryCheckService(
        store=parts.store,
        clock=parts.clock,
        sealer=parts.sealer,
        logins=RegistryLogins(registry=asked, probe=_make_probe(parts, asked), ecr=parts.ecr, clock=parts.clock),
    )
    triples = RegistryTripleService(
        secrets=parts.secrets,
        groups=groups,
        checks=checks,
        swaps=parts.swaps,
        last_checks=parts.last_checks,
        own_host=parts.own.host,
    )
    return groups, checks, triples


def _make_codespaces(parts: Parts, wake: _Wake) -> tuple[CodespaceActivity, CodespaceService]:
    activity = CodespaceActivity(store=parts.store, clock=parts.clock)
    codespaces = CodespaceService(
        store=parts.store,
        clock=parts.clock,
        entropy=parts.entropy,
        git=parts.git,
        executor=parts.executor,
        activity=activity,
        limits=make_limits(parts.settings),
        machines=parts.settings.machines,
        wake=wake,
    )
    return activity, codespaces


def _make_probe(parts: Parts, asked: RegistryClient) -> ImageProbe:
    return ImageProbe(registry=asked, engine=parts.engine, swaps=parts.swaps)


def _make_exports(parts: Parts, codespaces: CodespaceService, wake: _Wake) -> CodespaceExportService:
    return CodespaceExportService(store=parts.store, clock=parts.clock, git=parts.git, codespaces=codespaces, wake=wake)


def _make_doctor(parts: Parts, asked: RegistryClient) -> DoctorService:
    return DoctorService(
        store=parts.store,
        clock=parts.clock,
        probe=_make_probe(parts, asked),
        credentials=_make_registry_credentials(parts),
        refusals=PackageRefusals(store=parts.store, tokens=parts.tokens, own_host=parts.own.host),
        own_host=parts.own.host,
    )
