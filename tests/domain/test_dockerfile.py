"""Dockerfiles: which images one needs (L1), what the engine is given (L2), and what is refused."""

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth.domain.dockerfile import (
    MAX_IMAGES,
    MAX_INSTRUCTIONS,
    MAX_LINE,
    MAX_SIZE_BYTES,
    BuildArguments,
    Dockerfile,
    parse_dockerfile,
    platform_arguments,
    render_dockerfile,
)
from berth.domain.image_reference import Digest
from berth.domain.problem import Invalid

DIGEST = Digest.of(b"x")
BASE = "h.example/base:1"


def build(target: str = "", **values: str) -> BuildArguments:
    return BuildArguments(values=values, target=target, platform="linux/amd64")


def parse(text: str, target: str = "", **values: str) -> Dockerfile:
    return parse_dockerfile(text.encode(), build(target, **values))


def render(text: str, target: str = "", **values: str) -> list[str]:
    """The lines that the engine gets, with the digest as `@`, and without the label that every stage has."""
    dockerfile = parse(text, target, **values)
    pinned = {image: image.pinned(DIGEST) for image in dockerfile.images}
    lines = render_dockerfile(dockerfile, pinned, {"key": "value"}).decode().splitlines()
    for number, line in enumerate(lines):
        assert line.startswith(("FROM ", "LABEL a")) == (lines[number + 1 : number + 2] == ["LABEL key=value"]), lines
    return [line.replace(f"@{DIGEST}", "@") for line in lines if line != "LABEL key=value"]


def images(text: str, target: str = "", **values: str) -> list[str]:
    return [str(image) for image in parse(text, target, **values).images]


FOUND = {
    "a plain one": (f"FROM {BASE}", [BASE]),
    "of Docker Hub": ("FROM debian", ["docker.io/library/debian:latest"]),
    "by digest": (f"FROM h.example/a@{DIGEST}", [f"h.example/a@{DIGEST}"]),
    "in any case, with any blanks": (f"from\t {BASE}   As  x ", [BASE]),
    "none": ("FROM scratch", []),
    "a variable": (f"ARG B={BASE}\nFROM $B", [BASE]),
    "a variable in braces": ("ARG V=1\nFROM h.example/base:${V}", [BASE]),
    "a variable of a variable": ("ARG H=h.example\nARG B=$H/base\nFROM ${B}:1", [BASE]),
    "two variables in one line": ("ARG H=h.example V=1\nFROM $H/base:$V", [BASE]),
    "a default": ("FROM ${B:-h.example/base}:1", [BASE]),
    "a default within a default": ("FROM ${A:-${B-h.example/base:1}}", [BASE]),
    "a default of what is empty": ("ARG V=\nFROM h.example/base:${V:-1}", [BASE]),
    "an alternative": ("ARG V=x\nFROM h.example/base:${V:+1}", [BASE]),
    "an alternative of what is empty": ("ARG V=\nFROM h.example/base:1${V:+2}${W+3}", [BASE]),
    "what is empty but there": ("ARG V=\nFROM h.example/base${V-x}:1${V+}", [BASE]),
    "in quotes": ('ARG B="h.example/base"\nFROM \'$B\'"${B}"' + ":1", None),
    "double quotes": ('ARG B="h.example/base"\nFROM "$B:1"', [BASE]),
    "single quotes fill nothing in": ("ARG B=h.example/base\nFROM '$B:1'", None),
    "an escaped character": ("FROM h.example\\/base:1", [BASE]),
    "an escaped dollar sign": ("FROM h.example\\$/base:1", None),
    "a byte order mark": (f"\ufeffFROM {BASE}", [BASE]),
    "lines of Windows": (f"# escape=`\r\nFROM {BASE}\r\nRUN a `\r\n b\r\n", [BASE]),
    "over two lines": ("FROM \\\n  h.example/base:1", [BASE]),
    "comments and empty lines within": ("FROM \\\n# no\n   # no\n\n  h.example/base:1", [BASE]),
    "a platform": (f"FROM --platform=linux/amd64 {BASE}", [BASE]),
    "the engine's platform": (f"FROM --platform=$BUILDPLATFORM {BASE}", [BASE]),
    "the platform's parts": (f"FROM --platform=$TARGETOS/${{TARGETARCH}} {BASE}", [BASE]),
    "an earlier stage": (f"FROM {BASE} AS One\nFROM one", [BASE]),
    "a later stage is none": (f"FROM one\nFROM {BASE} AS one", ["docker.io/library/one:latest", BASE]),
    "itself is none": ("FROM one AS one", ["docker.io/library/one:latest"]),
    "COPY from an image": (f"FROM scratch\nCOPY --from={BASE} /a /b", [BASE]),
    "COPY from a stage by name": (f"FROM {BASE} AS a\nFROM scratch\nCOPY --from=A /a /b", [BASE]),
    "COPY from a stage by number": (f"FROM {BASE}\nFROM scratch\nCOPY --from=0 /a /b", [BASE]),
    "COPY from itself is an image": ("FROM scratch AS a\nCOPY --from=a /a /b", ["docker.io/library/a:latest"]),
    "each once, in order": (
        f"FROM b.example/b:1\nFROM {BASE}\nCOPY --from=b.example/b:1 a b\nCOPY --from={BASE} a b",
        ["b.example/b:1", BASE],
    ),
    "a directive is a comment after the first instruction": (f"FROM {BASE}\n# escape=`\nRUN a \\\n b", [BASE]),
    "no directive": (f"# just = text\n# escape=`\nFROM {BASE}\nRUN a \\\n b", [BASE]),
}


