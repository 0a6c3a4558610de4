"""Signing in by the administrator's provider, and linking an identity there to one's account (domain/identity.py).

To link is begun by a form of ours, and leads on by a page: a form's own answer may lead nowhere else (`form-action`).
"""

from starlette.responses import RedirectResponse, Response

from berth.domain.identity import Answer, Flow, refused
from berth.domain.problem import Problem
from berth.ui import account
from berth.ui.app import Route
from berth.ui.page import Page
from berth.ui.session import safe_return_to

_LOGIN = "/login/provider"
_ANSWER = f"{_LOGIN}/answer"
_OWN = f"{account.PATH}/identities"


def _redirect_uri(page: Page) -> str:
    return page.console.origin(page.request) + _ANSWER


async def begin_sign_in(page: Page) -> Response:
    return_to = safe_return_to(page.query("return_to"))
    if page.known is not None:
        return page.redirect(return_to)
    flow, address = await page.services.identities.begin(_redirect_uri(page), links=False, return_to=return_to)
    return page.begin_flow(RedirectResponse(address, 303), flow)


async def begin_link(page: Page) -> Response:
    flow, address = await page.services.identities.begin(_redirect_uri(page), links=True)
    return page.begin_flow(await page.render("leave.html", address=address), flow)


async def take_answer(page: Page) -> Response:
    """Where the provider sends the browser back to. Whatever comes of it, the flow is over."""
    try:
        response = await _take(page)
    except Problem as problem:
        response = await page.render("identity_refused.html", problem=problem)
    return page.end_flow(response)


async def _take(page: Page) -> Response:
    answer = Answer(
        state=page.query("state"), code=page.query("code"), error=page.query("error"), issuer=page.query("iss")
    )
    flow = page.find_flow()
    if flow is None:
        raise refused("this browser did not ask for it, or too long ago")
    if flow.links:
        return await _link(page, flow, answer)
    made = await page.services.identities.sign_in(flow, answer, _redirect_uri(page), page.visitor)
    return page.begin_session(made.value, safe_return_to(flow.return_to))


async def _link(page: Page, flow: Flow, answer: Answer) -> Response:
    identity = await page.services.identities.link(page.user, flow, answer, _redirect_uri(page))
    return page.redirect(account.PATH, f"You can sign in as {identity.shown} now.")


async def remove(page: Page) -> Response:
    try:
        await page.services.identities.remove_own(page.user, page.path_id("id"))
    except Problem as problem:
        return await account.show(page, problem)
    return page.redirect(account.PATH, "The link was removed.")


ROUTES: tuple[Route, ...] = (
    Route("GET", _LOGIN, begin_sign_in, anonymous=True),
    Route("GET", _ANSWER, take_answer, anonymous=True),
    Route("POST", _OWN, begin_link),
    Route("POST", _OWN + "/{id}/remove", remove),
)
