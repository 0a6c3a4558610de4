"""Reduces GitHub's description of its API (npm: @octokit/openapi, MIT) to the operations that Berth serves.

`make openapi` writes the result to src/berth/rest/github_operations.json; tests/rest/test_openapi.py fails where it is not
current. What we take: operation ids, parameters, bodies, statuses. Prose and examples stay behind. OpenAPI 3.0 becomes 3.1,
in which a schema is plain JSON Schema.
"""

import json
import os
import re
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from berth.rest.openapi import path_of
from berth.rest.routes import ROUTES

_CHECKOUT = Path(__file__).parents[1]
TARGET = _CHECKOUT / "src/berth/rest/github_operations.json"
# In the order in which an operation is looked up: github.com, then what only its enterprise products have.
SOURCES = ("api.github.com", "ghes-3.19", "ghec")
_DROPPED = {
    "description",
    "title",
    "example",
    "examples",
    "discriminator",
    "xml",
    "externalDocs",
    "x-github",
    "nullable",
}
_NAMES = {
    "properties",
    "schemas",
    "parameters",
    "responses",
    "headers",
    "content",
    "securitySchemes",
}  # map names, not keys
# Paths of ours that GitHub's description covers with another one, whose parameter may be empty.
_WITHIN = {"/repos/{owner}/{repo}/contents": "/repos/{owner}/{repo}/contents/{path}"}
_CONTAINER = "/packages/container/"


@cache
def load(source: str) -> dict[str, Any]:
    folder = os.environ.get("BERTH_TEST_NODE_MODULES", str(_CHECKOUT / "node_modules"))
    path = Path(folder) / f"@octokit/openapi/generated/{source}.json"
    assert path.is_file(), f"{path} is missing: `make setup` installs it"
    raw: dict[str, Any] = json.loads(path.read_text())
    return raw


