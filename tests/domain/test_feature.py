"""How Features are named, and their options: in a configuration, and in what another Feature depends on."""

import pytest

from berth.domain.feature import (
    MAX_FEATURES,
    MAX_OPTION,
    FeatureRequest,
    Folder,
    find_features,
    find_install_order,
    parse_features,
    resource_of,
)
from berth.domain.image_reference import parse_image_reference
from berth.domain.problem import Invalid, LimitReached

PATH = ".devcontainer/devcontainer.json"
GO = "ghcr.io/devcontainers/features/go"


def one(name: str, options: object = None) -> FeatureRequest:
    (found,) = find_features({"features": {name: {} if options is None else options}}, PATH)
    return found


@pytest.mark.parametrize(
    ("name", "place", "resource"),
    [
        (f"{GO}:1", parse_image_reference(f"{GO}:1"), GO),
        (GO, parse_image_reference(f"{GO}:latest"), GO),
        ("GHCR.io/Acme/Go:1", parse_image_reference("ghcr.io/acme/go:1"), "ghcr.io/acme/go"),
        (f"{GO}@sha256:{'a' * 64}", parse_image_reference(f"{GO}@sha256:{'a' * 64}"), GO),
        ("localhost:5000/a/b", parse_image_reference("localhost:5000/a/b"), "localhost:5000/a/b"),
        ("docker.io/a/b:1", parse_image_reference("docker.io/a/b:1"), "docker.io/a/b"),
        ("./own", Folder(".devcontainer/own"), ".devcontainer/own"),
        ("./deep/own/", Folder(".devcontainer/deep/own"), ".devcontainer/deep/own"),
    ],
)
def test_where_a_feature_lies(name: str, place: object, resource: str) -> None:
    found = one(name)
    assert (found.place, found.resource, found.name) == (place, resource, name)
    assert found.source == f"the Feature {name}"
    assert str(found.place).startswith(resource)


def test_a_folder_beside_a_file_at_the_root() -> None:
    (found,) = find_features({"features": {"./own": {}}}, ".devcontainer.json")
    assert found.place == Folder("own")


@pytest.mark.parametrize(
    "name",
    [
        "node",
        "devcontainers/features/node",
        "https://x.test/f.tgz",
        "ghcr.io/a b",
        "",
        "ghcr.io/a/\x1b",
        "x" * 2000,
        "./../x",
        "../x",
        "/etc",
        "./",
        ".",
        "./a/../b",
        ".x",
        "./a\\b",
        "sha256:" + "a" * 64,
        "ghcr.io/a:-",
    ],
)
def test_what_names_no_feature(name: str) -> None:
    with pytest.raises(Invalid) as caught:
        one(name)
    assert caught.value.code == "feature.reference"
    assert "\x1b" not in caught.value.message
    one(GO)


def test_an_address_is_refused_with_the_alternative() -> None:
    with pytest.raises(Invalid, match="address") as caught:
        one("https://example.com/devcontainer-feature-x.tgz")
    assert "registry" in caught.value.remedy


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ()),
        (True, ()),
        ("1.18", (("version", "1.18"),)),
        ({"b": True, "a": False, "c": "x"}, (("a", "false"), ("b", "true"), ("c", "x"))),
        ({"version": 22.0}, (("version", "22"),)),
    ],
)
def test_options(options: object, expected: object) -> None:
    assert one(GO, options).options == expected


@pytest.mark.parametrize(
    "options",
    [
        False,
        1.0,
        ["a"],
        {"a": None},
        {"a": {}},
        {"a": 3.1},
        {"": "x"},
        {"a": "x" * (MAX_OPTION + 1)},
        {"a": 1e300},
        {"a" * (MAX_OPTION + 1): "x"},
        {str(number): "x" for number in range(101)},
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_are_no_options(options: object) -> None:
    with pytest.raises(Invalid) as caught:
        one(GO, options)
    assert caught.value.code == "feature.reference"


@pytest.mark.parametrize("value", [[], "x", 1.0, True])
def test_features_are_an_object(value: object) -> None:
    with pytest.raises(Invalid, match="must be an object"):
        find_features({"features": value}, PATH)
    assert find_features({}, PATH) == find_features({"features": None}, PATH) == ()


def test_there_are_not_too_many() -> None:
    names = [f"{GO}{number}" for number in range(MAX_FEATURES + 1)]
    with pytest.raises(LimitReached) as caught:
        find_features({"features": {name: {} for name in names}}, PATH)
    assert caught.value.code == "feature.too_many"
    with pytest.raises(LimitReached):
        find_install_order({"overrideFeatureInstallOrder": names}, PATH)
    assert len(find_features({"features": {name: {} for name in names[1:]}}, PATH)) == MAX_FEATURES


def test_an_order_counts_no_versions() -> None:
    order = find_install_order({"overrideFeatureInstallOrder": [f"{GO}:1", "./own", GO]}, PATH)
    assert order == (GO, ".devcontainer/own")
    assert find_install_order({}, PATH) == ()


@pytest.mark.parametrize("value", ["x", {"a": 1}, [1], ["node"]])
def test_what_is_no_order(value: object) -> None:
    with pytest.raises(Invalid):
        find_install_order({"overrideFeatureInstallOrder": value}, PATH)


def test_a_published_feature_names_no_folder() -> None:
    with pytest.raises(Invalid, match="published ones only"):
        parse_features({"./own": {}}, "'dependsOn' of x", None)
    (found,) = parse_features({GO: {}}, "'dependsOn' of x", None)
    assert resource_of(found.place) == GO
