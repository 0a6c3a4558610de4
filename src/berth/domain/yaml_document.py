"""YAML from strangers, read so that reading stays cheap and nobody sees something else in the same bytes.

1. At most 256 KiB, 32 levels, 20 000 values and 2 MiB of text, aliases counted as what they stand for: ten lines of anchors that
   name each other ten times ("billion laughs") end at the bound, before anything is multiplied.
2. One document; no key twice; no tag but that of texts. `<<` takes over what other mappings say, as in YAML 1.1.
3. Plain texts are null, true, false, whole numbers as YAML 1.2 writes them, else texts: `yes`, `1.10`, `22:22` and `0777` stay as
   they are written, whatever YAML 1.1 makes of them.

Source: YAML 1.2.2, "Recommended Schemas"; YAML 1.1, "Merge Key Language-Independent Type".
"""

import re
from collections.abc import Iterator
from typing import Any

import yaml

from berth.domain.jsonc import printable
from berth.domain.problem import Invalid

MAX_SIZE_BYTES = 256 * 1024
MAX_DEPTH = 32
MAX_VALUES = 20_000
MAX_TEXT = 2 * 1024 * 1024
_TEXT_TAGS = frozenset({None, "!", "tag:yaml.org,2002:str"})
_PLAIN: dict[str, object] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_UNUSABLE = re.compile("[\0\ud800-\udfff]")


def parse_yaml(data: bytes, source: str) -> object:
    """The document's value; what an alias stands for is shared. Raises Invalid, code `compose.malformed`, naming the source."""
    if len(data) > MAX_SIZE_BYTES:
        raise _malformed(source, f"it is larger than {MAX_SIZE_BYTES // 1024} KiB")
    try:
        return _Reader(yaml.parse(data.decode("utf-8-sig"), Loader=yaml.CSafeLoader), source).document()
    except UnicodeDecodeError:
        raise _malformed(source, "it is not UTF-8") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
        raise _malformed(source, f"{where}{error.problem or 'it is not YAML'}") from None
    except yaml.YAMLError:
        raise _malformed(source, "it is not YAML") from None


class _Reader:
    """Turns events into values, and counts."""

    def __init__(self, events: Iterator[Any], source: str) -> None:
        self._events = events
        self._source = source
        self._anchors: dict[str, tuple[object, int, int, int]] = {}  # name → value, how many values, text, levels
        self._values = 0
        self._text = 0
        self._deepest = 0

    def document(self) -> object:
        next(self._events)  # the stream begins
        if not isinstance(next(self._events), yaml.DocumentStartEvent):
            return None
        value = self._value(next(self._events), 0)
        next(self._events)  # the document ends
        if not isinstance(next(self._events), yaml.StreamEndEvent):
            raise _malformed(self._source, "it holds more than one document")
        return value

    def _value(self, event: Any, depth: int) -> object:
        self._reach(event, depth)
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise self._at(event, f"the alias {printable(event.anchor)} stands for nothing, or for itself")
            value, values, text, levels = self._anchors[event.anchor]
            self._count(event, values, text)
            self._reach(event, depth + levels)
            return value
        before = self._values, self._text, self._deepest
        self._deepest = depth
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event)
        elif event.tag is not None:
            raise self._at(event, f"the tag {printable(event.tag)} is not known here")
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._sequence(event, depth)
        else:
            value = self._mapping(event, depth)
        if event.anchor is not None:
            levels = self._deepest - depth
            self._anchors[event.anchor] = (value, self._values - before[0], self._text - before[1], levels)
        self._deepest = max(self._deepest, before[2])
        return value

    def _reach(self, event: Any, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise self._at(event, f"it is nested more than {MAX_DEPTH} levels deep")
        self._deepest = max(self._deepest, depth)

    def _scalar(self, event: Any) -> object:
        if event.tag not in _TEXT_TAGS:
            raise self._at(event, f"the tag {printable(event.tag)} is not known here")
        text = self._text_of(event)
        if event.tag is not None or not event.implicit[0]:
            return text
        return int(text) if _WHOLE.fullmatch(text) else _PLAIN.get(text, text)

    def _text_of(self, event: Any) -> str:
        text = str(event.value)
        self._count(event, 1, len(text))
        if _UNUSABLE.search(text):
            raise self._at(event, "a text holds a NUL or half a character")
        return text

    def _sequence(self, start: Any, depth: int) -> list[object]:
        self._count(start, 1, 0)
        found = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            found.append(self._value(event, depth + 1))
        return found

    def _mapping(self, start: Any, depth: int) -> dict[str, object]:
        self._count(start, 1, 0)
        found: dict[str, object] = {}
        taken: dict[str, object] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise self._at(event, "a key is no text")
            key = self._text_of(event)
            value = self._value(next(self._events), depth + 1)
            if key == "<<" and event.implicit[0]:
                taken = {**self._taken_over(event, value), **taken}
            elif key in found:
                raise self._at(event, f"the key {printable(key)} is there twice")
            else:
                found[key] = value
        return {**taken, **found}

    def _taken_over(self, event: Any, value: object) -> dict[str, object]:
        """What `<<` names: a mapping, or several of which the first has the last word."""
        taken: dict[str, object] = {}
        for one in reversed(value if isinstance(value, list) else [value]):
            if not isinstance(one, dict):
                raise self._at(event, "'<<' takes mappings only")
            self._count(event, len(one), 0)
            taken |= one
        return taken

    def _count(self, event: Any, values: int, text: int) -> None:
        self._values += values
        self._text += text
        if self._values > MAX_VALUES or self._text > MAX_TEXT:
            raise self._at(event, "it holds too much, aliases counted as what they stand for")

    def _at(self, event: Any, why: str) -> Invalid:
        return _malformed(self._source, f"line {event.start_mark.line + 1}: {why}")


def _malformed(source: str, why: str) -> Invalid:
    return Invalid(f"{source} cannot be read: {why}.", field="devcontainer_path", code="compose.malformed")
