"""What is in a version, as people are told. Policy: domain/package_content.py."""

import json
from typing import Any

import pytest
from tests.oci.images import artifact, image, index

from berth.domain.package_content import ContentKind, ImageConfig, read_content, read_image_config

HISTORY = [
    {"created_by": "ADD root.tar /"},
    {"created_by": "ENV A=b", "empty_layer": True},
    {"created_by": "RUN make"},
]


def config(**more: Any) -> bytes:
    return json.dumps({"os": "linux", "architecture": "arm64", "variant": "v8", **more}).encode()


def test_an_image_with_its_platform_layers_and_labels() -> None:
    body = config(
        created="2026-01-02T03:04:05Z",
        history=HISTORY,
        config={"User": "node", "Entrypoint": ["/init"], "Cmd": ["sh", "-l"], "Labels": {"a": "b"}},
    )
    made = image(b"one", b"three", config=body)
    content = read_content(made.content, made.media_type, body)
    assert content.kind is ContentKind.IMAGE
    assert content.platforms == ("linux/arm64/v8",)
    assert [(layer.descriptor.size_bytes, layer.command) for layer in content.layers] == [
        (3, "ADD root.tar /"),
        (5, "RUN make"),
    ]
    assert content.config == ImageConfig(
        platform="linux/arm64/v8",
        created="2026-01-02T03:04:05Z",
        user="node",
        entrypoint=("/init",),
        command=("sh", "-l"),
        labels={"a": "b"},
        layer_commands=("ADD root.tar /", "RUN make"),
    )


@pytest.mark.parametrize("history", [HISTORY[:1], [*HISTORY, {"created_by": "RUN more"}], [], None, "x", [1, None]])
def test_policy_3_commands_stand_beside_layers_only_if_they_fit(history: object) -> None:
    body = config(history=history)
    made = image(b"one", b"two", config=body)
    assert [layer.command for layer in read_content(made.content, made.media_type, body).layers] == ["", ""]


def test_without_its_configuration() -> None:
    made = image(b"one")
    content = read_content(made.content, made.media_type)
    assert (content.config, content.platforms, len(content.layers)) == (None, (), 1)
    nothing = read_content(made.content, made.media_type, b"{}")
    assert (nothing.config, nothing.platforms) == (ImageConfig(), ())


def test_policy_2_an_index_names_each_platform_once_and_no_attestation() -> None:
    platforms: list[dict[str, str] | None] = [
        {"os": "linux", "architecture": "amd64"},
        {"os": "linux", "architecture": "arm64", "variant": "v8"},
        {"os": "linux", "architecture": "amd64"},
        {"os": "unknown", "architecture": "unknown"},
        None,
    ]
    made = index([image().descriptor(**({"platform": each} if each else {})) for each in platforms])
    content = read_content(made.content, made.media_type)
    assert content.kind is ContentKind.INDEX
    assert content.platforms == ("linux/amd64", "linux/arm64/v8")
    assert content.layers == ()


def test_policy_1_what_has_no_images_configuration_is_an_artifact() -> None:
    made = artifact("application/vnd.example.sbom")
    assert read_content(made.content, made.media_type).kind is ContentKind.ARTIFACT


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"os": 1, "architecture": [], "created": {}, "history": {}, "config": []}',
        b'{"os": "<b>", "architecture": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}',
        b'{"config": {"User": 1, "Entrypoint": "sh", "Cmd": {"a": 1}, "Labels": {"a": 1}}}',
    ],
)
def test_policy_4_what_has_a_wrong_type_is_not_there(body: bytes) -> None:
    assert read_image_config(body) == ImageConfig()


def test_policy_4_words_among_other_things_are_kept() -> None:
    assert read_image_config(b'{"config": {"Cmd": ["a", 1, null, "b"]}}').command == ("a", "b")
