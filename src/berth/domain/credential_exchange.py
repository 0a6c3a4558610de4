"""How a registry is asked for an image: the requests in order, without a socket.

`pull_exchange`, `feature_exchange` and `login_exchange` are generators. They yield an ExchangeRequest, are sent the
ExchangeResponse, and return the result; whoever drives them does the network (`adapters/registry_http.py`) or has none (tests).

1. Ping `/v2/`. 401 names the ways to log in; Bearer is preferred to Basic.
2. Log in at most once. The password goes only where C7 lets it; the token goes only to the registry itself. The scope
   asked for is ours, never one that the registry names: a token for more would be a gift to it.
3. GET the manifest; of an index, the platform's manifest too. Its digest, over its bytes, is the image from then on: an
   engine that is given the index's could choose another of its manifests.
4. GET the image's configuration, and hold its bytes against its digest. A manifest proves nothing by itself: with the
   image id of somebody else's image in it, an engine that holds that image would ask for nothing more (L2).
5. A redirect of content is followed without any credential, three times at most, never from https to http. A redirect of
   the token service is refused; one of the ping is left to the manifest request.
6. A digest is binding, be it the reference's or a manifest's: other bytes are a failure.
7. Where a tag is missing the tags that are there are asked for, with the same authorization, one page of them.

Source: OCI distribution-spec v1.1, "Pulling manifests", "Checking if content exists in the registry"; distribution
`docs/content/spec/auth/token.md`. Signatures of real registries: their 403 at the token service means that no token was
given for this credential, so it counts as rejected (GHCR); 403 after a token means no right to the image.
"""

import base64
import re
from collections.abc import Collection, Generator, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlencode

from berth.domain.ecr_answer import is_token_too_old
from berth.domain.exchange_message import (
    ExchangeRequest,
    ExchangeResponse,
    Phase,
    RateLimit,
    digest_header,
    error_code,
    error_message,
    is_html,
    json_object,
    rate_limit,
)
from berth.domain.feature_manifest import MAX_LAYER_BYTES, read_feature_manifest
from berth.domain.image_manifest import check_config, choose_platform, read_image_manifest, read_manifest
from berth.domain.image_reference import Digest, ImageReference
from berth.domain.manifest import MAX_MANIFEST_BYTES
from berth.domain.media_type import INDEX_TYPES, MANIFEST_TYPES
from berth.domain.problem import Invalid
from berth.domain.registry_challenge import (
    TOKEN_REALMS,
    Challenge,
    calls_token_invalid,
    may_send_password,
    parse_challenges,
    registry_address,
)
from berth.domain.registry_credential import Anonymous, RegistryCredential
from berth.domain.registry_host import normalise_registry_host, parse_web_address, redirect_target
from berth.domain.registry_provider import Provider, provider_of_host, recognise_provider
from berth.domain.registry_tags import MAX_TAGS_BYTES, near_tags, read_tags
from berth.domain.secret_text import SecretText
from berth.domain.token_grant import grants_pull

MAX_REDIRECTS = 3

