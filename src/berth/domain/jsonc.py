"""JSON with comments and trailing commas, as dev container configurations are written; read from strangers, so bounded.

At most 256 KiB and 64 levels; no key twice, no NaN, no NUL or lone surrogate in a text. Every step takes linear time.
"""

import json
import re
from typing import NoReturn

from berth.domain.problem import Invalid

MAX_SIZE_BYTES = 256 * 1024
MAX_DEPTH = 64

_STRING = r'"(?:[^"\\\n]|\\.)*+"?'  # possessive, and the closing quote optional: no position is read twice
_TOKEN = re.compile(rf"{_STRING}|//[^\n]*|/\*[\s\S]*?(?:\*/|\Z)|[\[\]{{}}]")
_TRAILING_COMMA = re.compile(rf"{_STRING}|,(?=\s*+[\]}}])")
_NOT_NEWLINE = re.compile(r"[^\n]")
_UNUSABLE = re.compile("[\0\ud800-\udfff]")


def parse_jsonc(data: bytes, source: str) -> object:
    """The value; all numbers are floats. Raises Invalid, code `devcontainer.malformed`, that names the `source`."""
    if len(data) > MAX_SIZE_BYTES:
        refuse(source, f"it is larger than {MAX_SIZE_BYTES // 1024} KiB")
    try:
        value: object = json.loads(
            _blanked(data.decode("utf-8-sig"), source),
            object_pairs_hook=lambda pairs: _unique(pairs, source),
            parse_constant=lambda name: refuse(source, f"{name} is not JSON"),
            parse_int=float,  # int() would refuse one of 5 000 digits in its own way
        )
    except UnicodeDecodeError:
        refuse(source, "it is not UTF-8")
    except json.JSONDecodeError as error:
        refuse(source, f"line {error.lineno}, column {error.colno}: {error.msg}")
    _check_texts(value, source)
    return value


def refuse(source: str, why: str) -> NoReturn:
    """The one way in which a configuration is called unreadable."""
    raise Invalid(f"{source} cannot be read: {why}.", field="devcontainer_path", code="devcontainer.malformed")


def _blanked(text: str, source: str) -> str:
    """The text with spaces for comments and trailing commas, so that lines and columns stay. Checks the depth."""
    depth = 0

    def blank(match: re.Match[str]) -> str:
        nonlocal depth
        token = match[0]
        if token in {"[", "{"}:
            depth += 1
            if depth > MAX_DEPTH:
                refuse(source, f"it is nested more than {MAX_DEPTH} levels deep")
        elif token in {"]", "}"}:
            depth -= 1
        elif token.startswith("/*") and not (token.endswith("*/") and len(token) > 3):
            refuse(source, f"line {text.count(chr(10), 0, match.start()) + 1}: the comment has no end")
        return _NOT_NEWLINE.sub(" ", token) if token.startswith("/") else token

    return _TRAILING_COMMA.sub(lambda match: " " if match[0] == "," else match[0], _TOKEN.sub(blank, text))


def _unique(pairs: list[tuple[str, object]], source: str) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            refuse(source, f"the key {printable(key)} is there twice")
        found[key] = value
    return found


def _check_texts(value: object, source: str) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            _check_texts(key, source)
            _check_texts(item, source)
    elif isinstance(value, list):
        for item in value:
            _check_texts(item, source)
    elif isinstance(value, str) and _UNUSABLE.search(value):
        refuse(source, "a text holds a NUL or half a character")


def printable(key: str) -> str:
    """A stranger's key for a message: quoted, short, ASCII."""
    return ascii(key[:60])
