"""How a registry is asked for an image: the requests in order, without a socket.

`pull_exchange` and `feature_exchange` are generators, like `login_exchange.py`. They yield an ExchangeRequest, are sent the
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

What precedes the manifest, and what refusals mean: `exchange_session.py`.

Source: OCI distribution-spec v1.1, "Pulling manifests", "Checking if content exists in the registry"; distribution
`docs/content/spec/auth/token.md`.
"""

from collections.abc import Generator
from dataclasses import dataclass, replace

from berth.domain.exchange_message import ExchangeRequest, ExchangeResponse, Phase, digest_header, is_html
from berth.domain.exchange_session import (
    CONTENT,
    REDIRECTS,
    ExchangeFailure,
    ExchangePolicy,
    Session,
    classify,
    log_in,
    open_session,
    ping,
)
from berth.domain.feature_manifest import MAX_LAYER_BYTES, read_feature_manifest
from berth.domain.image_manifest import check_config, choose_platform, read_image_manifest, read_manifest
from berth.domain.image_reference import Digest, ImageReference
from berth.domain.login_exchange import LoginProof, weigh
from berth.domain.manifest import MAX_MANIFEST_BYTES
from berth.domain.media_type import INDEX_TYPES, MANIFEST_TYPES
from berth.domain.problem import Invalid
from berth.domain.registry_credential import Anonymous, RegistryCredential
from berth.domain.registry_host import normalise_registry_host, parse_web_address, redirect_target
from berth.domain.registry_tags import MAX_TAGS_BYTES, near_tags, read_tags
from berth.domain.secret_text import SecretText

MAX_REDIRECTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The registry showed the image's manifest and configuration: the credential has the right to it."""

    digest: Digest
    media_type: str
    size_bytes: int
    token: SecretText | None = None  # what the token service gave for a pull; None without one
    password_shown: bool = False  # to the registry itself: it wants Basic
    login_proof: LoginProof | None = None  # see `weigh`


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedFeature:
    """The registry showed the Feature: the digest of its manifest, and its archive, which has the manifest's digest."""

    digest: Digest
    archive: bytes
    login_proof: LoginProof | None = None  # see `weigh`


_Answer = Generator[ExchangeRequest, ExchangeResponse, ExchangeResponse | ExchangeFailure]
_Tags = Generator[ExchangeRequest, ExchangeResponse, ExchangeFailure]
_Proof = Generator[ExchangeRequest, ExchangeResponse, Resolved | ExchangeFailure]


def pull_exchange(
    image: ImageReference, credential: RegistryCredential | Anonymous, policy: ExchangePolicy, architecture: str
) -> _Proof:
    """Ask for the image with this credential and no other (policy 1 to 6)."""
    session = open_session(image.host, credential, policy, f"repository:{image.path}:pull")
    response = yield from _ask_for_manifest(session, image)
    if isinstance(response, ExchangeFailure):
        return response
    return (yield from _prove(session, image, response, architecture))


def feature_exchange(
    feature: ImageReference, credential: RegistryCredential | Anonymous, policy: ExchangePolicy
) -> Generator[ExchangeRequest, ExchangeResponse, ResolvedFeature | ExchangeFailure]:
    """Ask for a Feature in the same way, and for the one layer that it has."""
    session = open_session(feature.host, credential, policy, f"repository:{feature.path}:pull")
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
    if isinstance(answer, ExchangeFailure):
        return answer
    return ResolvedFeature(digest=digest, archive=answer.body, login_proof=weigh(session))


def _ask_for_manifest(session: Session, image: ImageReference) -> _Answer:
    credential = session.credential
    if isinstance(credential, RegistryCredential) and credential.host != normalise_registry_host(image.host).host:
        return session.fail("credential.other_host", "ping", 0)  # C4, whoever called
    failure = yield from ping(session)
    if failure is not None:
        return failure
    target = f"/v2/{image.path}/manifests/{image.reference}"
    response = yield from _follow(session, "manifest", target)
    if isinstance(response, ExchangeResponse) and response.status == 401 and not (session.scheme or session.other_host):
        failure = yield from log_in(session, "manifest", response)
        if failure is not None:
            return failure
        response = yield from _follow(session, "manifest", target)
    return response


def _prove(session: Session, image: ImageReference, response: ExchangeResponse, architecture: str) -> _Proof:
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
        login_proof=weigh(session),
    )


def _with_tags(session: Session, image: ImageReference, failure: ExchangeFailure) -> _Tags:
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


def _follow(session: Session, phase: Phase, path: str) -> _Answer:
    """Ask for content; the authorization goes to the registry only, never along a redirect (policy 5)."""
    url, authorization, status = session.url(path), session.authorization, 0
    session.other_host = ""
    for _ in range(1 + MAX_REDIRECTS):
        response = yield ExchangeRequest(
            phase=phase,
            url=url,
            accept="*/*" if phase in CONTENT else ", ".join(MANIFEST_TYPES),
            authorization=authorization,
            max_body_bytes=MAX_LAYER_BYTES if phase == "layer" else MAX_MANIFEST_BYTES,
        )
        status = response.status
        if status not in REDIRECTS:
            return response
        target = redirect_target(parse_web_address(url), response.headers.get("location", ""))
        if target is None:
            return session.fail("registry.not_a_registry", phase, status, "It redirects to no usable address.")
        url, authorization, session.other_host = target.url, None, target.host
    return session.fail("registry.not_a_registry", phase, status, "It redirects again and again.")


def _fetch(session: Session, phase: Phase, path: str, digest: Digest) -> _Answer:
    response = yield from _follow(session, phase, path)
    if isinstance(response, ExchangeFailure):
        return response
    return _check(session, phase, response, digest) or response


def _check(session: Session, phase: Phase, response: ExchangeResponse, digest: Digest) -> ExchangeFailure | None:
    """Whether the bytes are what was asked for (policy 6)."""
    if response.status != 200 or is_html(response):
        return classify(session, phase, response)
    if Digest.of(response.body, digest.algorithm) == digest:
        return None
    return session.fail("image.unproven" if phase in CONTENT else "image.digest_mismatch", phase, 200)
