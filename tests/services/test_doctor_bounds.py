"""A diagnosis ends, whatever the others do: each probe has its bound, and so has the whole (services/image_probe.py, policy 1).

The bounds are injected, and small: without one of them a test would wait for ever. How long it takes measures `bench/doctor.py`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.doctor_cases import ACCOUNT, API, KEYS, PARTIES, PLAIN, PLAIN_HOST, PLAIN_NAME, good_of
from tests.doctor_world import DoctorWorld, open_doctor_world
from tests.fakes.http_server import (
    Asked,
    Behaviour,
    HTTPServer,
    Reply,
    drip,
    drip_headers,
    flood,
    flood_of_headers,
    hang,
    many_headers,
    redirect_slowly,
    run_silent_server,
)
from tests.fakes.providers import PROGRAMS

from berth.adapters.guarded_http import Endpoint
from berth.adapters.store.database import Store
from berth.adapters.store.tables import audit_log
from berth.domain.doctor import CheckID, CheckState, Diagnosis
from berth.services.image_probe import Patience

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

LONG_S = 20.0  # a diagnosis with the small bounds takes less than a second
SMALL = {"engine_s": 0.2, "swap_s": 0.3, "probe_s": 0.4}
IMAGE, GOOD = good_of(PROGRAMS[PLAIN])
TRIPLES = (*GOOD, replace(KEYS, prefix="AWS"))
LATE = {"registry.timeout", "registry.connect_timeout"}
ENDLESS = {"registry.answer_too_big", "registry.bad_answer", *LATE}


@pytest.fixture
async def world(store: Store, tmp_path: Path) -> AsyncIterator[DoctorWorld]:
    async with open_doctor_world(store, tmp_path, PARTIES) as world:
        yield world


async def wait_for_ever() -> str:
    await asyncio.Event().wait()
    return ""


async def examine(world: DoctorWorld, image: str, **bounds: float) -> Diagnosis:
    async with asyncio.timeout(LONG_S):
        return await world.examine(image, doctor=world.doctor(bounds=SMALL | bounds))


def state(diagnosis: Diagnosis, wanted: CheckID) -> CheckState:
    (found,) = [check.state for check in diagnosis.checks if check.id is wanted]
    return found


async def test_the_control_with_the_same_bounds_a_good_image_is_healthy(world: DoctorWorld) -> None:
    await world.become(*TRIPLES)
    for image in (IMAGE, f"{ACCOUNT}/team/app:1"):
        told = await examine(world, image, probe_s=LONG_S, swap_s=LONG_S, total_s=2 * LONG_S)
        assert told.is_healthy, told.finding


@pytest.mark.parametrize(
    "behaviour,codes",
    [
        pytest.param(None, LATE, id="no handshake"),
        pytest.param(hang, LATE, id="no answer"),
        pytest.param(drip, LATE, id="a body that drips"),
        pytest.param(drip_headers, LATE, id="headers that drip"),
        pytest.param(flood, ENDLESS, id="a body without end"),
        pytest.param(flood_of_headers, ENDLESS, id="headers without end", marks=pytest.mark.slow),
        pytest.param(many_headers, ENDLESS, id="a thousand headers", marks=pytest.mark.slow),
        pytest.param(redirect_slowly, {"registry.not_a_registry", *LATE}, id="slow redirects without end"),
    ],
)
async def test_a_registry_an_engine_and_aws_that_all_hang(
    world: DoctorWorld, behaviour: Behaviour | None, codes: set[str]
) -> None:
    world.codespaces.engine.architecture = wait_for_ever  # type: ignore[method-assign]
    await world.become(*TRIPLES)
    async with AsyncExitStack() as stack:
        silent = await stack.enter_async_context(run_silent_server())
        tls = world.authority.server_context(PLAIN_NAME, ACCOUNT)
        running = HTTPServer.run(behaviour=behaviour, tls=tls) if behaviour else run_silent_server()
        hostile = await stack.enter_async_context(running)
        world.resolve |= dict.fromkeys((PLAIN_NAME, ACCOUNT), Endpoint("127.0.0.1", hostile.port))
        world.resolve[API] = Endpoint("127.0.0.1", silent.port)
        told = await examine(world, IMAGE)
        keys = await examine(world, f"{ACCOUNT}/team/app:1")
    assert told.finding is not None
    assert told.finding.code in codes
    assert {told.with_credential, told.without_credential} <= codes
    assert (state(told, CheckID.ENGINE), state(keys, CheckID.ENGINE)) == (CheckState.WARNING, CheckState.WARNING)
    assert keys.finding is not None
    assert (keys.finding.code, keys.with_credential) == ("ecr.unreachable", "")
    assert keys.without_credential in codes
    assert silent.connections <= 1, "AWS is asked once"


async def test_a_name_server_that_does_not_answer(world: DoctorWorld) -> None:
    await world.become(*TRIPLES)
    del world.resolve[PLAIN_NAME]
    world.slow.add(PLAIN_NAME)
    told = await examine(world, IMAGE, probe_s=0.3)
    assert told.finding is not None
    assert told.finding.code == "registry.timeout"


async def test_a_list_of_tags_that_always_has_one_more_page(world: DoctorWorld) -> None:
    asked: list[str] = []

    def answer(request: Asked) -> Reply:
        reply = PROGRAMS[PLAIN](request)
        if not request.path.endswith("/tags/list") or reply.status != 200:
            return reply
        asked.append(request.target)
        return replace(reply, headers={"Link": f'<https://{PLAIN_HOST}{request.path}?n=1000&last=x>; rel="next"'})

    await world.become(*TRIPLES)
    world.answers[PLAIN_HOST] = answer
    told = await examine(world, f"{PLAIN_HOST}/app:1.2", probe_s=LONG_S)
    assert told.finding is not None
    assert (told.finding.code, told.finding.evidence["tags"]) == ("image.not_found", "1.1 1")
    assert len(asked) == 1


async def test_what_takes_longer_than_all_its_parts_is_given_up_and_said(world: DoctorWorld) -> None:
    """As if the bounds of the parts were none: a registry that hangs stands for whatever else does."""
    await world.become(*TRIPLES)
    async with run_silent_server() as silent:
        world.resolve[PLAIN_NAME] = Endpoint("127.0.0.1", silent.port)
        told = await examine(world, IMAGE, probe_s=LONG_S, total_s=0.3)
    assert told.finding is not None
    assert told.finding.code == "doctor.timeout"
    assert "within 0.3 s" in told.finding.sentence
    assert (told.with_credential, told.without_credential) == ("", "")
    assert {check.state for check in told.checks} == {CheckState.SKIPPED}
    assert [check.id for check in told.checks] == list(CheckID)
    async with world.codespaces.store.read() as connection:
        statement = select(audit_log.c.detail).where(audit_log.c.action == "codespace.diagnose")
        assert list((await connection.execute(statement)).scalars()) == ["doctor.timeout"]
    world.resolve[PLAIN_NAME] = world.resolve[API]
    assert (await examine(world, IMAGE, probe_s=LONG_S)).is_healthy, "and the next one may begin"


def test_the_bounds_of_a_server_come_to_less_than_thirty_seconds(database_url: str) -> None:
    usual = Patience()
    assert max(usual.engine_s, usual.swap_s) + usual.probe_s < usual.total_s < 30
