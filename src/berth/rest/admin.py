"""What site administrators do. Source: GitHub Enterprise Server REST docs, "Organizations", "Users" (enterprise admin)."""

from typing import Any

import msgspec
from starlette.responses import Response

from berth.domain.scope import Scope
from berth.edge.timestamp import timestamp
from berth.rest.access_token import token_body
from berth.rest.app import Route
from berth.rest.call import Call, json_response, no_content
from berth.rest.views import organization_simple, simple_user
from berth.services.access_token import NewToken

_SCOPES = frozenset({Scope.SITE_ADMIN})


class CreateUser(msgspec.Struct, kw_only=True):
    """The body of a new user."""

    login: str
    email: str | None = None
    suspended: bool = False


class Suspension(msgspec.Struct, kw_only=True):
    """The body, if there is any, of a suspension and of its end. Clients without a reason send `null` (go-github), or nothing."""

    reason: str | None = None


class CreateOrganization(msgspec.Struct, kw_only=True):
    """The body of a new organization; `admin` is its first owner."""

    login: str
    admin: str


class CreateAuthorization(msgspec.Struct, kw_only=True):
    """The body of a new token for somebody."""

    scopes: list[str]
    note: str = ""


async def create_user(call: Call) -> Response:
    body = await call.json(CreateUser)
    user = await call.services.accounts.create_user(call.user, body.login, body.email, is_suspended=body.suspended)
    return json_response(simple_user(call.links, user), 201)


async def suspend(call: Call) -> Response:
    body = await call.json(Suspension, nullable=True)
    await call.services.suspensions.suspend(call.user, call.path("username"), body.reason or "")
    return no_content()


async def unsuspend(call: Call) -> Response:
    body = await call.json(Suspension, nullable=True)
    await call.services.suspensions.unsuspend(call.user, call.path("username"), body.reason or "")
    return no_content()


async def create_organization(call: Call) -> Response:
    body = await call.json(CreateOrganization)
    organization = await call.services.accounts.create_organization(call.user, body.login, body.admin)
    return json_response(organization_simple(call.links, organization), 201)


async def create_authorization(call: Call) -> Response:
    body = await call.json(CreateAuthorization)
    made = await call.services.access_tokens.create_for(call.user, call.path("login"), body.note, body.scopes)
    return json_response(_authorization(call, made), 201)


async def create_invitation(call: Call) -> Response:
    """Ours: a link by which the user sets a password for the web console."""
    made = await call.services.passwords.invite(call.user, call.path("login"))
    body = {
        "login": made.account.login,
        "url": call.links.web(f"/login/invitation/{made.value.reveal()}"),
        "expires_at": timestamp(made.expires_at),
    }
    return json_response(body, 201)


def _authorization(call: Call, made: NewToken) -> dict[str, Any]:
    """GitHub's `authorization`, whose keys of OAuth applications say nothing here."""
    body, value = token_body(made.token), made.value.reveal()
    return {
        **body,
        "url": call.links.api(f"/authorizations/{made.token.id}"),
        "app": {"client_id": "berth", "name": "Berth", "url": call.links.web("/settings/tokens")},
        "note_url": None,
        "token": value,
        "token_last_eight": value[-8:],
        "hashed_token": None,
        "fingerprint": None,
        "updated_at": body["created_at"],
    }


ROUTES: tuple[Route, ...] = (
    Route("POST", "/admin/users", create_user, _SCOPES),
    Route("POST", "/admin/users/{login}/authorizations", create_authorization, _SCOPES),
    Route("POST", "/admin/users/{login}/invitation", create_invitation, _SCOPES),
    Route("POST", "/admin/organizations", create_organization, _SCOPES),
    Route("PUT", "/users/{username}/suspended", suspend, _SCOPES),
    Route("DELETE", "/users/{username}/suspended", unsuspend, _SCOPES),
)
