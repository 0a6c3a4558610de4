"""Manifests and configurations, read as strictly as it takes to see in them what every engine sees.

1. A manifest is one of four media types. What its Content-Type says and what it says of itself must agree.
2. Engines read JSON without regard to case, and the last of two equal keys wins: two keys that differ in nothing but case
   are refused, or the engine could find another configuration in the same bytes.
3. A manifest that could also be read as one of another kind is refused (CVE-2021-41190).
4. Of an index, the manifest for linux and the engine's architecture counts; one without a variant is preferred.
5. An image has as many `rootfs.diff_ids` in its configuration as it has layers.

Source: OCI image-spec v1.1, manifest.md, image-index.md and config.md; distribution "Image Manifest Version 2, Schema 2".
"""

import re
from dataclasses import dataclass

from berth.domain.exchange_message import ExchangeResponse, json_object, media_type_of
from berth.domain.image_reference import Digest, parse_digest
from berth.domain.media_type import MANIFEST_TYPES, keys_of_other_kinds
from berth.domain.problem import Invalid
from berth.domain.strict_json import parse_json_object

_CONFIG_TYPES = frozenset(
    {
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.container.image.v1+json",
        "application/octet-stream",  # what old registries wrote
    }
)
_PLAIN_VARIANTS = frozenset({"", "v1", "v8"})
_WORD = re.compile(r"[a-z0-9._-]{1,20}")
_MAX_NAMED_PLATFORMS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageManifest:
    """What an image consists of, as far as a right to it is proven with it."""

    config: Digest
    layers: int


def read_manifest(response: ExchangeResponse) -> tuple[str, dict[str, object]]:
    """The media type and the content (policy 1 to 3). Raises Invalid(code="image.unsupported")."""
    content = _strict_object(response.body)
    own = content.get("mediaType")
    header = media_type_of(response)
    media_type = header if header in MANIFEST_TYPES else str(own)
    if media_type not in MANIFEST_TYPES:
        raise _unsupported("Its manifest is of a kind that is not an image.")
    if own not in {None, media_type}:
        raise _unsupported("Its manifest contradicts itself about its kind.")
    if keys_of_other_kinds(media_type) & content.keys():
        raise _unsupported("Its manifest can be read in two ways.")
    return media_type, content


def choose_platform(index: dict[str, object], architecture: str) -> Digest:
    """The manifest for linux on that architecture (policy 4). Raises Invalid, also code="image.platform_missing"."""
    found: list[tuple[bool, str]] = []
    others: set[str] = set()
    for entry in _objects(index.get("manifests")):
        platform = entry.get("platform")
        words = platform if isinstance(platform, dict) else {}
        system, machine, variant = (words.get(key, "") for key in ("os", "architecture", "variant"))
        if (system, machine) == ("linux", architecture):
            found.append((str(variant) not in _PLAIN_VARIANTS, str(entry.get("digest"))))
        elif all(isinstance(word, str) and _WORD.fullmatch(word) for word in (system, machine)):
            others.add(f"{system}/{machine}")
    if not found:
        there = sorted(others - {"unknown/unknown"})[:_MAX_NAMED_PLATFORMS]
        text = f"The engine is linux/{architecture}; there is {', '.join(there) or 'no platform at all'}."
        raise Invalid(text, code="image.platform_missing")
    return _digest(min(found, key=lambda one: one[0])[1])


def read_image_manifest(manifest: dict[str, object]) -> ImageManifest:
    """Raises Invalid(code="image.unsupported") for an artifact, or what is none of both."""
    config, layers = manifest.get("config"), manifest.get("layers")
    if not isinstance(config, dict) or not isinstance(layers, list):
        raise _unsupported("Its manifest names no configuration or no layers.")
    if config.get("mediaType") not in _CONFIG_TYPES:
        raise _unsupported("It is an artifact, not an image.")
    return ImageManifest(config=_digest(str(config.get("digest"))), layers=len(layers))


def check_config(body: bytes, manifest: ImageManifest) -> None:
    """Raises Invalid(code="image.unsupported") unless it is the configuration of an image with that many layers."""
    root = json_object(body).get("rootfs")
    layers = root.get("diff_ids") if isinstance(root, dict) else None
    if not isinstance(layers, list) or len(layers) != manifest.layers:
        raise _unsupported("Its configuration does not fit its layers.")


def _strict_object(body: bytes) -> dict[str, object]:
    try:
        return parse_json_object(body, ignore_case=True)
    except Invalid:
        raise _unsupported("Its manifest is not plain JSON.") from None


def _objects(value: object) -> list[dict[str, object]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _digest(text: str) -> Digest:
    try:
        return parse_digest(text)
    except Invalid:
        raise _unsupported("Its manifest names content without a proper digest.") from None


def _unsupported(reason: str) -> Invalid:
    return Invalid(reason, code="image.unsupported")
