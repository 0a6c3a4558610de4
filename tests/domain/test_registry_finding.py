"""What a person is told for every failure of every provider (REGISTRY_CREDENTIALS C2); each row beside what is no such failure."""

import string
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest

from berth.domain.exchange_message import ExchangeRequest, Phase, RateLimit
from berth.domain.exchange_session import ExchangeFailure
from berth.domain.finding import Fixer
from berth.domain.image_reference import parse_image_reference
from berth.domain.problem import UpstreamFailed
from berth.domain.provider_failure import ROWS
from berth.domain.registry_credential import Anonymous, CredentialSource, RegistryCredential
from berth.domain.registry_finding import CONNECTION, TEXTS, explain_connection, explain_failure
from berth.domain.registry_provider import Provider
from berth.domain.secret import SecretLevel
from berth.domain.secret_text import SecretText

CREDENTIAL = RegistryCredential(
    host="r.example", user="ana", password=SecretText("c4nary"), source=CredentialSource(SecretLevel.REPOSITORY, "P")
)
IMAGE = parse_image_reference("r.example/acme/team/app:1")
REJECTED, DENIED, MISSING = "image.unauthorized", "image.denied", "image.not_found"
LIMITED, NO_REGISTRY, ANONYMOUS = "registry.rate_limited", "registry.not_a_registry", "image.credential_missing"


@dataclass(frozen=True)
class Case:
    """A failure, what it is called, and a word of the remedy. `control` is called something else, or has another remedy."""

    provider: Provider
    seen: str
    phase: Phase
    status: int
    code: str
    remedy: str
    fixer: Fixer = Fixer.REPOSITORY_ADMIN
    error_code: str = ""
    said: str = ""
    user: str = "ana"
    password: str = "c4nary"
    control: Mapping[str, str | int] = field(default_factory=dict)


HUB, GHCR, ACR, GOOGLE, GITLAB = Provider.DOCKER_HUB, Provider.GHCR, Provider.ACR, Provider.GOOGLE, Provider.GITLAB
QUAY, HARBOR, JFROG, GITEA, DO = (
    Provider.QUAY, Provider.HARBOR, Provider.JFROG, Provider.GITEA, Provider.DIGITALOCEAN,
)  # fmt: skip
ECR = Provider.ECR
YOU, KEEPER = Fixer.DEVELOPER, Fixer.REGISTRY
PLAIN_PROVIDER = {"provider": Provider.PLAIN.value}

