"""An organization: what it is and has, its people, and the menu that all of its pages share."""

from typing import Any

from starlette.responses import Response

from berth.domain.account import Account, OrganizationRole, parse_organization_role
from berth.domain.problem import Conflict, Denied, Invalid, NotFound, Problem
from berth.ui.app import Route
from berth.ui.console import ORGANIZATION, ORGANIZATION_PAGES, Entry
from berth.ui.page import Page

_PEOPLE = f"{ORGANIZATION}/people"
_ROLES = ((OrganizationRole.MEMBER, "Member"), (OrganizationRole.ADMIN, "Owner"))


async def find_own_role(page: Page, organization: str) -> OrganizationRole | None:
    """What the caller is in it; None for somebody from outside."""
    try:
        found = await page.services.accounts.get_membership(page.user, organization, page.user.login)
    except NotFound:
        return None
    return found.role


async def render(page: Page, template: str, *, problem: Problem | None = None, **values: Any) -> Response:
    """A page of the organization, with its menu. Raises NotFound if there is none of this name."""
    view = await page.services.accounts.get_organization(page.user, page.path("org"))
    role = await find_own_role(page, page.path("org"))
    return await page.render(
        template,
        problem=problem,
        organization=view.account,
        at=path_of(view.account),
        entries=_entries(page, view.account, role),
        role=role,
        is_owner=role is OrganizationRole.ADMIN,
        **values,
    )


def path_of(organization: Account) -> str:
    return f"/orgs/{organization.login}"


def _entries(page: Page, organization: Account, role: OrganizationRole | None) -> list[tuple[str, str, bool]]:
    """The menu, for its members: label, path, and whether that is this page."""
    if role is None:
        return []
    return [
        (entry.label, path := entry.path.replace("{org}", organization.login), _is_here(page, entry, path))
        for entry in page.console.entries(ORGANIZATION_PAGES, site_admin=False)
        if role is OrganizationRole.ADMIN or not entry.owner
    ]


def _is_here(page: Page, entry: Entry, path: str) -> bool:
    here = page.here.lower()
    return here == path.lower() or (entry.path != ORGANIZATION and here.startswith(f"{path.lower()}/"))


async def overview(page: Page) -> Response:
    part = page.list_page
    view = await page.services.accounts.get_organization(page.user, page.path("org"))
    repositories, total = await page.services.repositories.list_of(
        page.user, page.path("org"), limit=part.limit, offset=part.offset
    )
    try:
        _people, members = await page.services.accounts.list_memberships(page.user, page.path("org"), limit=1, offset=0)
        _teams, teams = await page.services.teams.list_teams(page.user, page.path("org"), limit=1, offset=0)
    except NotFound:  # memberships are concealed from everybody else
        members = teams = 0
    return await render(
        page,
        "organization_overview.html",
        view=view,
        repositories=repositories,
        total=total,
        members=members,
        teams=teams,
    )


async def list_people(page: Page, problem: Problem | None = None) -> Response:
    part = page.list_page
    people, total = await page.services.accounts.list_memberships(
        page.user, page.path("org"), limit=part.limit, offset=part.offset
    )
    return await render(page, "organization_people.html", problem=problem, people=people, total=total, roles=_ROLES)


async def add_person(page: Page) -> Response:
    """Also a new role for somebody who is there already."""
    login = page.form.text("login")
    try:
        made = await page.services.accounts.set_membership(
            page.user, page.path("org"), login, parse_organization_role(page.form.text("role"))
        )
    except NotFound:
        return await list_people(page, no_such_user(login))
    except (Invalid, Conflict, Denied) as problem:
        return await list_people(page, problem)
    word = "an owner" if made.role is OrganizationRole.ADMIN else "a member"
    return page.redirect(f"{path_of(made.organization)}/people", f"{made.user.login} is {word} now.")


def no_such_user(login: str) -> Invalid:
    """What a form says of a name that nobody has."""
    return Invalid(f"There is no user '{login[:40]}'.", field="login", code="account.not_found")


async def ask_remove_person(page: Page) -> Response:
    """Asks for the person first, so that nobody is offered to remove who is not there."""
    found = await page.services.accounts.get_membership(page.user, page.path("org"), page.path("username"))
    at, login = path_of(found.organization), found.user.login
    is_own = found.user.id == page.user.account_id
    return await page.confirm(
        title=f"Leave {found.organization.login}" if is_own else f"Remove {login} from {found.organization.login}",
        text="The teams, and the roles on repositories and packages that came with it, end too. Codespaces stay, "
        "but get none of the organization's secrets any more.",
        action=f"{at}/people/{login}/remove",
        button="Leave" if is_own else f"Remove {login}",
        back=f"{at}/people",
    )


async def remove_person(page: Page) -> Response:
    org, login = page.path("org"), page.path("username")
    await page.services.accounts.remove_membership(page.user, org, login)
    if login.lower() == page.user.login.lower():
        return page.redirect("/", f"You left {org}.")
    return page.redirect(f"/orgs/{org}/people", f"{login} is no member any more.")


ROUTES: tuple[Route, ...] = (
    Route("GET", ORGANIZATION, overview),
    Route("GET", _PEOPLE, list_people),
    Route("POST", _PEOPLE, add_person),
    Route("GET", _PEOPLE + "/{username}/remove", ask_remove_person),
    Route("POST", _PEOPLE + "/{username}/remove", remove_person),
)
