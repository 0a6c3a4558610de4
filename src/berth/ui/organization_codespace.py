"""The codespaces of an organization's repositories, for its owners: whose they are, and an end to them."""

from starlette.responses import Response

from berth.domain.problem import NotFound
from berth.ui.app import Route
from berth.ui.console import ORGANIZATION
from berth.ui.organization import render
from berth.ui.page import Page

_CODESPACES = f"{ORGANIZATION}/codespaces"
_CODESPACE = _CODESPACES + "/{username}/{name}"


async def list_all(page: Page) -> Response:
    """`?user=`: only that person's."""
    part, user = page.list_page, page.query("user").strip()
    try:
        views, total = await page.services.organization_codespaces.list_all(
            page.user, page.path("org"), user or None, limit=part.limit, offset=part.offset
        )
    except NotFound:
        if not user:
            raise
        views, total = [], 0
    return await render(page, "organization_codespaces.html", views=views, total=total, user=user)


async def stop(page: Page) -> Response:
    org = page.path("org")
    await page.services.organization_codespaces.stop(page.user, org, page.path("username"), page.path("name"))
    return page.redirect(f"/orgs/{org}/codespaces", "The codespace is stopping.")


async def ask_delete(page: Page) -> Response:
    org = page.path("org")
    view = await page.services.organization_codespaces.get(page.user, org, page.path("username"), page.path("name"))
    name, login = view.codespace.name, view.owner.login
    return await page.confirm(
        title=f"Delete {view.codespace.display_name or name}",
        text=f"All that {login} has in {name} goes, also what was not pushed. This cannot be undone.",
        action=f"/orgs/{org}/codespaces/{login}/{name}/delete",
        button="Delete the codespace",
        back=f"/orgs/{org}/codespaces",
    )


async def delete(page: Page) -> Response:
    org = page.path("org")
    await page.services.organization_codespaces.delete(page.user, org, page.path("username"), page.path("name"))
    return page.redirect(f"/orgs/{org}/codespaces", "The codespace is being deleted.")


ROUTES: tuple[Route, ...] = (
    Route("GET", _CODESPACES, list_all),
    Route("POST", f"{_CODESPACE}/stop", stop),
    Route("GET", f"{_CODESPACE}/delete", ask_delete),
    Route("POST", f"{_CODESPACE}/delete", delete),
)
