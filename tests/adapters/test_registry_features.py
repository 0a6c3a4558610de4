"""Features from registries of every temper: with whose credential, and what counts as one."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.adapters.test_registry_http import (
    BASIC,
    CANARY,
    CREDENTIAL,
    HOST,
    QUICK,
    TOKEN,
    WRONG,
    Registry,
    registries,
    serving,
    with_sink,
)
from tests.fakes.certificates import Authority
from tests.fakes.docker_registry import run_docker_registry
from tests.fakes.http_server import Reply
from tests.features import feature_files, feature_manifest, push_feature, tar_of

from berth.adapters.guarded_http import GuardedHTTPSettings
from berth.adapters.registry_http import RegistryHTTP
from berth.domain import credential_exchange
from berth.domain.address_policy import parse_private_addresses
from berth.domain.feature_manifest import LAYER_TYPE, MAX_LAYER_BYTES
from berth.domain.image_reference import Digest, parse_image_reference
from berth.domain.login_exchange import LoginProof
from berth.domain.media_type import OCI_INDEX, OCI_MANIFEST
from berth.domain.registry_credential import Anonymous, RegistryCredential
from berth.domain.secret_text import SecretText
from berth.services.ports import FetchedFeature, ImageRefused

ARCHIVE = tar_of(feature_files())
MANIFEST = feature_manifest(ARCHIVE)
BLOB = f"/v2/acme/hello/blobs/{Digest.of(ARCHIVE)}"
FEATURE = parse_image_reference(f"{HOST}/acme/hello:1")
FETCHED = FetchedFeature(feature=FEATURE.pinned(Digest.of(MANIFEST)), archive=ARCHIVE)


SHOWN = Reply(body=ARCHIVE)


def content(manifest: bytes = MANIFEST, blob: Reply | None = SHOWN) -> Mapping[str, Reply]:
    shown = {"/v2/acme/hello/manifests/1": Reply(headers={"Content-Type": OCI_MANIFEST}, body=manifest)}
    return shown if blob is None else {**shown, BLOB: blob}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.mark.parametrize(
    ("registry", "credential", "authorizations", "proof"),
    [
        (Registry(content=content()), CREDENTIAL, [BASIC, *[f"Bearer {TOKEN}"] * 2], None),
        (Registry(content=content()), Anonymous(), [f"Bearer {TOKEN}"] * 2, None),
        (Registry(scheme="Basic", content=content()), CREDENTIAL, [BASIC] * 2, LoginProof.CHECKED),
    ],
    ids=["Bearer", "anonymously", "Basic"],
)
async def test_a_feature_is_fetched(
    authority: Authority,
    registry: Registry,
    credential: RegistryCredential | Anonymous,
    authorizations: list[str],
    proof: LoginProof | None,
) -> None:
    async with serving(authority, registry) as (server, settings):
        with registries(settings) as client:
            assert await client.fetch_feature(FEATURE, credential) == replace(FETCHED, login_proof=proof)
    assert server.authorizations == authorizations
    assert {request.target for request in server.asked if request.path == "/token"} <= {
        f"/token?service={HOST}&scope=repository%3Aacme%2Fhello%3Apull"
    }


def layers(**changes: Any) -> bytes:
    described = {"mediaType": LAYER_TYPE, "digest": str(Digest.of(ARCHIVE)), "size": len(ARCHIVE), **changes}
    return feature_manifest(ARCHIVE, layers=[described])


COLLECTION = "application/vnd.devcontainers.collection.layer.v1+json"
IMAGE_CONFIG = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:" + "a" * 64, "size": 2}
BAD: dict[str, tuple[bytes, Reply | None, str]] = {
    "an image": (feature_manifest(ARCHIVE, config=IMAGE_CONFIG), None, "feature.unsupported"),
    "no configuration": (feature_manifest(ARCHIVE, config=None), None, "feature.unsupported"),
    "an index": (json.dumps({"mediaType": OCI_INDEX, "manifests": []}).encode(), None, "feature.unsupported"),
    "no JSON": (b"{", None, "feature.unsupported"),
    "no layer": (feature_manifest(ARCHIVE, layers=[]), None, "feature.unsupported"),
    "layers in no list": (feature_manifest(ARCHIVE, layers={}), None, "feature.unsupported"),
    "two layers": (feature_manifest(ARCHIVE, layers=[{}, {}]), None, "feature.unsupported"),
    "a layer that is none": (feature_manifest(ARCHIVE, layers=[1]), None, "feature.unsupported"),
    "the layer of a collection": (layers(mediaType=COLLECTION), None, "feature.unsupported"),
    "a digest that is none": (layers(digest="sha256:x"), None, "feature.unsupported"),
    "a size that is none": (layers(size="1"), None, "feature.too_large"),
    "too large": (layers(size=MAX_LAYER_BYTES + 1), None, "feature.too_large"),
    "a layer that is not there": (MANIFEST, None, "image.unproven"),
    "another layer": (MANIFEST, Reply(body=b"other"), "image.unproven"),
}  # fmt: skip


@pytest.mark.parametrize(("manifest", "blob", "code"), BAD.values(), ids=BAD.keys())
async def test_what_is_no_feature(authority: Authority, manifest: bytes, blob: Reply | None, code: str) -> None:
    async with serving(authority, Registry(content=content(manifest, blob))) as (_, settings):
        with registries(settings) as client:
            refused = await client.fetch_feature(FEATURE, CREDENTIAL)
    assert isinstance(refused, ImageRefused)
    assert refused.finding.code == code
    assert refused.finding.next_step
    assert CANARY not in repr(refused)


async def test_a_layer_larger_than_it_says(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credential_exchange, "MAX_LAYER_BYTES", len(ARCHIVE))
    large = content(blob=Reply(body=ARCHIVE + b"x"))
    for there, expected in ((large, "registry.answer_too_big"), (content(), None)):
        async with serving(authority, Registry(content=there)) as (_, settings):
            with registries(settings) as client:
                answer = await client.fetch_feature(FEATURE, CREDENTIAL)
        assert (answer.finding.code if isinstance(answer, ImageRefused) else None) == expected


@pytest.mark.parametrize(
    ("registry", "credential", "code", "word"),
    [
        (Registry(content=content()), WRONG, "image.unauthorized", "rejected the credential"),
        (Registry(scheme="Basic", content=content()), Anonymous(), "image.credential_missing", "acme/hello:1"),
        (Registry(rights=False), CREDENTIAL, "image.denied", "the Feature acme/hello:1"),
        (Registry(content={}), CREDENTIAL, "image.not_found", "the Feature acme/hello:1"),
    ],
)
async def test_a_refusal_says_why(
    authority: Authority, registry: Registry, credential: RegistryCredential | Anonymous, code: str, word: str
) -> None:
    async with serving(authority, registry) as (server, settings):
        with registries(settings) as client:
            refused = await client.fetch_feature(FEATURE, credential)
    assert isinstance(refused, ImageRefused)
    assert (refused.finding.code, word in refused.finding.sentence) == (code, True)
    assert sum("Basic" in one for one in server.authorizations) <= 1, "one login attempt"


async def test_a_digest_is_binding(authority: Authority) -> None:
    pinned = FEATURE.pinned(Digest.of(b"another"))
    there = {f"/v2/acme/hello/manifests/{pinned.digest}": content()["/v2/acme/hello/manifests/1"]}
    async with serving(authority, Registry(content={**content(), **there})) as (_, settings):
        with registries(settings) as client:
            refused = await client.fetch_feature(pinned, CREDENTIAL)
            assert await client.fetch_feature(FEATURE, CREDENTIAL) == FETCHED
    assert isinstance(refused, ImageRefused)
    assert refused.finding.code == "image.digest_mismatch"


async def test_c4_a_credential_for_another_host_is_not_sent(authority: Authority) -> None:
    async with serving(authority, Registry(content=content())) as (server, settings):
        with registries(settings) as client:
            refused = await client.fetch_feature(FEATURE, replace(CREDENTIAL, host="other.test"))
    assert isinstance(refused, ImageRefused)
    assert refused.finding.code == "credential.other_host"
    assert server.asked == []


async def test_c7_a_layer_elsewhere_is_fetched_without_the_credential(authority: Authority) -> None:
    moved = content(blob=Reply(status=307, headers={"Location": "https://sink.test/elsewhere"}))
    async with with_sink(authority, Registry(content=moved)) as (_, sink, settings):
        with registries(settings) as client:
            refused = await client.fetch_feature(FEATURE, CREDENTIAL)
    assert isinstance(refused, ImageRefused), "it has something else there"
    assert (len(sink.asked), sink.authorizations) == (1, [])


async def test_c9_a_layer_at_a_private_address_is_not_fetched(authority: Authority) -> None:
    moved = content(blob=Reply(status=307, headers={"Location": "https://127.0.0.1:1/metadata"}))
    async with serving(authority, Registry(content=moved)) as (_, settings):
        with registries(settings) as client:
            refused = await client.fetch_feature(FEATURE, CREDENTIAL)
    assert isinstance(refused, ImageRefused)
    assert refused.finding.code == "registry.address_forbidden"


@contextmanager
def reaching(address: str) -> Iterator[RegistryHTTP]:
    settings = GuardedHTTPSettings(
        private_addresses=parse_private_addresses([address]), insecure_hosts=frozenset({address})
    )
    with registries(
        replace(QUICK, **{name: getattr(settings, name) for name in ("private_addresses", "insecure_hosts")})
    ) as client:
        yield client


@pytest.mark.registry
async def test_the_real_docker_registry(tmp_path: Path) -> None:
    async with run_docker_registry(tmp_path, "ana", CANARY) as address:
        name = await push_feature(address, ("ana", CANARY), "team/f/hello", ARCHIVE)
        right = replace(CREDENTIAL, host=address)
        with reaching(address) as client:
            for reference, credential, code in (
                (name, right, ""),
                (name, replace(right, password=SecretText("wrong")), "image.unauthorized"),
                (name, Anonymous(), "image.credential_missing"),
                (f"{address}/team/f/other:1", right, "image.not_found"),
                (f"{address}/acme/app:1", right, "feature.unsupported"),
            ):
                answer = await client.fetch_feature(parse_image_reference(reference), credential)
                if code:
                    assert isinstance(answer, ImageRefused)
                    assert answer.finding.code == code
                else:
                    assert isinstance(answer, FetchedFeature)
                    assert answer.archive == ARCHIVE
