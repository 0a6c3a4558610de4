"""Signing in and out, and the sessions that one has."""

from urllib.parse import urlsplit

from starlette.responses import Response

from berth.domain.problem import Denied, LimitReached, Unauthenticated
from berth.ui.app import Route
from berth.ui.page import Page

_MAX_RETURN_TO = 1000


def safe_return_to(text: str) -> str:
    """A path of ours to go on to; `/` for what leads, or could be read to lead, anywhere else.

    Browsers take a backslash for `/`, and drop tabs and line ends: one of these after the first `/` begins another host.
    Source: WHATWG, "URL", basic URL parser.
    """
    if not text.startswith("/") or text.startswith("//") or len(text) > _MAX_RETURN_TO:
        return "/"
    if "\\" in text or any(ord(letter) < 33 or ord(letter) == 127 for letter in text):
        return "/"
    parts = urlsplit(text)
    return "/" if parts.scheme or parts.netloc or parts.path in {"/login", "/logout"} else text


async def login(page: Page) -> Response:
    if page.known is not None:
        return page.redirect(safe_return_to(page.query("return_to")))
    return await page.render(
        "login.html",
        return_to=safe_return_to(page.query("return_to")),
        signed_out="signed_out" in page.request.query_params,
    )


async def sign_in(page: Page) -> Response:
    form = page.form
    return_to = safe_return_to(form.text("return_to"))
    try:
        made = await page.services.sessions.sign_in(
            form.text("login"),
            form.secret("password"),
            page.visitor,
            replaces=None if page.known is None else page.known.session,
        )
    except (Unauthenticated, Denied, LimitReached) as problem:
        return await page.render("login.html", problem=problem, return_to=return_to, signed_out=False)
    return page.begin_session(made.value, return_to)


async def sign_out(page: Page) -> Response:
    if page.known is not None:
        await page.services.sessions.sign_out(page.known)
    return page.end_session("/login?signed_out")


async def list_own(page: Page) -> Response:
    part = page.list_page
    sessions, total = await page.services.sessions.list_own(page.user, limit=part.limit, offset=part.offset)
    return await page.render("sessions.html", sessions=sessions, total=total)


async def end(page: Page) -> Response:
    await page.services.sessions.end_own(page.user, page.path_id("id"))
    return page.redirect("/settings/sessions", "The session was ended.")


async def ask_end_all(page: Page) -> Response:
    return await page.confirm(
        title="Sign out everywhere",
        text="Every browser that is signed in as you has to sign in again, this one too. Tokens go on.",
        action="/settings/sessions/end",
        button="Sign out everywhere",
        back="/settings/sessions",
    )


async def end_all(page: Page) -> Response:
    await page.services.sessions.end_all_own(page.user)
    return page.end_session("/login?signed_out")


ROUTES: tuple[Route, ...] = (
    Route("GET", "/login", login, anonymous=True),
    Route("POST", "/login", sign_in, anonymous=True),
    Route("POST", "/logout", sign_out, anonymous=True),
    Route("GET", "/settings/sessions", list_own),
    Route("POST", "/settings/sessions/{id}/end", end),
    Route("GET", "/settings/sessions/end", ask_end_all),
    Route("POST", "/settings/sessions/end", end_all),
)
