"""Which registries a codespace would be logged in to, told without values, on both databases (DESIGN section 3.1)."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.fakes.ecr_memory import ECR_HOST, KEY_ID, SECRET, FakeEcrAPI, make_swaps
from tests.secret_world import ACME, ALL_SCOPES, MINE, WEB, SecretWorld, make_secret_world

from berth.adapters.store.database import Store
from berth.domain.image_reference import parse_image_reference
from berth.domain.problem import Denied, NotFound
from berth.domain.registry_credential import CODESPACE_TOKEN, CredentialKind, CredentialSource
from berth.domain.registry_triple import assemble
from berth.domain.scope import Scope
from berth.domain.secret import SecretLevel, SecretVisibility
from berth.services.registry_credential import RegistryCredentialService
from berth.services.secret_access import SecretPlace

OWN = "berth.example:8080"
BUILT_IN = (CODESPACE_TOKEN, OWN, CredentialKind.CODESPACE, False, False)


@pytest.fixture
async def world(store: Store, tmp_path: Path) -> SecretWorld:
    return await make_secret_world(store, tmp_path)


@pytest.fixture
def ecr() -> FakeEcrAPI:
    return FakeEcrAPI(now=lambda: datetime(2027, 1, 1, tzinfo=UTC))


@pytest.fixture
def service(world: SecretWorld, ecr: FakeEcrAPI) -> RegistryCredentialService:
    return RegistryCredentialService(
        store=world.store, secrets=world.service, swaps=make_swaps(ecr, world.clock), own_host=OWN
    )


async def put_triple(world: SecretWorld, place: SecretPlace, prefix: str, host: str) -> None:
    for part, value in (("SERVER", host), ("USER", "u-canary"), ("PASSWORD", "p-canary")):
        visibility = SecretVisibility.ALL if place is ACME else None
        repositories = ("acme/web",) if place is MINE else None
        name = f"{prefix}_CONTAINER_REGISTRY_{part}"
        await world.put("olga", place, name, value, visibility=visibility, repositories=repositories)


async def test_what_an_image_is_opened_with(world: SecretWorld, service: RegistryCredentialService) -> None:
    """Exactly its host (C4); what is broken is not as what is not there (C11)."""
    await put_triple(world, WEB, "MINE", "hub.example.com")
    await put_triple(world, ACME, "CORP", "hub.example.com")
    await world.put("olga", WEB, "HALF_CONTAINER_REGISTRY_SERVER", "quay.io")
    found = await service.list_for(world.subject("olga"), "acme", "web")

    def opened_with(image: str) -> tuple[str, bool] | None:
        entry = found.find(parse_image_reference(image))
        return None if entry is None else (entry.source.prefix, entry.kind is not None)

    assert opened_with("hub.example.com/team/dev:1") == ("MINE", True)
    assert opened_with("quay.io/team/dev:1") == ("HALF", False)
    assert opened_with("other.example.com/team/dev:1") is None


async def test_s3_what_is_stored_and_not_for_the_repository_is_told_to_who_may_know_it(
    world: SecretWorld, service: RegistryCredentialService
) -> None:
    one, other = "MINE_CONTAINER_REGISTRY_SERVER", "CORP_CONTAINER_REGISTRY_SERVER"
    await world.put("wim", MINE, one, "https://GHCR.io", repositories=("acme/site",))
    await world.put("olga", ACME, other, "quay.io", visibility=SecretVisibility.SELECTED, repositories=("acme/site",))

    async def unshared(login: str) -> list[str]:
        found = await service.list_for(world.subject(login), "acme", "web")
        return [f"{triple.source.prefix} {triple.host}" for triple in found.unshared]

    assert await unshared("wim") == ["MINE ghcr.io"]
    assert await unshared("olga") == ["CORP quay.io"]
    await world.put("rita", MINE, one, "ghcr.io", repositories=())
    assert await unshared("rita") == [], "she may not write: nothing of hers would reach it (S6)"


async def test_registries_are_told_without_values(world: SecretWorld, service: RegistryCredentialService) -> None:
    await put_triple(world, MINE, "HUB", "hub.example.com")
    await put_triple(world, ACME, "OLD", "hub.example.com")
    await world.put("olga", WEB, "HALF_CONTAINER_REGISTRY_SERVER", "half.example.com")
    found = await service.list_for(world.subject("olga"), "acme", "web")
    assert [(entry.source, entry.server, entry.kind, entry.shadowed, entry.incomplete) for entry in found.entries] == [
        (CredentialSource(SecretLevel.USER, "HUB"), "hub.example.com", CredentialKind.BASIC, False, False),
        (CredentialSource(SecretLevel.REPOSITORY, "HALF"), "half.example.com", None, False, True),
        (CredentialSource(SecretLevel.ORGANIZATION, "OLD"), "hub.example.com", None, True, False),
        BUILT_IN,
    ]
    assert [bool(entry.warnings) for entry in found.entries] == [False, True, True, False]
    mine, half, old, built_in = (entry.reason for entry in found.entries)
    assert "is served by HUB_CONTAINER_REGISTRY_… (user)" in mine
    assert half.startswith("HALF_CONTAINER_REGISTRY_USER and HALF_CONTAINER_REGISTRY_PASSWORD have no value")
    assert "The user level comes before the organization level." in old
    assert "codespace's own token" in built_in
    assert not found.withheld_reason
    assert "canary" not in repr(found)


async def test_c6_a_triple_in_the_place_of_the_codespaces_token(
    world: SecretWorld, service: RegistryCredentialService
) -> None:
    await put_triple(world, WEB, "MINE", OWN)
    found = await service.list_for(world.subject("olga"), "acme", "web")
    triple, built_in = found.entries
    assert (triple.server, triple.kind, triple.shadowed) == (OWN, CredentialKind.BASIC, False)
    assert (built_in.server, built_in.kind, built_in.shadowed) == (OWN, None, True)
    assert "MINE_CONTAINER_REGISTRY_… (repository) is used there" in built_in.warnings[0]


async def test_c5_aws_keys_are_told_with_what_is_known_of_their_token(
    world: SecretWorld, service: RegistryCredentialService, ecr: FakeEcrAPI
) -> None:
    for part, value in (("SERVER", ECR_HOST), ("USER", KEY_ID), ("PASSWORD", f"{SECRET}\n")):
        await world.put("olga", WEB, f"CI_CONTAINER_REGISTRY_{part}", value)
    (entry, _) = (await service.list_for(world.subject("olga"), "acme", "web")).entries
    assert (entry.server, entry.kind, entry.expires_at) == (ECR_HOST, CredentialKind.ECR, None)
    assert "White space in CI_CONTAINER_REGISTRY_PASSWORD was removed" in entry.warnings[0]
    assert ecr.asked == [], "nobody asks AWS because somebody looks"
    opened = await world.service.open_for_codespace(world.accounts["olga"], world.repositories["acme/web"])
    await service._swaps.swap(assemble(opened.secrets), opened.owners)
    (entry, _) = (await service.list_for(world.subject("olga"), "acme", "web")).entries
    assert entry.expires_at == ecr.now() + ecr.life
    await world.put("olga", WEB, "CI_CONTAINER_REGISTRY_USER", "AWS")
    await world.put("olga", WEB, "CI_CONTAINER_REGISTRY_PASSWORD", "eyJleHBpcmF0aW9uIjoxNzY3MjI5MjAwfQ==")
    (entry, _) = (await service.list_for(world.subject("olga"), "acme", "web")).entries
    assert (entry.kind, entry.expires_at) == (CredentialKind.ECR_READY, datetime(2026, 1, 1, 1, tzinfo=UTC))
    await world.put("olga", WEB, "CI_CONTAINER_REGISTRY_USER", "ana@example.com")
    (entry, _) = (await service.list_for(world.subject("olga"), "acme", "web")).entries
    assert (entry.kind, entry.server, entry.incomplete) == (None, ECR_HOST, False)
    assert "is no access key id" in entry.warnings[0]


async def test_registries_are_withheld_like_the_secrets_but_for_the_built_in_one(
    world: SecretWorld, service: RegistryCredentialService
) -> None:
    await put_triple(world, WEB, "MINE", "hub.example.com")
    (entry,), reason = (
        (found := await service.list_for(world.subject("rita"), "acme", "web")).entries,
        found.withheld_reason,
    )
    assert (entry.source, entry.server, entry.kind, entry.shadowed, entry.incomplete) == BUILT_IN
    assert "Secrets are withheld" in reason
    with pytest.raises(NotFound):
        await service.list_for(world.subject("otto"), "acme", "web")
    with pytest.raises(Denied):  # public, he may write, his token may not
        await service.list_for(world.subject("wim", scopes=frozenset({Scope.CODESPACE})), "acme", "site")
    inside = world.subject("wim", codespace_of="acme/site", scopes=ALL_SCOPES)
    assert not (await service.list_for(inside, "acme", "site")).withheld_reason
