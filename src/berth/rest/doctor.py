"""`POST /repos/{owner}/{repo}/codespaces/doctor`: what is wrong with an image for the caller's codespaces (DESIGN section 5)."""

import json
from typing import Any

import msgspec
from starlette.responses import Response

from berth.domain.codespace import finding_to_json
from berth.domain.doctor import Diagnosis
from berth.domain.scope import Scope
from berth.rest.app import Route
from berth.rest.call import Call, json_response


class DiagnoseImage(msgspec.Struct, kw_only=True):
    """The body: an image's name, as devcontainer.json has it."""

    image: str


async def examine(call: Call) -> Response:
    body = await call.json(DiagnoseImage)
    diagnosis = await call.services.doctor.examine(call.user, call.path("owner"), call.path("repo"), body.image)
    return json_response(_body(diagnosis))


def _body(diagnosis: Diagnosis) -> dict[str, Any]:
    finding, source = diagnosis.finding, diagnosis.source
    return {
        "image": str(diagnosis.image),
        "provider": diagnosis.provider,
        "healthy": diagnosis.is_healthy,
        "digest": None if diagnosis.digest is None else str(diagnosis.digest),
        "finding": None if finding is None else json.loads(finding_to_json(finding)),
        "credential": None
        if source is None
        else {"level": source.level, "prefix": None if source.level is None else source.prefix},
        "with_credential": diagnosis.with_credential or None,
        "without_credential": diagnosis.without_credential,
        "checks": [
            {"id": check.id, "state": check.state, "sentence": check.sentence, "because": check.because}
            for check in diagnosis.checks
        ],
    }


ROUTES: tuple[Route, ...] = (
    Route("POST", "/repos/{owner}/{repo}/codespaces/doctor", examine, frozenset({Scope.CODESPACE, Scope.REPO})),
)