CASES = {
    "hub: token without the scope": Case(
        HUB, REJECTED, "token", 401, "image.scope_missing", "Read-only",
        said="access token has insufficient scopes", control={"said": "incorrect username or password"},
    ),
    "hub: an e-mail address": Case(
        HUB, REJECTED, "token", 401, REJECTED, "Docker ID", user="a@b.example", control={"user": "ana"}
    ),
    "hub: a bad password": Case(HUB, REJECTED, "token", 401, REJECTED, "personal access token", control=PLAIN_PROVIDER),
    "hub: no right, or missing": Case(HUB, DENIED, "manifest", 401, DENIED, "Read-only", control=PLAIN_PROVIDER),
    "hub: too many bad logins": Case(
        HUB, LIMITED, "token", 429, "registry.login_blocked", "good password", fixer=YOU,
        said="too many failed login attempts", control={"said": "toomanyrequests"},
    ),
    "hub: the limit": Case(HUB, LIMITED, "manifest", 429, LIMITED, "add docker.io", fixer=YOU, control=PLAIN_PROVIDER),
    "ghcr: a fine-grained token": Case(
        GHCR, REJECTED, "token", 403, REJECTED, "classic token", password="github_pat_1", control={"provider": "plain"}
    ),
    "ghcr: a bad token": Case(GHCR, REJECTED, "token", 403, REJECTED, "ghp_", control={"password": "github_pat_1"}),
    "ghcr: no right": Case(
        GHCR, DENIED, "manifest", 403, DENIED, "Configure SSO", said="permission_denied: read_package",
        control=PLAIN_PROVIDER,
    ),
    "acr: the firewall": Case(
        ACR, DENIED, "manifest", 403, "registry.firewall", "network settings", fixer=KEEPER,
        said="client with ip '1.2.3.4' is not allowed access", control={"said": ""},
    ),
    "acr: the firewall at the ping": Case(
        ACR, REJECTED, "ping", 403, "registry.firewall", "network settings", fixer=KEEPER,
        said="client with ip '1.2.3.4' is not allowed access", control={"status": 401},
    ),
    "acr: a refresh token": Case(
        ACR, REJECTED, "token", 401, "image.token_expired", "service principal",
        user="00000000-0000-0000-0000-000000000000", control={"user": "ana"},
    ),
    "acr: a name for an id": Case(
        ACR, REJECTED, "token", 401, REJECTED, "application (client) id", said="client id must be guid",
        control={"said": ""},
    ),
    "acr: an expired secret": Case(
        ACR, REJECTED, "token", 401, REJECTED, "az ad sp credential reset", said="invalid clientid or client secret.",
        control={"said": ""},
    ),
    "acr: a bad password": Case(ACR, REJECTED, "token", 401, REJECTED, "admin user", control=PLAIN_PROVIDER),
    "acr: no right, or missing": Case(ACR, DENIED, "manifest", 401, DENIED, "AcrPull", control=PLAIN_PROVIDER),
    "google: an access token": Case(
        GOOGLE, REJECTED, "token", 401, "image.token_expired", "_json_key", user="oauth2accesstoken",
        control={"user": "_json_key"},
    ),
    "google: a bad key": Case(GOOGLE, REJECTED, "token", 403, REJECTED, "new key", user="_json_key", control=PLAIN_PROVIDER),
    "google: no right, or missing": Case(
        GOOGLE, DENIED, "manifest", 403, DENIED, "artifactregistry.reader", control=PLAIN_PROVIDER
    ),
    "google: no entry for this host": Case(
        GOOGLE, ANONYMOUS, "token", 403, ANONYMOUS, "host of its own", fixer=YOU, control=PLAIN_PROVIDER
    ),
    "gitlab: a bad token": Case(GITLAB, REJECTED, "token", 401, REJECTED, "deploy token", control={"status": 403}),
    "gitlab: no access": Case(
        GITLAB, REJECTED, "token", 403, DENIED, "Reporter", said="access forbidden", control={"status": 401}
    ),
    "gitlab: no right": Case(GITLAB, DENIED, "manifest", 401, DENIED, "Reporter", control=PLAIN_PROVIDER),
    "quay: no such robot": Case(
        QUAY, REJECTED, "token", 401, REJECTED, "full name", said="could not find robot with specified username",
        control={"said": "invalid username or password"},
    ),
    "quay: a bad password": Case(QUAY, REJECTED, "token", 401, REJECTED, "$oauthtoken", control=PLAIN_PROVIDER),
    "quay: no right": Case(QUAY, DENIED, "manifest", 401, DENIED, "Give that robot", control=PLAIN_PROVIDER),
    "quay: an expired tag": Case(
        QUAY, MISSING, "manifest", 404, "image.tag_expired", "Push it again", fixer=YOU, error_code="TAG_EXPIRED",
        control={"error_code": "MANIFEST_UNKNOWN"},
    ),
    "quay: a nested name": Case(
        QUAY, NO_REGISTRY, "manifest", 400, "image.name_refused", "NAMESPACE/NAME", fixer=YOU,
        error_code="NAME_INVALID", control={"error_code": ""},
    ),
    "quay: a disabled namespace": Case(
        QUAY, NO_REGISTRY, "manifest", 405, "registry.namespace_disabled", "keeps that namespace", fixer=KEEPER,
        control={"status": 418},
    ),
    "quay: the quota": Case(
        QUAY, DENIED, "manifest", 403, "registry.quota_exceeded", "quota raised", fixer=KEEPER,
        said="quota has been exceeded on namespace", control={"said": ""},
    ),
    "harbor: a robot without its $": Case(
        HARBOR, REJECTED, "token", 401, REJECTED, "single quotes", user="robotci", control={"user": "robot$ci"}
    ),
    "harbor: an expired robot": Case(
        HARBOR, REJECTED, "token", 401, REJECTED, "refresh its secret", user="robot$ci", control={"user": "ana"}
    ),
    "harbor: a bad password": Case(HARBOR, REJECTED, "token", 401, REJECTED, "CLI secret", control=PLAIN_PROVIDER),
    "harbor: no right with Basic": Case(
        HARBOR, REJECTED, "manifest", 401, DENIED, "in that project",
        said="unauthorized to access repository: acme/app, action: pull", control={"said": ""},
    ),
    "harbor: no right": Case(HARBOR, DENIED, "manifest", 401, DENIED, "in that project", control=PLAIN_PROVIDER),
    "jfrog: no right with Basic": Case(
        JFROG, REJECTED, "manifest", 401, DENIED, "Docker repository",
        said="the client does not have permission for manifest", control={"said": ""},
    ),
    "jfrog: a broken token": Case(
        JFROG, REJECTED, "token", 401, REJECTED, "identity token", said="bad props auth token: x", control={"said": ""}
    ),
    "jfrog: another user": Case(JFROG, REJECTED, "token", 401, REJECTED, "lower case", control=PLAIN_PROVIDER),
    "jfrog: no right": Case(JFROG, DENIED, "manifest", 403, DENIED, "Docker repository", control=PLAIN_PROVIDER),
    "jfrog: the access method": Case(
        JFROG, NO_REGISTRY, "manifest", 404, NO_REGISTRY, "Set Me Up", fixer=YOU, control={"status": 302}
    ),
    "gitea: a bad token": Case(GITEA, REJECTED, "token", 401, REJECTED, "read:package", control=PLAIN_PROVIDER),
    "gitea: no right": Case(GITEA, DENIED, "manifest", 401, DENIED, "read:package", control=PLAIN_PROVIDER),
    "digitalocean: a bad token": Case(DO, REJECTED, "token", 401, REJECTED, "both USER and", control=PLAIN_PROVIDER),
    "ecr: no token of AWS's": Case(
        ECR, REJECTED, "manifest", 401, REJECTED, "access key's id and secret", user="AWS", control=PLAIN_PROVIDER
    ),
    "ecr: a token of another region": Case(
        ECR, "image.token_expired", "manifest", 403, "image.token_expired", "of the right region",
        said="your authorization token is invalid.", control={"said": "your authorization token has expired."},
    ),
    "ecr: no right": Case(
        ECR, DENIED, "manifest", 403, DENIED, "docs/registries.md",
        said="because no identity-based policy allows the ecr:batchgetimage action", control=PLAIN_PROVIDER,
    ),
    "ecr: a policy forbids it": Case(
        ECR, DENIED, "manifest", 403, DENIED, "Have the Deny removed",
        said="with an explicit deny in a service control policy", control={"said": "is not authorized to perform"},
    ),
    "ecr: another account": Case(
        ECR, DENIED, "manifest", 403, DENIED, "repository's policy there", fixer=KEEPER,
        said="because no resource-based policy allows the ecr:batchgetimage action", control={"said": "x"},
    ),
    "ecr: no such repository": Case(
        ECR, MISSING, "manifest", 404, MISSING, "account and region", fixer=YOU, error_code="NAME_UNKNOWN",
        control={"error_code": "MANIFEST_UNKNOWN"},
    ),
    "ecr: no such tag": Case(ECR, MISSING, "manifest", 404, MISSING, "lifecycle policy", fixer=YOU, control=PLAIN_PROVIDER),
    "digitalocean: no right": Case(DO, DENIED, "manifest", 401, DENIED, "of the team", control=PLAIN_PROVIDER),
}  # fmt: skip


