"""The console's first page, and the first of the settings: both lead on."""

from starlette.responses import Response

from berth.ui.app import Route
from berth.ui.page import Page


async def home(page: Page) -> Response:
    """To the first page of the navigation."""
    return page.redirect((page.navigation or page.settings)[0].path)


async def settings(page: Page) -> Response:
    return page.redirect(page.settings[0].path)


ROUTES: tuple[Route, ...] = (
    Route("GET", "/", home),
    Route("GET", "/settings", settings),
)
