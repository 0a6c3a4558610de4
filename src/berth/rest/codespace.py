"""Codespaces of the authenticated user. Source: GITHUB_API section 4 of the references, GitHub's OpenAPI description."""

import base64
import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

import msgspec
from starlette.responses import Response, StreamingResponse

from berth.domain.access import Action
from berth.domain.codespace import LogEntry, Rebuild
from berth.domain.exec_frame import check_command
from berth.domain.machine import Machine
from berth.domain.prebuild import PrebuildAvailability
from berth.domain.problem import Invalid
from berth.domain.pull_request import PullRequest
from berth.domain.repository import Repository
from berth.domain.scope import Scope
from berth.domain.whole_number import parse_whole_number
from berth.edge.timestamp import timestamp
from berth.rest.app import Route
from berth.rest.call import Call, json_response, no_content
from berth.rest.codespace_tunnel import NO_TUNNEL
from berth.rest.codespace_views import codespace_body, machine_body
from berth.services.codespace_request import CodespaceRequest

_SCOPES = frozenset({Scope.CODESPACE})
_MAX_ID = 2**63 - 1


class ChosenPullRequest(msgspec.Struct, kw_only=True):
    """The pull request that a creation names."""

    pull_request_number: int
    repository_id: int


class CreateCodespace(msgspec.Struct, kw_only=True):
    """The body of a creation. Empty strings mean "not given": gh sends them (references, GITHUB_API section 2.2)."""

    repository_id: int | None = None
    ref: str | None = None
    devcontainer_path: str | None = None
    display_name: str | None = None
    machine: str | None = None
    location: str | None = None
    geo: str | None = None
    idle_timeout_minutes: int | None = None
    retention_period_minutes: int | None = None
    pull_request: ChosenPullRequest | None = None  # null: go-github sends it (references, GITHUB_API section 2.2)


class UpdateCodespace(msgspec.Struct, kw_only=True):
    """The body of an update; what is not given stays."""

    display_name: str | None = None
    machine: str | None = None
    recent_folders: list[str] | None = None


class RebuildCodespace(msgspec.Struct, kw_only=True):
    """How to rebuild; `full` uses nothing that the engine holds already."""

    full: bool = False


class ExecCommand(msgspec.Struct, kw_only=True):
    """A command to run to its end; `stdin` is base64."""

    command: list[str]
    stdin: str | None = None


async def create(call: Call) -> Response:
    body = await call.json(CreateCodespace)
    wanted = body.repository_id if body.pull_request is None else body.pull_request.repository_id
    if wanted is None:
        raise Invalid("repository_id is missing.", field="repository_id", reason="missing_field")
    known = wanted if 0 < wanted <= _MAX_ID else -1  # which is never found
    repository = await call.services.repositories.get_by_id(call.user, known, Action.READ)
    if body.pull_request is None:
        return await _create(call, repository, body)
    return await _create_of(call, repository, body.pull_request.pull_request_number, body)


async def create_in_repository(call: Call) -> Response:
    body = await call.json(CreateCodespace)
    if body.pull_request is not None:
        raise Invalid(
            "The address names the repository; a pull request of it has an address of its own.",
            field="pull_request",
            code="codespace.pull_request",
            remedy="POST …/pulls/{pull_number}/codespaces.",
        )
    return await _create(call, await call.readable_repository(), body)


async def create_of_pull_request(call: Call) -> Response:
    body = await call.json(CreateCodespace)
    return await _create_of(call, await call.readable_repository(), call.path_id("pull_number"), body)


async def _create_of(call: Call, repository: Repository, number: int, body: CreateCodespace) -> Response:
    view = await call.services.pull_requests.get(call.user, repository.owner_login, repository.name, number)
    return await _create(call, view.repository, body, view.pull_request)


async def _create(
    call: Call, repository: Repository, body: CreateCodespace, pull_request: PullRequest | None = None
) -> Response:
    wanted = CodespaceRequest(
        ref=body.ref,
        devcontainer_path=body.devcontainer_path,
        display_name=body.display_name,
        machine=body.machine,
        location=body.location,
        geo=body.geo,
        idle_timeout_minutes=body.idle_timeout_minutes,
        retention_period_minutes=body.retention_period_minutes,
        pull_request=pull_request,
    )
    view = await call.services.codespaces.create(call.user, repository, wanted)
    # 201, not 202: after 202 gh waits two minutes at most, and a pull takes longer (references, GITHUB_API section 4.4).
    return json_response(codespace_body(call, view), 201)


async def list_own(call: Call) -> Response:
    return await _list(call, parse_whole_number(call.query("repository_id")))


async def list_in_repository(call: Call) -> Response:
    return await _list(call, (await call.readable_repository()).id)


async def _list(call: Call, repository_id: int | None) -> Response:
    page = call.page()
    views, total = await call.services.codespaces.list_own(
        call.user, repository_id, limit=page.limit, offset=page.offset
    )
    return call.list_response([codespace_body(call, view) for view in views], total, page, key="codespaces")


async def get(call: Call) -> Response:
    body = codespace_body(call, await call.services.codespaces.get(call.user, call.path("name")))
    if call.query("internal") == "true":
        body["connection"] = NO_TUNNEL
    return json_response(body)