def failure_of(case: Case) -> tuple[ExchangeFailure, RegistryCredential | Anonymous]:
    failure = ExchangeFailure(
        code=case.seen, phase=case.phase, status=case.status, error_code=case.error_code,
        provider=Provider(case.provider), said=case.said,
    )  # fmt: skip
    if case.seen == ANONYMOUS:
        return failure, Anonymous()
    return failure, replace(CREDENTIAL, user=case.user, password=SecretText(case.password))


@pytest.mark.parametrize("name", CASES)
def test_c2_every_failure_has_its_code_and_remedy(name: str) -> None:
    case = CASES[name]
    finding = explain_failure(*failure_of(case), IMAGE)
    assert (finding.code, finding.fixer) == (case.code, case.fixer)
    assert case.remedy in finding.next_step
    other = explain_failure(*failure_of(replace(case, **case.control)), IMAGE)  # type: ignore[arg-type]
    assert (other.code, other.next_step) != (finding.code, finding.next_step)
    assert finding.evidence["provider"] == case.provider
    assert "c4nary" not in repr(finding)


def test_c2_every_row_has_a_case() -> None:
    told = {explain_failure(*failure_of(case), IMAGE).next_step for case in CASES.values()}
    words = {"host": "r.example", "path": "acme/team/app", "image": "acme/team/app:1", "tags": "", "wait": ""}
    assert {row.text[2].format_map(words) for row in ROWS} <= told


FIELDS = {
    "host", "image", "path", "status", "reason", "credential", "elsewhere", "permission", "tags", "limit", "wait", "parts",
}  # fmt: skip


