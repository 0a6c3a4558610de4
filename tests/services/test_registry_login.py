"""A login tried before it is stored: whom it asks, how often, with what; without a database, as any program could."""

import asyncio
import base64
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.fakes.ecr_memory import ECR_HOST, KEY_ID, SECRET, FakeEcrAPI, make_swaps
from tests.fakes.engine import FakeEngine
from tests.fakes.registry_client import DIGEST, FakeRegistryClient
from tests.secret_world import TickingClock

from berth.domain.ecr_answer import EcrFailure
from berth.domain.image_reference import parse_image_reference
from berth.domain.login_exchange import LoginProof
from berth.domain.problem import Invalid
from berth.domain.registry_credential import Anonymous, CredentialKind, RegistryCredential
from berth.domain.registry_login import LoginOutcome, LoginVerdict
from berth.domain.secret import SecretLevel
from berth.domain.secret_text import SecretText
from berth.services.image_probe import ImageProbe
from berth.services.registry_login import GivenLogin, RegistryLogins

PASSWORD = "c4nary-pw"
ACCEPTED, REFUSED, UNKNOWN = LoginOutcome.ACCEPTED, LoginOutcome.REFUSED, LoginOutcome.UNKNOWN
GIVEN = GivenLogin(
    level=SecretLevel.ORGANIZATION, server="r.test", user=SecretText("ana"), password=SecretText(PASSWORD)
)
KEYS = replace(GIVEN, server=ECR_HOST, user=SecretText(KEY_ID), password=SecretText(SECRET))


class World:
    """The real thing over a registry and an AWS in memory."""

    def __init__(self, *, timeout_s: float = 30) -> None:
        self.registry = FakeRegistryClient({"r.test": PASSWORD, "r.test/team/app": PASSWORD})
        self.clock = TickingClock()
        self.ecr = FakeEcrAPI(now=lambda: self.clock.time)
        swaps = make_swaps(self.ecr, self.clock)
        probe = ImageProbe(registry=self.registry, engine=FakeEngine(), swaps=swaps)
        self.logins = RegistryLogins(
            registry=self.registry, probe=probe, ecr=self.ecr, clock=self.clock, timeout_s=timeout_s
        )

    async def ask(self, given: GivenLogin = GIVEN, image: str = "") -> LoginVerdict:
        return await self.logins.try_login(given, parse_image_reference(image) if image else None)

    @property
    def shown(self) -> list[str]:
        """The passwords that were shown, in order."""
        return [one.password.reveal() for _, one in self.registry.asked if isinstance(one, RegistryCredential)]


def ready_token(expires_at: int) -> str:
    return base64.b64encode(json.dumps({"expiration": expires_at, "payload": "p"}).encode()).decode()


def code(verdict: LoginVerdict) -> str:
    return "" if verdict.finding is None else verdict.finding.code


async def test_one_login_as_it_will_be_stored() -> None:
    world = World()
    good = await world.ask(replace(GIVEN, server="https://R.test/", password=SecretText(f"{PASSWORD}\n")))
    assert (good.outcome, good.host, good.kind) == (ACCEPTED, "r.test", CredentialKind.BASIC)
    assert good.warnings == ("One newline at the end of R_TEST_CONTAINER_REGISTRY_PASSWORD was removed.",)
    assert world.shown == [PASSWORD]
    bad = await world.ask(replace(GIVEN, password=SecretText("wrong")))
    assert (bad.outcome, code(bad), world.shown) == (REFUSED, "image.unauthorized", [PASSWORD, "wrong"])
    world.registry.proof = LoginProof.NOT_ASKED
    assert code(await world.ask()) == "registry.login_not_asked"
    assert PASSWORD not in repr((good, bad))


async def test_a_warning_does_not_stand_in_the_way() -> None:
    verdict = await World().ask(replace(GIVEN, server="docker.io", user=SecretText("ana@example.com")))
    assert verdict.outcome is ACCEPTED
    assert verdict.warnings == ("The user name is an e-mail address; Docker Hub wants the Docker ID.",)


async def test_a_guess_is_told_of_a_login_that_is_not_taken_and_of_no_other() -> None:
    robot = replace(GIVEN, user=SecretText("robot"))
    assert (await World().ask(robot)).warnings == ()
    refused = await World().ask(replace(robot, password=SecretText("wrong")))
    assert refused.outcome is REFUSED
    assert [text for text in refused.warnings if "Harbor" in text] != []


@pytest.mark.parametrize(
    "given,refusal",
    [
        (replace(GIVEN, server="https://ana:c4nary@r.test"), "registry_host.userinfo"),
        (replace(GIVEN, server="0x7f.1"), "registry_host.numeric"),
        (replace(GIVEN, prefix="1 2"), "secret.name"),
        (replace(GIVEN, prefix="GITHUB"), "secret.name.reserved"),
        (replace(GIVEN, server="gcr.io", user=SecretText("_json_key")), "credential_form.json_key"),
    ],
)
async def test_what_cannot_be_a_login_is_refused_before_anybody_is_asked(given: GivenLogin, refusal: str) -> None:
    world = World()
    with pytest.raises(Invalid) as refused:
        await world.ask(given)
    assert refused.value.code == refusal
    assert "c4nary" not in str(refused.value)
    assert (world.registry.asked, world.ecr.asked) == ([], [])


