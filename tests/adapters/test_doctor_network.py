"""Failures of name, address, connection and TLS, and triples that are no credential: code, check and remedy of the doctor (C9).

Every row's control is the same host with a good server behind it.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.fakes.certificates import Authority
from tests.fakes.http_server import Behaviour, Handler, HTTPServer, babble, flood, flood_of_headers, hang
from tests.fakes.provider_registry import PASSWORD
from tests.fakes.providers import PROGRAMS, WEB_SITE

from berth.adapters.guarded_http import GuardedHTTP, GuardedHTTPSettings, Resolver
from berth.adapters.registry_http import RegistryHTTP
from berth.domain.address_policy import parse_private_addresses
from berth.domain.doctor import Check, CheckID, CheckState, Diagnosis, Facts, Outcome, Pulled, diagnose
from berth.domain.image_reference import parse_image_reference
from berth.domain.problem import Invalid
from berth.domain.registry_credential import Anonymous, Failed, Found, RegistryCredential
from berth.domain.registry_provider import Provider
from berth.domain.registry_triple import assemble
from berth.domain.secret import LevelledSecret, SecretLevel
from berth.domain.secret_text import SecretText
from berth.services.ports import ImageRefused

QUICK = GuardedHTTPSettings(resolve_timeout_s=1, connect_timeout_s=2, read_timeout_s=0.5, total_timeout_s=3)
PROGRAM = replace(PROGRAMS[Provider.PLAIN], host="r.test", api="r.test")
Triple = tuple[SecretLevel, str, str, str, str]
GOOD: Triple = (SecretLevel.REPOSITORY, "P", "r.test", "ana", PASSWORD)


def secrets(*triples: Triple) -> list[LevelledSecret]:
    return [
        LevelledSecret(level=level, name=f"{prefix}_CONTAINER_REGISTRY_{part}", value=SecretText(value))
        for level, prefix, *values in triples
        for part, value in zip(("SERVER", "USER", "PASSWORD"), values, strict=True)
        if value
    ]


def leads_to(*addresses: str) -> Resolver:
    return lambda name, port: addresses


def unknown(name: str, port: int) -> Sequence[str]:
    raise socket.gaierror(name)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@dataclass
class Place:
    """A registry on loopback, which the administrator allows, and how its host is named."""

    server: HTTPServer
    settings: GuardedHTTPSettings

    @property
    def host(self) -> str:
        return f"r.test:{self.server.port}"

    async def examine(self, resolver: Resolver, *triples: Triple, image: str = "app:1") -> Diagnosis:
        reference = parse_image_reference(f"{self.host}/{image}")
        here = [(level, prefix, server.replace("r.test", self.host), *rest) for level, prefix, server, *rest in triples]
        choice = assemble(secrets(*here)).for_image(reference)  # type: ignore[arg-type]
        http = GuardedHTTP(self.settings, resolver=resolver)
        client = RegistryHTTP(http, total_timeout_s=5)

        async def ask(credential: RegistryCredential | Anonymous) -> Outcome:
            answer = await client.resolve(reference, credential, "amd64")
            return answer.finding if isinstance(answer, ImageRefused) else Pulled(digest=answer.image.digest)

        try:
            anonymous = await ask(Anonymous())
            used = await ask(choice.credential) if isinstance(choice, Found) else anonymous
        finally:
            http.close()
        given = None if isinstance(choice, Failed) else used
        return diagnose(Facts(image=reference, choice=choice, used=given, anonymous=anonymous, architecture="amd64"))


@asynccontextmanager
async def place(
    authority: Authority, name: str = "r.test", handler: Handler | None = PROGRAM, behaviour: Behaviour | None = None,
    *, tls: bool = True, trusted: bool = True,
) -> AsyncIterator[Place]:  # fmt: skip
    context = authority.server_context(name) if tls else None
    async with HTTPServer.run(handler, behaviour=behaviour, tls=context) as server:
        allowed = parse_private_addresses(["127.0.0.1/32"])
        ca_file: Path | None = authority.ca_file if trusted else None
        yield Place(server, replace(QUICK, private_addresses=allowed, ca_file=ca_file))


def failed(diagnosis: Diagnosis) -> list[Check]:
    return [check for check in diagnosis.checks if check.state is CheckState.FAILED]


LOOPBACK = leads_to("127.0.0.1")


async def test_the_control_a_good_server_behind_the_same_name(authority: Authority) -> None:
    async with place(authority) as there:
        assert (await there.examine(LOOPBACK, GOOD)).is_healthy


@pytest.mark.parametrize(
    "resolver,code,check,remedy",
    [
        pytest.param(unknown, "registry.name_unknown", CheckID.DNS, "Check the spelling", id="no such name"),
        *(
            pytest.param(
                leads_to(*addresses), "registry.address_forbidden", CheckID.ADDRESS, "BERTH_PRIVATE_ADDRESSES", id=name
            )
            for name, addresses in {
                "another loopback address": ["127.0.0.2"],
                "a private address": ["10.0.0.1"],
                "one of two is private": ["127.0.0.1", "192.168.0.1"],
                "carrier-grade NAT": ["100.64.0.1"],
                "the metadata service": ["169.254.169.254"],
                "the same in IPv6": ["::ffff:169.254.169.254"],
                "the same by NAT64": ["64:ff9b::a9fe:a9fe"],
                "IPv6's own metadata service": ["fd00:ec2::254"],
                "no address at all": ["0.0.0.0"],
            }.items()
        ),
    ],
)
async def test_c9_names_and_addresses(
    authority: Authority, resolver: Resolver, code: str, check: CheckID, remedy: str
) -> None:
    async with place(authority) as there:
        diagnosis = await there.examine(resolver, GOOD)
    assert diagnosis.finding is not None
    assert (diagnosis.finding.code, [one.id for one in failed(diagnosis)]) == (code, [check])
    assert remedy in diagnosis.finding.next_step
    assert there.server.asked == []


async def test_c9_a_name_that_is_bound_anew_between_two_looks(authority: Authority) -> None:
    answers = iter(("127.0.0.1", "127.0.0.2"))
    async with place(authority) as there:
        diagnosis = await there.examine(lambda name, port: [next(answers)], GOOD)
    assert diagnosis.with_credential == "registry.address_forbidden"
    assert diagnosis.without_credential == "image.credential_missing"
    assert there.server.authorizations == []


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1", "017700000001"])
def test_c9_odd_spellings_of_an_address_name_no_registry(host: str) -> None:
    with pytest.raises(Invalid) as refusal:
        parse_image_reference(f"{host}:5000/acme/app")
    assert refusal.value.code == "registry_host.numeric"


@pytest.mark.parametrize(
    "how,code,check,remedy",
    [
        pytest.param({"name": "other.test"}, "registry.tls", CheckID.TLS, "valid certificate", id="another name"),
        pytest.param({"trusted": False}, "registry.tls", CheckID.TLS, "BERTH_CA_FILE", id="an unknown authority"),
        pytest.param({"tls": False}, "registry.tls", CheckID.TLS, "valid certificate", id="plain HTTP"),
        pytest.param(
            {"handler": lambda _: WEB_SITE},
            "registry.not_a_registry",
            CheckID.REGISTRY,
            "Check the host",
            id="a web site",
        ),
        pytest.param({"behaviour": babble}, "registry.bad_answer", CheckID.REGISTRY, "its port", id="ssh"),
        pytest.param({"behaviour": flood}, "registry.answer_too_big", CheckID.REGISTRY, "Check that", id="a flood"),
        pytest.param({"behaviour": hang}, "registry.timeout", CheckID.REGISTRY, "Try again", id="silence"),
    ],
)
async def test_what_answers_is_told(
    authority: Authority, how: dict[str, object], code: str, check: CheckID, remedy: str
) -> None:
    async with place(authority, **how) as there:  # type: ignore[arg-type]
        diagnosis = await there.examine(LOOPBACK, GOOD)
    assert diagnosis.finding is not None
    assert (diagnosis.finding.code, [one.id for one in failed(diagnosis)]) == (code, [check])
    assert remedy in diagnosis.finding.next_step
    assert there.server.authorizations == []


async def test_headers_without_end_and_a_closed_port(authority: Authority) -> None:
    async with place(authority, behaviour=flood_of_headers) as there:
        endless = await there.examine(LOOPBACK, GOOD)
    assert endless.finding is not None
    assert endless.finding.code in {"registry.bad_answer", "registry.answer_too_big"}
    await asyncio.sleep(0)
    closed = await there.examine(LOOPBACK, GOOD)
    assert closed.finding is not None
    assert (closed.finding.code, failed(closed)[0].id) == ("registry.unreachable", CheckID.CONNECTION)


USER, REPOSITORY, ORGANIZATION = SecretLevel.USER, SecretLevel.REPOSITORY, SecretLevel.ORGANIZATION


@pytest.mark.parametrize(
    "triples,code,said",
    [
        pytest.param([(REPOSITORY, "P", "r.test", "ana", "")], "credential.incomplete", "PASSWORD", id="incomplete"),
        pytest.param(
            [(REPOSITORY, "P", "r.test", "", PASSWORD), (ORGANIZATION, "P", "", "ana", "")],
            "credential.incomplete", "repository level there is no value for P_CONTAINER_REGISTRY_USER", id="C1 mixed levels",
        ),
        pytest.param(
            [(REPOSITORY, "P", "r.test", "ana", ""), (REPOSITORY, "Q", "", "", PASSWORD)],
            "credential.incomplete", "P_CONTAINER_REGISTRY_PASSWORD", id="C1 mixed prefixes",
        ),
        pytest.param([(USER, "P", "r.test", "a:b", PASSWORD)], "credential.user_refused", "colon", id="a colon"),
        pytest.param(
            [(USER, "P", "https://u:c4nary@r.test", "ana", PASSWORD)], "image.credential_missing", "cannot be used",
            id="C3 a server that is none",
        ),
        pytest.param(
            [(USER, "P", "other.test", "ana", PASSWORD)], "image.credential_missing", "No secrets name", id="C4 another host"
        ),
        pytest.param(
            [(USER, "P", "r.test", "ana", "c4nary"), GOOD], "image.unauthorized", "user level comes before",
            id="C2 shadowed by a bad one",
        ),
        pytest.param(
            [(REPOSITORY, "A", "r.test", "ana", "c4nary"), GOOD], "image.unauthorized", "alphabetical",
            id="C2 two at one level",
        ),
        pytest.param([GOOD, (ORGANIZATION, "Z", "r.test", "x", "c4nary")], "", "repository level comes", id="C2 control"),
        pytest.param([(USER, "P", "https://R.test/", "ana", PASSWORD)], "", "was removed", id="C3 control: repaired"),
    ],
)  # fmt: skip
async def test_triples(authority: Authority, triples: list[Triple], code: str, said: str) -> None:
    async with place(authority) as there:
        fitted = [
            (level, prefix, server.replace("R.test", "r.test"), *rest) for level, prefix, server, *rest in triples
        ]
        diagnosis = await there.examine(LOOPBACK, *fitted)  # type: ignore[arg-type]
    assert ("" if diagnosis.finding is None else diagnosis.finding.code) == code
    (credential,) = [check for check in diagnosis.checks if check.id is CheckID.CREDENTIAL]
    assert said in credential.sentence
    assert "c4nary" not in repr(diagnosis)
