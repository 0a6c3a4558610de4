import pytest

from berth.domain.problem import Invalid
from berth.domain.scope import Scope, expand_scopes, parse_scopes


@pytest.mark.parametrize(
    ("given", "implied"),
    [
        (Scope.REPO, {Scope.PUBLIC_REPO}),
        (Scope.USER, {Scope.READ_USER, Scope.USER_EMAIL}),
        (Scope.ADMIN_ORG, {Scope.WRITE_ORG, Scope.READ_ORG}),
        (Scope.WRITE_ORG, {Scope.READ_ORG}),
        (Scope.CODESPACE, {Scope.CODESPACE_SECRETS}),
        (Scope.WRITE_PACKAGES, {Scope.READ_PACKAGES}),
        (Scope.DELETE_PACKAGES, set()),
        (Scope.SITE_ADMIN, set()),
    ],
)
def test_a_scope_implies_these_and_no_other(given: Scope, implied: set[Scope]) -> None:
    assert expand_scopes(frozenset({given})) == {given, *implied}


def test_no_scopes_stay_none() -> None:
    assert expand_scopes(frozenset()) == frozenset()


def test_scopes_are_parsed() -> None:
    assert parse_scopes(["repo", "read:org", "repo"]) == {Scope.REPO, Scope.READ_ORG}


@pytest.mark.parametrize("word", ["", "all", "REPO", "repo user", "admin:enterprise"])
def test_a14_an_unknown_scope_is_refused(word: str) -> None:
    with pytest.raises(Invalid) as raised:
        parse_scopes(["repo", word])
    assert raised.value.code == "scope.unknown"
