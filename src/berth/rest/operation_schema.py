"""The words in which our own operations are described: parts of JSON schemas, and what an operation takes and answers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from berth.domain.finding import Fixer

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnOperation:
    """`answer` None: no content. `narrowed`: keys of the request whose values are fewer than their type's.

    `streams`: the answer may be server-sent events instead.
    """

    id: str
    summary: str
    status: int = 200
    answer: Schema | None = None
    request: type[msgspec.Struct] | None = None
    narrowed: Mapping[str, Schema] = field(default_factory=dict)
    query: tuple[Schema, ...] = ()
    streams: bool = False


def request_schema(request: type[msgspec.Struct], narrowed: Mapping[str, Schema]) -> Schema:
    """What the handler parses."""
    (_,), components = msgspec.json.schema_components([request])
    schema: Schema = components[request.__name__]
    properties = {name: {**was, **narrowed.get(name, {})} for name, was in schema["properties"].items()}
    return {"type": "object", "properties": properties, "required": schema["required"]}


def closed(**properties: Schema) -> Schema:
    """An object with these keys, all of them, and no others."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def words(values: Iterable[str], *, null: bool = False) -> Schema:
    """One of these texts."""
    if null:
        return {"type": ["string", "null"], "enum": [*map(str, values), None]}
    return {"type": "string", "enum": list(map(str, values))}


def list_of(items: Schema) -> Schema:
    """An array of these."""
    return {"type": "array", "items": items}


def github(name: str) -> Schema:
    """A schema of GitHub's description."""
    return {"$ref": f"#/components/schemas/{name}"}


def query(name: str, schema: Schema) -> Schema:
    """A parameter of the query."""
    return {"in": "query", "name": name, "schema": schema}


TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "integer"}
YES: Schema = {"type": "boolean"}
TIME: Schema = {"type": "string", "format": "date-time"}
MAYBE_TEXT: Schema = {"type": ["string", "null"]}
MAYBE_NUMBER: Schema = {"type": ["integer", "null"]}
MAYBE_TIME: Schema = {"type": ["string", "null"], "format": "date-time"}
BASE64: Schema = {"type": "string", "contentEncoding": "base64"}
PAGES = (query("per_page", {"type": "integer", "default": 30}), query("page", {"type": "integer", "default": 1}))
LOG_LINE = closed(id=NUMBER, at=TIME, kind=words(("phase", "output", "progress", "finding")), text=TEXT)

FINDING = closed(
    code=TEXT,
    sentence=TEXT,
    fixer=words(Fixer),
    next_step=TEXT,
    evidence={"type": "object", "additionalProperties": TEXT},
)
