"""The providers of REGISTRY_CREDENTIALS C2, over TLS under their own names, with the client that the settings make.

What a person is told of each failure: tests/services/test_doctor_causes.py.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest
from tests.fakes.certificates import Authority
from tests.fakes.http_server import Asked, HTTPServer, Reply
from tests.fakes.provider_registry import PASSWORD, ProviderRegistry
from tests.fakes.providers import BROKEN_HARBOR, PROGRAMS

from berth.adapters.registry_http import RegistryHTTP
from berth.domain.doctor import CheckID, CheckState, Diagnosis, Facts, Outcome, Pulled, diagnose
from berth.domain.finding import Finding
from berth.domain.image_reference import ImageReference, parse_image_reference
from berth.domain.login_exchange import LoginProof
from berth.domain.registry_credential import (
    Anonymous,
    CredentialSource,
    Failed,
    Found,
    RegistryCredential,
    RegistryCredentials,
)
from berth.domain.registry_host import parse_web_address
from berth.domain.registry_login import LoginOutcome, judge_login
from berth.domain.registry_provider import Provider
from berth.domain.secret import SecretLevel
from berth.domain.secret_text import SecretText
from berth.outgoing import make_registry_client
from berth.services.ports import ImageRefused
from berth.settings import load

WRONG = "c4nary-wr0ng"
SOURCE = CredentialSource(SecretLevel.REPOSITORY, "P")
GHCR, PLAIN = Provider.GHCR, Provider.PLAIN
REJECTED, MISSING = "image.unauthorized", "image.not_found"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@asynccontextmanager
async def client_of(authority: Authority, hosts: dict[str, HTTPServer], **settings: str) -> AsyncIterator[RegistryHTTP]:
    """The one that the settings make, with these names leading to these servers."""
    environ = {
        "BERTH_RESOLVE": ",".join(f"{host}={server.address}" for host, server in hosts.items()),
        "BERTH_CA_FILE": str(authority.ca_file),
        **settings,
    }
    async with AsyncExitStack() as resources:
        yield make_registry_client(load(environ, None), parse_web_address("https://berth.test"), resources)


def names_of(program: ProviderRegistry) -> list[str]:
    return [name.partition(":")[0] for name in program.names]


async def ask(client: RegistryHTTP, image: ImageReference, credential: RegistryCredential | Anonymous) -> Outcome:
    answer = await client.resolve(image, credential, "amd64")
    return answer.finding if isinstance(answer, ImageRefused) else Pulled(digest=answer.image.digest)


async def examine(client: RegistryHTTP, image: ImageReference, user: str, password: str) -> Diagnosis:
    """As the doctor does; without a user, without a credential."""
    host = image.host
    credential = RegistryCredential(host=host, user=user, password=SecretText(password), source=SOURCE)
    choice = RegistryCredentials(chosen={host: credential} if user else {}, trail=()).for_image(image)
    assert not isinstance(choice, Failed)
    anonymous = await ask(client, image, Anonymous())
    used = await ask(client, image, choice.credential) if isinstance(choice, Found) else anonymous
    return diagnose(Facts(image=image, choice=choice, used=used, anonymous=anonymous, architecture="amd64"))


@pytest.mark.parametrize("provider", PROGRAMS, ids=str)
async def test_every_provider_is_logged_in_to_once_and_nobody_else_sees_the_password(
    authority: Authority, provider: Provider
) -> None:
    program = PROGRAMS[provider]
    image = parse_image_reference(f"{program.host}/{program.path}:1")
    async with (
        HTTPServer.run(program, tls=authority.server_context(*names_of(program))) as server,
        client_of(authority, dict.fromkeys(names_of(program), server)) as client,
    ):
        assert (await examine(client, image, "ana", PASSWORD)).is_healthy
    basic = [asked for asked in server.asked if asked.headers.get("authorization", "").startswith("Basic ")]
    if program.realm:
        assert [f"https://{asked.headers['host']}{asked.path}" for asked in basic] == [program.realm]
    assert {asked.headers["host"] for asked in server.asked} <= set(program.names)


@pytest.mark.parametrize("provider", PROGRAMS, ids=str)
async def test_a_login_without_an_image_is_told_from_a_wrong_one(authority: Authority, provider: Provider) -> None:
    """Each of them refuses a wrong login: what `login_exchange.py` takes for known."""
    program = PROGRAMS[provider]
    credential = RegistryCredential(host=program.host, user="ana", password=SecretText(PASSWORD), source=SOURCE)
    async with (
        HTTPServer.run(program, tls=authority.server_context(*names_of(program))) as server,
        client_of(authority, dict.fromkeys(names_of(program), server)) as client,
    ):
        good = await client.check_login(credential)
        asked = len(server.asked)
        wrong = await client.check_login(replace(credential, password=SecretText(WRONG)))
    assert good is LoginProof.CHECKED
    assert isinstance(wrong, Finding)
    verdict = judge_login(credential, wrong)
    assert (verdict.outcome, wrong.code) == (LoginOutcome.REFUSED, REJECTED)
    assert asked == (3 if program.realm else 2), "nobody is asked a second time"
    assert WRONG not in repr(verdict)


async def test_a_harbor_that_falls_back_to_basic_is_told_without_its_name(authority: Authority) -> None:
    image = parse_image_reference("harbor.test/acme/app:1")
    async with (
        HTTPServer.run(BROKEN_HARBOR, tls=authority.server_context("harbor.test")) as server,
        client_of(authority, {"harbor.test": server}) as client,
    ):
        assert (await examine(client, image, "ana", PASSWORD)).is_healthy
        refused = await examine(client, image, "robot", WRONG)
    assert refused.finding is not None
    assert refused.finding.code == REJECTED
    (form,) = [check for check in refused.checks if check.id is CheckID.FORM]
    assert form.state is CheckState.PASSED, "a name is guessed about where nothing else is known"


@pytest.mark.parametrize(
    "status,headers",
    [
        (401, {}),
        (307, {"Location": "https://sink.test/token"}),
        (302, {"Location": "https://sink.test/v2/acme/app/tags/list"}),
    ],
    ids=["a realm", "a redirect of the token service", "a redirect of the tags"],
)
async def test_c7_the_doctor_sends_nothing_elsewhere(
    authority: Authority, status: int, headers: dict[str, str]
) -> None:
    good = PROGRAMS[GHCR]
    tricky = replace(good, realm="https://sink.test/token") if status == 401 else good

    def answer(asked: Asked) -> Reply:
        if (status == 307 and asked.path == "/token") or (status == 302 and asked.path.endswith("/tags/list")):
            return Reply(status=status, headers=headers)
        return tricky(asked)

    image = parse_image_reference("ghcr.io/acme/app:2")
    async with (
        HTTPServer.run(answer, tls=authority.server_context("ghcr.io")) as server,
        HTTPServer.run(lambda _: Reply(body=b'{"token": "x"}'), tls=authority.server_context("sink.test")) as sink,
        client_of(authority, {"ghcr.io": server, "sink.test": sink}) as client,
    ):
        diagnosis = await examine(client, image, "ana", PASSWORD)
    assert sink.authorizations == []
    assert diagnosis.finding is not None
    assert diagnosis.finding.code == (MISSING if status == 302 else "registry.realm_elsewhere")


async def test_c7_a_list_of_tags_is_read_to_its_first_link_only(authority: Authority) -> None:
    link = '<https://sink.test/v2/acme/app/tags/list?last=1>; rel="next"'

    def answer(asked: Asked) -> Reply:
        reply = PROGRAMS[GHCR](asked)
        return replace(reply, headers={"Link": link}) if asked.path.endswith("/tags/list") else reply

    async with (
        HTTPServer.run(answer, tls=authority.server_context("ghcr.io")) as server,
        HTTPServer.run(lambda _: Reply(), tls=authority.server_context("sink.test")) as sink,
        client_of(authority, {"ghcr.io": server, "sink.test": sink}) as client,
    ):
        diagnosis = await examine(client, parse_image_reference("ghcr.io/acme/app:1.2"), "ana", PASSWORD)
    assert (sink.connections, sink.asked) == (0, [])
    assert diagnosis.finding is not None
    assert diagnosis.finding.evidence["tags"] == "1.1 1"


@pytest.mark.parametrize(
    "status,body", [(200, b" " * 300_000), (200, b"<html>"), (500, b"")], ids=["endless", "none", "no"]
)
async def test_a_list_of_tags_that_is_none_costs_the_finding_nothing(
    authority: Authority, status: int, body: bytes
) -> None:
    """The control is every row of a missing tag: there the list is good."""

    def answer(asked: Asked) -> Reply:
        return Reply(status=status, body=body) if asked.path.endswith("/tags/list") else PROGRAMS[PLAIN](asked)

    context = authority.server_context("r.test")
    async with HTTPServer.run(answer, tls=context) as server, client_of(authority, {"r.test": server}) as client:
        diagnosis = await examine(client, parse_image_reference("r.test:8443/app:2"), "ana", PASSWORD)
    assert diagnosis.finding is not None
    assert (diagnosis.finding.code, "tags" in diagnosis.finding.evidence) == (MISSING, False)
