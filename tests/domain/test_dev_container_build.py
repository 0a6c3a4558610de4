"""How a configuration says what to build: both spellings, paths that stay in the repository, what is refused."""

from dataclasses import replace

import pytest
from tests.domain.test_codespace import CODESPACE

from berth.domain.dev_container import parse_dev_container, review_configuration
from berth.domain.dev_container_build import DevContainerBuild, find_build
from berth.domain.image_build import build_key, built_image_name, codespace_of_image, is_of_build
from berth.domain.problem import Invalid

PATH = ".devcontainer/devcontainer.json"
FOUND: dict[str, tuple[dict[str, object], str, DevContainerBuild | None]] = {
    "an image": ({"image": "a"}, PATH, None),
    "a Dockerfile beside the file": (
        {"build": {"dockerfile": "Dockerfile"}},
        PATH,
        DevContainerBuild(dockerfile=".devcontainer/Dockerfile", context=".devcontainer"),
    ),
    "a file at the root": (
        {"build": {"dockerfile": "./Dockerfile", "context": "."}},
        ".devcontainer.json",
        DevContainerBuild(dockerfile="Dockerfile", context=""),
    ),
    "a context above": (
        {"build": {"dockerfile": "../docker/Dev", "context": ".."}},
        PATH,
        DevContainerBuild(dockerfile="docker/Dev", context=""),
    ),
    "the older keys": (
        {"dockerFile": "Dockerfile", "context": "../src", "build": {"args": {"A": "1"}, "target": "dev"}},
        PATH,
        DevContainerBuild(dockerfile=".devcontainer/Dockerfile", context="src", arguments={"A": "1"}, target="dev"),
    ),
    "arguments, a target, a hint": (
        {"build": {"dockerfile": "D", "args": {"A": "", "_b": "x"}, "target": "t", "cacheFrom": ["x"], "options": []}},
        PATH,
        DevContainerBuild(
            dockerfile=".devcontainer/D",
            context=".devcontainer",
            arguments={"A": "", "_b": "x"},
            target="t",
            notes=("'build.cacheFrom' is passed over: no image from elsewhere is a cache here.",),
        ),
    ),
    "null is nothing": (
        {"build": {"dockerfile": "D", "args": None, "target": None, "context": None, "options": None}},
        PATH,
        DevContainerBuild(dockerfile=".devcontainer/D", context=".devcontainer"),
    ),
}


@pytest.mark.parametrize(("values", "path", "expected"), FOUND.values(), ids=FOUND.keys())
def test_what_is_built(values: dict[str, object], path: str, expected: DevContainerBuild | None) -> None:
    assert find_build(values, path) == expected


VALUE, NOT_ALLOWED = "devcontainer.value", "devcontainer.not_allowed"
REFUSED: dict[str, tuple[dict[str, object], str, str]] = {
    "no object": ({"build": []}, VALUE, "must be an object"),
    "no Dockerfile": ({"build": {}}, VALUE, "the Dockerfile's path"),
    "a context alone": ({"context": ".", "image": "a"}, VALUE, "needs 'dockerFile'"),
    "an image too": ({"image": "a", "build": {"dockerfile": "D"}}, VALUE, "names an image and a Dockerfile"),
    "an unknown key": (
        {"build": {"dockerfile": "D", "secrets": 1}},
        "devcontainer.unknown_key",
        "'secrets' in 'build'",
    ),
    "options": ({"build": {"dockerfile": "D", "options": ["--network=host"]}}, NOT_ALLOWED, "'build.options'"),
    "a path from the root": ({"build": {"dockerfile": "/etc/passwd"}}, NOT_ALLOWED, "leads out"),
    "a path out": ({"build": {"dockerfile": "../../D"}}, NOT_ALLOWED, "leads out"),
    "a context out": ({"build": {"dockerfile": "D", "context": "../.."}}, NOT_ALLOWED, "'context'"),
    "a context far out": ({"build": {"dockerfile": "D", "context": "../../../../etc"}}, NOT_ALLOWED, "'context'"),
    "a context from the root": ({"dockerFile": "D", "context": "/etc"}, NOT_ALLOWED, "'context'"),
    "no text as a context": ({"build": {"dockerfile": "D", "context": 1}}, VALUE, "'context'"),
    "an empty path": ({"build": {"dockerfile": ""}}, VALUE, "the Dockerfile's path"),
    "a path over two lines": ({"build": {"dockerfile": "a\nb"}}, VALUE, "the Dockerfile's path"),
    "a long path": ({"build": {"dockerfile": "a" * 1025}}, VALUE, "the Dockerfile's path"),
    "no text as a target": ({"build": {"dockerfile": "D", "target": 1}}, VALUE, "'build.target'"),
    "a list of arguments": ({"build": {"dockerfile": "D", "args": ["A=1"]}}, VALUE, "'build.args'"),
    "a number as an argument": ({"build": {"dockerfile": "D", "args": {"A": 1}}}, VALUE, "'build.args'"),
    "a bad name": ({"build": {"dockerfile": "D", "args": {"A B": "1"}}}, VALUE, "'build.args'"),
    "a long argument": ({"build": {"dockerfile": "D", "args": {"A": "x" * 4097}}}, VALUE, "'build.args'"),
    "many arguments": (
        {"build": {"dockerfile": "D", "args": {f"A{n}": "" for n in range(101)}}},
        VALUE,
        "'build.args'",
    ),
}