_BEARER_TOKEN = re.compile(r"[!-~]+")
_CONTENT: frozenset[Phase] = frozenset({"config", "layer"})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The registry showed the image's manifest and configuration: the credential has the right to it."""

    digest: Digest
    media_type: str
    size_bytes: int
    token: SecretText | None = None  # what the token service gave for a pull; None without one
    password_shown: bool = False  # to the registry itself: it wants Basic


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedFeature:
    """The registry showed the Feature: the digest of its manifest, and its archive, which has the manifest's digest."""

    digest: Digest
    archive: bytes


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """The registry took the credential, or asks for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeFailure:
    """Why not. `code` is stable: the finding's. `error_code` is the registry's own, if it sent one.

    `said` is its message, in lower case: to tell causes apart, never to be shown.
    """

    code: str
    phase: Phase
    status: int
    error_code: str = ""
    reason: str = ""
    other_host: str = ""  # where the registry pointed to
    provider: Provider = Provider.PLAIN
    said: str = field(default="", repr=False)
    limit: RateLimit | None = None
    tags: tuple[str, ...] = ()  # some that are there, the nearest first
    granted: bool | None = None  # whether the token says that it is for this pull; None: it does not say


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangePolicy:
    """What the administrator set: the token services on other hosts (C7), and registries asked over plain http."""

    realm_table: Mapping[str, str] = field(default_factory=lambda: TOKEN_REALMS)
    insecure_hosts: Collection[str] = frozenset()


@dataclass(slots=True, kw_only=True)
class _Session:
    """One exchange: what was asked with, and what came of it so far."""

    host: str
    credential: RegistryCredential | Anonymous
    policy: ExchangePolicy
    scope: str
    authorization: SecretText | None = None
    token: SecretText | None = None
    scheme: str = ""  # what the login used; empty before it
    other_host: str = ""
    provider: Provider = Provider.PLAIN

    def url(self, path: str) -> str:
        registry = registry_address(self.host, self.policy.insecure_hosts)
        return f"{registry.scheme}://{registry.host}{path}"

    def fail(self, code: str, phase: Phase, status: int, reason: str = "") -> ExchangeFailure:
        return ExchangeFailure(
            code=code,
            phase=phase,
            status=status,
            reason=reason,
            other_host=self.other_host,
            provider=self.provider,
        )


_Answer = Generator[ExchangeRequest, ExchangeResponse, ExchangeResponse | ExchangeFailure]
_Login = Generator[ExchangeRequest, ExchangeResponse, ExchangeFailure | None]
_Tags = Generator[ExchangeRequest, ExchangeResponse, ExchangeFailure]
_Proof = Generator[ExchangeRequest, ExchangeResponse, Resolved | ExchangeFailure]


def pull_exchange(
    image: ImageReference, credential: RegistryCredential | Anonymous, policy: ExchangePolicy, architecture: str
) -> _Proof:
    """Ask for the image with this credential and no other (policy 1 to 6)."""
    session = _session(image.host, credential, policy, f"repository:{image.path}:pull")
    response = yield from _ask_for_manifest(session, image)
    if isinstance(response, ExchangeFailure):
        return response
    return (yield from _prove(session, image, response, architecture))


def feature_exchange(
    feature: ImageReference, credential: RegistryCredential | Anonymous, policy: ExchangePolicy
) -> Generator[ExchangeRequest, ExchangeResponse, ResolvedFeature | ExchangeFailure]:
    """Ask for a Feature in the same way, and for the one layer that it has."""
    session = _session(feature.host, credential, policy, f"repository:{feature.path}:pull")
    response = yield from _ask_for_manifest(session, feature)
    if isinstance(response, ExchangeFailure):
        return response
    digest = feature.digest or digest_header(response) or Digest.of(response.body)
    failure = _check(session, "manifest", response, digest)
    if failure is not None:
        return failure
    try:
        layer = read_feature_manifest(response)
    except Invalid as refusal:
        return session.fail(refusal.code, "manifest", 200, refusal.message)
    answer = yield from _fetch(session, "layer", f"/v2/{feature.path}/blobs/{layer}", layer)
    return answer if isinstance(answer, ExchangeFailure) else ResolvedFeature(digest=digest, archive=answer.body)


def _ask_for_manifest(session: _Session, image: ImageReference) -> _Answer:
    credential = session.credential
    if isinstance(credential, RegistryCredential) and credential.host != normalise_registry_host(image.host).host:
        return session.fail("credential.other_host", "ping", 0)  # C4, whoever called
    failure = yield from _ping(session)
    if failure is not None:
        return failure
    target = f"/v2/{image.path}/manifests/{image.reference}"
    response = yield from _follow(session, "manifest", target)
    if isinstance(response, ExchangeResponse) and response.status == 401 and not (session.scheme or session.other_host):
        failure = yield from _log_in(session, "manifest", response)
        if failure is not None:
            return failure
        response = yield from _follow(session, "manifest", target)
    return response


def _prove(session: _Session, image: ImageReference, response: ExchangeResponse, architecture: str) -> _Proof:
    """From the manifest to the configuration (policy 3, 4 and 6)."""
    phase: Phase = "manifest"
    digest = image.digest or digest_header(response) or Digest.of(response.body)
    failure = _check(session, phase, response, digest)
    if failure is not None:
        return (yield from _with_tags(session, image, failure))
    try:
        media_type, manifest = read_manifest(response)
        if media_type in INDEX_TYPES:
            digest, phase = choose_platform(manifest, architecture), "platform"
            answer = yield from _fetch(session, phase, f"/v2/{image.path}/manifests/{digest}", digest)
            if isinstance(answer, ExchangeFailure):
                return answer
            media_type, manifest = read_manifest(answer)
            response = answer
        described = read_image_manifest(manifest)
        phase = "config"
        config = yield from _fetch(session, phase, f"/v2/{image.path}/blobs/{described.config}", described.config)
        if isinstance(config, ExchangeFailure):
            return config
        check_config(config.body, described)
    except Invalid as refusal:
        return session.fail(refusal.code, phase, 200, refusal.message)
    return Resolved(
        digest=digest,
        media_type=media_type,
        size_bytes=len(response.body),
        token=session.token,
        password_shown=session.scheme == "basic",
    )


def _with_tags(session: _Session, image: ImageReference, failure: ExchangeFailure) -> _Tags:
    """The same failure with the tags that there are, where one is missing (policy 7)."""
    if failure.code != "image.not_found" or image.digest or image.tag is None or failure.error_code == "NAME_UNKNOWN":
        return failure
    response = yield ExchangeRequest(
        phase="tags",
        url=session.url(f"/v2/{image.path}/tags/list?n=1000"),
        authorization=session.authorization,
        max_body_bytes=MAX_TAGS_BYTES,
        optional=True,
    )
    tags = read_tags(response.body) if response.status == 200 else ()
    return replace(failure, tags=near_tags(image.tag, tags))


def _session(host: str, credential: RegistryCredential | Anonymous, policy: ExchangePolicy, scope: str) -> _Session:
    return _Session(host=host, credential=credential, policy=policy, scope=scope, provider=provider_of_host(host))


def login_exchange(
    credential: RegistryCredential, policy: ExchangePolicy
) -> Generator[ExchangeRequest, ExchangeResponse, LoggedIn | ExchangeFailure]:
    """Ask whether the registry takes the credential, as `docker login` does; no image is named."""
    session = _session(credential.host, credential, policy, "")
    failure = yield from _ping(session)
    if failure is not None:
        return failure
    if not session.scheme:
        return LoggedIn()
    url = session.url("/v2/")
    response = yield ExchangeRequest(phase="ping", url=url, authorization=session.authorization)
    return LoggedIn() if 200 <= response.status < 300 else _classify(session, "ping", response)


def _ping(session: _Session) -> _Login:
    response = yield ExchangeRequest(phase="ping", url=session.url("/v2/"))
    if response.status == 401:
        return (yield from _log_in(session, "ping", response))
    if response.status in _REDIRECTS and session.scope:
        return None  # policy 4
    if 200 <= response.status < 300 and not is_html(response):
        return None
    return _classify(session, "ping", response)


def _log_in(session: _Session, phase: Phase, response: ExchangeResponse) -> _Login:
    """Set the session's authorization as the challenge wants it."""
    challenges = parse_challenges(response.headers.get("www-authenticate", ""))
    session.provider = recognise_provider(session.host, challenges)
    by_scheme = {challenge.scheme: challenge for challenge in reversed(challenges)}
    if "bearer" in by_scheme:
        return (yield from _fetch_token(session, by_scheme["bearer"]))
    if "basic" not in by_scheme:
        return session.fail("registry.not_a_registry", phase, response.status, "It names no way to log in.")
    if isinstance(session.credential, Anonymous):
        return session.fail("image.credential_missing", phase, response.status)
    session.authorization, session.scheme = _basic(session.credential), "basic"
    return None


