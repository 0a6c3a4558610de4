"""The reader of YAML (policies of `domain/yaml_document.py`): what it makes of texts, and where it stops."""

import pytest

from berth.domain.problem import Invalid
from berth.domain.yaml_document import MAX_DEPTH, MAX_SIZE_BYTES, MAX_VALUES, parse_yaml

BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{one}: &a{one} [{','.join([f'*a{one - 1}'] * 10)}]\n" for one in range(1, 12)
)
LONG = f"a: &a {'x' * 100_000}\nb: [{','.join(['*a'] * 30)}]"
TOWER = "a0: &a0 [x]\n" + "".join(f"a{one}: &a{one} [[[[[*a{one - 1}]]]]]\n" for one in range(1, 9))
MERGED = f"a: &a {{{','.join(f'k{one}: x' for one in range(5000))}}}\n" + "".join(
    f"m{one}: {{<<: *a}}\n" for one in range(9)
)

READ = {
    "null": ("a:\nb: ~\nc: null", {"a": None, "b": None, "c": None}),
    "true and false": ("a: true\nb: False", {"a": True, "b": False}),
    "whole numbers": ("a: 0\nb: -12\nc: 5432", {"a": 0, "b": -12, "c": 5432}),
    "what only YAML 1.1 reads otherwise": (
        "a: yes\nb: 1.10\nc: 22:22\nd: 0777\ne: off\nf: 2024-01-01\ng: 0x1F",
        {"a": "yes", "b": "1.10", "c": "22:22", "d": "0777", "e": "off", "f": "2024-01-01", "g": "0x1F"},
    ),
    "quoted texts": ("a: 'true'\nb: \"5\"\nc: !!str 5\nd: ! x", {"a": "true", "b": "5", "c": "5", "d": "x"}),
    "keys are texts": ("1: a\ntrue: b\non: c", {"1": "a", "true": "b", "on": "c"}),
    "lists": ("- a\n- [b, {c: d}]", ["a", ["b", {"c": "d"}]]),
    "an alias": ("a: &x [1, 2]\nb: *x", {"a": [1, 2], "b": [1, 2]}),
    "an alias of a text": ("a: &x y\nb: *x", {"a": "y", "b": "y"}),
    "a merge key": ("a: &x {p: 1, q: 2}\nb: {q: 3, <<: *x}", {"a": {"p": 1, "q": 2}, "b": {"p": 1, "q": 3}}),
    "the first of merged mappings wins": (
        "a: &x {p: 1}\nb: &y {p: 2, q: 2}\nc: {<<: [*x, *y]}",
        {"a": {"p": 1}, "b": {"p": 2, "q": 2}, "c": {"p": 1, "q": 2}},
    ),
    "a quoted << is a key": ("'<<': x", {"<<": "x"}),
    "a mark of the byte order": ("\ufeffa: b", {"a": "b"}),
    "nothing": ("# only this", None),
    "as deep as it may be": ("[" * MAX_DEPTH + "]" * MAX_DEPTH, None),
}


@pytest.mark.parametrize(("text", "value"), READ.values(), ids=READ.keys())
def test_it_reads(text: str, value: object) -> None:
    found = parse_yaml(text.encode(), "c.yml")
    assert value is None or found == value
    assert type(found) is type(value) or value is None


REFUSED = {
    "policy 1: aliases that multiply": (BOMB, "line 5: it holds too much"),
    "policy 1: a long text by aliases": (LONG, "line 2: it holds too much"),
    "policy 1: depth by aliases": (TOWER, f"it is nested more than {MAX_DEPTH} levels deep"),
    "policy 1: many merged keys": (MERGED, "it holds too much"),
    "policy 1: too deep": ("[" * (MAX_DEPTH + 2), f"it is nested more than {MAX_DEPTH} levels deep"),
    "policy 1: deeper than the parser goes": ("- " * 60_000, "nested"),
    "policy 1: too many values": ("[" + "x," * MAX_VALUES + "]", "it holds too much"),
    "policy 1: too large": (" " * (MAX_SIZE_BYTES + 1), "it is larger than 256 KiB"),
    "policy 2: two documents": ("--- a\n--- b", "it holds more than one document"),
    "policy 2: a key twice": ("a: 1\na: 2", "line 2: the key 'a' is there twice"),
    "policy 2: a Python object": ("a: !!python/object:x {}", "line 1: the tag"),
    "policy 2: a tag on a text": ("a: !!int 5", "line 1: the tag"),
    "policy 2: Compose's own tag": ("a: !reset null", "line 1: the tag '!reset' is not known here"),
    "policy 2: a tag on a list": ("a: !override [b]", "line 1: the tag '!override' is not known here"),
    "an alias of itself": ("a: &a [*a]", "the alias 'a' stands for nothing, or for itself"),
    "an alias of nothing": ("a: *b", "the alias 'b' stands for nothing, or for itself"),
    "a merge of a list of texts": ("a: {<<: [b]}", "'<<' takes mappings only"),
    "a key that is a list": ("? [a]\n: b", "a key is no text"),
    "a NUL": ('a: "\\0"', "a text holds a NUL or half a character"),
    "no YAML": ("a: [", "line 2, column 1"),
    "a control character": ("a: \x01", "it is not YAML"),
}


@pytest.mark.parametrize(("text", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_it_refuses(text: str, why: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_yaml(text.encode(), "c.yml")
    assert caught.value.code == "compose.malformed"
    assert caught.value.message.startswith("c.yml cannot be read: ")
    assert why in caught.value.message


def test_what_is_not_utf_8_is_refused() -> None:
    with pytest.raises(Invalid, match="it is not UTF-8"):
        parse_yaml(b"a: \xff", "c.yml")
