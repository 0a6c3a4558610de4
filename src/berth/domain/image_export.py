"""What an engine gives when it saves an image: which files of the archive are content, and the manifest made of them.

Layers stay as they are, without compression: the image's configuration, and so its id, stays the same byte for byte. An
engine that holds an image of this id already transfers nothing when it pulls it.

Source: moby, "Docker Image Specification v1.2.0", "Combined Image JSON + Filesystem Changeset Format"; since engine 25 the
archive is an OCI image layout with the same `manifest.json`. OCI image-spec v1.1, "Image Manifest".
"""

import json
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from berth.domain.image_reference import Digest
from berth.domain.problem import UpstreamFailed

INDEX = "manifest.json"
MAX_INDEX_BYTES = 1024 * 1024
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """Content of the archive that is in a package now."""

    digest: Digest
    size_bytes: int


def is_content(name: str) -> bool:
    """Whether a file of the archive may be a layer or a configuration; the rest is for engines of long ago."""
    if name.startswith("blobs/"):
        return True
    return name.endswith("/layer.tar") or ("/" not in name and name.endswith(".json") and name != INDEX)


def link_target(name: str, target: str) -> str:
    """The file that a link of the archive is: layers that are the same are saved once."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), target))


def make_manifest(index: bytes, files: Mapping[str, StoredFile], links: Mapping[str, str]) -> bytes:
    """The manifest of the archive's one image. Raises UpstreamFailed for an archive that is not understood."""
    try:
        (image,) = _parse(index)
        config = _find(image["Config"], files, links)
        layers = [_find(name, files, links) for name in image["Layers"]]
    except (KeyError, TypeError, ValueError) as error:
        raise UpstreamFailed("The engine saved the image in a way unknown to Berth.", code="engine.failed") from error
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": _descriptor(_CONFIG_TYPE, config),
            "layers": [_descriptor(_LAYER_TYPE, layer) for layer in layers],
        }
    ).encode()


def _parse(index: bytes) -> list[dict[str, Any]]:
    images: list[dict[str, Any]] = json.loads(index)
    return images


def _find(name: str, files: Mapping[str, StoredFile], links: Mapping[str, str]) -> StoredFile:
    return files[links.get(name, name)]


def _descriptor(media_type: str, file: StoredFile) -> dict[str, object]:
    return {"mediaType": media_type, "digest": str(file.digest), "size": file.size_bytes}
