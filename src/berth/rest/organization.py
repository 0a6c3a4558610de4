"""Organizations and memberships. Source: GitHub REST docs, "Organizations", "Organization members"."""

import msgspec
from starlette.responses import Response

from berth.domain.account import parse_organization_role
from berth.domain.scope import Scope
from berth.rest.app import Route
from berth.rest.call import Call, json_response, no_content
from berth.rest.views import membership, organization_full, simple_user


class SetMembership(msgspec.Struct, kw_only=True):
    """The body of a membership."""

    role: str = "member"


async def get(call: Call) -> Response:
    view = await call.services.accounts.get_organization(call.subject, call.path("org"))
    return json_response(organization_full(call.links, view))


async def list_members(call: Call) -> Response:
    page = call.page()
    role = call.query("role", "all")
    wanted = None if role == "all" else parse_organization_role(role)
    found, total = await call.services.accounts.list_members(
        call.user, call.path("org"), wanted, limit=page.limit, offset=page.offset
    )
    return call.list_response([simple_user(call.links, user) for user in found], total, page)


async def check_member(call: Call) -> Response:
    await call.services.accounts.get_membership(call.user, call.path("org"), call.path("username"))
    return no_content()


async def get_membership(call: Call) -> Response:
    view = await call.services.accounts.get_membership(call.user, call.path("org"), call.path("username"))
    return json_response(membership(call.links, view))


async def set_membership(call: Call) -> Response:
    role = parse_organization_role((await call.json(SetMembership)).role)
    view = await call.services.accounts.set_membership(call.user, call.path("org"), call.path("username"), role)
    return json_response(membership(call.links, view))


async def remove_membership(call: Call) -> Response:
    await call.services.accounts.remove_membership(call.user, call.path("org"), call.path("username"))
    return no_content()


_READ = frozenset({Scope.READ_ORG})
_LEAVE = frozenset({Scope.WRITE_ORG})
_ADMIN = frozenset({Scope.ADMIN_ORG})
ROUTES: tuple[Route, ...] = (
    Route("GET", "/orgs/{org}", get, anonymous=True),
    Route("GET", "/orgs/{org}/members", list_members, accepted=_READ),
    Route("GET", "/orgs/{org}/members/{username}", check_member, _READ),
    Route("DELETE", "/orgs/{org}/members/{username}", remove_membership, _LEAVE, accepted=_ADMIN),
    Route("GET", "/orgs/{org}/memberships/{username}", get_membership, _READ),
    Route("PUT", "/orgs/{org}/memberships/{username}", set_membership, _ADMIN),
    Route("DELETE", "/orgs/{org}/memberships/{username}", remove_membership, _LEAVE, accepted=_ADMIN),
)
