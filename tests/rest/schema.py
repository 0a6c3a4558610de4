"""Every answer that a REST test receives is checked against the description that we serve.

For GitHub's operations that is GitHub's own: test_openapi.py compares github_operations.json with @octokit/openapi. A status
that an operation does not have falls to its `default`, which is a problem: so an unheard-of success fails too.
"""

import re
from functools import cache
from typing import Any

import httpx
import jsonschema_rs

from berth.rest.openapi import describe, path_of
from berth.rest.routes import ROUTES

_BASE = "/api/v3"


@cache
def description() -> dict[str, Any]:
    return describe(ROUTES)


def _validator(schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    whole = {"components": {"schemas": description()["components"]["schemas"]}, **schema}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


@cache
def _named(schema: str, *, is_list: bool) -> jsonschema_rs.Draft202012Validator:
    reference: dict[str, Any] = {"$ref": f"#/components/schemas/{schema}"}
    return _validator({"type": "array", "items": reference} if is_list else reference)


def check_body(body: Any, schema: str, *, is_list: bool = False) -> None:
    """Raises AssertionError with the first mistake."""
    _check(_named(schema, is_list=is_list), body, schema)


def check_against(schema: dict[str, Any], body: Any, of: str) -> None:
    """Any schema; of a body of GitHub's inside it the example may leave keys out."""
    shortened = {name: _shortened(each) for name, each in description()["components"]["schemas"].items()}
    whole = {"components": {"schemas": shortened}, **schema}
    _check(jsonschema_rs.Draft202012Validator(whole, validate_formats=True), body, of)


def _shortened(node: Any) -> Any:
    if isinstance(node, list):
        return [_shortened(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {key: _shortened(each) for key, each in node.items() if key != "required" or not isinstance(each, list)}


def _check(validator: jsonschema_rs.Draft202012Validator, body: Any, of: str) -> None:
    for error in validator.iter_errors(body):
        place = "/".join(map(str, error.instance_path))
        raise AssertionError(f"{of}: {place}: {error.message[:500]}")


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], str, str], ...]:
    """What matches a sent path, its method, its template; of several the one with fewer parameters comes first."""
    found = []
    for route in ROUTES:
        segments = (
            ".+" if segment.endswith(":path}") else "[^/]*" if segment.startswith("{") else re.escape(segment)
            for segment in route.path.split("/")
        )
        found.append((re.compile("/".join(segments)), route.method, path_of(route)))
    return tuple(sorted(found, key=lambda each: each[2].count("{")))


def find_operation(request: httpx.Request) -> tuple[str, str] | None:
    """Method and template of the operation that a request is for."""
    path = request.url.raw_path.decode().partition("?")[0].removeprefix(_BASE)
    method = "GET" if request.method == "HEAD" else request.method
    return next(((method, each) for pattern, of, each in _patterns() if of == method and pattern.fullmatch(path)), None)


@cache
def _answers(method: str, path: str, status: int) -> dict[str, jsonschema_rs.Draft202012Validator]:
    """By media type; empty where no content is described."""
    responses = description()["paths"][path][method.lower()]["responses"]
    found = responses.get(str(status), responses["default"])
    if "$ref" in found:
        found = description()["components"]["responses"][found["$ref"].rpartition("/")[2]]
    content = found.get("content", {})
    return {media: _validator(each.get("schema", {})) for media, each in content.items()}


def check_response(response: httpx.Response) -> tuple[str, str] | None:
    """The operation, whose answer is as described; None where it is none of ours. Wants the body to be read."""
    operation = find_operation(response.request)
    if operation is None:
        return None
    described = _answers(*operation, response.status_code)
    where = f"{' '.join(operation)} -> {response.status_code}"
    media = response.headers.get("content-type", "").partition(";")[0]
    if response.request.method == "HEAD":
        return operation
    if not response.content:
        assert not described, f"{where}: no body"
    elif media == "text/event-stream":
        assert media in described, f"{where}: {media}"
    else:
        assert media == "application/json", f"{where}: {media}"
        assert media in described, f"{where}: a body that is not described: {response.text[:200]}"
        _check(described[media], response.json(), where)
    return operation


async def check(response: httpx.Response) -> None:
    """A hook for httpx clients."""
    await response.aread()
    check_response(response)
