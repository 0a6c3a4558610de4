"""The doctor without a server: the same probes and rules, with the triples of an environment."""

import asyncio

import pytest
from tests.domain.test_environment_triple import triple
from tests.fakes.ecr_memory import ECR_HOST, KEY_ID, SECRET, FakeEcrAPI, make_swaps
from tests.fakes.engine import FakeEngine
from tests.fakes.registry_client import DIGEST, FakeRegistryClient

from berth.adapters.clock_system import SystemClock
from berth.domain.doctor import CheckID, CheckState, Diagnosis, diagnosis_fields
from berth.domain.environment_triple import assemble_environment
from berth.domain.finding import Fixer
from berth.domain.image_reference import parse_image_reference
from berth.domain.problem import UpstreamFailed
from berth.domain.registry_credential import Anonymous
from berth.services.image_probe import Patience
from berth.services.lone_doctor import LoneDoctor

IMAGE = "reg.example/team/dev:1"


class World:
    def __init__(self) -> None:
        self.registry = FakeRegistryClient(passwords={"reg.example/team/dev": "hunter2"})
        self.engine = FakeEngine()
        self.clock = SystemClock()
        self.ecr = FakeEcrAPI(now=self.clock.now)

    async def examine(self, environ: dict[str, str], image: str = IMAGE, probe_s: float = 30) -> Diagnosis:
        doctor = LoneDoctor(
            registry=self.registry,
            engine=self.engine,
            swaps=make_swaps(self.ecr, self.clock),
            patience=Patience(probe_s=probe_s),
        )
        return await doctor.examine(parse_image_reference(image), assemble_environment(environ))


@pytest.fixture
def world() -> World:
    return World()


def checks(diagnosis: Diagnosis) -> dict[CheckID, tuple[CheckState, str]]:
    return {check.id: (check.state, check.sentence) for check in diagnosis.checks}


async def test_a_private_image_with_the_environment_s_login(world: World) -> None:
    diagnosis = await world.examine(triple("CORP", "reg.example"))
    assert (diagnosis.is_healthy, diagnosis.digest) == (True, DIGEST)
    assert (diagnosis.with_credential, diagnosis.without_credential) == ("pulled", "image.credential_missing")
    shown = checks(diagnosis)
    assert shown[CheckID.POLICY] == (CheckState.PASSED, "No server was asked, so no organization's policy is known.")
    assert "CORP_CONTAINER_REGISTRY_… (environment)" in shown[CheckID.CREDENTIAL][1]
    assert diagnosis_fields(diagnosis)["credential"] == {"level": "environment", "prefix": "CORP"}
    assert "hunter2" not in repr(diagnosis)


async def test_without_one_he_is_told_which_variables_to_set(world: World) -> None:
    diagnosis = await world.examine({})
    assert diagnosis.finding is not None
    assert (diagnosis.finding.code, diagnosis.finding.fixer) == ("image.credential_missing", Fixer.DEVELOPER)
    assert world.registry.asked == [("reg.example/team/dev", Anonymous())]
    assert checks(diagnosis)[CheckID.CREDENTIAL][1].startswith("No variables of the environment name reg.example")


async def test_c11_an_incomplete_triple_is_no_anonymous_access(world: World) -> None:
    world.registry.public.add("reg.example/team/dev")
    half = {"CORP_CONTAINER_REGISTRY_SERVER": "reg.example"}
    diagnosis = await world.examine(half)
    assert diagnosis.finding is not None
    assert (diagnosis.finding.code, diagnosis.without_credential) == ("credential.incomplete", "pulled")
    assert (await world.examine({})).is_healthy


async def test_c5_only_the_keys_of_the_image_s_host_are_swapped(world: World) -> None:
    environ = {**triple("AWS", ECR_HOST, KEY_ID, SECRET), **triple("CORP", "reg.example")}
    assert (await world.examine(environ)).is_healthy
    assert world.ecr.asked == []
    world.registry.passwords[f"{ECR_HOST}/app"] = "token-1"
    assert (await world.examine(environ, f"{ECR_HOST}/app:1")).is_healthy


async def test_it_is_done_in_time_and_without_an_engine(world: World) -> None:
    async def hang(_: object) -> None:
        await asyncio.Event().wait()

    world.engine.faults["architecture"] = UpstreamFailed("Down.", code="engine.unreachable")
    world.registry.on_ask = hang
    diagnosis = await world.examine(triple("CORP", "reg.example"), probe_s=0.05)
    assert diagnosis.finding is not None
    assert diagnosis.finding.code == "registry.timeout"
    assert checks(diagnosis)[CheckID.ENGINE][0] is CheckState.WARNING
