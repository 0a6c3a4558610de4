"""Personal access tokens of the caller's own; GitHub has a web page for this. A token's value is shown once."""

from datetime import datetime
from typing import Any

import msgspec
from starlette.responses import Response

from berth.domain.access_token import AccessToken
from berth.domain.problem import Invalid
from berth.domain.scope import Scope
from berth.edge.timestamp import maybe_timestamp, timestamp
from berth.rest.app import Route
from berth.rest.call import Call, json_response, no_content

_SCOPES = frozenset({Scope.USER})


class CreateToken(msgspec.Struct, kw_only=True):
    """The body of a creation."""

    scopes: list[str]
    note: str = ""
    expires_at: datetime | None = None


def token_body(token: AccessToken) -> dict[str, Any]:
    """Everything but the value."""
    return {
        "id": token.id,
        "note": token.note,
        "scopes": sorted(token.scopes),
        "hint": token.hint,
        "created_at": timestamp(token.created_at),
        "expires_at": maybe_timestamp(token.expires_at),
        "last_used_at": maybe_timestamp(token.last_used_at),
    }


async def list_own(call: Call) -> Response:
    page = call.page()
    found, total = await call.services.access_tokens.list_own(call.user, limit=page.limit, offset=page.offset)
    return call.list_response([token_body(token) for token in found], total, page)


async def create(call: Call) -> Response:
    body = await call.json(CreateToken)
    if body.expires_at is not None and body.expires_at.tzinfo is None:
        raise Invalid("expires_at needs a time zone.", field="expires_at", code="token.expires_at")
    made = await call.services.access_tokens.create_own(call.user, body.note, body.scopes, body.expires_at)
    return json_response({**token_body(made.token), "token": made.value.reveal()}, 201)


async def revoke(call: Call) -> Response:
    await call.services.access_tokens.revoke_own(call.user, call.path_id("id"))
    return no_content()


ROUTES: tuple[Route, ...] = (
    Route("GET", "/user/tokens", list_own, _SCOPES),
    Route("POST", "/user/tokens", create, _SCOPES),
    Route("DELETE", "/user/tokens/{id}", revoke, _SCOPES),
)
