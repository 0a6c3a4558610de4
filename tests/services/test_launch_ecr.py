"""What a launch does with a triple of AWS's (C5, C8, C10, C11); AWS and the registries are in memory."""

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.codespace_world import HOST, OWN_HOST, CodespaceWorld, make_codespace_world
from tests.fakes.ecr import FakeECR
from tests.fakes.ecr_memory import ECR_HOST, KEY_ID, SECRET
from tests.fakes.http_server import HTTPServer
from tests.fakes.registry_client import FakeRegistryClient
from tests.secret_world import ACME, MINE, WEB
from tests.services.test_credential_refresh import is_due, refresh
from tests.services.test_launch import again, code, config_of

from berth.adapters.clock_system import SystemClock
from berth.adapters.ecr_http import EcrHTTP
from berth.adapters.guarded_http import GuardedHTTP, GuardedHTTPSettings
from berth.adapters.store.database import Store
from berth.domain.ecr_answer import EcrFailure
from berth.domain.lifecycle import State
from berth.domain.registry_credential import CredentialKind, RegistryCredential
from berth.domain.registry_host import parse_web_address
from berth.domain.secret import SecretVisibility
from berth.services.secret_access import SecretPlace

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

IMAGE = f"{ECR_HOST}/team/dev:1"
SKEWED = EcrFailure(code="ecr.clock_skew", status=400, skew_s=1200)


@pytest.fixture
async def world(store: Store, tmp_path: Path) -> CodespaceWorld:
    """acme/web has two triples, and an image in ECR that the first token opens."""
    made = await make_codespace_world(store, tmp_path)
    await made.configure("acme/web", image=IMAGE)
    await made.give_triple()
    for part, value in (("SERVER", ECR_HOST), ("USER", KEY_ID), ("PASSWORD", SECRET)):
        await made.secrets.put("olga", WEB, f"AWS_CI_CONTAINER_REGISTRY_{part}", value)
    made.registry.passwords[f"{ECR_HOST}/team/dev"] = "token-1"
    return made


def opens(registry: FakeRegistryClient, token: str) -> None:
    registry.passwords[f"{ECR_HOST}/team/dev"] = token


async def test_c5_an_image_is_opened_by_what_the_keys_were_swapped_for(world: CodespaceWorld) -> None:
    launched = await world.launch()
    assert launched.state is State.AVAILABLE, launched.finding
    ((_, asked_with),) = world.registry.asked
    assert isinstance(asked_with, RegistryCredential)
    assert (asked_with.user, asked_with.kind) == ("AWS", CredentialKind.ECR)
    assert config_of(world)[ECR_HOST] == "AWS:token-1"
    assert config_of(world).keys() == {ECR_HOST, HOST, OWN_HOST}
    assert len(world.ecr.asked) == 1, "the second look at the credentials takes the same token"
    text = await world.log_text(launched.name)
    assert f"were swapped for a token of {ECR_HOST}, good until" in text
    for secret in (SECRET, KEY_ID, "token-1", base64.b64encode(b"AWS:token-1").decode()):
        assert secret not in text


async def test_c10_fifty_concurrent_launches_make_one_swap(world: CodespaceWorld) -> None:
    codespace = await world.get(await world.create())
    repository_id = world.secrets.repositories["acme/web"]
    world.ecr.gate = asyncio.Event()
    opened = [
        asyncio.create_task(world.launcher._credentials.open_for_image(codespace, "olga", repository_id))
        for _ in range(50)
    ]
    while not world.ecr.asked:
        await asyncio.sleep(0.01)
    world.ecr.gate.set()
    passwords = {one.registries.chosen[ECR_HOST].password.reveal() for one in await asyncio.gather(*opened)}
    assert passwords == {"token-1"}
    assert len(world.ecr.asked) == 1


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_c10_fifty_whole_launches_with_keys_that_aws_checks(store: Store, tmp_path: Path) -> None:
    """The same from create to available, with AWS's API over HTTP, which computes each signature again."""
    aws = FakeECR()
    async with HTTPServer.run(aws) as server:
        endpoint = f"http://{server.address}"
        http = GuardedHTTP(GuardedHTTPSettings().reaching([parse_web_address(endpoint)]))
        ecr = EcrHTTP(http, clock=SystemClock(), endpoint=endpoint)
        world = await make_codespace_world(store, tmp_path, per_user=50, aws=ecr)
        world.secrets.clock.time, world.secrets.clock.step = datetime.now(UTC), timedelta()
        await world.configure("acme/web", image=IMAGE)
        for part, value in (("SERVER", ECR_HOST), ("USER", KEY_ID), ("PASSWORD", SECRET)):
            await world.secrets.put("olga", WEB, f"AWS_CI_CONTAINER_REGISTRY_{part}", value)
        world.registry.passwords[f"{ECR_HOST}/team/dev"] = None
        names = [await world.create() for _ in range(50)]
        await asyncio.gather(*(world.run(claim) for claim in [await world.claim(name) for name in names]))
        http.close()
    states = [(await world.get(name)).state for name in names]
    assert states == [State.AVAILABLE] * 50
    (token,) = aws.tokens
    assert aws.swaps == [f"{KEY_ID} ecr eu-west-1"]
    shown = {asked.password.reveal() for _, asked in world.registry.asked if isinstance(asked, RegistryCredential)}
    assert shown == {token}
    assert (await world.files(names[0])).logins[ECR_HOST] == f"AWS:{token}"


