"""Dockerfiles: every image that one needs is found, and the file is written anew with those images by digest (L1, L2).

1. The engine never gets the repository's text. It gets what was understood here, each instruction in one line under a name
   from the table below, so that both read the same file.
2. Each image from elsewhere (`FROM`, `COPY --from=`) becomes its digest; what names an earlier stage stays.
3. After each FROM there is a LABEL, the first step of every layer that is built. It makes whose build it is part of the
   engine's cache key: nobody gets layers of another owner or repository. It comes again after each LABEL of the file, which
   could say that the containers of the following steps are somebody else's.
4. What would reach elsewhere is refused: an address in ADD (the engine itself would fetch it, from the server's network),
   ONBUILD (steps that run later, unread), another platform. So is what only BuildKit builds.
5. `# syntax=docker/dockerfile…` is passed over, as by any engine without BuildKit; another frontend is another language.

Source: Dockerfile reference; moby/buildkit `frontend/dockerfile/parser`, observed with engine 20.10's own builder.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from berth.domain.dockerfile_words import Growth, WordError, fill, split_words
from berth.domain.image_reference import ImageReference, parse_image_reference
from berth.domain.problem import Invalid

MAX_SIZE_BYTES = 256 * 1024
MAX_LINE = 60_000  # characters of one instruction; engines read 64 KiB
MAX_INSTRUCTIONS = 500
MAX_IMAGES = 20
SCRATCH = "scratch"

_REFUSED = "devcontainer.dockerfile_refused"
_MALFORMED = "devcontainer.dockerfile"
_NO_BUILDKIT = "it needs BuildKit, which Berth does not build with"
_DIRECTIVE = re.compile(r"#[ \t]*([A-Za-z][A-Za-z0-9]*)[ \t]*=[ \t]*(.*?)[ \t]*")
_FRONTEND = re.compile(r"(?:docker\.io/)?docker/dockerfile(?::[\w.-]{1,128})?(?:@sha256:[0-9a-f]{64})?")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_INSTRUCTION = re.compile(r"([A-Za-z]+)(?:[ \t]+(.*))?")
_FLAG = re.compile(r"--([a-z][a-z-]*)(?:=([^\s\"'`\\]*))?(?:[ \t]+|\Z)")
_HEREDOC = re.compile(r"(?<!<)<<(?!<)-?\S")
_STAGE_NAME = re.compile(r"[a-z][a-z0-9._-]{0,127}")
_LOCAL_SOURCE = re.compile(r"[\w./*?+@,~%=\[\]-]+", re.ASCII)

_FLAGS: Mapping[str, frozenset[str]] = {
    "ADD": frozenset({"chown"}),
    "COPY": frozenset({"chown", "from"}),
    "FROM": frozenset({"platform"}),
    "HEALTHCHECK": frozenset({"interval", "timeout", "start-period", "retries"}),
    "RUN": frozenset(),
}
_FILLED_IN = frozenset({"ADD", "ARG", "COPY", "ENV", "EXPOSE", "LABEL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"})
_AS_THEY_ARE = frozenset({"CMD", "ENTRYPOINT", "HEALTHCHECK", "MAINTAINER", "RUN", "SHELL"})


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildArguments:
    """What a build is told beside its Dockerfile."""

    values: Mapping[str, str]  # `args` of the configuration
    target: str  # a stage's name or number; empty: the last one
    platform: str  # the engine's own, such as linux/amd64


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One instruction of a stage. `source` is where a COPY takes from: an image, a stage, or (None) the context."""

    keyword: str
    text: str
    flags: tuple[str, ...] = ()
    source: ImageReference | int | None = None


@dataclass(slots=True, kw_only=True)
class Stage:
    """From one FROM to the next. `base` is an image from elsewhere, an earlier stage, or None: nothing (scratch)."""

    base: ImageReference | int | None
    name: str
    steps: list[Step] = field(default_factory=list)
    growth: Growth


@dataclass(frozen=True, slots=True, kw_only=True)
class Dockerfile:
    """A Dockerfile, understood as far as its target."""

    escape: str
    head: tuple[str, ...]  # the ARGs before the first FROM
    stages: tuple[Stage, ...]
    declared: frozenset[str]  # every name that an ARG declares
    notes: tuple[str, ...]  # what whoever reads the log should know

    def arguments_for(self, given: BuildArguments) -> dict[str, str]:
        """What the engine is told: what was given, and what the file asks for of the platform."""
        asked = {name: value for name, value in platform_arguments(given.platform).items() if name in self.declared}
        return {**asked, **given.values}

    @property
    def images(self) -> tuple[ImageReference, ...]:
        """The images from elsewhere, each once, in the order in which they are needed."""
        named = [one for stage in self.stages for one in (stage.base, *(step.source for step in stage.steps))]
        return tuple(dict.fromkeys(one for one in named if isinstance(one, ImageReference)))


