"""Images, indexes and artifacts for the tests: their manifests as bytes, with the blobs that they need."""

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from berth.domain.image_reference import Digest, DigestAlgorithm
from berth.domain.media_type import DOCKER_MANIFEST, DOCKER_MANIFEST_LIST, OCI_INDEX, OCI_MANIFEST

CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
EMPTY = "application/vnd.oci.empty.v1+json"
_NUMBERS = itertools.count()


@dataclass(frozen=True)
class Image:
    """A manifest as it is pushed, and the blobs that have to be there before it."""

    content: bytes
    media_type: str
    blobs: tuple[bytes, ...] = ()

    @property
    def digest(self) -> Digest:
        return Digest.of(self.content)

    def descriptor(self, **more: Any) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": str(self.digest), "size": len(self.content), **more}


def descriptor(content: bytes, media_type: str, algorithm: DigestAlgorithm = DigestAlgorithm.SHA256) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": str(Digest.of(content, algorithm)), "size": len(content)}


def fresh(size: int = 32) -> bytes:
    """Bytes that no other blob of this test run has."""
    seed = f"blob {next(_NUMBERS)} ".encode()
    return (seed * (size // len(seed) + 1))[:size] if size >= len(seed) else seed[:size]


def image(
    *layers: bytes, config: bytes | None = None, media_type: str = OCI_MANIFEST, labels: Any = None, **more: Any
) -> Image:
    """An image; of one new layer unless others are given. `more`: further keys of its manifest."""
    docker = media_type == DOCKER_MANIFEST
    layers = layers or (fresh(),)
    if config is None:
        inner: dict[str, Any] = {"architecture": "amd64", "os": "linux", "number": next(_NUMBERS)}
        config = json.dumps({**inner, **({"config": {"Labels": labels}} if labels else {})}).encode()
    body = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": descriptor(config, DOCKER_CONFIG if docker else CONFIG),
        "layers": [descriptor(layer, DOCKER_LAYER if docker else LAYER) for layer in layers],
        **more,
    }
    return Image(json.dumps(body).encode(), media_type, (config, *layers))


def artifact(artifact_type: str, *, subject: Image | None = None, content: bytes | None = None, **more: Any) -> Image:
    """What ORAS makes: an image without a configuration of its own."""
    layer = fresh() if content is None else content
    body: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": descriptor(b"{}", EMPTY),
        "layers": [descriptor(layer, "application/octet-stream")],
        **more,
    }
    if subject is not None:
        body["subject"] = subject.descriptor()
    return Image(json.dumps(body).encode(), OCI_MANIFEST, (b"{}", layer))


def index(children: Sequence[Image | dict[str, Any]], media_type: str = OCI_INDEX, **more: Any) -> Image:
    manifests = [child.descriptor() if isinstance(child, Image) else child for child in children]
    body = {"schemaVersion": 2, "mediaType": media_type, "manifests": manifests, **more}
    return Image(json.dumps(body).encode(), media_type)


def manifest_list(children: Sequence[Image]) -> Image:
    """Docker's."""
    platform = {"architecture": "amd64", "os": "linux"}
    return index([child.descriptor(platform=platform) for child in children], DOCKER_MANIFEST_LIST)
