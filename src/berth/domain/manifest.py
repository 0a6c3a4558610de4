"""Manifests that are pushed to the built-in registry: what is accepted, and what one refers to.

1. At most 4 MiB (the spec asks for 4 MB at least; containerd, too, reads no larger one), an object by the rules of
   strict_json.
2. Four kinds: image and index, of OCI and of Docker's schema 2. An artifact is an OCI image or index with an
   `artifactType`, or with a configuration of its own type. Content-Type must be what `mediaType` says (CVE-2021-41190);
   one of the two may be missing. `schemaVersion` is 2.
3. A key of another kind is refused (media_type.py); so is one that differs from a key we know in nothing but case, where
   clients written in Go would read what we do not. Other keys are the client's own, and kept: the bytes are never changed.
   `null` is as if the key were missing, but an image has to have `layers` and an index `manifests`: Go writes an empty
   list as `null`.
4. A descriptor has a media type, a digest that we can verify (sha256, sha512) and a size from 0 to 2^63 - 1. `data`, if it
   is there, is that very content in base64. What is meant for engines (`urls`, `platform`, `annotations`) has the right
   types, as far as we read it, or no client written in Go could read the manifest.
5. At most 10 000 layers, or manifests in an index: each is looked up and becomes a row while the push waits. No image has a
   tenth of that (overlay allows about 500 layers), and 4 MiB would hold 37 000.
6. Annotations are text to text, without NUL and lone surrogates, which neither PostgreSQL nor an answer in UTF-8 can hold.
7. Layers of a non-distributable type are fetched elsewhere and need not be here; their `urls` are never called by Berth. In
   an index, what is of no manifest type is a blob (BuildKit's cache), and need not be here either, like every child.
8. The referrers API shows `artifactType`, or for an image without one the type of its configuration.

Decided: `application/vnd.oci.artifact.manifest.v1+json` is refused. image-spec 1.1 dropped it before its release; ORAS 0.16,
which wrote it, pushes an OCI image instead when the answer is 400, and Notation of that time can be told to. Docker's
schema 1 is refused: no current engine runs it. A digest by another algorithm is refused, although image-spec would let it
pass: what it names can never be pushed here.
Source: OCI image-spec v1.1, manifest.md, image-index.md, descriptor.md, annotations.md; OCI distribution-spec v1.1,
"Pushing Manifests", "Listing Referrers"; distribution "Image Manifest Version 2, Schema 2".
"""

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from berth.domain.image_reference import Digest, parse_digest
from berth.domain.media_type import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    OCI_INDEX,
    OCI_MANIFEST,
    is_media_type,
    keys_of_other_kinds,
    parse_content_type,
)
from berth.domain.problem import Invalid, LimitReached
from berth.domain.strict_json import parse_json_object

MAX_MANIFEST_BYTES = 4 * 1024 * 1024
MAX_DESCRIPTORS = 10_000

NON_DISTRIBUTABLE_TYPES = frozenset(
    {
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
        "application/vnd.docker.image.rootfs.foreign.diff.tar",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    }
)

_SCHEMA_1_TYPES = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    }
)
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
PLATFORM_WORD = re.compile(r"[A-Za-z0-9._-]{0,64}")


def _by_fold(names: Iterable[str]) -> dict[str, str]:
    return {name.casefold(): name for name in names}


