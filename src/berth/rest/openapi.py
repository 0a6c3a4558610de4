"""`GET /openapi.json`: the description of everything that the route table serves, as OpenAPI 3.1.

The table says what there is, and who may call it. How operations look that GitHub describes stands in
`github_operations.json`, which `make openapi` takes from GitHub's own description (npm: @octokit/openapi, MIT); all others
stand in `own_operations.py`. A test fails for a route that neither of them has.

Source: OpenAPI Specification 3.1.1, "OpenAPI Object", "Security Requirement Object" (scopes of schemes that are not OAuth).
"""

import re
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import msgspec
from starlette.responses import Response

from berth.rest.app import Route
from berth.rest.call import Call, json_response
from berth.rest.codespace_export import StartExport
from berth.rest.former_name import Moved
from berth.rest.own_operations import FAILED_HOOK, FINDING, OWN_OPERATIONS, OwnOperation, request_schema

_BY_NAME = "/repos/{owner}/{repo}"
_BY_ID = "/repositories/{repository_number}"
_PACKAGE = re.compile(r"/(orgs/\{org\}|users/\{username\}|user)/packages/container/\{package_name\}")
_IDS = {"repository_number", "repository_id", "package_version_id", "prebuild_id", "id"}
_PROBLEM = {"$ref": "#/components/responses/problem"}
_STATUSES = ("400", "401", "403", "404", "422", "default")

_MOVED = {"$ref": "#/components/responses/moved"}

# For site administrators. As it stands in GitHub's schema `user-search-result-item`.
_SUSPENDED_AT = {"type": ["string", "null"], "format": "date-time"}
# What our bodies have beside what GitHub's description has.
_ADDED: dict[str, dict[str, Any]] = {
    "codespace": {"finding": FINDING, "failed_hook": FAILED_HOOK, "retention_notice": {"type": "string"}},
    "codespace-export-details": {"finding": FINDING},
    "public-user": {"suspended_at": _SUSPENDED_AT},
    "private-user": {"suspended_at": _SUSPENDED_AT},
    "package": {"internal": {"type": "boolean"}},
}
# What operations take beside what GitHub's description has; nothing of it is required.
_ADDED_BODIES: dict[str, type[msgspec.Struct]] = {"POST /user/codespaces/{name}/exports": StartExport}
_PROBLEM_SCHEMA = {
    "type": "object",
    "properties": {
        "message": {"type": "string"},
        "documentation_url": {"type": "string"},
        "status": {"type": "string"},
        "code": {"type": "string"},
        "errors": {"type": "array"},
    },
    "required": ["message", "documentation_url", "status", "code"],
}


def path_of(route: Route) -> str:
    """The path as OpenAPI writes it."""
    return re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path)


def own_operation(method: str, path: str) -> OwnOperation | None:
    return OWN_OPERATIONS.get(_PACKAGE.sub("{package}", f"{method} {path}"))


@cache
def github() -> dict[str, Any]:
    """`operations` by "METHOD /path", and the `components` they refer to."""
    text = files("berth.rest").joinpath("github_operations.json").read_bytes()
    parsed: dict[str, Any] = msgspec.json.decode(text)
    return parsed


