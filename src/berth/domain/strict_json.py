"""JSON from strangers, read so that nobody sees something else in the same bytes, and so that reading stays cheap.

1. It is UTF-8 without a mark in front. `json` alone would also take UTF-16 and UTF-32, and NaN and Infinity for numbers.
2. An object names nothing twice: which of two equal names counts is each reader's own choice.
3. Depth and number of values are counted before anything is built: 4 MiB of `[],[],…` would become 100 MB of objects, and
   depth is bounded by a rule of ours, not by how much of Python's stack the caller left.

Source: RFC 8259 §4, §8.1 and §9 (a parser may set limits on depth and size).
"""

import json
import re
from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate

from berth.domain.problem import Invalid

MAX_DEPTH = 64
MAX_VALUES = 200_000

# Every match succeeds wherever it begins, and nothing in it is tried twice: a text without end costs no more than another.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.?)*+"?', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def parse_json_object(body: bytes, *, ignore_case: bool = False) -> dict[str, object]:
    """The object. With `ignore_case`, names that differ in case only are equal names (rule 2).

    Raises Invalid with a sentence about "it"; the code is the caller's to give.
    """
    _check_limits(body)
    hook = partial(_unambiguous, str.casefold if ignore_case else str)
    try:
        value = json.loads(body.decode(), object_pairs_hook=hook, parse_constant=_refuse_constant)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise Invalid("It is not a JSON object in UTF-8.")
    return value


def _check_limits(body: bytes) -> None:
    structure = _STRING.sub(b"", body)
    if structure.count(b",") + structure.count(b"[") + structure.count(b"{") > MAX_VALUES:
        raise Invalid(f"It holds more than {MAX_VALUES} values.")
    steps = map(_STEPS.__getitem__, structure.translate(None, _NOT_BRACKETS))
    if max(accumulate(steps), default=0) > MAX_DEPTH:
        raise Invalid(f"It is nested deeper than {MAX_DEPTH} levels.")


def _unambiguous(fold: Callable[[str], str], pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    if len({fold(name) for name, _ in pairs}) != len(pairs):
        raise Invalid("It names something twice in one object.")
    return dict(pairs)


def _refuse_constant(name: str) -> object:
    raise ValueError(name)
