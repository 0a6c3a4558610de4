"""Rules S1 to S4."""

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth.domain.problem import Invalid
from berth.domain.secret import (
    PRECEDENCE,
    LevelledSecret,
    SecretLevel,
    SecretVisibility,
    choose_environment,
    may_use_organization_secret,
    parse_secret_name,
)
from berth.domain.secret_text import SecretText

USER, REPOSITORY, ORGANIZATION = SecretLevel


@pytest.mark.parametrize(
    "text, stored",
    [
        ("TOKEN", "TOKEN"),
        ("npm_Token", "NPM_TOKEN"),
        ("_x", "_X"),
        ("A1", "A1"),
        ("GITHUB", "GITHUB"),
        ("a" * 255, "A" * 255),
    ],
)
def test_a_name_is_stored_in_upper_case(text: str, stored: str) -> None:
    assert parse_secret_name(text) == stored


@pytest.mark.parametrize(
    "text", ["", "1A", "A B", "A-B", "public-key", "A\n", "É", "ß", "A" * 256, "A.B", "A/B", "A\0", "\uff21"]
)  # fmt: skip
def test_what_is_no_name_is_refused_in_githubs_words(text: str) -> None:
    with pytest.raises(Invalid, match="Secret names can only contain alphanumeric characters") as caught:
        parse_secret_name(text)
    assert caught.value.code == "secret.name"


@pytest.mark.parametrize("text", ["GITHUB_TOKEN", "github_x", "GitHub_", "GITHUB__"])
def test_githubs_own_prefix_is_refused_in_any_case(text: str) -> None:
    with pytest.raises(Invalid, match=r"^Secret names must not start with GITHUB_\.$"):
        parse_secret_name(text)


@given(st.text(max_size=20))
def test_a_stored_name_is_an_environment_variables_name(text: str) -> None:
    try:
        name = parse_secret_name(text)
    except Invalid:
        return
    assert name.isascii()
    assert name.isidentifier()
    assert parse_secret_name(name) == name == name.upper()


@pytest.mark.parametrize(
    "visibility, public, selected, may",
    [
        (SecretVisibility.ALL, True, False, True),
        (SecretVisibility.ALL, False, False, True),
        (SecretVisibility.PRIVATE, True, True, False),
        (SecretVisibility.PRIVATE, False, False, True),
        (SecretVisibility.SELECTED, True, True, True),
        (SecretVisibility.SELECTED, False, False, False),
    ],
)
def test_who_may_use_an_organizations_secret(
    visibility: SecretVisibility, public: bool, selected: bool, may: bool
) -> None:
    assert may_use_organization_secret(visibility, repository_is_public=public, selected=selected) is may


def test_an_unknown_visibility_gives_nothing() -> None:
    unknown = cast("SecretVisibility", "everyone")
    assert not may_use_organization_secret(unknown, repository_is_public=False, selected=True)


@given(st.permutations(list(SecretLevel)), st.sets(st.sampled_from(list(SecretLevel)), min_size=1))
def test_the_most_specific_level_wins_whatever_the_order(order: list[SecretLevel], present: set[SecretLevel]) -> None:
    secrets = [
        LevelledSecret(level=level, name="X", value=SecretText(level.value)) for level in order if level in present
    ]
    assert choose_environment(secrets)["X"].reveal() == min(present, key=PRECEDENCE.index)


def test_names_are_chosen_one_by_one() -> None:
    secrets = [
        LevelledSecret(level=ORGANIZATION, name="A", value=SecretText("organization")),
        LevelledSecret(level=REPOSITORY, name="B", value=SecretText("repository")),
        LevelledSecret(level=USER, name="A", value=SecretText("user")),
    ]
    chosen = choose_environment(secrets)
    assert {name: value.reveal() for name, value in chosen.items()} == {"A": "user", "B": "repository"}
