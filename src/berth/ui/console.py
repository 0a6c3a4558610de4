"""What all pages share: the use cases, the templates, the cookies, the address; and what stands in the navigation."""

from collections.abc import Collection
from dataclasses import dataclass

from jinja2 import Environment
from starlette.requests import HTTPConnection

from berth.edge.own_origin import origin_of, scheme_of
from berth.services.ports import Clock, Entropy
from berth.services.services import Services
from berth.ui.cookies import Cookies
from berth.ui.static_files import StaticFiles


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a navigation. It is shown as soon as a route with this path exists."""

    label: str
    path: str
    site_admin: bool = False
    owner: bool = False  # of the organization
    also: str = ""  # where further pages of it are


NOTIFICATIONS = "/settings/notifications"
NAVIGATION = (
    Entry("Codespaces", "/codespaces"),
    Entry("Packages", "/packages"),
    Entry("Registries & secrets", "/registries", also="/settings/secrets"),
    Entry("Doctor", "/doctor"),
    Entry("Site", "/site", site_admin=True),
)
SETTINGS = (
    Entry("Account", "/settings/account"),
    Entry("Sessions", "/settings/sessions"),
    Entry("Tokens", "/settings/tokens"),
    Entry("Notifications", NOTIFICATIONS),
    Entry("Your events", "/settings/events"),
)
ORGANIZATION = "/orgs/{org}"
ORGANIZATION_PAGES = (
    Entry("Overview", ORGANIZATION),
    Entry("People", "/orgs/{org}/people"),
    Entry("Teams", "/orgs/{org}/teams"),
    Entry("Packages", "/orgs/{org}/packages"),
    Entry("Codespaces", "/orgs/{org}/codespaces", owner=True),
    Entry("Secrets", "/orgs/{org}/settings/secrets", owner=True),
    Entry("Registries", "/orgs/{org}/settings/registries", owner=True),
    Entry("Policies", "/orgs/{org}/settings/policies", owner=True),
    Entry("Audit log", "/orgs/{org}/audit", owner=True),
)
SITE_PAGES = (
    Entry("Overview", "/site"),
    Entry("Users", "/site/users"),
    Entry("Organizations", "/site/organizations"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """Everything that a page is made with."""

    services: Services
    templates: Environment
    static: StaticFiles
    clock: Clock
    entropy: Entropy
    external_url: str | None
    paths: Collection[str]  # of all routes

    def entries(self, entries: Collection[Entry], *, site_admin: bool) -> list[Entry]:
        """Those that lead somewhere for this user."""
        return [entry for entry in entries if entry.path in self.paths and (site_admin or not entry.site_admin)]

    def has(self, path: str) -> bool:
        """Whether there is such a page."""
        return path in self.paths

    def origin(self, request: HTTPConnection) -> str:
        """How people reach us: EXTERNAL_URL, else what this request came by."""
        return origin_of(request, self.external_url)

    def is_own_origin(self, origin: str | None, request: HTTPConnection) -> bool:
        """Whether a page with this Origin is one of ours: as people reach us, or as this request came."""
        return origin is not None and origin.lower() in {self.origin(request).lower(), _address_of(request)}

    def cookies(self, request: HTTPConnection) -> Cookies:
        return Cookies(secure=self.origin(request).startswith("https://"))


def _address_of(request: HTTPConnection) -> str:
    return f"{scheme_of(request)}://{request.headers.get('host', '')}".lower()
