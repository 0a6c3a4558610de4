"""What can be wrong with an image, by REGISTRY_CREDENTIALS B3, C2 and C3: one table for `services/test_doctor_causes.py`.

A case is played once with what is wrong, and once without it: that is its control.
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from tests.doctor_world import Triple
from tests.fakes.ecr import DENIED as ECR_DENIED
from tests.fakes.ecr import KEY_ID, SECRET, SESSION_TOKEN, TEMPORARY_ID, FakeECR, Key, denial
from tests.fakes.ecr import error as ecr_error
from tests.fakes.http_server import Asked, Handler, Reply
from tests.fakes.provider_registry import CONFIG, MANIFEST, PASSWORD, ProviderRegistry, error
from tests.fakes.providers import PROGRAMS, PUBLIC_ECR, WEB_SITE

from berth.domain.finding import Fixer
from berth.domain.image_reference import Digest
from berth.domain.media_type import MANIFEST_TYPES
from berth.domain.registry_provider import Provider
from berth.domain.secret import SecretLevel

WRONG = "c4nary-wr0ng-one-of-ana"
YOU, KEEPER, SITE, REPOSITORY_ADMIN = Fixer.DEVELOPER, Fixer.REGISTRY, Fixer.SITE_ADMIN, Fixer.REPOSITORY_ADMIN
REJECTED, DENIED, MISSING = "image.unauthorized", "image.denied", "image.not_found"
NO_CREDENTIAL, EXPIRED = "image.credential_missing", "image.token_expired"
HUB, GHCR, ACR, GOOGLE, ECR, GITLAB = (
    Provider.DOCKER_HUB, Provider.GHCR, Provider.ACR, Provider.GOOGLE, Provider.ECR, Provider.GITLAB,
)  # fmt: skip
QUAY, HARBOR, JFROG, GITEA, OCEAN, PLAIN = (
    Provider.QUAY, Provider.HARBOR, Provider.JFROG, Provider.GITEA, Provider.DIGITALOCEAN, Provider.PLAIN,
)  # fmt: skip
PLAIN_HOST = PROGRAMS[PLAIN].host
PLAIN_NAME = PLAIN_HOST.partition(":")[0]


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is asked for, who answers how, and what is told: code, who mends it, words of the remedy, evidence.

    Without a code it is no failure, and shown to be none.
    `answers` and `leads` are what is wrong outside: who answers for a host, where a name leads. The control has neither,
    and `good` in the place of image and triples.
    """

    image: str
    code: str
    remedy: str
    fixer: Fixer = REPOSITORY_ADMIN
    triples: tuple[Triple, ...] = ()
    login: str = "olga"
    answers: Callable[[], Mapping[str, Handler]] = dict
    leads: Mapping[str, str] = field(default_factory=dict)
    ahead_min: int = 0
    evidence: Mapping[str, str] = field(default_factory=dict)
    said: str = ""  # by one of the checks
    good: tuple[str, tuple[Triple, ...]]


def provider_case(provider: Provider, code: str, remedy: str, phase: str, status: int, **changes: object) -> Case:
    """Of a provider's program: another user, password, path or tag; `program` plays it otherwise."""
    program = PROGRAMS[provider]
    values: dict[str, object] = {"user": "ana", "password": PASSWORD, "path": program.path, "tag": "1"} | changes
    bad = values.pop("program", None)
    anonymous = values.pop("anonymous", False)
    triple = Triple(server=program.host, user=str(values["user"]), password=str(values["password"]))
    fixer = values.get("fixer", YOU if code in {MISSING, NO_CREDENTIAL} else REPOSITORY_ADMIN)
    assert isinstance(fixer, Fixer)
    return Case(
        image=f"{program.host}/{values['path']}:{values['tag']}",
        code=code,
        remedy=remedy,
        fixer=fixer,
        triples=() if anonymous else (triple,),
        answers=lambda: dict.fromkeys(program.names, bad) if isinstance(bad, ProviderRegistry) else {},
        evidence={"phase": phase, "status": str(status)} | ({"tags": "1.1 1"} if values["tag"] == "1.2" else {}),
        good=good_of(program),
    )


