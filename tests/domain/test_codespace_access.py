"""Who may have codespaces of an organization's repositories: the whole table."""

from dataclasses import replace

import pytest

from berth.domain.access import RepositoryFacts
from berth.domain.codespace_access import (
    MAX_NAMES,
    AccessVisibility,
    CodespaceAccess,
    check_names,
    decide_access,
    parse_visibility,
    require_access,
)
from berth.domain.problem import Denied, Invalid
from berth.domain.repository import Visibility
from berth.domain.role import Role

READER = RepositoryFacts(repository_id=1, visibility=Visibility.PUBLIC, is_owner=False, is_member=False)
MEMBER = replace(READER, is_member=True)
OWNER = replace(MEMBER, is_owner=True)
COLLABORATOR = replace(READER, collaborator_role=Role.PULL)
PEOPLE = {"reader": READER, "collaborator": COLLABORATOR, "member": MEMBER, "owner": OWNER}
ALLOWED: dict[str | None, set[str]] = {
    None: {"reader", "collaborator", "member", "owner"},
    "disabled": set(),
    "all_members": {"member", "owner"},
    "all_members_and_outside_collaborators": {"collaborator", "member", "owner"},
    "selected_members": set(),  # unless they are on the list
    "a word of a later version": set(),
}


def test_the_table_has_every_word() -> None:
    assert set(AccessVisibility) <= ALLOWED.keys()


@pytest.mark.parametrize("who", PEOPLE)
@pytest.mark.parametrize("visibility", ALLOWED)
def test_who_may(visibility: str | None, who: str) -> None:
    decision = decide_access(CodespaceAccess(visibility=visibility), PEOPLE[who])
    assert decision.allowed is (who in ALLOWED[visibility])
    assert decision.may_know_it_exists, "he reads the repository"
    assert len(decision.trail) == 1


@pytest.mark.parametrize(("who", "allowed"), [("reader", False), ("collaborator", True), ("member", True)])
def test_the_list_is_for_those_who_still_belong_to_it(who: str, *, allowed: bool) -> None:
    access = CodespaceAccess(visibility=AccessVisibility.SELECTED_MEMBERS, is_selected=True)
    assert decide_access(access, PEOPLE[who]).allowed is allowed
    disabled = replace(access, visibility=AccessVisibility.DISABLED)
    assert not decide_access(disabled, PEOPLE[who]), "the list counts for nothing then"


def test_a_refusal_names_the_organization() -> None:
    require_access(decide_access(CodespaceAccess(), READER), "acme")
    with pytest.raises(Denied, match="allows no codespaces: acme") as refused:
        require_access(decide_access(CodespaceAccess(visibility="disabled"), OWNER), "acme")
    assert refused.value.code == "codespace.access"
    assert "owner of acme" in refused.value.remedy


@pytest.mark.parametrize("visibility", ALLOWED)
def test_who_is_suspended_has_none_whatever_the_organization_says(visibility: str | None) -> None:
    access = CodespaceAccess(visibility=visibility, is_selected=True, is_suspended=True)
    decision = decide_access(access, OWNER)
    assert [reason.rule for reason in decision.trail] == ["account.suspended"]
    assert not decision
    with pytest.raises(Denied) as refused:
        require_access(decision, "acme")
    assert refused.value.code == "account.suspended"
    assert "site administrator" in refused.value.remedy


def test_words_and_names() -> None:
    assert parse_visibility("disabled") is AccessVisibility.DISABLED
    assert check_names(["Mia", "mia", "wim"]) == {"mia", "wim"}
    for refused, reason in ((None, "missing_field"), (["x"] * (MAX_NAMES + 1), "invalid")):
        with pytest.raises(Invalid) as problem:
            check_names(refused)
        assert (problem.value.field, problem.value.reason) == ("selected_usernames", reason)
    with pytest.raises(Invalid, match="one of disabled"):
        parse_visibility("Disabled")
