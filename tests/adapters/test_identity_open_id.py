"""A provider that lies, by a client of ours that asks it; a real one is asked in tests/ui/test_identity.py."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Self, cast

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from berth.adapters.guarded_http import GuardedHTTP, GuardedRequest, GuardedResponse
from berth.adapters.identity_open_id import OpenIDConnectProvider
from berth.domain.identity import Answer, Claims, Flow
from berth.domain.problem import Problem, Unauthenticated, UpstreamFailed
from berth.domain.secret_text import SecretText

ISSUER, CLIENT = "https://id.example/tenant", "berth"
FLOW = Flow(value=SecretText("v" * 43), links=False)
NOW = datetime(2026, 11, 30, tzinfo=UTC)
KEY, OTHER_KEY = generate_private_key(65537, 2048), generate_private_key(65537, 2048)
_DISCOVERY = f"{ISSUER}/.well-known/openid-configuration"


class StoppedClock:
    """A time of day that moves when it is told to."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def advance(self, by: timedelta) -> None:
        self.at += by


def public(key: RSAPrivateKey, kid: str) -> dict[str, Any]:
    found: dict[str, Any] = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**found, "kid": kid, "use": "sig", "alg": "RS256"}


class FakeProvider:
    """Answers by path as its fields say, with status and body; keeps what was asked."""

    def __init__(self, **metadata: Any) -> None:
        self.metadata: dict[str, Any] = {
            "issuer": ISSUER,
            "authorization_endpoint": "https://id.example/authorize",
            "token_endpoint": "https://id.example/token",
            "jwks_uri": "https://id.example/keys",
            "userinfo_endpoint": "https://id.example/user",
            **metadata,
        }
        self.claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": CLIENT,
            "sub": "s1",
            "nonce": FLOW.nonce,
            "iat": int(NOW.timestamp()),
            "exp": int(NOW.timestamp()) + 300,
        }
        odd = {"kty": "oct", "k": "c2VjcmV0", "kid": "k1"}
        self.keys: list[dict[str, Any]] = [odd, {"kty": "new"}, public(KEY, "k1"), {**public(KEY, "e"), "use": "enc"}]
        self.token = self.sign()
        self.user: dict[str, Any] = {"sub": "s1", "email": "ada@example.com", "email_verified": True}
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.problem: Problem | None = None
        self.asked: list[GuardedRequest] = []

    def sign(self, *, key: Any = KEY, algorithm: str = "RS256", kid: str = "k1", **claims: Any) -> str:
        given = {name: value for name, value in {**self.claims, **claims}.items() if value is not None}
        return jwt.encode(given, key, algorithm=algorithm, headers={"kid": kid})

    def session(self) -> Self:
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        return None

    async def send(self, request: GuardedRequest) -> GuardedResponse:
        self.asked.append(request)
        if self.problem is not None:
            raise self.problem
        said: Mapping[str, Any] = {
            _DISCOVERY: self.metadata,
            "https://id.example/token": {"access_token": "a1", "token_type": "Bearer", "id_token": self.token},
            "https://id.example/keys": {"keys": self.keys},
            "https://id.example/user": self.user,
        }[request.url]
        status, body = self.answers.get(request.url, (200, json.dumps(said).encode()))
        return GuardedResponse(status=status, headers={}, body=body)

    def client(self, secret: str | None = "s3cret", clock: StoppedClock | None = None) -> OpenIDConnectProvider:
        return OpenIDConnectProvider(
            cast("GuardedHTTP", self),
            issuer=ISSUER,
            client_id=CLIENT,
            client_secret=None if secret is None else SecretText(secret),
            clock=clock or StoppedClock(NOW),
        )

    async def finish(
        self, client: OpenIDConnectProvider | None = None, answer: Mapping[str, str] | None = None
    ) -> Claims:
        brought = Answer(**{"state": FLOW.state, "code": "c1", **(answer or {})})
        return await (client or self.client()).finish(FLOW, brought, "https://berth.test/answer")