@pytest.mark.parametrize(("text", "expected"), FOUND.values(), ids=FOUND.keys())
def test_l1_each_image_from_elsewhere_is_found(text: str, expected: list[str] | None) -> None:
    if expected is None:
        with pytest.raises(Invalid, match="names the image"):
            parse(text)
    else:
        assert images(text) == expected


def test_what_the_configuration_gives_counts_before_the_default() -> None:
    text = "ARG V=1\nARG W\nFROM h.example/base:${V}${W}"
    assert images(text) == [BASE]
    assert images(text, V="2", W="3", X="4") == ["h.example/base:23"]
    assert images("FROM h.example/base:1${V}", V="2") == [BASE], "what no ARG asks for is not there"


STAGES = f"FROM {BASE} AS one\nRUN 1\nFROM b.example/b:1\nRUN 2\nFROM one AS three\nCOPY --from=1 a b\n"


def test_only_what_the_target_needs_is_asked_for() -> None:
    assert images(STAGES) == [BASE, "b.example/b:1"]
    assert images(STAGES, "one") == images(STAGES, "ONE") == images(STAGES, "0") == [BASE]
    assert render(STAGES, "one") == ["# escape=\\", "FROM h.example/base@ AS one", "RUN 1"]
    with pytest.raises(Invalid, match="no such stage") as caught:
        parse(STAGES, "four")
    assert caught.value.code == "devcontainer.value"


RENDERED = {
    "stages": (
        STAGES,
        [
            "FROM h.example/base@ AS one",
            "RUN 1",
            "FROM b.example/b@",
            "RUN 2",
            "FROM one AS three",
            "COPY --from=1 a b",
        ],
    ),
    "arguments before the first stage": (
        "arg A=1\nARG B=${A} C\nFROM h.example/a:$B",
        ["ARG A=1", "ARG B=${A} C", "FROM h.example/a@"],
    ),
    "one line for each instruction": (
        f'FROM {BASE}\nrun a \\\n  && b \\\n# comment\n  && c\ncmd ["x"]',
        ["FROM h.example/base@", "RUN a   && b   && c", 'CMD ["x"]'],
    ),
    "flags": (
        f"FROM {BASE}\nCOPY --chown=1:1  --from={BASE} a b\nADD --chown=$U a.tar /\nHEALTHCHECK --interval=5s CMD x",
        [
            "FROM h.example/base@",
            "COPY --from=h.example/base@ --chown=1:1 a b",
            "ADD --chown=$U a.tar /",
            "HEALTHCHECK --interval=5s CMD x",
        ],
    ),
    "what looks like a flag later": (
        f"FROM {BASE}\nRUN x --mount=y\nCOPY a --from=b c",
        ["FROM h.example/base@", "RUN x --mount=y", "COPY a --from=b c"],
    ),
    "what is no heredoc": (
        f"FROM {BASE}\nRUN x <<< y; z $(( 1 << 2 )) << \nCMD a <<b",
        ["FROM h.example/base@", "RUN x <<< y; z $(( 1 << 2 )) <<", "CMD a <<b"],
    ),
    "the end of the file in a continuation": (f"FROM {BASE}\nRUN a \\\n", ["FROM h.example/base@", "RUN a"]),
    "another stage called as a number": (
        "FROM scratch\nFROM scratch\nCOPY --from=1 a b",
        None,
    ),
}


