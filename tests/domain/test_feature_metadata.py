"""What a Feature says of itself: reviewed like a file or a label (L4), and what of it reaches an image."""

import json
from typing import Any

import pytest

from berth.domain.dev_container_keys import REFUSED
from berth.domain.feature import FeatureRequest, Folder
from berth.domain.feature_metadata import (
    FeatureMetadata,
    FeatureOption,
    read_feature_metadata,
    resolve_options,
    variable_name,
)
from berth.domain.image_reference import parse_image_reference
from berth.domain.problem import Invalid

GO = "ghcr.io/acme/go"
REQUEST = FeatureRequest(name=f"{GO}:1", place=parse_image_reference(f"{GO}:1"))
LOCAL = FeatureRequest(name="./own", place=Folder(".devcontainer/own"))


def read(request: FeatureRequest = REQUEST, **values: Any) -> FeatureMetadata:
    return read_feature_metadata(json.dumps({"id": "go", **values}).encode(), request, ".devcontainer")


def refused(**values: Any) -> Invalid:
    with pytest.raises(Invalid) as caught:
        read(**values)
    assert "the Feature ghcr.io/acme/go:1" in caught.value.message, "the message names the source"
    return caught.value


def test_all_of_it() -> None:
    found = read(
        version="1.2.3",
        name="Go",
        description="x",
        documentationURL="x",
        licenseURL="x",
        keywords=["x"],
        deprecated=True,
        currentId="go",
        legacyIds=["golang"],
        options={"version": {"type": "string", "default": "latest", "enum": ["latest", 1, True]}, "x": {}},
        dependsOn={"ghcr.io/acme/base:2": {"a": True}},
        installsAfter=["ghcr.io/acme/common"],
        containerEnv={"A": "${localEnv:HOME:x}${PATH}"},
        init=True,
        customizations={"vscode": {}},
        postCreateCommand=["true"],
        onCreateCommand="",
    )
    assert found == FeatureMetadata(
        id="go",
        version="1.2.3",
        options={
            "version": FeatureOption(default="latest", allowed=("latest", "1", "true")),
            "x": FeatureOption(default=None),
        },
        depends_on=(
            FeatureRequest(
                name="ghcr.io/acme/base:2",
                place=parse_image_reference("ghcr.io/acme/base:2"),
                options=(("a", "true"),),
            ),
        ),
        installs_after=("ghcr.io/acme/common",),
        former_ids=("golang",),
        container_env={"A": "x${PATH}"},
        entry={"id": f"{GO}:1", "init": True, "customizations": {"vscode": {}}, "postCreateCommand": ["true"]},
        notes=("the Feature ghcr.io/acme/go:1 is deprecated.",),
    )


def test_the_least() -> None:
    found = read()
    assert (found.options, found.container_env, found.entry, found.notes) == ({}, {}, {"id": f"{GO}:1"}, ())


@pytest.mark.parametrize("key", REFUSED)
def test_l4_what_is_refused_elsewhere_is_refused_here(key: str) -> None:
    problem = refused(**{key: "x"})
    assert f"'{key}' in the Feature" in problem.message
    assert problem.code in {"devcontainer.not_allowed", "devcontainer.host_command", "devcontainer.unsupported"}


def test_l4_what_asks_for_nothing_passes() -> None:
    assert read(privileged=False, capAdd=[], securityOpt=[], mounts=[], entrypoint=None).entry == {"id": f"{GO}:1"}


def test_what_nobody_knows_is_passed_over_with_a_note() -> None:
    unknown: dict[str, Any] = {"Privileged": True, "\x1b": 1, "remoteUser": "root"}
    found = read(**unknown)
    assert found.entry == {"id": f"{GO}:1"}
    (note,) = found.notes
    assert "'Privileged', '\\x1b', 'remoteUser'" in note


@pytest.mark.parametrize(
    "values",
    [
        {"id": None},
        {"id": "a/b"},
        {"id": ""},
        {"legacyIds": ["../x"]},
        {"legacyIds": "x"},
        {"options": []},
        {"options": {"": {}}},
        {"options": {"a": "x"}},
        {"options": {"a": {"default": []}}},
        {"options": {"a": {"enum": [None]}}},
        {"options": {str(number): {} for number in range(101)}},
        {"onCreateCommand": "cat ${localWorkspaceFolder}/x"},
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_malformed(values: dict[str, Any]) -> None:
    assert refused(**values).code == "feature.metadata"


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"containerEnv": {"A": 1}}, "devcontainer.value"),
        ({"containerEnv": {"A B": "x"}}, "devcontainer.value"),
        ({"init": "yes"}, "devcontainer.value"),
        ({"postStartCommand": 1}, "devcontainer.value"),
        ({"onCreateCommand": "${localEnv:${localEnv:A}}"}, "devcontainer.malformed"),
        ({"dependsOn": {"./own": {}}}, "feature.reference"),
        ({"dependsOn": []}, "feature.reference"),
        ({"installsAfter": "x"}, "feature.reference"),
    ],
)
def test_other_refusals(values: dict[str, Any], code: str) -> None:
    assert refused(**values).code == code


@pytest.mark.parametrize("data", [b"[]", b"{", b"\xff", b"1"])
def test_what_is_no_object(data: bytes) -> None:
    with pytest.raises(Invalid, match=GO):
        read_feature_metadata(data, REQUEST, "")


def test_a_feature_of_the_repository_names_others_there() -> None:
    found = read(LOCAL, dependsOn={"./base": {}}, installsAfter=["./common"])
    assert [one.place for one in found.depends_on] == [Folder(".devcontainer/base")]
    assert found.installs_after == (".devcontainer/common",)


def test_options_that_are_given_and_left_out() -> None:
    found = read(options={"version": {"default": "1"}, "pip": {"type": "boolean", "default": True}, "none": {}})
    request = FeatureRequest(name="x", place=REQUEST.place, options=(("version", "2"), ("what", "3")))
    variables, notes = resolve_options(found, request)
    assert variables == {"VERSION": "2", "PIP": "true", "WHAT": "3"}
    assert notes == ("the Feature x has no option 'what'; it is passed on.",)


def test_an_option_fits_its_enum() -> None:
    found = read(options={"version": {"enum": ["1", "2"], "default": "1"}})
    for value, fits in (("2", True), ("3", False)):
        request = FeatureRequest(name="x", place=REQUEST.place, options=(("version", value),))
        if fits:
            assert resolve_options(found, request)[0] == {"VERSION": "2"}
            continue
        with pytest.raises(Invalid) as caught:
            resolve_options(found, request)
        assert (caught.value.code, caught.value.remedy) == ("feature.option", "It takes 1, 2.")


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("version", "VERSION"),
        ("installOh-My", "INSTALLOH_MY"),
        ("1abc", "_ABC"),
        ("__x", "_X"),
        ("a;b c", "A_B_C"),
        ("ä", "_"),
    ],
)
def test_an_option_s_variable(option: str, name: str) -> None:
    assert variable_name(option) == name