async def test_what_is_proved() -> None:
    provider = FakeProvider()
    found = await provider.finish()
    assert found == Claims(issuer=ISSUER, subject="s1", email="ada@example.com")
    assert [each.url.rpartition("/")[2] for each in provider.asked] == ["openid-configuration", "token", "keys", "user"]
    bearer = provider.asked[-1].headers["Authorization"]
    assert isinstance(bearer, SecretText)
    assert bearer.reveal() == "Bearer a1"


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://id.example"}, {"iss": None}, {"aud": "another"}, {"aud": None}, {"exp": int(NOW.timestamp()) - 120},
        {"exp": None}, {"iat": None}, {"nonce": "another"}, {"nonce": None}, {"sub": None}, {"sub": ""}, {"sub": "x" * 256},
        {"sub": "a\0b"}, {"azp": "another"}, {"aud": [CLIENT, "another"], "azp": "another"}, {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
        {"iat": int(NOW.timestamp()) + 600}, {"nbf": int(NOW.timestamp()) + 600},
        {"key": OTHER_KEY}, {"key": None, "algorithm": "none"}, {"key": "c" * 64, "algorithm": "HS256"}, {},
    ],
    ids=lambda one: "another key" if one.get("key") is OTHER_KEY else str(one),
)  # fmt: skip
async def test_a_token_that_proves_nothing_is_refused(changes: dict[str, Any]) -> None:
    """Source: OpenID Connect Core, section 3.1.3.7. The last one is the positive control."""
    provider = FakeProvider()
    provider.token = provider.sign(**changes)
    if changes:
        with pytest.raises(Unauthenticated, match="not taken"):
            await provider.finish()
    else:
        assert (await provider.finish()).subject == "s1"


@pytest.mark.parametrize("token", ["", "a.b.c", "x", "a.b", ".."])
async def test_what_is_no_token_is_refused(token: str) -> None:
    provider = FakeProvider()
    provider.token = token
    with pytest.raises(Unauthenticated):
        await provider.finish()


async def test_a_new_key_of_the_providers_is_read_once_a_minute() -> None:
    provider, clock = FakeProvider(), StoppedClock(NOW)
    client = provider.client(clock=clock)
    await provider.finish(client)
    provider.keys, provider.token = [public(OTHER_KEY, "k2")], provider.sign(key=OTHER_KEY, kid="k2")
    with pytest.raises(Unauthenticated):
        await provider.finish(client)
    asked = len(provider.asked)
    clock.advance(timedelta(seconds=61))
    assert (await provider.finish(client)).subject == "s1"
    assert [each.url for each in provider.asked[asked:]].count(_DISCOVERY) == 0
    clock.advance(timedelta(hours=2))
    with pytest.raises(Unauthenticated, match="exp"):
        await provider.finish(client)
    assert [each.url for each in provider.asked].count(_DISCOVERY) == 2


@pytest.mark.parametrize(
    ("user", "email"),
    [
        ({"sub": "s1", "email": "a@example.com", "email_verified": True}, "a@example.com"),
        ({"sub": "s1", "email": "a@example.com", "email_verified": "true"}, None),
        ({"sub": "s1", "email": "a@example.com"}, None),
        ({"sub": "s1", "email": 1, "email_verified": True}, None),
        ({"sub": "s1"}, None),
        ({"sub": "s1", "email": "a@example.com" + "x" * 188, "email_verified": True}, None),
        ({"sub": "s1", "email": "a\0@example.com", "email_verified": True}, None),
        ({"sub": "s1", "email": "", "email_verified": True}, None),
    ],
)
async def test_only_a_verified_address_is_one(user: dict[str, Any], email: str | None) -> None:
    provider = FakeProvider()
    provider.user = user
    assert (await provider.finish()).email == email


@pytest.mark.parametrize(
    ("in_token", "email"),
    [
        ({"email": "victim@example.com"}, None),
        ({"email": "victim@example.com", "email_verified": False}, None),
        ({"email_verified": True}, "ada@example.com"),
        ({"email": "victim@example.com", "email_verified": True}, "victim@example.com"),
        ({}, "ada@example.com"),
    ],
)
async def test_attack_an_address_of_the_token_that_only_another_document_calls_verified(
    in_token: dict[str, Any], email: str | None
) -> None:
    """Many providers let people write the first one themselves. The last three are the positive control."""
    provider = FakeProvider()
    provider.token = provider.sign(**in_token)
    assert (await provider.finish()).email == email


async def test_what_is_told_of_somebody_else_is_refused() -> None:
    provider = FakeProvider()
    provider.user["sub"] = "s2"
    with pytest.raises(Unauthenticated, match="somebody else"):
        await provider.finish()
    del provider.metadata["userinfo_endpoint"]
    assert (await provider.finish()).email is None


