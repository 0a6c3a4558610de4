"""A repository's own page: what it is, and where its codespaces, prebuilds, secrets and registries are."""

from starlette.responses import Response

from berth.domain.problem import Denied
from berth.services.prebuild import PrebuildView
from berth.ui.app import Route
from berth.ui.former_name import follow
from berth.ui.page import Page

PATH = "/{owner}/{repo}"
_NEW_CODESPACE = "/codespaces/new"


async def show(page: Page) -> Response:
    view = await page.services.repositories.view(page.user, page.path("owner"), page.path("repo"))
    repository = view.repository
    prebuilds = await _prebuilds(page, repository.owner_login, repository.name)
    manages = prebuilds is not None  # who may write to it sees its prebuilds, secrets and registries
    return await page.render(
        "repository.html",
        repository=repository,
        role=view.role,
        clone_url=f"{page.console.origin(page.request)}/{repository.full_name}.git",
        new_codespace=_NEW_CODESPACE if _NEW_CODESPACE in page.console.paths else "",
        prebuilds=prebuilds or [],
        manages=manages,
    )


async def _prebuilds(page: Page, owner: str, name: str) -> list[PrebuildView] | None:
    """None for who may not see them. There are 20 at most."""
    try:
        found, _total = await page.services.prebuilds.list_of(page.user, owner, name, limit=100, offset=0)
    except Denied:
        return None
    return found


ROUTES: tuple[Route, ...] = (Route("GET", PATH, follow(show)),)
