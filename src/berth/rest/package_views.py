"""GitHub's `package` and `package-version`, and our bodies of a package's settings and decisions.

GitHub's description knows no visibility `internal` in answers. Decided: `visibility` says `private` then, the stricter of
the two words that clients know, and `internal` is true beside it; our own settings say what it is.
"""

from typing import Any
from urllib.parse import quote

from berth.domain.account import AccountType
from berth.domain.package import Package, PackagePolicy
from berth.domain.repository import Visibility
from berth.edge.timestamp import timestamp
from berth.rest.call import Links
from berth.rest.repository_views import minimal_repository
from berth.rest.simple_user import simple_user_of
from berth.services.package import PackageView
from berth.services.package_explanation import Explanation
from berth.services.package_settings import SettingsView
from berth.services.package_version import VersionView

PACKAGE_TYPE = "container"


def _path(package: Package) -> str:
    base = "orgs" if package.owner_is_organization else "users"
    return f"/{base}/{package.owner_login}/packages/{PACKAGE_TYPE}"


def _api_url(links: Links, package: Package) -> str:
    return links.api(f"{_path(package)}/{quote(package.name, safe='')}")


def _web_url(links: Links, package: Package) -> str:
    """The console's page."""
    return links.web(f"/packages/{package.full_name}")


def package_body(links: Links, view: PackageView) -> dict[str, Any]:
    """GitHub's `package`."""
    package = view.package
    is_public = package.visibility is Visibility.PUBLIC
    kind = AccountType.ORGANIZATION if package.owner_is_organization else AccountType.USER
    body: dict[str, Any] = {
        "id": package.id,
        "name": package.name,
        "package_type": PACKAGE_TYPE,
        "owner": simple_user_of(links, package.owner_id, package.owner_login, kind),
        "version_count": view.versions,
        "visibility": Visibility.PUBLIC if is_public else Visibility.PRIVATE,
        "internal": package.visibility is Visibility.INTERNAL,
        "url": _api_url(links, package),
        "html_url": _web_url(links, package),
        "created_at": timestamp(package.created_at),
        "updated_at": timestamp(package.updated_at),
    }
    if view.repository is not None:
        body["repository"] = minimal_repository(links, view.repository)
    return body


def version_body(links: Links, view: VersionView) -> dict[str, Any]:
    """GitHub's `package-version`."""
    package, version = view.package, view.version
    package_url = _web_url(links, package)
    body: dict[str, Any] = {
        "id": version.id,
        "name": version.digest,
        "url": f"{_api_url(links, package)}/versions/{version.id}",
        "package_html_url": package_url,
        "html_url": f"{package_url}/-/versions/{version.id}",
        "created_at": timestamp(version.created_at),
        "updated_at": timestamp(version.updated_at),
        "metadata": {"package_type": PACKAGE_TYPE, "container": {"tags": list(version.tags)}},
    }
    if version.deleted_at is not None:
        body["deleted_at"] = timestamp(version.deleted_at)
    return body


def settings_body(links: Links, view: SettingsView) -> dict[str, Any]:
    """Ours: what the settings are. `linked` without a `repository`: the caller may not read it."""
    package = view.package
    return {
        "id": package.id,
        "name": package.name,
        "owner": package.owner_login,
        "url": _api_url(links, package),
        "visibility": package.visibility,
        "inherit_access": package.inherits_access,
        "linked": package.repository_id is not None,
        "repository": None if view.repository is None else view.repository.full_name,
        "untagged_retention_days": package.untagged_retention_days,
    }


def explanation_body(explanation: Explanation) -> dict[str, Any]:
    """Ours: a decision with its whole trail."""
    return {
        "package": explanation.package.full_name,
        "action": explanation.action,
        "asked_of": explanation.asked_of,
        "allowed": explanation.decision.allowed,
        "trail": [
            {"rule": reason.rule, "effect": reason.effect, "text": reason.text} for reason in explanation.decision.trail
        ],
    }


def policy_body(policy: PackagePolicy) -> dict[str, Any]:
    """Ours: an organization's policy."""
    return {
        "inherit_access_default": policy.inherit_access_default,
        "creatable_visibilities": sorted(policy.creatable_visibilities),
    }
