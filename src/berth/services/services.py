"""All use cases together: what `wiring` makes and hands to the edges."""

from dataclasses import dataclass

from berth.services.access_token import AccessTokenService
from berth.services.account import AccountService
from berth.services.audit import AuditService
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
from berth.services.notification import NotificationService
from berth.services.organization_codespace import OrganizationCodespaceService
from berth.services.package import PackageService
from berth.services.package_content import PackageContentService
from berth.services.package_explanation import PackageExplanationService
from berth.services.package_grant import PackageGrantService
from berth.services.package_policy import PackagePolicyService
from berth.services.package_repository import PackageRepositoryService
from berth.services.package_settings import PackageSettingsService
from berth.services.package_version import PackageVersionService
from berth.services.password import PasswordService
from berth.services.prebuild import PrebuildService
from berth.services.pull_request import PullRequestService
from berth.services.registry_check import RegistryCheckService
from berth.services.registry_credential import RegistryCredentialService
from berth.services.registry_triple import RegistryTripleService
from berth.services.repository import RepositoryService
from berth.services.repository_transfer import RepositoryTransferService
from berth.services.secret import SecretService
from berth.services.secret_group import SecretGroupService
from berth.services.session import SessionService
from berth.services.site import SiteService
from berth.services.suspension import SuspensionService
from berth.services.team import TeamService
from berth.services.workflow_token import WorkflowTokenService


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """One object per word of the domain. Edges call these and nothing below them."""

    accounts: AccountService
    suspensions: SuspensionService
    teams: TeamService
    repositories: RepositoryService
    repository_transfers: RepositoryTransferService
    forks: ForkService
    pull_requests: PullRequestService
    former_names: FormerNameService
    contents: ContentsService
    access_tokens: AccessTokenService
    workflow_tokens: WorkflowTokenService
    sessions: SessionService
    passwords: PasswordService
    identities: IdentityService
    notifications: NotificationService
    secrets: SecretService
    secret_groups: SecretGroupService
    registry_credentials: RegistryCredentialService
    registry_checks: RegistryCheckService
    registry_triples: RegistryTripleService
    doctor: DoctorService
    codespaces: CodespaceService
    codespace_activity: CodespaceActivity
    codespace_access: CodespaceAccessService
    codespace_exports: CodespaceExportService
    codespace_logs: CodespaceLogService
    codespace_sessions: CodespaceSessionService
    codespace_policies: CodespacePolicyService
    organization_codespaces: OrganizationCodespaceService
    dev_containers: DevContainerService
    prebuilds: PrebuildService
    packages: PackageService
    package_versions: PackageVersionService
    package_contents: PackageContentService
    package_settings: PackageSettingsService
    package_grants: PackageGrantService
    package_repositories: PackageRepositoryService
    package_policies: PackagePolicyService
    package_explanations: PackageExplanationService
    audit: AuditService
    site: SiteService