def test_every_text_can_be_filled_and_ends_as_a_sentence() -> None:
    texts = {**TEXTS, **{f"{row.provider} {row.code} {at}": row.text for at, row in enumerate(ROWS)}}
    for name, (sentence, _, step) in texts.items():
        for text in (sentence, step):
            assert {each[1] for each in string.Formatter().parse(text) if each[1]} <= FIELDS, name
            assert text.endswith((".", "}")), name
    assert not set(TEXTS) & set(CONNECTION)


@pytest.mark.parametrize(
    "limit,limit_words,wait_words",
    [
        (None, "is reached.", "Wait;"),
        (RateLimit(), "is reached.", "Wait;"),
        (RateLimit(limit=100, window_s=21600), "(100 in 6 h)", "Wait for at most 6 h;"),
        (RateLimit(limit=7, retry_after_s=90), "(7)", "Wait 90 s;"),
        (RateLimit(retry_after_s=121), "is reached.", "Wait 3 min;"),
        (
            RateLimit(retry_at="Mon, 30 Nov 2026 15:00:00 GMT"),
            "is reached.",
            "Wait until Mon, 30 Nov 2026 15:00:00 GMT;",
        ),
    ],
)
def test_a_limit_is_told_with_its_time(limit: RateLimit | None, limit_words: str, wait_words: str) -> None:
    failure = ExchangeFailure(code=LIMITED, phase="manifest", status=429, limit=limit)
    finding = explain_failure(failure, Anonymous(), IMAGE)
    assert limit_words in finding.sentence
    assert wait_words in finding.next_step


def test_a_missing_tag_is_told_with_those_that_there_are() -> None:
    failure = ExchangeFailure(code=MISSING, phase="manifest", status=404, tags=("1.0", "2.0"))
    finding = explain_failure(failure, CREDENTIAL, IMAGE)
    assert "1.0, 2.0" in finding.sentence
    assert finding.evidence["tags"] == "1.0 2.0"
    assert finding.fixer is Fixer.DEVELOPER
    none = explain_failure(replace(failure, tags=()), CREDENTIAL, IMAGE)
    assert "tags" not in none.evidence


@pytest.mark.parametrize(
    "image,code",
    [
        ("europe-docker.pkg.dev/acme/app", "image.name_incomplete"),
        ("europe-docker.pkg.dev/acme/dev/app", DENIED),
    ],
)
def test_a_name_with_too_few_parts(image: str, code: str) -> None:
    failure = ExchangeFailure(code=DENIED, phase="manifest", status=403, provider=Provider.GOOGLE)
    assert explain_failure(failure, CREDENTIAL, parse_image_reference(image)).code == code


def test_a_login_that_is_tried_without_an_image() -> None:
    failure = ExchangeFailure(code=REJECTED, phase="ping", status=401, granted=False)
    finding = explain_failure(failure, CREDENTIAL)
    assert finding.evidence == {
        "host": "r.example", "level": "repository", "prefix": "P", "phase": "ping", "status": "401",
        "token_is_for_this_pull": "no",
    }  # fmt: skip
    assert explain_failure(replace(failure, code=ANONYMOUS), Anonymous()).evidence["credential"] == "none"


@pytest.mark.parametrize(
    "url,other",
    [("https://r.example/v2/", ""), ("https://auth.example/token", "auth.example"), ("nowhere", "")],
)
def test_a_failed_connection(url: str, other: str) -> None:
    for code in CONNECTION:
        problem = UpstreamFailed("It failed.", code=code)
        finding = explain_connection(problem, "r.example", CREDENTIAL, ExchangeRequest(phase="token", url=url))
        assert (finding.code, finding.sentence, finding.evidence["phase"]) == (code, "It failed.", "token")
        assert finding.evidence.get("other_host", "") == other


@pytest.mark.parametrize(
    "url,allowed",
    [("https://r.example/v2/", "r.example:443"), ("http://127.0.0.1:5000/v2/", "127.0.0.1:5000")],
)
def test_c9_the_setting_s_new_entry_is_ready_to_copy(url: str, allowed: str) -> None:
    problem = UpstreamFailed("No.", code="registry.address_forbidden")
    finding = explain_connection(problem, "r.example", CREDENTIAL, ExchangeRequest(phase="ping", url=url))
    assert f"add {allowed} (or its network) to BERTH_PRIVATE_ADDRESSES" in finding.next_step
