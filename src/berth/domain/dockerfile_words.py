"""The words of a Dockerfile's line: quotes, the escape character, variables; and how large they may grow.

Variables are filled in as `$NAME`, `${NAME}`, `${NAME:-word}`, `${NAME-word}`, `${NAME:+word}`, `${NAME+word}`; what has no
value is empty. Other forms are refused: engines of different versions read them differently.
Source: Dockerfile reference, "Environment replacement"; moby/buildkit `frontend/dockerfile/shell/lex.go`.
"""

import re
from collections.abc import Iterator, Mapping

MAX_WORD = 4096  # characters of one word with its variables filled in
MAX_NESTING = 8
MAX_GROWN = 256 * 1024  # characters that a line may have for the engine, its variables filled in
_UNKNOWN = 4096  # what a variable may be that comes from the base image

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BRACED = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-+])|(?=\}))")
_REFERENCE = re.compile(r"\$\{?([A-Za-z0-9_]*)")
_ODD_REFERENCE = re.compile(r"\$\{?[A-Za-z0-9_]*[^\x00-\x7f]")


class WordError(ValueError):
    """The text says why."""


def split_words(text: str, escape: str) -> tuple[str, ...]:
    """At blanks outside of quotes; quotes and escapes stay. Raises WordError."""
    words, word, quote = [], "", ""
    characters = iter(text)
    for character in characters:
        if character == escape and quote != "'":
            word += character + next(characters, "")
        elif quote or character not in " \t":
            quote = "" if character == quote else quote or (character if character in "'\"" else "")
            word += character
        elif word:
            words.append(word)
            word = ""
    if quote:
        raise WordError("a quote has no end")
    return (*words, word) if word else tuple(words)


def fill(word: str, variables: Mapping[str, str], escape: str) -> str:
    """The word as the engine would use it: without quotes, with variables filled in. Raises WordError."""
    return _fill(word, 0, "", variables, escape, 0)[0]


def _fill(text: str, at: int, stop: str, variables: Mapping[str, str], escape: str, depth: int) -> tuple[str, int]:
    """Up to `stop` outside of quotes, and where that is; without one to the end."""
    if depth > MAX_NESTING:
        raise WordError("its variables are nested too deep")
    out, quote = "", ""
    while at < len(text) and (quote or text[at] != stop):
        character = text[at]
        at += 1
        if character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
        elif quote == "'" or character not in {escape, "$"}:
            out += character
        elif character == escape:
            out += text[at : at + 1]
            at += 1
        else:
            value, at = _variable(text, at, variables, escape, depth)
            out += value
        if len(out) > MAX_WORD:
            raise WordError(f"with its variables filled in it has more than {MAX_WORD} characters")
    if quote or (stop and at >= len(text)):
        raise WordError("a quote or a brace has no end")
    return out, at


def _variable(text: str, at: int, variables: Mapping[str, str], escape: str, depth: int) -> tuple[str, int]:
    """What stands after the dollar sign, filled in, and where it ended."""
    if plain := _NAME.match(text, at):
        return variables.get(plain[0], ""), plain.end()
    braced = _BRACED.match(text, at)
    if braced is None:
        raise WordError("only variables of the forms $NAME, ${NAME}, ${NAME:-word} and ${NAME:+word} are filled in")
    name, kind = braced[1], braced[2] or ""
    word, end = _fill(text, braced.end(), "}", variables, escape, depth + 1)
    value = variables.get(name)
    there = bool(value) if kind.startswith(":") else value is not None
    if kind.endswith("+"):
        return word if there else "", end + 1
    return (value or "") if there else word, end + 1


class Growth:
    """An upper bound of what a stage's variables grow to: each line may double what another left (`ENV A=$B$B`).

    It reads names loosely and forgets none, so it may be too high, never too low.
    """

    def __init__(self, base: "Growth | None" = None) -> None:
        self.sizes: dict[str, int] = {} if base is None else dict(base.sizes)
        # What any variable may be, since a line gave a value to a name that is not plain.
        self.hidden: int = 0 if base is None else base.hidden

    def take(self, text: str, *, assigns: bool = False) -> None:
        """A line that the engine fills variables into; it may give some a value. Raises WordError."""
        if _ODD_REFERENCE.search(text):
            raise WordError("a variable's name has letters, digits and '_' of ASCII only")
        references = (match[1] for match in _REFERENCE.finditer(text))
        size = len(text) + sum(max(self.hidden, self.sizes.get(name, _UNKNOWN)) for name in references)
        if size > MAX_GROWN:
            raise WordError("its variables would grow beyond all bounds")
        for name in _assigned(text) if assigns else ():
            if _NAME.fullmatch(name):
                self.sizes[name] = max(size, self.sizes.get(name, 0))
            else:
                self.hidden = max(self.hidden, size)


def _assigned(text: str) -> Iterator[str]:
    """The names that a line of ENV or ARG gives a value, and perhaps others: each word of it begins one of these."""
    for number, word in enumerate(text.split()):
        name, equals, _ = word.partition("=")
        if equals or number == 0:
            yield name
