"""The order of installation: rounds, as containers.dev has them."""

from itertools import permutations

import pytest

from berth.domain.feature import FeatureRequest, Folder, Place
from berth.domain.feature_metadata import FeatureMetadata
from berth.domain.feature_order import Feature, order_features
from berth.domain.image_reference import parse_image_reference
from berth.domain.problem import Invalid

HOST = "r.example.com/f"


def place(name: str) -> Place:
    return Folder(name) if name.startswith("own") else parse_image_reference(f"{HOST}/{name}")


def make(
    name: str, *needs: str, after: tuple[str, ...] = (), was: tuple[str, ...] = (), identity: str = "", **options: str
) -> Feature:
    request = FeatureRequest(name=name, place=place(name), options=tuple(sorted(options.items())))
    metadata = FeatureMetadata(
        id="x",
        options={},
        depends_on=tuple(FeatureRequest(name=need, place=place(need)) for need in needs),
        installs_after=tuple(f"{HOST}/{one}" for one in after),
        former_ids=was,
        container_env={},
        entry={},
    )
    return Feature(request=request, identity=identity or name, metadata=metadata, files={})


def order(*features: Feature, first: tuple[str, ...] = ()) -> list[str]:
    identities = {feature.request.place: feature.identity for feature in features}
    found = {
        tuple(feature.request.name for feature in order_features(turn, identities, [f"{HOST}/{one}" for one in first]))
        for turn in list(permutations(features))[:24]
    }
    assert len(found) == 1, "the order in which they are named counts for nothing"
    return list(found.pop())


CASES: dict[str, tuple[list[Feature], tuple[str, ...], list[str]]] = {
    "by name": ([make("b"), make("a"), make("c")], (), ["a", "b", "c"]),
    "what is needed comes first": ([make("a", "z"), make("z", "y"), make("y")], (), ["y", "z", "a"]),
    "what it comes after": ([make("a", after=("b",)), make("b")], (), ["b", "a"]),
    "what is not installed does not matter": ([make("a", after=("x",)), make("b")], (), ["a", "b"]),
    "another version of itself does not matter": (
        [make("a:1", after=("a",)), make("a:2", after=("a",))],
        (),
        ["a:1", "a:2"],
    ),
    "a former name": ([make("a", after=("old",)), make("new", was=("old",))], (), ["new", "a"]),
    "an override": ([make("a"), make("b"), make("c")], ("c", "b"), ["c", "b", "a"]),
    "an override by a former name": ([make("a"), make("new", was=("old",))], ("old",), ["new", "a"]),
    "a need is stronger than an override": ([make("a"), make("z", "a"), make("b")], ("z",), ["a", "b", "z"]),
    "an override holds others back": ([make("a", "m"), make("m"), make("z")], ("z",), ["z", "m", "a"]),
    "tags from old to new": (
        [make("a:latest"), make("a:1.10"), make("a:1.9"), make("a:beta"), make("a:2")],
        (),
        ["a:beta", "a:1.9", "a:1.10", "a:2", "a:latest"],
    ),
    "by digest at last": (
        [make("a:01", identity="2"), make("a:1", identity="1")],
        (),
        ["a:1", "a:01"],
    ),
    "folders": ([make("ownb"), make("owna")], (), ["owna", "ownb"]),
    "none": ([], (), []),
}


@pytest.mark.parametrize(("features", "first", "expected"), CASES.values(), ids=CASES.keys())
def test_the_order(features: list[Feature], first: tuple[str, ...], expected: list[str]) -> None:
    assert order(*features, first=first) == expected


def test_the_greatest_number_of_options_goes_first() -> None:
    features = [make("a:1", x="1"), make("a:1", x="1", y="2"), make("a:1"), make("a:1", w="1"), make("a:1", x="0")]
    identities = {features[0].request.place: "d"}
    ordered = order_features(features, identities, [])
    assert [dict(one.request.options) for one in ordered] == [
        {"x": "1", "y": "2"},
        {"w": "1"},
        {"x": "0"},
        {"x": "1"},
        {},
    ]


@pytest.mark.parametrize(
    "features",
    [
        [make("a", "a")],
        [make("a", "b"), make("b", "a")],
        [make("a", after=("b",)), make("b", after=("a",))],
        [make("a", "b"), make("b", after=("a",)), make("c")],
    ],
    ids=["itself", "two", "by installsAfter", "mixed"],
)
def test_a_circle_is_refused(features: list[Feature]) -> None:
    with pytest.raises(Invalid, match="circle: a") as caught:
        order(*features)
    assert caught.value.code == "feature.order"
    assert "c" not in caught.value.message.partition(": ")[2]
