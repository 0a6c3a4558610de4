"""How a registry is asked for an image: the requests in order, without a socket.

`pull_exchange` and `login_exchange` are generators. They yield an ExchangeRequest, are sent the ExchangeResponse, and
return the result; whoever drives them does the network (`adapters/registry_http.py`) or has none (tests).

1. Ping `/v2/`. 401 names the ways to log in; Bearer is preferred to Basic.
2. Log in at most once. The password goes only where C7 lets it; the token goes only to the registry itself. The scope
   asked for is ours, never one that the registry names: a token for more would be a gift to it.
3. HEAD the manifest; if that does not answer everything, GET it: for the digest of the body, or for the error's code.
4. A redirect of the manifest is followed without any credential, three times at most, never from https to http. A
   redirect of the token service is refused; one of the ping is left to the manifest request.
5. A digest in the reference is binding: another one in the answer is a failure.

Source: OCI distribution-spec v1.1, "Pulling manifests", "Checking if content exists in the registry"; distribution
`docs/content/spec/auth/token.md`. Signatures of real registries: their 403 at the token service means that no token was
given for this credential, so it counts as rejected (GHCR); 403 after a token means no right to the image.
"""

import base64
import re
from collections.abc import Collection, Generator, Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlencode

from berth.domain.exchange_message import (
    MANIFEST_TYPES,
    MAX_MANIFEST_BYTES,
    ExchangeRequest,
    ExchangeResponse,
    Phase,
    digest_header,
    error_code,
    is_html,
    json_object,
    media_type_of,
)
from berth.domain.image_reference import Digest, DigestAlgorithm, ImageReference
from berth.domain.registry_challenge import (
    TOKEN_REALMS,
    Challenge,
    may_send_password,
    parse_challenges,
    registry_address,
)
from berth.domain.registry_credential import Anonymous, RegistryCredential
from berth.domain.registry_host import normalise_registry_host, parse_web_address, redirect_target
from berth.domain.secret_text import SecretText

MAX_REDIRECTS = 3

_BEARER_TOKEN = re.compile(r"[!-~]+")
_DECIMAL = re.compile(r"[0-9]{1,15}")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The registry showed the manifest: the credential has the right to it."""

    digest: Digest
    media_type: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """The registry took the credential, or asks for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeFailure:
    """Why not. `code` is stable: the finding's. `error_code` is the registry's own, if it sent one."""

    code: str
    phase: Phase
    status: int
    error_code: str = ""
    reason: str = ""
    other_host: str = ""  # where the registry pointed to
    retry_after_s: int | None = None


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
    scheme: str = ""  # what the login used; empty before it
    other_host: str = ""

    def url(self, path: str) -> str:
        registry = registry_address(self.host, self.policy.insecure_hosts)
        return f"{registry.scheme}://{registry.host}{path}"

    def fail(self, code: str, phase: Phase, status: int, reason: str = "") -> ExchangeFailure:
        return ExchangeFailure(code=code, phase=phase, status=status, reason=reason, other_host=self.other_host)


_Answer = Generator[ExchangeRequest, ExchangeResponse, ExchangeResponse | ExchangeFailure]
_Login = Generator[ExchangeRequest, ExchangeResponse, ExchangeFailure | None]


def pull_exchange(
    image: ImageReference, credential: RegistryCredential | Anonymous, policy: ExchangePolicy
) -> Generator[ExchangeRequest, ExchangeResponse, Resolved | ExchangeFailure]:
    """Ask for the image's manifest with this credential and no other (policy 1 to 5)."""
    scope = f"repository:{image.path}:pull"
    session = _Session(host=image.host, credential=credential, policy=policy, scope=scope)
    if isinstance(credential, RegistryCredential) and credential.host != normalise_registry_host(image.host).host:
        return session.fail("credential.other_host", "ping", 0)  # C4, whoever called
    failure = yield from _ping(session)
    if failure is not None:
        return failure
    url = session.url(f"/v2/{image.path}/manifests/{image.reference}")
    response = yield from _follow(session, "HEAD", url)
    if isinstance(response, ExchangeResponse) and response.status == 401 and not (session.scheme or session.other_host):
        failure = yield from _log_in(session, "manifest", response)
        if failure is not None:
            return failure
        response = yield from _follow(session, "HEAD", url)
    if isinstance(response, ExchangeFailure):
        return response
    if response.status == 429 or response.status >= 500:
        return _classify(session, "manifest", response)
    resolved = _read_head(session, image, response)
    if resolved is not None:
        return resolved
    response = yield from _follow(session, "GET", url)
    return response if isinstance(response, ExchangeFailure) else _read_get(session, image, response)


