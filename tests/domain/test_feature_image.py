"""The build that installs Features: nothing of a stranger becomes a line of it, or a word of a shell."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from berth.domain.dev_container import DevContainerConfig, ImageMetadata, review_image_metadata
from berth.domain.feature import FeatureRequest
from berth.domain.feature_image import (
    MAX_LABEL,
    FeatureUsers,
    feature_context,
    find_failed,
    find_users,
    metadata_label,
)
from berth.domain.feature_metadata import FeatureMetadata, FeatureOption
from berth.domain.feature_order import Feature
from berth.domain.image_reference import parse_image_reference
from berth.domain.problem import Invalid, LimitReached

BASE = f"r.example.com/dev@sha256:{'a' * 64}"
USERS = FeatureUsers(container="root", remote="dev")
LABELS = {"dev.berth.server": "s", "dev.berth.build": "k"}


def make(name: str = "x", *, env: dict[str, str] | None = None, **options: str) -> Feature:
    reference = f"r.example.com/f/{name}:1"
    return Feature(
        request=FeatureRequest(name=reference, place=parse_image_reference(reference), options=tuple(options.items())),
        identity="d",
        metadata=FeatureMetadata(
            id=name,
            version="1.2",
            options={"greeting": FeatureOption(default="hi")},
            container_env=env or {},
            entry={"id": reference},
            notes=("a note",),
        ),
        files={"install.sh": b"true", "sub/data": b"x"},
    )


def dockerfile(*features: Feature, user: str = "") -> list[str]:
    return feature_context(BASE, user, features, USERS, LABELS)[0]["Dockerfile"].decode().splitlines()


def test_the_whole() -> None:
    files, notes = feature_context(BASE, "dev", [make("a", env={"A": "1"}), make("b", more="2")], USERS, LABELS)
    assert files.pop("Dockerfile").decode().splitlines() == [
        f"FROM {BASE}",
        "LABEL dev.berth.server=s dev.berth.build=k",
        "USER root",
        "COPY 0/ /tmp/berth-features/0/",
        'ENV A="1"',
        'RUN ["/bin/sh", "/tmp/berth-features/0/run.sh"]',
        "COPY 1/ /tmp/berth-features/1/",
        'RUN ["/bin/sh", "/tmp/berth-features/1/run.sh"]',
        "USER dev",
    ]
    assert {path for path in files if not path.endswith("run.sh")} == {
        f"{number}/feature/{path}" for number in (0, 1) for path in ("install.sh", "sub/data")
    }
    assert notes == ("a note", "a note", "the Feature r.example.com/f/b:1 has no option 'more'; it is passed on.")
    script = files["1/run.sh"].decode().splitlines()
    assert "export GREETING=hi" in script
    assert "export MORE=2" in script
    assert "cd /tmp/berth-features/1/feature" in script


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        ("/opt/x/bin:${PATH}", "/opt/x/bin:${PATH}"),
        ("$HOME/x", "${HOME}/x"),
        ('a"b', 'a\\"b'),
        ("a\\b", "a\\\\b"),
        ("\\${PATH}", "\\\\${PATH}"),
        ("$(id) `id` $1 ${A:-x} $", "\\$(id) `id` \\$1 \\${A:-x} \\$"),
        ("$$HOME", "\\$${HOME}"),
        ("ü ' #", "ü ' #"),
        ("", ""),
    ],
)
def test_a_value_stays_a_value(value: str, quoted: str) -> None:
    assert f'ENV A="{quoted}"' in dockerfile(make(env={"A": value}))


BAD_VALUES = {
    "a line": 'x"\nRUN touch /pwned',
    "a return": "a\rb",
    "a tab": "a\tb",
    "a delete": "\x7f",
    "too long": "x" * 4097,
}


@pytest.mark.parametrize("value", BAD_VALUES.values(), ids=BAD_VALUES.keys())
def test_a_value_that_no_line_holds(value: str) -> None:
    with pytest.raises(Invalid, match=r"'containerEnv' of the Feature r.example.com/f/x:1 gives A") as caught:
        dockerfile(make(env={"A": value}))
    assert caught.value.code == "feature.metadata"


def test_values_do_not_grow_beyond_all_bounds() -> None:
    growing = [make(env={"A": "${A}${A}${A}${A}"}) for _ in range(9)]
    with pytest.raises(Invalid, match="grow"):
        dockerfile(*growing)
    assert len(dockerfile(*[make(env={"PATH": "/opt/x:${PATH}"}) for _ in range(50)])) == 154


@pytest.mark.parametrize(
    ("user", "line"),
    [("", "USER root"), ("dev", "USER dev"), ("1000:1000", "USER 1000:1000"), ("svc$", "USER svc\\$")],
)
def test_the_image_s_user_comes_back(user: str, line: str) -> None:
    assert dockerfile(make(), user=user)[-1] == line


@pytest.mark.parametrize("user", ["a\nRUN x", "a b", "-x", ":1", "ü", "${A}"])
def test_a_user_that_is_none(user: str) -> None:
    with pytest.raises(Invalid) as caught:
        dockerfile(make(), user=user)
    assert caught.value.code == "feature.base_image"


TRICK = "a'b\"c\\d$(id >&2)`id`\n${HOME} #; exit 3"


def test_s7_options_are_one_word_of_the_shell_and_users_are_told(tmp_path: Path) -> None:
    """The script is run for real, in the place of the image."""
    feature = make(trick=TRICK, greeting="ho")
    files, _ = feature_context(BASE, "", [feature], FeatureUsers(container="root", remote="nobody-here"), LABELS)
    folder = tmp_path / "0"
    (folder / "feature").mkdir(parents=True)
    script = files["0/run.sh"].decode().replace("/tmp/berth-features", str(tmp_path))
    (folder / "run.sh").write_text(script)
    install = (
        '#!/bin/sh\nprintf "%s|" "$TRICK" "$GREETING" "$_CONTAINER_USER_HOME" "$_REMOTE_USER" "$_REMOTE_USER_HOME"\n'
    )
    (folder / "feature" / "install.sh").write_text(install)
    ran = subprocess.run(
        ["/bin/sh", str(folder / "run.sh")],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"]},
    )
    title, _, said = ran.stdout.partition("\n")
    assert title == "Feature r.example.com/f/x:1 1.2"
    assert said == f"{TRICK}|ho|/root|nobody-here||"
    assert not tmp_path.exists(), "what was installed from is gone"


def test_an_installation_that_fails_ends_the_script(tmp_path: Path) -> None:
    script = feature_context(BASE, "", [make()], USERS, LABELS)[0]["0/run.sh"].decode()
    folder = tmp_path / "0" / "feature"
    folder.mkdir(parents=True)
    (folder / "install.sh").write_text("#!/bin/sh\nexit 7\n")
    text = script.replace("/tmp/berth-features", str(tmp_path))
    assert subprocess.run(["/bin/sh", "-c", text], check=False, capture_output=True).returncode == 7


@pytest.mark.parametrize(
    ("label", "config", "image_user", "expected"),
    [
        ([], {}, "", ("root", "root")),
        ([], {}, "dev:dev", ("dev", "dev")),
        ([{"remoteUser": "vscode"}], {}, "dev", ("dev", "vscode")),
        ([{"remoteUser": "vscode", "containerUser": "c"}], {"remoteUser": "me"}, "dev", ("c", "me")),
        ([{"containerUser": "a"}, {"containerUser": "b"}], {}, "", ("b", "b")),
        ([], {"containerUser": "1000:1000"}, "", ("1000", "1000")),
    ],
)
def test_who_uses_the_container(
    label: list[object], config: dict[str, object], image_user: str, expected: tuple[str, str]
) -> None:
    metadata = review_image_metadata({"devcontainer.metadata": json.dumps(label)})
    found = find_users(metadata, DevContainerConfig(config), image_user)
    assert (found.container, found.remote) == expected


def test_the_label_has_the_image_s_entries_first() -> None:
    metadata = ImageMetadata((DevContainerConfig({"remoteUser": "dev"}),))
    assert json.loads(metadata_label(metadata, [make("a"), make("b")])) == [
        {"remoteUser": "dev"},
        {"id": "r.example.com/f/a:1"},
        {"id": "r.example.com/f/b:1"},
    ]


def test_a_label_that_cannot_be() -> None:
    for value, problem, code in (
        (float("inf"), Invalid, "feature.metadata"),
        ("x" * MAX_LABEL, LimitReached, "feature.too_large"),
    ):
        metadata = ImageMetadata((DevContainerConfig({"customizations": value}),))
        with pytest.raises(problem) as caught:
            metadata_label(metadata, [])
        assert caught.value.code == code


@pytest.mark.parametrize(
    ("step", "index"),
    [
        ('Step 6/9 : RUN ["/bin/sh", "/tmp/berth-features/0/run.sh"]', 0),
        ('Step 8/9 : RUN ["/bin/sh", "/tmp/berth-features/1/run.sh"]', 1),
        ('Step 8/9 : RUN ["/bin/sh", "/tmp/berth-features/2/run.sh"]', None),
        ("Step 7/9 : COPY 1/ /tmp/berth-features/1/", None),
        ("", None),
    ],
)
def test_whose_step_it_was(step: str, index: int | None) -> None:
    features = [make("a"), make("b")]
    assert find_failed(step, features) is (None if index is None else features[index])