async def test_c11_a_failed_swap_ends_a_launch_from_that_registry(world: CodespaceWorld) -> None:
    world.ecr.always = SKEWED
    failed = await world.launch()
    assert code(failed) == "ecr.clock_skew"
    assert failed.finding is not None
    assert failed.finding.evidence["clock_ahead_s"] == "1200"
    assert world.registry.asked == [], "it is not asked anonymously"
    world.ecr.always = None
    opens(world.registry, f"token-{len(world.ecr.asked) + 1}")
    assert (await world.launch()).state is State.AVAILABLE


async def test_c11_a_failed_swap_stops_no_other_launch(world: CodespaceWorld) -> None:
    await world.configure("acme/web")
    world.ecr.always = SKEWED
    launched = await world.launch()
    assert launched.state is State.AVAILABLE, launched.finding
    assert config_of(world).keys() == {HOST, OWN_HOST}
    text = await world.log_text(launched.name)
    assert f"There is no login to {ECR_HOST}: This server's clock is off by about 20 min (ahead)" in text
    world.ecr.always = None
    assert (await again(world, launched.name)).state is State.AVAILABLE
    assert ECR_HOST in config_of(world)


async def test_b3_a_token_that_aws_has_ended_is_replaced_by_another_one(world: CodespaceWorld) -> None:
    """What opens the image is "token-2"; the control is a registry that refuses "token-1" for another reason."""
    opens(world.registry, "token-2")
    world.registry.refusal = "image.denied"
    assert code(await world.launch()) == "image.denied"
    assert len(world.ecr.asked) == 1
    world.registry.refusal = "image.token_expired"
    launched = await world.launch()
    assert launched.state is State.AVAILABLE, launched.finding
    assert len(world.ecr.asked) == 2
    assert config_of(world)[ECR_HOST] == "AWS:token-2"
    text = await world.log_text(launched.name)
    assert f"{ECR_HOST} does not take its token any more" in text
    for secret in ("token-1", "token-2", base64.b64encode(b"AWS:token-2").decode()):
        assert secret not in text


@pytest.mark.parametrize("place", [WEB, MINE, ACME], ids=lambda place: str(place.level))
async def test_b3_what_runs_gets_the_other_token_too(world: CodespaceWorld, place: SecretPlace) -> None:
    for part, value in (("SERVER", ECR_HOST), ("USER", KEY_ID), ("PASSWORD", SECRET)):
        await world.secrets.service.delete(world.secrets.subject("olga"), WEB, f"AWS_CI_CONTAINER_REGISTRY_{part}")
        visibility = SecretVisibility.ALL if place is ACME else None
        repositories = ("acme/web",) if place is MINE else None
        name = f"AWS_CI_CONTAINER_REGISTRY_{part}"
        await world.secrets.put("olga", place, name, value, visibility=visibility, repositories=repositories)
    world.secrets.clock.step = timedelta()
    running = await world.launch()
    assert (await world.files(running.name)).logins[ECR_HOST] == "AWS:token-1"
    assert not await is_due(world)
    opens(world.registry, "token-2")
    world.registry.refusal = "image.token_expired"
    opened = await world.launcher._credentials.open_for_image(running, "olga", world.secrets.repositories["acme/web"])
    refused = opened.registries.chosen[ECR_HOST]
    assert await world.swaps.renew(opened.registries, refused) is not None
    assert await is_due(world)
    await refresh(world)
    assert (await world.files(running.name)).logins[ECR_HOST] == "AWS:token-2"
    assert not await is_due(world)
    assert await world.swaps.renew(opened.registries, refused) is not None
    assert not await is_due(world), "once for each token"