@pytest.mark.parametrize(("text", "expected"), RENDERED.values(), ids=RENDERED.keys())
def test_l2_the_engine_gets_digests_and_plain_lines(text: str, expected: list[str] | None) -> None:
    if expected is None:
        assert images(text) == ["docker.io/library/1:latest"]
    else:
        assert render(text) == ["# escape=\\", *expected]


def test_the_escape_character_stays() -> None:
    assert render(f"# Escape = `\nFROM {BASE}\nCOPY a` b c`\n d\n") == [
        "# escape=`",
        "FROM h.example/base@",
        "COPY a` b c d",
    ]


def test_no_label_of_the_file_says_whose_it_is() -> None:
    """A container in which a step runs would be taken for somebody else's codespace."""
    text = f"FROM {BASE}\nLABEL a.codespace=victim\nRUN x\nlabel a.codespace victim\nRUN y"
    own = "LABEL key=value"
    dockerfile = parse(text)
    pinned = {image: image.pinned(DIGEST) for image in dockerfile.images}
    lines = render_dockerfile(dockerfile, pinned, {"key": "value"}).decode().splitlines()[2:]
    assert lines == [own, "LABEL a.codespace=victim", own, "RUN x", "LABEL a.codespace victim", own, "RUN y"]


def test_what_is_built_is_marked_by_whose_it_is() -> None:
    dockerfile = parse(f"FROM {BASE} AS a\nFROM scratch\nFROM a")
    pinned = {image: image.pinned(DIGEST) for image in dockerfile.images}
    text = render_dockerfile(dockerfile, pinned, {"one": "1", "two": "2"}).decode()
    assert text.splitlines()[2::2] == ["LABEL one=1 two=2"] * 3
    assert text.splitlines()[1::2] == [f"FROM h.example/base@{DIGEST} AS a", "FROM scratch", "FROM a"]


def test_the_frontend_is_passed_over_and_said() -> None:
    assert parse(f"# syntax=docker/dockerfile:1.7-labs\n#escape=`\nFROM {BASE}").notes == (
        "'# syntax=docker/dockerfile:1.7-labs' is passed over: the engine builds without BuildKit.",
    )
    assert parse(f"FROM {BASE}\n# syntax=other").notes == ()


def test_platform_arguments_are_given_if_asked_for() -> None:
    dockerfile = parse(f"ARG BUILDPLATFORM\nFROM {BASE}\nARG TARGETARCH OTHER=1\nARG MINE")
    assert dockerfile.arguments_for(build(MINE="x")) == {
        "BUILDPLATFORM": "linux/amd64",
        "TARGETARCH": "amd64",
        "MINE": "x",
    }
    assert len(platform_arguments("linux/arm64")) == 6


