"""Secrets of a person, a repository, an organization. A value goes in by a form, and is never shown again."""

from starlette.responses import Response

from berth.domain.problem import Conflict, Invalid, LimitReached, Problem
from berth.domain.secret import SecretLevel, SecretVisibility
from berth.services.secret_change import SecretChange
from berth.ui import secret_selection
from berth.ui.app import Route
from berth.ui.page import Page
from berth.ui.secret_place import SECRETS, Place, chosen_ids, list_selectable, render, route, visibility_of


async def list_secrets(page: Page, at: Place) -> Response:
    part, services = page.list_page, page.services
    secrets, total = await services.secrets.list_names(page.user, at.of, limit=part.limit, offset=part.offset)
    reach = await services.secret_groups.count_repositories(page.user, at.of, [[each.name] for each in secrets])
    rows = list(zip(secrets, reach, strict=True))
    manages = await services.secret_groups.may_manage(page.user, at.of)
    return await render(page, at, "secrets.html", rows=rows, total=total, manages=manages)


async def new(page: Page, at: Place, problem: Problem | None = None) -> Response:
    await page.services.secret_groups.require_manager(page.user, at.of)
    repositories, total = await list_selectable(page, at) if at.selects else ((), 0)
    return await render(page, at, "secret_new.html", problem=problem, repositories=repositories, total=total)


async def create(page: Page, at: Place) -> Response:
    form = page.form
    name, ids = form.text("secret_name"), None
    try:
        visibility = visibility_of(page, at)
        ids = chosen_ids(page, at, visibility)
        change = await _sealed(page, at, visibility, ids)
        await page.services.secrets.put_together(page.user, at.of, {name: change}, replace=False)
    except (Invalid, LimitReached, Conflict) as problem:
        return await new(page, at, problem)
    if ids == ():
        path = f"{at.secrets}/{name.upper()}/repositories"
        return page.redirect(path, "The secret was stored. Now choose the repositories whose codespaces get it.")
    return page.redirect(at.secrets, f"The secret {name.upper()} was stored.")


async def edit(page: Page, at: Place, problem: Problem | None = None) -> Response:
    await page.services.secret_groups.require_manager(page.user, at.of)
    secret = await page.services.secrets.get(page.user, at.of, page.path("name"))
    return await render(page, at, "secret_edit.html", problem=problem, secret=secret)


async def update(page: Page, at: Place) -> Response:
    """A new value; who gets it stays."""
    secret = await page.services.secrets.get(page.user, at.of, page.path("name"))
    try:
        change = await _sealed(page, at, secret.visibility, None)
        await page.services.secrets.put(page.user, at.of, secret.name, change)
    except (Invalid, LimitReached) as problem:
        return await edit(page, at, problem)
    return page.redirect(at.secrets, f"The secret {secret.name} has a new value.")


async def _sealed(
    page: Page, at: Place, visibility: SecretVisibility | None, ids: tuple[int, ...] | None
) -> SecretChange:
    """The form's value as a client would have sent it (S5). Raises Invalid where none was typed."""
    value = page.form.secret("value")
    if not value:
        raise Invalid("Type the value.", field="value", code="secret.value_missing")
    key_id, sealed = await page.services.secrets.seal(page.user, at.of, [value])
    own = None if at.level is SecretLevel.USER else visibility
    return SecretChange(encrypted_value=sealed[0], key_id=key_id, visibility=own, repository_ids=ids)


async def ask_delete(page: Page, at: Place) -> Response:
    await page.services.secret_groups.require_manager(page.user, at.of)
    secret = await page.services.secrets.get(page.user, at.of, page.path("name"))
    return await page.confirm(
        title=f"Delete {secret.name}",
        text="Codespaces that start from now on do not have it. Its value is kept nowhere else.",
        action=f"{at.secrets}/{secret.name}/delete",
        button="Delete the secret",
        back=at.secrets,
    )


async def delete(page: Page, at: Place) -> Response:
    await page.services.secrets.delete(page.user, at.of, page.path("name"))
    return page.redirect(at.secrets, f"The secret {page.path('name').upper()} was deleted.")


async def _group(page: Page, at: Place) -> secret_selection.Group:
    secret = await page.services.secrets.get(page.user, at.of, page.path("name"))
    path = f"{at.secrets}/{secret.name}/repositories"
    return secret_selection.Group(secret.name, (secret.name,), secret.visibility, path, at.secrets)


def _routes(level: SecretLevel) -> tuple[Route, ...]:
    base = SECRETS[level]
    one = f"{base}/{{name}}"
    return (
        route("GET", level, base, list_secrets),
        route("GET", level, f"{base}/new", new),
        route("POST", level, base, create),
        route("GET", level, one, edit),
        route("POST", level, one, update),
        route("GET", level, f"{one}/delete", ask_delete),
        route("POST", level, f"{one}/delete", delete),
        *secret_selection.routes(level, f"{one}/repositories", _group),
    )


ROUTES: tuple[Route, ...] = tuple(each for level in SecretLevel for each in _routes(level))