async def test_b3_it_is_replaced_once_and_never_again_and_again(world: CodespaceWorld) -> None:
    opens(world.registry, "none of them")
    world.registry.refusal = "image.token_expired"
    failed = await world.launch()
    assert code(failed) == "image.token_expired"
    assert len(world.ecr.asked) == 2
    shown = [asked.password.reveal() for _, asked in world.registry.asked if isinstance(asked, RegistryCredential)]
    assert shown == ["token-1", "token-2"]
    opens(world.registry, "token-3")
    assert (await world.launch()).state is State.AVAILABLE, "the second one is forgotten, too"
    assert len(world.ecr.asked) == 3


async def test_b3_if_there_is_no_other_token_what_aws_says_is_the_cause(world: CodespaceWorld) -> None:
    assert (await world.launch()).state is State.AVAILABLE
    opens(world.registry, "none of them")
    world.registry.refusal = "image.token_expired"
    world.ecr.always = EcrFailure(code="ecr.key_unknown", status=400)
    assert code(await world.launch()) == "ecr.key_unknown"


async def test_b3_a_ready_token_has_nothing_in_its_place(world: CodespaceWorld) -> None:
    for part, value in (("USER", "AWS"), ("PASSWORD", "a-ready-token-of-ecr")):
        await world.secrets.put("olga", WEB, f"AWS_CI_CONTAINER_REGISTRY_{part}", value)
    world.registry.refusal = "image.token_expired"
    assert code(await world.launch()) == "image.token_expired"
    assert world.ecr.asked == []


async def test_b3_a_token_that_ends_between_swap_and_pull(world: CodespaceWorld) -> None:
    """The engine says only that it failed; the registry, asked again, says why."""
    world.registry.refusal = "image.token_expired"
    world.engine.breaks, world.engine.on_break = [0], lambda: opens(world.registry, "token-2")
    launched = await world.launch()
    assert launched.state is State.AVAILABLE, launched.finding
    logins = [login.password.reveal() for login, _ in world.engine.logins if isinstance(login, RegistryCredential)]
    assert logins == ["token-1", "token-2"]
    assert len(world.ecr.asked) == 2


async def test_b3_a_pull_goes_on_with_another_token_once(world: CodespaceWorld) -> None:
    world.registry.refusal = "image.token_expired"
    world.engine.breaks, world.engine.on_break = [0, 0], lambda: opens(world.registry, "token-2")
    assert code(await world.launch()) == "image.pull_failed"
    assert len(world.engine.logins) == 2


async def test_b3_a_pull_that_breaks_off_for_another_reason_is_not_repeated(world: CodespaceWorld) -> None:
    world.engine.breaks = [0]
    assert code(await world.launch()) == "image.pull_failed"
    assert (len(world.engine.logins), len(world.ecr.asked)) == (1, 1)


async def test_c8_a_swap_that_fails_at_a_refresh_leaves_the_login_that_is_there_and_says_so(
    world: CodespaceWorld,
) -> None:
    launched = await world.launch()
    world.launcher._credentials._swaps._kept.clear()  # as in a server that was started anew
    world.ecr.always = SKEWED
    for _ in range(2):
        await refresh(world)
        assert (await world.files(launched.name)).logins[ECR_HOST] == "AWS:token-1"
    said = [entry.text for entry in await world.log(launched.name) if "clock" in entry.text]
    assert len(said) == 1, said
    world.ecr.always = None
    await refresh(world)
    assert (await world.files(launched.name)).logins[ECR_HOST].startswith("AWS:token-")
    assert (await world.files(launched.name)).logins[ECR_HOST] != "AWS:token-1"


async def test_c8_of_deleted_keys_nothing_stays(world: CodespaceWorld) -> None:
    launched = await world.launch()
    world.ecr.always = SKEWED
    for part in ("SERVER", "USER", "PASSWORD"):
        await world.secrets.service.delete(world.secrets.subject("olga"), WEB, f"AWS_CI_CONTAINER_REGISTRY_{part}")
    await refresh(world)
    assert (await world.files(launched.name)).logins.keys() == {HOST, OWN_HOST}