def platform_arguments(platform: str) -> dict[str, str]:
    """What a Dockerfile may ask for, beginning with ARG. Source: Dockerfile reference, "Automatic platform ARGs"."""
    system, _, machine = platform.partition("/")
    parts = {"PLATFORM": platform, "OS": system, "ARCH": machine}
    return {f"{kind}{part}": value for kind in ("BUILD", "TARGET") for part, value in parts.items()}


def parse_dockerfile(data: bytes, arguments: BuildArguments) -> Dockerfile:
    """Raises Invalid that names the line: `devcontainer.dockerfile`, `devcontainer.dockerfile_refused`, `image_reference.*`."""
    lines = _read_lines(data)
    escape, notes = _read_directives(lines)
    reading = _Reading(arguments, escape)
    for number, text in _join(lines, escape):
        reading.take(number, text)
    stages = reading.stages
    if not stages:
        _refuse(len(lines), "there is no FROM")
    last = _find_target(stages, arguments.target)
    found = Dockerfile(
        escape=escape,
        head=tuple(reading.head),
        stages=tuple(stages[: last + 1]),
        declared=frozenset(reading.declared),
        notes=notes,
    )
    if len(found.images) > MAX_IMAGES:
        _refuse(len(lines), f"it names more than {MAX_IMAGES} images")
    return found


def render_dockerfile(
    dockerfile: Dockerfile, pinned: Mapping[ImageReference, ImageReference], labels: Mapping[str, str]
) -> bytes:
    """What the engine is given (policy 1 to 3). `pinned` has every image of the file, by digest; labels are plain words."""
    label = "LABEL " + " ".join(f"{name}={value}" for name, value in labels.items())
    lines = [f"# escape={dockerfile.escape}", *(f"ARG {text}" for text in dockerfile.head)]
    for stage in dockerfile.stages:
        name = f" AS {stage.name}" if stage.name else ""
        lines += [f"FROM {_base_name(stage.base, dockerfile.stages, pinned)}{name}", label]
        for step in stage.steps:
            lines += [_render_step(step, pinned), *([label] if step.keyword == "LABEL" else [])]
    return "".join(f"{line}\n" for line in lines).encode()


def _base_name(
    base: ImageReference | int | None, stages: Sequence[Stage], pinned: Mapping[ImageReference, ImageReference]
) -> str:
    if isinstance(base, int):
        return stages[base].name
    return SCRATCH if base is None else pinned[base].pull_name


def _render_step(step: Step, pinned: Mapping[ImageReference, ImageReference]) -> str:
    source = step.source
    place = pinned[source].pull_name if isinstance(source, ImageReference) else source
    copied = () if place is None else (f"--from={place}",)
    return " ".join((step.keyword, *copied, *step.flags, step.text))


