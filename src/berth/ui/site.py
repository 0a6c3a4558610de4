"""The whole server, for site administrators: its people and organizations, whether it is well, what is under way.

For everybody else none of these pages is there.
"""

from typing import Any

from starlette.responses import Response

from berth.domain.account import Account
from berth.domain.problem import Conflict, Denied, Invalid, NotFound, Problem
from berth.services.password import NewInvitation
from berth.ui.app import Route
from berth.ui.console import SITE_PAGES
from berth.ui.page import Handler, Page

_USERS, _ORGANIZATIONS = "/site/users", "/site/organizations"


def _concealed(handler: Handler) -> Handler:
    """Who is no site administrator learns of no page here."""

    async def answer(page: Page) -> Response:
        try:
            return await handler(page)
        except Denied as problem:
            raise NotFound("Not Found") from problem

    return answer


async def _render(page: Page, template: str, *, problem: Problem | None = None, **values: Any) -> Response:
    entries = page.console.entries(SITE_PAGES, site_admin=True)
    return await page.render(template, problem=problem, entries=entries, **values)


async def overview(page: Page) -> Response:
    part = page.list_page
    view = await page.services.site.view(page.user, limit=part.limit, offset=part.offset)
    return await _render(page, "site.html", view=view, total=view.launches_total)


async def list_users(page: Page) -> Response:
    return await _show_users(page)


async def _show_users(
    page: Page, problem: Problem | None = None, *, made: Account | None = None, invitation: NewInvitation | None = None
) -> Response:
    part = page.list_page
    users, total = await page.services.site.list_users(page.user, limit=part.limit, offset=part.offset)
    link = ""
    if invitation is not None:
        origin = page.console.origin(page.request)
        link = f"{origin}/login/invitation/{invitation.value.reveal()}"
    return await _render(
        page, "site_users.html", problem=problem, users=users, total=total, made=made, invitation=invitation, link=link
    )


async def create_user(page: Page) -> Response:
    """The answer shows the invitation's link: nothing keeps it, so there is no page to send the browser on to."""
    try:
        user = await page.services.accounts.create_user(
            page.user, page.form.text("login"), page.form.text("email") or None
        )
    except Invalid as problem:
        return await _show_users(page, problem)
    invitation = await page.services.passwords.invite(page.user, user.login)
    page.form.fields.clear()
    return await _show_users(page, made=user, invitation=invitation)


async def invite(page: Page) -> Response:
    try:
        invitation = await page.services.passwords.invite(page.user, page.path("username"))
    except Conflict as problem:
        return await _show_users(page, problem)
    return await _show_users(page, invitation=invitation)


async def ask_suspend(page: Page) -> Response:
    user = await page.services.site.get_user(page.user, page.path("username"))
    return await _render(page, "site_user_suspend.html", user=user)


async def suspend(page: Page) -> Response:
    user = await page.services.site.get_user(page.user, page.path("username"))
    try:
        await page.services.suspensions.suspend(page.user, user.login, page.form.text("reason"))
    except (Invalid, Denied, Conflict) as problem:
        return await _render(page, "site_user_suspend.html", problem=problem, user=user)
    return page.redirect(_USERS, f"{user.login} is suspended.")


async def ask_unsuspend(page: Page) -> Response:
    user = await page.services.site.get_user(page.user, page.path("username"))
    return await page.confirm(
        title=f"Unsuspend {user.login}",
        text="The user can sign in again, and all of the user's tokens work again. If somebody else may know them, have the "
        "user set a new password and revoke the tokens.",
        action=f"{_USERS}/{user.login}/unsuspend",
        button="Unsuspend",
        back=_USERS,
    )


async def unsuspend(page: Page) -> Response:
    user = await page.services.suspensions.unsuspend(page.user, page.path("username"))
    return page.redirect(_USERS, f"{user.login} is not suspended any more.")


async def list_organizations(page: Page, problem: Problem | None = None) -> Response:
    part = page.list_page
    found, total = await page.services.site.list_organizations(page.user, limit=part.limit, offset=part.offset)
    return await _render(page, "site_organizations.html", problem=problem, found=found, total=total)


async def create_organization(page: Page) -> Response:
    form = page.form
    try:
        made = await page.services.accounts.create_organization(page.user, form.text("login"), form.text("admin"))
    except Invalid as problem:
        return await list_organizations(page, problem)
    return page.redirect(_ORGANIZATIONS, f"The organization {made.login} was created.")


ROUTES: tuple[Route, ...] = (
    Route("GET", "/site", _concealed(overview)),
    Route("GET", _USERS, _concealed(list_users)),
    Route("POST", _USERS, _concealed(create_user)),
    Route("POST", _USERS + "/{username}/invite", _concealed(invite)),
    Route("GET", _USERS + "/{username}/suspend", _concealed(ask_suspend)),
    Route("POST", _USERS + "/{username}/suspend", _concealed(suspend)),
    Route("GET", _USERS + "/{username}/unsuspend", _concealed(ask_unsuspend)),
    Route("POST", _USERS + "/{username}/unsuspend", _concealed(unsuspend)),
    Route("GET", _ORGANIZATIONS, _concealed(list_organizations)),
    Route("POST", _ORGANIZATIONS, _concealed(create_organization)),
)
