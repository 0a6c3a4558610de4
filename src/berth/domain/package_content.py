"""What is in a version, for people: its kind, its platforms, layers and labels. Read from a manifest that was accepted.

1. An image is what has an image's configuration; an index lists others; all else is an artifact.
2. What BuildKit says about a build stands in an index for the platform `unknown/unknown`: it is no platform.
3. A layer is told with the command that made it only if the configuration has as many commands that made one as there are layers.
4. A configuration is a stranger's JSON: what has not the type that the specification gives it, and a
   word of a platform that no manifest could name, is as if it were not there.

Source: OCI image-spec v1.1, config.md, "Properties"; BuildKit, "Image Attestation Storage".
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from berth.domain.manifest import PLATFORM_WORD, Descriptor, Manifest, parse_pushed_manifest, referenced_manifests
from berth.domain.media_type import INDEX_TYPES
from berth.domain.problem import Invalid
from berth.domain.source_annotation import read_image_labels
from berth.domain.strict_json import parse_json_object

NO_PLATFORM = "unknown/unknown"
_CONFIG_TYPES = frozenset(
    {"application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"}
)


class ContentKind(StrEnum):
    """Policy 1."""

    IMAGE = "image"
    INDEX = "index"
    ARTIFACT = "artifact"


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer, and the command that made it if that is known (policy 3)."""

    descriptor: Descriptor
    command: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """What an image's configuration says, as far as people look for it."""

    platform: str = ""  # linux/arm64/v8
    created: str = ""
    user: str = ""
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    layer_commands: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageContent:
    """A version's content. `config` is None where there is none, or it could not be read."""

    kind: ContentKind
    manifest: Manifest
    config: ImageConfig | None = None

    @property
    def platforms(self) -> tuple[str, ...]:
        if self.kind is ContentKind.INDEX:
            return platforms_of(self.manifest)
        return (self.config.platform,) if self.config is not None and self.config.platform else ()

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Policy 3."""
        commands = () if self.config is None else self.config.layer_commands
        layers = self.manifest.layers
        if len(commands) != len(layers):
            commands = ("",) * len(layers)
        return tuple(Layer(layer, command) for layer, command in zip(layers, commands, strict=True))


def read_content(content: bytes, media_type: str, config_body: bytes | None = None) -> PackageContent:
    """Of a manifest that was accepted once; its configuration, if it was read."""
    manifest = parse_pushed_manifest(content, media_type)
    config = None if config_body is None else read_image_config(config_body)
    return PackageContent(kind=_kind_of(manifest), manifest=manifest, config=config)


def config_of(manifest: Manifest) -> Descriptor | None:
    """The configuration, if it is an image's."""
    config = manifest.config
    return config if config is not None and config.media_type in _CONFIG_TYPES else None


def platforms_of(manifest: Manifest) -> tuple[str, ...]:
    """An index's platforms, each once (policy 2)."""
    named = [child.platform for child in referenced_manifests(manifest)]
    return tuple(dict.fromkeys(platform for platform in named if platform not in {"", NO_PLATFORM}))


def read_image_config(body: bytes) -> ImageConfig:
    """Policy 4."""
    try:
        content = parse_json_object(body)
    except Invalid:
        return ImageConfig()
    own = content.get("config")
    inner: dict[str, object] = own if isinstance(own, dict) else {}
    words = [_text(content.get(key)) for key in ("os", "architecture", "variant")]
    return ImageConfig(
        platform="/".join(word for word in words if word and PLATFORM_WORD.fullmatch(word)),
        created=_text(content.get("created")),
        user=_text(inner.get("User")),
        entrypoint=_texts(inner.get("Entrypoint")),
        command=_texts(inner.get("Cmd")),
        labels=read_image_labels(body),
        layer_commands=tuple(_layer_commands(content.get("history"))),
    )


def _kind_of(manifest: Manifest) -> ContentKind:
    if manifest.media_type in INDEX_TYPES:
        return ContentKind.INDEX
    return ContentKind.IMAGE if config_of(manifest) is not None else ContentKind.ARTIFACT


def _layer_commands(history: object) -> Iterator[str]:
    for step in history if isinstance(history, list) else ():
        if isinstance(step, dict) and step.get("empty_layer") is not True:
            yield _text(step.get("created_by"))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> tuple[str, ...]:
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()