@pytest.mark.parametrize(
    "given,refusal",
    [
        (replace(GIVEN, user=SecretText("a:b")), "credential.user_refused"),
        (replace(GIVEN, password=SecretText("\n")), "credential.incomplete"),
        (replace(KEYS, user=SecretText("no key")), "credential.aws_keys_refused"),
    ],
)
async def test_c1_what_is_no_triple_is_refused_in_its_words(given: GivenLogin, refusal: str) -> None:
    world = World()
    verdict = await world.ask(given)
    assert (verdict.outcome, code(verdict), verdict.kind) == (REFUSED, refusal, None)
    assert (world.registry.asked, world.ecr.asked) == ([], [])
    assert all(warning not in verdict.sentence for warning in verdict.warnings)


async def test_c5_for_keys_the_swap_is_the_login_and_there_is_one() -> None:
    world = World()
    good = await world.ask(KEYS)
    assert (good.outcome, good.kind, good.expires_at) == (ACCEPTED, CredentialKind.ECR, None)
    assert (len(world.ecr.asked), world.registry.asked) == (1, [])
    world.ecr.always = EcrFailure(code="ecr.secret_wrong", status=400)
    wrong = await world.ask(KEYS)
    assert (wrong.outcome, code(wrong), len(world.ecr.asked)) == (REFUSED, "ecr.secret_wrong", 2), "no swap at hand"
    world.ecr.always = EcrFailure(code="ecr.throttled", status=400)
    busy = await world.ask(KEYS)
    assert (busy.outcome, code(busy), len(world.ecr.asked)) == (UNKNOWN, "ecr.throttled", 3), "no second try"
    temporary = replace(KEYS, user=SecretText(f"ASIA{KEY_ID[4:]}"), session_token=SecretText("s3ss10n" * 20))
    world.ecr.always = None
    assert (await world.ask(temporary)).outcome is ACCEPTED
    session_token = world.ecr.asked[-1][1].session_token
    assert session_token is not None
    assert session_token.reveal() == "s3ss10n" * 20
    assert SECRET not in repr((good, wrong, busy))


async def test_c5_with_an_image_the_token_is_used() -> None:
    world = World()
    world.registry.passwords[f"{ECR_HOST}/team/app"] = "token-1"
    assert (await world.ask(KEYS, f"{ECR_HOST}/team/app:1")).outcome is ACCEPTED
    assert world.shown == ["token-1"]
    refused = await world.ask(KEYS, f"{ECR_HOST}/team/app:1")
    assert (refused.outcome, code(refused)) == (REFUSED, "image.unauthorized")


async def test_c5_a_ready_token_is_asked_for_nothing_but_its_login() -> None:
    world = World()
    ready = replace(KEYS, user=SecretText("AWS"), password=SecretText("r" * 200))
    verdict = await world.ask(ready)
    assert (verdict.outcome, verdict.kind, world.ecr.asked) == (ACCEPTED, CredentialKind.ECR_READY, [])


async def test_an_image_is_asked_for_once_with_it_and_once_without() -> None:
    world = World()
    verdict = await world.ask(image="r.test/team/app:1")
    assert (verdict.outcome, verdict.digest) == (ACCEPTED, DIGEST)
    assert sorted(type(one).__name__ for _, one in world.registry.asked) == ["Anonymous", "RegistryCredential"]
    assert code(await world.ask(image="r.test/team/other:1")) == "image.unauthorized"
    world.registry.public.add("r.test/team/app")
    assert code(await world.ask(image="r.test/team/app:1")) == "registry.login_not_needed"


async def test_c4_an_image_of_another_registry_is_not_asked_for() -> None:
    world = World()
    with pytest.raises(Invalid) as refused:
        await world.ask(image="r.test.evil.example/team/app:1")
    assert (refused.value.code, world.registry.asked) == ("registry_login.other_host", [])


@pytest.mark.parametrize("image", ["", "r.test/team/app:1"], ids=["a login", "an image"])
async def test_a_registry_that_never_answers_is_left(image: str) -> None:
    async def hang(_: RegistryCredential | Anonymous) -> None:
        await asyncio.Event().wait()

    world = World(timeout_s=0.05)
    world.registry.on_ask = hang
    verdict = await world.ask(image=image)
    assert (verdict.outcome, code(verdict)) == (UNKNOWN, "registry.timeout")
    assert verdict.finding is not None
    assert verdict.finding.evidence["prefix"] == "R_TEST"


async def test_c5_a_ready_token_that_has_expired_is_shown_to_nobody() -> None:
    world = World()
    expires = int(world.clock.time.timestamp()) - 60
    token = ready_token(expires)
    verdict = await world.ask(replace(KEYS, user=SecretText("AWS"), password=SecretText(token)))
    assert (verdict.outcome, code(verdict), world.registry.asked) == (REFUSED, "ecr.token_expired", [])
    later = await world.ask(replace(KEYS, user=SecretText("AWS"), password=SecretText(ready_token(expires + 36000))))
    assert later.outcome is ACCEPTED
    assert later.expires_at == datetime.fromtimestamp(expires + 36000, UTC)
