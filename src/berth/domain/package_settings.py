"""How a package's settings change. One pure decision.

Policy; numbers in brackets are DESIGN's, section 2 A:
1. Public is for ever (A10); only an organization's package is internal.
2. A package inherits access from the repository that it is linked to, and only if both have one owner: who administers
   the repository administers the package then (A4), and on an organization's that is its owners' to give (A3).
3. Another link, or none, ends inheritance, unless the same change switches it on again: a moved link must not quietly
   hand the package to other people.
4. Switching inheritance on overwrites what users and teams were granted (A4). The lists of codespaces and workflows stay:
   they name repositories, not people.
5. Versions without a tag stay, or go after 1 to 3650 days. Not after none: an index is pushed after the images that it lists.

Source: GitHub docs, "Configuring a package's access control and visibility", and "Connecting a repository to a package".
"""

from dataclasses import dataclass

from berth.domain.package import Package, check_visibility_change
from berth.domain.problem import Invalid
from berth.domain.repository import Repository, Visibility

MAX_RETENTION_DAYS = 3650


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsChange:
    """What a request asks for; None leaves it as it is. `repository` is owner/name."""

    visibility: Visibility | None = None
    inherits_access: bool | None = None
    repository: tuple[str, str] | None = None
    unlinks: bool = False
    untagged_retention_days: int | None = None
    keeps_untagged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsPlan:
    """What the settings become."""

    visibility: Visibility
    repository_id: int | None
    inherits_access: bool
    untagged_retention_days: int | None
    overwrites_grants: bool

    @property
    def values(self) -> dict[str, object]:
        """The package's columns."""
        return {
            "visibility": self.visibility,
            "repository_id": self.repository_id,
            "inherits_access": self.inherits_access,
            "untagged_retention_days": self.untagged_retention_days,
        }


def plan_settings(package: Package, change: SettingsChange, linked: Repository | None) -> SettingsPlan:
    """Raises Invalid or Conflict. `linked` is the repository that the package will be linked to."""
    visibility = package.visibility if change.visibility is None else change.visibility
    check_visibility_change(package.visibility, visibility, owner_is_organization=package.owner_is_organization)
    repository_id = None if linked is None else linked.id
    link_stays = repository_id == package.repository_id
    inherits = change.inherits_access
    if inherits is None:
        inherits = package.inherits_access and link_stays
    switched_on = inherits and not (package.inherits_access and link_stays)
    if switched_on:
        _check_inheritance(package, linked)
    return SettingsPlan(
        visibility=visibility,
        repository_id=repository_id,
        inherits_access=inherits,
        untagged_retention_days=_retention(package, change),
        overwrites_grants=switched_on,
    )


def _check_inheritance(package: Package, linked: Repository | None) -> None:
    """Policy 2."""
    if linked is None:
        raise Invalid(
            "A package inherits access from the repository that it is linked to, and it is linked to none.",
            field="inherit_access",
            code="package.not_linked",
            remedy='Name one: "repository": "owner/name".',
        )
    if linked.owner_id != package.owner_id:
        raise Invalid(
            "The repository has another owner than the package, so the package cannot inherit access from it.",
            field="inherit_access",
            code="package.link_owner",
            remedy=f"Link it to a repository of {package.owner_login}, or grant access to people and repositories by name.",
        )


def _retention(package: Package, change: SettingsChange) -> int | None:
    """Policy 5."""
    if change.keeps_untagged:
        return None
    if change.untagged_retention_days is None:
        return package.untagged_retention_days
    if not 1 <= change.untagged_retention_days <= MAX_RETENTION_DAYS:
        raise Invalid(
            f"untagged_retention_days is 1 to {MAX_RETENTION_DAYS}, or null: versions without a tag stay.",
            field="untagged_retention_days",
            code="package.retention",
        )
    return change.untagged_retention_days
