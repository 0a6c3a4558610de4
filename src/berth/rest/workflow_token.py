"""Workflow tokens, for the jobs of one repository (A8). On GitHub its own runners get one; here a CI system asks for it."""

import msgspec
from starlette.responses import Response

from berth.domain.scope import Scope
from berth.domain.workflow_permissions import parse_permissions
from berth.edge.timestamp import maybe_timestamp
from berth.rest.app import Route
from berth.rest.call import Call, json_response

_REPO = frozenset({Scope.REPO})
_WRITE = frozenset({Scope.REPO, Scope.PUBLIC_REPO})


class CreateWorkflowToken(msgspec.Struct, kw_only=True):
    """The body of a creation. A permission that it does not name is `none`."""

    permissions: dict[str, str]


async def create(call: Call) -> Response:
    permissions = parse_permissions((await call.json(CreateWorkflowToken)).permissions)
    made = await call.services.workflow_tokens.create(call.user, *call.repository, permissions)
    return json_response({"token": made.value.reveal(), "expires_at": maybe_timestamp(made.token.expires_at)}, 201)


ROUTES: tuple[Route, ...] = (Route("POST", "/repos/{owner}/{repo}/workflow-tokens", create, _WRITE, accepted=_REPO),)
