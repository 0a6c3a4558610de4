"""Settings → Account: who one is, and how one signs in."""

from starlette.responses import Response

from berth.domain.problem import Problem
from berth.ui.app import Route
from berth.ui.page import Page

PATH = "/settings/account"


async def show(page: Page, problem: Problem | None = None) -> Response:
    return await page.render(
        "account.html",
        problem=problem,
        own=await page.services.accounts.get_own(page.user),
        has_password=await page.services.passwords.has_own(page.user),
        identities=await page.services.identities.list_own(page.user),
    )


ROUTES: tuple[Route, ...] = (Route("GET", PATH, show),)
