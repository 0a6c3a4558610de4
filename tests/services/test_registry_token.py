"""What a registry token is made for: what is allowed of what was asked, on both databases (A1, A6 to A8, A12 to A14)."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.registry_access_world import LIFETIME_S, RegistryAccessWorld, make_registry_access_world

from berth.adapters.store import package as rows
from berth.adapters.store.database import Store
from berth.domain.package import PackageName, PackagePolicy
from berth.domain.package_access import PackageAction
from berth.domain.problem import Unauthenticated
from berth.domain.registry_token import RegistryClaims, RegistryGrant, from_payload
from berth.domain.repository import Visibility
from berth.domain.resource_scope import MAX_SCOPES
from berth.domain.secret_text import SecretText

PUBLIC, PRIVATE, INTERNAL = Visibility.PUBLIC, Visibility.PRIVATE, Visibility.INTERNAL


@pytest.fixture
async def world(store: Store, tmp_path: Path) -> AsyncIterator[RegistryAccessWorld]:
    async with make_registry_access_world(store, tmp_path) as made:
        yield made


async def claims(world: RegistryAccessWorld, name: str, *scopes: str) -> RegistryClaims:
    made = await world.tokens.issue(await world.who(name), scopes)
    return from_payload(world.signer.verify(made.value.reveal()))


async def granted(world: RegistryAccessWorld, name: str, *packages: str) -> list[str]:
    """What is granted of everything: the package's short name, the actions, and `free` for a free name."""
    scopes = [f"repository:{package}:*" for package in packages]
    found = (await claims(world, name, *scopes)).grants
    return [
        " ".join([str(package), *sorted(grant.actions), *(["free"] if grant.package_id is None else [])])
        for package, grant in found.items()
    ]


# Of acme/web (private, linked to acme/web and inheriting), acme/open (public), acme/inner (internal), acme/free (free).
GRANTED = {
    "anonymous": ["acme/open pull"],  # A1
    "otto": ["acme/open pull"],
    "otto repo": ["acme/open pull"],  # A6: public pulls need no scope
    "rita": ["acme/web pull", "acme/open pull"],  # A4
    "mia": ["acme/web pull", "acme/open pull", "acme/inner pull", "acme/free delete pull push free"],  # A5
    "mia read:packages": ["acme/web pull", "acme/open pull", "acme/inner pull"],
    "mia write:packages": ["acme/web pull", "acme/open pull", "acme/inner pull", "acme/free pull push free"],
    "wim": ["acme/web pull push", "acme/open pull", "acme/inner pull", "acme/free delete pull push free"],
    "olga": [
        "acme/web delete pull push", "acme/open delete pull push", "acme/inner delete pull push",
        "acme/free delete pull push free",
    ],
    "olga read:packages,delete:packages": ["acme/web delete pull", "acme/open delete pull", "acme/inner delete pull"],
    "wim@acme/web": ["acme/web pull", "acme/open pull", "acme/inner pull"],  # A7
    "wim@acme/site": ["acme/open pull"],
    "wim@acme/docs": ["acme/open pull", "acme/inner pull"],
    "otto@otto/own": ["acme/open pull"],
    "wim job acme/web write": ["acme/web pull push", "acme/open pull", "acme/free delete pull push free"],  # A8
    "wim job acme/web read": ["acme/web pull", "acme/open pull"],
    "wim job acme/web none": ["acme/open pull"],
    "otto job otto/own write": ["acme/open pull"],
}  # fmt: skip


async def test_a_token_is_made_for_what_is_allowed_of_what_was_asked(world: RegistryAccessWorld) -> None:
    await world.package("acme/web", PRIVATE, linked="acme/web")
    await world.package("acme/open", PUBLIC)
    await world.package("acme/inner", INTERNAL)
    asked = ("acme/web", "acme/open", "acme/inner", "acme/free")
    assert {name: await granted(world, name, *asked) for name in GRANTED} == GRANTED


async def test_a13_hidden_and_missing_names_are_left_out_alike(world: RegistryAccessWorld) -> None:
    await world.package("acme/web")
    names = ("acme/web", "acme/free", "nobody/web", "olga/web")
    for name in ("anonymous", "otto", "rita", "wim@acme/docs", "otto job otto/own write"):
        for action in ("pull", "push", "delete"):
            asked = [f"repository:{package}:{action}" for package in names]
            assert (await claims(world, name, *asked)).grants == {}, name


