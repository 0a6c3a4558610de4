"""`POST /repos/{owner}/{repo}/codespaces/doctor`: what is wrong with an image for somebody's codespaces (DESIGN section 5)."""

import msgspec
from starlette.responses import Response

from berth.domain.doctor import diagnosis_fields
from berth.domain.scope import Scope
from berth.rest.app import Route
from berth.rest.call import Call, json_response


class DiagnoseImage(msgspec.Struct, kw_only=True):
    """The body: an image's name, as devcontainer.json has it; and whose codespaces, if not the caller's."""

    image: str
    user: str | None = None


async def examine(call: Call) -> Response:
    body = await call.json(DiagnoseImage)
    diagnosis = await call.services.doctor.examine(call.user, *call.repository, body.image, login=body.user)
    return json_response(diagnosis_fields(diagnosis))


ROUTES: tuple[Route, ...] = (
    Route("POST", "/repos/{owner}/{repo}/codespaces/doctor", examine, frozenset({Scope.CODESPACE, Scope.REPO})),
)
