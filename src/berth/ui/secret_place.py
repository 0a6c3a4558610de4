"""Where the pages of a level's secrets and registries are: the person's own, a repository's, an organization's."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from starlette.responses import Response

from berth.domain.problem import Invalid
from berth.domain.secret import SecretLevel, SecretVisibility
from berth.domain.whole_number import parse_whole_number
from berth.edge import secret_place
from berth.edge.asked import PER_PAGE
from berth.services.repository import RepositoryView
from berth.services.secret_access import SecretPlace
from berth.ui import organization
from berth.ui.app import Route
from berth.ui.former_name import follow
from berth.ui.page import Handler, Page

SECRETS = {
    SecretLevel.USER: "/settings/secrets",
    SecretLevel.ORGANIZATION: "/orgs/{org}/settings/secrets",
    SecretLevel.REPOSITORY: "/{owner}/{repo}/settings/secrets",
}
REGISTRIES = {
    SecretLevel.USER: "/registries",
    SecretLevel.ORGANIZATION: "/orgs/{org}/settings/registries",
    SecretLevel.REPOSITORY: "/{owner}/{repo}/settings/registries",
}
NO_PREFIX = "-"  # stands in a path for the prefix that is empty


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One owner's pages, as the path names him: `secrets` and `registries` are where they begin."""

    of: SecretPlace
    secrets: str
    registries: str

    @property
    def level(self) -> SecretLevel:
        return self.of.level

    @property
    def name(self) -> str:
        """Whose they are; empty for the person's own."""
        return f"{self.of.owner}/{self.of.repository}" if self.of.repository else self.of.owner

    @property
    def home(self) -> str:
        """The owner's own page."""
        return f"/{quote(self.name)}" if self.of.repository else f"/orgs/{quote(self.of.owner)}"

    @property
    def selects(self) -> bool:
        """Whether repositories are selected at this level; those of a repository are its own."""
        return self.level is not SecretLevel.REPOSITORY


PlaceHandler = Callable[[Page, Place], Awaitable[Response]]


def place_of(page: Page, level: SecretLevel) -> Place:
    given = {name: quote(str(value), safe="") for name, value in page.request.path_params.items()}
    return Place(
        of=secret_place.place_of(page, level),
        secrets=SECRETS[level].format_map(given),
        registries=REGISTRIES[level].format_map(given),
    )


def route(method: str, level: SecretLevel, path: str, handler: PlaceHandler) -> Route:
    """A page of this level. Those of a repository follow its former names."""

    async def respond(page: Page) -> Response:
        return await handler(page, place_of(page, level))

    answer: Handler = follow(respond) if level is SecretLevel.REPOSITORY else respond
    return Route(method, path, answer)


async def render(page: Page, at: Place, template: str, **values: Any) -> Response:
    """A page of this place, within its own menu: the organization's, or the way between registries and secrets."""
    if at.level is SecretLevel.ORGANIZATION:
        return await organization.render(page, template, frame="organization.html", place=at, **values)
    return await page.render(template, frame="secret_frame.html", place=at, **values)


async def list_selectable(
    page: Page, at: Place, text: str = "", *, offset: int = 0
) -> tuple[Sequence[RepositoryView], int]:
    """Repositories that one may select: one's own, or all that one can read and that fit the text; an organization's."""
    repositories, limit = page.services.repositories, PER_PAGE
    if at.level is SecretLevel.ORGANIZATION:
        return await repositories.list_of(page.user, at.of.owner, limit=limit, offset=offset, text=text)
    if text:
        return await repositories.search(page.user, text, limit=limit, offset=offset)
    return await repositories.list_own(page.user, limit=limit, offset=offset)


def visibility_of(page: Page, at: Place) -> SecretVisibility | None:
    """What a form says of an organization's secret; None at other levels. Raises Invalid."""
    return chosen_visibility(page) if at.level is SecretLevel.ORGANIZATION else None


def chosen_visibility(page: Page) -> SecretVisibility:
    """Raises Invalid."""
    text = page.form.text("visibility")
    if text not in list(SecretVisibility):
        raise Invalid("Choose which repositories get it.", field="visibility", code="secret.visibility")
    return SecretVisibility(text)


def chosen_ids(page: Page, at: Place, visibility: SecretVisibility | None) -> tuple[int, ...] | None:
    """The repositories that were ticked; None where none can be."""
    if at.level is SecretLevel.USER or visibility is SecretVisibility.SELECTED:
        return tuple(repository_id(text) for text in page.form.all("repository"))
    return None


def repository_id(text: str) -> int:
    """Raises Invalid for what is no repository's id."""
    number = parse_whole_number(text)
    if number is None:
        raise Invalid("Choose a repository.", field="repository", code="secret.repository_unknown")
    return number
