"""OpenID Connect by Authlib: what is asked and what is proved is its work; the requests go through the guarded client.

Authlib is loaded when a provider is asked for the first time: it takes a quarter of a second.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from berth.adapters.guarded_http import GuardedHTTP, GuardedRequest, GuardedSession
from berth.domain.identity import MAX_SHOWN, MAX_SUBJECT, Answer, Claims, Flow, check_answer, refused
from berth.domain.problem import Problem, UpstreamFailed
from berth.domain.secret_text import SecretText
from berth.services.ports import Clock

# Never one with a shared secret, and never none: who has the public key could sign.
ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"}
)
_KEY_TYPES = frozenset({"RSA", "EC", "OKP"})
_SCOPE = "openid email profile"
_KEPT = timedelta(hours=1)
_KEYS_KEPT = timedelta(minutes=1)  # after which an unknown key lets them be read anew
_LEEWAY_S = 60
_MAX_BYTES = 256 * 1024
_BASIC = "client_secret_basic"


@dataclass(frozen=True, slots=True)
class _Known:
    """What the provider said of itself, and when."""

    said: Mapping[str, Any]
    at: datetime


class OpenIDConnectProvider:
    """One provider, as the settings name it."""

    def __init__(
        self, http: GuardedHTTP, *, issuer: str, client_id: str, client_secret: SecretText | None, clock: Clock
    ) -> None:
        self._http = http
        self._issuer = issuer
        self._client_id = client_id
        self._secret = client_secret
        self._clock = clock
        self._metadata: _Known | None = None
        self._keys: _Known | None = None

    @property
    def issuer(self) -> str:
        return self._issuer

    @property
    def host(self) -> str:
        return urlsplit(self._issuer).netloc

    async def begin(self, flow: Flow, redirect_uri: str) -> str:
        async with self._http.session() as session:
            metadata = await self._find_metadata(session)
        client = _load_client()(
            None, self._client_id, redirect_uri=redirect_uri, scope=_SCOPE, code_challenge_method="S256"
        )
        address, _state = client.create_authorization_url(
            self._endpoint(metadata, "authorization_endpoint"),
            state=flow.state,
            nonce=flow.nonce,
            code_verifier=flow.verifier.reveal(),
            **({"prompt": "login"} if flow.links else {}),
        )
        return str(address)

    async def finish(self, flow: Flow, answer: Answer, redirect_uri: str) -> Claims:
        async with self._http.session() as session:
            metadata = await self._find_metadata(session)
            named = metadata.get("authorization_response_iss_parameter_supported") is True
            check_answer(answer, flow, self._issuer, always_named=named)
            token = await self._fetch_token(session, metadata, flow, answer.code, redirect_uri)
            proved = await self._verify(session, metadata, token, flow.nonce)
            more = await self._fetch_user(session, metadata, token, proved["sub"])
        return self._to_claims(proved, more)

    def _to_claims(self, proved: Mapping[str, Any], more: Mapping[str, Any]) -> Claims:
        """An address and that it is verified are said in one breath: what one document says is not about the other's."""
        said = {**more, **proved}
        return Claims(
            issuer=self._issuer,
            subject=said["sub"],
            email=_verified_email(proved if "email" in proved else more),
            preferred_name=str(said.get("preferred_username") or "").replace("\0", "")[:MAX_SHOWN],
        )

    # What the provider says of itself

    async def _find_metadata(self, session: GuardedSession) -> Mapping[str, Any]:
        """Source: OpenID Connect Discovery, section 4: the issuer in it is the one that was asked."""
        now = self._clock.now()
        if self._metadata is None or now - self._metadata.at > _KEPT:
            said = await self._get(session, f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
            if said.get("issuer") != self._issuer:
                raise self._failed("calls itself otherwise than OIDC_ISSUER")
            self._metadata = _Known(said, now)
        return self._metadata.said

    def _endpoint(self, metadata: Mapping[str, Any], name: str) -> str:
        """One of its addresses: https, unless the issuer itself has none."""
        address = metadata.get(name)
        if not isinstance(address, str) or not address.startswith(("https://", f"{urlsplit(self._issuer).scheme}://")):
            raise self._failed(f"names no {name} that can be used")
        return address

    async def _find_keys(
        self, session: GuardedSession, metadata: Mapping[str, Any], kept: timedelta
    ) -> Mapping[str, Any]:
        now = self._clock.now()
        if self._keys is None or now - self._keys.at > kept:
            self._keys = _Known(await self._get(session, self._endpoint(metadata, "jwks_uri")), now)
        return self._keys.said

    # The code for a token, and what that proves

    async def _fetch_token(
        self, session: GuardedSession, metadata: Mapping[str, Any], flow: Flow, code: str, redirect_uri: str
    ) -> Mapping[str, Any]:
        prepare_token_request, client_auth = _load_token_request()
        address = self._endpoint(metadata, "token_endpoint")
        asked = prepare_token_request(
            "authorization_code", code=code, redirect_uri=redirect_uri, code_verifier=flow.verifier.reveal()
        )
        secret = None if self._secret is None else self._secret.reveal()
        methods = metadata.get("token_endpoint_auth_methods_supported") or [_BASIC]
        method = "none" if secret is None else _BASIC if _BASIC in methods else "client_secret_post"
        address, headers, body = client_auth(self._client_id, secret, method).prepare("POST", address, {}, asked)
        request = GuardedRequest(
            method="POST",
            url=address,
            headers={
                "Content-Type": "application/x-www-form-urlencoded",
                "Accept": "application/json",
                **{name: SecretText(value) for name, value in headers.items()},
            },
            body=body.encode(),
            max_body_bytes=_MAX_BYTES,
        )
        status, said = await self._send(session, request)
        if said.get("error") == "invalid_grant":
            raise refused("its code is used, too old, or somebody else's")
        if status != 200:
            raise self._failed(f"answers {status} to the request for a token")
        return said

    async def _verify(
        self, session: GuardedSession, metadata: Mapping[str, Any], token: Mapping[str, Any], nonce: str
    ) -> Mapping[str, Any]:
        """What the ID token says. Source: OpenID Connect Core, section 3.1.3.7."""
        try:
            return await self._decode(session, metadata, token, nonce, _KEPT)
        except _UnknownKeyError:  # perhaps a new one of the provider's
            pass
        try:
            return await self._decode(session, metadata, token, nonce, _KEYS_KEPT)
        except _UnknownKeyError as error:
            raise refused("its ID token is signed with a key that is not the provider's") from error

    async def _decode(
        self,
        session: GuardedSession,
        metadata: Mapping[str, Any],
        token: Mapping[str, Any],
        nonce: str,
        kept: timedelta,
    ) -> Mapping[str, Any]:
        keys = await self._find_keys(session, metadata, kept)
        now = int(self._clock.now().timestamp())
        try:
            claims = _check_id_token(token, keys, issuer=self._issuer, client_id=self._client_id, nonce=nonce, now=now)
        except _RefusedError as error:
            raise refused(f"its ID token has a wrong {error}") from error
        if not (isinstance(claims["sub"], str) and 0 < len(claims["sub"]) <= MAX_SUBJECT and "\0" not in claims["sub"]):
            raise refused("it has no subject")
        return claims

    async def _fetch_user(
        self, session: GuardedSession, metadata: Mapping[str, Any], token: Mapping[str, Any], subject: str
    ) -> Mapping[str, Any]:
        """Names and addresses, which many providers tell only there. Source: OpenID Connect Core, section 5.3.2."""
        access = token.get("access_token")
        if "userinfo_endpoint" not in metadata or not isinstance(access, str):
            return {}
        bearer = SecretText(f"Bearer {access}")
        said = await self._get(session, self._endpoint(metadata, "userinfo_endpoint"), {"Authorization": bearer})
        if said.get("sub") != subject:
            raise refused("it tells of somebody else")
        return said

    # Requests

    async def _get(
        self, session: GuardedSession, address: str, headers: Mapping[str, SecretText] | None = None
    ) -> Mapping[str, Any]:
        request = GuardedRequest(
            method="GET",
            url=address,
            headers={"Accept": "application/json", **(headers or {})},
            max_body_bytes=_MAX_BYTES,
        )
        status, said = await self._send(session, request)
        if status != 200:
            raise self._failed(f"answers {status} at {urlsplit(address).path}")
        return said

    async def _send(self, session: GuardedSession, request: GuardedRequest) -> tuple[int, Mapping[str, Any]]:
        try:
            answer = await session.send(request)
        except Problem as problem:
            raise self._failed(f"cannot be asked: {problem.message}") from problem
        try:
            said = json.loads(answer.body)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            raise self._failed("answers something else than JSON")
        return answer.status, said

    def _failed(self, why: str) -> UpstreamFailed:
        return UpstreamFailed(
            f"The provider {self.host} {why}.",
            code="identity.provider_failed",
            retryable=True,
            remedy="Try again in a minute. If it stays so, the site administrator should look at OIDC_ISSUER.",
        )


class _UnknownKeyError(Exception):
    """The token is signed with a key that was not among the provider's when they were read."""


class _RefusedError(Exception):
    """What is wrong with the token, in a word."""


def _verified_email(said: Mapping[str, Any]) -> str | None:
    """As it stands, or not at all: of a longer one, or of one without some of its letters, somebody else may be the holder."""
    email = said.get("email")
    good = isinstance(email, str) and 0 < len(email) <= MAX_SHOWN and "\0" not in email
    return str(email) if good and said.get("email_verified") is True else None


def _load_client() -> Any:
    from authlib.oauth2.client import OAuth2Client  # noqa: PLC0415 see the module's docstring

    return OAuth2Client


def _load_token_request() -> tuple[Any, Any]:
    from authlib.oauth2.auth import ClientAuth  # noqa: PLC0415
    from authlib.oauth2.rfc6749.parameters import prepare_token_request  # noqa: PLC0415

    return prepare_token_request, ClientAuth


def _check_id_token(
    token: Mapping[str, Any], keys: Mapping[str, Any], *, issuer: str, client_id: str, nonce: str, now: int
) -> Mapping[str, Any]:
    from authlib.oidc.core import CodeIDToken  # noqa: PLC0415
    from joserfc import jwt  # noqa: PLC0415
    from joserfc.errors import ClaimError, InvalidKeyIdError, JoseError  # noqa: PLC0415
    from joserfc.jwk import KeySet  # noqa: PLC0415
    from joserfc.jws import JWSRegistry  # noqa: PLC0415

    try:
        signing = [key for key in keys["keys"] if key.get("use", "sig") == "sig" and key.get("kty") in _KEY_TYPES]
        registry = JWSRegistry(algorithms=sorted(ALGORITHMS), strict_check_header=False)
        found = jwt.decode(str(token.get("id_token", "")), KeySet.import_key_set({"keys": signing}), registry=registry)
        claims = CodeIDToken(
            found.claims,
            found.header,
            {
                "iss": {"essential": True, "value": issuer},
                "aud": {"essential": True, "value": client_id},
                "sub": {"essential": True},
            },
            {"nonce": nonce, "client_id": client_id, "access_token": token.get("access_token")},
        )
        claims.validate(now, _LEEWAY_S)
    except InvalidKeyIdError as error:
        raise _UnknownKeyError from error
    except ClaimError as error:
        raise _RefusedError(error.claim) from error
    except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise _RefusedError("signature") from error
    return dict(claims)
