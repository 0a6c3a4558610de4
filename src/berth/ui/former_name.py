"""Pages of a repository that is called otherwise now send people on, if they may read it (A13).

A page by its new address: 301. A form is sent again as it was: 307. A path with a dotted segment leads elsewhere once a
browser has resolved it, so it is not sent on.
"""

from urllib.parse import quote

from starlette.responses import RedirectResponse, Response

from berth.domain.problem import NotFound
from berth.ui.page import Handler, Page


def follow(handler: Handler) -> Handler:
    """The same handler; where it finds nothing, former names are asked. Its path begins with `/{owner}/{repo}`."""

    async def respond(page: Page) -> Response:
        try:
            return await handler(page)
        except NotFound:
            if {".", ".."} & set(page.here.split("/")):
                raise
            owner, name = page.path("owner"), page.path("repo")
            found = await page.services.former_names.find(page.user, owner, name)
            if found is None:
                raise
            return _moved(page, f"/{owner}/{name}", f"/{found.repository.full_name}")

    return respond


def _moved(page: Page, before: str, now: str) -> Response:
    below = quote(page.here.removeprefix(before))
    query = page.request.url.query
    status = 301 if page.request.method in {"GET", "HEAD"} else 307
    return RedirectResponse(f"{now}{below}{'?' if query else ''}{query}", status)
