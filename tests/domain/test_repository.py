from datetime import UTC, datetime

import pytest

from berth.domain.problem import Invalid
from berth.domain.repository import Repository, Visibility, parse_branch_name, parse_repository_name, short_branch


def test_the_full_name_is_owner_and_name() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    repository = Repository(
        id=1,
        owner_id=2,
        owner_login="acme",
        owner_is_organization=True,
        name="web",
        description="",
        visibility=Visibility.PRIVATE,
        default_branch="main",
        created_at=now,
        updated_at=now,
        pushed_at=now,
    )
    assert repository.full_name == "acme/web"


@pytest.mark.parametrize("name", ["a", ".github", "A_b-c.d", "-x", "a" * 100])
def test_a_good_repository_name_is_kept(name: str) -> None:
    assert parse_repository_name(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "x.git", "X.GIT", "x.wiki", "ä", "a\n", "a" * 101])
def test_a_bad_repository_name_is_refused(name: str) -> None:
    with pytest.raises(Invalid):
        parse_repository_name(name)


@pytest.mark.parametrize("name", ["main", "feature/x", "v1.0", "_x", "a-b"])
def test_a_good_branch_name_is_kept(name: str) -> None:
    assert parse_branch_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "-x", "--upload-pack=x", ".x", "/x", "x/", "x.", "a..b", "a//b", "a/.b", "x.lock", "x.lock/y", "a b", "a~1",
     "a:b", "a^", "a\\b", "a\n", "@{-1}", "a" * 245],
)  # fmt: skip
def test_a_branch_name_outside_the_safe_subset_is_refused(name: str) -> None:
    with pytest.raises(Invalid):
        parse_branch_name(name)


@pytest.mark.parametrize("ref", ["main", "heads/main", "refs/heads/main"])
def test_a_branch_is_named_in_three_ways(ref: str) -> None:
    assert short_branch(ref) == "main"
