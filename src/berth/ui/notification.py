"""Settings → Notifications: credentials that end soon, or could not be renewed."""

from starlette.responses import Response

from berth.ui.app import Route
from berth.ui.console import NOTIFICATIONS
from berth.ui.page import Page


async def list_own(page: Page) -> Response:
    return await page.render("notifications.html", own=await page.services.notifications.list_own(page.user))


ROUTES: tuple[Route, ...] = (Route("GET", NOTIFICATIONS, list_own),)