class _Reading:
    """Takes one instruction after the other."""

    def __init__(self, arguments: BuildArguments, escape: str) -> None:
        self._arguments = arguments
        self._escape = escape
        self._variables = platform_arguments(arguments.platform)  # for FROM
        self._count = 0
        self.head: list[str] = []
        self.declared: set[str] = set()
        self.stages: list[Stage] = []

    def take(self, number: int, text: str) -> None:
        """The instruction that begins in line `number`. Raises Invalid."""
        self._count += 1
        if self._count > MAX_INSTRUCTIONS:
            _refuse(number, f"there are more than {MAX_INSTRUCTIONS} instructions")
        if len(text) > MAX_LINE:
            _refuse(number, f"an instruction is longer than {MAX_LINE} characters")
        match = _INSTRUCTION.fullmatch(text)
        keyword = match[1].upper() if match else ""
        if match is None or keyword not in _FILLED_IN | _AS_THEY_ARE | {"FROM", "ONBUILD"}:
            _refuse(number, f"{text[:30]!a} begins with no instruction")
        if keyword == "ONBUILD":
            _refuse(number, "ONBUILD is refused, because its steps would run later, unread", code=_REFUSED)
        rest = match[2] or ""
        if not rest:
            _refuse(number, f"{keyword} needs something after it")
        try:
            self._dispatch(number, keyword, rest)
        except WordError as error:
            _refuse(number, str(error))

    def _dispatch(self, number: int, keyword: str, rest: str) -> None:
        if keyword in {"ADD", "COPY", "RUN"} and _HEREDOC.search(rest):
            _refuse(number, f"{keyword} << is refused: {_NO_BUILDKIT}", code=_REFUSED)
        flags, rest = _split_flags(number, keyword, rest)
        if keyword == "FROM":
            self.stages.append(self._read_from(number, flags, rest))
        elif not self.stages:
            self._read_head(number, keyword, rest)
        else:
            self.stages[-1].steps.append(self._read_step(number, keyword, flags, rest))

    def _read_head(self, number: int, keyword: str, rest: str) -> None:
        if keyword != "ARG":
            _refuse(number, f"{keyword} stands before the first FROM")
        for word in split_words(rest, self._escape):
            name, equals, text = word.partition("=")
            value = fill(text, self._variables, self._escape)  # also where it does not count: the engine does it, too
            self.declared.add(name)
            if name in self._arguments.values:
                self._variables[name] = self._arguments.values[name]
            elif equals:
                self._variables[name] = value
        self.head.append(rest)

    def _read_from(self, number: int, flags: Mapping[str, str], rest: str) -> Stage:
        words = [fill(word, self._variables, self._escape) for word in split_words(rest, self._escape)]
        if len(words) not in {1, 3} or (len(words) == 3 and words[1].lower() != "as") or not words[0]:
            _refuse(number, "FROM is 'FROM image' or 'FROM image AS name', its variables filled in")
        platform = fill(flags.get("platform", ""), self._variables, self._escape)
        if platform not in {"", self._arguments.platform}:
            why = f"{platform[:30]!a} is not the engine's platform, {self._arguments.platform}"
            _refuse(number, f"--platform is refused: {why}", code=_REFUSED)
        name = words[2].lower() if len(words) == 3 else ""
        known = {stage.name for stage in self.stages if stage.name}
        if name and (not _STAGE_NAME.fullmatch(name) or name in known | {SCRATCH}):
            _refuse(number, "the stage's name is taken, or is none")
        base = self._find_base(number, words[0])
        growth = Growth(self.stages[base].growth if isinstance(base, int) else None)
        return Stage(base=base, name=name, growth=growth)

    def _find_base(self, number: int, text: str) -> ImageReference | int | None:
        for index, stage in enumerate(self.stages):
            if stage.name == text.lower():
                return index
        return None if text == SCRATCH else _parse_image(number, text)

    def _read_step(self, number: int, keyword: str, flags: Mapping[str, str], rest: str) -> Step:
        growth = self.stages[-1].growth
        if keyword in _FILLED_IN:
            growth.take(rest, assigns=keyword in {"ARG", "ENV"})
            for value in flags.values():
                growth.take(value)
        if keyword == "ARG":
            self._declare(rest, growth)
        if keyword == "ADD":
            _check_added(number, rest)
        source = self._find_source(number, flags["from"]) if "from" in flags else None
        plain = tuple(f"--{name}={value}" for name, value in flags.items() if name != "from")
        return Step(keyword=keyword, text=rest, flags=plain, source=source)

    def _declare(self, rest: str, growth: Growth) -> None:
        for word in split_words(rest, self._escape):
            name = word.partition("=")[0]
            self.declared.add(name)
            given = max(len(place.get(name, "")) for place in (self._variables, self._arguments.values))
            growth.sizes[name] = max(given, growth.sizes.get(name, 0))

    def _find_source(self, number: int, text: str) -> ImageReference | int:
        earlier = self.stages[:-1]
        for index, stage in enumerate(earlier):
            if text == str(index) or (stage.name and stage.name == text.lower()):
                return index
        if "$" in text:
            _refuse(number, "COPY --from= takes no variables", code=_REFUSED)
        return _parse_image(number, text)


