"""JSON from strangers: what is read, what is refused, and that refusing is cheap."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth.domain.problem import Invalid
from berth.domain.strict_json import MAX_DEPTH, MAX_VALUES, parse_json_object

MIB = 1024 * 1024


def nested(depth: int) -> bytes:
    return b'{"a":' * (depth - 1) + b"{}" + b"}" * (depth - 1)


ACCEPTED = [
    pytest.param(b"{}", {}, id="nothing in it"),
    pytest.param(b' {"a": [1, -2.5, "b", null, true]}\n', {"a": [1, -2.5, "b", None, True]}, id="every kind of value"),
    pytest.param('{"ä": "€"}'.encode(), {"ä": "€"}, id="1 UTF-8"),
    pytest.param(b'{"a": 1, "A": 2}', {"a": 1, "A": 2}, id="2 case tells names apart"),
    pytest.param(b'{"a": {"b": 1}, "c": {"b": 1}}', {"a": {"b": 1}, "c": {"b": 1}}, id="2 one name in two objects"),
    pytest.param(rb'{"a": "[[\"{{\\"}', {"a": '[["{{\\'}, id="3 brackets in a string are not depth"),
    pytest.param(
        b'{"a": "' + b"," * (MAX_VALUES + 1) + b'"}', {"a": "," * (MAX_VALUES + 1)}, id="3 nor are commas values"
    ),
    pytest.param(nested(MAX_DEPTH), json.loads(nested(MAX_DEPTH)), id="3 as deep as may be"),
]

NO_OBJECT = "not a JSON object"
REFUSED = [
    pytest.param(b"", NO_OBJECT, id="empty"),
    pytest.param(b"null", NO_OBJECT, id="null"),
    pytest.param(b"[]", NO_OBJECT, id="a list"),
    pytest.param(b'"a"', NO_OBJECT, id="a text"),
    pytest.param(b'{"a": 1', NO_OBJECT, id="truncated"),
    pytest.param(b'{"a": "b', NO_OBJECT, id="truncated in a string"),
    pytest.param(b'{"a": "b\\', NO_OBJECT, id="truncated in an escape"),
    pytest.param(b"{} {}", NO_OBJECT, id="two objects"),
    pytest.param(b"{'a': 1}", NO_OBJECT, id="no JSON"),
    pytest.param(b'{"a": "\x01"}', NO_OBJECT, id="a control character in a string"),
    pytest.param(b'\xef\xbb\xbf{"a": 1}', NO_OBJECT, id="1 a byte order mark"),
    pytest.param('{"a": 1}'.encode("utf-16"), NO_OBJECT, id="1 UTF-16"),
    pytest.param('{"a": 1}'.encode("utf-16-le"), NO_OBJECT, id="1 UTF-16 without a mark"),
    pytest.param('{"a": 1}'.encode("utf-32-be"), NO_OBJECT, id="1 UTF-32"),
    pytest.param(b'{"a": "\xff"}', NO_OBJECT, id="1 no UTF-8"),
    pytest.param(b'{"a": NaN}', NO_OBJECT, id="1 NaN"),
    pytest.param(b'{"a": -Infinity}', NO_OBJECT, id="1 Infinity"),
    pytest.param(b'{"a": ' + b"9" * 5000 + b"}", NO_OBJECT, id="a number without end"),
    pytest.param(b'{"a": 1, "a": 1}', "twice", id="2 a name twice"),
    pytest.param(b'{"b": [{"a": 1, "\\u0061": 1}]}', "twice", id="2 a name twice, once escaped"),
    pytest.param(nested(MAX_DEPTH + 1), "deeper", id="3 one level too deep"),
    pytest.param(b"[" * 4 * MIB, "more than", id="3 4 MiB of opening brackets"),
    pytest.param(b'{"a":' * (MAX_VALUES // 2), "deeper", id="3 objects without end"),
    pytest.param(b'{"a": [' + b"[]," * MIB + b"[]]}", "more than", id="3 a million empty lists"),
    pytest.param(b'{"a": [' + b"1," * MAX_VALUES + b"1]}", "more than", id="3 too many numbers"),
    pytest.param(b'\\"' * MIB, NO_OBJECT, id="3 2 MiB of escaped quotes"),
    pytest.param(b'{"a": "' + b'\\"' * MIB, NO_OBJECT, id="3 2 MiB of escaped quotes in a string without end"),
]


@pytest.mark.parametrize("body,value", ACCEPTED)
def test_it_is_read(body: bytes, value: object) -> None:
    assert parse_json_object(body) == value


@pytest.mark.parametrize("body,why", REFUSED)
def test_it_is_refused(body: bytes, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        parse_json_object(body)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"a": 1, "A": 2}', id="upper and lower case"),
        pytest.param('{"key": 1, "\u212aey": 2}'.encode(), id="the sign of Kelvin, which Go takes for a K"),
        pytest.param('{"layers": 1, "layer\u017f": 2}'.encode(), id="the long s, which Go takes for an s"),
    ],
)
def test_2_names_without_regard_to_case(body: bytes) -> None:
    assert len(parse_json_object(body)) == 2
    with pytest.raises(Invalid, match="twice"):
        parse_json_object(body, ignore_case=True)


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=9), _values, max_size=4))
def test_what_was_written_is_read(value: dict[str, object]) -> None:
    assert parse_json_object(json.dumps(value).encode()) == value


@given(st.text(alphabet='{}[]",:\\a1 ').map(str.encode) | st.binary())
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """And what is read here, `json` reads alike."""
    try:
        value = parse_json_object(body)
    except Invalid:
        return
    assert json.loads(body) == value
