import pytest

from berth.domain.role import Role, find_role


@pytest.mark.parametrize(
    ("role", "word", "legacy", "name"),
    [
        (Role.NONE, "none", "none", "none"),
        (Role.PULL, "pull", "read", "read"),
        (Role.TRIAGE, "triage", "read", "triage"),
        (Role.PUSH, "push", "write", "write"),
        (Role.MAINTAIN, "maintain", "write", "maintain"),
        (Role.ADMIN, "admin", "admin", "admin"),
    ],
)
def test_a_role_has_a_word_in_each_vocabulary(role: Role, word: str, legacy: str, name: str) -> None:
    assert (role.word, role.legacy_word, role.role_name) == (word, legacy, name)


@pytest.mark.parametrize(
    ("word", "role"),
    [("pull", Role.PULL), ("read", Role.PULL), ("push", Role.PUSH), ("write", Role.PUSH), ("admin", Role.ADMIN)],
)
def test_a_role_is_found_in_either_vocabulary(word: str, role: Role) -> None:
    assert find_role(word) is role


@pytest.mark.parametrize("word", ["none", "", "owner", "ADMIN"])
def test_a14_an_unknown_role_is_none(word: str) -> None:
    assert find_role(word) is None


def test_roles_are_ordered() -> None:
    assert sorted(Role) == [Role.NONE, Role.PULL, Role.TRIAGE, Role.PUSH, Role.MAINTAIN, Role.ADMIN]
