from dataclasses import replace
from datetime import UTC, datetime

import pytest

from berth.domain.account import (
    RESERVED_LOGINS,
    Account,
    AccountType,
    OrganizationRole,
    check_team_description,
    parse_login,
    parse_organization_role,
    team_slug,
)
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


@pytest.mark.parametrize(
    "name", ["", "!!!", "é", "a" * 101, pytest.param("a" + "-" * 100, id="long, and hardly a slug")]
)
def test_a_team_needs_a_letter_or_digit(name: str) -> None:
    with pytest.raises(Invalid) as raised:
        team_slug(name)
    assert (raised.value.field, raised.value.code) == ("name", "team.name")


def test_a_team_is_named_and_described_within_bounds() -> None:
    assert team_slug("a" + "-" * 99) == "a"
    for text in ("", "é" * 350, "two\nlines"):
        assert check_team_description(text) == text
    with pytest.raises(Invalid) as raised:
        check_team_description("é" * 351)
    assert (raised.value.field, raised.value.code) == ("description", "team.description")


def test_whose_commits_are_whose() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    octo = Account(
        id=7, login="octo", type=AccountType.USER, name="Octo Cat", email="o@example.com", site_admin=False,
        created_at=at, updated_at=at,
    )  # fmt: skip
    assert (octo.git_name, octo.git_email) == ("Octo Cat", "o@example.com")
    bare = replace(octo, name=None, email="")
    assert (bare.git_name, bare.git_email) == ("octo", "7+octo@users.noreply.localhost")


def test_a_role_in_an_organization_has_one_of_two_words() -> None:
    assert [parse_organization_role(word) for word in ("admin", "member")] == list(OrganizationRole)
    for word in ("", "owner", "Admin", "maintainer"):
        with pytest.raises(Invalid) as refused:
            parse_organization_role(word)
        assert refused.value.code == "account.role"
