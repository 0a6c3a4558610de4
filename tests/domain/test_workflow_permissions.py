"""The permissions of a workflow's token: what is unknown is refused (A14), and the store gets back what it was given."""

from itertools import product

import pytest

from berth.domain.problem import Invalid
from berth.domain.workflow_permissions import (
    NO_PERMISSIONS,
    WorkflowPermission,
    WorkflowPermissions,
    parse_permissions,
    parse_stored_permissions,
)

NONE, READ, WRITE = WorkflowPermission


@pytest.mark.parametrize(
    ("wanted", "contents", "packages"),
    [
        ({}, NONE, NONE),
        ({"contents": "read"}, READ, NONE),
        ({"packages": "write"}, NONE, WRITE),
        ({"packages": "none", "contents": "write"}, WRITE, NONE),
    ],
    ids=["nothing", "contents only", "packages only", "both"],
)
def test_what_is_not_named_is_none(
    wanted: dict[str, str], contents: WorkflowPermission, packages: WorkflowPermission
) -> None:
    assert parse_permissions(wanted) == WorkflowPermissions(contents=contents, packages=packages)


def test_without_any_there_is_nothing() -> None:
    assert WorkflowPermissions(contents=NONE, packages=NONE) == NO_PERMISSIONS


@pytest.mark.parametrize(
    "wanted",
    [
        {"issues": "none"},
        {"Packages": "read"},
        {"contents": "read", "packages ": "read"},
        {"": "read"},
        {"x" * 100_000: "read"},
        {"packages": "admin"},
        {"packages": "Write"},
        {"packages": ""},
        {"contents": "read write"},
        {"contents": "w" * 100_000},
    ],
    ids=lambda wanted: repr(wanted)[:40],
)
def test_a14_an_unknown_key_or_level_is_refused_and_not_echoed_whole(wanted: dict[str, str]) -> None:
    with pytest.raises(Invalid) as refused:
        parse_permissions(wanted)
    assert (refused.value.field, refused.value.code) == ("permissions", "workflow_token.permissions")
    assert len(refused.value.message) < 200


@pytest.mark.parametrize(("contents", "packages"), list(product(WorkflowPermission, repeat=2)))
def test_the_stored_form_comes_back(contents: WorkflowPermission, packages: WorkflowPermission) -> None:
    permissions = WorkflowPermissions(contents=contents, packages=packages)
    assert permissions.format() == f"contents={contents.value} packages={packages.value}"
    assert parse_stored_permissions(permissions.format()) == permissions


@pytest.mark.parametrize(
    "text",
    [
        "",
        "contents=write",
        "contents=write packages=write packages=none",
        "contents=write packages=admin",
        "write",
        "=",
    ],
)
def test_a14_any_other_stored_text_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse_stored_permissions(text)
