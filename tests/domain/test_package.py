"""Names of packages, and how a package may change; the numbers are those of domain/package.py and of DESIGN section 2."""

import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth.domain.package import (
    DEFAULT_POLICY,
    MAX_NAME_LENGTH,
    Package,
    PackageName,
    PackagePolicy,
    check_visibility_change,
    find_package_name,
    is_tag,
    parse_package_name,
    parse_policy,
    parse_visibility,
)
from berth.domain.problem import Conflict, Invalid
from berth.domain.repository import Visibility

PUBLIC, PRIVATE, INTERNAL = Visibility.PUBLIC, Visibility.PRIVATE, Visibility.INTERNAL
# OCI distribution-spec v1.1, "Pulling manifests": the expression for <name>, as it stands there.
SPECIFIED = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*")

NAMES = {
    "an owner and a name": ("acme/web", PackageName("acme", "web")),
    "a name of several parts": ("acme/web/dev/base", PackageName("acme", "web/dev/base")),
    "single letters": ("a/b", PackageName("a", "b")),
    "digits only": ("1/2", PackageName("1", "2")),
    "each separator": ("a-b/c.d_e__f-g---h", PackageName("a-b", "c.d_e__f-g---h")),
    "the longest": ("a/" + "b" * 253, PackageName("a", "b" * 253)),
}
NO_NAMES = {
    "nothing": "",
    "an owner alone": "acme",
    "no name": "acme/",
    "no owner": "/web",
    "an empty part": "acme//web",
    "a slash at the end": "acme/web/",
    "upper case": "acme/Web",
    "an upper-case owner": "Acme/web",
    "a dot at the start": "acme/.web",
    "a separator at the end": "acme/web-",
    "two dots": "acme/a..b",
    "three underscores": "acme/a___b",
    "two different separators": "acme/a-.b",
    "a way up": "acme/../web",
    "a way up at the start": "../acme/web",
    "a tag": "acme/web:1",
    "a digest": "acme/web@sha256:" + "0" * 64,
    "white space": "acme/we b",
    "a line break at the end": "acme/web\n",
    "a NUL": "acme/we\0b",
    "a percent": "acme/%2e%2e",
    "a backslash": "acme\\web",
    "a letter of another alphabet": "acme/wéb",
    "a digit of another alphabet": "acme/web\u0661",
    "a full-width letter": "acme/\uff57eb",
    "one too many characters": "a/" + "b" * 254,
    "very many characters": "a/" + "b-" * 500_000,
}


@pytest.mark.parametrize(("text", "name"), NAMES.values(), ids=NAMES.keys())
def test_what_a_name_is(text: str, name: PackageName) -> None:
    assert find_package_name(text) == parse_package_name(text) == name
    assert str(name) == text


@pytest.mark.parametrize("text", NO_NAMES.values(), ids=NO_NAMES.keys())
def test_what_no_name_is_and_is_never_repeated(text: str) -> None:
    assert find_package_name(text) is None
    with pytest.raises(Invalid) as refused:
        parse_package_name(text)
    assert (refused.value.code, refused.value.field) == ("package.name", "name")
    if len(text) > 1:
        assert text not in refused.value.message


@given(st.text(alphabet="ab09._-/A:é\n", max_size=12))
def test_names_are_those_of_the_specification_that_have_an_owner(text: str) -> None:
    assert (find_package_name(text) is not None) is (SPECIFIED.fullmatch(text) is not None and "/" in text)


def test_the_longest_name_has_255_characters() -> None:
    assert MAX_NAME_LENGTH == len(NAMES["the longest"][0]) == 255


@pytest.mark.parametrize("tag", ["latest", "v1.0", "A_b-C.d", "_", "0", "a" * 128])
def test_what_a_tag_is(tag: str) -> None:
    assert is_tag(tag)


