"""Exports of the authenticated user's codespaces. Source: GitHub's OpenAPI description, `codespace-export-details`."""

from typing import Any
from urllib.parse import quote

import msgspec
from starlette.responses import Response

from berth.domain.codespace_export import ExportState
from berth.domain.scope import Scope
from berth.edge.timestamp import maybe_timestamp
from berth.rest.app import Route
from berth.rest.call import Call, json_response
from berth.services.codespace_export import CodespaceExportView

_SCOPES = frozenset({Scope.CODESPACE})
_LATEST = "latest"


class StartExport(msgspec.Struct, kw_only=True):
    """The body of an export, which is ours: GitHub's has none. Without a branch it gets one of its own."""

    branch: str | None = None


async def start(call: Call) -> Response:
    body = await call.json(StartExport)
    view = await call.services.codespace_exports.start(call.user, call.path("name"), body.branch)
    return json_response(_body(call, view), 202)


async def get(call: Call) -> Response:
    export_id = None if call.path("export_id") == _LATEST else call.path_id("export_id")
    return json_response(
        _body(call, await call.services.codespace_exports.get(call.user, call.path("name"), export_id))
    )


def _body(call: Call, view: CodespaceExportView) -> dict[str, Any]:
    """GitHub's `codespace-export-details`, with our `finding` added where it failed. `html_url`: only of a branch that is there."""
    export = view.export
    done = export.state is ExportState.SUCCEEDED
    page = call.links.web(f"/{view.repository.full_name}/tree/{quote(export.branch)}")
    body: dict[str, Any] = {
        "state": export.state,
        "completed_at": maybe_timestamp(export.completed_at),
        "branch": export.branch,
        "sha": export.sha,
        "id": str(export.id),
        "export_url": call.links.api(f"/user/codespaces/{view.codespace.name}/exports/{export.id}"),
        "html_url": page if done else None,
    }
    if export.finding is not None:
        body["finding"] = export.finding
    return body


ROUTES: tuple[Route, ...] = (
    Route("POST", "/user/codespaces/{name}/exports", start, _SCOPES),
    Route("GET", "/user/codespaces/{name}/exports/{export_id}", get, _SCOPES),
)