def _split_flags(number: int, keyword: str, rest: str) -> tuple[dict[str, str], str]:
    """The flags at the beginning, and the rest. They are written plainly or not at all: engines unquote them each in its way."""
    allowed = _FLAGS.get(keyword, frozenset())
    if keyword in {"ADD", "COPY", "FROM"} and any(char.isspace() and char not in " \t" for char in rest):
        _refuse(number, f"{keyword} has a blank that is neither a space nor a tab")
    flags: dict[str, str] = {}
    while keyword in _FLAGS and rest.startswith("--"):
        match = _FLAG.match(rest)
        if match is None or match[1] in flags:
            _refuse(number, f"the flags of {keyword} are not plain, or one is there twice")
        if match[1] not in allowed:
            _refuse(number, f"{keyword} --{match[1]} is refused: {_NO_BUILDKIT}", code=_REFUSED)
        flags[match[1]] = match[2] or ""
        rest = rest[match.end() :]
    return flags, rest


def _check_added(number: int, rest: str) -> None:
    """Policy 4. A source that could become an address by a variable, a quote or an escape is as bad as one."""
    words = rest.split()
    listed = rest.startswith("[")
    if listed or not all(_LOCAL_SOURCE.fullmatch(word) for word in words[:-1]):
        why = "its sources are plain paths in the build context here, without ':', '$', quotes and lists"
        _refuse(number, f"ADD is refused: {why}", code=_REFUSED, remedy="Use COPY; for an address, RUN with curl.")


def _parse_image(number: int, text: str) -> ImageReference:
    try:
        return parse_image_reference(text)
    except Invalid as problem:
        sentence = f"Line {number} of the Dockerfile names the image {text[:100]!a}. {problem.message}"
        raise Invalid(sentence, field=problem.field, code=problem.code, remedy=problem.remedy) from None


def _find_target(stages: Sequence[Stage], target: str) -> int:
    if not target:
        return len(stages) - 1
    for index, stage in enumerate(stages):
        if target.lower() == stage.name or target == str(index):
            return index
    raise Invalid(
        f"'target' in devcontainer.json is {target[:60]!a}; the Dockerfile has no such stage.",
        field="devcontainer_path",
        code="devcontainer.value",
    )


def _read_lines(data: bytes) -> list[str]:
    if len(data) > MAX_SIZE_BYTES:
        _refuse(1, f"it is larger than {MAX_SIZE_BYTES // 1024} KiB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        _refuse(1, "it is not UTF-8")
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    for number, line in enumerate(lines, 1):
        if _CONTROL.search(line):
            _refuse(number, "a line holds a control character")
    return lines


def _read_directives(lines: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """The escape character, and what is to be said. They end with the first line that is none (policy 5)."""
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        match = _DIRECTIVE.fullmatch(line)
        name = match[1].lower() if match else ""
        if match is None or name not in {"check", "escape", "syntax"}:
            break
        if name in found:
            _refuse(number, f"the directive {name} is there twice")
        found[name] = match[2]
        if name == "syntax" and not _FRONTEND.fullmatch(match[2]):
            _refuse(number, "'# syntax=' names a frontend that Berth does not build with", code=_REFUSED)
        if name == "escape" and match[2] not in {"\\", "`"}:
            _refuse(number, "'# escape=' is neither \\ nor `")
    said = (
        f"'# syntax={found['syntax']}' is passed over: the engine builds without BuildKit." if "syntax" in found else ""
    )
    return found.get("escape", "\\"), (said,) if said else ()


def _join(lines: Sequence[str], escape: str) -> list[tuple[int, str]]:
    """Whole instructions with the number of their first line; comments and empty lines also go from within one."""
    whole: list[tuple[int, str]] = []
    begun, text = 0, ""
    for number, line in enumerate(lines, 1):
        stripped = line.strip(" \t")
        if not stripped or stripped.startswith("#"):
            continue
        begun = begun or number
        body = line.rstrip(" \t")
        if body.endswith(escape * 2):
            _refuse(number, f"a line ends with two {escape}, which engines read in two ways")
        if body.endswith(escape):
            text += body[:-1]
            continue
        whole.append((begun, (text + body).strip(" \t")))
        begun, text = 0, ""
    if rest := text.strip(" \t"):
        if rest.endswith(escape):
            _refuse(begun, f"its last line ends with {escape}")
        whole.append((begun, rest))
    return whole


def _refuse(number: int, why: str, *, code: str = _MALFORMED, remedy: str = "") -> NoReturn:
    """The one way in which a Dockerfile is called unusable."""
    usual = "Write it in another way; docs/limits.md says what is not built." if code == _REFUSED else ""
    sentence = f"Line {number} of the Dockerfile: {why}."
    raise Invalid(sentence, field="devcontainer_path", code=code, remedy=remedy or usual)
