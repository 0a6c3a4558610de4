"""What a registry token is asked for; the numbers are those of domain/resource_scope.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth.domain.package import PackageName
from berth.domain.package_access import PackageAction
from berth.domain.resource_scope import MAX_SCOPES, ScopeRequest, format_scope, parse_scopes

PULL, PUSH, DELETE = PackageAction.PULL, PackageAction.PUSH, PackageAction.DELETE
WEB = PackageName("acme", "web")
NOTHING = ScopeRequest({})
EVERYTHING = frozenset({PULL, PUSH, DELETE})


def asks(*actions: PackageAction) -> ScopeRequest:
    return ScopeRequest({WEB: frozenset(actions)})


SCOPES = {
    "one action": (["repository:acme/web:pull"], asks(PULL)),
    "several actions": (["repository:acme/web:pull,push"], asks(PULL, PUSH)),
    "deleting is an action of its own (A14)": (["repository:acme/web:delete"], asks(DELETE)),
    "pushing does not imply pulling": (["repository:acme/web:push"], asks(PUSH)),
    "4: the star asks for all actions": (["repository:acme/web:*"], ScopeRequest({WEB: EVERYTHING})),
    "two scopes of one package add up": (["repository:acme/web:pull", "repository:acme/web:push"], asks(PULL, PUSH)),
    "several in one parameter": (["repository:acme/web:pull repository:a/b:push"], ScopeRequest(
        {WEB: frozenset({PULL}), PackageName("a", "b"): frozenset({PUSH})}
    )),
    "white space around them": (["  repository:acme/web:pull  "], asks(PULL)),
    "4: the catalog": (["registry:catalog:*"], ScopeRequest({}, catalog=True)),
    "4: the catalog and a package": (["registry:catalog:* repository:acme/web:pull"], ScopeRequest(
        {WEB: frozenset({PULL})}, catalog=True
    )),
    "none": ([], NOTHING),
    "an empty one": (["", " "], NOTHING),
    "3: an unknown action asks for nothing, the known one beside it counts": (["repository:acme/web:pull,fly"], asks(PULL)),
    "3: A14: nobody asks for a package's settings": (["repository:acme/web:administer"], asks()),
    "3: no action at all": (["repository:acme/web:"], asks()),
    "3: another type": (["plugin:acme/web:pull"], NOTHING),
    "3: the catalog with another action": (["registry:catalog:pull"], NOTHING),
    "3: no package's name": (["repository:Acme/Web:pull"], NOTHING),
    "3: a name without an owner": (["repository:web:pull"], NOTHING),
    "1: a name with a port in it is none of ours": (["repository:host:5000/acme/web:pull"], NOTHING),
    "2: a class asks for nothing": (["repository(plugin):acme/web:pull"], NOTHING),
    "3: a word without colons": (["repository"], NOTHING),
    "3: colons alone": ([":::"], NOTHING),
    "3: a line break is no separator": (["repository:acme/web:pull\nrepository:a/b:pull"], NOTHING),
}  # fmt: skip


@pytest.mark.parametrize(("values", "request_"), SCOPES.values(), ids=SCOPES.keys())
def test_what_is_asked_for(values: list[str], request_: ScopeRequest) -> None:
    assert parse_scopes(values) == request_


def test_packages_keep_the_order_of_their_first_mention() -> None:
    found = parse_scopes(["repository:b/b:pull repository:a/a:pull", "repository:b/b:push"])
    assert [str(name) for name in found.packages] == ["b/b", "a/a"]


def test_only_so_many_count_however_they_are_spread() -> None:
    words = [f"repository:acme/p{number}:pull" for number in range(MAX_SCOPES + 1)]
    for values in (words, [" ".join(words)], [" ".join(words[:9]), *words[9:]]):
        found = [name.name for name in parse_scopes(values).packages]
        assert found == [f"p{number}" for number in range(MAX_SCOPES)]
    assert not parse_scopes([*words, "registry:catalog:*"]).catalog


def test_a_huge_scope_is_no_name() -> None:
    assert parse_scopes(["repository:a/" + "b" * 1_000_000 + ":pull"]) == NOTHING


@given(st.sets(st.sampled_from([PULL, PUSH, DELETE]), min_size=1))
def test_what_is_written_is_read_again(actions: set[PackageAction]) -> None:
    text = format_scope(WEB, actions)
    assert parse_scopes([text]) == ScopeRequest({WEB: frozenset(actions)})
    assert format_scope(WEB, sorted(actions, reverse=True)) == text  # the order is fixed


def test_actions_are_written_in_the_order_that_clients_write_them() -> None:
    assert format_scope(WEB, EVERYTHING) == "repository:acme/web:pull,push,delete"


@given(st.lists(st.text(max_size=40), max_size=8))
def test_no_text_is_an_error_nor_asks_for_settings(values: list[str]) -> None:
    for actions in parse_scopes(values).packages.values():
        assert actions <= EVERYTHING
