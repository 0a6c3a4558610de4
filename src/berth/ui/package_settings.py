"""A package's settings: visibility, the linked repository, inheritance, retention of untagged versions."""

from starlette.responses import Response

from berth.domain.package import Package, parse_visibility
from berth.domain.package_settings import SettingsChange
from berth.domain.problem import Conflict, Denied, Invalid, Problem
from berth.domain.repository import Visibility, parse_full_name
from berth.domain.whole_number import parse_whole_number
from berth.ui.app import Route
from berth.ui.package import not_typed
from berth.ui.package_place import BELOW, name_of, path_of, place_of
from berth.ui.page import Page

_SETTINGS = f"{BELOW}/settings"
_WHAT_IT_MEANS = {
    Visibility.PUBLIC: (
        "Everybody can pull it, with or without a login, also people outside this server. A public package never "
        "becomes private or internal again: somebody may depend on it."
    ),
    Visibility.INTERNAL: "Every member of {owner} can pull it.",
    Visibility.PRIVATE: "Only whom it is granted to can pull it, and who administers it.",
}


async def show(page: Page, problem: Problem | None = None) -> Response:
    view = await page.services.package_settings.get(page.user, place_of(page))
    return await page.render(
        "package_settings.html",
        problem=problem,
        view=view,
        package=view.package,
        base=path_of(name_of(page)),
        others=_others(view.package),
    )


def _others(package: Package) -> list[Visibility]:
    """The visibilities that it could get (A10)."""
    if package.visibility is Visibility.PUBLIC:
        return []
    own = [each for each in Visibility if each is not Visibility.INTERNAL or package.owner_is_organization]
    return [each for each in own if each is not package.visibility]


async def ask_visibility(page: Page, problem: Problem | None = None) -> Response:
    wanted = parse_visibility(page.path("visibility"))
    package = (await page.services.package_settings.get(page.user, place_of(page))).package
    base = path_of(name_of(page))
    return await page.confirm(
        title=f"Make this package {wanted}",
        text=f"{package.full_name} is {package.visibility}. {_WHAT_IT_MEANS[wanted].format(owner=package.owner_login)}",
        action=f"{base}/-/settings/visibility/{wanted}",
        button=f"Make it {wanted}",
        back=f"{base}/-/settings",
        typed=package.full_name,
        problem=problem,
    )


async def change_visibility(page: Page) -> Response:
    name, wanted = name_of(page), parse_visibility(page.path("visibility"))
    if page.form.text("typed") != str(name):
        return await ask_visibility(page, not_typed(str(name)))
    try:
        await page.services.package_settings.change(page.user, place_of(page), SettingsChange(visibility=wanted))
    except (Invalid, Conflict, Denied) as problem:
        return await ask_visibility(page, problem)
    return _back(page, f"The package is {wanted} now.")


async def link(page: Page) -> Response:
    try:
        change = SettingsChange(repository=parse_full_name(page.form.text("repository")))
        await page.services.package_settings.change(page.user, place_of(page), change)
    except (Invalid, Denied) as problem:
        return await show(page, problem)
    return _back(page, "The package is linked to the repository. It inherits access from it once you say so.")


async def unlink(page: Page) -> Response:
    await page.services.package_settings.change(page.user, place_of(page), SettingsChange(unlinks=True))
    return _back(page, "The package is linked to no repository, and inherits no access.")


async def ask_inherit(page: Page, problem: Problem | None = None) -> Response:
    place, base = place_of(page), path_of(name_of(page))
    view = await page.services.package_settings.get(page.user, place)
    _users, users = await page.services.package_grants.list_users(page.user, place, limit=1, offset=0)
    _teams, teams = await page.services.package_grants.list_teams(page.user, place, limit=1, offset=0)
    whose = "its repository" if view.repository is None else view.repository.full_name
    return await page.confirm(
        title="Inherit access from the repository",
        text=(
            f"Whoever may read, write or administer {whose} may do the same with the package, now and later. This removes "
            f"what people and teams were granted on the package itself: {_counted(users, 'person', 'people')} and "
            f"{_counted(teams, 'team', 'teams')}. The lists of codespaces and workflows stay."
        ),
        action=f"{base}/-/settings/inherit",
        button="Inherit access, remove the grants",
        back=f"{base}/-/settings",
        problem=problem,
    )


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


async def inherit(page: Page) -> Response:
    try:
        await page.services.package_settings.change(page.user, place_of(page), SettingsChange(inherits_access=True))
    except (Invalid, Denied) as problem:
        return await ask_inherit(page, problem)
    return _back(page, "The package inherits access from its repository.")


async def end_inheritance(page: Page) -> Response:
    await page.services.package_settings.change(page.user, place_of(page), SettingsChange(inherits_access=False))
    return _back(page, "The package inherits no access any more. It stays linked.")


async def change_retention(page: Page) -> Response:
    """An empty field keeps untagged versions."""
    text = page.form.text("untagged_retention_days")
    days = parse_whole_number(text) or 0  # no number: refused like 0
    change = SettingsChange(untagged_retention_days=days) if text else SettingsChange(keeps_untagged=True)
    try:
        await page.services.package_settings.change(page.user, place_of(page), change)
    except Invalid as problem:
        return await show(page, problem)
    return _back(page, "Saved.")


def _back(page: Page, remark: str) -> Response:
    return page.redirect(f"{path_of(name_of(page))}/-/settings", remark)


ROUTES: tuple[Route, ...] = (
    Route("GET", _SETTINGS, show),
    Route("GET", f"{_SETTINGS}/visibility/{{visibility}}", ask_visibility),
    Route("POST", f"{_SETTINGS}/visibility/{{visibility}}", change_visibility),
    Route("POST", f"{_SETTINGS}/link", link),
    Route("POST", f"{_SETTINGS}/unlink", unlink),
    Route("GET", f"{_SETTINGS}/inherit", ask_inherit),
    Route("POST", f"{_SETTINGS}/inherit", inherit),
    Route("POST", f"{_SETTINGS}/inherit/end", end_inheritance),
    Route("POST", f"{_SETTINGS}/retention", change_retention),
)
