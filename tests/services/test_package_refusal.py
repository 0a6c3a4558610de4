"""Why the built-in registry refused: gathered from the store, told to who may know (A13, DESIGN section 5)."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.codespace_world import OWN_HOST, CodespaceWorld, make_codespace_world

from berth.adapters.store import access_token as token_rows
from berth.adapters.store import package as package_rows
from berth.adapters.store.database import Store
from berth.domain.access_token import TokenKind, make_token
from berth.domain.finding import Finding, Fixer
from berth.domain.image_reference import parse_image_reference
from berth.domain.package_role import PackageRole
from berth.domain.registry_credential import (
    CODESPACE_TOKEN,
    CredentialKind,
    CredentialSource,
    RegistryCredential,
)
from berth.domain.scope import Scope
from berth.domain.secret import SecretLevel
from berth.domain.secret_text import SecretText
from berth.services.package_refusal import PackageRefusals

SEEN = Finding(
    code="image.not_found", sentence="No.", fixer=Fixer.DEVELOPER, next_step="Look.", evidence={"status": "404"}
)


@pytest.fixture
async def world(store: Store, tmp_path: Path) -> CodespaceWorld:
    return await make_codespace_world(store, tmp_path)


async def credential(world: CodespaceWorld, login: str, *, valid: bool = True) -> RegistryCredential:
    """The codespace's own, of a new codespace of acme/web."""
    codespace = await world.get(await world.create(login))
    token = await world.tokens.issue_for_codespace(codespace.owner_id, codespace.id)
    if not valid:
        await world.tokens.revoke_of_codespace(codespace.id)
    return RegistryCredential(
        host=OWN_HOST, user=login, password=token, source=CODESPACE_TOKEN, kind=CredentialKind.CODESPACE
    )


async def explain(
    world: CodespaceWorld, used: RegistryCredential, login: str = "olga", image: str = "acme/app", status: str = "404"
) -> Finding:
    refusals = PackageRefusals(store=world.store, tokens=world.tokens, own_host=OWN_HOST)
    return await refusals.explain(
        replace(SEEN, evidence={"status": status}),
        parse_image_reference(f"{used.host}/{image}:1"),
        used,
        user_id=world.secrets.accounts[login],
        repository=await world.repository("acme/web"),
    )


async def test_the_rule_to_an_owner_and_nothing_to_who_may_not_read_the_package(world: CodespaceWorld) -> None:
    package_id = await world.make_package("app")
    olga = await credential(world, "olga")
    finding = await explain(world, olga)
    assert finding.code == "package.codespace_denied"
    assert "A codespace of acme/web may not pull acme/app." in finding.sentence
    assert finding.next_step.endswith("berth package grant acme/app --codespaces acme/web")
    wim = await credential(world, "wim")
    hidden = await explain(world, wim, "wim")
    assert hidden.code == "package.not_found"
    assert str(await explain(world, wim, "wim", "acme/else")) == str(hidden).replace("acme/app", "acme/else")
    async with world.store.begin() as connection:
        await package_rows.set_user_grant(connection, package_id, world.secrets.accounts["wim"], PackageRole.READ)
    assert (await explain(world, wim, "wim")).code == "package.codespace_denied"


async def test_what_may_be_pulled_was_refused_for_another_reason(world: CodespaceWorld) -> None:
    await world.make_package("app", inherits_access=True, repository_id=world.secrets.repositories["acme/web"])
    assert await explain(world, await credential(world, "olga")) == SEEN


@pytest.mark.parametrize("status", ["401", "403", "404", "500", "429", ""])
async def test_failures_of_another_kind_stay_what_they_are(world: CodespaceWorld, status: str) -> None:
    await world.make_package("app")
    finding = await explain(world, await credential(world, "olga"), status=status)
    assert (finding.code == "package.codespace_denied") is (status in {"401", "403", "404"})


async def test_another_registry_is_none_of_our_business(world: CodespaceWorld) -> None:
    await world.make_package("app")
    used = RegistryCredential(
        host="ghcr.io", user="x", password=SecretText("p"), source=CredentialSource(SecretLevel.USER, "A")
    )
    assert await explain(world, used) == SEEN


async def test_a_name_without_an_owner(world: CodespaceWorld) -> None:
    finding = await explain(world, await credential(world, "olga"), image="app", status="400")
    assert finding.code == "package.name"


async def test_c6_a_triple_with_a_token_of_ours_and_one_with_anything_else(world: CodespaceWorld) -> None:
    await world.make_package("app")
    value = make_token(TokenKind.PERSONAL, bytes(32))
    async with world.store.begin() as connection:
        await token_rows.insert_token(
            connection,
            value,
            kind=TokenKind.PERSONAL,
            account_id=world.secrets.accounts["mia"],
            note="",
            scopes=frozenset({Scope.READ_PACKAGES}),
            now=world.secrets.clock.now(),
            expires_at=None,
        )
    used = RegistryCredential(
        host=OWN_HOST, user="mia", password=value, source=CredentialSource(SecretLevel.USER, "MIA")
    )
    finding = await explain(world, used)
    assert finding.code == "package.credential_denied"
    assert "MIA_CONTAINER_REGISTRY_…" in finding.sentence
    rubbish = RegistryCredential(
        host=OWN_HOST, user="mia", password=SecretText("p"), source=CredentialSource(SecretLevel.USER, "MIA")
    )
    void = await explain(world, rubbish)
    assert (void.code, void.sentence) == (SEEN.code, SEEN.sentence)
    assert "delete the three secrets" in void.next_step


async def test_a_token_that_became_void_meanwhile(world: CodespaceWorld) -> None:
    await world.make_package("app")
    finding = await explain(world, await credential(world, "olga", valid=False))
    assert finding.code == "codespace.token_void"
