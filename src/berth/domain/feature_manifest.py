"""The manifest of a published Feature: an artifact with one layer, its archive.

Source: containers.dev, "Features distribution", "OCI Registry". Observed with version 0.89.0 of the dev container CLI: a
configuration of two bytes, one layer, and the metadata once more as an annotation, which is not read here.
"""

from berth.domain.exchange_message import ExchangeResponse
from berth.domain.image_manifest import read_manifest
from berth.domain.image_reference import Digest, parse_digest
from berth.domain.problem import Invalid

CONFIG_TYPE = "application/vnd.devcontainers"
LAYER_TYPE = "application/vnd.devcontainers.layer.v1+tar"
MAX_LAYER_BYTES = 16 * 1024 * 1024


def read_feature_manifest(response: ExchangeResponse) -> Digest:
    """Which blob is the archive. Raises Invalid, code `feature.unsupported` or `feature.too_large`."""
    try:
        _, manifest = read_manifest(response)
    except Invalid as refusal:
        raise _unsupported(refusal.message) from None
    config, layers = manifest.get("config"), manifest.get("layers")
    if not isinstance(config, dict) or config.get("mediaType") != CONFIG_TYPE:
        raise _unsupported("It is an image, or another artifact.")
    first = layers[0] if isinstance(layers, list) and len(layers) == 1 else None
    if not isinstance(first, dict) or first.get("mediaType") != LAYER_TYPE:
        raise _unsupported("It has not the one layer that a Feature has.")
    size = first.get("size")
    if not isinstance(size, int) or not 0 <= size <= MAX_LAYER_BYTES:
        raise Invalid(f"Its archive may have {MAX_LAYER_BYTES // 2**20} MiB.", code="feature.too_large")
    try:
        return parse_digest(str(first.get("digest")))
    except Invalid:
        raise _unsupported("Its layer has no proper digest.") from None


def _unsupported(reason: str) -> Invalid:
    return Invalid(reason, code="feature.unsupported")
