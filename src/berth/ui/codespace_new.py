"""A new codespace: first the repository, then what else there is to choose, each as a page of its own."""

from dataclasses import dataclass

from starlette.responses import Response

from berth.domain.access import Action
from berth.domain.dev_container_list import DevContainerEntry
from berth.domain.image_reference import ImageReference, parse_image_reference
from berth.domain.problem import Conflict, Denied, Invalid, LimitReached, NotFound, Problem
from berth.domain.pull_request import PullRequest
from berth.domain.repository import Repository
from berth.domain.whole_number import parse_whole_number
from berth.edge.asked import parse_id
from berth.services.codespace_request import CodespaceRequest
from berth.services.registry_credential import RegistryEntry, RegistryList
from berth.ui.app import Route
from berth.ui.codespace import PATH
from berth.ui.page import Page

_NEW = f"{PATH}/new"
_MOST_OFFERED = 30
_MOST_BRANCHES = 100  # are suggested; any other can be typed


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """A configuration to choose, and what its image is opened with."""

    entry: DevContainerEntry
    host: str = ""  # of the image, if that is known
    login: RegistryEntry | None = None


async def new(page: Page) -> Response:
    asked = page.query("repo").strip()
    owner, _, name = asked.partition("/")
    if not name:
        return await _choose_repository(page, asked)
    try:
        repository = await page.services.repositories.get(page.user, owner, name, Action.READ)
    except NotFound:
        problem = Invalid("There is no such repository, or you may not see it.", field="repo")
        return await _choose_repository(page, asked, problem)
    try:
        pull_request = await _find_pull_request(page, repository, page.query("pull"))
        return await _choose_rest(page, repository, page.query("ref").strip(), pull_request)
    except NotFound:
        problem = Invalid(
            "It has no such branch, tag, commit or pull request. This is its default branch.", field="ref"
        )
        return await _choose_rest(page, repository, "", None, problem)


async def _choose_repository(page: Page, asked: str, problem: Problem | None = None) -> Response:
    if asked and problem is None:
        found, total = await page.services.repositories.search(page.user, asked, limit=_MOST_OFFERED, offset=0)
    else:
        found, total = await page.services.repositories.list_own(page.user, limit=_MOST_OFFERED, offset=0)
    return await page.render("codespace_repository.html", problem=problem, asked=asked, views=found, total=total)


async def _find_pull_request(page: Page, repository: Repository, text: str) -> PullRequest | None:
    """Raises NotFound."""
    if not text:
        return None
    owner, name = repository.owner_login, repository.name
    found = await page.services.pull_requests.get(page.user, owner, name, parse_id(text))
    return found.pull_request


async def _choose_rest(
    page: Page, repository: Repository, ref: str, pull_request: PullRequest | None, problem: Problem | None = None
) -> Response:
    """Raises NotFound for an unknown ref."""
    owner, name = repository.owner_login, repository.name
    services = page.services
    refusal: Problem | None = None
    try:
        await services.codespace_access.require(page.user, repository)
    except Denied as denied:
        refusal = denied
    ref = pull_request.codespace_ref if pull_request is not None else ref or repository.default_branch
    entries, total = await services.dev_containers.list_for(
        repository, "" if ref == repository.default_branch else ref, limit=_MOST_OFFERED, offset=0
    )
    registries = await services.registry_credentials.list_for(page.user, owner, name)
    pulls, _ = await services.pull_requests.list_of(page.user, owner, name, "open", limit=_MOST_OFFERED, offset=0)
    branches = await services.dev_containers.list_branches(repository)
    return await page.render(
        "codespace_new.html",
        problem=problem,
        refusal=refusal,
        repository=repository,
        ref=ref,
        pull_request=pull_request,
        pulls=[view.pull_request for view in pulls],
        branches=_with(branches[:_MOST_BRANCHES], "" if pull_request else ref),
        offered=[_offer(entry, registries) for entry in entries],
        unshown=total - len(entries),
        is_empty=not branches and pull_request is None,
        machines=services.codespaces.list_machines_of_repository(repository),
        registries=registries,
    )


def _with(branches: tuple[str, ...], ref: str) -> tuple[str, ...]:
    """What was chosen is among what is offered."""
    return branches if not ref or ref in branches else (ref, *branches)


def _offer(entry: DevContainerEntry, registries: RegistryList) -> Offered:
    image = _parse_image(entry.image)
    if image is None:
        return Offered(entry=entry)
    return Offered(entry=entry, host=image.host, login=registries.find(image))


def _parse_image(text: str | None) -> ImageReference | None:
    try:
        return None if text is None else parse_image_reference(text)
    except Invalid:
        return None  # its launch says what is wrong with it


async def create(page: Page) -> Response:
    form = page.form
    owner, _, name = form.text("repo").partition("/")
    repository = await page.services.repositories.get(page.user, owner, name, Action.READ)
    pull_request = await _find_pull_request(page, repository, form.text("pull"))
    try:
        view = await page.services.codespaces.create(
            page.user,
            repository,
            CodespaceRequest(
                ref=form.text("ref") or None,
                devcontainer_path=form.text("configuration") or None,
                display_name=form.text("display_name") or None,
                machine=form.text("machine") or None,
                idle_timeout_minutes=_minutes(form.text("idle_timeout_minutes"), "idle_timeout_minutes"),
                retention_period_minutes=_minutes(form.text("retention_period_minutes"), "retention_period_minutes"),
                pull_request=pull_request,
            ),
        )
    except (Invalid, LimitReached, Denied, Conflict) as problem:
        if isinstance(problem, Invalid) and problem.field == "ref":
            return await _choose_rest(page, repository, "", None, problem)
        return await _choose_rest(page, repository, form.text("ref"), pull_request, problem)
    return page.redirect(f"{PATH}/{view.codespace.name}")


def _minutes(text: str, field: str) -> int | None:
    """None where nothing was typed. Raises Invalid."""
    if not text:
        return None
    number = parse_whole_number(text)
    if number is None:
        raise Invalid("That is no number of minutes.", field=field, code="codespace.minutes")
    return number


ROUTES: tuple[Route, ...] = (
    Route("GET", _NEW, new),
    Route("POST", PATH, create),
)
