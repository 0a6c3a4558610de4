import pytest

from berth.domain.account import RESERVED_LOGINS, parse_login, team_slug
from berth.domain.problem import Invalid


@pytest.mark.parametrize("login", ["a", "Octo-Cat", "a1-b2", "0", "a" * 39])
def test_a_good_name_is_kept_as_written(login: str) -> None:
    assert parse_login(login) == login


@pytest.mark.parametrize("login", ["", "-a", "a-", "a--b", "a_b", "a.b", "a/b", "a b", "ä", "a\n", "a" * 40, "../x"])
def test_a_bad_name_is_refused(login: str) -> None:
    with pytest.raises(Invalid):
        parse_login(login)


@pytest.mark.parametrize("login", sorted(RESERVED_LOGINS - {"admin"}))
def test_the_first_words_of_our_paths_are_reserved_in_any_case(login: str) -> None:
    with pytest.raises(Invalid) as raised:
        parse_login(login.title())
    assert raised.value.code == "account.login.reserved"


@pytest.mark.parametrize(
    ("name", "slug"), [("Core", "core"), ("The Core Team!", "the-core-team"), ("a_b", "a_b"), ("  x  ", "x")]
)
def test_a_team_gets_its_slug(name: str, slug: str) -> None:
    assert team_slug(name) == slug


@pytest.mark.parametrize("name", ["", "!!!", "é", "a" * 101])
def test_a_team_needs_a_letter_or_digit(name: str) -> None:
    with pytest.raises(Invalid):
        team_slug(name)
