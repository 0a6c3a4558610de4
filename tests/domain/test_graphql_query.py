"""Which GraphQL is read, and what of it is refused."""

from collections.abc import Mapping
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth.domain.graphql_query import MAX_CHARACTERS, MAX_DEPTH, MAX_FIELDS, Field, parse_query
from berth.domain.problem import Invalid


def field(called: str, *fields: Field, key: str = "", **arguments: str) -> Field:
    return Field(key or called, called, arguments, fields)


@pytest.mark.parametrize(
    "text, variables, expected",
    [
        ("{viewer{login}}", {}, (field("viewer", field("login")),)),
        ("query UserCurrent{viewer{login}}", {}, (field("viewer", field("login")),)),
        ("query { __typename }", {}, (field("__typename"),)),
        (
            'query MapRepositoryNames {\nrepo_000: repository(owner: "o", name: "n") { databaseId }\n}\n',
            {},
            (field("repository", field("databaseId"), key="repo_000", owner="o", name="n"),),
        ),
        (
            "query R($owner: String!, $name: [[String!]]! = null,) { repository(owner: $owner) { id,name } }",
            {"owner": "acme"},
            (field("repository", field("id"), field("name"), owner="acme"),),
        ),
        ('query R($o: String = "d") {repository(owner: $o){id}}', {}, (field("repository", field("id"), owner="d"),)),
        ("\ufeff{ # a comment } \n viewer , { login } }", {}, (field("viewer", field("login")),)),
        (r'{a(b: "x\"\\\u0041\n")}', {}, (field("a", b='x"\\A\n'),)),
        (
            "fragment r on R {id} query Q {a {...r, p {...r ...s}}} fragment s on R {x {...r} y}",
            {},
            (field("a", field("id"), field("p", field("id"), field("x", field("id")), field("y"))),),
        ),
    ],
    ids=[
        "gh 2.40",
        "with a name",
        "a field",
        "aliases",
        "variables",
        "a default",
        "what is ignored",
        "escapes",
        "fragments",
    ],
)
def test_what_is_read(text: str, variables: Mapping[str, object], expected: tuple[Field, ...]) -> None:
    assert parse_query(text, variables) == expected


@pytest.mark.parametrize(
    "text, value",
    [
        ("[1, -2.5]", [1.0, -2.5]),
        ("true", True),
        ("false", False),
        ("null", None),
        ("ENUM", "ENUM"),
        ("$number", 7),
        ("$object", None),
        ("[[]]", [[]]),
    ],
)
def test_values(text: str, value: object) -> None:
    (found,) = parse_query(f"query ($number: Int, $object: X) {{a(b: {text})}}", {"number": 7, "object": {}})
    assert found.arguments == {"b": value}


REFUSED = {
    "nothing": "",
    "no fields": "{}",
    "no end": "{viewer{login}",
    "a mutation": "mutation {addStar{id}}",
    "a subscription": "subscription S {a}",
    "a fragment that is not there": "{...F}",
    "a fragment without a type": "{...F} fragment F {a}",
    "a fragment twice": "{...F} fragment F on Q {a} fragment F on Q {b}",
    "a fragment without an end": "{...F} fragment F on Q {a",
    "fragments and no query": "fragment F on Q {a}",
    "fragments in a circle": "{...F} fragment F on Q {...G} fragment G on Q {...F}",
    "fragments too deep": "{...F0}"
    + "".join(f"fragment F{n} on Q {{...F{n + 1}}}" for n in range(MAX_DEPTH))
    + "fragment F8 on Q {a}",
    "too many fields of fragments": "{...F ...F}fragment F on Q{...G ...G}fragment G on Q{"
    + "a " * (MAX_FIELDS // 4)
    + "}",
    "an inline fragment": "{viewer{... on User{login}}}",
    "a directive": "{a @skip(if: true)}",
    "two queries": "query A {a} query B {b}",
    "a variable that was not sent": "query ($a: Int) {b(c: $a)}",
    "an object": "{a(b: {c: 1})}",
    "a block string": '{a(b: """c""")}',
    "a string without an end": '{a(b: "c)}',
    "an escape of nothing": r'{a(b: "\x")}',
    "half a character": r'{a(b: "\ud800")}',
    "a mark": "{a?}",
    "no colon": "{a(b 1)}",
    "a number for a name": "{1}",
    "an open type": "query ($a: [Int) {b}",
    "too deep": "{a" * (MAX_DEPTH + 1) + "}" * (MAX_DEPTH + 1),
    "a list too deep": "{a(b: " + "[" * 10_000,
    "too many fields": "{" + "a " * (MAX_FIELDS + 1) + "}",
    "too long": "{a}" + " " * MAX_CHARACTERS,
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_what_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_query(text, {})
    assert caught.value.code == "graphql.unsupported"


def test_as_much_as_is_allowed() -> None:
    assert len(parse_query("{" + "a " * MAX_FIELDS + "}", {})) == MAX_FIELDS
    parse_query("{a" * MAX_DEPTH + "}" * MAX_DEPTH, {})


def test_rule_4_a_fragment_counts_where_it_is_spread() -> None:
    """Two spreads of 99 fields are 200, and a third one is not read any more."""
    fragment = "fragment F on Q {" + "a " * 99 + "}"
    assert len(parse_query("{...F ...F}" + fragment, {})) == MAX_FIELDS - 2
    with pytest.raises(Invalid, match="more than 200 fields"):
        parse_query("{...F ...F b}" + fragment, {})


@given(st.text(alphabet='{}()[]:$!@."\\,# \nquery12ab-', max_size=60))
def test_whatever_comes_is_read_or_refused(text: str) -> None:
    with suppress(Invalid):
        assert parse_query(text, {})
