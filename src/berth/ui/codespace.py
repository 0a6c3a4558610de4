"""Codespaces: the list, one of them with what can be done with it."""

from collections.abc import Awaitable

from starlette.responses import Response

from berth.domain.access import Action
from berth.domain.codespace import Rebuild
from berth.domain.finding import Finding
from berth.domain.lifecycle import State
from berth.domain.problem import Conflict, Denied, Invalid, NotFound, Problem
from berth.services.codespace_export import CodespaceExportView
from berth.services.codespace_view import CodespaceView
from berth.ui.app import Route
from berth.ui.codespace_log import phases_of
from berth.ui.finding import Step, next_steps
from berth.ui.page import Page

PATH = "/codespaces"
_ABOUT_IMAGES = frozenset({"image", "registry", "credential", "ecr", "package", "feature"})  # what the doctor examines
_LOST = "container.lost"  # starting again would not mend it


async def list_own(page: Page) -> Response:
    """All of them, or with `?repo=owner/name` those of one repository."""
    repository = None
    problem: Problem | None = None
    owner, _, name = page.query("repo").strip().partition("/")
    if owner:
        try:
            repository = await page.services.repositories.get(page.user, owner, name, Action.READ)
        except NotFound:
            problem = Invalid("There is no such repository, or you may not see it.", field="repo")
    part = page.list_page
    views, total = await page.services.codespaces.list_own(
        page.user, None if repository is None else repository.id, limit=part.limit, offset=part.offset
    )
    return await page.render("codespaces.html", problem=problem, views=views, total=total, repository=repository)


async def show(page: Page, problem: Problem | None = None) -> Response:
    view = await page.services.codespaces.get(page.user, page.path("name"))
    log = await page.services.codespaces.read_log_end(view)
    finding = view.codespace.finding
    image = await _find_image(page, view, finding)
    return await page.render(
        "codespace.html",
        problem=problem,
        view=view,
        codespace=view.codespace,
        repository=view.shown_repository,
        log=phases_of(log),
        last_id=log[-1].id if log else 0,
        export=await _find_export(page, view),
        finding=finding,
        image=image,
        steps=await _steps(page, view, image),
        about_images=finding is not None and finding.code.partition(".")[0] in _ABOUT_IMAGES,
        is_lost=finding is not None and finding.code == _LOST,
        may_start=view.codespace.state in {State.SHUTDOWN, State.FAILED},
        may_stop=view.codespace.state not in {State.SHUTDOWN, State.SHUTTING_DOWN, State.FAILED},
    )


async def _find_export(page: Page, view: CodespaceView) -> CodespaceExportView | None:
    try:
        return await page.services.codespace_exports.get(page.user, view.codespace.name, None)
    except NotFound:
        return None


async def _steps(page: Page, view: CodespaceView, image: str) -> list[Step]:
    finding = view.codespace.finding
    if finding is None or not view.is_readable:
        return []
    back = f"{PATH}/{view.codespace.name}"
    return await next_steps(page, finding, view.repository.full_name, image, back=back)


async def _find_image(page: Page, view: CodespaceView, finding: Finding | None) -> str:
    """What the doctor is to look at, where something failed; empty where that is not known."""
    codespace = view.codespace
    if finding is None or not view.is_readable:
        return ""
    if codespace.image_reference:
        return codespace.image_reference
    taken = await page.services.dev_containers.find_taken(view.repository, codespace.ref, codespace.devcontainer_path)
    return "" if taken is None else taken.image or ""


async def start(page: Page) -> Response:
    return await _change(page, page.services.codespaces.start(page.user, page.path("name")), "It starts.")


async def stop(page: Page) -> Response:
    return await _change(page, page.services.codespaces.stop(page.user, page.path("name")), "It stops; its files stay.")


async def rebuild(page: Page) -> Response:
    how = Rebuild.FULL if page.form.has("full") else Rebuild.CACHED
    asked = page.services.codespaces.rebuild(page.user, page.path("name"), how)
    return await _change(page, asked, "Its container is made anew.")


async def export(page: Page) -> Response:
    branch = page.form.text("branch") or None
    asked = page.services.codespace_exports.start(page.user, page.path("name"), branch)
    return await _change(page, asked, "Its changes go to a branch.")


async def _change(page: Page, asked: Awaitable[object], remark: str) -> Response:
    try:
        await asked
    except (Conflict, Denied, Invalid) as problem:
        return await show(page, problem)
    return page.redirect(f"{PATH}/{page.path('name')}", remark)


async def ask_update(page: Page, problem: Problem | None = None) -> Response:
    view = await page.services.codespaces.get(page.user, page.path("name"))
    machines = await page.services.codespaces.list_machines(page.user, page.path("name"))
    return await page.render(
        "codespace_change.html", problem=problem, view=view, codespace=view.codespace, machines=machines
    )


async def update(page: Page) -> Response:
    name, form = page.path("name"), page.form
    before = (await page.services.codespaces.get(page.user, name)).codespace
    try:
        view = await page.services.codespaces.update(
            page.user,
            name,
            display_name=form.text("display_name"),
            machine=form.text("machine"),
            recent_folders=None,
        )
    except Invalid as problem:
        return await ask_update(page, problem)
    moved = view.codespace.machine != before.machine
    remark = "It was changed; it has the new machine from its next start on." if moved else "It was changed."
    return page.redirect(f"{PATH}/{name}", "Nothing was changed." if view.codespace == before else remark)


async def ask_delete(page: Page) -> Response:
    view = await page.services.codespaces.get(page.user, page.path("name"))
    name = view.codespace.name
    return await page.confirm(
        title=f"Delete {view.codespace.display_name}",
        text=f"{name} and all files in it that were not pushed or exported go. This cannot be undone.",
        action=f"{PATH}/{name}/delete",
        button="Delete the codespace",
        back=f"{PATH}/{name}",
    )


async def delete(page: Page) -> Response:
    await page.services.codespaces.delete(page.user, page.path("name"))
    return page.redirect(PATH, "The codespace was deleted.")


ROUTES: tuple[Route, ...] = (
    Route("GET", PATH, list_own),
    Route("GET", PATH + "/{name}", show),
    Route("POST", PATH + "/{name}/start", start),
    Route("POST", PATH + "/{name}/stop", stop),
    Route("POST", PATH + "/{name}/rebuild", rebuild),
    Route("POST", PATH + "/{name}/export", export),
    Route("GET", PATH + "/{name}/change", ask_update),
    Route("POST", PATH + "/{name}/change", update),
    Route("GET", PATH + "/{name}/delete", ask_delete),
    Route("POST", PATH + "/{name}/delete", delete),
)
