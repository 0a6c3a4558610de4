"""The small part of GraphQL that the tools use which speak REST otherwise: one query of named fields, no more.

1. A document is one query operation, named or not, and named fragments. Mutations, subscriptions, inline fragments and directives
   are refused, not ignored.
2. A variable stands for what is sent beside the query, then for its default; one that is neither is an error, not null.
3. Fields are counted and nesting is bounded before anything is looked up: one request cannot ask for everything.
4. A fragment's fields stand wherever it is spread, and count there; each spread counts as a field and as nesting, so none goes
   round in a circle. Its type is not compared: a field that is not there is refused where it is looked up.

Source: GraphQL specification (October 2021), sections 2, 5.5 and 6.1; which queries gh sends: GITHUB_API section 6 of the
references.
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
    return _Parser(list(_tokens(text)), variables).document()


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

    def __init__(self, tokens: list[str], variables: Mapping[str, object]) -> None:
        self._tokens = tokens
        self._variables = variables
        self._defaults: dict[str, Value] = {}
        self._fragments: dict[str, int] = {}  # where each one's fields begin
        self._count = 0
        self._at = 0

    @property
    def now(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        before = self.now
        self._at += 1
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

    def document(self) -> tuple[Field, ...]:
        """Fragments may stand before the query and behind it, so all are found before one is read."""
        start: int | None = None
        while self.now:
            if self._accept("fragment"):
                self._fragment()
            elif start is None:
                start = self._at
                self._skip_to_fields()
            else:
                _refuse(f"One query at a time, not '{self.now[:40]}' behind it.")
            self._skip_fields()
        self._at = len(self._tokens) if start is None else start
        return self._operation()

    def _fragment(self) -> None:
        name = self._name()
        self._expect("on")
        self._name()
        if name in self._fragments:
            _refuse(f"There are two fragments '{name[:40]}'.")
        self._fragments[name] = self._at

    def _skip_to_fields(self) -> None:
        while self.now not in {"{", ""}:
            self._next()

    def _skip_fields(self) -> None:
        self._expect("{")
        depth = 1
        while depth and self.now:
            depth += {"{": 1, "}": -1}.get(self._next(), 0)

    def _operation(self) -> tuple[Field, ...]:
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
        fields = [*self._fields(depth)]
        while not self._accept("}"):
            fields += self._fields(depth)
        return tuple(fields)

    def _fields(self, depth: int) -> tuple[Field, ...]:
        """One field, or those of the fragment that is spread here."""
        self._count += 1
        if self._count > MAX_FIELDS:
            _refuse(f"The query asks for more than {MAX_FIELDS} fields.")
        if not self._accept("..."):
            return (self._field(depth),)
        name = self._name()
        if name not in self._fragments:
            _refuse(f"There is no fragment '{name[:40]}'.")
        back, self._at = self._at, self._fragments[name]
        fields = self._selection(depth + 1)
        self._at = back
        return fields

    def _field(self, depth: int) -> Field:
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
