"""Everything that can be wrong with an image (REGISTRY_CREDENTIALS B3, C1 to C3): the doctor's code, who mends it, the remedy.

The whole way: secrets in the store, the real resolver, the real clients, and every other party as a program over TLS under its
own name. Each case stands beside its control: the same service, and everything as it should be.
"""

import re
import socket
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from tests.doctor_cases import API, CASES, PARTIES, PLAIN_NAME, PRIVATE_PLACES, Case, triples
from tests.doctor_world import DoctorWorld, open_doctor_world
from tests.fakes.certificates import Authority
from tests.fakes.http_server import HTTPServer, babble, flood, hang, run_silent_server
from tests.fakes.providers import PROGRAMS

from berth.adapters.guarded_http import Endpoint
from berth.adapters.store.database import Store
from berth.domain import ecr_finding
from berth.domain.doctor import PLACES, CheckState, Diagnosis
from berth.domain.finding import Finding
from berth.domain.provider_failure import ROWS
from berth.domain.registry_finding import CONNECTION, TEXTS
from berth.domain.registry_provider import Provider

SLOW = frozenset({"silence", "no handshake", "a slow name"})  # what is waited for
ELSEWHERE: Mapping[str, str] = {
    "credential.other_host": "a fault in Berth",
    "registry.plain_http": "nobody is asked in clear whom the administrator did not list, and those have no such finding",
    "codespace.token_void": "tests/domain/test_package_refusal.py",
    "feature.unsupported": "of Features, which the doctor is not asked for",
    "feature.too_large": "of Features, which the doctor is not asked for",
    "package.name": "of the built-in registry: tests/services/test_doctor.py",
    "package.not_found": "of the built-in registry: tests/services/test_doctor.py",
    "package.codespace_denied": "of the built-in registry: tests/services/test_doctor.py",
    "package.credential_denied": "of the built-in registry: tests/domain/test_package_refusal.py",
}


@asynccontextmanager
async def places(world: DoctorWorld, folder: Path) -> AsyncIterator[Mapping[str, Endpoint]]:
    """Where a name may lead that leads nowhere good."""
    async with AsyncExitStack() as stack:
        enter, authority = stack.enter_async_context, world.authority
        answer = world.answer
        good, other = authority.server_context(PLAIN_NAME), authority.server_context("other.test")
        stranger = Authority(folder).server_context(PLAIN_NAME)
        servers = {
            "another name": await enter(HTTPServer.run(answer, tls=other)),
            "an unknown authority": await enter(HTTPServer.run(answer, tls=stranger)),
            "plain HTTP": await enter(HTTPServer.run(answer)),
            "ssh": await enter(HTTPServer.run(behaviour=babble, tls=good)),
            "a flood": await enter(HTTPServer.run(behaviour=flood, tls=good)),
            "silence": await enter(HTTPServer.run(behaviour=hang, tls=authority.server_context(PLAIN_NAME, API))),
            "no handshake": await enter(run_silent_server()),
        }
        taken = stack.enter_context(socket.socket())  # by nobody who listens
        taken.bind(("127.0.0.1", 0))
        closed = {"a closed port": Endpoint("127.0.0.1", taken.getsockname()[1])}
        yield {place: Endpoint("127.0.0.1", server.port) for place, server in servers.items()} | closed


class Player:
    """Plays cases and controls in one world."""

    def __init__(self, world: DoctorWorld, endpoints: Mapping[str, Endpoint]) -> None:
        self.world = world
        self.endpoints = endpoints
        self.usual = dict(world.resolve)
        self.controls: dict[object, Diagnosis] = {}

    def lead(self, leads: Mapping[str, str]) -> None:
        """Each name to its place; all others to where they belong."""
        world = self.world
        world.resolve.clear()
        world.resolve.update(self.usual)
        world.dns.clear()
        world.slow.clear()
        for name, place in leads.items():
            del world.resolve[name]
            if place in self.endpoints:
                world.resolve[name] = self.endpoints[place]
            elif place in PRIVATE_PLACES:
                world.dns[name] = PRIVATE_PLACES[place]
            elif place == "a slow name":
                world.slow.add(name)

    async def play(self, case: Case) -> Diagnosis:
        world = self.world
        await world.become(*case.triples)
        world.answers = {**PARTIES, **case.answers()}
        world.clock.ahead = timedelta(minutes=case.ahead_min)
        self.lead(case.leads)
        doctor = world.doctor(impatient=not SLOW.isdisjoint(case.leads.values()))
        return await world.examine(case.image, login=case.login, doctor=doctor)

    async def control(self, case: Case) -> Diagnosis:
        """Where nothing outside is wrong in the case, the one of another case with the same set-up is this one's, too."""
        is_inside = not case.answers() and not case.leads and not case.ahead_min
        if not is_inside or case.good not in self.controls:
            self.controls[case.good] = await self.look_at_good(case)
        return self.controls[case.good]

    async def look_at_good(self, case: Case) -> Diagnosis:
        world, (image, good) = self.world, case.good
        await world.become(*good)
        world.answers = dict(PARTIES)
        world.clock.ahead = timedelta()
        self.lead({})
        return await world.examine(image)