LAST = f"FROM {BASE}\n"
MALFORMED = {
    "nothing": ("", "there is no FROM"),
    "only comments": ("# a\n\n", "there is no FROM"),
    "no instruction": (LAST + "RAN x", "Line 2 of the Dockerfile: 'RAN x' begins with no instruction"),
    "an instruction that ends too early": (LAST + 'RUN"x"', "begins with no instruction"),
    "an instruction alone": (LAST + "RUN  ", "RUN needs something"),
    "a blank of Unicode as the end of the word": (LAST + "RUN\u00a0x", "begins with no instruction"),
    "before the first FROM": ("RUN x\nFROM a", "RUN stands before the first FROM"),
    "a NUL": (LAST + "RUN \0", "control character"),
    "half a line's end": (LAST + "RUN a\rFROM b", "control character"),
    "a form feed": (LAST + "RUN\fx", "control character"),
    "an escape at the end of a line twice": (LAST + "RUN a \\\\\n b", "two \\"),
    "an escape before the end of the file": (LAST + "RUN a \\ \\", "its last line ends with"),
    "a directive twice": ("# escape=`\n# escape=`\n" + LAST, "is there twice"),
    "no escape character": ("# escape=x\n" + LAST, "neither"),
    "FROM with too much": (f"FROM {BASE} AS a b", "FROM is 'FROM image'"),
    "FROM with half": (f"FROM {BASE} AS", "FROM is 'FROM image'"),
    "FROM without AS": (f"FROM {BASE} IS a", "FROM is 'FROM image'"),
    "FROM nothing": ("FROM $NOTHING", "FROM is 'FROM image'"),
    "a stage's name twice": (f"FROM {BASE} AS a\nFROM {BASE} AS A", "name is taken"),
    "a stage that hides scratch": (f"FROM {BASE} AS scratch", "name is taken"),
    "a stage's name as a number": (f"FROM {BASE} AS 0", "name is taken"),
    "an open quote": ('FROM "a', "a quote has no end"),
    "an open brace": ("FROM ${A:-x", "has no end"),
    "an open quote in braces": ("FROM ${A:-'x}", "a quote has no end"),
    "an unknown form": ("FROM ${A%x}", "only variables of the forms"),
    "a special variable": ("FROM a$1", "only variables of the forms"),
    "variables too deep": ("FROM " + "${A:-" * 9 + "x" + "}" * 9, "nested too deep"),
    "a flag in quotes": (LAST + 'COPY "--from=a" b c\nCOPY --from="a" b c', "not plain"),
    "an escaped flag": (LAST + "COPY --fr\\om=a b c", "not plain"),
    "a flag twice": (LAST + "COPY --from=a --from=b c d", "there twice"),
    "the end of flags": (LAST + "COPY -- --from=a b c", "not plain"),
    "a blank of Unicode before a flag": (LAST + "COPY \u00a0--from=a b c", "neither a space nor a tab"),
    "a blank of Unicode in FROM": (f"FROM {BASE}\u2003AS a", "neither a space nor a tab"),
    "a variable's name with an accent": (LAST + "ENV A=$\u00e9", "of ASCII only"),
}


