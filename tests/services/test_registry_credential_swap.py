"""C5, C8, C10, C11: one swap for all who ask, tokens renewed in time, failures told and never anonymous."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.fakes.ecr_memory import ECR_HOST, KEY_ID, SECRET, FakeEcrAPI, make_swaps

from berth.domain.ecr_answer import EcrFailure
from berth.domain.ecr_key import EcrToken
from berth.domain.image_reference import parse_image_reference
from berth.domain.registry_credential import (
    CredentialKind,
    CredentialRule,
    Failed,
    Found,
    NoCredential,
    RegistryCredentials,
)
from berth.domain.registry_triple import assemble
from berth.domain.secret import LevelledSecret, SecretLevel
from berth.domain.secret_text import SecretText
from berth.services import registry_credential_swap
from berth.services.registry_credential_swap import RegistryCredentialSwap

OWNERS = {SecretLevel.USER: 1, SecretLevel.REPOSITORY: 2, SecretLevel.ORGANIZATION: 3}
OTHER_REGION = ECR_HOST.replace("eu-west-1", "us-east-1")
OTHER_ACCOUNT = ECR_HOST.replace("123456789012", "210987654321")
DENIED = EcrFailure(code="ecr.access_denied", status=400, error_code="AccessDeniedException")
BUSY = EcrFailure(code="ecr.throttled", status=400)
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Clock:
    time: datetime = START

    def now(self) -> datetime:
        return self.time


@dataclass
class World:
    clock: Clock = field(default_factory=Clock)
    ecr: FakeEcrAPI = field(default_factory=FakeEcrAPI)

    def __post_init__(self) -> None:
        self.ecr.now = self.clock.now
        self.swaps: RegistryCredentialSwap = make_swaps(self.ecr, self.clock)

    async def until_asked(self) -> None:
        """Every task that is there has come as far as it can."""
        while not self.ecr.asked:
            await asyncio.sleep(0)

    async def swap(self, *secrets: LevelledSecret, owners: dict[SecretLevel, int] = OWNERS) -> RegistryCredentials:
        return await self.swaps.swap(assemble(secrets or keys()), owners)

    async def token(self, *secrets: LevelledSecret, owners: dict[SecretLevel, int] = OWNERS) -> str:
        return token_of(await self.swap(*secrets, owners=owners))


@pytest.fixture
def world() -> World:
    return World()


def keys(
    server: str = ECR_HOST, level: SecretLevel = SecretLevel.ORGANIZATION, prefix: str = "CORP", **parts: str
) -> list[LevelledSecret]:
    values = {"SERVER": server, "USER": KEY_ID, "PASSWORD": SECRET} | parts
    return [
        LevelledSecret(level=level, name=f"{prefix}_CONTAINER_REGISTRY_{part}", value=SecretText(value))
        for part, value in values.items()
    ]


def choice_of(credentials: RegistryCredentials, host: str = ECR_HOST) -> Found | NoCredential | Failed:
    return credentials.for_image(parse_image_reference(f"{host}/team/dev:1"))


def token_of(credentials: RegistryCredentials, host: str = ECR_HOST) -> str:
    choice = choice_of(credentials, host)
    assert isinstance(choice, Found), choice
    return choice.credential.password.reveal()


def texts(credentials: RegistryCredentials, rule: CredentialRule) -> list[str]:
    return [note.text for note in credentials.trail if note.rule is rule]


async def test_c5_keys_become_a_token(world: World) -> None:
    credentials = await world.swap()
    choice = choice_of(credentials)
    assert isinstance(choice, Found)
    credential = choice.credential
    assert (credential.user, credential.password.reveal(), credential.kind) == ("AWS", "token-1", CredentialKind.ECR)
    assert credential.expires_at == START + timedelta(hours=12)
    assert credentials.unswapped == {}
    ((registry, used),) = world.ecr.asked
    assert (registry.region, used.key_id, used.secret.reveal()) == ("eu-west-1", KEY_ID, SECRET)
    assert "good until 2026-01-01 12:00 UTC" in texts(credentials, CredentialRule.SWAPPED)[0]


async def test_c10_fifty_launches_with_one_triple_make_one_swap(world: World) -> None:
    world.ecr.gate = asyncio.Event()
    launches = [asyncio.create_task(world.token()) for _ in range(50)]
    await world.until_asked()
    world.ecr.gate.set()
    assert set(await asyncio.gather(*launches)) == {"token-1"}
    assert len(world.ecr.asked) == 1
    assert await world.token() == "token-1", "and the next one takes it, too"


async def test_c10_what_differs_is_swapped_for_itself(world: World) -> None:
    others = [
        (keys(PASSWORD=SECRET[::-1]), OWNERS),
        (keys(USER=KEY_ID.replace("I", "J")), OWNERS),
        (keys(OTHER_REGION), OWNERS),
        (keys(level=SecretLevel.USER), OWNERS),
        (keys(), OWNERS | {SecretLevel.ORGANIZATION: 4}),
        (keys(USER="ASIAIOSFODNN7EXAMPLE", SESSION_TOKEN="a" * 20), OWNERS),
        (keys(USER="ASIAIOSFODNN7EXAMPLE", SESSION_TOKEN="b" * 20), OWNERS),
    ]
    assert await world.token() == "token-1"
    for secrets, owners in others:
        await world.swap(*secrets, owners=owners)
    assert len(world.ecr.asked) == 1 + len(others)
    assert await world.token() == "token-1"
    same = keys(OTHER_ACCOUNT, prefix="OTHER")
    assert token_of(await world.swap(*same), OTHER_ACCOUNT) == "token-1", "a token opens all of its region"


async def test_one_who_leaves_takes_nothing_from_the_others(world: World) -> None:
    world.ecr.gate = asyncio.Event()
    first, second = asyncio.create_task(world.token()), asyncio.create_task(world.token())
    await world.until_asked()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    world.ecr.gate.set()
    assert await second == "token-1"
    assert len(world.ecr.asked) == 1


async def test_c8_a_token_is_renewed_from_near_half_of_its_life(world: World) -> None:
    assert await world.token() == "token-1"
    world.clock.time = START + timedelta(hours=12) * 0.39
    assert await world.token() == "token-1"
    world.clock.time = START + timedelta(hours=6)
    credentials = await world.swap()
    assert token_of(credentials) == "token-2"
    assert credentials.chosen[ECR_HOST].expires_at == START + timedelta(hours=18)


async def test_c8_renewals_do_not_come_together(world: World) -> None:
    """Of many entries made at one moment, some are due at 45 % and some are not."""
    triples = [keys(PASSWORD=f"{number:040}") for number in range(40)]
    for triple in triples:
        await world.swap(*triple)
    world.clock.time = START + timedelta(hours=12) * 0.45
    for triple in triples:
        await world.swap(*triple)
    assert 40 < len(world.ecr.asked) < 80


async def test_c8_a_failed_renewal_keeps_the_old_token_until_it_expires_and_says_so(world: World) -> None:
    assert await world.token() == "token-1"
    world.ecr.always = DENIED
    world.clock.time = START + timedelta(hours=7)
    credentials = await world.swap()
    assert token_of(credentials) == "token-1"
    (told,) = texts(credentials, CredentialRule.REFRESH_FAILED)
    assert "the one at hand is used until 2026-01-01 12:00 UTC" in told
    assert "AWS does not let" in told
    asked = len(world.ecr.asked)
    assert token_of(await world.swap()) == "token-1"
    assert len(world.ecr.asked) == asked, "not at once again"
    world.clock.time += timedelta(minutes=2)
    await world.swap()
    assert len(world.ecr.asked) == asked + 1
    world.clock.time = START + timedelta(hours=12)
    assert isinstance(choice_of(await world.swap()), Failed)
    world.ecr.always = None
    assert (await world.token()).startswith("token-")


async def test_c8_after_a_failed_renewal_a_good_one_is_no_news(world: World) -> None:
    await world.swap()
    world.clock.time = START + timedelta(hours=7)
    world.ecr.failures = [DENIED]
    await world.swap()
    world.clock.time += timedelta(minutes=2)
    credentials = await world.swap()
    assert token_of(credentials) == "token-3"
    assert texts(credentials, CredentialRule.REFRESH_FAILED) == []


async def test_c11_a_failed_swap_is_a_finding_for_its_host_only(world: World) -> None:
    world.ecr.failures = [DENIED]
    ghcr = keys("ghcr.io", prefix="G", USER="ana", PASSWORD="p4ss")
    credentials = await world.swap(*keys(), *ghcr)
    choice = choice_of(credentials)
    assert isinstance(choice, Failed)
    assert choice.finding.code == "ecr.access_denied"
    assert token_of(credentials, "ghcr.io") == "p4ss"
    assert isinstance(choice_of(credentials, "quay.io"), NoCredential)
    assert list(credentials.chosen) == ["ghcr.io"]
    (told,) = texts(credentials, CredentialRule.SWAP_FAILED)
    assert told.startswith(f"There is no login to {ECR_HOST}: AWS does not let")
    assert "token-" in await world.token(), "a failure is not kept"


async def test_c2_a_failed_swap_of_one_level_is_not_made_good_by_another(world: World) -> None:
    world.ecr.failures = [DENIED]
    ready = keys(prefix="ORG", USER="AWS", PASSWORD="a-ready-token-of-ecr")
    assert isinstance(choice_of(await world.swap(*keys(level=SecretLevel.USER), *ready)), Failed)


@pytest.mark.parametrize(
    "failures, tries, code",
    [
        ([BUSY], 2, None),
        ([BUSY, BUSY], 3, None),
        ([BUSY, BUSY, BUSY], 3, "ecr.throttled"),
        ([DENIED], 1, "ecr.access_denied"),
        ([BUSY, DENIED], 2, "ecr.access_denied"),
    ],
)
async def test_only_what_passes_is_tried_again_and_not_for_ever(
    world: World, failures: list[EcrFailure], tries: int, code: str | None
) -> None:
    world.ecr.failures = list(failures)
    choice = choice_of(await world.swap())
    assert len(world.ecr.asked) == tries
    assert (choice.finding.code if isinstance(choice, Failed) else None) == code


async def test_a_ready_token_is_used_until_it_expires(world: World) -> None:
    credentials = assemble(keys(USER="AWS", PASSWORD="a-ready-token-of-ecr"))
    assert isinstance(choice_of(await world.swaps.swap(credentials, OWNERS)), Found), "nobody knows when"
    password = "eyJleHBpcmF0aW9uIjoxNzY3MjI5MjAwfQ=="  # {"expiration": 2026-01-01 01:00 UTC}
    credentials = assemble(keys(USER="AWS", PASSWORD=password))
    assert token_of(await world.swaps.swap(credentials, OWNERS)) == password
    world.clock.time = START + timedelta(hours=1)
    choice = choice_of(swapped := await world.swaps.swap(credentials, OWNERS))
    assert isinstance(choice, Failed)
    assert choice.finding.code == "ecr.token_expired"
    assert ECR_HOST not in swapped.chosen
    assert texts(swapped, CredentialRule.SWAP_FAILED)
    assert world.ecr.asked == []


async def test_people_are_told_an_expiry_and_nothing_is_asked_for_it(world: World) -> None:
    (unswapped,) = assemble(keys()).unswapped.values()
    assert world.swaps.expiry(unswapped, OWNERS) is None
    assert world.ecr.asked == []
    await world.swap()
    assert world.swaps.expiry(unswapped, OWNERS) == START + timedelta(hours=12)
    assert world.swaps.expiry(unswapped, OWNERS | {SecretLevel.ORGANIZATION: 4}) is None
    world.clock.time += timedelta(hours=12)
    assert world.swaps.expiry(unswapped, OWNERS) is None


async def test_b3_a_token_that_a_registry_does_not_take_any_more_is_forgotten(world: World) -> None:
    credentials = await world.swap()
    await world.swap(*keys(OTHER_REGION))
    world.swaps.forget(credentials.chosen[ECR_HOST])
    assert token_of(await world.swap()) == "token-3"
    assert token_of(await world.swap(*keys(OTHER_REGION)), OTHER_REGION) == "token-2"


async def test_b3_a_refused_token_is_renewed_for_its_host_alone(world: World) -> None:
    credentials = await world.swap(*keys(), *keys(OTHER_REGION, prefix="OTHER"), *keys("ghcr.io", prefix="G"))
    old = credentials.chosen[ECR_HOST]
    renewed = await world.swaps.renew(credentials, old)
    assert renewed is not None
    assert (token_of(renewed), len(world.ecr.asked)) == ("token-3", 3)
    for host in (OTHER_REGION, "ghcr.io"):
        assert renewed.chosen[host] == credentials.chosen[host]
    assert len(texts(renewed, CredentialRule.SWAPPED)) == 2, "each is told of once"
    assert token_of(await world.swap()) == "token-3"
    again = await world.swaps.renew(credentials, old)
    assert again is not None
    assert (token_of(again), len(world.ecr.asked)) == ("token-3", 3), "who comes late takes the one that is there"


async def test_b3_fifty_launches_with_one_refused_token_make_one_more_swap(world: World) -> None:
    credentials = await world.swap()
    renewals = [world.swaps.renew(credentials, credentials.chosen[ECR_HOST]) for _ in range(50)]
    renewed = await asyncio.gather(*renewals)
    assert {token_of(one) for one in renewed if one is not None} == {"token-2"}
    assert len(world.ecr.asked) == 2


async def test_b3_there_is_no_other_token_for_what_was_not_swapped(world: World) -> None:
    credentials = await world.swap(*keys("ghcr.io"))
    assert await world.swaps.renew(credentials, credentials.chosen["ghcr.io"]) is None


async def test_b3_the_same_token_once_more_is_no_other(world: World) -> None:
    """As from a cache on disk. The control is every other renewal."""
    credentials = await world.swap()
    same = EcrToken(password=credentials.chosen[ECR_HOST].password, expires_at=START + timedelta(hours=12))
    world.ecr.failures = [same]  # type: ignore[list-item]
    assert await world.swaps.renew(credentials, credentials.chosen[ECR_HOST]) is None


async def test_b3_a_renewal_that_fails_is_a_finding(world: World) -> None:
    credentials = await world.swap()
    world.ecr.always = DENIED
    renewed = await world.swaps.renew(credentials, credentials.chosen[ECR_HOST])
    assert renewed is not None
    choice = choice_of(renewed)
    assert isinstance(choice, Failed), "the old one was refused, so it does not serve on"
    assert choice.finding.code == "ecr.access_denied"
    assert await world.swaps.renew(renewed, credentials.chosen[ECR_HOST]) is None


async def test_what_is_kept_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_credential_swap, "MAX_KEPT", 3)
    for number in range(5):
        await world.swap(*keys(PASSWORD=f"{number:040}"))
    assert len(world.swaps._kept) == 3
    await world.swap(*keys(PASSWORD=f"{4:040}"))
    assert len(world.ecr.asked) == 5
    await world.swap(*keys(PASSWORD=f"{0:040}"))
    assert len(world.ecr.asked) == 6
    world.clock.time += timedelta(hours=13)
    await world.swap(*keys(PASSWORD=f"{9:040}"))
    assert len(world.swaps._kept) == 1, "what has expired is forgotten"


async def test_nothing_kept_shows_a_secret(world: World) -> None:
    await world.swap()
    shown = repr(world.swaps._kept)
    assert SECRET not in shown
    assert "token-1" not in shown
    assert KEY_ID not in shown


async def test_the_end_ends_what_runs(world: World) -> None:
    world.ecr.gate = asyncio.Event()
    waiting = asyncio.create_task(world.token())
    await world.until_asked()
    await world.swaps.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert world.swaps._running == {}
    await world.swaps.close()


async def test_no_keys_no_question(world: World) -> None:
    credentials = assemble(keys("ghcr.io"))
    assert await world.swaps.swap(credentials, OWNERS) == replace(credentials, owners=OWNERS)
    assert world.ecr.asked == []
