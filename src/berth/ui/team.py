"""An organization's teams: who is in them, and what they may do with which repositories."""

from typing import Any

from starlette.responses import Response

from berth.domain.account import OrganizationRole
from berth.domain.problem import Denied, Invalid, NotFound, Problem
from berth.domain.role import Role
from berth.services.team import TeamView
from berth.ui.app import Route
from berth.ui.console import ORGANIZATION
from berth.ui.organization import find_own_role, no_such_user, render
from berth.ui.page import Page

_TEAMS = f"{ORGANIZATION}/teams"
_TEAM = _TEAMS + "/{team_slug}"
_MEMBER_ROLES = (("member", "Member"), ("maintainer", "Maintainer"))
_REPOSITORY_ROLES = [(role.word, role.role_name.capitalize()) for role in Role if role is not Role.NONE]


def _path(view: TeamView) -> str:
    return f"/orgs/{view.organization.login}/teams/{view.team.slug}"


async def list_all(page: Page, problem: Problem | None = None) -> Response:
    part = page.list_page
    teams, total = await page.services.teams.list_teams(
        page.user, page.path("org"), limit=part.limit, offset=part.offset
    )
    return await render(page, "teams.html", problem=problem, teams=teams, total=total)


async def create(page: Page) -> Response:
    form = page.form
    try:
        made = await page.services.teams.create(
            page.user, page.path("org"), form.text("name"), form.text("description")
        )
    except (Invalid, Denied) as problem:
        return await list_all(page, problem)
    return page.redirect(_path(made), "The team was created.")


async def _render(page: Page, template: str, problem: Problem | None, **values: Any) -> Response:
    """A page of one team, with what the caller may change of it."""
    view = await page.services.teams.get(page.user, page.path("org"), page.path("team_slug"))
    keeps = (
        await find_own_role(page, page.path("org")) is OrganizationRole.ADMIN or await _own_role(page) == "maintainer"
    )
    return await render(page, template, problem=problem, view=view, team_path=_path(view), keeps=keeps, **values)


async def _own_role(page: Page) -> str:
    try:
        return await page.services.teams.get_member(
            page.user, page.path("org"), page.path("team_slug"), page.user.login
        )
    except NotFound:
        return ""


async def list_members(page: Page, problem: Problem | None = None) -> Response:
    part = page.list_page
    members, total = await page.services.teams.list_members(
        page.user, page.path("org"), page.path("team_slug"), limit=part.limit, offset=part.offset
    )
    return await _render(page, "team_members.html", problem, members=members, total=total, roles=_MEMBER_ROLES)


async def set_member(page: Page) -> Response:
    org, team, login = page.path("org"), page.path("team_slug"), page.form.text("login")
    try:
        await page.services.teams.set_member(page.user, org, team, login, page.form.text("role"))
    except NotFound:
        return await list_members(page, no_such_user(login))
    except (Invalid, Denied) as problem:
        return await list_members(page, problem)
    return page.redirect(f"/orgs/{org}/teams/{team}", f"{login} is in the team now.")


async def remove_member(page: Page) -> Response:
    org, team, login = page.path("org"), page.path("team_slug"), page.form.text("login")
    await page.services.teams.remove_member(page.user, org, team, login)
    return page.redirect(f"/orgs/{org}/teams/{team}", f"{login} is not in the team any more.")


async def list_repositories(page: Page, problem: Problem | None = None) -> Response:
    part = page.list_page
    grants, total = await page.services.teams.list_grants(
        page.user, page.path("org"), page.path("team_slug"), limit=part.limit, offset=part.offset
    )
    return await _render(page, "team_repositories.html", problem, grants=grants, total=total, roles=_REPOSITORY_ROLES)


async def set_repository(page: Page) -> Response:
    org, team, name = page.path("org"), page.path("team_slug"), page.form.text("repository")
    try:
        await page.services.teams.set_repository(page.user, org, team, org, name, page.form.text("role"))
    except NotFound:
        text = f"There is no repository '{name[:100]}' in {org}."
        return await list_repositories(page, Invalid(text, field="repository", code="repository.not_found"))
    except (Invalid, Denied) as problem:
        return await list_repositories(page, problem)
    return page.redirect(f"/orgs/{org}/teams/{team}/repositories", f"The team has a role on {name} now.")


async def remove_repository(page: Page) -> Response:
    org, team, name = page.path("org"), page.path("team_slug"), page.form.text("repository")
    await page.services.teams.remove_repository(page.user, org, team, org, name)
    return page.redirect(f"/orgs/{org}/teams/{team}/repositories", f"The team has no role on {name} any more.")


async def ask_delete(page: Page) -> Response:
    view = await page.services.teams.get(page.user, page.path("org"), page.path("team_slug"))
    return await page.confirm(
        title=f"Delete the team {view.team.name}",
        text=f"Its {view.members} members lose what it gave them on {view.repositories} repositories. "
        "This cannot be undone.",
        action=f"{_path(view)}/delete",
        button="Delete the team",
        back=_path(view),
    )


async def delete(page: Page) -> Response:
    await page.services.teams.delete(page.user, page.path("org"), page.path("team_slug"))
    return page.redirect(f"/orgs/{page.path('org')}/teams", "The team was deleted.")


ROUTES: tuple[Route, ...] = (
    Route("GET", _TEAMS, list_all),
    Route("POST", _TEAMS, create),
    Route("GET", _TEAM, list_members),
    Route("POST", _TEAM, set_member),
    Route("POST", f"{_TEAM}/remove-member", remove_member),
    Route("GET", f"{_TEAM}/repositories", list_repositories),
    Route("POST", f"{_TEAM}/repositories", set_repository),
    Route("POST", f"{_TEAM}/repositories/remove", remove_repository),
    Route("GET", f"{_TEAM}/delete", ask_delete),
    Route("POST", f"{_TEAM}/delete", delete),
)
