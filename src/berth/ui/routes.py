"""Every page of the console, in one table. The first path that fits answers: what is fixed stands before what is not."""

from berth.ui import access_token, home, password, session
from berth.ui.app import Route

ROUTES: tuple[Route, ...] = (
    *home.ROUTES,
    *session.ROUTES,
    *password.ROUTES,
    *access_token.ROUTES,
)