def good_of(program: ProviderRegistry) -> tuple[str, tuple[Triple, ...]]:
    user = "AWS" if program in (PROGRAMS[ECR], PUBLIC_ECR) else "ana"
    return f"{program.host}/{program.path}:1", (Triple(server=program.host, user=user, password=PASSWORD),)


def bad(provider: Provider, remedy: str, status: int = 401, *, phase: str = "token", **changes: object) -> Case:
    code = str(changes.pop("code", REJECTED))
    return provider_case(provider, code, remedy, phase, status, **({"password": WRONG} | changes))


def denied(
    provider: Provider, remedy: str, status: int = 401, path: str = "others/team/app", **changes: object
) -> Case:
    return provider_case(provider, str(changes.pop("code", DENIED)), remedy, "manifest", status, path=path, **changes)


def missing(provider: Provider, remedy: str = "name and tag") -> Case:
    user = {"user": "AWS"} if provider is ECR else {}
    return provider_case(provider, MISSING, remedy, "manifest", 404, tag="1.2", **user)


def of_ecr(code: str, remedy: str, path: str, status: int = 403, **changes: object) -> Case:
    """At a registry of AWS's, with a ready token."""
    return provider_case(ECR, code, remedy, "manifest", status, user="AWS", path=path, **changes)


PROVIDER_CASES = {
    "hub: bad login": bad(HUB, "personal access token"),
    "hub: an e-mail address": bad(HUB, "Docker ID", user="ana@example.com"),
    "hub: a token without the scope": bad(HUB, "Read-only", password="public-only", code="image.scope_missing"),
    "hub: no right or missing": denied(HUB, "Read-only"),
    "hub: missing tag": missing(HUB),
    "hub: the limit": denied(
        HUB, "Wait for at most 6 h", 429, "acme/popular", code="registry.rate_limited", fixer=YOU
    ),
    "hub: blocked": bad(
        HUB, "wait 15 min", 429, password="again-and-again", code="registry.login_blocked", fixer=YOU
    ),
    "hub: no credential": provider_case(HUB, NO_CREDENTIAL, "berth registry add docker.io", "manifest", 401, anonymous=True),
    "ghcr: bad login": bad(GHCR, "ghp_", 403),
    "ghcr: a fine-grained token": bad(GHCR, "classic token", 403, password="github_pat_c4nary"),
    "ghcr: no right or missing": denied(GHCR, "Configure SSO", 403),
    "ghcr: missing tag": missing(GHCR),
    "ghcr: half a name": denied(GHCR, "Mend the image's name", 403, "app", code="image.name_incomplete", fixer=YOU),
    "acr: bad login": bad(ACR, "admin user"),
    "acr: an expired secret": bad(ACR, "az ad sp credential reset", password="expired-secret"),
    "acr: a name for an id": bad(ACR, "application (client) id", password="of-a-name"),
    "acr: an expired refresh token": bad(
        ACR, "service principal", user="00000000-0000-0000-0000-000000000000", code=EXPIRED
    ),
    "acr: no right or missing": denied(ACR, "AcrPull"),
    "acr: missing tag": missing(ACR),
    "acr: the firewall": denied(ACR, "network settings", 403, "fenced", code="registry.firewall", fixer=KEEPER),
    "google: bad key": bad(GOOGLE, "new key"),
    "google: an expired access token": bad(GOOGLE, "service account", user="oauth2accesstoken", code=EXPIRED),
    "google: a damaged key": bad(
        GOOGLE, "Set USER and PASSWORD", user="_json_key", code="credential_form.json_key"
    ),
    "google: no right or missing": denied(GOOGLE, "artifactregistry.reader", 403),
    "google: half a name": denied(
        GOOGLE, "Mend the image's name", 403, "acme/app", code="image.name_incomplete", fixer=YOU
    ),
    "google: missing tag": missing(GOOGLE),
    "google: no credential": provider_case(GOOGLE, NO_CREDENTIAL, "host of its own", "token", 403, anonymous=True),
    "ecr: no token of AWS's": bad(ECR, "an access key's id and secret", phase="manifest", user="AWS"),
    "ecr: no right": of_ecr(DENIED, "ecr:BatchGetImage", "others/team/app"),
    "ecr: IAM does not allow it": of_ecr(DENIED, "docs/registries.md", "team/unlisted"),
    "ecr: another account": of_ecr(DENIED, "repository's policy there", "team/theirs", fixer=KEEPER),
    "ecr: a policy forbids it": of_ecr(DENIED, "Have the Deny removed", "team/forbidden"),
    "ecr: missing tag": missing(ECR, "lifecycle policy"),
    "ecr: no such repository": of_ecr(MISSING, "account and region", "team/nothing", 404),
    "ecr: an expired token": of_ecr(EXPIRED, "AWS keys in its place", "team/old"),
    "ecr: the same as a bare text": of_ecr(EXPIRED, "AWS keys in its place", "team/older"),
    "ecr: a token of another region": of_ecr(EXPIRED, "of the right region", "team/elsewhere"),
    "ecr public: an expired token": Case(
        image="public.ecr.aws/acme/old:1", code=EXPIRED, remedy="AWS keys in its place",
        triples=good_of(PUBLIC_ECR)[1], evidence={"phase": "manifest", "status": "400"}, good=good_of(PUBLIC_ECR),
    ),
    "gitlab: bad login": bad(GITLAB, "deploy token"),
    "gitlab: no access": provider_case(GITLAB, DENIED, "Reporter", "token", 403, path="acme/secret"),
    "gitlab: no right or missing": denied(GITLAB, "Reporter"),
    "gitlab: missing tag": missing(GITLAB),
    "quay: bad login": bad(QUAY, "NAMESPACE+ROBOT"),
    "quay: no such robot": bad(QUAY, "full name", password="no-robot"),
    "quay: no right or missing": denied(QUAY, "Give that robot"),
    "quay: missing tag": missing(QUAY),
    "quay: an expired tag": denied(QUAY, "Push it again", 404, "acme/old", code="image.tag_expired", fixer=YOU),
    "quay: a closed namespace": denied(
        QUAY, "keeps that namespace", 405, "acme/closed", code="registry.namespace_disabled", fixer=KEEPER
    ),
    "quay: the quota": denied(QUAY, "quota raised", 403, "acme/full", code="registry.quota_exceeded", fixer=KEEPER),
    "quay: a nested name": denied(QUAY, "NAMESPACE/NAME", 400, "acme/a/b", code="image.name_refused", fixer=YOU),
    "harbor: bad login": bad(HARBOR, "CLI secret"),
    "harbor: an eaten $": bad(HARBOR, "single quotes", user="robot"),
    "harbor: an expired robot": bad(HARBOR, "refresh its secret", user="robot$acme+ci"),
    "harbor: no right or missing": denied(HARBOR, "in that project"),
    "harbor: the same by its token service": provider_case(
        HARBOR, DENIED, "in that project", "token", 401, path="acme/other",
        program=replace(PROGRAMS[HARBOR], special={("token", "acme/other"): PROGRAMS[HARBOR].denied}),
    ),
    "harbor: missing tag": missing(HARBOR),
    "jfrog: bad login": bad(JFROG, "lower case"),
    "jfrog: half a token": bad(JFROG, "identity token", password="half-a-token"),
    "jfrog: no right": denied(JFROG, "Docker repository", 403),
    "jfrog: the same by its token service": provider_case(
        JFROG, DENIED, "Docker repository", "token", 401, path="dev/other",
        program=replace(
            PROGRAMS[JFROG],
            special={("token", "dev/other"): error(401, "UNAUTHORIZED", "The client does not have permission for manifest")},
        ),
    ),
    "jfrog: missing tag": missing(JFROG),
    "jfrog: the access method": provider_case(
        JFROG, "registry.not_a_registry", "Set Me Up", "ping", 404, fixer=YOU,
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
    "plain: no credential": provider_case(
        PLAIN, NO_CREDENTIAL, "berth registry add r.test", "ping", 401, anonymous=True
    ),
}  # fmt: skip

# --- AWS's token API, and the registry behind it (B3)

ACCOUNT = "210987654321.dkr.ecr.eu-west-1.amazonaws.com"
API = "api.ecr.eu-west-1.amazonaws.com"
MISSPELT = ACCOUNT.replace("eu-west-1", "us-est-1")
KEYS = Triple(server=ACCOUNT, user=KEY_ID, password=SECRET)
TEMPORARY = replace(KEYS, user=TEMPORARY_ID, session_token=SESSION_TOKEN)
READY_EXPIRED = base64.b64encode(json.dumps({"expiration": 1767225600}).encode()).decode()
CONTENT = {
    "/v2/team/app/manifests/1": Reply(headers={"Content-Type": MANIFEST_TYPES[1]}, body=MANIFEST),
    f"/v2/team/app/blobs/{Digest.of(CONFIG)}": Reply(body=CONFIG),
}
_TOO_OLD = denial(403, "DENIED", "Your authorization token has expired. Reauthenticate and try again.")


def amazon(**changes: object) -> Mapping[str, Handler]:
    """Both hosts of one AWS."""
    return dict.fromkeys((API, ACCOUNT), FakeECR(content=CONTENT, **changes))  # type: ignore[arg-type]


def refusing(*replies: Reply) -> Callable[[], Mapping[str, Handler]]:
    return lambda: amazon(refuse=list(replies))


def ending(*, tokens: int, then: Reply | None = None) -> Callable[[], Mapping[str, Handler]]:
    """An AWS that has ended the first few tokens, whatever it said of their life; `then` it answers the next swap so."""

    def make() -> Mapping[str, Handler]:
        fake = FakeECR(content=CONTENT)

        def registry(asked: Asked) -> Reply:
            shown = asked.headers.get("authorization", "")
            if shown and len(fake.tokens) <= tokens:
                fake.refuse = [] if then is None else [then]
                return _TOO_OLD
            return fake(asked)

        return {API: fake, ACCOUNT: registry}

    return make


def swap(code: str, remedy: str, error_code: str = "", **changes: object) -> Case:
    values: dict[str, object] = {"image": f"{ACCOUNT}/team/app:1", "triples": (KEYS,)} | changes
    evidence = {"phase": "swap"} | ({"error_code": error_code} if error_code else {})
    return Case(code=code, remedy=remedy, evidence=evidence, good=(f"{ACCOUNT}/team/app:1", (KEYS,)), **values)  # type: ignore[arg-type]


THROTTLED, FAILING = ecr_error(400, "ThrottlingException", "Rate exceeded"), ecr_error(500, "ServerException", "x")
ECR_CASES = {
    "aws: an unknown key": swap("ecr.key_unknown", "console (IAM)", "UnrecognizedClientException", answers=lambda: amazon(keys={})),
    "aws: another session token": swap(
        "ecr.key_unknown", "console (IAM)", triples=(replace(TEMPORARY, session_token=SESSION_TOKEN[::-1].strip("=")),),
    ),
    "aws: a wrong secret": swap(
        "ecr.secret_wrong", "all of its 40 characters", "InvalidSignatureException", triples=(replace(KEYS, password=SECRET[::-1]),)
    ),
    "aws: our clock is ahead": swap("ecr.clock_skew", "by NTP", ahead_min=20, fixer=SITE),
    "aws: our clock is behind": swap("ecr.clock_skew", "by NTP", ahead_min=-20, fixer=SITE),
    "aws: no right": swap("ecr.access_denied", "Allow ecr:GetAuthorizationToken", answers=refusing(ECR_DENIED)),
    "aws: expired temporary keys": swap(
        "ecr.keys_expired", "SESSION_TOKEN of new ones", "ExpiredTokenException", triples=(TEMPORARY,),
        answers=lambda: amazon(keys={TEMPORARY_ID: Key(session_token=SESSION_TOKEN, expired=True)}),
    ),
    "aws: a malformed key": swap(
        "ecr.key_malformed", "without quotes", answers=refusing(ecr_error(400, "IncompleteSignatureException", "x"))
    ),
    "aws: a region that is off": swap(
        "ecr.not_opted_in", "Enable the region eu-west-1", answers=refusing(ecr_error(403, "OptInRequired", "x"))
    ),
    "aws: a misspelt region": swap(
        "ecr.region_unknown", "Check the region in SERVER", "registry.name_unknown", image=f"{MISSPELT}/team/app:1",
        triples=(replace(KEYS, server=MISSPELT),),
    ),
    "aws: too often": swap("ecr.throttled", "in a minute", answers=refusing(*[THROTTLED] * 3), fixer=YOU),
    "aws: AWS fails": swap("ecr.server_error", "health dashboard", answers=refusing(*[FAILING] * 3), fixer=KEEPER),
    "aws: not reached": swap(
        "ecr.unreachable", f"https://{API}", "registry.unreachable", leads={API: "a closed port"}, fixer=SITE
    ),
    "aws: no certificate": swap("ecr.unreachable", f"https://{API}", "registry.tls", leads={API: "another name"}, fixer=SITE),
    "aws: silence": swap("ecr.unreachable", f"https://{API}", "registry.timeout", leads={API: "silence"}, fixer=SITE),
    "aws: a new code": swap(
        "ecr.refused", "API reference", "SomethingNewException", answers=refusing(ecr_error(400, "SomethingNewException", "x"))
    ),
    "aws: no answer of AWS's": swap("ecr.bad_answer", "ECR_ENDPOINT", answers=refusing(WEB_SITE), fixer=SITE),
    "aws: an old ready token": Case(
        image=f"{ACCOUNT}/team/app:1", code="ecr.token_expired", remedy="swaps for a new token by itself",
        triples=(Triple(server=ACCOUNT, user="AWS", password=READY_EXPIRED),), good=(f"{ACCOUNT}/team/app:1", (KEYS,)),
    ),
    "aws: keys the wrong way round": Case(
        image=f"{ACCOUNT}/team/app:1", code="credential.aws_keys_refused", remedy="all at the repository level",
        triples=(replace(KEYS, user=SECRET, password=KEY_ID),), good=(f"{ACCOUNT}/team/app:1", (KEYS,)),
    ),
    "aws: every token is ended": Case(
        image=f"{ACCOUNT}/team/app:1", code=EXPIRED, remedy="look at them in IAM", triples=(KEYS,), answers=ending(tokens=99),
        evidence={"phase": "manifest", "status": "403"}, good=(f"{ACCOUNT}/team/app:1", (KEYS,)),
    ),
    "aws: a token is ended, and then the key": swap(
        "ecr.key_unknown", "console (IAM)", answers=ending(tokens=99, then=ecr_error(400, "UnrecognizedClientException", "x")),
    ),
}  # fmt: skip

# --- the network, TLS, and what is no registry (C3, C9)


def at_plain(code: str, remedy: str, fixer: Fixer = KEEPER, **changes: object) -> Case:
    values: dict[str, object] = {"image": f"{PLAIN_HOST}/app:1", "triples": good_of(PROGRAMS[PLAIN])[1]} | changes
    return Case(code=code, remedy=remedy, fixer=fixer, good=good_of(PROGRAMS[PLAIN]), **values)  # type: ignore[arg-type]


def leading(place: str, code: str, remedy: str, fixer: Fixer = KEEPER) -> Case:
    return at_plain(code, remedy, fixer, leads={PLAIN_NAME: place})


def playing(handler: Handler, code: str, remedy: str, fixer: Fixer = KEEPER, **changes: object) -> Case:
    return at_plain(code, remedy, fixer, answers=lambda: {PLAIN_HOST: handler}, **changes)


PRIVATE_PLACES: Mapping[str, tuple[str, ...]] = {
    "loopback": ("127.0.0.1",),
    "a private address": ("10.0.0.1",),
    "one of two is private": ("140.82.112.33", "192.168.0.1"),
    "carrier-grade NAT": ("100.64.0.1",),
    "the metadata service": ("169.254.169.254",),
    "the same in IPv6": ("::ffff:169.254.169.254",),
    "the same by NAT64": ("64:ff9b::a9fe:a9fe",),
    "IPv6's own metadata service": ("fd00:ec2::254",),
    "no address at all": ("0.0.0.0",),
}
_OTHER_PLATFORM = {"digest": str(Digest.of(MANIFEST)), "platform": {"os": "linux", "architecture": "s390x"}}
_INDEX = json.dumps({"mediaType": MANIFEST_TYPES[0], "manifests": [_OTHER_PLATFORM]}).encode()
_ARTIFACT = MANIFEST.replace(b"application/vnd.oci.image.config.v1+json", b"application/vnd.oci.empty.v1+json")


def serving(body: bytes, *, media_type: str = MANIFEST_TYPES[1], config: Reply | None = None) -> Handler:
    """The plain registry with another manifest, or another configuration."""
    good = PROGRAMS[PLAIN]
    special = {("manifest", "app"): Reply(headers={"Content-Type": media_type}, body=body)}

    def answer(asked: Asked) -> Reply:
        reply = replace(good, special=special)(asked)
        return config if config is not None and "/blobs/" in asked.path and reply.status == 200 else reply

    return answer


def bearer(asked: Asked) -> Reply:
    """A token service whose tokens its registry does not believe."""
    if asked.path == "/token":
        return Reply(body=b'{"token": "t0ken"}')
    invalid = ',error="invalid_token"' if "authorization" in asked.headers else ""
    challenge = f'Bearer realm="https://{PLAIN_HOST}/token",service="s"{invalid}'
    return replace(error(401, "UNAUTHORIZED"), headers={"WWW-Authenticate": challenge})


def realm_elsewhere(asked: Asked) -> Reply:
    return replace(bearer(asked), headers={"WWW-Authenticate": 'Bearer realm="https://sink.test/token",service="s"'})


NETWORK_CASES = {
    "no such name": leading("no such name", "registry.name_unknown", "Check the spelling", YOU),
    "a name server that is silent": leading("a slow name", "registry.name_timeout", "this server's DNS", SITE),
    **{
        f"C9: {place}": leading(place, "registry.address_forbidden", "BERTH_PRIVATE_ADDRESSES", SITE)
        for place in PRIVATE_PLACES
    },
    "a closed port": leading("a closed port", "registry.unreachable", "Check the port"),
    "no TLS handshake": leading("no handshake", "registry.connect_timeout", "firewall in between", SITE),
    "another name's certificate": leading("another name", "registry.tls", "valid certificate"),
    "an unknown authority": leading("an unknown authority", "registry.tls", "BERTH_CA_FILE"),
    "plain HTTP": leading("plain HTTP", "registry.tls", "BERTH_INSECURE_REGISTRIES"),
    "ssh": leading("ssh", "registry.bad_answer", "its port"),
    "a flood": leading("a flood", "registry.answer_too_big", "is a container registry"),
    "silence": leading("silence", "registry.timeout", "Try again"),
    "a web site": playing(lambda _: WEB_SITE, "registry.not_a_registry", "_CONTAINER_REGISTRY_SERVER", YOU),
    "a failing registry": playing(lambda _: Reply(status=503), "registry.server_error", "Try again later"),
    "a token service elsewhere": playing(realm_elsewhere, "registry.realm_elsewhere", "BERTH_TOKEN_REALMS", SITE),
    "a token that is not believed": playing(bearer, "registry.token_refused", "two clocks"),
    "another platform": playing(
        serving(_INDEX, media_type=MANIFEST_TYPES[0]), "image.platform_missing", "for the engine's platform", YOU
    ),
    "an artifact": playing(serving(_ARTIFACT), "image.unsupported", "current tool", YOU),
    "another configuration": playing(serving(MANIFEST, config=Reply(body=b"{}")), "image.unproven", "all of it"),
    "another digest": playing(
        serving(MANIFEST), "image.digest_mismatch", "Do not use", image=f"{PLAIN_HOST}/app@sha256:{'0' * 64}"
    ),
}  # fmt: skip

# --- triples (C1 to C4, S3, S6), and a login that does harm

USER, ORGANIZATION, REPOSITORY = SecretLevel.USER, SecretLevel.ORGANIZATION, SecretLevel.REPOSITORY
GOOD = good_of(PROGRAMS[PLAIN])[1][0]


def triples(code: str, remedy: str, *these: Triple, fixer: Fixer = REPOSITORY_ADMIN, **changes: object) -> Case:
    return at_plain(code, remedy, fixer, triples=these, **changes)


def public(asked: Asked) -> Reply:
    """GitHub's registry with an image that anybody may pull: a bad login is refused all the same."""
    shown = asked.headers.get("authorization", "")
    opened = {"authorization": f"Bearer token-{PASSWORD}"} if shown == "Bearer token-" else {}
    return PROGRAMS[GHCR](replace(asked, headers={**asked.headers, **opened}))


INCOMPLETE = "credential.incomplete"
TRIPLE_CASES = {
    "C1: incomplete": triples(INCOMPLETE, "all at the repository level", replace(GOOD, password=""), said="PASSWORD"),
    "C1: mixed levels": triples(
        INCOMPLETE, "all at the repository level",
        replace(GOOD, user=""), Triple(server="", user="ana", level=ORGANIZATION),
        said="P_CONTAINER_REGISTRY_USER has no value at the repository level",
    ),
    "C1: mixed prefixes": triples(
        INCOMPLETE, "Set P_CONTAINER_REGISTRY_SERVER",
        replace(GOOD, password=""), Triple(server="", user="", password=PASSWORD, prefix="Q"),
        said="P_CONTAINER_REGISTRY_PASSWORD",
    ),
    "C2: shadowed by a bad one": triples(
        REJECTED, "Make a new password", replace(GOOD, password=WRONG, level=USER), GOOD, fixer=YOU,
        evidence={"level": "user", "prefix": "P"},
        said="user level comes before",
    ),
    "C2: two at one level": triples(
        REJECTED, "Make a new password", replace(GOOD, password=WRONG, prefix="A"), GOOD, evidence={"prefix": "A"},
        said="alphabetical",
    ),
    "C2: the organization's": triples(
        REJECTED, "Make a new password", replace(GOOD, password=WRONG, level=ORGANIZATION), fixer=Fixer.ORGANIZATION_OWNER,
    ),
    "C3: a server that cannot be normalised": triples(
        NO_CREDENTIAL, "berth registry add r.test", replace(GOOD, server=f"https://u:{WRONG}@{PLAIN_HOST}"), fixer=YOU,
        said="cannot be used",
    ),
    "C4: another host": triples(
        NO_CREDENTIAL, "berth registry add r.test", replace(GOOD, server=f"not-{PLAIN_HOST}"), fixer=YOU,
        said="No secrets name",
    ),
    "S3: not shared with the repository": triples(
        "credential.not_shared", "Select the repository", replace(GOOD, level=USER, shared=False), fixer=YOU,
        said="do not select this repository",
    ),
    "S6: withheld": triples(
        NO_CREDENTIAL, "Have that changed, if it can be", GOOD, fixer=YOU, login="rita",
        said="withheld",
    ),
    "C2: a bad one that is shadowed": triples(
        "", "", GOOD, Triple(server=PLAIN_HOST, password=WRONG, level=ORGANIZATION, prefix="Z"), said="repository level comes",
    ),
    "C3: a server that was repaired": triples("", "", replace(GOOD, server=f"https://{PLAIN_HOST.upper()}/"), said="was removed"),
    "a user that no login can send": triples(
        "credential.user_refused", "all at the repository level", replace(GOOD, user="a:b"),
    ),
    "a base64 key that is none": bad(
        GOOGLE, "in a form that europe-docker.pkg.dev takes", user="_json_key_base64", code="credential_form.json_key_base64"
    ),
    "a JSON key with another user": bad(
        GOOGLE, "in a form that", code="credential_form.json_key_user",
        password=json.dumps({"private_key": WRONG, "client_email": "x"}),
    ),
    "a bad login for a public image": replace(
        bad(GHCR, "Delete the three secrets", 403, code="credential.breaks_public_image"), answers=lambda: {"ghcr.io": public}
    ),
}  # fmt: skip

CASES: Mapping[str, Case] = {**PROVIDER_CASES, **ECR_CASES, **NETWORK_CASES, **TRIPLE_CASES}
PARTIES: Mapping[str, Handler] = {
    **{name: program for program in (*PROGRAMS.values(), PUBLIC_ECR) for name in program.names},
    **amazon(),
}
