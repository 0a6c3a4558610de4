"""Small images that nobody else has: as an OCI layout, as what `docker load` reads, and as files."""

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
SOURCE = "org.opencontainers.image.source"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What it is made of. Two images share no blob, unless they were given the same `payload` and labels."""

    payload: bytes
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    architecture: str = "amd64"

    @property
    def layer(self) -> bytes:
        """A tar of one file, `data`."""
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w") as tar:
            info = tarfile.TarInfo("data")
            info.size, info.mode = len(self.payload), 0o644
            tar.addfile(info, io.BytesIO(self.payload))
        return raw.getvalue()

    @property
    def packed_layer(self) -> bytes:
        return gzip.compress(self.layer, mtime=0)

    @property
    def config(self) -> bytes:
        return _encode(
            {
                "architecture": self.architecture,
                "os": "linux",
                "created": "2024-01-01T00:00:00Z",
                "config": {"Labels": dict(self.labels)},
                "rootfs": {"type": "layers", "diff_ids": [digest_of(self.layer)]},
                "history": [{"created": "2024-01-01T00:00:00Z", "created_by": "test"}],
            }
        )

    @property
    def id(self) -> str:
        """The digest of its configuration, which names its content: every tool keeps it through push and pull."""
        return digest_of(self.config)

    @property
    def manifest(self) -> bytes:
        return _encode(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": describe(CONFIG, self.config),
                "layers": [describe(LAYER, self.packed_layer)],
                **({"annotations": dict(self.annotations)} if self.annotations else {}),
            }
        )


def make_image(
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    *,
    architecture: str = "amd64",
    size_bytes: int = 3000,
) -> Image:
    return Image(
        payload=os.urandom(size_bytes), labels=labels or {}, annotations=annotations or {}, architecture=architecture
    )


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def describe(media_type: str, content: bytes) -> dict[str, Any]:
    """An OCI descriptor."""
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}


def write_layout(folder: Path, *images: Image) -> None:
    """An OCI layout, whose tag `1` is the image, or an index of them if there are several. Source: OCI image-layout."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(content: bytes) -> None:
        (blobs / digest_of(content).partition(":")[2]).write_bytes(content)

    described = []
    for image in images:
        for content in (image.packed_layer, image.config, image.manifest):
            put(content)
        platform = {"os": "linux", "architecture": image.architecture}
        described.append({**describe(MANIFEST, image.manifest), "platform": platform})
    if len(images) > 1:
        index = _encode({"schemaVersion": 2, "mediaType": INDEX, "manifests": described})
        put(index)
        described = [describe(INDEX, index)]
    described[0]["annotations"] = {"org.opencontainers.image.ref.name": "1"}
    (folder / "oci-layout").write_bytes(_encode({"imageLayoutVersion": "1.0.0"}))
    (folder / "index.json").write_bytes(_encode({"schemaVersion": 2, "manifests": described}))


def docker_archive(image: Image, name: str) -> bytes:
    """What `docker load` reads: the image under this name. Source: Docker image specification v1.2."""
    config = f"{image.id.partition(':')[2]}.json"
    files = {
        config: image.config,
        "layer.tar": image.layer,
        "manifest.json": _encode([{"Config": config, "RepoTags": [name], "Layers": ["layer.tar"]}]),
    }
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for path, content in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return raw.getvalue()


def _encode(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