def _fetch_token(session: _Session, challenge: Challenge) -> _Login:
    """Swap the credential, or nothing, for a token. Nobody but an allowed host sees the password (C7)."""
    realm = challenge.parameters.get("realm", "")
    decision = may_send_password(session.host, realm, session.policy.realm_table, session.policy.insecure_hosts)
    anonymous = isinstance(session.credential, Anonymous)
    if not decision and not (anonymous and decision.realm_host and realm.startswith("https://")):
        session.other_host = decision.realm_host
        return session.fail("registry.realm_elsewhere", "token", 401, decision.reason)
    service = challenge.parameters.get("service", "")
    query = [pair for pair in (("service", service), ("scope", session.scope)) if pair[1]]
    response = yield ExchangeRequest(
        phase="token",
        url=f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}",
        accept="application/json",
        authorization=None if isinstance(session.credential, Anonymous) else _basic(session.credential),
    )
    if response.status != 200:
        return _classify(session, "token", response)
    body = json_object(response.body)
    token = body.get("token") or body.get("access_token")
    if not isinstance(token, str) or not _BEARER_TOKEN.fullmatch(token):
        return session.fail("registry.server_error", "token", 200, "Its token service answered without a token.")
    session.token = SecretText(token)
    session.authorization, session.scheme = SecretText(f"Bearer {token}"), "bearer"
    return None


