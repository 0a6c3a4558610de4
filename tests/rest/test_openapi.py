"""The description and the route table are one; it is valid; and what it says of GitHub's operations is what GitHub says."""

import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from dev.github_description import TARGET, find_operation, reduce, to_text
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR
from tests.rest.berth_api import Berth
from tests.rest.schema import description

from berth.rest.codespace_exec import socket_routes
from berth.rest.openapi import path_of
from berth.rest.own_operations import OWN_OPERATIONS
from berth.rest.routes import ROUTES

SOCKETS = {route.path for route in socket_routes()}  # OpenAPI has no words for them
DOCS = Path(__file__).parents[2] / "docs/api.md"
MAX_BYTES = 1_000_000
OPERATIONS = {
    (method.upper(), path): operation
    for path, methods in description()["paths"].items()
    for method, operation in methods.items()
}
_PACKAGE = re.compile(r"/(orgs/\{org\}|users/\{username\}|user)/packages/container/\{package_name\}")


def test_what_was_taken_from_githubs_description_is_current() -> None:
    assert TARGET.read_text() == to_text(reduce()), "run: make openapi"


def test_every_route_is_described_and_nothing_else() -> None:
    routes = {(route.method, path_of(route)) for route in ROUTES}
    undescribed = sorted(routes - OPERATIONS.keys())
    assert not undescribed, f"`make openapi` if GitHub describes them, else rest/own_operations.py: {undescribed}"
    assert not OPERATIONS.keys() - routes


def test_no_operation_of_ours_is_githubs_or_of_no_route() -> None:
    used = {_PACKAGE.sub("{package}", f"{method} {path}") for method, path in OPERATIONS}
    assert not OWN_OPERATIONS.keys() - used
    for key in OWN_OPERATIONS:
        method, path = key.replace("{package}", "/orgs/{org}/packages/container/{package_name}").split()
        assert find_operation(method, path) is None, f"{key}: GitHub describes it"


def test_docs_api_names_each_operation_as_the_description_does() -> None:
    """A row of docs/api.md says GitHub's name, the names of three paths beginning with the first; or that it is ours."""
    rows = re.findall(r"^\| `(\w+) ([^`]+)` \| [^|]* \| (.*) \|$", DOCS.read_text(), re.MULTILINE)
    assert len(rows) > 100
    for method, written, what in rows:
        path = re.sub(
            r"\{(\w+):\w+\}", r"{\1}", written.replace("{package}", "/orgs/{org}/packages/container/{package_name}")
        )
        if path in SOCKETS and "a WebSocket" in what:
            continue
        name = OPERATIONS[method, path]["operationId"].removesuffix("-of-root")
        assert f"`{name}`" in what or ("Ours" in what and name.startswith("berth/")), f"{method} {written}: {name}"


def test_the_description_is_valid() -> None:
    OPENAPI_31_VALIDATOR.validate(description())
    ids = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(ids) == len(set(ids))
    for (method, path), operation in OPERATIONS.items():
        parameters = [resolve(each) for each in operation["parameters"]]
        in_path = [each["name"] for each in parameters if each["in"] == "path"]
        assert sorted(in_path) == sorted(re.findall(r"\{(\w+)\}", path)), f"{method} {path}"


def resolve(node: dict[str, Any]) -> dict[str, Any]:
    for key in node.get("$ref", "#").split("/")[1:]:
        node = description()[key] if key == "components" else node[key]
    return node


def references(node: Any) -> set[str]:
    if isinstance(node, list):
        return {found for item in node for found in references(item)}
    if not isinstance(node, dict):
        return set()
    own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
    return own | {found for value in node.values() for found in references(value)}


def test_every_reference_has_a_target_and_every_target_a_reference() -> None:
    used = references(description())
    components = {
        f"#/components/{kind}/{name}"
        for kind, held in description()["components"].items()
        for name in held
        if kind != "securitySchemes"
    }
    assert used == components


@pytest.mark.parametrize("name", sorted(description()["components"]["schemas"]))
def test_every_schema_is_a_schema(name: str) -> None:
    jsonschema_rs.meta.validate(description()["components"]["schemas"][name])


def test_every_operation_says_who_may_call_it_and_how_it_fails() -> None:
    for route in ROUTES:
        operation = OPERATIONS[route.method, path_of(route)]
        scopes = {scope for needed in operation["security"] for listed in needed.values() for scope in listed}
        assert scopes == {str(scope) for scope in route.scopes}
        assert ({} in operation["security"]) is route.anonymous
        assert {"401", "403", "404", "422", "default"} <= operation["responses"].keys()


async def test_anybody_gets_the_description_with_this_servers_address(berth: Berth) -> None:
    answer = await berth.anonymous.get("/openapi.json")
    assert answer.status_code == 200
    assert len(answer.content) < MAX_BYTES
    body = answer.json()
    assert body.pop("servers") == [{"url": "http://api.berth.test"}]
    assert body == description()
