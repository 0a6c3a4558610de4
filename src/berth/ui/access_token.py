"""Settings → Tokens: personal access tokens; a token's value is shown once."""

from datetime import datetime, timedelta

from starlette.responses import Response

from berth.domain.problem import Denied, Invalid, Problem
from berth.domain.scope import Scope
from berth.domain.whole_number import parse_whole_number
from berth.ui.app import Route
from berth.ui.page import Page

_PATH = "/settings/tokens"
_EXPIRY_DAYS = (7, 30, 60, 90, 365)
_DEFAULT_DAYS = 30


async def list_own(page: Page) -> Response:
    part = page.list_page
    tokens, total = await page.services.access_tokens.list_own(page.user, limit=part.limit, offset=part.offset)
    return await page.render("tokens.html", tokens=tokens, total=total, made=None)


async def new(page: Page, problem: Problem | None = None) -> Response:
    scopes = [scope for scope in Scope if scope in page.user.scopes]
    return await page.render(
        "token_new.html", problem=problem, scopes=scopes, days=_EXPIRY_DAYS, default_days=_DEFAULT_DAYS
    )


async def create(page: Page) -> Response:
    """The answer shows the value: nothing keeps it, so there is no page to send the browser on to."""
    form = page.form
    try:
        expires_at = _expiry(form.text("expires"), page.now)
        made = await page.services.access_tokens.create_own(
            page.user, form.text("note"), form.all("scopes"), expires_at
        )
    except (Invalid, Denied) as problem:
        return await new(page, problem)
    part = page.list_page
    tokens, total = await page.services.access_tokens.list_own(page.user, limit=part.limit, offset=0)
    return await page.render("tokens.html", tokens=tokens, total=total, made=made)


def _expiry(text: str, now: datetime) -> datetime | None:
    if text == "never":
        return None
    days = parse_whole_number(text)
    if days is None or days not in _EXPIRY_DAYS:
        raise Invalid("Choose when the token expires.", field="expires", code="token.expires_at")
    return now + timedelta(days=days)


async def ask_revoke(page: Page) -> Response:
    return await page.confirm(
        title="Revoke this token",
        text="Whatever uses it is refused from then on. This cannot be undone.",
        action=f"{_PATH}/{page.path_id('id')}/revoke",
        button="Revoke the token",
        back=_PATH,
    )


async def revoke(page: Page) -> Response:
    await page.services.access_tokens.revoke_own(page.user, page.path_id("id"))
    return page.redirect(_PATH, "The token was revoked.")


ROUTES: tuple[Route, ...] = (
    Route("GET", _PATH, list_own),
    Route("GET", f"{_PATH}/new", new),
    Route("POST", _PATH, create),
    Route("GET", _PATH + "/{id}/revoke", ask_revoke),
    Route("POST", _PATH + "/{id}/revoke", revoke),
)
