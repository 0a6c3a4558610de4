"""Roles on packages: their order, their words, and what each role on a repository becomes (A4)."""

import pytest

from berth.domain.package_role import INHERITED, PackageRole, find_package_role
from berth.domain.role import Role

A4 = {
    "none": "none",
    "pull": "read",
    "triage": "read",
    "push": "write",
    "maintain": "write",
    "admin": "admin",
}


@pytest.mark.parametrize(("repository", "package"), A4.items(), ids=[f"A4: {key} becomes {A4[key]}" for key in A4])
def test_what_a_role_on_a_repository_becomes(repository: str, package: str) -> None:
    assert INHERITED[Role[repository.upper()]].word == package


def test_a4_every_role_on_a_repository_becomes_one() -> None:
    assert {role.word for role in INHERITED} == {role.word for role in Role} == A4.keys()


def test_a_stronger_role_on_a_repository_never_becomes_a_weaker_one() -> None:
    inherited = [INHERITED[role] for role in sorted(Role)]
    assert inherited == sorted(inherited)


def test_roles_are_ordered_so_that_max_merges_them() -> None:
    assert [role.word for role in sorted(PackageRole)] == ["none", "read", "write", "admin"]


@pytest.mark.parametrize("word", ["read", "write", "admin"])
def test_a_request_names_a_role_by_its_word(word: str) -> None:
    found = find_package_role(word)
    assert found is not None
    assert found.word == word


@pytest.mark.parametrize("word", ["none", "", "READ", "pull", "push", "maintain", "owner", "1", "read "])
def test_a14_any_other_word_names_none(word: str) -> None:
    assert find_package_role(word) is None