async def test_a14_only_what_was_asked_for_is_granted(world: RegistryAccessWorld) -> None:
    package_id = await world.package("acme/web")
    found = (await claims(world, "olga", "repository:acme/web:pull,fly")).grants
    assert found == {
        PackageName("acme", "web"): RegistryGrant(actions=frozenset({PackageAction.PULL}), package_id=package_id)
    }
    assert (await claims(world, "olga")).grants == {}
    assert (await claims(world, "olga", "repository:acme/web:administer", "nonsense", "")).grants == {}


async def test_a12_a_grant_names_the_package_that_is_there_now(world: RegistryAccessWorld) -> None:
    old = await world.package("acme/web")
    await world.change(old, deleted_at=world.clock.now())
    assert await granted(world, "olga", "acme/web") == ["acme/web delete pull push free"]
    new = await world.package("acme/web")
    [grant] = (await claims(world, "olga", "repository:acme/web:pull")).grants.values()
    assert grant.package_id == new != old


async def test_a11_no_grant_for_what_members_may_not_make(world: RegistryAccessWorld) -> None:
    async with world.store.begin() as connection:
        policy = PackagePolicy(creatable_visibilities=frozenset({PUBLIC}))
        await rows.set_policy(connection, world.people.accounts["acme"], policy)
    names = ("mia", "wim job acme/web write", "wim job acme/site write", "olga")
    assert {name: await granted(world, name, "acme/free") for name in names} == {
        "mia": [],
        "wim job acme/web write": [],
        "wim job acme/site write": ["acme/free delete pull push free"],
        "olga": ["acme/free delete pull push free"],
    }


async def test_a_token_has_so_many_grants_and_no_more(world: RegistryAccessWorld) -> None:
    asked = [f"otto/p{number}" for number in range(MAX_SCOPES + 9)]
    assert len(await granted(world, "otto", *asked)) == MAX_SCOPES


async def test_the_catalog_is_granted_to_whoever_asks(world: RegistryAccessWorld) -> None:
    """It holds what its reader may pull."""
    for name in ("anonymous", "otto"):
        assert (await claims(world, name, "registry:catalog:*")).catalog
        assert not (await claims(world, name, "repository:acme/web:pull")).catalog


async def test_a_token_says_who_it_is_of_and_how_long_it_lasts(world: RegistryAccessWorld) -> None:
    password = await world.who("mia")
    assert password is not None
    made = await world.tokens.issue(password, ["repository:mia/web:pull,push"])
    assert (made.issued_at, made.lifetime_s) == (world.clock.now(), LIFETIME_S)
    payload = world.signer.verify(made.value.reveal())
    assert (payload["sub"], payload["exp"] - payload["iat"]) == ("mia", LIFETIME_S)
    assert payload["iat"] == int(world.clock.now().timestamp())
    assert made.value.reveal() not in repr(made)
    assert password.reveal() not in str(payload)
    anonymous = world.signer.verify((await world.tokens.issue(None, [])).value.reveal())
    assert anonymous["sub"] == ""
    assert "access_token_id" not in anonymous


async def refusal(world: RegistryAccessWorld, password: SecretText) -> Unauthenticated:
    with pytest.raises(Unauthenticated) as refused:
        await world.tokens.issue(password, ["repository:acme/open:pull"])
    return refused.value


async def test_c11_a_bad_access_token_is_refused_never_anonymous(world: RegistryAccessWorld) -> None:
    await world.package("acme/open", PUBLIC)  # anonymous could pull it
    revoked = await world.personal("mia", "read:packages")
    await world.revoke(revoked)
    expired = await world.personal("mia", "read:packages", expires_at=world.clock.now())
    unknown = SecretText("ghp_" + "0" * 36)
    for password in (SecretText(""), SecretText("hunter2"), SecretText("\0"), unknown, revoked, expired):
        problem = await refusal(world, password)
        assert problem.code == "registry_token.bad_credentials"
        assert not password.reveal() or password.reveal() not in problem.message
