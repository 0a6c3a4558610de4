"""docs/api.md has an example of each operation of ours, which is what the operation takes and answers."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.rest.schema import check_against

from berth.rest.own_operations import OWN_OPERATIONS, request_schema

TEXT = (Path(__file__).parents[2] / "docs/api.md").read_text().partition("## Ours, with examples")[2]
# `METHOD path` `{body}` → 200 `{answer}`, or the answer in a block of its own.
EXAMPLE = re.compile(
    r"`(?P<method>GET|PUT|POST|PATCH|DELETE) (?P<path>[^`\s]+)`"
    r"(?:\s+`(?P<body>\{[^`]*\})`)?"
    r"(?:\s+→(?:\s+(?P<status>\d{3}))?(?:\s+`(?P<answer>[\[{][^`]*)`|[^`\n]*\n\n```json\n(?P<block>.*?)```)?)?",
    re.DOTALL,
)


@dataclass(frozen=True)
class Example:
    """One place in the document."""

    key: str
    body: Any
    status: int | None
    answer: Any


def shape(key: str) -> re.Pattern[str]:
    """What an example of an operation looks like: names in place of parameters."""
    return re.compile(re.sub(r"\\\{(?!package)\w+\\\}", "[^/]+", re.escape(key)))


SHAPES = sorted(((shape(key), key) for key in OWN_OPERATIONS), key=lambda each: each[1].count("{"))


def find_key(written: str) -> str | None:
    return next((key for pattern, key in SHAPES if pattern.fullmatch(written)), None)


def examples() -> Iterator[Example]:
    for match in EXAMPLE.finditer(TEXT):
        key = find_key(f"{match['method']} {match['path'].partition('?')[0].removeprefix('/api/v3')}")
        if key is not None:
            body, answer = match["body"], match["answer"] or match["block"]
            yield Example(
                key,
                None if body is None else json.loads(body),
                None if match["status"] is None else int(match["status"]),
                None if answer is None else json.loads(answer),
            )


@pytest.mark.parametrize("key", OWN_OPERATIONS)
def test_an_operation_of_ours_has_an_example(key: str) -> None:
    operation = OWN_OPERATIONS[key]
    found = [example for example in examples() if example.key == key]
    assert found, "add one to docs/api.md, Ours, with examples"
    if operation.request is not None:
        bodies = [example.body for example in found if example.body is not None]
        assert bodies, "its body is missing"
        for body in bodies:
            check_against(request_schema(operation.request, operation.narrowed), body, key)
    if operation.answer is not None:
        # The same answer of another operation will do.
        same = [each for each in examples() if OWN_OPERATIONS[each.key].answer is operation.answer]
        answers = [example.answer for example in same if example.answer is not None]
        assert answers, "its answer is missing"
        for answer in answers:
            check_against(operation.answer, answer, key)
    assert {example.status for example in found} <= {None, operation.status}
