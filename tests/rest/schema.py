"""GitHub's own OpenAPI description as a validator of our bodies. Source: the npm package @octokit/openapi, pinned."""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

_FILE = "@octokit/openapi/generated/api.github.com.json"


def _find_description() -> Path:
    folder = os.environ.get("BERTH_TEST_NODE_MODULES", str(Path(__file__).parents[2] / "node_modules"))
    return Path(folder) / _FILE


@cache
def _description() -> dict[str, Any]:
    path = _find_description()
    assert path.is_file(), f"{path} is missing: `make setup` installs it"
    raw: dict[str, Any] = json.loads(path.read_text())
    converted: dict[str, Any] = {"components": {"schemas": _convert(raw["components"]["schemas"])}}
    return converted


def _convert(node: Any) -> Any:
    """OpenAPI 3.0 to JSON Schema: `nullable` becomes a union with null; examples and discriminators go."""
    if isinstance(node, list):
        return [_convert(item) for item in node]
    if not isinstance(node, dict):
        return node
    # Under these keys an object maps names that may look like keywords.
    converted = {
        key: {name: _convert(value) for name, value in inner.items()}
        if key == "properties" and isinstance(inner, dict)
        else _convert(inner)
        for key, inner in node.items()
        if key not in {"nullable", "example", "examples", "discriminator", "xml", "externalDocs"}
        or not isinstance(node.get("type", ""), str)
    }
    if node.get("nullable") is True:
        return {"anyOf": [{"type": "null"}, converted]}
    return converted


def check_body(body: Any, schema: str, *, is_list: bool = False) -> None:
    """Raises AssertionError with the first mistake."""
    description = _description()
    reference: dict[str, Any] = {"$ref": f"#/components/schemas/{schema}"}
    wanted = {"type": "array", "items": reference} if is_list else reference
    errors = list(jsonschema.Draft7Validator({**description, "allOf": [wanted]}).iter_errors(body))
    if errors:
        error = jsonschema.exceptions.best_match(errors)
        raise AssertionError(f"{schema}: {'/'.join(map(str, error.absolute_path))}: {error.message[:500]}")
