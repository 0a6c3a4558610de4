"""A package's settings, an organization's policy, and why somebody may do something: bodies, statuses, bad input."""

from typing import Any

import pytest
from tests.rest.berth_api import Berth
from tests.rest.package_api import Packages, make_packages

from berth.domain.repository import Visibility

APP = "/orgs/acme/packages/container/app"
POLICY = "/orgs/acme/packages/policy"


@pytest.fixture
async def packages(berth: Berth) -> Packages:
    made = await make_packages(berth)
    await made.make("acme/app")
    assert (await made.octo.post("/orgs/acme/repos", json={"name": "web", "private": True})).status_code == 201
    return made


async def test_settings_are_read_and_changed(packages: Packages) -> None:
    octo = packages.octo
    first = (await octo.get(f"{APP}/settings")).json()
    assert first == {
        "id": first["id"],
        "name": "app",
        "owner": "acme",
        "url": f"http://api.berth.test{APP}",
        "visibility": "private",
        "inherit_access": False,
        "linked": False,
        "repository": None,
        "untagged_retention_days": None,
    }
    steps: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({}, {}),
        ({"repository": "Acme/Web"}, {"linked": True, "repository": "acme/web"}),
        ({"inherit_access": True}, {"inherit_access": True}),
        ({"untagged_retention_days": 30, "unknown": 1}, {"untagged_retention_days": 30}),
        ({"visibility": "internal"}, {"visibility": "internal"}),
        ({"repository": None}, {"linked": False, "repository": None, "inherit_access": False}),
        ({"untagged_retention_days": None}, {"untagged_retention_days": None}),
        ({"visibility": None, "inherit_access": None}, {}),
        ({"visibility": "public"}, {"visibility": "public"}),
    ]
    expected = dict(first)
    for body, difference in steps:
        expected |= difference
        assert (await octo.patch(APP, json=body)).json() == expected
        assert (await octo.get(f"{APP}/settings")).json() == expected


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"visibility": "secret"}, 422, "package.visibility"),
        ({"visibility": 1}, 422, "request.invalid"),
        ({"inherit_access": "yes"}, 422, "request.invalid"),
        ({"inherit_access": True}, 422, "package.not_linked"),
        ({"repository": "web"}, 422, "package.repository"),
        ({"repository": ""}, 422, "package.repository"),
        ({"repository": "acme/web/x"}, 422, "repository.name"),
        ({"repository": "acme/a\0b"}, 422, "request.invalid"),
        ({"repository": "acme/absent"}, 422, "package.repository_unknown"),
        ({"repository": ["acme/web"]}, 422, "request.invalid"),
        ({"untagged_retention_days": 0}, 422, "package.retention"),
        ({"untagged_retention_days": 10**17}, 422, "package.retention"),
        ({"untagged_retention_days": 10**40}, 422, "package.retention"),
        ({"untagged_retention_days": 1.5}, 422, "request.invalid"),
        ({"untagged_retention_days": True}, 422, "request.invalid"),
        ([], 400, "request.malformed"),
    ],
)
async def test_bad_settings_are_refused_and_change_nothing(
    packages: Packages, body: object, status: int, code: str
) -> None:
    before = (await packages.octo.get(f"{APP}/settings")).json()
    answer = await packages.octo.patch(APP, json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert (await packages.octo.get(f"{APP}/settings")).json() == before


async def test_a10_closing_a_public_package_is_409(packages: Packages) -> None:
    await packages.make("acme/open", Visibility.PUBLIC)
    answer = await packages.octo.patch("/orgs/acme/packages/container/open", json={"visibility": "private"})
    assert (answer.status_code, answer.json()["code"]) == (409, "package.public_for_ever")


async def test_a_decision_is_shown_with_its_whole_trail(packages: Packages) -> None:
    octo = packages.octo
    assert (await octo.patch(APP, json={"repository": "acme/web", "inherit_access": True})).status_code == 200
    seen = (await octo.get(f"{APP}/access", params={"repository": "acme/web"})).json()
    assert (seen["package"], seen["action"], seen["asked_of"]) == ("acme/app", "pull", "a codespace of acme/web")
    assert seen["allowed"] is True
    assert [reason["rule"] for reason in seen["trail"]] == ["package.codespace.linked", "package.action.pull"]
    assert set(seen["trail"][0]) == {"rule", "effect", "text"}
    push = (await octo.get(f"{APP}/access", params={"action": "push", "user": "Member"})).json()
    assert (push["allowed"], push["asked_of"], push["trail"][-1]["effect"]) == (False, "member", "deny")
    deletion = (await octo.get(f"{APP}/access", params={"action": "delete", "repository": "acme/web"})).json()
    assert (deletion["allowed"], deletion["asked_of"]) == (False, "a workflow of acme/web")
    assert (await packages.member.get(f"{APP}/access", params={"user": "member"})).status_code == 403
    assert (await packages.stranger.get(f"{APP}/access", params={"user": "stranger"})).status_code == 404


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "package.subject"),
        ("user=octo&repository=acme/web", "package.subject"),
        ("user=octo&action=admin", "package.action"),
        ("user=octo&action=", "package.action"),
        ("user=nobody", "package.user_unknown"),
        ("user=acme", "package.user_unknown"),
        ("repository=acme/absent", "package.repository_unknown"),
        ("repository=acme", "package.repository"),
        ("repository=/web", "package.repository"),
    ],
)
async def test_bad_questions_are_422(packages: Packages, query: str, code: str) -> None:
    answer = await packages.octo.get(f"{APP}/access?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, code)


async def test_owners_see_and_set_the_policy(packages: Packages) -> None:
    octo = packages.octo
    everything = {"inherit_access_default": True, "creatable_visibilities": ["internal", "private", "public"]}
    assert (await octo.get(POLICY)).json() == everything
    changed = {"inherit_access_default": False, "creatable_visibilities": ["private"]}
    assert (await octo.put(POLICY, json=changed)).json() == changed
    assert (await octo.put(POLICY, json={})).json() == changed == (await octo.get(POLICY)).json()
    for client, status in ((packages.member, 403), (packages.stranger, 404), (packages.berth.anonymous, 401)):
        assert (await client.get(POLICY)).status_code == status
        assert (await client.put(POLICY, json=everything)).status_code == status
    assert (await octo.get("/orgs/octo/packages/policy")).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {"inherit_access_default": "no"},
        {"creatable_visibilities": "private"},
        {"creatable_visibilities": ["secret"]},
        {"creatable_visibilities": [1]},
        {"creatable_visibilities": ["private"] * 10 + ["\0"]},
    ],
)
async def test_a_bad_policy_is_422(packages: Packages, body: dict[str, object]) -> None:
    assert (await packages.octo.put(POLICY, json=body)).status_code == 422


async def test_a11_a_members_change_is_bound_by_the_policy(packages: Packages) -> None:
    octo = packages.octo
    assert (await octo.put(f"{APP}/collaborators/member", json={"role": "admin"})).status_code == 204
    await octo.put(POLICY, json={"creatable_visibilities": ["private"]})
    answer = await packages.member.patch(APP, json={"visibility": "public"})
    assert (answer.status_code, answer.json()["code"]) == (403, "package.denied")
    assert (await octo.patch(APP, json={"visibility": "public"})).status_code == 200