_KEYS = _by_fold(
    {"schemaVersion", "mediaType", "artifactType", "subject", "annotations"}
    | keys_of_other_kinds(OCI_MANIFEST)
    | keys_of_other_kinds(OCI_INDEX)
)
_DESCRIPTOR_KEYS = _by_fold({"mediaType", "digest", "size", "urls", "annotations", "data", "artifactType", "platform"})
_PLATFORM_KEYS = _by_fold({"os", "architecture", "variant"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """What a manifest says of other content. `platform` is for people: `linux/arm64/v8`, empty if none is named."""

    media_type: str
    digest: Digest
    size_bytes: int
    urls: tuple[str, ...] = ()
    platform: str = ""

    @property
    def is_foreign(self) -> bool:
        """A layer that is fetched elsewhere (policy 7)."""
        return self.media_type in NON_DISTRIBUTABLE_TYPES


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A manifest that was accepted. An image has a configuration and layers, an index has manifests.

    `artifact_type` is what the referrers API shows (policy 8), empty if there is none.
    """

    media_type: str
    artifact_type: str = ""
    annotations: dict[str, str] = field(default_factory=dict)
    subject: Descriptor | None = None
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] = ()
    manifests: tuple[Descriptor, ...] = ()


def parse_pushed_manifest(body: bytes, content_type: str) -> Manifest:
    """Policy 1 to 8; `content_type` is the header, empty if there is none.

    Raises Invalid, or LimitReached for more than MAX_MANIFEST_BYTES; code `manifest.*`. No text repeats the manifest.
    """
    content = _read(body)
    media_type = _media_type(content, parse_content_type(content_type))
    _check_kind(content, media_type)
    config = _optional(content, "config")
    if config is None and media_type not in INDEX_TYPES:
        raise _refusal("incomplete", "An image's manifest names a `config`.")
    return Manifest(
        media_type=media_type,
        artifact_type=_artifact_type(content, "The manifest") or (config.media_type if config else ""),
        annotations=_annotations(content, "The manifest"),
        subject=_optional(content, "subject"),
        config=config,
        layers=_descriptors(content, "layers"),
        manifests=_descriptors(content, "manifests"),
    )


def referenced_blobs(manifest: Manifest) -> tuple[Digest, ...]:
    """What has to be here before the manifest: the configuration and the layers that are not foreign, each once."""
    config = [manifest.config.digest] if manifest.config else []
    layers = [layer.digest for layer in manifest.layers if not layer.is_foreign]
    return tuple(dict.fromkeys([*config, *layers]))


def optional_blobs(manifest: Manifest) -> tuple[Digest, ...]:
    """What need not be here, but is kept while the manifest is, if somebody pushed it (policy 7), each once."""
    foreign = [layer.digest for layer in manifest.layers if layer.is_foreign]
    others = [child.digest for child in manifest.manifests if child.media_type not in MANIFEST_TYPES]
    return tuple(dict.fromkeys([*foreign, *others]))


def referenced_manifests(manifest: Manifest) -> tuple[Descriptor, ...]:
    """The children of an index that are manifests. Any of them may be missing (sparse index). A subject is no child."""
    return tuple(child for child in manifest.manifests if child.media_type in MANIFEST_TYPES)


def to_descriptor(manifest: Manifest, digest: Digest, size_bytes: int) -> dict[str, object]:
    """How the referrers API shows it. Source: OCI distribution-spec v1.1, "Listing Referrers"."""
    shown: dict[str, object] = {"mediaType": manifest.media_type, "digest": str(digest), "size": size_bytes}
    if manifest.artifact_type:
        shown["artifactType"] = manifest.artifact_type
    if manifest.annotations:
        shown["annotations"] = manifest.annotations
    return shown


def _read(body: bytes) -> dict[str, object]:
    if len(body) > MAX_MANIFEST_BYTES:
        raise LimitReached("A manifest has at most 4 MiB.", code="manifest.too_large")
    try:
        content = parse_json_object(body)
    except Invalid as error:
        raise _refusal("malformed", f"The manifest cannot be read. {error.message}") from None
    _check_case(content, _KEYS, "The manifest")
    return content


def _media_type(content: Mapping[str, object], header: str) -> str:
    own = _given(content, "mediaType", "")
    if not isinstance(own, str):
        raise _refusal("media_type", "The manifest's `mediaType` is not a text.")
    if own and header and own != header:
        raise _refusal("media_type_mismatch", "The manifest's `mediaType` is not what Content-Type says.")
    media_type = own or header
    if media_type in _SCHEMA_1_TYPES:
        raise _refusal("schema_1", "Manifests of Docker's schema 1 are refused; push with a current tool.")
    if media_type not in MANIFEST_TYPES:
        raise _refusal("media_type", "A manifest is an image or index, of OCI or of Docker's schema 2; name its type.")
    return media_type


def _check_kind(content: Mapping[str, object], media_type: str) -> None:
    version = content.get("schemaVersion")
    if type(version) is not int or version != 2:
        raise _refusal("schema_version", "The manifest's `schemaVersion` is not 2.")
    if keys_of_other_kinds(media_type) & content.keys():
        raise _refusal("ambiguous", "The manifest has keys of more than one kind of manifest.")
    own_list = "manifests" if media_type in INDEX_TYPES else "layers"
    if own_list not in content:
        raise _refusal("incomplete", f"The manifest lacks `{own_list}`.")


def _optional(content: Mapping[str, object], name: str) -> Descriptor | None:
    value = content.get(name)
    return None if value is None else _descriptor(value, f"`{name}`")


def _descriptors(content: Mapping[str, object], name: str) -> tuple[Descriptor, ...]:
    value = _given(content, name, [])
    if not isinstance(value, list):
        raise _refusal("descriptor", f"`{name}` is not a list.")
    if len(value) > MAX_DESCRIPTORS:
        raise _refusal("too_many", f"`{name}` has more than {MAX_DESCRIPTORS} entries.")
    return tuple(_descriptor(one, f"`{name}[{index}]`") for index, one in enumerate(value))


def _descriptor(value: object, where: str) -> Descriptor:
    if not isinstance(value, dict):
        raise _refusal("descriptor", f"{where} is not an object.")
    _check_case(value, _DESCRIPTOR_KEYS, where)
    media_type, size = value.get("mediaType"), value.get("size")
    if not isinstance(media_type, str) or not is_media_type(media_type):
        raise _refusal("descriptor", f"{where} has no proper `mediaType`.")
    if type(size) is not int or not 0 <= size < 2**63:
        raise _refusal("descriptor", f"{where} has no proper `size`.")
    digest = _digest(value.get("digest"), where)
    _check_data(value.get("data"), digest, size, where)
    _annotations(value, where)
    _artifact_type(value, where)
    return Descriptor(
        media_type=media_type,
        digest=digest,
        size_bytes=size,
        urls=_urls(value, where),
        platform=_platform(value.get("platform"), where),
    )


def _digest(value: object, where: str) -> Digest:
    try:
        return parse_digest(value if isinstance(value, str) else "")
    except Invalid:
        raise _refusal("descriptor", f"{where} has no proper `digest` (sha256 or sha512).") from None


def _check_data(value: object, digest: Digest, size: int, where: str) -> None:
    if value is None:
        return
    try:
        content = base64.b64decode(value if isinstance(value, str) else "-", validate=True)
    except ValueError:
        raise _refusal("data", f"The `data` of {where} is not base64.") from None
    if len(content) != size or Digest.of(content, digest.algorithm) != digest:
        raise _refusal("data", f"The `data` of {where} is not the content that its digest and size name.")


def _urls(content: Mapping[str, object], where: str) -> tuple[str, ...]:
    urls = _given(content, "urls", [])
    if not isinstance(urls, list) or not all(_is_storable(url) for url in urls):
        raise _refusal("descriptor", f"The `urls` of {where} are not a list of texts.")
    return tuple(urls)


def _platform(value: object, where: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, dict):
        raise _refusal("descriptor", f"The `platform` of {where} is not an object.")
    _check_case(value, _PLATFORM_KEYS, f"The `platform` of {where}")
    words = [_given(value, key, "") for key in ("os", "architecture", "variant")]
    if not all(isinstance(word, str) and PLATFORM_WORD.fullmatch(word) for word in words):
        raise _refusal("descriptor", f"The `platform` of {where} is not made of short words.")
    return "/".join(str(word) for word in words if word)


def _annotations(content: Mapping[str, object], where: str) -> dict[str, str]:
    annotations = _given(content, "annotations", {})
    if not isinstance(annotations, dict) or not all(
        _is_storable(text) for pair in annotations.items() for text in pair
    ):
        raise _refusal("annotations", f"{where} has `annotations` that are not text to text, or hold a NUL.")
    return annotations


def _artifact_type(content: Mapping[str, object], where: str) -> str:
    value = _given(content, "artifactType", "")
    if not isinstance(value, str) or (value and not is_media_type(value)):
        raise _refusal("artifact_type", f"{where} has an `artifactType` that is not a media type.")
    return value


def _check_case(fields: Mapping[str, object], keys: Mapping[str, str], where: str) -> None:
    for name in fields:
        if keys.get(name.casefold(), name) != name:
            raise _refusal("ambiguous", f"{where} has a key that differs from one with a meaning in its case only.")


def _given(fields: Mapping[str, object], key: str, default: object) -> object:
    """The value, or the default where there is none or `null` (policy 3); anything else is for the caller to judge."""
    value = fields.get(key)
    return default if value is None else value


def _is_storable(value: object) -> bool:
    return isinstance(value, str) and _UNSTORABLE.search(value) is None


def _refusal(kind: str, sentence: str) -> Invalid:
    return Invalid(sentence, field="manifest", code=f"manifest.{kind}")