@cache
def describe(routes: tuple[Route, ...]) -> dict[str, Any]:
    """The description without `servers`. What nobody described is left out."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        operation = _operation(route)
        if operation is not None:
            paths.setdefault(path_of(route), {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Berth",
            "version": version("berth"),
            "description": "GitHub's operations are described as GitHub does (github.com, @octokit/openapi, MIT license). "
            "Parameters that Berth does not act on are accepted and ignored.",
        },
        "paths": paths,
        "components": _components(),
    }


def _components() -> dict[str, Any]:
    held = github()["components"]
    schemas = {**held["schemas"], "problem": _PROBLEM_SCHEMA, "moved": request_schema(Moved, {})}
    for name, added in _ADDED.items():
        schemas[name] = {**schemas[name], "properties": {**schemas[name]["properties"], **added}}
    problem = {
        "description": "What is wrong, and what to do",
        "content": _json({"$ref": "#/components/schemas/problem"}),
    }
    schemes = {
        "token": {"type": "http", "scheme": "bearer", "description": "The scheme may also be `token`."},
        "password": {"type": "http", "scheme": "basic", "description": "The token as the password."},
    }
    bare = [name for name, answer in held["responses"].items() if "content" not in answer and name != "not_modified"]
    responses = {**held["responses"], **dict.fromkeys(bare, problem), "problem": problem, "moved": _moved()}
    return {**held, "schemas": schemas, "responses": responses, "securitySchemes": schemes}


def _moved() -> dict[str, Any]:
    return {
        "description": "The repository has another name now; the same by its id",
        "headers": {"Location": {"schema": {"type": "string", "format": "uri"}}},
        "content": _json({"$ref": "#/components/schemas/moved"}),
    }


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _operation(route: Route) -> dict[str, Any] | None:
    path = path_of(route)
    by_name = path.replace(_BY_ID, _BY_NAME, 1)
    found = github()["operations"].get(f"{route.method} {by_name}")
    if found is None:
        own = own_operation(route.method, by_name)
        if own is None:
            return None
        found = _own(own)
    elif (body := _ADDED_BODIES.get(f"{route.method} {by_name}")) is not None:
        found = {**found, "requestBody": {"required": False, "content": _json(request_schema(body, {}))}}
    parameters = _path_parameters(path, found["parameters"])
    return {
        **found,
        "operationId": _unique_id(found["operationId"], path),
        "parameters": parameters,
        "responses": _responses(route, found["responses"]),
        "security": _security(route),
    }


def _unique_id(name: str, path: str) -> str:
    """One handler may serve several paths; an id names one of them."""
    if path.startswith(_BY_ID):
        name += "-by-id"
    if path.endswith("/contents"):
        name += "-of-root"
    if name.startswith("berth/") and (match := _PACKAGE.match(path)):
        name += {"user": "-of-authenticated-user", "users": "-of-user", "orgs": "-of-org"}[match[1].partition("/")[0]]
    return name


def _path_parameters(path: str, described: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that the path has, as they are described, or as a text or an id; and all that are in no path."""
    kept, names = [], set(re.findall(r"\{(\w+)\}", path))
    for each in described:
        parameter = _resolved(each)
        if parameter["in"] != "path" or parameter["name"] in names:
            kept.append(each)
            names.discard(parameter["name"])
    for name in sorted(names):
        schema = {"type": "integer"} if name in _IDS else {"type": "string"}
        kept.append({"in": "path", "name": name, "required": True, "schema": schema})
    return kept


def _resolved(described: dict[str, Any]) -> dict[str, Any]:
    """What a reference points to; anything else is itself."""
    if "$ref" not in described:
        return described
    kind, name = described["$ref"].split("/")[2:]
    found: dict[str, Any] = github()["components"][kind][name]
    return found


def _responses(route: Route, described: dict[str, Any]) -> dict[str, Any]:
    """GitHub's, and what any operation may answer. An error has a body, also where GitHub describes none."""
    answers = {**dict.fromkeys(_STATUSES, _PROBLEM), **described}
    if route.path.startswith(_BY_NAME):
        answers["301" if route.method == "GET" else "307"] = _MOVED
    if route.method == "GET":
        answers.setdefault("304", {"description": "The client has it already"})
    bare = [
        status for status, answer in described.items() if status >= "400" and not answer.keys() & {"$ref", "content"}
    ]
    return {**answers, **dict.fromkeys(bare, _PROBLEM)}


def _security(route: Route) -> list[dict[str, list[str]]]:
    """One of these is enough. An empty one: no credential is needed."""
    needed = [[str(scope)] for scope in sorted(route.scopes)] or [[]]
    schemes = [{scheme: scopes} for scheme in ("token", "password") for scopes in needed]
    return [*([{}] if route.anonymous else []), *schemes]


def _own(own: OwnOperation) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": "Response"}
    if own.answer is not None:
        stream = {"text/event-stream": {"schema": {"type": "string"}}} if own.streams else {}
        answer["content"] = {**_json(own.answer), **stream}
    made: dict[str, Any] = {
        "operationId": own.id,
        "summary": own.summary,
        "tags": ["berth"],
        "parameters": list(own.query),
        "responses": {str(own.status): answer},
    }
    if own.request is not None:
        made["requestBody"] = {"required": True, "content": _json(request_schema(own.request, own.narrowed))}
    return made


def with_description(routes: tuple[Route, ...]) -> tuple[Route, ...]:
    """The routes, and that of their description, which describes itself too."""

    async def get(call: Call) -> Response:
        return json_response({**describe(everything), "servers": [{"url": call.links.api("")}]})

    everything = (*routes, Route("GET", "/openapi.json", get, anonymous=True))
    return everything
