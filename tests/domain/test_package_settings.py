"""Rules A3, A4, A10 on one package's settings; the numbers in brackets are the policy's of the module."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from berth.domain.package import Package
from berth.domain.package_settings import MAX_RETENTION_DAYS, SettingsChange, SettingsPlan, plan_settings
from berth.domain.problem import Problem
from berth.domain.repository import Repository, Visibility

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OWNER, OTHER = 1, 2
WEB = Repository(
    id=10,
    owner_id=OWNER,
    owner_login="acme",
    owner_is_organization=True,
    name="web",
    description="",
    visibility=Visibility.PRIVATE,
    default_branch="main",
    created_at=NOW,
    updated_at=NOW,
    pushed_at=NOW,
)
SITE = replace(WEB, id=11, name="site")
FOREIGN = replace(WEB, id=12, owner_id=OTHER, owner_login="otto")
LOOSE = Package(
    id=5,
    owner_id=OWNER,
    owner_login="acme",
    owner_is_organization=True,
    name="app",
    visibility=Visibility.PRIVATE,
    inherits_access=False,
    repository_id=None,
    untagged_retention_days=None,
    created_at=NOW,
    updated_at=NOW,
    published_at=NOW,
    deleted_at=None,
)
LINKED = replace(LOOSE, repository_id=WEB.id)
INHERITING = replace(LINKED, inherits_access=True)
OF_USER = replace(LOOSE, owner_is_organization=False)
LINKED_ABROAD = replace(LOOSE, repository_id=FOREIGN.id)

STAYS = (None, False, False)  # linked to, inherits access, overwrites grants


def outcome(plan: SettingsPlan) -> tuple[int | None, bool, bool]:
    return plan.repository_id, plan.inherits_access, plan.overwrites_grants


@pytest.mark.parametrize(
    ("package", "change", "linked", "expected"),
    [
        pytest.param(LOOSE, SettingsChange(), None, STAYS, id="nothing is asked for"),
        pytest.param(INHERITING, SettingsChange(), WEB, (10, True, False), id="nothing is asked for, inheriting"),
        pytest.param(LOOSE, SettingsChange(repository=("acme", "web")), WEB, (10, False, False), id="a link alone"),
        pytest.param(
            LINKED, SettingsChange(inherits_access=True), WEB, (10, True, True), id="A4: switched on, grants go"
        ),
        pytest.param(
            INHERITING, SettingsChange(inherits_access=True), WEB, (10, True, False), id="on already, grants stay"
        ),
        pytest.param(
            LOOSE,
            SettingsChange(repository=("acme", "web"), inherits_access=True),
            WEB,
            (10, True, True),
            id="linked and switched on at once",
        ),
        pytest.param(INHERITING, SettingsChange(unlinks=True), None, STAYS, id="[3] unlinking switches it off"),
        pytest.param(
            INHERITING,
            SettingsChange(repository=("acme", "site")),
            SITE,
            (11, False, False),
            id="[3] another link switches it off",
        ),
        pytest.param(
            INHERITING,
            SettingsChange(repository=("acme", "site"), inherits_access=True),
            SITE,
            (11, True, True),
            id="[3] [4] unless it is asked for: then grants go, as the people are others",
        ),
        pytest.param(
            INHERITING, SettingsChange(inherits_access=False), WEB, (10, False, False), id="switched off, the link stays"
        ),
        pytest.param(
            LOOSE, SettingsChange(repository=("otto", "own")), FOREIGN, (12, False, False), id="a link abroad gives nothing"
        ),
    ],
)  # fmt: skip
def test_link_and_inheritance(
    package: Package, change: SettingsChange, linked: Repository | None, expected: tuple[int | None, bool, bool]
) -> None:
    assert outcome(plan_settings(package, change, linked)) == expected


@pytest.mark.parametrize(
    ("package", "change", "linked", "code"),
    [
        pytest.param(LOOSE, SettingsChange(inherits_access=True), None, "package.not_linked", id="[2] no link"),
        pytest.param(
            INHERITING, SettingsChange(unlinks=True, inherits_access=True), None, "package.not_linked", id="unlinked and on"
        ),
        pytest.param(
            LINKED_ABROAD, SettingsChange(inherits_access=True), FOREIGN, "package.link_owner", id="A3 another owner's people"
        ),
        pytest.param(
            replace(LOOSE, visibility=Visibility.PUBLIC),
            SettingsChange(visibility=Visibility.PRIVATE),
            None,
            "package.public_for_ever",
            id="A10 public to private",
        ),
        pytest.param(
            replace(LOOSE, visibility=Visibility.PUBLIC),
            SettingsChange(visibility=Visibility.INTERNAL),
            None,
            "package.public_for_ever",
            id="A10 public to internal",
        ),
        pytest.param(
            OF_USER, SettingsChange(visibility=Visibility.INTERNAL), None, "package.visibility", id="a user's is not internal"
        ),
        *(
            pytest.param(
                LOOSE, SettingsChange(untagged_retention_days=days), None, "package.retention", id=f"[5] {days} days"
            )
            for days in (0, -1, MAX_RETENTION_DAYS + 1, 10**30)
        ),
    ],
)  # fmt: skip
def test_what_is_refused(package: Package, change: SettingsChange, linked: Repository | None, code: str) -> None:
    with pytest.raises(Problem) as raised:
        plan_settings(package, change, linked)
    assert raised.value.code == code


def test_a13_a_refusal_does_not_name_the_linked_repository() -> None:
    with pytest.raises(Problem) as raised:
        plan_settings(LINKED_ABROAD, SettingsChange(inherits_access=True), FOREIGN)
    assert "otto" not in raised.value.message + raised.value.remedy


def test_visibilities_that_may_follow_each_other() -> None:
    for old, new in (
        (Visibility.PRIVATE, Visibility.INTERNAL),
        (Visibility.INTERNAL, Visibility.PRIVATE),
        (Visibility.INTERNAL, Visibility.PUBLIC),
        (Visibility.PRIVATE, Visibility.PUBLIC),
        (Visibility.PUBLIC, Visibility.PUBLIC),
    ):
        plan = plan_settings(replace(LOOSE, visibility=old), SettingsChange(visibility=new), None)
        assert (plan.visibility, plan.overwrites_grants) == (new, False)


def test_retention_is_set_kept_and_ended() -> None:
    kept = replace(LOOSE, untagged_retention_days=7)
    assert plan_settings(kept, SettingsChange(), None).untagged_retention_days == 7
    assert plan_settings(kept, SettingsChange(keeps_untagged=True), None).untagged_retention_days is None
    for days in (1, MAX_RETENTION_DAYS):
        plan = plan_settings(kept, SettingsChange(untagged_retention_days=days), None)
        assert plan.values == {
            "visibility": Visibility.PRIVATE,
            "repository_id": None,
            "inherits_access": False,
            "untagged_retention_days": days,
        }
