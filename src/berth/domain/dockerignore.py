r"""What a `.dockerignore` keeps out of a build context.

1. A line is a pattern, relative to the context; `#` at its beginning makes it a comment; `!` takes back what earlier ones said.
   The last pattern that matches a path, or a folder above it, decides.
2. `*`, `?`, `[a-z]`, `[^a-z]` stay within one name, `**` is any number of names, `\` takes the next character as it is.
3. `<Dockerfile>.dockerignore` beside the Dockerfile counts instead of the one in the context.

Every match takes linear time: names are matched without going back, and the rest is looking up.
Source: Docker documentation, "Build context", .dockerignore files; moby/patternmatcher.
"""

import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from berth.domain.problem import Invalid, LimitReached

NAME = ".dockerignore"
MAX_SIZE_BYTES = 64 * 1024
MAX_PATTERNS = 1000
MAX_WORK = 200_000_000  # characters of names times patterns with wildcards: some seconds
_CALL = 50  # what matching costs beside that, in characters
_ANY = "**"
_WILD = re.compile(r"[*?\[\\]")


@dataclass(frozen=True, slots=True)
class _Pattern:
    """Runs of names; between two of them may be any number of names."""

    runs: tuple[tuple[re.Pattern[str], ...], ...]

    def matches(self, names: Sequence[str]) -> bool:
        """Each run at the first place where it fits, which leaves the most for the rest."""
        first, *between = self.runs
        if not between:
            return len(first) == len(names) and _fits(first, names, 0)
        last = between.pop()
        if len(first) + len(last) > len(names) or not _fits(first, names, 0):
            return False
        at, end = len(first), len(names) - len(last)
        for run in between:
            while at + len(run) <= end and not _fits(run, names, at):
                at += 1
            if at + len(run) > end:
                return False
            at += len(run)
        return _fits(last, names, end) and (bool(last) or at < len(names))


def _fits(run: Sequence[re.Pattern[str]], names: Sequence[str], at: int) -> bool:
    return all(part.fullmatch(name) for part, name in zip(run, names[at:], strict=False))


@dataclass(slots=True)
class IgnoreRules:
    """A file's patterns, the later ones stronger. Without any, nothing is kept out."""

    plain: dict[str, list[int]] = field(default_factory=dict)  # a path without wildcards → its patterns' numbers
    wild: list[tuple[int, _Pattern]] = field(default_factory=list)
    taken_back: set[int] = field(default_factory=set)

    def keep(self, paths: Iterable[str]) -> list[str]:
        """Those of the paths that are sent. They come as git lists them, so that what is in one folder stands together.

        Raises LimitReached where deciding would take too long.
        """
        kept: list[str] = []
        above: list[
            tuple[str, int]
        ] = []  # the names on the way to the path before, and the strongest pattern up to each
        work = 0
        for path in paths:
            names = path.split("/")
            same = 0
            while same < min(len(above), len(names)) and above[same][0] == names[same]:
                same += 1
            del above[same:]
            work += sum(len(name) + _CALL for name in names[same:]) * len(self.wild)
            if work > MAX_WORK:
                raise LimitReached(
                    f"{NAME} has too many patterns with wildcards for so many files.",
                    code="devcontainer.context_too_large",
                    remedy="Name a smaller folder as the context, or write fewer patterns.",
                )
            for length in range(same + 1, len(names) + 1):
                strongest = self._strongest(names[:length])
                above.append((names[length - 1], max(strongest, above[-1][1] if above else -1)))
            if above[-1][1] < 0 or above[-1][1] in self.taken_back:
                kept.append(path)
        return kept

    def _strongest(self, names: Sequence[str]) -> int:
        """The number of the last pattern that matches; -1 for none."""
        fitting: list[int] = [-1, *self.plain.get("/".join(names), ())]
        fitting += [number for number, one in self.wild if one.matches(names)]
        return max(fitting)


def parse_ignore_rules(data: bytes | None) -> IgnoreRules:
    """None is no file. Raises Invalid, code `devcontainer.dockerignore`."""
    rules = IgnoreRules()
    if data is None:
        return rules
    if len(data) > MAX_SIZE_BYTES:
        raise _refusal(f"it is larger than {MAX_SIZE_BYTES // 1024} KiB")
    lines = data.decode("utf-8-sig", errors="surrogateescape").splitlines()
    if len(lines) > MAX_PATTERNS:
        raise _refusal(f"it has more than {MAX_PATTERNS} lines")
    for number, line in enumerate(lines):
        text = "" if line.startswith("#") else line.strip()
        if text.startswith("!"):
            rules.taken_back.add(number)
            text = text[1:].strip()
        if not text:
            continue
        path = posixpath.normpath(text).lstrip("/")
        if _WILD.search(path):
            rules.wild.append((number, _parse_pattern(path, number + 1)))
        else:
            rules.plain.setdefault(path, []).append(number)
    return rules


def _parse_pattern(path: str, number: int) -> _Pattern:
    runs: list[list[re.Pattern[str]]] = [[]]
    for name in path.split("/"):
        if name.startswith(_ANY) and (runs[-1] or len(runs) == 1):  # `**.log` is any folder's `*.log`
            runs.append([])
        if name != _ANY:
            runs[-1].append(_compile(name, number))
    return _Pattern(tuple(map(tuple, runs)))


def _compile(name: str, number: int) -> re.Pattern[str]:
    """A name's pattern. What stands between two stars is found at its first place, which is never the wrong one."""
    pieces: list[str] = [""]
    at = 0
    while at < len(name):
        character = name[at]
        at += 1
        if character == "*":
            pieces.append("")
        elif character == "[":
            end = name.find("]", at + (name[at : at + 1] == "^") + 1)
            if end < 0:
                raise _refusal(f"line {number}: a '[' has no end")
            pieces[-1] += _character_class(name[at:end], number)
            at = end + 1
        elif character == "\\":
            pieces[-1] += re.escape(name[at : at + 1])
            at += 1
        else:
            pieces[-1] += "." if character == "?" else re.escape(character)
    first, *between, last = pieces if len(pieces) > 1 else (pieces[0], None)
    if last is None:
        return re.compile(first, re.DOTALL)
    return re.compile(f"{first}{''.join(f'(?>.*?{piece})' for piece in between)}.*{last}", re.DOTALL)


def _character_class(text: str, number: int) -> str:
    negated = text.startswith("^")
    inside = "".join(char if char == "-" else re.escape(char) for char in text[negated:])
    try:
        re.compile(found := f"[{'^' * negated}{inside}]")
    except re.error:
        raise _refusal(f"line {number}: a range between '[' and ']' is none") from None
    return found


def _refusal(why: str) -> Invalid:
    return Invalid(f"{NAME} cannot be read: {why}.", field="devcontainer_path", code="devcontainer.dockerignore")
