"""An organization's audit log, for its owners: looked through by who, what, to what, and when."""

from urllib.parse import urlencode

from starlette.responses import Response

from berth.domain.audit import parse_audit_filter
from berth.domain.problem import Invalid
from berth.domain.whole_number import parse_whole_number
from berth.edge.asked import PER_PAGE
from berth.ui.app import Route
from berth.ui.console import ORGANIZATION
from berth.ui.organization import render
from berth.ui.page import Page

_FIELDS = ("actor", "action", "target", "since", "until")


async def search(page: Page) -> Response:
    """`?before=` is the id of a row: the page shows what is older than that."""
    asked = {name: page.query(name).strip() for name in _FIELDS}
    before = page.query("before")
    problem = None
    try:
        wanted = parse_audit_filter(
            actor=asked["actor"],
            action=asked["action"],
            target=asked["target"],
            first_day=asked["since"],
            last_day=asked["until"],
        )
    except Invalid as found:
        problem, wanted = found, parse_audit_filter()
    events, has_more = await page.services.audit.search_of_organization(
        page.user,
        page.path("org"),
        wanted,
        before=parse_whole_number(before),
        limit=PER_PAGE,
    )
    filters = {name: value for name, value in asked.items() if value}
    older = f"?{urlencode({**filters, 'before': events[-1].id})}" if has_more else ""
    return await render(
        page,
        "audit.html",
        problem=problem,
        events=[] if problem else events,
        asked=asked,
        older="" if problem else older,
        newest=f"?{urlencode(filters)}" if before else "",
        is_filtered=bool(filters),
    )


ROUTES: tuple[Route, ...] = (Route("GET", f"{ORGANIZATION}/audit", search),)
