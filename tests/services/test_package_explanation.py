"""Why somebody may or may not: the registry's own decision, shown to the package's admins (A13)."""

from datetime import UTC, datetime

import pytest
from tests.account_world import outcome, outcomes
from tests.package_world import PackageWorld

from berth.adapters.store import suspension as suspension_rows
from berth.domain.access import Effect
from berth.domain.package_access import PackageAction
from berth.domain.package_role import PackageRole
from berth.domain.problem import Invalid
from berth.domain.repository import Visibility
from berth.services.package_explanation import Explanation, parse_action

OK = "ok"
MISSING = "NotFound package.not_found"
DENIED = "Denied package.denied"
UNKNOWN = "Invalid package.repository_unknown"


async def of_user(packages: PackageWorld, login: str, action: PackageAction = PackageAction.PULL) -> Explanation:
    place = packages.place("acme/app")
    return await packages.services.package_explanations.of_user(packages.who("olga"), place, action, login)


async def of_repository(packages: PackageWorld, name: str, action: PackageAction = PackageAction.PULL) -> Explanation:
    place, (owner, _, repository) = packages.place("acme/app"), name.partition("/")
    service = packages.services.package_explanations
    return await service.of_repository(packages.who("olga"), place, action, owner, repository)


def rules(explanation: Explanation) -> list[str]:
    return [reason.rule for reason in explanation.decision.trail]


async def test_only_admins_ask(packages: PackageWorld) -> None:
    await packages.package("acme/app", Visibility.INTERNAL)
    await packages.grant("acme/app", "wim", PackageRole.ADMIN)
    expected = {
        "otto": MISSING,
        "mia": DENIED,
        "olga:read:packages": DENIED,
        "olga@acme/web": DENIED,
        "wim": OK,
        "olga": OK,
    }
    service, place, pull = packages.services.package_explanations, packages.place("acme/app"), PackageAction.PULL
    by_user = {who: service.of_user(packages.who(who), place, pull, "mia") for who in expected}
    assert await outcomes(by_user) == expected
    by_repository = {who: service.of_repository(packages.who(who), place, pull, "acme", "web") for who in expected}
    assert await outcomes(by_repository) == expected


async def test_a_users_role_is_told_with_every_rule(packages: PackageWorld) -> None:
    await packages.package("acme/app", linked="acme/web", inherits=True)
    await packages.grant("acme/app", "mia", PackageRole.READ)
    pull = await of_user(packages, "MIA")
    assert (pull.asked_of, pull.decision.allowed, pull.action) == ("mia", True, PackageAction.PULL)
    assert rules(pull) == ["package.grant", "package.inherited", "package.action.pull"]
    push = await of_user(packages, "mia", PackageAction.PUSH)
    assert (push.decision.allowed, push.decision.trail[-1].effect) == (False, Effect.DENY)
    for action in PackageAction:
        assert (await of_user(packages, "olga", action)).decision.allowed
        assert not (await of_user(packages, "otto", action)).decision.allowed


async def test_a7_a_codespaces_pull_is_told(packages: PackageWorld) -> None:
    await packages.package("acme/app", linked="acme/web", inherits=True)
    expected = {
        "acme/web": (True, "package.codespace.linked"),
        "acme/site": (False, "package.codespace.not_linked"),
        "acme/docs": (False, "package.codespace.not_linked"),
    }
    for name, (allowed, rule) in expected.items():
        seen = await of_repository(packages, name)
        assert (seen.decision.allowed, seen.asked_of) == (allowed, f"a codespace of {name}")
        assert rules(seen)[0] == rule
    await packages.open_to("acme/app", "acme/site")
    assert rules(await of_repository(packages, "acme/site"))[0] == "package.codespace.listed"


async def test_a8_what_a_workflow_may_do_is_told(packages: PackageWorld) -> None:
    await packages.package("acme/app", linked="acme/web", inherits=True)
    await packages.open_to("acme/app", "acme/docs", PackageRole.ADMIN)
    seen = {}
    for name in ("acme/web", "acme/docs", "acme/site"):
        for action in (PackageAction.PUSH, PackageAction.DELETE):
            explanation = await of_repository(packages, name, action)
            assert explanation.asked_of == f"a workflow of {name}"
            seen[name, str(action)] = explanation.decision.allowed
    assert seen == {
        ("acme/web", "push"): True,
        ("acme/web", "delete"): False,
        ("acme/docs", "push"): True,
        ("acme/docs", "delete"): True,
        ("acme/site", "push"): False,
        ("acme/site", "delete"): False,
    }


async def test_it_says_what_the_registry_then_does(packages: PackageWorld) -> None:
    """The same decision by the way that a request of that caller takes."""
    await packages.package("acme/app", Visibility.INTERNAL, linked="acme/web", inherits=True)
    get, place = packages.services.packages.get, packages.place("acme/app")
    for login in ("olga", "mia", "wim", "rita", "adam", "otto"):
        told = (await of_user(packages, login)).decision.allowed
        assert told == (await outcome(get(packages.who(login), place)) == OK), login
    for name in ("acme/web", "acme/site", "acme/docs"):
        told = (await of_repository(packages, name)).decision.allowed
        assert told == (await outcome(get(packages.who(f"olga@{name}"), place)) == OK), name


async def test_a13_whom_and_what_the_asker_may_not_know(packages: PackageWorld) -> None:
    await packages.package("acme/app", Visibility.PUBLIC)
    await packages.grant("acme/app", "otto", PackageRole.ADMIN)
    service, place, pull = packages.services.package_explanations, packages.place("acme/app"), PackageAction.PULL
    for who in ("otto", "olga:write:packages"):
        for name in ("web", "absent"):
            call = service.of_repository(packages.who(who), place, pull, "acme", name)
            assert await outcome(call) == UNKNOWN
    for login in ("nobody", "acme"):
        call = service.of_user(packages.who("olga"), place, pull, login)
        assert await outcome(call) == "Invalid package.user_unknown"


async def test_who_is_suspended_may_nothing_whatever_his_role(packages: PackageWorld) -> None:
    await packages.package("acme/app")
    await packages.grant("acme/app", "mia", PackageRole.READ)
    before = (await of_user(packages, "mia")).decision
    assert before
    async with packages.accounts.store.begin() as connection:
        await suspension_rows.set_suspension(connection, packages.who("mia").account_id, datetime.now(UTC), "left")
    after = (await of_user(packages, "mia")).decision
    assert (after.allowed, after.trail[:-1], after.trail[-1].rule) == (False, before.trail, "account.suspended")


def test_an_action_is_one_of_four() -> None:
    assert [parse_action(word) for word in ("pull", "push", "delete", "administer")] == list(PackageAction)
    with pytest.raises(Invalid) as raised:
        parse_action("admin")
    assert raised.value.code == "package.action"