def _follow(session: _Session, phase: Phase, path: str) -> _Answer:
    """Ask for content; the authorization goes to the registry only, never along a redirect (policy 5)."""
    url, authorization, status = session.url(path), session.authorization, 0
    session.other_host = ""
    for _ in range(1 + MAX_REDIRECTS):
        response = yield ExchangeRequest(
            phase=phase,
            url=url,
            accept="*/*" if phase in _CONTENT else ", ".join(MANIFEST_TYPES),
            authorization=authorization,
            max_body_bytes=MAX_LAYER_BYTES if phase == "layer" else MAX_MANIFEST_BYTES,
        )
        status = response.status
        if status not in _REDIRECTS:
            return response
        target = redirect_target(parse_web_address(url), response.headers.get("location", ""))
        if target is None:
            return session.fail("registry.not_a_registry", phase, status, "It redirects to no usable address.")
        url, authorization, session.other_host = target.url, None, target.host
    return session.fail("registry.not_a_registry", phase, status, "It redirects again and again.")


def _fetch(session: _Session, phase: Phase, path: str, digest: Digest) -> _Answer:
    response = yield from _follow(session, phase, path)
    if isinstance(response, ExchangeFailure):
        return response
    return _check(session, phase, response, digest) or response


def _check(session: _Session, phase: Phase, response: ExchangeResponse, digest: Digest) -> ExchangeFailure | None:
    """Whether the bytes are what was asked for (policy 6)."""
    if response.status != 200 or is_html(response):
        return _classify(session, phase, response)
    if Digest.of(response.body, digest.algorithm) == digest:
        return None
    return session.fail("image.unproven" if phase in _CONTENT else "image.digest_mismatch", phase, 200)


def _classify(session: _Session, phase: Phase, response: ExchangeResponse) -> ExchangeFailure:
    """The cause behind a status that is not success (module docstring, last paragraph)."""
    return replace(
        session.fail(_failure_code(session, phase, response), phase, response.status),
        error_code=error_code(response.body),
        said=error_message(response.body),
        limit=rate_limit(response),
        granted=None if session.token is None else grants_pull(session.token, session.scope),
    )


def _failure_code(session: _Session, phase: Phase, response: ExchangeResponse) -> str:
    status, challenge = response.status, response.headers.get("www-authenticate", "")
    if status == 429:
        return "registry.rate_limited"
    if status >= 500:
        return "registry.server_error"
    if phase == "token" and status in _REDIRECTS:
        return "registry.realm_elsewhere"
    if isinstance(session.credential, RegistryCredential) and is_token_too_old(session.credential.host, response):
        return "image.token_expired"
    if status == 401 and session.scheme == "bearer" and phase != "ping" and calls_token_invalid(challenge):
        return "registry.token_refused"
    if status in {401, 403}:
        if isinstance(session.credential, Anonymous):
            return "image.credential_missing"
        rejected = phase == "token" or (status == 401 and (phase == "ping" or session.scheme == "basic"))
        return "image.unauthorized" if rejected else "image.denied"
    if status == 404 and phase in {"platform", *_CONTENT}:
        return "image.unproven"
    if status == 404 and phase == "manifest" and not is_html(response):
        return "image.not_found"
    return "registry.not_a_registry"


def _basic(credential: RegistryCredential) -> SecretText:
    pair = f"{credential.user}:{credential.password.reveal()}"
    return SecretText(f"Basic {base64.b64encode(pair.encode()).decode()}")