@pytest.mark.parametrize(("text", "why"), MALFORMED.values(), ids=MALFORMED.keys())
def test_it_refuses_to_read(text: str, why: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse(text)
    assert why in caught.value.message
    assert caught.value.code == "devcontainer.dockerfile"


REFUSED = {
    "a mount": (LAST + f"RUN --mount=type=bind,from={BASE} x", "RUN --mount is refused: it needs BuildKit"),
    "a network": (LAST + "RUN --network=host x", "RUN --network is refused"),
    "COPY --link": (LAST + "COPY --link a b", "COPY --link is refused"),
    "COPY --chmod": (LAST + "COPY --chmod=1 a b", "COPY --chmod is refused"),
    "a heredoc": (LAST + "RUN <<EOF\nFROM x\nEOF", "RUN << is refused: it needs BuildKit"),
    "a heredoc with a descriptor": (LAST + "RUN x 3<<-'EOF'\nEOF", "RUN << is refused"),
    "a heredoc after a variable": (LAST + "COPY ${X}<<EOF /x\nEOF", "COPY << is refused"),
    "ONBUILD": (LAST + f"ONBUILD COPY --from={BASE} a b", "ONBUILD is refused"),
    "another platform": (f"FROM --platform=linux/s390x {BASE}", "'linux/s390x' is not the engine's platform"),
    "another frontend": (f"# syntax=evil.example/frontend\n{LAST}", "names a frontend"),
    "a frontend that only begins so": (f"# syntax=docker/dockerfile-evil\n{LAST}", "names a frontend"),
    "ADD of an address": (LAST + "ADD http://x/y /z", "ADD is refused"),
    "ADD of a git repository": (LAST + "ADD git@x:y /z", "ADD is refused"),
    "ADD of a variable": (LAST + "ENV U=http://x\nADD $U /z", "ADD is refused"),
    "ADD of an escaped address": (LAST + "ADD http\\://x /z", "ADD is refused"),
    "ADD of a list": (LAST + 'ADD ["http\\u003a//x", "/z"]', "ADD is refused"),
    "ADD of a quoted address": (LAST + 'ADD "http:"//x /z', "ADD is refused"),
    "COPY from a variable": (LAST + "COPY --from=$A a b", "takes no variables"),
}


@pytest.mark.parametrize(("text", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_it_refuses_what_would_reach_elsewhere_or_needs_buildkit(text: str, why: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse(text)
    assert why in caught.value.message
    assert caught.value.code == "devcontainer.dockerfile_refused"
    assert caught.value.remedy


def test_the_control_add_of_files_passes() -> None:
    assert render(LAST + "ADD --chown=a:b a/*.tar.gz b-[1].x $HOME/z")[2:] == [
        "ADD --chown=a:b a/*.tar.gz b-[1].x $HOME/z"
    ]


NO_IMAGES = {
    "an id": ("a" * 64, "image_reference.id"),
    "an id with its algorithm": (f"sha256:{'a' * 64}", "image_reference.id"),
    "upper case": ("h.example/A", "image_reference.upper_case"),
    "nothing": ("", "image_reference.empty"),
}


@pytest.mark.parametrize(("name", "code"), NO_IMAGES.values(), ids=NO_IMAGES.keys())
def test_l2_what_names_no_image_is_refused_with_its_line(name: str, code: str) -> None:
    with pytest.raises(Invalid, match="Line 2 of the Dockerfile") as caught:
        parse(f"FROM scratch\nCOPY --from={name} a b")
    assert caught.value.code == code


GROWS = {
    "an argument that doubles": "ARG A=xxxxxxxx\n" + "ARG A=$A$A\n" * 60 + LAST,
    "with defaults": "ARG A=xxxxxxxx\n" + "ARG A=${B:-$A$A}\n" * 60 + LAST,
    "though the configuration gives another": "ARG A=xxxxxxxx\n" + "ARG GIVEN=" + "$A" * 2000 + "\n" + LAST,
    "a variable that doubles": LAST + "ENV A=xxxxxxxx\n" + "ENV A=$A$A\n" * 60,
    "two that feed each other": LAST + "ENV A=xxxxxxxx\n" + "ENV B=$A$A\nENV A=$B$B\n" * 30,
    "in the older form": LAST + "ENV A xxxxxxxx\n" + "ENV A $A$A\n" * 60,
    "under a name that is made": LAST + "ENV A=xxxxxxxx\n" + "ENV ${N:-A}=$A$A\n" * 60,
    "under a name in quotes": LAST + "ENV A=xxxxxxxx\n" + 'ENV "A"=$A$A\n' * 60,
    "behind a blank of Unicode": LAST + "ENV A=xxxxxxxx\n" + "ENV B=1\u00a0A=$A$A\n" * 60,
    "in an argument of a stage": LAST + "ARG A=xxxxxxxx\n" + "ARG A=$A$A\n" * 60,
    "over stages": f"FROM {BASE} AS s0\nENV A=xxxxxxxx\n"
    + "".join(f"FROM s{number} AS s{number + 1}\nENV A=$A$A$A$A\n" for number in range(30)),
    "over stages, under a name that is made": f"FROM {BASE} AS s0\nENV A=xxxxxxxx\n"
    + "".join(f"FROM s{number} AS s{number + 1}\nENV ${{N:-A}}=$A$A$A$A\n" for number in range(30)),
    "at once": LAST + "LABEL x=" + "$A" * 20_000,
    "in a flag": LAST + "COPY --chown=" + "$A" * 20_000 + " a b",
    "an argument of the configuration": "ARG GIVEN\n" + LAST + "ARG GIVEN\nLABEL x=" + "$GIVEN" * 9_000,
}


@pytest.mark.parametrize("text", GROWS.values(), ids=GROWS.keys())
def test_variables_that_grow_without_end_are_refused(text: str) -> None:
    with pytest.raises(Invalid, match=r"grow beyond all bounds|more than 4096 characters") as caught:
        parse(text, GIVEN="x" * 4096)
    assert caught.value.code == "devcontainer.dockerfile"


def test_the_control_variables_that_grow_a_little_pass() -> None:
    text = (
        "ARG V=1\n"
        + LAST
        + "ARG V\n"
        + "ENV PATH=/opt/$V/bin:$PATH\n" * 40
        + "ENV A=$A:x B=$B:y\n" * 5
        + "RUN echo "
        + "$A" * 9000
    )
    assert len(parse(text).stages[0].steps) == 47


BOUNDS = {
    "larger than a file may be": ("#" * (MAX_SIZE_BYTES + 1), "larger than 256 KiB"),
    "an instruction longer than an engine reads": (LAST + "RUN " + "x" * MAX_LINE, "longer than"),
    "more instructions": (LAST + "RUN x\n" * MAX_INSTRUCTIONS, "instructions"),
    "more images": ("".join(f"FROM h.example/a:{number}\n" for number in range(MAX_IMAGES + 1)), "images"),
}


@pytest.mark.parametrize(("text", "why"), BOUNDS.values(), ids=BOUNDS.keys())
def test_bounds(text: str, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        parse(text)


def test_latin_1_is_refused() -> None:
    with pytest.raises(Invalid, match="not UTF-8"):
        parse_dockerfile(b"FROM \xe9", build())


HEAVY = {
    "continuations": LAST + "RUN x\\\n" * 60_000,
    "comments in one instruction": LAST + "RUN \\\n" + "# x\\\n" * 50_000 + "y",
    "quotes": "FROM " + "'" * 59_000,
    "braces": "FROM " + "${A:-" * 10_000,
    "dollar signs": LAST + "ENV A=" + "$" * 50_000,
    "equals signs": LAST + "ENV A" + "=" * 50_000,
    "blanks": LAST + "COPY " + " " * 50_000 + "x",
    "flags": LAST + "COPY " + "--from=" * 8_000,
    "smaller signs": LAST + "RUN " + "<" * 50_000,
}


@pytest.mark.parametrize("text", HEAVY.values(), ids=HEAVY.keys())
def test_hostile_input_takes_linear_time(text: str) -> None:
    began = time.process_time()
    with contextlib.suppress(Invalid):
        parse(text)
    assert time.process_time() - began < 2


LINES = st.sampled_from(
    (
        f"FROM {BASE} AS a", "FROM scratch", "FROM a", "RUN x", "RUN \\", "  \\", "# c", "", "COPY --from=a x y",
        "COPY --from=0 x y", "ENV A=\\", "ARG B=1 \\", "CMD x \\ \\", "# escape=`", "RUN a `", "COPY --from=b.example/b:1 \\",
        "  x y", "\u00a0", "<<EOF", "RUN x <<EOF", "EOF", "LABEL a=b", "ADD x y", "FROM --platform=x y",
    )
)  # fmt: skip


@given(st.lists(LINES, max_size=12))
def test_what_the_engine_gets_reads_the_same_again(lines: list[str]) -> None:
    """Whatever was accepted is one instruction a line, so that no line can hide another from one of two readers."""
    try:
        dockerfile = parse("\n".join(lines))
    except Invalid:
        return
    pinned = {image: image.pinned(DIGEST) for image in dockerfile.images}
    text = render_dockerfile(dockerfile, pinned, {"key": "value"}).decode()
    again = parse(text)
    labels = len(dockerfile.stages) + sum(
        step.keyword == "LABEL" for stage in dockerfile.stages for step in stage.steps
    )
    count = len(dockerfile.head) + labels + sum(1 + len(stage.steps) for stage in dockerfile.stages)
    assert len(text.splitlines()) == 1 + count == 1 + len(again.head) + sum(1 + len(one.steps) for one in again.stages)
    assert [stage.base for stage in again.stages] == [
        pinned.get(stage.base, stage.base) if not isinstance(stage.base, int | None) else stage.base
        for stage in dockerfile.stages
    ] or dockerfile.images
    assert all(image.digest == DIGEST for image in again.images)
