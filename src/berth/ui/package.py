"""Packages: the lists, a package's page with its versions, deletion and restoring. Settings: `ui/package_settings.py`."""

from typing import Any

from starlette.responses import Response

from berth.domain.account import AccountType
from berth.domain.package import RESTORE_WITHIN, parse_visibility
from berth.domain.problem import Invalid, Problem
from berth.domain.repository import Visibility, parse_full_name
from berth.edge.asked import parse_id
from berth.services.package_version import VersionView
from berth.ui import organization
from berth.ui.app import Route
from berth.ui.package_place import BELOW, PACKAGE, host_of, name_of, path_of, place_of
from berth.ui.page import Page

_SHOWN = {"tagged": True, "untagged": False, "all": None}  # the rest: deleted
_DAYS = RESTORE_WITHIN.days


async def list_own(page: Page) -> Response:
    """Of the reader and his organizations; `repository` shows those that are linked to one."""
    part, repository, text = page.list_page, page.query("repository").strip(), page.query("q").strip()
    if repository:
        owner, name = parse_full_name(repository)
        found, total = await page.services.packages.list_linked(
            page.user, owner, name, limit=part.limit, offset=part.offset
        )
    else:
        found, total = await page.services.packages.list_own(
            page.user, text, _visibility(page), limit=part.limit, offset=part.offset
        )
    return await page.render(
        "packages.html",
        frame="plain_frame.html",
        packages=found,
        total=total,
        owner="",
        repository=repository,
        text=text,
        action=page.here,
    )


async def list_of_user(page: Page) -> Response:
    return await _list_of(page, page.path("login"), None)


async def list_of_organization(page: Page) -> Response:
    return await _list_of(page, page.path("org"), AccountType.ORGANIZATION)


async def _list_of(page: Page, owner: str, kind: AccountType | None) -> Response:
    part = page.list_page
    found, total = await page.services.packages.list_of(
        page.user, owner, kind, _visibility(page), limit=part.limit, offset=part.offset
    )
    values: dict[str, Any] = {"packages": found, "total": total, "owner": owner, "repository": "", "text": ""}
    if kind is AccountType.ORGANIZATION:
        return await organization.render(page, "packages.html", frame="organization.html", action=page.here, **values)
    return await page.render("packages.html", frame="plain_frame.html", action=page.here, **values)


def _visibility(page: Page) -> Visibility | None:
    word = page.query("visibility")
    return parse_visibility(word) if word else None


async def list_deleted(page: Page) -> Response:
    part = page.list_page
    found, total = await page.services.packages.list_deleted(page.user, limit=part.limit, offset=part.offset)
    return await page.render("packages_deleted.html", packages=found, total=total, ends_after=RESTORE_WITHIN)


async def show(page: Page) -> Response:
    """A package: how it is pulled, what its newest version holds, and its versions."""
    place, part, shown = place_of(page), page.list_page, page.query("versions", "tagged")
    view = await page.services.packages.get(page.user, place)
    actions = await page.services.packages.list_actions(page.user, place)
    deleted: list[VersionView] = []
    newest = None
    if shown in _SHOWN:
        versions, total = await page.services.package_contents.list_versions(
            page.user, place, tagged=_SHOWN[shown], limit=part.limit, offset=part.offset
        )
        if shown == "tagged" and part.number == 1 and versions:
            newest = await page.services.package_contents.describe(page.user, place, versions[0].version.id)
    else:
        versions = []
        deleted, total = await page.services.package_versions.list_versions(
            page.user, place, deleted=True, limit=part.limit, offset=part.offset
        )
    return await page.render(
        "package.html",
        view=view,
        actions=actions,
        base=path_of(name_of(page)),
        image=f"{host_of(page)}/{view.package.full_name}",
        shown=shown if shown in _SHOWN else "deleted",
        versions=versions,
        deleted=deleted,
        total=total,
        newest=newest,
        restore_days=_DAYS,
    )


async def show_version(page: Page) -> Response:
    place = place_of(page)
    view = await page.services.packages.get(page.user, place)
    described = await page.services.package_contents.describe(page.user, place, page.path_id("id"))
    actions = await page.services.packages.list_actions(page.user, place)
    return await page.render(
        "package_version.html",
        package=view.package,
        described=described,
        actions=actions,
        base=path_of(name_of(page)),
        image=f"{host_of(page)}/{view.package.full_name}",
    )


