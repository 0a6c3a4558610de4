"""Who may use a package: people, teams, repositories' codespaces and workflows; and why somebody may, or may not."""

from starlette.responses import Response

from berth.domain.access import Action
from berth.domain.package_access import PackageAction
from berth.domain.package_role import PackageRole
from berth.domain.problem import Invalid, NotFound, Problem
from berth.domain.repository import Repository, parse_full_name
from berth.services.package_access import unknown_repository
from berth.services.package_explanation import Explanation, parse_action
from berth.ui.app import Route
from berth.ui.package_place import BELOW, name_of, path_of, place_of
from berth.ui.page import Page

_FOUND = 10  # of a search
_ROLES = [role.word for role in PackageRole if role is not PackageRole.NONE]


async def show_grants(page: Page, problem: Problem | None = None) -> Response:
    """People and teams; `?page=` is of both lists."""
    place, part = place_of(page), page.list_page
    package = (await page.services.package_settings.get(page.user, place)).package
    users, user_total = await page.services.package_grants.list_users(
        page.user, place, limit=part.limit, offset=part.offset
    )
    teams, team_total = await page.services.package_grants.list_teams(
        page.user, place, limit=part.limit, offset=part.offset
    )
    return await page.render(
        "package_grants.html",
        problem=problem,
        package=package,
        base=path_of(name_of(page)),
        roles=_ROLES,
        users=users,
        teams=teams,
        total=max(user_total, team_total),
    )


async def set_user(page: Page) -> Response:
    login, role = page.form.text("username"), page.form.text("role")
    try:
        await page.services.package_grants.set_user(page.user, place_of(page), login, role)
    except (Invalid, NotFound) as problem:
        return await show_grants(page, await _told(page, problem, "username", f"There is no user '{login[:40]}'."))
    return _back(page, "access", f"{login} has the role {role}.")


async def remove_user(page: Page) -> Response:
    await page.services.package_grants.remove_user(page.user, place_of(page), page.path("login"))
    return _back(page, "access", f"{page.path('login')[:40]} has no role by name any more.")


async def set_team(page: Page) -> Response:
    slug, role = page.form.text("team"), page.form.text("role")
    try:
        await page.services.package_grants.set_team(page.user, place_of(page), slug, role)
    except (Invalid, NotFound) as problem:
        return await show_grants(page, await _told(page, problem, "team", f"There is no team '{slug[:40]}'."))
    return _back(page, "access", f"The team {slug} has the role {role}.")


async def remove_team(page: Page) -> Response:
    await page.services.package_grants.remove_team(page.user, place_of(page), page.path("slug"))
    return _back(page, "access", f"The team {page.path('slug')[:40]} has no role any more.")


async def _told(page: Page, problem: Problem, field: str, text: str) -> Problem:
    """What to say above the form. What was not found is whom the form names, or the package (then that is raised)."""
    if isinstance(problem, NotFound):
        await page.services.package_settings.get(page.user, place_of(page))
        return Invalid(text, field=field, code=problem.code)
    return problem


async def show_codespaces(page: Page, problem: Problem | None = None) -> Response:
    return await _show_repositories(page, "codespaces", problem)


async def show_workflows(page: Page, problem: Problem | None = None) -> Response:
    return await _show_repositories(page, "workflows", problem)


async def _show_repositories(page: Page, word: str, problem: Problem | None) -> Response:
    place, part, service = place_of(page), page.list_page, page.services.package_repositories
    text = page.query("q").strip()
    package = (await page.services.package_settings.get(page.user, place)).package
    listed: list[tuple[Repository, PackageRole | None]]
    if word == "workflows":
        with_role, total = await service.list_workflows(page.user, place, limit=part.limit, offset=part.offset)
        listed = [*with_role]
        found = await service.find_for_workflows(page.user, place, text, limit=_FOUND)
    else:
        plain, total = await service.list_codespaces(page.user, place, limit=part.limit, offset=part.offset)
        listed = [(repository, None) for repository in plain]
        found = await service.find_for_codespaces(page.user, place, text, limit=_FOUND)
    return await page.render(
        "package_repositories.html",
        problem=problem,
        package=package,
        base=path_of(name_of(page)),
        word=word,
        roles=_ROLES if word == "workflows" else (),
        listed=listed,
        total=total,
        text=text,
        found=found,
    )