@pytest.mark.parametrize(
    "tag", ["", ".a", "-a", "a" * 129, "a b", "a/b", "a:b", "a\n", "é", "sha256:" + "0" * 64, "a\0", "\u0661"]
)
def test_what_no_tag_is(tag: str) -> None:
    assert not is_tag(tag)


PACKAGE = Package(
    id=1,
    owner_id=2,
    owner_login="AcMe",
    owner_is_organization=True,
    name="web/dev",
    visibility=PRIVATE,
    inherits_access=False,
    repository_id=None,
    untagged_retention_days=None,
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    updated_at=datetime(2026, 1, 1, tzinfo=UTC),
    published_at=None,
    deleted_at=None,
)


def test_a_full_name_is_in_lower_case_however_the_owner_is_written() -> None:
    assert PACKAGE.full_name == "acme/web/dev"
    assert find_package_name(PACKAGE.full_name) == PackageName("acme", "web/dev")
    assert replace(PACKAGE, owner_login="acme").full_name == PACKAGE.full_name


INVALID, FOR_EVER = (Invalid, "package.visibility"), (Conflict, "package.public_for_ever")
CHANGES = {
    "a private one opens": (PRIVATE, PUBLIC, None, None),
    "a private one stays private": (PRIVATE, PRIVATE, None, None),
    "an organization's private one becomes internal, a user's does not": (PRIVATE, INTERNAL, None, INVALID),
    "an internal one opens": (INTERNAL, PUBLIC, None, None),
    "an internal one becomes private": (INTERNAL, PRIVATE, None, None),
    "an internal one stays internal": (INTERNAL, INTERNAL, None, INVALID),
    "A10: a public one stays public": (PUBLIC, PUBLIC, None, None),
    "A10: a public one never becomes private": (PUBLIC, PRIVATE, FOR_EVER, FOR_EVER),
    "A10: a public one never becomes internal": (PUBLIC, INTERNAL, FOR_EVER, INVALID),
}


@pytest.mark.parametrize(("old", "new", "of_organization", "of_user"), CHANGES.values(), ids=CHANGES.keys())
def test_how_a_visibility_may_change(
    old: Visibility,
    new: Visibility,
    of_organization: tuple[type[Invalid | Conflict], str] | None,
    of_user: tuple[type[Invalid | Conflict], str] | None,
) -> None:
    for expected, owner_is_organization in ((of_organization, True), (of_user, False)):
        if expected is None:
            check_visibility_change(old, new, owner_is_organization=owner_is_organization)
            continue
        kind, code = expected
        with pytest.raises(kind) as refused:
            check_visibility_change(old, new, owner_is_organization=owner_is_organization)
        assert refused.value.code == code


def test_every_change_of_visibility_has_a_row() -> None:
    assert {(old, new) for old, new, *_ in CHANGES.values()} == {(old, new) for old in Visibility for new in Visibility}


@pytest.mark.parametrize("visibility", Visibility)
def test_a_request_names_a_visibility_by_its_word(visibility: Visibility) -> None:
    assert parse_visibility(visibility.value) is visibility


@pytest.mark.parametrize("word", ["", "Public", "secret", "all", "private "])
def test_a14_any_other_word_is_refused_without_repeating_it(word: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_visibility(word)
    assert (refused.value.code, refused.value.field) == ("package.visibility", "visibility")
    with pytest.raises(Invalid):
        parse_policy(inherit_access_default=True, words=["private", word])


def test_a8_and_a11_an_organization_that_said_nothing_inherits_and_allows_everything() -> None:
    assert DEFAULT_POLICY.inherit_access_default
    assert DEFAULT_POLICY.creatable_visibilities == set(Visibility)


def test_a11_a_policy_names_what_members_create() -> None:
    assert parse_policy(inherit_access_default=False, words=["internal", "private", "private"]) == PackagePolicy(
        inherit_access_default=False, creatable_visibilities=frozenset({INTERNAL, PRIVATE})
    )
    nothing = parse_policy(inherit_access_default=True, words=[])
    assert nothing.creatable_visibilities == frozenset()  # then only owners create packages
