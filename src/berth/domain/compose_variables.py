"""Variables in Compose files, and the files of variables beside them.

1. No variable of the server is one of a Compose file's (L5): there are those of the repository's own `.env`, and no others.
2. Keys are not filled in, values are, in each file before the files are merged.
3. What is filled in is not read again; and all texts together have a bound, however often a long value is named.
4. So has what one service is given of them: 1 MiB, from at most 32 files.

Source: Compose Specification, "Interpolation"; Docker's page "Syntax for environment files in Docker Compose".
"""

import re
from collections.abc import Mapping

from berth.domain.jsonc import printable
from berth.domain.problem import Invalid

MAX_FILE_BYTES = 64 * 1024
MAX_TEXT = 2 * 1024 * 1024
MAX_ENVIRONMENT = 1024 * 1024  # characters; Linux takes less for a process
_MAX_DEPTH = 16
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLAIN = re.compile(r"[^$]+")
_OPERATOR = re.compile(r":?[-?+]")
_BEGINNING = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*(=[ \t]*)?")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_SINGLE = re.compile(r"'((?:[^'\\]|\\.)*+)'", re.DOTALL)
_LINE = re.compile(r"[^\r\n]*")
_END = re.compile(r"[ \t]*(?:#[^\n]*)?\r?(?:\n|\Z)")
_COMMENT = re.compile(r"(?:^|[ \t])#.*")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}


class Interpolation:
    """Fills variables in. `unset` are the names that had no value and no default: they became the empty text."""

    def __init__(self, variables: Mapping[str, str], source: str) -> None:
        self._variables = variables
        self._source = source
        self._written = 0
        self._unused = 0  # how many words around this one do not count
        self.unset: set[str] = set()

    def fill(self, value: object) -> object:
        """The value with every text in it filled in. Raises Invalid."""
        if isinstance(value, dict):
            return {key: self.fill(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.fill(item) for item in value]
        return self.fill_text(value) if isinstance(value, str) else value

    def fill_text(self, text: str) -> str:
        """Raises Invalid."""
        filled, _ = self._read(text, 0, 0)
        return filled

    def _read(self, text: str, at: int, depth: int) -> tuple[str, int]:
        """The filled text up to the end, or in braces up to their end; and where that is."""
        if depth > _MAX_DEPTH:
            raise self._refusal(text, "its variables are nested too deep")
        parts: list[str] = []
        plain = re.compile(r"[^$}]+") if depth else _PLAIN
        while at < len(text) and not (depth and text[at] == "}"):
            if match := plain.match(text, at):
                part, at = match[0], match.end()
            else:
                part, at = self._variable(text, at + 1, depth)
            self._written += len(part)
            if self._written > MAX_TEXT:
                raise self._refusal(text, "the values of its variables are too long")
            parts.append(part)
        return "".join(parts), at

    def _variable(self, text: str, at: int, depth: int) -> tuple[str, int]:
        """What follows a `$`, and where it ends."""
        if text.startswith("$", at):
            return "$", at + 1
        if match := _NAME.match(text, at):
            return self._value(match[0]), match.end()
        if not text.startswith("{", at):
            return "$", at
        match = _NAME.match(text, at + 1)
        if match is None:
            raise self._refusal(text, "a variable in it has no name")
        name, at = match[0], match.end()
        operator, word = "", ""
        if found := _OPERATOR.match(text, at):
            operator = found[0]
            unused = not self._takes(operator, name)
            self._unused += unused
            word, at = self._read(text, found.end(), depth + 1)
            self._unused -= unused
        if not text.startswith("}", at):
            raise self._refusal(text, "a variable in it has no end")
        return self._chosen(name, operator, word), at + 1

    def _takes(self, operator: str, name: str) -> bool:
        """Whether the word after the operator counts."""
        value = self._variables.get(name)
        is_there = bool(value) if operator.startswith(":") else value is not None
        return is_there == operator.endswith("+")

    def _chosen(self, name: str, operator: str, word: str) -> str:
        if not operator:
            return self._value(name)
        if not self._takes(operator, name):
            return "" if operator.endswith("+") else self._variables[name]
        if operator.endswith("?"):
            raise Invalid(
                f"{self._source} wants the variable {name}: {word[:200] or 'it is not set'}.",
                field="devcontainer_path",
                code="compose.variable",
                remedy="Give it a default, as in ${NAME:-default}, or a value in a file .env beside the first Compose file.",
            )
        return word

    def _value(self, name: str) -> str:
        if name not in self._variables and not self._unused:  # nobody misses what is not used
            self.unset.add(name)
        return self._variables.get(name, "")

    def _refusal(self, text: str, why: str) -> Invalid:
        return Invalid(
            f"{self._source} holds the text {printable(text)}, but {why}.",
            field="devcontainer_path",
            code="compose.malformed",
            remedy="Write $$ for a dollar sign.",
        )


def parse_variables(data: bytes, source: str, variables: Mapping[str, str]) -> dict[str, str]:
    """A file of `NAME=value` lines. Its values may name variables, and those of lines above. Raises Invalid.

    A name without `=` would take its value from the environment; there is none, so it is left out.
    """
    if len(data) > MAX_FILE_BYTES:
        raise _malformed(source, f"it is larger than {MAX_FILE_BYTES // 1024} KiB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _malformed(source, "it is not UTF-8") from None
    if "\0" in text:
        raise _malformed(source, "it holds a NUL")
    known, found, at = dict(variables), dict[str, str](), 0
    filling = Interpolation(known, source)
    while at < len(text):
        if blank := _END.match(text, at):
            at = blank.end()
            continue
        begun = at
        match = _BEGINNING.match(text, at)
        if match is None:
            raise _malformed(source, f"line {_line(text, begun)} is no NAME=value")
        content, at = _read_value(text, match.end(), filling) if match[2] else ("", match.end())
        end = _END.match(text, at)
        if end is None:
            raise _malformed(source, f"line {_line(text, begun)} has something after its value")
        at = end.end()
        if match[2]:
            known[match[1]] = found[match[1]] = content
    return found


def check_environment(variables: Mapping[str, str], what: str) -> None:
    """Policy 4. Raises Invalid."""
    if sum(len(name) + len(value) for name, value in variables.items()) > MAX_ENVIRONMENT:
        raise Invalid(
            f"The variables of {what} have more than {MAX_ENVIRONMENT // 1024} KiB.",
            field="devcontainer_path",
            code="compose.value",
        )


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def _read_value(text: str, at: int, filling: Interpolation) -> tuple[str, int]:
    """The value that begins here, and where it ends. Quoted ones may have several lines."""
    if match := _SINGLE.match(text, at):
        return match[1].replace("\\'", "'"), match.end()
    if match := _DOUBLE.match(text, at):
        return filling.fill_text(_ESCAPE.sub(_unescaped, match[1])), match.end()
    match = _LINE.match(text, at)
    raw = "" if match is None else match[0]
    return filling.fill_text(_COMMENT.sub("", raw, count=1).strip()), at + len(raw)


def _unescaped(match: re.Match[str]) -> str:
    """An escaped dollar sign becomes two, which is what one is to whatever fills variables in."""
    return "$$" if match[1] == "$" else _ESCAPED.get(match[1], match[1])


def _malformed(source: str, why: str) -> Invalid:
    return Invalid(f"{source} cannot be read: {why}.", field="devcontainer_path", code="compose.malformed")