@pytest.mark.parametrize(
    ("metadata", "answer", "taken"),
    [
        ({}, {}, True),
        ({}, {"issuer": ISSUER}, True),
        ({}, {"issuer": "https://evil.example"}, False),
        ({"authorization_response_iss_parameter_supported": True}, {}, False),
        ({"authorization_response_iss_parameter_supported": True}, {"issuer": ISSUER}, True),
        ({}, {"state": "x"}, False),
        ({}, {"error": "access_denied"}, False),
    ],
)
async def test_an_answer_of_another_provider_is_refused(
    metadata: dict[str, Any], answer: dict[str, str], taken: bool
) -> None:
    """domain/identity.py, policies 4 and 5: before anything is told to anybody."""
    provider = FakeProvider(**metadata)
    if taken:
        await provider.finish(answer=answer)
        return
    with pytest.raises(Unauthenticated):
        await provider.finish(answer=answer)
    assert len(provider.asked) == 1


@pytest.mark.parametrize(
    ("methods", "secret", "header", "body"),
    [
        (None, "s3cret", "Basic YmVydGg6czNjcmV0", ""),
        (["client_secret_post"], "s3cret", None, "client_secret=s3cret"),
        (["client_secret_post", "client_secret_basic"], "s3cret", "Basic YmVydGg6czNjcmV0", ""),
        (["none"], None, None, "client_id=berth"),
    ],
)
async def test_how_berth_proves_itself(
    methods: list[str] | None, secret: str | None, header: str | None, body: str
) -> None:
    provider = FakeProvider(**({} if methods is None else {"token_endpoint_auth_methods_supported": methods}))
    await provider.finish(provider.client(secret))
    sent = next(each for each in provider.asked if each.url.endswith("/token"))
    shown = sent.headers.get("Authorization")
    assert (shown.reveal() if isinstance(shown, SecretText) else shown) == header
    assert body in sent.body.decode()
    assert f"code_verifier={FLOW.verifier.reveal()}" in sent.body.decode()
    assert secret is None or (secret in sent.body.decode()) == bool(body)


@pytest.mark.parametrize(
    ("where", "status", "body"),
    [
        (_DISCOVERY, 500, b"{}"),
        (_DISCOVERY, 200, b"<html>"),
        (_DISCOVERY, 200, b"[]"),
        (_DISCOVERY, 200, b'{"issuer": "https://id.example"}'),
        (_DISCOVERY, 200, b'{"issuer": "https://id.example/tenant"}'),
        ("https://id.example/token", 401, b'{"error": "invalid_client"}'),
        ("https://id.example/token", 200, b"\xff"),
        ("https://id.example/keys", 404, b"{}"),
        ("https://id.example/user", 500, b"{}"),
    ],
)
async def test_a_provider_that_does_not_answer_as_it_should(where: str, status: int, body: bytes) -> None:
    provider = FakeProvider()
    provider.answers[where] = (status, body)
    with pytest.raises(UpstreamFailed) as told:
        await provider.finish()
    assert told.value.code == "identity.provider_failed"
    assert "id.example" in told.value.message


async def test_keys_that_are_none() -> None:
    provider = FakeProvider()
    provider.answers["https://id.example/keys"] = (200, b"{}")
    with pytest.raises(Unauthenticated):
        await provider.finish()


async def test_a_provider_that_is_not_reached() -> None:
    provider = FakeProvider()
    provider.problem = UpstreamFailed("No connection to id.example came about.", code="registry.unreachable")
    with pytest.raises(UpstreamFailed, match="cannot be asked: No connection"):
        await provider.client().begin(FLOW, "https://berth.test/answer")


@pytest.mark.parametrize("address", ["http://id.example/x", "javascript:alert(1)", None, 1])
async def test_no_browser_is_sent_away_from_https(address: object) -> None:
    provider = FakeProvider(authorization_endpoint=address)
    with pytest.raises(UpstreamFailed, match="names no authorization_endpoint"):
        await provider.client().begin(FLOW, "https://berth.test/answer")


async def test_an_address_with_a_query_keeps_it() -> None:
    provider = FakeProvider(authorization_endpoint="https://id.example/authorize?tenant=1")
    address = await provider.client().begin(FLOW, "https://berth.test/answer")
    assert address.startswith("https://id.example/authorize?tenant=1&")
    assert FLOW.verifier.reveal() not in address