@pytest.mark.parametrize(("values", "code", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused(values: dict[str, object], code: str, why: str) -> None:
    with pytest.raises(Invalid) as caught:
        find_build(values, PATH)
    assert caught.value.code == code
    assert why in caught.value.message


def test_l5_arguments_hold_nothing_of_the_server() -> None:
    config = parse_dev_container(b'{"build": {"dockerfile": "D", "args": {"A": "x${localEnv:HOME}y${env:B:z}"}}}', PATH)
    review_configuration(config)
    found = find_build(config.values, config.path)
    assert found is not None
    assert found.arguments == {"A": "xyz"}


def test_the_review_reads_it_too() -> None:
    with pytest.raises(Invalid, match="leads out"):
        review_configuration(parse_dev_container(b'{"build": {"dockerfile": "../../D"}}', PATH))
    with pytest.raises(Invalid, match="neither an image nor a Dockerfile") as caught:
        review_configuration(parse_dev_container(b"{}", PATH))
    assert caught.value.code == "devcontainer.no_image"


def test_names_of_what_is_built() -> None:
    assert built_image_name("olga-web-x") == "berth.invalid/olga-web-x:built"
    assert codespace_of_image(built_image_name("olga-web-x")) == "olga-web-x"
    assert built_image_name("olga-web-x", "db.1") == "berth.invalid/olga-web-x:built-db.1"
    assert codespace_of_image(built_image_name("olga-web-x", "db.1")) == "olga-web-x"
    assert codespace_of_image("berth.invalid/x:other") is None
    assert codespace_of_image("h.example/x:built") is None


def test_layers_are_told_apart_by_installation_owner_repository_and_stranger() -> None:
    codespaces = [
        replace(CODESPACE, owner_id=owner, repository_id=repository, pull_request_number=number, from_fork=fork)
        for owner, repository in ((1, 2), (2, 2), (1, 3), (12, 2), (1, 22))
        for number, fork in ((None, False), (1, True), (2, True))
    ]
    keys = {build_key(server, codespace) for server in ("a", "b") for codespace in codespaces}
    assert len(keys) == 2 * len(codespaces)
    mine = replace(CODESPACE, owner_id=1, repository_id=2, from_fork=False)
    for same in (replace(mine, name="other"), replace(mine, pull_request_number=1), replace(mine, ref="topic")):
        assert build_key("a", same) == build_key("a", mine) in keys


@pytest.mark.parametrize(
    ("labels", "name", "has_run", "expected"),
    [
        ({"dev.berth.build": "x"}, "odd_name", True, True),
        ({"dev.berth.build": "x", "dev.berth.codespace": ""}, "odd_name", True, True),
        ({"dev.berth.server": "x"}, "odd_name", False, False),
        ({"dev.berth.codespace": "y"}, "odd_name", False, False),  # made of no build: a look into an image
        # What a LABEL says, until the next step takes it back.
        ({"dev.berth.build": "x", "dev.berth.codespace": "y"}, "odd_name", False, True),
        ({"dev.berth.build": "x", "dev.berth.codespace": "y"}, "berth-yy", False, True),
        ({"dev.berth.build": "x", "dev.berth.codespace": "y", "dev.berth.service": "db"}, "odd_name", False, True),
        # What Berth made, of an image that was built.
        ({"dev.berth.build": "x", "dev.berth.codespace": "y"}, "berth-y", False, False),
        ({"dev.berth.build": "x", "dev.berth.codespace": "y", "dev.berth.service": "db"}, "berth-y.db", False, False),
        ({"dev.berth.build": "x", "dev.berth.codespace": "y"}, "renamed", True, False),
    ],
)
def test_a_container_of_a_build_is_no_codespaces(
    labels: dict[str, str], name: str, has_run: bool, expected: bool
) -> None:
    assert is_of_build(labels, name=name, has_run=has_run) == expected
