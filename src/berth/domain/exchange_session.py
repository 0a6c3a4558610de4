"""One registry asked with one credential: what it wants before it answers, and what its refusals mean. Without a socket.

The exchanges (`credential_exchange.py`, `login_exchange.py`) begin here. Policy 1 and 2 of the former hold for both: there is
one login at most, and C7 says where the password goes.

Signatures of real registries: their 403 at the token service means that no token was given for this credential, so it counts
as rejected (GHCR); 403 after a token means no right to the image.
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
    error_code,
    error_message,
    is_html,
    json_object,
    rate_limit,
)
from berth.domain.registry_challenge import (
    TOKEN_REALMS,
    Challenge,
    calls_token_invalid,
    may_send_password,
    parse_challenges,
    registry_address,
)
from berth.domain.registry_credential import Anonymous, RegistryCredential
from berth.domain.registry_provider import Provider, provider_of_host, recognise_provider
from berth.domain.secret_text import SecretText
from berth.domain.token_grant import grants_pull

CONTENT: frozenset[Phase] = frozenset({"config", "layer"})
REDIRECTS = frozenset({301, 302, 303, 307, 308})

_BEARER_TOKEN = re.compile(r"[!-~]+")


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
class Session:
    """One exchange: what was asked with, and what came of it so far."""

    host: str
    credential: RegistryCredential | Anonymous
    policy: ExchangePolicy
    scope: str
    authorization: SecretText | None = None
    token: SecretText | None = None
    token_url: str = ""  # where it came from
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


_Login = Generator[ExchangeRequest, ExchangeResponse, ExchangeFailure | None]


def open_session(host: str, credential: RegistryCredential | Anonymous, policy: ExchangePolicy, scope: str) -> Session:
    return Session(host=host, credential=credential, policy=policy, scope=scope, provider=provider_of_host(host))


def ping(session: Session) -> _Login:
    response = yield ExchangeRequest(phase="ping", url=session.url("/v2/"))
    if response.status == 401:
        return (yield from log_in(session, "ping", response))
    if response.status in REDIRECTS and session.scope:
        return None  # left to the request for the manifest
    if 200 <= response.status < 300 and not is_html(response):
        return None
    return classify(session, "ping", response)


def log_in(session: Session, phase: Phase, response: ExchangeResponse) -> _Login:
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


def _fetch_token(session: Session, challenge: Challenge) -> _Login:
    """Swap the credential, or nothing, for a token. Nobody but an allowed host sees the password (C7)."""
    realm = challenge.parameters.get("realm", "")
    decision = may_send_password(session.host, realm, session.policy.realm_table, session.policy.insecure_hosts)
    anonymous = isinstance(session.credential, Anonymous)
    if not decision and not (anonymous and decision.realm_host and realm.startswith("https://")):
        session.other_host = decision.realm_host
        return session.fail("registry.realm_elsewhere", "token", 401, decision.reason)
    service = challenge.parameters.get("service", "")
    query = [pair for pair in (("service", service), ("scope", session.scope)) if pair[1]]
    session.token_url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}"
    response = yield ExchangeRequest(
        phase="token",
        url=session.token_url,
        accept="application/json",
        authorization=None if isinstance(session.credential, Anonymous) else _basic(session.credential),
    )
    if response.status != 200:
        return classify(session, "token", response)
    session.token = read_token(response)
    if session.token is None:
        return session.fail("registry.server_error", "token", 200, "Its token service answered without a token.")
    session.authorization, session.scheme = SecretText(f"Bearer {session.token.reveal()}"), "bearer"
    return None


def read_token(response: ExchangeResponse) -> SecretText | None:
    """What a token service gave; None if that is no token."""
    body = json_object(response.body)
    token = body.get("token") or body.get("access_token")
    return SecretText(token) if isinstance(token, str) and _BEARER_TOKEN.fullmatch(token) else None


def classify(session: Session, phase: Phase, response: ExchangeResponse) -> ExchangeFailure:
    """The cause behind a status that is not success (module docstring, last paragraph)."""
    return replace(
        session.fail(_failure_code(session, phase, response), phase, response.status),
        error_code=error_code(response.body),
        said=error_message(response.body),
        limit=rate_limit(response),
        granted=None if session.token is None else grants_pull(session.token, session.scope),
    )


def _failure_code(session: Session, phase: Phase, response: ExchangeResponse) -> str:
    status, challenge = response.status, response.headers.get("www-authenticate", "")
    if status == 429:
        return "registry.rate_limited"
    if status >= 500:
        return "registry.server_error"
    if phase == "token" and status in REDIRECTS:
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
    if status == 404 and phase in {"platform", *CONTENT}:
        return "image.unproven"
    if status == 404 and phase == "manifest" and not is_html(response):
        return "image.not_found"
    return "registry.not_a_registry"


def _basic(credential: RegistryCredential) -> SecretText:
    pair = f"{credential.user}:{credential.password.reveal()}"
    return SecretText(f"Basic {base64.b64encode(pair.encode()).decode()}")
