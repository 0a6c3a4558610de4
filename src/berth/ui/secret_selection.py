"""Which repositories' codespaces get a secret, or the secrets of a registry's login together."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from starlette.responses import Response

from berth.domain.repository import Repository
from berth.domain.secret import SecretLevel, SecretVisibility
from berth.ui.app import Route
from berth.ui.page import Page
from berth.ui.secret_place import Place, PlaceHandler, chosen_visibility, list_selectable, render, repository_id, route


@dataclass(frozen=True, slots=True)
class Group:
    """What is given together. `path` is this page, `back` the list that it belongs to."""

    title: str
    names: tuple[str, ...]
    visibility: SecretVisibility | None
    path: str
    back: str


FindGroup = Callable[[Page, Place], Awaitable[Group]]


def routes(level: SecretLevel, path: str, find: FindGroup) -> tuple[Route, ...]:
    """The page, and what its forms do; none at the level of repositories."""
    if level is SecretLevel.REPOSITORY:
        return ()

    def bind(handler: Callable[[Page, Place, Group], Awaitable[Response]]) -> PlaceHandler:
        async def respond(page: Page, at: Place) -> Response:
            return await handler(page, at, await find(page, at))

        return respond

    made = [
        route("GET", level, path, bind(show)),
        route("POST", level, f"{path}/add", bind(_add)),
        route("POST", level, f"{path}/remove", bind(_remove)),
    ]
    if level is SecretLevel.ORGANIZATION:
        made.append(route("POST", level, path, bind(_set_visibility)))
    return tuple(made)


@dataclass(slots=True)
class Selection:
    """What is selected, a page of it, and what could be. `whole` are the ids of those that get all of the names."""

    selected: Sequence[Repository] = ()
    total: int = 0
    found: Sequence[Repository] = ()
    more: bool = False
    whole: frozenset[int] = frozenset()


async def show(page: Page, at: Place, group: Group) -> Response:
    """Two lists: what is selected, by `?page=`; what could be, by `?q=`, one page of it."""
    groups, where = page.services.secret_groups, at.of
    await groups.require_manager(page.user, where)
    reach = await groups.count_repositories(page.user, where, [group.names])
    selection = Selection()
    if group.visibility is SecretVisibility.SELECTED:
        selection = await _find_selection(page, at, group)
    return await render(
        page, at, "secret_selection.html", group=group, text=_text(page), selection=selection, partly=reach[0].partly
    )


async def _find_selection(page: Page, at: Place, group: Group) -> Selection:
    part, services = page.list_page, page.services
    selected, total = await services.secrets.list_repositories(
        page.user, at.of, group.names[0], limit=part.limit, offset=part.offset
    )
    views, possible = await list_selectable(page, at, _text(page))
    found = [each.repository for each in views]
    ids = {each.id for each in (*found, *selected)}
    whole = await services.secret_groups.find_selected(page.user, at.of, group.names, ids)
    return Selection(
        selected=selected,
        total=total,
        found=[each for each in found if each.id not in whole],
        more=possible > part.limit,
        whole=frozenset(whole),
    )


def _text(page: Page) -> str:
    return page.query("q").strip()


async def _add(page: Page, at: Place, group: Group) -> Response:
    chosen = repository_id(page.form.text("repository"))
    await page.services.secret_groups.select(page.user, at.of, group.names, chosen)
    return page.redirect(group.path, "The repository was added.")


async def _remove(page: Page, at: Place, group: Group) -> Response:
    chosen = repository_id(page.form.text("repository"))
    await page.services.secret_groups.unselect(page.user, at.of, group.names, chosen)
    return page.redirect(group.path, "The repository was removed.")


async def _set_visibility(page: Page, at: Place, group: Group) -> Response:
    await page.services.secret_groups.set_visibility(page.user, at.of, group.names, chosen_visibility(page))
    return page.redirect(group.path, "Who gets it was changed.")