async def ask_delete_version(page: Page) -> Response:
    view = await page.services.package_versions.get(page.user, place_of(page), page.path_id("id"))
    return await _confirm_delete_version(page, view)


async def _confirm_delete_version(page: Page, view: VersionView, problem: Problem | None = None) -> Response:
    base = path_of(name_of(page))
    tags = ", ".join(view.version.tags[:10]) or "none"
    return await page.confirm(
        title="Delete this version",
        text=(
            f"{view.package.full_name}@{view.version.digest} (tags: {tags}) cannot be pulled any more. "
            f"It can be restored for {_DAYS} days."
        ),
        action=f"{base}/-/versions/{view.version.id}/delete",
        button="Delete the version",
        back=f"{base}/-/versions/{view.version.id}",
        problem=problem,
    )


async def delete_version(page: Page) -> Response:
    place, version_id = place_of(page), page.path_id("id")
    try:
        await page.services.package_versions.delete(page.user, place, version_id)
    except Invalid as problem:
        view = await page.services.package_versions.get(page.user, place, version_id)
        return await _confirm_delete_version(page, view, problem)
    return page.redirect(path_of(name_of(page)), f"The version was deleted. It can be restored for {_DAYS} days.")


async def restore_version(page: Page) -> Response:
    await page.services.package_versions.restore(page.user, place_of(page), page.path_id("id"))
    return page.redirect(f"{path_of(name_of(page))}/-/versions/{page.path_id('id')}", "The version was restored.")


async def ask_delete(page: Page, problem: Problem | None = None) -> Response:
    package = (await page.services.package_settings.get(page.user, place_of(page))).package
    base = path_of(name_of(page))
    return await page.confirm(
        title="Delete this package",
        text=(
            f"{package.full_name} with all its versions cannot be pulled any more. It can be restored for {_DAYS} days, "
            "unless somebody takes its name: that is free at once."
        ),
        action=f"{base}/-/delete",
        button="Delete the package",
        back=f"{base}/-/settings",
        typed=package.full_name,
        problem=problem,
    )


async def delete(page: Page) -> Response:
    name = name_of(page)
    if page.form.text("typed") != str(name):
        return await ask_delete(page, not_typed(str(name)))
    await page.services.packages.delete(page.user, place_of(page))
    return page.redirect(f"{path_of(name)}/-/restore", f"{name} was deleted.")


async def ask_restore(page: Page) -> Response:
    """The same for everybody, whatever there was (A13)."""
    name = name_of(page)
    return await page.confirm(
        title="Restore a deleted package",
        text=(
            f"Whoever administered {name} can restore it for {_DAYS} days after it was deleted, while its name is free. "
            "It comes back as it was, with its versions, grants and lists."
        ),
        action=f"{path_of(name)}/-/restore",
        button="Restore the package",
        back="/packages",
        is_harmless=True,
    )


async def restore(page: Page) -> Response:
    """`package_id` says which one, where several deleted packages had this name; else it is the last one."""
    text = page.form.text("package_id")
    package_id = parse_id(text) if text else None
    await page.services.packages.restore(page.user, place_of(page), package_id)
    return page.redirect(path_of(name_of(page)), "The package was restored.")


def not_typed(name: str) -> Invalid:
    """What was typed to confirm is not that name."""
    return Invalid(f"Type {name}, exactly so.", field="typed", code="request.invalid")


ROUTES: tuple[Route, ...] = (
    Route("GET", "/packages", list_own),
    Route("GET", "/packages/deleted", list_deleted),
    Route("GET", "/users/{login}/packages", list_of_user),
    Route("GET", "/orgs/{org}/packages", list_of_organization),
    Route("GET", f"{BELOW}/versions/{{id}}", show_version),
    Route("GET", f"{BELOW}/versions/{{id}}/delete", ask_delete_version),
    Route("POST", f"{BELOW}/versions/{{id}}/delete", delete_version),
    Route("POST", f"{BELOW}/versions/{{id}}/restore", restore_version),
    Route("GET", f"{BELOW}/delete", ask_delete),
    Route("POST", f"{BELOW}/delete", delete),
    Route("GET", f"{BELOW}/restore", ask_restore),
    Route("POST", f"{BELOW}/restore", restore),
    Route("GET", PACKAGE, show),  # the last: a name holds any number of `/`
)
