"""`/repos/{owner}/{repo}/codespaces/prebuilds`: ours; GitHub has them on a web page only."""

from typing import Any

import msgspec
from starlette.responses import Response

from berth.domain.prebuild import PrebuildTrigger, PrebuildVersion, package_of, parse_prebuild
from berth.domain.scope import Scope
from berth.edge.timestamp import maybe_timestamp, timestamp
from berth.rest.app import Route
from berth.rest.call import Call, json_response, no_content
from berth.rest.codespace import log_body
from berth.services.prebuild import PrebuildView

_SCOPES = frozenset({Scope.REPO})


class CreatePrebuild(msgspec.Struct, kw_only=True):
    """What to keep prebuilt; `every_hours` goes with the trigger `schedule`."""

    branch: str
    devcontainer_path: str | None = None
    trigger: str = PrebuildTrigger.PUSH
    every_hours: int | None = None
    kept_versions: int = 2


async def list_prebuilds(call: Call) -> Response:
    page = call.page()
    found, total = await call.services.prebuilds.list_of(
        call.user, *call.repository, limit=page.limit, offset=page.offset
    )
    return call.list_response([_body(view) for view in found], total, page, key="prebuilds")


async def create(call: Call) -> Response:
    body = await call.json(CreatePrebuild)
    wish = parse_prebuild(
        branch=body.branch,
        devcontainer_path=body.devcontainer_path,
        trigger=body.trigger,
        every_hours=body.every_hours,
        kept_versions=body.kept_versions,
    )
    view = await call.services.prebuilds.create(call.user, *call.repository, wish)
    return json_response(_body(view), 201)


async def get(call: Call) -> Response:
    return json_response(_body(await call.services.prebuilds.get(call.user, *_place(call))))


async def delete(call: Call) -> Response:
    await call.services.prebuilds.delete(call.user, *_place(call))
    return no_content()


async def run(call: Call) -> Response:
    return json_response(_body(await call.services.prebuilds.run(call.user, *_place(call))), 202)


async def logs(call: Call) -> Response:
    entries = await call.services.prebuilds.read_log(call.user, *_place(call))
    return json_response([log_body(entry) for entry in entries])


def _place(call: Call) -> tuple[str, str, int]:
    return *call.repository, call.path_id("prebuild_id")


def _body(view: PrebuildView) -> dict[str, Any]:
    prebuild = view.prebuild
    return {
        "id": prebuild.id,
        "branch": prebuild.wish.branch,
        "devcontainer_path": prebuild.wish.devcontainer_path,
        "trigger": prebuild.wish.trigger,
        "every_hours": prebuild.wish.every_hours,
        "kept_versions": prebuild.wish.kept_versions,
        "state": prebuild.state,
        "commit": prebuild.commit_id,
        "created_at": timestamp(prebuild.created_at),
        "finished_at": maybe_timestamp(prebuild.finished_at),
        "finding": prebuild.finding,
        "package": str(package_of(view.repository)),
        "versions": [_version(version) for version in view.versions],
    }


def _version(version: PrebuildVersion) -> dict[str, Any]:
    return {
        "configuration_hash": version.configuration_hash,
        "digest": version.digest,
        "commit": version.commit_id,
        "created_at": timestamp(version.created_at),
    }


_BASE = "/repos/{owner}/{repo}/codespaces/prebuilds"
ROUTES: tuple[Route, ...] = (
    Route("GET", _BASE, list_prebuilds, _SCOPES),
    Route("POST", _BASE, create, _SCOPES),
    Route("GET", f"{_BASE}/{{prebuild_id}}", get, _SCOPES),
    Route("DELETE", f"{_BASE}/{{prebuild_id}}", delete, _SCOPES),
    Route("POST", f"{_BASE}/{{prebuild_id}}/runs", run, _SCOPES),
    Route("GET", f"{_BASE}/{{prebuild_id}}/logs", logs, _SCOPES),
)
