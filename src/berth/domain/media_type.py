"""Media types: how one is written, and the kinds of manifests that Berth knows.

Source: RFC 6838 §4.2; OCI image-spec v1.1, media-types.md; distribution "Image Manifest Version 2, Schema 2".
"""

import re

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_MANIFEST_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"

MANIFEST_TYPES = (OCI_INDEX, OCI_MANIFEST, DOCKER_MANIFEST_LIST, DOCKER_MANIFEST)
INDEX_TYPES = (OCI_INDEX, DOCKER_MANIFEST_LIST)
MAX_LENGTH = 255

_OF_IMAGES = frozenset({"config", "layers"})
_OF_INDEXES = frozenset({"manifests"})
_OF_SCHEMA_1 = frozenset({"fsLayers", "history", "signatures"})

_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
_MEDIA_TYPE = re.compile(rf"{_NAME}/{_NAME}(?:[ \t]*;[\t -~]*)?")


def is_media_type(text: str) -> bool:
    """Whether it is a type, maybe with parameters: some tools write a version there (`…bundle+json;version=0.2`)."""
    return len(text) <= MAX_LENGTH and _MEDIA_TYPE.fullmatch(text) is not None


def parse_content_type(header: str) -> str:
    """The type in a Content-Type header: lower-case, without parameters; empty if there is none."""
    return header.partition(";")[0].strip().lower()


def keys_of_other_kinds(media_type: str) -> frozenset[str]:
    """The keys by which a manifest of that type could also be read as one of another kind (CVE-2021-41190)."""
    return _OF_SCHEMA_1 | (_OF_IMAGES if media_type in INDEX_TYPES else _OF_INDEXES)
