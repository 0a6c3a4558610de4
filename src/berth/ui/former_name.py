"""Pages of a repository that is called otherwise now send people on (edge/former_name.py); a form is sent again as it was."""

from urllib.parse import quote

from starlette.responses import RedirectResponse, Response

from berth.domain.repository import Repository
from berth.edge import former_name
from berth.ui.page import Handler, Page


def follow(handler: Handler) -> Handler:
    """Its path begins with `/{owner}/{repo}`."""
    return former_name.follow(handler, _moved)


def _moved(page: Page, repository: Repository, status: int) -> Response:
    below = quote(page.here.removeprefix(f"/{page.path('owner')}/{page.path('repo')}"))
    query = page.request.url.query
    return RedirectResponse(f"/{repository.full_name}{below}{'?' if query else ''}{query}", status)
