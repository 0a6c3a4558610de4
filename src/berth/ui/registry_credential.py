"""What a repository's codespaces are logged in to, and why: the person's own codespaces."""

from urllib.parse import quote, urlencode

from starlette.responses import Response

from berth.domain.problem import NotFound, Problem
from berth.domain.registry_credential import CredentialSource
from berth.domain.secret import SecretLevel
from berth.services.registry_credential import RegistryList
from berth.services.secret_access import SecretPlace
from berth.ui.page import Page
from berth.ui.secret_place import NO_PREFIX, REGISTRIES, place_of, render


def path_of_login(level: SecretLevel, prefix: str, repository: str, below: str = "") -> str:
    """The page of a stored login of a level, seen from this repository; without `below` the list that it stands in."""
    owner, _, name = repository.partition("/")
    given = {"org": quote(owner, safe=""), "owner": quote(owner, safe=""), "repo": quote(name, safe="")}
    base = REGISTRIES[level].format_map(given)
    return f"{base}/{prefix or NO_PREFIX}/{below}" if below else base


_NOTHING = RegistryList(entries=(), unshared=(), withheld_reason="")


async def show_used(page: Page) -> Response:
    """`/registries?repo=owner/name`. What is hidden and what is missing is one answer (A13)."""
    full_name = page.query("repo").strip()
    owner, _, name = full_name.partition("/")
    try:
        found = await page.services.registry_credentials.list_for(page.user, owner, name)
    except NotFound:
        former = await page.services.former_names.find(page.user, owner, name)
        if former is not None:
            return page.redirect(f"/registries?{urlencode({'repo': former.repository.full_name})}")
        problem = NotFound(
            "There is no such repository, or you may not see it.",
            code="repository.not_found",
            remedy="Write it as owner/name.",
        )
        return await _render(page, full_name, _NOTHING, problem)
    return await _render(page, full_name, found, None)


async def _render(page: Page, full_name: str, found: RegistryList, problem: Problem | None) -> Response:
    kept = {} if problem is not None else {level: await may_keep(page, level, full_name) for level in SecretLevel}

    def where(source: CredentialSource, below: str = "") -> str:
        """The page of a login at its level; empty where this person has none."""
        level = SecretLevel(source.level or SecretLevel.USER)
        if not kept[level] and (below or level is SecretLevel.ORGANIZATION):
            return ""
        return path_of_login(level, source.prefix, full_name, below)

    return await render(
        page,
        place_of(page, SecretLevel.USER),
        "registries_used.html",
        problem=problem,
        full_name=full_name,
        found=found,
        where=where,
    )


async def may_keep(page: Page, level: SecretLevel, repository: str) -> bool:
    """Whether this person may change the secrets of that level, seen from this repository."""
    if level is SecretLevel.USER:
        return True
    owner, _, name = repository.partition("/")
    place = SecretPlace(level=level, owner=owner, repository=name if level is SecretLevel.REPOSITORY else "")
    try:
        return await page.services.secret_groups.may_manage(page.user, place)
    except NotFound:  # a user's account is no organization
        return False