def convert(node: Any, *, names: bool = False) -> Any:
    """OpenAPI 3.0 to 3.1 without prose. `names`: the keys of this object are names that may look like keywords."""
    if isinstance(node, list):
        return [convert(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {
        key: convert(value, names=not names and key in _NAMES and isinstance(value, dict))
        for key, value in node.items()
        if names or key not in _DROPPED
    }
    return _with_null(kept) if not names and node.get("nullable") is True else kept


def _with_null(schema: dict[str, Any]) -> dict[str, Any]:
    if isinstance(schema.get("type"), str) and not schema.keys() & {"allOf", "anyOf", "oneOf", "$ref"}:
        if "enum" in schema and None not in schema["enum"]:
            schema = {**schema, "enum": [*schema["enum"], None]}
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def find_operation(method: str, path: str) -> tuple[str, str, dict[str, Any]] | None:
    """Source, GitHub's path, operation; parameters are compared by their place, for their names differ."""
    wanted = _shape(_WITHIN.get(path, path).replace(_CONTAINER, "/packages/{package_type}/"))
    for source in SOURCES:
        theirs = _paths(source).get(wanted)
        if theirs is not None and method.lower() in load(source)["paths"][theirs]:
            return source, theirs, load(source)["paths"][theirs][method.lower()]
    return None


@cache
def _paths(source: str) -> dict[str, str]:
    return {_shape(path): path for path in load(source)["paths"]}


def _shape(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", path)


def reduce() -> dict[str, Any]:
    """`operations`, by "METHOD /our/path", and the components that they refer to."""
    operations: dict[str, Any] = {}
    components: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        path = path_of(route)
        found = None if path.startswith("/repositories/") else find_operation(route.method, path)
        if found is not None:
            source, theirs, operation = found
            operations[f"{route.method} {path}"] = _move(
                _own_names(operation, source, theirs, path), source, components
            )
    return {"operations": operations, "components": components}


def _own_names(operation: dict[str, Any], source: str, theirs: str, path: str) -> dict[str, Any]:
    """The operation with our names of parameters; a parameter that our path fixes is gone."""
    ours = iter(re.findall(r"\{(\w+)\}", path))
    fixed = {"package_type"} if _CONTAINER in path else set()
    names = {name: next(ours, None) for name in re.findall(r"\{(\w+)\}", theirs) if name not in fixed}
    parameters = []
    for each in operation.get("parameters", []):
        parameter = _target(each["$ref"], source) if "$ref" in each else each
        if parameter["in"] != "path":
            parameters.append(each)
        elif names.get(parameter["name"]) is not None:
            renamed = names[parameter["name"]] != parameter["name"]
            parameters.append({**parameter, "name": names[parameter["name"]]} if renamed else each)
    kept: dict[str, Any] = {
        key: operation[key]
        for key in ("operationId", "summary", "tags", "requestBody", "responses")
        if key in operation
    }
    return {**kept, "parameters": parameters, "externalDocs": {"url": operation["externalDocs"]["url"]}}


def _target(reference: str, source: str) -> dict[str, Any]:
    node: Any = load(source)
    for key in reference.removeprefix("#/").split("/"):
        node = node[key]
    assert isinstance(node, dict)
    return node


def _move(operation: dict[str, Any], source: str, components: dict[str, dict[str, Any]]) -> dict[str, Any]:
    links = {"externalDocs": operation["externalDocs"]}
    moved = _refer(_describe(convert(operation)), source, components)
    assert isinstance(moved, dict)
    return {**moved, **links}


def _describe(node: Any) -> Any:
    """A response needs a description; and an error that fits two kinds of error is none the worse for it.

    `oneOf` of GitHub's basic error and a longer one, which has no required key, would refuse what GitHub itself sends.
    """
    responses = {code: _with_description(answer) for code, answer in node["responses"].items()}
    for code, answer in responses.items():
        schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
        if code >= "400" and "oneOf" in schema:
            schema["anyOf"] = schema.pop("oneOf")
    return {**node, "responses": responses}


def _with_description(answer: dict[str, Any]) -> dict[str, Any]:
    return answer if "$ref" in answer else {**answer, "description": "Response"}


def _refer(node: Any, source: str, components: dict[str, dict[str, Any]]) -> Any:
    """The same with references into `components`, where what they point to is put; enterprise's have a prefix."""
    if isinstance(node, list):
        return [_refer(item, source, components) for item in node]
    if not isinstance(node, dict):
        return node
    if not isinstance(node.get("$ref"), str):
        return {key: _refer(value, source, components) for key, value in node.items()}
    _, _, kind, name = node["$ref"].split("/")
    prefix = "" if source == SOURCES[0] else f"{source}."
    held = components.setdefault(kind, {})
    if f"{prefix}{name}" not in held:
        held[f"{prefix}{name}"] = {}  # a schema may refer to itself
        converted = convert(_target(node["$ref"], source))
        if kind == "responses":
            converted = _with_description(converted)
        held[f"{prefix}{name}"] = _refer(converted, source, components)
    return {"$ref": f"#/components/{kind}/{prefix}{name}"}


def to_text(reduced: dict[str, Any]) -> str:
    """One operation and one component a line, sorted: a difference can be read."""
    lines = ["{", '"operations": {', *_lines(reduced["operations"]), "},", '"components": {']
    kinds = sorted(reduced["components"])
    for kind in kinds:
        lines += [f'"{kind}": {{', *_lines(reduced["components"][kind]), "}" if kind == kinds[-1] else "},"]
    return "\n".join([*lines, "}", "}", ""])


def _lines(items: dict[str, Any]) -> Iterable[str]:
    last = max(items)
    for key in sorted(items):
        text = json.dumps(items[key], separators=(",", ":"), sort_keys=True)
        yield f'"{key}": {text}{"" if key == last else ","}'


if __name__ == "__main__":
    TARGET.write_text(to_text(reduce()))
    sys.stdout.write(f"{TARGET.name}: {TARGET.stat().st_size // 1000} kB\n")
