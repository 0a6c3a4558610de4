"""Packages: their versions and settings, who may use them and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from berth.client.connection import part
from berth.client.repository import Repository, RepositoryCalls
from berth.domain.problem import Denied, Invalid

_CONTAINER = {"package_type": "container"}
_NEWEST = "30"


class Owner(msgspec.Struct, kw_only=True):
    login: str


class Package(msgspec.Struct, kw_only=True):
    """`visibility` is private for an internal one, too: GitHub's answers know two words."""

    id: int
    name: str
    visibility: str
    owner: Owner
    internal: bool = False
    version_count: int = 0
    repository: Repository | None = None
    created_at: str = ""
    updated_at: str = ""

    @property
    def full_name(self) -> str:
        return f"{self.owner.login}/{self.name}"

    @property
    def exact_visibility(self) -> str:
        return "internal" if self.internal else self.visibility


class ContainerMetadata(msgspec.Struct, kw_only=True):
    tags: list[str] = []


class VersionMetadata(msgspec.Struct, kw_only=True):
    container: ContainerMetadata = msgspec.field(default_factory=ContainerMetadata)


class PackageVersion(msgspec.Struct, kw_only=True):
    """`name` is the digest of its manifest."""

    id: int
    name: str
    created_at: str = ""
    updated_at: str = ""
    metadata: VersionMetadata = msgspec.field(default_factory=VersionMetadata)


class PackageSettings(msgspec.Struct, kw_only=True):
    """`linked` without a `repository`: the caller may not read it."""

    name: str
    owner: str
    visibility: str
    inherit_access: bool
    linked: bool = False
    repository: str | None = None
    untagged_retention_days: int | None = None


class PackageUser(msgspec.Struct, kw_only=True):
    login: str
    role: str


class PackageTeam(msgspec.Struct, kw_only=True):
    slug: str
    role: str


class PackageRepository(msgspec.Struct, kw_only=True):
    """A repository on a list; only workflows have a role."""

    id: int
    full_name: str
    role: str | msgspec.UnsetType = msgspec.UNSET


class PackageAccess(msgspec.Struct, kw_only=True):
    """Who may use a package. `teams` is None where the token may not know teams."""

    settings: PackageSettings
    users: list[PackageUser]
    teams: list[PackageTeam] | None
    codespaces: list[PackageRepository]
    workflows: list[PackageRepository]


class DecisionReason(msgspec.Struct, kw_only=True):
    rule: str
    effect: str
    text: str


class PackageDecision(msgspec.Struct, kw_only=True):
    package: str
    action: str
    asked_of: str
    allowed: bool
    trail: list[DecisionReason] = []


@dataclass(frozen=True, slots=True)
class PackageGrantee:
    """To whom a package is granted: `kind` is user, team, codespaces or workflows, the last two of the repository `name`."""

    kind: str
    name: str


class PackageCalls(RepositoryCalls):
    """What the client calls about packages, which are named owner/name. A repository is put on a list by its id."""

    def list_packages(self, owner: str | None = None) -> list[Package]:
        """One's own, or those of an account that one may pull."""
        path = "/user/packages" if owner is None else f"/users/{part(owner)}/packages"
        return self.list_all(path, Package, query=_CONTAINER)

    def get_package(self, full_name: str) -> Package:
        return self.send("GET", _package_path(full_name), Package)

    def list_newest_versions(self, full_name: str) -> list[PackageVersion]:
        query = {"per_page": _NEWEST}
        return self.send("GET", f"{_package_path(full_name)}/versions", list[PackageVersion], query=query)

    def get_package_settings(self, full_name: str) -> PackageSettings:
        return self.send("GET", f"{_package_path(full_name)}/settings", PackageSettings)

    def change_package(self, full_name: str, changes: Mapping[str, Any]) -> PackageSettings:
        return self.send("PATCH", _package_path(full_name), PackageSettings, changes)

    def delete_package(self, full_name: str) -> None:
        self.request("DELETE", _package_path(full_name))

    def restore_package(self, full_name: str, package_id: int | None = None) -> None:
        query = None if package_id is None else {"package_id": str(package_id)}
        self.request("POST", f"{_package_path(full_name)}/restore", query=query)

    def explain_package(self, full_name: str, action: str, **asked_of: str) -> PackageDecision:
        """`asked_of`: user=LOGIN or repository=owner/name."""
        query = {"action": action, **asked_of}
        return self.send("GET", f"{_package_path(full_name)}/access", PackageDecision, query=query)

    def get_package_access(self, full_name: str) -> PackageAccess:
        path = _package_path(full_name)
        settings = self.get_package_settings(full_name)
        try:
            teams = self.list_all(f"{path}/teams", PackageTeam)
        except Denied:
            teams = None
        return PackageAccess(
            settings=settings,
            users=self.list_all(f"{path}/collaborators", PackageUser),
            teams=teams,
            codespaces=self.list_all(f"{path}/codespaces/repositories", PackageRepository, "repositories"),
            workflows=self.list_all(f"{path}/actions/repositories", PackageRepository, "repositories"),
        )

    def grant_package(self, full_name: str, grantee: PackageGrantee, role: str | None) -> None:
        body = None if role is None else {"role": role}
        self.request("PUT", self._grant_path(full_name, grantee), body)

    def revoke_package(self, full_name: str, grantee: PackageGrantee) -> None:
        self.request("DELETE", self._grant_path(full_name, grantee))

    def _grant_path(self, full_name: str, grantee: PackageGrantee) -> str:
        path = _package_path(full_name)
        match grantee.kind:
            case "user":
                return f"{path}/collaborators/{part(grantee.name)}"
            case "team":
                return f"{path}/teams/{part(grantee.name)}"
            case "codespaces":
                return f"{path}/codespaces/repositories/{self.get_repository(grantee.name).id}"
            case _:
                return f"{path}/actions/repositories/{self.get_repository(grantee.name).id}"


def _package_path(full_name: str) -> str:
    owner, slash, name = full_name.partition("/")
    if ":" in full_name or "@" in full_name or "." in owner:
        text = f"'{full_name[:80]}' is an image's name. A package's is OWNER/NAME, without host, tag and digest."
        raise Invalid(text, field="package", code="client.package")
    if not slash:
        raise Invalid(f"'{full_name[:80]}' is not OWNER/NAME.", field="package", code="client.package")
    return f"/users/{part(owner)}/packages/container/{part(name)}"
