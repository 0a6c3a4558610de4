"""Registry tokens at `/v2`: forged ones, old ones, those of others, and what happens to them when something changes (A12, A14).

Source: RFC 7515, RFC 7519, RFC 8725; CVE-2025-24976; REGISTRY_CREDENTIALS E2.
"""

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.oci.images import fresh, image
from tests.oci.registry_api import LIFETIME_S, OCIClient, Registry, basic, challenge_of, outcome
from tests.rest.test_access_token import codespace_token

from berth.adapters.sealer import Sealer
from berth.domain.image_reference import Digest
from berth.domain.repository import Visibility

pytestmark = pytest.mark.asyncio(loop_scope="module")
Forger = Callable[["Material"], str]


class Material:
    """A good token, and what a forger would like to have; our own key, too, to sign what we never would."""

    def __init__(self, registry: Registry, token: str) -> None:
        self.token = token
        self.head, self.body, self.signature = token.split(".")
        self.header: dict[str, Any] = jwt.get_unverified_header(token)
        self.claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
        self.key = registry.signer._keys[self.header["kid"]]

    @property
    def public(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def signed(self, key: Ed25519PrivateKey | None = None, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """A proper signature over changed claims; `None` removes one."""
        body = {name: value for name, value in {**self.claims, **claims}.items() if value is not None}
        headers = {"kid": self.header["kid"], **(header or {})}
        return jwt.encode(body, key or self.key, algorithm="EdDSA", headers=headers)

    def by_hand(self, header: dict[str, Any], signature: bytes, **claims: Any) -> str:
        head, body = _part({**self.header, **header}), _part({**self.claims, **claims})
        return f"{head}.{body}.{_encode(signature)}"

    def with_hmac(self, secret: bytes) -> str:
        head, body = _part({**self.header, "alg": "HS256"}), _part(self.claims)
        algorithm = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
        return f"{head}.{body}.{_encode(algorithm.sign(f'{head}.{body}'.encode(), secret))}"


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _part(value: dict[str, Any]) -> str:
    return _encode(json.dumps(value).encode())


OTHER_KEY = Ed25519PrivateKey.generate()
OTHER_JWK = {
    "kty": "OKP", "crv": "Ed25519",
    "x": _encode(OTHER_KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)),
}  # fmt: skip
FORGED: dict[str, Forger] = {
    "nothing": lambda it: "",
    "no JWT": lambda it: "oh no",
    "dots": lambda it: "...",
    "two parts": lambda it: f"{it.head}.{it.body}",
    "four parts": lambda it: f"{it.token}.{it.signature}",
    "no signature": lambda it: f"{it.head}.{it.body}.",
    "another signature": lambda it: f"{it.head}.{it.body}.{_encode(b'x' * 64)}",
    "a signature of the wrong length": lambda it: f"{it.head}.{it.body}.{it.signature}AAAA",
    "another body": lambda it: f"{it.head}.{_part({**it.claims, 'sub': 'admin'})}.{it.signature}",
    "another header": lambda it: f"{_part({**it.header, 'typ': 'at+jwt'})}.{it.body}.{it.signature}",
    "alg none": lambda it: it.by_hand({"alg": "none"}, b""),
    "alg None": lambda it: it.by_hand({"alg": "None"}, b""),
    "alg missing": lambda it: it.by_hand({"alg": None}, b"x" * 64),
    "HS256 with the public key": lambda it: it.with_hmac(it.public),
    "HS256 with nothing": lambda it: it.with_hmac(b""),
    "ES256": lambda it: it.by_hand({"alg": "ES256"}, b"x" * 64),
    "another key": lambda it: it.signed(OTHER_KEY),
    "a foreign kid": lambda it: it.signed(OTHER_KEY, {"kid": "theirs"}),
    "kid is a path": lambda it: it.signed(OTHER_KEY, {"kid": "../../../dev/null"}),
    "kid missing": lambda it: jwt.encode(it.claims, it.key, algorithm="EdDSA"),
    "kid is a number": lambda it: it.by_hand({"kid": 7}, b"x" * 64),
    "kid is a list": lambda it: it.by_hand({"kid": [it.header["kid"]]}, b"x" * 64),
    "its own jwk": lambda it: it.signed(OTHER_KEY, {"jwk": OTHER_JWK}),
    "its own jku": lambda it: it.signed(OTHER_KEY, {"jku": "http://127.0.0.1:1/keys"}),
    "its own x5c": lambda it: it.signed(OTHER_KEY, {"x5c": ["AAAA"]}),
    "a critical extension": lambda it: it.signed(header={"crit": ["b64"], "b64": True}),
    "expired": lambda it: it.signed(exp=it.claims["iat"] - 1),
    "no end": lambda it: it.signed(exp=None),
    "an end that is no number": lambda it: it.signed(exp="tomorrow"),
    "not yet": lambda it: it.signed(nbf=it.claims["exp"]),
    "another audience": lambda it: it.signed(aud="other-registry"),
    "no audience": lambda it: it.signed(aud=None),
    "another issuer": lambda it: it.signed(iss="other"),
    "no issuer": lambda it: it.signed(iss=None),
    "no subject": lambda it: it.signed(sub=None),
    "no date": lambda it: it.signed(iat=None),
    "no id": lambda it: it.signed(jti=None),
    "no access": lambda it: it.signed(access=None),
    "access is a text": lambda it: it.signed(access="all"),
    "access of numbers": lambda it: it.signed(access=[1]),
    "an unknown action": lambda it: it.signed(access=[{**it.claims["access"][0], "actions": ["everything"]}]),
    "an unknown type": lambda it: it.signed(access=[{**it.claims["access"][0], "type": "registry"}]),
    "a name that is none": lambda it: it.signed(access=[{**it.claims["access"][0], "name": "../x"}]),
    "an id that is a text": lambda it: it.signed(access=[{**it.claims["access"][0], "package_id": "1"}]),
    "an id that is true": lambda it: it.signed(access=[{**it.claims["access"][0], "package_id": True}]),
    "an access token that is a text": lambda it: it.signed(access_token_id="1"),
    "an access token that is not there": lambda it: it.signed(access_token_id=999_999),
    "huge": lambda it: f"{it.head}.{it.body}{'A' * 40_000}.{it.signature}",
    "huge and signed": lambda it: it.signed(more="x" * 40_000),
    "not ASCII": lambda it: f"{it.token}ä",
    "NUL": lambda it: f"{it.token}\0",
}  # fmt: skip


@pytest.mark.parametrize("case", FORGED)
async def test_what_we_did_not_make_is_refused(registry: Registry, octo: OCIClient, name: str, case: str) -> None:
    await octo.push(name, image())
    token = await octo.log_in(f"repository:{name}:pull")
    path = f"/v2/{name}/manifests/latest"
    assert (await octo.once("GET", path)).status_code == 200, "the token itself is good"
    forged = FORGED[case](Material(registry, token))
    assert forged != token
    headers = {"Authorization": f"Bearer {forged}".encode("latin-1", "replace")}
    answer = await octo.once("GET", path, headers=headers)
    assert outcome(answer) == (401, "UNAUTHORIZED")
    wanted = challenge_of(answer).parameters
    assert wanted["error"] == "invalid_token"
    assert wanted["scope"] == f"repository:{name}:pull"


async def test_a_token_that_is_signed_and_says_nothing_new_is_good(
    registry: Registry, octo: OCIClient, name: str
) -> None:
    """The forger above signs properly: what is refused there is refused for what it says."""
    await octo.push(name, image())
    it = Material(registry, await octo.log_in(f"repository:{name}:pull"))
    for token in (it.signed(), it.signed(iat=it.claims["exp"] - 1), it.signed(nbf=it.claims["iat"])):
        octo.token = token
        assert (await octo.once("GET", f"/v2/{name}/manifests/latest")).status_code == 200


async def test_a_token_lasts_for_minutes(own_registry: Registry) -> None:
    octo = await own_registry.person("octo")
    await octo.push("octo/app", image())
    path = "/v2/octo/app/manifests/latest"
    own_registry.clock.ahead = timedelta(seconds=LIFETIME_S - 20)
    assert (await octo.once("GET", path)).status_code == 200
    own_registry.clock.ahead = timedelta(seconds=LIFETIME_S + 1)
    for _ in range(2):
        answer = await octo.once("GET", path)
        assert outcome(answer) == (401, "UNAUTHORIZED")
        assert challenge_of(answer).parameters["error"] == "invalid_token"
        assert "expired" in answer.text
    assert (await octo.get(path)).status_code == 200, "clients fetch another by themselves"


@pytest.mark.parametrize("kind", ["pat", "codespace", "workflow"])
@pytest.mark.parametrize("scheme", ["Bearer", "Basic", "token", "bearer", "Digest", ""])
async def test_an_access_token_is_no_registry_token(
    registry: Registry, octo: OCIClient, name: str, kind: str, scheme: str
) -> None:
    repository_id = await registry.repository("octo", "octo/code")
    clients = {
        "pat": octo,
        "codespace": await registry.codespace("octo", repository_id),
        "workflow": await registry.workflow("octo", "octo/code"),
    }
    password = clients[kind].password
    assert password is not None
    header = basic("octo", password) if scheme == "Basic" else f"{scheme} {password}"
    for path in ("/v2/", f"/v2/{name}/tags/list"):
        answer = await octo.http.get(path, headers={"Authorization": header})
        assert outcome(answer) == (401, "UNAUTHORIZED")
        assert challenge_of(answer).parameters["error"] == "invalid_token"
        assert "docker login" in answer.text, "the sentence says what to do"
        assert password not in answer.text


async def test_a14_a_revoked_access_token_takes_its_registry_tokens_along(each_registry: Registry) -> None:
    await each_registry.person("octo")
    made = (await each_registry.rest["octo"].post("/user/tokens", json={"scopes": ["write:packages"]})).json()
    client = each_registry.client(made["token"])
    await client.push("octo/revoked", image())
    location = await client.begin("octo/revoked")
    assert (await each_registry.rest["octo"].delete(f"/user/tokens/{made['id']}")).status_code == 204
    for method, path in (
        ("GET", "/v2/octo/revoked/manifests/latest"),
        ("GET", "/v2/"),
        ("GET", "/v2/_catalog"),
        ("POST", "/v2/octo/revoked/blobs/uploads/"),
        ("PATCH", location),
        ("PUT", location),
        ("DELETE", "/v2/octo/revoked/manifests/latest"),
    ):
        answer = await client.once(method, path)
        assert outcome(answer) == (401, "UNAUTHORIZED"), path
        assert challenge_of(answer).parameters["error"] == "invalid_token"


@pytest.mark.parametrize("kind", ["personal", "codespace", "workflow"])
async def test_a14_a_suspended_user_s_registry_tokens_are_good_for_nothing_until_he_is_back(
    each_registry: Registry, kind: str
) -> None:
    """domain/suspension.py, policies 1 and 3."""
    login = f"susan-{kind}"
    await each_registry.person(login)
    await each_registry.rest[login].post("/user/repos", json={"name": "r", "private": True})
    repository = (await each_registry.rest[login].get(f"/repos/{login}/r")).json()
    if kind == "personal":
        client = each_registry.client(await each_registry.berth.token(login, "write:packages"))
    elif kind == "workflow":
        client = await each_registry.workflow(login, f"{login}/r", "write")
    else:
        _, inside = await codespace_token(each_registry.berth, repository["id"], repository["owner"]["id"])
        client = each_registry.client(inside)
    ping, scope = "/v2/", f"repository:{login}/app:pull,push"
    await client.log_in(scope)
    assert (await client.once("GET", ping)).status_code == 200, "the positive control"
    admin = each_registry.berth.admin
    assert (await admin.put(f"/users/{login}/suspended")).status_code == 204
    for _ in range(2):
        assert outcome(await client.once("GET", ping)) == (401, "UNAUTHORIZED"), "one that was handed out"
        assert (await client.ask_token(scope)).status_code == 401, "none is issued, none renewed"
    assert (await admin.delete(f"/users/{login}/suspended")).status_code == 204
    assert (await client.once("GET", ping)).status_code == 200
    assert (await client.ask_token(scope)).status_code == 200


async def test_a14_a_role_that_is_lost_is_lost_at_once(
    each_registry: Registry, each_octo: OCIClient, name: str
) -> None:
    one = image()
    await each_octo.push(name, one)
    await each_registry.grant(name, "octo", "admin")
    wes = await each_registry.person("wes")
    await each_registry.grant(name, "wes", "write")
    await wes.log_in(f"repository:{name}:pull,push")
    location = (await wes.once("POST", f"/v2/{name}/blobs/uploads/")).headers["Location"]
    blob = f"/v2/{name}/blobs/{Digest.of(one.blobs[0])}"
    await each_registry.grant(name, "wes", "read")
    assert (await wes.once("GET", blob)).status_code == 200
    assert outcome(await wes.once("PATCH", location, content=b"x")) == (403, "DENIED")
    await each_registry.grant(name, "wes", None)
    for method, path in (("GET", blob), ("PATCH", location), ("POST", f"/v2/{name}/blobs/uploads/")):
        assert outcome(await wes.once(method, path)) == (404, "NAME_UNKNOWN"), method
    await each_registry.grant(name, "wes", "write")
    assert (await wes.once("PATCH", location, content=b"x")).status_code == 202, "and back as quickly"


async def test_a14_a_package_that_closes_is_closed_at_once(registry: Registry, octo: OCIClient, name: str) -> None:
    """Straight in the store: public is for ever (A10), but an organization's internal package may become private."""
    await octo.push(name, image())
    await registry.publish(name, Visibility.PUBLIC)
    otto, anonymous = await registry.person("otto"), registry.anonymous
    path = f"/v2/{name}/manifests/latest"
    for client in (otto, anonymous):
        assert (await client.get(path)).status_code == 200
    await registry.publish(name, Visibility.PRIVATE)
    assert outcome(await otto.once("GET", path)) == (404, "NAME_UNKNOWN")
    assert outcome(await anonymous.once("GET", path)) == (401, "UNAUTHORIZED")


@pytest.mark.parametrize("public", [False, True], ids=["private", "public"])
async def test_a12_a_package_that_came_anew_knows_no_old_token(
    each_registry: Registry, each_octo: OCIClient, name: str, public: bool
) -> None:
    """Harbor 89e1c4baa7: the name is the same, the package is not."""
    old, new = image(), image()
    await each_octo.push(name, old)
    location = await each_octo.begin(name)
    other = await each_registry.person("octo")
    readers = [each_octo, other]
    if public:
        await each_registry.publish(name, Visibility.PUBLIC)
        readers.append(each_registry.anonymous)
    for reader in readers:
        await reader.log_in(f"repository:{name}:pull,push,delete")
    await each_registry.delete_package(name)
    for reader in readers:
        answer = await reader.once("GET", f"/v2/{name}/manifests/latest")
        assert outcome(answer) in [(404, "NAME_UNKNOWN"), (401, "UNAUTHORIZED")]
    maker = await each_registry.person("octo")
    await maker.push(name, new)
    if public:
        await each_registry.publish(name, Visibility.PUBLIC)
    for reader in readers:
        for method in ("GET", "HEAD", "DELETE"):
            answer = await reader.once(method, f"/v2/{name}/manifests/latest")
            if reader.password is None and method == "DELETE":
                assert answer.status_code == 401
                continue
            assert answer.status_code == 401, method
            assert challenge_of(answer).parameters["error"] == "insufficient_scope"
    assert outcome(await each_octo.get(location)) == (404, "BLOB_UPLOAD_UNKNOWN"), "nor an old upload"
    for digest in (old.digest, *map(Digest.of, old.blobs)):
        kind = "manifests" if digest == old.digest else "blobs"
        assert (await each_octo.get(f"/v2/{name}/{kind}/{digest}")).status_code == 404, "nor old content"
    assert (await each_octo.get(f"/v2/{name}/manifests/latest")).content == new.content


async def test_a12_a_token_for_a_free_name_is_good_for_the_package_that_it_makes_only(
    registry: Registry, octo: OCIClient, name: str
) -> None:
    """Who was quicker made another package, though in the same account."""
    early = await registry.person("octo")
    await early.log_in(f"repository:{name}:pull,push,delete")
    await octo.push(name, image())
    answer = await early.once("POST", f"/v2/{name}/blobs/uploads/")
    assert outcome(answer) == (401, "UNAUTHORIZED")
    assert challenge_of(answer).parameters["error"] == "insufficient_scope"
    await octo.log_in(f"repository:{name}/own:pull,push,delete")
    digest = Digest.of(b"x")
    assert (await octo.once("POST", f"/v2/{name}/own/blobs/uploads/?digest={digest}", content=b"x")).status_code == 201
    assert (await octo.once("GET", f"/v2/{name}/own/blobs/{digest}")).status_code == 200
    assert (await octo.once("DELETE", f"/v2/{name}/own/blobs/{digest}")).status_code == 202


async def test_a_token_reaches_no_further_than_it_was_made_for(registry: Registry, octo: OCIClient, name: str) -> None:
    """Whatever the access token behind it may do."""
    one = image()
    await octo.push(name, one)
    await octo.push(f"{name}/other", one)
    await octo.log_in(f"repository:{name}:pull")
    for method, path in (
        ("GET", f"/v2/{name}/other/manifests/latest"),
        ("GET", f"/v2/{name}/other/tags/list"),
        ("GET", f"/v2/{name}/other/referrers/{one.digest}"),
        ("POST", f"/v2/{name}/blobs/uploads/"),
        ("PUT", f"/v2/{name}/manifests/latest"),
        ("DELETE", f"/v2/{name}/manifests/latest"),
        ("GET", "/v2/_catalog"),
    ):
        answer = await octo.once(method, path, content=b"")
        assert outcome(answer) == (401, "UNAUTHORIZED"), path
        assert challenge_of(answer).parameters["error"] == "insufficient_scope"
    assert (await octo.once("GET", f"/v2/{name}/tags/list")).status_code == 200


async def test_tokens_of_an_older_master_key_stay_good(own_registry: Registry) -> None:
    octo = await own_registry.person("octo")
    await octo.push("octo/app", image())
    old_kid = jwt.get_unverified_header(str(octo.token))["kid"]
    Sealer(own_registry.folder / "key", own_registry.clock).rotate()
    assert (await octo.once("GET", "/v2/octo/app/manifests/latest")).status_code == 200
    await octo.log_in("repository:octo/app:pull")
    assert jwt.get_unverified_header(str(octo.token))["kid"] != old_kid
    assert (await octo.once("GET", "/v2/octo/app/manifests/latest")).status_code == 200


async def test_many_tokens_take_bounded_memory(own_registry: Registry) -> None:
    """Whoever may fetch a token may fetch a million large ones."""
    octo = await own_registry.person("octo")
    it = Material(own_registry, await octo.log_in("repository:octo/app:pull"))
    access, held = own_registry.services.access, []
    for number in range(500):
        caller = await access.authenticate(it.signed(jti=str(number), more="x" * 20_000), "")
        assert caller.subject is not None
        held.append(sum(map(len, access._verified)))
    assert max(held) < 5 * 1024 * 1024
    assert held[-1] < sum(range(500)) * 20_000, "it began anew"


async def test_the_blobs_of_an_anonymous_reader_are_those_of_the_public(
    registry: Registry, octo: OCIClient, name: str
) -> None:
    digest = await octo.push_blob(name, fresh())
    await registry.publish(name, Visibility.PUBLIC)
    assert (await registry.anonymous.get(f"/v2/{name}/blobs/{digest}")).status_code == 200
