"""One request for a page: who asks, what was sent, and how it is answered. Handlers get a Page and return a Response."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from urllib.parse import quote

from markupsafe import Markup
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from berth.domain.access import Subject
from berth.domain.account import Account
from berth.domain.identity import Flow, parse_flow
from berth.domain.problem import Problem, Unauthenticated
from berth.domain.secret_text import SecretText
from berth.domain.session import RANDOM_BYTES, Visitor, derive, is_derived, make_value
from berth.edge.asked import Asked, ListPage, parse_list_page
from berth.edge.problem_status import status_of
from berth.edge.timestamp import timestamp
from berth.services.session import KnownSession
from berth.ui.console import NAVIGATION, NOTIFICATIONS, ORGANIZATION, SETTINGS, Console, Entry
from berth.ui.form import Form
from berth.ui.templates import format_ago

_MOST_ORGANIZATIONS = 20  # in the menu
_TO_THE_MINUTE = "%Y-%m-%d %H:%M UTC"


def visitor_of(request: HTTPConnection) -> Visitor:
    """Where it came from."""
    agent = request.headers.get("user-agent", "").replace("\0", "")
    return Visitor(address="" if request.client is None else request.client.host, user_agent=agent)


async def find_session(console: Console, request: HTTPConnection) -> tuple[KnownSession | None, SecretText | None]:
    """The session that its cookie names, if that holds; and what the cookie says."""
    value = console.cookies(request).session(request)
    known = None if value is None else await console.services.sessions.find(value, visitor_of(request))
    return known, value


class Page(Asked):
    """A request with everything that a handler and its template need."""

    def __init__(
        self, console: Console, request: Request, known: KnownSession | None, value: SecretText | None
    ) -> None:
        super().__init__(request, console.services, None if known is None else known.subject)
        self.console = console
        self.known = known
        self.form = Form()
        self.organizations: list[Account] = []  # for the menu
        self.notifications = 0  # how many there are
        self._cookies = console.cookies(request)
        visit = self._cookies.visit(request)
        self._new_visit: SecretText | None = None
        if known is not None and value is not None:
            self._key = value
        else:
            if visit is None:
                visit = self._new_visit = make_value(console.entropy.token_bytes(RANDOM_BYTES))
            self._key = visit
        self.remark = self._cookies.remark(request, self._key)

    # Who asks, and for what

    @property
    def session(self) -> KnownSession:
        """The session, which there must be. Raises Unauthenticated."""
        if self.known is None:
            raise Unauthenticated("Sign in first.")
        return self.known

    @property
    def user(self) -> Subject:
        """The caller, who must be signed in. Raises Unauthenticated."""
        return self.session.subject

    @property
    def visitor(self) -> Visitor:
        return visitor_of(self.request)

    @property
    def now(self) -> datetime:
        return self.console.clock.now()

    @property
    def list_page(self) -> ListPage:
        """Which part of its list this page shows: `?page=`."""
        return parse_list_page(self.query("page"))

    # What templates ask

    @property
    def form_word(self) -> str:
        """What a form sends along to show that this page made it."""
        return derive(self._key, "form")

    def has_made(self, form_word: str) -> bool:
        """Whether one of our pages made this form for this browser."""
        return is_derived(form_word, self._key, "form")

    @property
    def provider_host(self) -> str | None:
        """Where people can sign in beside here."""
        return self.services.identities.provider_host

    @property
    def navigation(self) -> list[Entry]:
        return self.console.entries(NAVIGATION, site_admin=self.subject is not None and self.subject.site_admin)

    @property
    def settings(self) -> list[Entry]:
        return self.console.entries(SETTINGS, site_admin=self.subject is not None and self.subject.site_admin)

    def is_here(self, path: str) -> bool:
        """Whether this page is there or below."""
        return self.here == path or self.here.startswith(f"{path}/")

    @property
    def section(self) -> str:
        """The path of the line of the navigation that this page belongs to; "/settings" too, and empty for none."""
        for entry in self.navigation:
            if self.is_here(entry.path) or (entry.also and self.is_here(entry.also)):
                return entry.path
        return "/settings" if self.is_here("/settings") else ""

    def ago(self, at: datetime | None, otherwise: str = "never") -> Markup:
        """A time as an element: how long ago, and on asking when."""
        if at is None:
            return Markup("{}").format(otherwise)
        title = at.strftime(_TO_THE_MINUTE)
        return Markup('<time datetime="{}" title="{}">{}</time>').format(timestamp(at), title, format_ago(at, self.now))

    def at(self, time: datetime) -> Markup:
        """A time as an element: when, to the minute, for who has to compare."""
        return Markup('<time datetime="{}">{}</time>').format(timestamp(time), time.strftime(_TO_THE_MINUTE))

    def url_of_page(self, number: int) -> str:
        return f"{quote(self.here)}?{self.query_of_page(number)}"

    # How it is answered

    async def render(
        self, template: str, *, status: int = 200, problem: Problem | None = None, **values: Any
    ) -> Response:
        """A page. With a problem, the same form again: what was typed is still in it, and the problem where it belongs."""
        if self.subject is not None and ORGANIZATION in self.console.paths:
            self.organizations, _total = await self.services.accounts.list_own_organizations(
                self.subject, limit=_MOST_ORGANIZATIONS, offset=0
            )
        if self.subject is not None and NOTIFICATIONS in self.console.paths:
            self.notifications = await self.services.notifications.count_own(self.subject)
        html = self.console.templates.get_template(template).render(page=self, problem=problem, **values)
        response = HTMLResponse(html, status if problem is None else status_of(problem))
        self._set_visit(response)
        self._cookies.end_remark(self.request, response)
        return response

    def _set_visit(self, response: Response) -> None:
        if self._new_visit is not None:
            self._cookies.set_visit(response, self._new_visit)

    async def confirm(
        self,
        *,
        title: str,
        text: str,
        action: str,
        button: str,
        back: str,
        typed: str = "",
        is_harmless: bool = False,
        problem: Problem | None = None,
    ) -> Response:
        """A page that asks once more; its form posts to `action`. `typed`: what has to be typed for it, in the field `typed`.

        `is_harmless`: nothing is lost by it, so nothing warns.
        """
        values: dict[str, Any] = {
            "title": title,
            "text": text,
            "action": action,
            "button": button,
            "back": back,
            "typed": typed,
            "is_harmless": is_harmless,
        }
        return await self.render("confirm.html", problem=problem, **values)

    def redirect(self, path: str, remark: str = "") -> Response:
        """To another page of ours; `remark` is said there, once. After a form: nobody sends it twice by reloading."""
        response = RedirectResponse(path, 303)
        if remark:
            self._cookies.set_remark(response, self._key, remark)
        return response

    def begin_session(self, value: SecretText, path: str, remark: str = "") -> Response:
        """The browser of somebody who has just signed in."""
        response = RedirectResponse(path, 303)
        self._cookies.set_session(response, value)
        if remark:
            self._cookies.set_remark(response, value, remark)
        return response

    def begin_flow(self, response: Response, flow: Flow) -> Response:
        """The browser of somebody who is on his way to the provider."""
        self._set_visit(response)
        self._cookies.set_flow(response, self._key, flow.to_text())
        return response

    def find_flow(self) -> Flow | None:
        """What this browser began in this session."""
        return parse_flow(self._cookies.flow(self.request, self._key))

    def end_flow(self, response: Response) -> Response:
        self._cookies.end_flow(response)
        return response

    def end_session(self, path: str) -> Response:
        response = RedirectResponse(path, 303)
        self._cookies.end_session(response)
        return response


Handler = Callable[[Page], Awaitable[Response]]
