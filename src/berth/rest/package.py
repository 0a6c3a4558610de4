"""Packages and their versions. Source: GitHub REST docs, "Packages". Settings: `rest/package_settings.py`."""

from dataclasses import replace

from starlette.responses import Response

from berth.domain.package import parse_visibility
from berth.domain.problem import Invalid
from berth.domain.repository import Visibility
from berth.domain.scope import Scope
from berth.edge.asked import ListPage
from berth.rest.app import Route
from berth.rest.call import Call, json_response, no_content
from berth.rest.package_place import BASES, DELETE, READ, WRITE, Operation, owner_of, package_routes, place_of
from berth.rest.package_views import PACKAGE_TYPE, package_body, version_body

# What GitHub has registries for. We have one, so lists of the others are empty.
_TYPES = frozenset({"npm", "maven", "rubygems", "docker", "nuget", PACKAGE_TYPE})
_STATES = {"active": False, "deleted": True}
# GitHub's bound of per_page * page. Decided: a page is answered if it begins before it, or the last page of a list of
# exactly that many would be refused for being 334 times 30.
_DEEPEST = 10_000


async def list_packages(call: Call) -> Response:
    """Of one account. `package_type` is required."""
    package_type = call.query("package_type")
    if package_type not in _TYPES:
        raise Invalid(f"package_type is one of {', '.join(sorted(_TYPES))}.", code="package.type")
    page = _shallow_page(call)
    visibility = _visibility(call)
    owner, kind = owner_of(call)
    if package_type != PACKAGE_TYPE:
        await call.services.packages.check_owner(owner, kind)
        return json_response([])
    found, total = await call.services.packages.list_of(
        call.user, owner, kind, visibility, limit=page.limit, offset=page.offset
    )
    return call.list_response([package_body(call.links, view) for view in found], total, page)


def _shallow_page(call: Call) -> ListPage:
    page = replace(call.page(), deepest=_DEEPEST)
    if page.offset >= _DEEPEST:
        raise Invalid(f"A list of packages has no page that begins behind its {_DEEPEST}th.", code="package.page")
    return page


def _visibility(call: Call) -> Visibility | None:
    word = call.query("visibility")
    return parse_visibility(word) if word else None


async def list_conflicts(call: Call) -> Response:
    """Packages that could not be moved here from an older registry: there is none."""
    await call.services.packages.check_owner(*owner_of(call))
    return json_response([])


async def get(call: Call) -> Response:
    return json_response(package_body(call.links, await call.services.packages.get(call.user, place_of(call))))


async def delete(call: Call) -> Response:
    await call.services.packages.delete(call.user, place_of(call))
    return no_content()


async def restore(call: Call) -> Response:
    """`package_id` is ours: which one, where several deleted packages had this name."""
    await call.services.packages.restore(call.user, place_of(call), call.query_id("package_id"))
    return no_content()


async def list_versions(call: Call) -> Response:
    state = call.query("state", "active")
    if state not in _STATES:
        raise Invalid("state is active or deleted.", field="state", code="package.state")
    page = call.page()
    found, total = await call.services.package_versions.list_versions(
        call.user, place_of(call), deleted=_STATES[state], limit=page.limit, offset=page.offset
    )
    return call.list_response([version_body(call.links, view) for view in found], total, page)


async def get_version(call: Call) -> Response:
    view = await call.services.package_versions.get(call.user, place_of(call), call.path_id("package_version_id"))
    return json_response(version_body(call.links, view))


async def delete_version(call: Call) -> Response:
    await call.services.package_versions.delete(call.user, place_of(call), call.path_id("package_version_id"))
    return no_content()


async def restore_version(call: Call) -> Response:
    await call.services.package_versions.restore(call.user, place_of(call), call.path_id("package_version_id"))
    return no_content()


_BOTH = frozenset({Scope.READ_PACKAGES, Scope.DELETE_PACKAGES})
_VERSION = "/versions/{package_version_id}"
ROUTES: tuple[Route, ...] = (
    *(Route("GET", f"{base}/packages", list_packages, READ, workflows=base != "/user") for base in BASES),
    *(Route("GET", f"{base}/docker/conflicts", list_conflicts, READ, workflows=base != "/user") for base in BASES),
    *package_routes(
        (
            Operation("GET", "", get, READ),
            Operation("DELETE", "", delete, DELETE, _BOTH),
            Operation("POST", "/restore", restore, WRITE),
            Operation("GET", "/versions", list_versions, READ),
            Operation("GET", _VERSION, get_version, READ),
            Operation("DELETE", _VERSION, delete_version, DELETE, _BOTH),
            Operation("POST", f"{_VERSION}/restore", restore_version, WRITE),
        )
    ),
)