async def update(call: Call) -> Response:
    body = await call.json(UpdateCodespace)
    view = await call.services.codespaces.update(
        call.user,
        call.path("name"),
        display_name=body.display_name,
        machine=body.machine,
        recent_folders=body.recent_folders,
    )
    return json_response(codespace_body(call, view))


async def list_machines(call: Call) -> Response:
    machines = await call.services.codespaces.list_machines(call.user, call.path("name"))
    return _machines(machines)


async def list_machines_of_repository(call: Call) -> Response:
    """`location` and `client_ip` change nothing: there is one place. `ref`: whose prebuilds; every machine can use them."""
    repository = await call.readable_repository()
    availability = await call.services.prebuilds.availability(repository, call.query("ref"))
    return _machines(call.services.codespaces.list_machines_of_repository(repository), availability)


def _machines(machines: Sequence[Machine], availability: PrebuildAvailability | None = None) -> Response:
    found = [machine_body(machine, availability) for machine in machines]
    return json_response({"total_count": len(found), "machines": found})


async def start(call: Call) -> Response:
    return json_response(codespace_body(call, await call.services.codespaces.start(call.user, call.path("name"))))


async def stop(call: Call) -> Response:
    return json_response(codespace_body(call, await call.services.codespaces.stop(call.user, call.path("name"))))


async def keep_running(call: Call) -> Response:
    """Our own: a heartbeat of whoever uses it."""
    await call.services.codespaces.keep_running(call.user, call.path("name"))
    return no_content()


async def rebuild(call: Call) -> Response:
    """Our own: make the container anew, keep the checkout."""
    body = await call.json(RebuildCodespace)
    how = Rebuild.FULL if body.full else Rebuild.CACHED
    return json_response(
        codespace_body(call, await call.services.codespaces.rebuild(call.user, call.path("name"), how)), 202
    )


async def delete(call: Call) -> Response:
    await call.services.codespaces.delete(call.user, call.path("name"))
    return json_response({}, 202)


async def execute(call: Call) -> Response:
    """Our own: run a command to its end, or the client's. `{command, stdin?}` → `{exit_code, output}`, both texts base64."""
    body = await call.json(ExecCommand)
    check_command(body.command)
    try:
        stdin = base64.b64decode(body.stdin or "", validate=True)
    except ValueError:  # binascii.Error is one; what is not ASCII is one too, and no binascii.Error
        raise Invalid("stdin is not base64.", field="stdin") from None
    work = call.services.codespaces.execute(call.user, call.path("name"), body.command, stdin)
    result = await call.unless_gone(work)
    if result is None:
        return no_content()  # nobody hears it
    return json_response(
        {"exit_code": result.exit_code, "output": base64.b64encode(result.output).decode(), "encoding": "base64"}
    )


async def logs(call: Call) -> Response:
    """Our own: the creation log; `?follow=1` as server-sent events until the codespace rests."""
    name = call.path("name")
    if call.query("follow") in {"", "0", "false"}:
        whole = await call.services.codespaces.read_log(call.user, name)
        return json_response([log_body(entry) for entry in whole])
    after = parse_whole_number(call.request.headers.get("last-event-id", "")) or 0
    entries = await call.services.codespace_logs.follow(call.user, name, after=after)
    return StreamingResponse(_events(entries), media_type="text/event-stream")


async def _events(entries: AsyncGenerator[LogEntry | None, None]) -> AsyncIterator[bytes]:
    """Server-sent events. Source: HTML Living Standard, "Server-sent events"."""
    yield b": log\n\n"
    async with aclosing(entries):
        async for entry in entries:
            if entry is None:
                yield b": still here\n\n"
                continue
            data = json.dumps({"at": timestamp(entry.at), "text": entry.text})
            yield f"id: {entry.id}\nevent: {entry.kind}\ndata: {data}\n\n".encode()


def log_body(entry: LogEntry) -> dict[str, Any]:
    return {"id": entry.id, "at": timestamp(entry.at), "kind": entry.kind, "text": entry.text}


ROUTES: tuple[Route, ...] = (
    Route("GET", "/user/codespaces", list_own, _SCOPES),
    Route("POST", "/user/codespaces", create, _SCOPES),
    Route("GET", "/user/codespaces/{name}", get, _SCOPES),
    Route("PATCH", "/user/codespaces/{name}", update, _SCOPES),
    Route("DELETE", "/user/codespaces/{name}", delete, _SCOPES),
    Route("GET", "/user/codespaces/{name}/machines", list_machines, _SCOPES),
    Route("POST", "/user/codespaces/{name}/start", start, _SCOPES),
    Route("POST", "/user/codespaces/{name}/stop", stop, _SCOPES),
    Route("POST", "/user/codespaces/{name}/rebuild", rebuild, _SCOPES),
    Route("POST", "/user/codespaces/{name}/heartbeat", keep_running, _SCOPES),
    Route("GET", "/user/codespaces/{name}/logs", logs, _SCOPES),
    Route("POST", "/user/codespaces/{name}/exec", execute, _SCOPES),
    Route("GET", "/repos/{owner}/{repo}/codespaces", list_in_repository, _SCOPES),
    Route("GET", "/repos/{owner}/{repo}/codespaces/machines", list_machines_of_repository, _SCOPES),
    Route("POST", "/repos/{owner}/{repo}/codespaces", create_in_repository, _SCOPES),
    Route("POST", "/repos/{owner}/{repo}/pulls/{pull_number}/codespaces", create_of_pull_request, _SCOPES),
)
