"""Users. Source: GitHub REST docs, "Users"."""

from starlette.responses import Response

from berth.domain.scope import Scope
from berth.rest.app import Route
from berth.rest.call import Call, json_response
from berth.rest.views import organization_simple, private_user, public_user, simple_user


async def get_own(call: Call) -> Response:
    return json_response(private_user(call.links, await call.services.accounts.get_own(call.user)))


async def get(call: Call) -> Response:
    """A user, or an organization: terraform looks its `owner` up here."""
    view = await call.services.accounts.get(call.subject, call.path("username"))
    return json_response(public_user(call.links, view))


async def list_users(call: Call) -> Response:
    page = call.page()
    users, total = await call.services.accounts.list_users(call.subject, limit=page.limit, offset=page.offset)
    return call.list_response([simple_user(call.links, user) for user in users], total, page)


async def list_own_organizations(call: Call) -> Response:
    page = call.page()
    found, total = await call.services.accounts.list_own_organizations(call.user, limit=page.limit, offset=page.offset)
    return call.list_response([organization_simple(call.links, account) for account in found], total, page)


ROUTES: tuple[Route, ...] = (
    Route("GET", "/user", get_own),
    Route("GET", "/user/orgs", list_own_organizations, frozenset({Scope.READ_ORG, Scope.READ_USER})),
    Route("GET", "/users", list_users, anonymous=True),
    Route("GET", "/users/{username}", get, anonymous=True),
)
