"""Setting a password by an invitation's link, and changing one's own in Settings → Account."""

from starlette.responses import Response

from berth.domain.problem import Invalid, LimitReached
from berth.domain.secret_text import SecretText
from berth.ui import account
from berth.ui.app import Route
from berth.ui.form import Form
from berth.ui.page import Page

PATH = "/login/invitation"


async def invitation(page: Page) -> Response:
    invited = await page.services.passwords.find_invited(SecretText(page.path("value")))
    return await page.render("invitation.html", account=invited)


async def accept(page: Page) -> Response:
    value = SecretText(page.path("value"))
    invited = await page.services.passwords.find_invited(value)
    try:
        _check_again(page.form)
        made = await page.services.passwords.accept(
            value,
            page.form.secret("password"),
            page.visitor,
            replaces=None if page.known is None else page.known.session,
        )
    except Invalid as problem:
        return await page.render("invitation.html", problem=problem, account=invited)
    return page.begin_session(made.value, "/")


async def change(page: Page) -> Response:
    form = page.form
    try:
        _check_again(form)
        made = await page.services.passwords.change_own(
            page.user, form.secret("old"), form.secret("password"), page.visitor, replaces=page.session.session
        )
    except (Invalid, LimitReached) as problem:
        return await account.show(page, problem)
    return page.begin_session(made.value, account.PATH, "The password was changed. You are signed out everywhere else.")


def _check_again(form: Form) -> None:
    if form.secret("password") != form.secret("again"):
        raise Invalid("The two passwords differ.", field="again", code="password.differ")


ROUTES: tuple[Route, ...] = (
    Route("GET", PATH + "/{value}", invitation, anonymous=True),
    Route("POST", PATH + "/{value}", accept, anonymous=True),
    Route("POST", f"{account.PATH}/password", change),
)
