"""Variables in Compose files (policies of `domain/compose_variables.py`), and files of them."""

import pytest

from berth.domain.compose_variables import (
    MAX_ENVIRONMENT,
    MAX_FILE_BYTES,
    Interpolation,
    check_environment,
    parse_variables,
)
from berth.domain.problem import Invalid

VARIABLES = {"A": "1", "EMPTY": ""}
FILLED = {
    "$A-${A}": "1-1",
    "${B:-x}": "x",
    "${EMPTY:-x}": "x",
    "${EMPTY-x}": "",
    "${B-x}": "x",
    "${A-x}${A:-x}": "11",
    "${B-${C:-${A}}}": "1",
    "${B:-a$A}}": "a1}",
    "${A:+yes}${EMPTY:+no}${EMPTY+yes}${B+no}": "yesyes",
    "${A:?why}${EMPTY?why}": "1",
    "$$A $${A}": "$A ${A}",
    "a$ $1 $": "a$ $1 $",
    "": "",
}


@pytest.mark.parametrize(("text", "filled"), FILLED.items(), ids=FILLED.keys())
def test_a_text_is_filled_in(text: str, filled: str) -> None:
    filling = Interpolation(VARIABLES, "c.yml")
    assert filling.fill_text(text) == filled
    assert not filling.unset


def test_l5_a_variable_of_the_server_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAUNCHER_SECRET", "canary")
    filling = Interpolation({}, "c.yml")
    assert filling.fill({"a": ["$LAUNCHER_SECRET", "${HOME}", 5, None]}) == {"a": ["", "", 5, None]}
    assert filling.unset == {"LAUNCHER_SECRET", "HOME"}


def test_keys_are_not_filled_in() -> None:
    assert Interpolation(VARIABLES, "c.yml").fill({"$A": "$A"}) == {"$A": "1"}


REFUSED = {
    "${B:?say it}": ("compose.variable", "c.yml wants the variable B: say it."),
    "${B?}": ("compose.variable", "c.yml wants the variable B: it is not set."),
    "${EMPTY:?$A}": ("compose.variable", "wants the variable EMPTY: 1."),
    "${A": ("compose.malformed", "has no end"),
    "${A:-": ("compose.malformed", "has no end"),
    "${A/x/y}": ("compose.malformed", "has no end"),
    "${": ("compose.malformed", "has no name"),
    "${1}": ("compose.malformed", "has no name"),
    "${B:-" * 20 + "}" * 20: ("compose.malformed", "nested too deep"),
}


@pytest.mark.parametrize(("text", "expected"), REFUSED.items(), ids=range(len(REFUSED)))
def test_a_text_is_refused(text: str, expected: tuple[str, str]) -> None:
    with pytest.raises(Invalid) as caught:
        Interpolation(VARIABLES, "c.yml").fill_text(text)
    code, why = expected
    assert caught.value.code == code
    assert why in caught.value.message


def test_a_long_value_named_often_is_too_much() -> None:
    filling = Interpolation({"L": "x" * 60_000}, "c.yml")
    assert len(filling.fill_text("$L" * 30)) == 1_800_000
    with pytest.raises(Invalid, match="too long"):
        filling.fill(["$L" * 30])


def test_what_is_not_used_is_not_missed_at_any_price() -> None:
    """All unset names were copied for each operator: minutes for a file of 256 KiB. This test would not end in time."""
    filling = Interpolation(VARIABLES, "c.yml")
    filling.fill_text("".join(f"$a{number}" for number in range(30_000)) + "${A-$b${c-$d}}" * 40_000)
    assert filling.unset == {f"a{number}" for number in range(30_000)}
    filling.fill_text("${e-$f${A+$g}}")
    assert filling.unset >= {"f", "g"}
    assert not filling.unset & {"b", "c", "d", "e"}


def test_what_one_service_is_given_is_bounded() -> None:
    check_environment({"A": "x" * (MAX_ENVIRONMENT - 1)}, "the service x")
    with pytest.raises(Invalid, match="variables of the service x have more than 1024 KiB") as caught:
        check_environment({"A": "x" * (MAX_ENVIRONMENT - 2), "BC": ""}, "the service x")
    assert caught.value.code == "compose.value"


def test_a_file_of_variables() -> None:
    text = b"""\xef\xbb\xbf# a comment
A=one

export B="x $A \\$A \\n\\"q\\"" # a comment
C='as it is $A \\'q\\''
D=some words # a comment
E=v#no
F=
G
H=${A:-2}${Z:-3}
I="two
lines"
J.k = 5
K=#
"""
    assert parse_variables(text, ".env", {"A": "before"}) == {
        "A": "one",
        "B": 'x one $A \n"q"',
        "C": "as it is $A 'q'",
        "D": "some words",
        "E": "v#no",
        "F": "",
        "H": "one3",
        "I": "two\nlines",
        "J.k": "5",
        "K": "",
    }


BAD_FILES = {
    "no name": (b"A=1\n=2", "line 2 is no NAME=value"),
    "something after a quoted value": (b"A='1' 2", "line 1 has something after its value"),
    "something after a name": (b"A 2", "line 1 has something after its value"),
    "not UTF-8": (b"A=\xff", "it is not UTF-8"),
    "a NUL": (b"A=\0", "it holds a NUL"),
    "too large": (b"#" * (MAX_FILE_BYTES + 1), "it is larger than 64 KiB"),
}


@pytest.mark.parametrize(("data", "why"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_a_bad_file_of_variables(data: bytes, why: str) -> None:
    with pytest.raises(Invalid, match=why) as caught:
        parse_variables(data, ".env", {})
    assert caught.value.code == "compose.malformed"