@pytest.fixture
def strangers(tmp_path: Path) -> Path:
    folder = tmp_path / "strangers"
    folder.mkdir()
    return folder


@pytest.fixture
async def player(store: Store, tmp_path: Path, strangers: Path) -> AsyncIterator[Player]:
    async with open_doctor_world(store, tmp_path, PARTIES) as world, places(world, strangers) as there:
        yield Player(world, there)


def complaints(case: Case, told: Diagnosis, control: Diagnosis) -> list[str]:
    """What is not as the table says."""
    finding, said = told.finding, " ".join(check.sentence for check in told.checks)
    if finding is None:
        return ["it is taken for healthy"] if case.code else [] if case.said in said else [said]
    secrets = [triple.password for triple in case.triples if triple.password]
    failed = [check.id for check in told.checks if check.state is CheckState.FAILED]
    checks = {
        f"said {said}": case.said in said,
        f"code {finding.code}": finding.code == case.code,
        f"fixer {finding.fixer}": finding.fixer is case.fixer,
        f"remedy {finding.next_step}": case.remedy in finding.next_step,
        f"evidence {finding.evidence}": case.evidence.items() <= finding.evidence.items(),
        "a password is told": not any(secret in repr(told) for secret in secrets),
        "a placeholder is left": "{" not in finding.sentence + finding.next_step,
        f"failed {failed}": bool(failed) and PLACES.get(case.code, failed[0]) in failed,
        f"the control: {control.finding}": control.is_healthy and control.with_credential == "pulled",
    }
    return [text for text, good in checks.items() if not good]


def is_text_of(template: str, text: str) -> bool:
    pattern = "".join(
        ".*" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{\w+\})", template.strip())
    )
    return re.search(pattern, text, re.DOTALL) is not None


@pytest.mark.timeout(120)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_every_cause_is_named_with_its_remedy(player: Player) -> None:
    wrong: dict[str, list[str]] = {}
    findings: dict[str, Finding] = {}
    for name, case in CASES.items():
        told, control = await player.play(case), await player.control(case)
        if found := complaints(case, told, control):
            wrong[name] = found
        if told.finding is not None:
            findings[name] = told.finding
    assert wrong == {}
    assert codes_without_case(findings) == set()
    assert rows_without_case(findings) == []


def codes_without_case(findings: Mapping[str, Finding]) -> set[str]:
    """Of all that a diagnosis can say: the tables of texts, the provider rows, the places in the list of checks."""
    codes = {*TEXTS, *CONNECTION, *ecr_finding.TEXTS, "ecr.token_expired", *PLACES, *(row.code for row in ROWS)}
    return codes - {finding.code for finding in findings.values()} - ELSEWHERE.keys()


def rows_without_case(findings: Mapping[str, Finding]) -> list[str]:
    """The rows of providers whose words nobody was told. Two that say the same need two cases that look different."""
    wanted: Counter[str] = Counter()
    for row in ROWS:
        wanted[f"{row.provider} {row.code}: {row.text[0]} {row.text[2]}"] += 1
    lacking = []
    for row in ROWS:
        key = f"{row.provider} {row.code}: {row.text[0]} {row.text[2]}"
        looks = {
            (finding.evidence.get("phase"), finding.evidence.get("status"))
            for finding in findings.values()
            if finding.code in {row.code, "credential.breaks_public_image"}
            and is_text_of(row.text[0], finding.sentence)
            and is_text_of(row.text[2], finding.next_step)
        }
        if len(looks) < wanted[key]:
            lacking.append(key)
    return lacking


@pytest.mark.parametrize("provider", Provider)
def test_c2_every_provider_has_its_common_failures(provider: Provider) -> None:
    cases = [case for case in CASES.values() if case.image.startswith(f"{PROGRAMS[provider].host}/")]
    assert {"image.unauthorized", "image.denied", "image.not_found"} <= {case.code for case in cases}


def test_a_table_with_a_hole_is_found_out() -> None:
    """The control of the completeness."""
    assert codes_without_case({}) >= {"ecr.key_unknown", "registry.tls", "image.denied"}
    assert len(rows_without_case({})) == len(ROWS)
    assert triples("x", "y").good[0] in {case.good[0] for case in CASES.values()}
