"""An organization's policy, its owners' alone, on both databases (A8, A11)."""

from tests.account_world import outcome, outcomes
from tests.package_world import PackageWorld

from berth.adapters.store import package as rows
from berth.domain.package import PackagePolicy
from berth.domain.package_access import decide_creation
from berth.domain.repository import Visibility
from berth.services.registry_access import asker_of

OK = "ok"
MISSING = "NotFound account.not_found"
NOT_OWNER = "Denied account.not_owner"
EVERYTHING = PackagePolicy(inherit_access_default=True, creatable_visibilities=frozenset(Visibility))


async def test_owners_see_and_set_it(packages: PackageWorld) -> None:
    expected = {
        "otto": MISSING,
        "mia": NOT_OWNER,
        "olga:read:org": NOT_OWNER,
        "olga:write:packages": MISSING,
        "olga@acme/web": "Denied token.codespace",
        "olga job acme/web": "Denied token.codespace",
        "olga": OK,
    }
    service = packages.services.package_policies
    assert await outcomes({who: service.get(packages.who(who), "acme") for who in expected}) == expected
    changed = {
        who: service.change(
            packages.who(who), "acme", inherit_access_default=False, creatable_visibilities=["private", "private"]
        )
        for who in expected
    }
    assert await outcomes(changed) == expected
    assert await outcome(service.get(packages.who("otto"), "otto")) == MISSING  # a user has none
    assert await packages.audit("package.policy") == [
        ("olga", "acme", "inherit_access_default False, creatable_visibilities private")
    ]


async def test_what_is_not_named_stays(packages: PackageWorld) -> None:
    service, olga = packages.services.package_policies, packages.who("olga")
    assert await service.get(olga, "acme") == EVERYTHING

    async def change(inherit: bool | None, words: list[str] | None) -> PackagePolicy:
        await service.change(olga, "acme", inherit_access_default=inherit, creatable_visibilities=words)
        return await service.get(olga, "acme")

    assert await change(None, ["public"]) == PackagePolicy(
        inherit_access_default=True, creatable_visibilities=frozenset({Visibility.PUBLIC})
    )
    assert await change(False, None) == PackagePolicy(
        inherit_access_default=False, creatable_visibilities=frozenset({Visibility.PUBLIC})
    )
    assert await change(None, []) == PackagePolicy(inherit_access_default=False, creatable_visibilities=frozenset())
    assert (await packages.audit("package.policy"))[-1][2].endswith("creatable_visibilities none")
    assert await outcome(change(None, ["secret"])) == "Invalid package.visibility"


async def test_a8_a11_it_decides_about_new_packages(packages: PackageWorld) -> None:
    service, olga = packages.services.package_policies, packages.who("olga")

    async def creation(who: str) -> tuple[bool, bool]:
        subject = packages.who(who)
        async with packages.accounts.store.read() as connection:
            facts = await rows.find_namespace(connection, asker_of(subject), "acme")
        assert facts is not None
        made = decide_creation(subject, facts)
        return bool(made.decision), made.inherits_access

    assert await creation("wim job acme/web") == (True, True)
    await service.change(olga, "acme", inherit_access_default=False, creatable_visibilities=["private"])
    assert await creation("wim job acme/web") == (True, False)
    assert await creation("mia") == (True, False)
    assert await creation("wim job acme/site") == (False, False)
    await service.change(olga, "acme", inherit_access_default=None, creatable_visibilities=[])
    assert await creation("mia") == (False, False)
    assert await creation("olga") == (True, False)
