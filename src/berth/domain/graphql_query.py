"""The small part of GraphQL that the tools use which speak REST otherwise: one query of named fields, no more.

1. A document is one query operation, named or not. Mutations, subscriptions, fragments and directives are refused, not ignored.
2. A variable stands for what is sent beside the query, then for its default; one that is neither is an error, not null.
3. Fields are counted and nesting is bounded before anything is looked up: one request cannot ask for everything.

Source: GraphQL specification (October 2021), sections 2 and 6.1; which queries gh sends: GITHUB_API section 6 of the references.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

from berth.domain.problem import Invalid

MAX_FIELDS = 200
MAX_DEPTH = 8
MAX_CHARACTERS = 64 * 1024

Value = str | int | float | bool | None | list["Value"]

_TOKEN = re.compile(
    r'[\s,\ufeff]+|#[^\n\r]*|(?P<name>[A-Za-z_]\w*)|(?P<string>"(?!"")(?:[^"\\\n\r]|\\[^\n\r])*")'
    r"|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<mark>\.\.\.|[!$&()\[\]{}:=@|])",
    re.ASCII,
)
_WORDS: Mapping[str, bool | None] = {"true": True, "false": False, "null": None}


@dataclass(frozen=True, slots=True)
class Field:
    """What is asked for: `key` is its name in the answer, an alias where there is one."""

    key: str
    name: str
    arguments: Mapping[str, Value]
    fields: tuple["Field", ...]


def parse_query(text: str, variables: Mapping[str, object]) -> tuple[Field, ...]:
    """The fields of the query. Raises Invalid (`graphql.unsupported`) for everything else, saying what it met."""
    if len(text) > MAX_CHARACTERS:
        _refuse(f"The query is longer than {MAX_CHARACTERS} characters.")
    parser = _Parser(_tokens(text), variables)
    fields = parser.operation()
    if parser.now:
        _refuse(f"One query at a time, not '{parser.now[:40]}' behind it.")
    return fields


def _refuse(message: str) -> NoReturn:
    raise Invalid(message, field="query", code="graphql.unsupported", remedy="Use the REST API for everything else.")


def _tokens(text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            _refuse(f"The query has a character that does not belong there, at {at}.")
        at = found.end()
        if found.lastgroup is not None:
            yield found[0]


class _Parser:
    """`now` is the token that is looked at; empty at the end."""

    def __init__(self, tokens: Iterator[str], variables: Mapping[str, object]) -> None:
        self._tokens = tokens
        self._variables = variables
        self._defaults: dict[str, Value] = {}
        self._count = 0
        self.now = ""
        self._next()

    def _next(self) -> str:
        before, self.now = self.now, next(self._tokens, "")
        return before

    def _accept(self, mark: str) -> bool:
        if self.now != mark:
            return False
        self._next()
        return True

    def _expect(self, mark: str) -> None:
        if not self._accept(mark):
            _refuse(f"The query has '{self.now[:40] or 'its end'}' where '{mark}' belongs.")

    def _name(self) -> str:
        if not self.now[:1].isalpha() and not self.now.startswith("_"):
            _refuse(f"The query has '{self.now[:40] or 'its end'}' where a name belongs.")
        return self._next()

    def operation(self) -> tuple[Field, ...]:
        if self.now != "{":
            kind = self._name()
            if kind != "query":
                _refuse(f"There are queries here, but no '{kind[:40]}'.")
            if self.now not in {"(", "{"}:
                self._name()
            if self._accept("("):
                self._declarations()
        return self._selection(1)

    def _declarations(self) -> None:
        while not self._accept(")"):
            self._expect("$")
            name = self._name()
            self._expect(":")
            self._type()
            if self._accept("="):
                self._defaults[name] = self._value(1)

    def _type(self) -> None:
        """Read over: a value of another type is found where it is used."""
        depth = 0
        while self._accept("["):
            depth += 1
        self._name()
        self._accept("!")
        for _ in range(depth):
            self._expect("]")
            self._accept("!")

    def _selection(self, depth: int) -> tuple[Field, ...]:
        if depth > MAX_DEPTH:
            _refuse(f"The query is nested deeper than {MAX_DEPTH}.")
        self._expect("{")
        fields = [self._field(depth)]
        while not self._accept("}"):
            fields.append(self._field(depth))
        return tuple(fields)

    def _field(self, depth: int) -> Field:
        self._count += 1
        if self._count > MAX_FIELDS:
            _refuse(f"The query asks for more than {MAX_FIELDS} fields.")
        key = name = self._name()
        if self._accept(":"):
            name = self._name()
        arguments: dict[str, Value] = {}
        if self._accept("("):
            while not self._accept(")"):
                argument = self._name()
                self._expect(":")
                arguments[argument] = self._value(depth)
        return Field(key, name, arguments, self._selection(depth + 1) if self.now == "{" else ())

    def _value(self, depth: int) -> Value:
        if depth > MAX_DEPTH:
            _refuse(f"The query is nested deeper than {MAX_DEPTH}.")
        if self._accept("$"):
            return self._variable(self._name())
        if self._accept("["):
            values: list[Value] = []
            while not self._accept("]"):
                values.append(self._value(depth + 1))
            return values
        if self.now.startswith('"'):
            return _string(self._next())
        if self.now[:1].isdecimal() or self.now.startswith("-"):
            return float(self._next())
        word = self._name()
        return _WORDS.get(word, word)

    def _variable(self, name: str) -> Value:
        if name in self._variables:
            value = self._variables[name]
            return value if isinstance(value, str | int | float | bool) else None
        if name not in self._defaults:
            _refuse(f"The variable '{name[:40]}' was not sent.")
        return self._defaults[name]


def _string(quoted: str) -> str:
    """The escapes are JSON's. Source: GraphQL specification, section 2.9.4."""
    try:
        text: str = json.loads(quoted)
        text.encode()
    except ValueError:
        _refuse("The query has a string with an escape that stands for no character.")
    return text
