"""Every provider and failure of REGISTRY_CREDENTIALS C2, played over TLS under the providers' own names (RESOLVE, CA_FILE).

The client is the one that the settings make; the diagnosis is the doctor's. Each row has the same registry's good image,
pulled with the same client, as its control.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

import pytest
from tests.fakes.certificates import Authority
from tests.fakes.http_server import Asked, HTTPServer, Reply
from tests.fakes.provider_registry import PASSWORD, ProviderRegistry, error
from tests.fakes.providers import BROKEN_HARBOR, PROGRAMS, WEB_SITE

from berth.adapters.registry_http import RegistryHTTP
from berth.domain.doctor import CheckID, CheckState, Diagnosis, Facts, Outcome, Pulled, diagnose
from berth.domain.image_reference import ImageReference, parse_image_reference
from berth.domain.registry_credential import (
    Anonymous,
    CredentialSource,
    Failed,
    Found,
    RegistryCredential,
    RegistryCredentials,
)
from berth.domain.registry_host import parse_web_address
from berth.domain.registry_provider import Provider
from berth.domain.secret import SecretLevel
from berth.domain.secret_text import SecretText
from berth.outgoing import make_registry_client
from berth.services.ports import ImageRefused
from berth.settings import load

WRONG = "c4nary-wr0ng"
SOURCE = CredentialSource(SecretLevel.REPOSITORY, "P")
HUB, GHCR, ACR, GOOGLE, GITLAB, QUAY = (
    Provider.DOCKER_HUB, Provider.GHCR, Provider.ACR, Provider.GOOGLE, Provider.GITLAB, Provider.QUAY,
)  # fmt: skip
ECR = Provider.ECR
HARBOR, JFROG, GITEA, OCEAN, PLAIN = (
    Provider.HARBOR, Provider.JFROG, Provider.GITEA, Provider.DIGITALOCEAN, Provider.PLAIN,
)  # fmt: skip
REJECTED, DENIED, MISSING = "image.unauthorized", "image.denied", "image.not_found"


@dataclass(frozen=True)
class Row:
    """What is asked for, and what is told: the code, words of the remedy, phase and status."""

    provider: Provider
    code: str
    remedy: str
    phase: str
    status: int
    user: str = "ana"
    password: str = PASSWORD
    path: str = ""
    tag: str = "1"
    anonymous: bool = False
    program: ProviderRegistry | None = None


def bad(provider: Provider, remedy: str, status: int = 401, *, phase: str = "token", **changes: str) -> Row:
    return replace(Row(provider, REJECTED, remedy, phase, status, password=WRONG), **changes)  # type: ignore[arg-type]


def denied(provider: Provider, remedy: str, status: int = 401, path: str = "others/team/app") -> Row:
    return Row(provider, DENIED, remedy, "manifest", status, path=path)


def missing(provider: Provider) -> Row:
    return Row(provider, MISSING, "name and tag", "manifest", 404, tag="1.2")


ROWS = {
    "hub: bad login": bad(HUB, "personal access token"),
    "hub: an e-mail address": bad(HUB, "Docker ID", user="ana@example.com"),
    "hub: a token without the scope": bad(HUB, "Read-only", password="public-only", code="image.scope_missing"),
    "hub: no right or missing": denied(HUB, "Read-only"),
    "hub: missing tag": missing(HUB),
    "hub: the limit": Row(HUB, "registry.rate_limited", "Wait for at most 6 h", "manifest", 429, path="acme/popular"),
    "hub: blocked": Row(HUB, "registry.login_blocked", "wait 15 min", "token", 429, password="again-and-again"),
    "hub: no credential": Row(HUB, "image.credential_missing", "berth registry add docker.io", "manifest", 401, anonymous=True),
    "ghcr: bad login": bad(GHCR, "ghp_", 403),
    "ghcr: a fine-grained token": bad(GHCR, "classic token", 403, password="github_pat_c4nary"),
    "ghcr: no right or missing": denied(GHCR, "Configure SSO", 403),
    "ghcr: missing tag": missing(GHCR),
    "ghcr: half a name": replace(denied(GHCR, "Mend the image's name", 403, "app"), code="image.name_incomplete"),
    "acr: bad login": bad(ACR, "admin user"),
    "acr: an expired secret": bad(ACR, "az ad sp credential reset", password="expired-secret"),
    "acr: a name for an id": bad(ACR, "application (client) id", password="of-a-name"),
    "acr: an expired refresh token": bad(
        ACR, "service principal", user="00000000-0000-0000-0000-000000000000", code="image.token_expired"
    ),
    "acr: no right or missing": denied(ACR, "AcrPull"),
    "acr: missing tag": missing(ACR),
    "acr: the firewall": Row(ACR, "registry.firewall", "network settings", "manifest", 403, path="fenced"),
    "google: bad key": bad(GOOGLE, "new key"),
    "google: an expired access token": bad(GOOGLE, "service account", user="oauth2accesstoken", code="image.token_expired"),
    "google: a damaged key": bad(GOOGLE, "Set USER and PASSWORD", user="_json_key", code="credential_form.json_key"),
    "google: no right or missing": denied(GOOGLE, "artifactregistry.reader", 403),
    "google: half a name": replace(denied(GOOGLE, "Mend the image's name", 403, "acme/app"), code="image.name_incomplete"),
    "google: missing tag": missing(GOOGLE),
    "google: no credential": Row(GOOGLE, "image.credential_missing", "host of its own", "token", 403, anonymous=True),
    "ecr: bad login": bad(ECR, "Make a new password", phase="manifest", user="AWS"),
    "ecr: no right": denied(ECR, "ecr:BatchGetImage", 403),
    "ecr: missing tag": replace(missing(ECR), remedy="lifecycle policy"),
    "ecr: no such repository": Row(ECR, MISSING, "account and region", "manifest", 404, path="team/nothing"),
    "ecr: an expired token": Row(ECR, "image.token_expired", "swapped for a new token", "manifest", 403, path="team/old"),
    "gitlab: bad login": bad(GITLAB, "deploy token"),
    "gitlab: no access": Row(GITLAB, DENIED, "Reporter", "token", 403, path="acme/secret"),
    "gitlab: no right or missing": denied(GITLAB, "Reporter"),
    "gitlab: missing tag": missing(GITLAB),
    "quay: bad login": bad(QUAY, "NAMESPACE+ROBOT"),
    "quay: no such robot": bad(QUAY, "full name", password="no-robot"),
    "quay: no right or missing": denied(QUAY, "Give that robot"),
    "quay: missing tag": missing(QUAY),
    "quay: an expired tag": Row(QUAY, "image.tag_expired", "Push it again", "manifest", 404, path="acme/old"),
    "quay: a closed namespace": Row(
        QUAY, "registry.namespace_disabled", "keeps that namespace", "manifest", 405, path="acme/closed"
    ),
    "quay: the quota": Row(QUAY, "registry.quota_exceeded", "quota raised", "manifest", 403, path="acme/full"),
    "quay: a nested name": Row(QUAY, "image.name_refused", "NAMESPACE/NAME", "manifest", 400, path="acme/a/b"),
    "harbor: bad login": bad(HARBOR, "CLI secret"),
    "harbor: an eaten $": bad(HARBOR, "single quotes", user="robot"),
    "harbor: an expired robot": bad(HARBOR, "refresh its secret", user="robot$acme+ci"),
    "harbor: no right or missing": denied(HARBOR, "in that project"),
    "harbor: missing tag": missing(HARBOR),
    "jfrog: bad login": bad(JFROG, "lower case"),
    "jfrog: half a token": bad(JFROG, "identity token", password="half-a-token"),
    "jfrog: no right": denied(JFROG, "Docker repository", 403),
    "jfrog: missing tag": missing(JFROG),
    "jfrog: the access method": Row(
        JFROG, "registry.not_a_registry", "Set Me Up", "ping", 404,
        program=replace(PROGRAMS[JFROG], special={("ping", ""): error(404, "NOT_FOUND")}),
    ),
    "gitea: bad login": bad(GITEA, "read:package"),
    "gitea: no right or missing": denied(GITEA, "read:package"),
    "gitea: missing tag": missing(GITEA),
    "digitalocean: bad login": bad(OCEAN, "both USER and"),
    "digitalocean: no right or missing": denied(OCEAN, "of the team"),
    "digitalocean: missing tag": missing(OCEAN),
    "plain: bad login": bad(PLAIN, "Make a new password", phase="manifest"),
    "plain: no right": denied(PLAIN, "Let that account", 403),
    "plain: missing tag": missing(PLAIN),
    "plain: no credential": Row(PLAIN, "image.credential_missing", "berth registry add r.test", "ping", 401, anonymous=True),
    "plain: a web site": Row(
        PLAIN, "registry.not_a_registry", "_CONTAINER_REGISTRY_SERVER", "ping", 200,
        program=replace(PROGRAMS[PLAIN], special={("ping", ""): WEB_SITE}),
    ),
}  # fmt: skip


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
async def test_c2_the_doctor_names_cause_and_remedy(authority: Authority, provider: Provider) -> None:
    """All rows of one provider, with one client: to make one takes longer than to ask."""
    good = PROGRAMS[provider]
    answering = [good]

    def answer(asked: Asked) -> Reply:
        return answering[0](asked)

    rows = {name: row for name, row in ROWS.items() if row.provider is provider}
    async with (
        HTTPServer.run(answer, tls=authority.server_context(*names_of(good))) as server,
        client_of(authority, dict.fromkeys(names_of(good), server)) as client,
    ):
        told = {}
        for name, row in rows.items():
            answering[0] = row.program or good
            image = parse_image_reference(f"{good.host}/{row.path or good.path}:{row.tag}")
            told[name] = await examine(client, image, "" if row.anonymous else row.user, row.password)
            answering[0] = good
            control = await examine(client, parse_image_reference(f"{good.host}/{good.path}:1"), "ana", PASSWORD)
            assert (control.is_healthy, control.with_credential) == (True, "pulled"), name
    for name, row in rows.items():
        finding = told[name].finding
        assert finding is not None, name
        seen = (finding.code, finding.evidence["phase"], finding.evidence["status"])
        assert seen == (row.code, row.phase, str(row.status)), name
        assert row.remedy in finding.next_step, name
        assert row.password not in repr(told[name]), name
        assert finding.evidence.get("tags", "") == ("1.1 1" if row.tag == "1.2" else ""), name


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
    assert (form.state, "robot$NAME" in form.sentence) == (CheckState.WARNING, True)


async def test_a_bad_credential_breaks_a_public_image(authority: Authority) -> None:
    """Source: GitHub's registry answers 403 to a bad token whatever the image."""

    def public(asked: Asked) -> Reply:
        shown = asked.headers.get("authorization", "")
        opened = (
            {**asked.headers, "authorization": f"Bearer token-{PASSWORD}"}
            if shown == "Bearer token-"
            else asked.headers
        )
        return program(Asked(method=asked.method, target=asked.target, headers=opened))

    program = PROGRAMS[GHCR]
    image = parse_image_reference("ghcr.io/acme/app:1")
    async with (
        HTTPServer.run(public, tls=authority.server_context("ghcr.io")) as server,
        client_of(authority, {"ghcr.io": server}) as client,
    ):
        broken = await examine(client, image, "ana", WRONG)
        without = await examine(client, image, "", "")
    assert broken.finding is not None
    assert broken.finding.code == "credential.breaks_public_image"
    assert broken.finding.evidence["cause"] == REJECTED
    assert without.is_healthy


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


def test_every_provider_has_its_common_failures() -> None:
    for provider in Provider:
        codes = {row.code for row in ROWS.values() if row.provider is provider}
        assert {REJECTED, DENIED, MISSING} <= codes, provider