def login_exchange(
    credential: RegistryCredential, policy: ExchangePolicy
) -> Generator[ExchangeRequest, ExchangeResponse, LoggedIn | ExchangeFailure]:
    """Ask whether the registry takes the credential, as `docker login` does; no image is named."""
    session = _Session(host=credential.host, credential=credential, policy=policy, scope="")
    failure = yield from _ping(session)
    if failure is not None:
        return failure
    if not session.scheme:
        return LoggedIn()
    url = session.url("/v2/")
    response = yield ExchangeRequest(phase="ping", method="GET", url=url, authorization=session.authorization)
    return LoggedIn() if 200 <= response.status < 300 else _classify(session, "ping", response)


def _ping(session: _Session) -> _Login:
    response = yield ExchangeRequest(phase="ping", method="GET", url=session.url("/v2/"))
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
        method="GET",
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
    session.authorization, session.scheme = SecretText(f"Bearer {token}"), "bearer"
    return None


def _follow(session: _Session, method: Literal["GET", "HEAD"], url: str) -> _Answer:
    """Ask for the manifest; the authorization goes to the first address only, never along a redirect (policy 4)."""
    authorization, status = session.authorization, 0
    for _ in range(1 + MAX_REDIRECTS):
        response = yield ExchangeRequest(
            phase="manifest",
            method=method,
            url=url,
            accept=", ".join(MANIFEST_TYPES),
            authorization=authorization,
            max_body_bytes=MAX_MANIFEST_BYTES,
        )
        status = response.status
        if status not in _REDIRECTS:
            return response
        target = redirect_target(parse_web_address(url), response.headers.get("location", ""))
        if target is None:
            return session.fail("registry.not_a_registry", "manifest", status, "It redirects to no usable address.")
        url, authorization, session.other_host = target.url, None, target.host
    return session.fail("registry.not_a_registry", "manifest", status, "It redirects again and again.")


def _read_head(
    session: _Session, image: ImageReference, response: ExchangeResponse
) -> Resolved | ExchangeFailure | None:
    """The result if the headers alone hold it; else None."""
    digest, media_type = digest_header(response), media_type_of(response)
    length = response.headers.get("content-length", "")
    if response.status != 200 or digest is None or media_type not in MANIFEST_TYPES or not _DECIMAL.fullmatch(length):
        return None
    if image.digest is not None and image.digest != digest:
        if image.digest.algorithm is not digest.algorithm:
            return None
        return session.fail("image.digest_mismatch", "manifest", 200)
    return Resolved(digest=digest, media_type=media_type, size_bytes=int(length))


def _read_get(session: _Session, image: ImageReference, response: ExchangeResponse) -> Resolved | ExchangeFailure:
    if response.status != 200 or is_html(response):
        return _classify(session, "manifest", response)
    expected = image.digest or digest_header(response)
    digest = Digest.of(response.body, expected.algorithm if expected else DigestAlgorithm.SHA256)
    if expected is not None and expected != digest:
        return session.fail("image.digest_mismatch", "manifest", 200)
    declared = str(json_object(response.body).get("mediaType"))
    media_type = next((text for text in (media_type_of(response), declared) if text in MANIFEST_TYPES), "")
    if not media_type:
        return session.fail("image.unsupported", "manifest", 200)
    return Resolved(digest=digest, media_type=media_type, size_bytes=len(response.body))


def _classify(session: _Session, phase: Phase, response: ExchangeResponse) -> ExchangeFailure:
    """The cause behind a status that is not success (module docstring, last paragraph)."""
    retry_after = response.headers.get("retry-after", "")
    return ExchangeFailure(
        code=_failure_code(session, phase, response),
        phase=phase,
        status=response.status,
        error_code=error_code(response.body),
        other_host=session.other_host,
        retry_after_s=int(retry_after) if _DECIMAL.fullmatch(retry_after) else None,
    )


def _failure_code(session: _Session, phase: Phase, response: ExchangeResponse) -> str:
    status = response.status
    if status == 429:
        return "registry.rate_limited"
    if status >= 500:
        return "registry.server_error"
    if phase == "token" and status in _REDIRECTS:
        return "registry.realm_elsewhere"
    if status in {401, 403}:
        if isinstance(session.credential, Anonymous):
            return "image.credential_missing"
        rejected = phase == "token" or (status == 401 and (phase == "ping" or session.scheme == "basic"))
        return "image.unauthorized" if rejected else "image.denied"
    if phase == "manifest" and status == 404 and not is_html(response):
        return "image.not_found"
    return "registry.not_a_registry"


def _basic(credential: RegistryCredential) -> SecretText:
    pair = f"{credential.user}:{credential.password.reveal()}"
    return SecretText(f"Basic {base64.b64encode(pair.encode()).decode()}")