async def add_codespaces(page: Page) -> Response:
    try:
        repository = await _named(page)
        await page.services.package_repositories.add_codespaces(page.user, place_of(page), repository.id)
    except Invalid as problem:
        return await show_codespaces(page, problem)
    return _back(page, "codespaces", f"Codespaces of {repository.full_name} pull the package.")


async def _named(page: Page) -> Repository:
    """The repository that a form names. Raises Invalid for what is none, or may not be read."""
    owner, name = parse_full_name(page.form.text("repository"))
    try:
        return await page.services.repositories.get(page.user, owner, name, Action.READ)
    except NotFound:
        raise unknown_repository() from None


async def remove_codespaces(page: Page) -> Response:
    await page.services.package_repositories.remove_codespaces(page.user, place_of(page), page.path_id("id"))
    return _back(page, "codespaces", "The repository was taken off the list.")


async def set_workflows(page: Page) -> Response:
    role = page.form.text("role")
    try:
        repository = await _named(page)
        await page.services.package_repositories.set_workflows(page.user, place_of(page), repository.id, role)
    except Invalid as problem:
        return await show_workflows(page, problem)
    return _back(page, "workflows", f"Workflows of {repository.full_name} have the role {role}.")


async def remove_workflows(page: Page) -> Response:
    await page.services.package_repositories.remove_workflows(page.user, place_of(page), page.path_id("id"))
    return _back(page, "workflows", "The repository was taken off the list.")


async def explain(page: Page) -> Response:
    """`who` is a user, or a repository as owner/name: then it is about its codespaces, or its workflows."""
    who, problem, explanation = page.query("who").strip(), None, None
    package = (await page.services.package_settings.get(page.user, place_of(page))).package
    try:
        action = parse_action(page.query("action", "pull"))
        explanation = await _explanation(page, who, action) if who else None
    except Invalid as refused:
        action, problem = PackageAction.PULL, refused
    return await page.render(
        "package_explain.html",
        problem=problem,
        package=package,
        base=path_of(name_of(page)),
        who=who,
        action=action,
        actions=list(PackageAction),
        explanation=explanation,
    )


async def _explanation(page: Page, who: str, action: PackageAction) -> Explanation:
    service, place = page.services.package_explanations, place_of(page)
    if "/" not in who:
        return await service.of_user(page.user, place, action, who)
    owner, name = parse_full_name(who)
    return await service.of_repository(page.user, place, action, owner, name)


def _back(page: Page, word: str, remark: str) -> Response:
    return page.redirect(f"{path_of(name_of(page))}/-/{word}", remark)


ROUTES: tuple[Route, ...] = (
    Route("GET", f"{BELOW}/access", show_grants),
    Route("POST", f"{BELOW}/access/users", set_user),
    Route("POST", f"{BELOW}/access/users/{{login}}/remove", remove_user),
    Route("POST", f"{BELOW}/access/teams", set_team),
    Route("POST", f"{BELOW}/access/teams/{{slug}}/remove", remove_team),
    Route("GET", f"{BELOW}/codespaces", show_codespaces),
    Route("POST", f"{BELOW}/codespaces", add_codespaces),
    Route("POST", f"{BELOW}/codespaces/{{id}}/remove", remove_codespaces),
    Route("GET", f"{BELOW}/workflows", show_workflows),
    Route("POST", f"{BELOW}/workflows", set_workflows),
    Route("POST", f"{BELOW}/workflows/{{id}}/remove", remove_workflows),
    Route("GET", f"{BELOW}/explain", explain),
)
