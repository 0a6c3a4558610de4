"""Dev container configurations: the reader, the review (L3, L4), the variables (L5), the hooks, what the CLI is given."""

import contextlib
import json
import subprocess
import time
from pathlib import PurePosixPath
from typing import Any

import pytest

from berth.domain.dev_container import (
    DevContainerConfig,
    Hook,
    ImageMetadata,
    find_remote_user,
    lifecycle_commands,
    override_configuration,
    parse_dev_container,
    remote_environment,
    review_configuration,
    review_image_metadata,
)
from berth.domain.dev_container_keys import IN_FILE, REFUSED
from berth.domain.jsonc import MAX_DEPTH, MAX_SIZE_BYTES, parse_jsonc
from berth.domain.machine import UNLIMITED, Machine
from berth.domain.problem import Invalid

NAME = "host/dev:1"


def config(**values: object) -> DevContainerConfig:
    return parse_dev_container(json.dumps({"image": NAME, **values}).encode())


def metadata(*entries: dict[str, object]) -> ImageMetadata:
    return review_image_metadata({"devcontainer.metadata": json.dumps(entries)})


def refused(**values: object) -> Invalid:
    with pytest.raises(Invalid) as caught:
        review_configuration(config(**values))
    return caught.value


READ = {
    "plain": '{"image": "a"}',
    "line comments": '// one\n{"image": "a" // two\n}',
    "block comments": '/* one\n */{"image"/**/: "a"}/***/',
    "a trailing comma": '{"image": "a", // why\n }',
    "a byte order mark": '\ufeff{"image": "a"}',
}


@pytest.mark.parametrize("text", READ.values(), ids=READ.keys())
def test_it_reads(text: str) -> None:
    assert parse_dev_container(text.encode()).image == "a"


def test_what_looks_like_a_comment_or_a_comma_in_a_text_stays() -> None:
    text = r'{"name": "a // b /* c */ ,] \" // \\", "forwardPorts": [1, 2, ], "settings": {"a": [ "x,}", ], }, }'
    values = parse_dev_container(text.encode()).values
    assert values["name"] == r'a // b /* c */ ,] " // ' + "\\"
    assert values["forwardPorts"] == [1.0, 2.0]
    assert values["settings"] == {"a": ["x,}"]}


MALFORMED = {
    "nothing": (b"", "line 1, column 1"),
    "no JSON": (b"{ not json", "line 1, column 3"),
    "an error below comments": (b'{ // a\n/* b\n*/ "a": 1,\n  "b" 2}', "line 4, column 7"),
    "a text without end": (b'{"a": "b', "line 1, column 7"),
    "a text over two lines": (b'{"a": "b\nc"}', "line 1"),
    "a comment without end": (b'{}\n /* "', "line 2: the comment has no end"),
    "half a comment": (b"{} /*/", "the comment has no end"),
    "two values": (b"{} {}", "line 1, column 4"),
    "a list": (b"[]", "no object"),
    "a text": (b'"image"', "no object"),
    "a key twice": (b'{"a": {"b": 1, "b": 2}}', "'b' is there twice"),
    "a key twice, spelt otherwise": (b'{"image": "x", "im\\u0061ge": "y"}', "'image' is there twice"),
    "NaN": (b'{"a": NaN}', "NaN"),
    "Latin-1": (b'{"a": "\xe9"}', "UTF-8"),
    "a NUL": (b'{"a": ["\\u0000"]}', "NUL"),
    "half a character as a key": (b'{"\\ud800": 1}', "NUL or half"),
    "too deep": (b"[" * (MAX_DEPTH + 1), "levels deep"),
    "too large": (b" " * (MAX_SIZE_BYTES + 1), "larger than 256 KiB"),
    "nested variables": (b'{"image": "${local${env}Env:HOME}"}', "nested"),
}


@pytest.mark.parametrize(("data", "why"), MALFORMED.values(), ids=MALFORMED.keys())
def test_it_refuses_to_read(data: bytes, why: str) -> None:
    with pytest.raises(Invalid, match=r"devcontainer\.json cannot be read") as caught:
        parse_dev_container(data)
    assert caught.value.code == "devcontainer.malformed"
    assert why in caught.value.message


def test_a_number_of_many_digits_is_no_problem() -> None:
    assert parse_jsonc(b"9" * 6000, "x") == float("inf")


HEAVY = {
    "comments in comments": "/*" * 100_000,
    "quotes": '"\\' * 100_000,
    "commas": "," * 200_000,
    "commas and spaces": ", " * 100_000,
    "variables": json.dumps({"a": "${env:" * 30_000}),
    "nested variables": json.dumps({"a": "${local" * 15_000 + "${env}" + "Env}" * 15_000}),
    "colons": json.dumps({"a": "${env:" + "a:" * 100_000}),
}


@pytest.mark.parametrize("text", HEAVY.values(), ids=HEAVY.keys())
def test_hostile_input_takes_linear_time(text: str) -> None:
    began = time.process_time()
    with contextlib.suppress(Invalid):
        parse_dev_container(text.encode()[:MAX_SIZE_BYTES])
    assert time.process_time() - began < 2


def test_everything_that_is_allowed() -> None:
    review_configuration(
        config(
            name="a",
            containerEnv={"A": "b"},
            remoteEnv={"A": None, "B": "${containerEnv:PATH}"},
            containerUser="root",
            remoteUser="1000:1000",
            onCreateCommand="a",
            updateContentCommand=["a", "b"],
            postCreateCommand={"x": "a", "y": ["b"]},
            postStartCommand="",
            postAttachCommand="a",
            waitFor="onCreateCommand",
            userEnvProbe="none",
            workspaceFolder="/workspaces/${localWorkspaceFolderBasename}/a",
            overrideCommand=True,
            shutdownAction="none",
            init=False,
            forwardPorts=[1, "db:2"],
            portsAttributes={},
            otherPortsAttributes={},
            hostRequirements={"cpus": 4},
            customizations={"vscode": {}},
            updateRemoteUserUID=True,
            secrets={"A": {"description": "b"}},
            **{"$schema": "x"},
        )
    )


REFUSED_VALUES: dict[str, object] = {
    "initializeCommand": "touch /tmp/x",
    "privileged": True,
    "runArgs": ["--privileged"],
    "mounts": ["source=/etc,target=/e,type=bind"],
}
FOR_FILES = ("features", "overrideFeatureInstallOrder")  # refused in labels and in Features only


@pytest.mark.parametrize("key", [key for key in REFUSED if key not in IN_FILE])
def test_l3_l4_a_refused_key_is_named_with_its_alternative(key: str) -> None:
    problem = refused(**{key: REFUSED_VALUES.get(key, "x")})
    assert f"'{key}' in devcontainer.json" in problem.message
    assert problem.remedy
    assert problem.code in {"devcontainer.host_command", "devcontainer.unsupported", "devcontainer.not_allowed"}


@pytest.mark.parametrize("key", FOR_FILES)
def test_a_label_names_no_features(key: str) -> None:
    with pytest.raises(Invalid, match=f"'{key}' in The image's label") as caught:
        review_image_metadata({"devcontainer.metadata": json.dumps([{key: ["x"]}])})
    assert caught.value.code == "devcontainer.unsupported"


def test_features_in_a_file_are_read_at_once() -> None:
    review_configuration(config(features={"ghcr.io/a/b": {}}, overrideFeatureInstallOrder=["ghcr.io/a/b"]))
    assert refused(features={"node": {}}).code == "feature.reference"
    assert refused(overrideFeatureInstallOrder="x").code == "feature.reference"


def test_l3_the_alternative_to_initialize_command_is_on_create_command() -> None:
    problem = refused(initializeCommand=["sh"])
    assert problem.code == "devcontainer.host_command"
    assert "onCreateCommand" in problem.remedy


@pytest.mark.parametrize("key", ["dockerComposeFile", "service", "runServices"])
def test_l4_an_image_is_not_made_of_services(key: str) -> None:
    with pytest.raises(Invalid, match=f"'{key}' in The image's label") as caught:
        metadata({key: "x"})
    assert caught.value.code == "devcontainer.unsupported"
    review_configuration(DevContainerConfig({"dockerComposeFile": ["a.yml"], "service": "a", "runServices": ["b"]}))


COMPOSE_VALUES: dict[str, tuple[dict[str, object], bool]] = {
    "a folder anywhere in the container": ({"workspaceFolder": "/srv/${localWorkspaceFolderBasename}"}, True),
    "a folder of nowhere": ({"workspaceFolder": "srv"}, False),
    "a folder that is no text": ({"workspaceFolder": 1}, False),
    "a file that is no text": ({"dockerComposeFile": [1]}, False),
    "services that are no list": ({"runServices": "a"}, False),
    "too many services": ({"runServices": ["a"] * 51}, False),
    "what is refused elsewhere": ({"privileged": True}, False),
}


@pytest.mark.parametrize(("values", "passes"), COMPOSE_VALUES.values(), ids=COMPOSE_VALUES.keys())
def test_l4_a_configuration_with_compose(values: dict[str, object], passes: bool) -> None:
    given = DevContainerConfig({"dockerComposeFile": "a.yml", "service": "a", **values})
    if passes:
        review_configuration(given)
    else:
        with pytest.raises(Invalid):
            review_configuration(given)


HARMLESS = [(key, value) for key, row in REFUSED.items() for value in row.harmless]


@pytest.mark.parametrize(("key", "value"), HARMLESS, ids=[f"{key}={value!r}" for key, value in HARMLESS])
def test_a_refused_key_that_asks_for_nothing_passes(key: str, value: object) -> None:
    review_configuration(config(**{key: value}))


@pytest.mark.parametrize("value", [[], {}, "", 0], ids=repr)
def test_l4_what_is_empty_here_but_true_to_the_cli_is_no_way_around(value: object) -> None:
    label = json.dumps([{"privileged": value}])
    with pytest.raises(Invalid, match="privileged"):
        review_image_metadata({"devcontainer.metadata": label})
    review_image_metadata({"devcontainer.metadata": '[{"privileged": false, "mounts": [], "capAdd": []}]'})


@pytest.mark.parametrize("text", ["${localEnv:HOME}", "${localWorkspaceFolder}", "${env:HOME}"])
def test_l5_a_label_cannot_ask_for_what_the_cli_knows(text: str) -> None:
    with pytest.raises(Invalid, match="variable"):
        review_image_metadata({"devcontainer.metadata": json.dumps({"containerEnv": {"A": text}})})
    review_image_metadata({"devcontainer.metadata": json.dumps({"remoteEnv": {"A": "${containerEnv:B}"}})})


@pytest.mark.parametrize("value", [True, "true", 1, 0, "false", [""], {"a": 0}], ids=repr)
def test_l4_no_spelling_of_privileged_passes(value: object) -> None:
    assert refused(privileged=value).code == "devcontainer.not_allowed"


def test_an_unknown_key_is_refused_by_name() -> None:
    problem = refused(Privileged=True)
    assert problem.code == "devcontainer.unknown_key"
    assert "'Privileged'" in problem.message
    assert "\x1b" not in refused(**{"\x1b[31m": True}).message


def test_all_refusals_come_at_once_and_the_first_gives_the_code() -> None:
    problem = refused(capAdd=["X"], nonsense=1, appPort=[1])
    assert problem.code == "devcontainer.not_allowed"
    assert all(word in problem.message for word in ("'capAdd'", "'nonsense'", "'appPort'"))


@pytest.mark.parametrize("value", [{}, {"image": ""}, {"image": "${localEnv:IMAGE}"}], ids=["none", "empty", "L5"])
def test_without_an_image_nothing_starts(value: dict[str, str]) -> None:
    with pytest.raises(Invalid) as caught:
        review_configuration(parse_dev_container(json.dumps(value).encode()))
    assert caught.value.code == "devcontainer.no_image"


VALUES: dict[str, dict[str, object]] = {
    "an image that is no text": {"image": ["a"]},
    "a variable that is no text": {"containerEnv": {"A": 1}},
    "a variable without value": {"containerEnv": {"A": None}},
    "a variable's name that is an option": {"containerEnv": {"-v": "/:/host"}},
    "variables in a list": {"containerEnv": ["A=1"]},
    "a remote variable that is a list": {"remoteEnv": {"A": []}},
    "remote variables in a text": {"remoteEnv": "A=1"},
    "a user that is an option": {"remoteUser": "--privileged"},
    "a user with a space": {"containerUser": "root root"},
    "a user that is a number": {"remoteUser": 0},
    "a command that is a number": {"onCreateCommand": 1},
    "a command with a number": {"postCreateCommand": ["a", 1]},
    "a command nested twice": {"postStartCommand": {"a": {"b": "c"}}},
    "a folder outside": {"workspaceFolder": "/etc"},
    "a folder above": {"workspaceFolder": "/workspaces/../etc"},
    "a folder that only begins so": {"workspaceFolder": "/workspaces2"},
    "a folder that is no text": {"workspaceFolder": 1},
    "an unknown probe": {"userEnvProbe": "sh"},
    "a probe that is a list": {"userEnvProbe": []},
    "a switch that is a text": {"init": "true"},
}


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES.keys())
def test_a_value_of_the_wrong_kind_is_refused(values: dict[str, object]) -> None:
    problem = refused(**values)
    assert problem.code == "devcontainer.value"
    assert f"'{next(iter(values))}' in devcontainer.json must be" in problem.message


LOCAL = {
    "${localEnv:HOME}": "",
    "${env:HOME}": "",
    "${localEnv}": "",
    "a${localEnv:X:default}b": "adefaultb",
    "${localEnv:X:a:b}": "a",
    "${containerEnv:X}": "${containerEnv:X}",
    "${HOME}": "${HOME}",
    "$HOME": "$HOME",
}


@pytest.mark.parametrize(("text", "value"), LOCAL.items(), ids=LOCAL.keys())
def test_l5_the_servers_environment_is_empty(text: str, value: str) -> None:
    parsed = config(containerEnv={"A": text}, onCreateCommand=["x", text])
    assert parsed.values["containerEnv"] == {"A": value}
    assert parsed.values["onCreateCommand"] == ["x", value]


@pytest.mark.parametrize("labels", [{}, {"devcontainer.metadata": ""}, {"other": "{"}], ids=["none", "empty", "other"])
def test_an_image_without_label_says_nothing(labels: dict[str, str]) -> None:
    assert review_image_metadata(labels) == ImageMetadata()


def test_a_label_holds_one_entry_or_many() -> None:
    one = review_image_metadata({"devcontainer.metadata": '{"remoteUser": "dev"}'})
    assert one == metadata({"remoteUser": "dev"})
    assert len(metadata({"id": "f", "init": True}, {"customizations": {}, "mounts": []}).entries) == 2


LABELS: dict[str, tuple[Any, str]] = {
    "privileged": ([{"privileged": True}], "devcontainer.not_allowed"),
    "a capability in the second entry": ([{}, {"capAdd": ["SYS_ADMIN"]}], "devcontainer.not_allowed"),
    "a mount": ([{"mounts": ["type=bind,source=/etc,target=/e"]}], "devcontainer.not_allowed"),
    "a security option": ([{"securityOpt": ["seccomp=unconfined"]}], "devcontainer.not_allowed"),
    "a start script": ([{"entrypoint": "/x.sh"}], "devcontainer.not_allowed"),
    "a host command": ([{"initializeCommand": "x"}], "devcontainer.host_command"),
    "an image": ([{"image": "x"}], "devcontainer.unknown_key"),
    "a user that is an option": ([{"remoteUser": "-x"}], "devcontainer.value"),
    "an entry that is no object": (["x"], "devcontainer.malformed"),
    "no object": (1, "devcontainer.malformed"),
}


@pytest.mark.parametrize(("value", "code"), LABELS.values(), ids=LABELS.keys())
def test_l4_the_image_label_is_reviewed_and_named(value: object, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        review_image_metadata({"devcontainer.metadata": json.dumps(value)})
    assert caught.value.code == code
    assert "label devcontainer.metadata" in caught.value.message


def test_a_label_that_is_no_json_is_refused() -> None:
    for label in ("[{", "\udcff"):
        with pytest.raises(Invalid, match=r"label devcontainer\.metadata cannot be read"):
            review_image_metadata({"devcontainer.metadata": label})


def test_the_file_names_the_user_before_the_label_and_the_last_entry_before_the_first() -> None:
    label = metadata({"remoteUser": "first"}, {"remoteUser": "second"})
    assert find_remote_user(label, config(remoteUser="file")) == "file"
    assert find_remote_user(label, config(containerUser="container")) == "second"
    assert find_remote_user(ImageMetadata(), config(containerUser="container", remoteUser="")) == "container"
    assert find_remote_user(ImageMetadata(), config()) is None


def test_remote_variables_of_label_and_file_are_merged() -> None:
    label = metadata({"remoteEnv": {"A": "label", "B": "label"}})
    file = config(remoteEnv={"B": None, "C": "${containerWorkspaceFolder}/x:${containerEnv:PATH}"})
    merged = remote_environment(label, file, folder="/workspaces/r")
    assert merged == {"A": "label", "B": None, "C": "/workspaces/r/x:${containerEnv:PATH}"}


COMMANDS: dict[str, tuple[object, tuple[tuple[str, ...], ...]]] = {
    "a text is for the shell": ("a && b", (("/bin/sh", "-c", "a && b"),)),
    "a list is run as it is": (["a", "b c"], (("a", "b c"),)),
    "a variable of the container is the shell's": (
        "echo ${containerEnv:A} ${containerEnv:B:c} ${D}",
        (("/bin/sh", "-c", "echo ${A-} ${B-c} ${D}"),),
    ),
    "folders are known": (
        ["${containerWorkspaceFolder}", "${localWorkspaceFolder}", "${localWorkspaceFolderBasename}"],
        (("/workspaces/r", "/workspaces/r", "r"),),
    ),
    "an object of one": ({"a": "x"}, (("/bin/sh", "-c", "x"),)),
    "an empty object": ({"a": ""}, ()),
    "an empty text": ("", ()),
    "an empty list": ([], ()),
    "nothing": (None, ()),
}


@pytest.mark.parametrize(("value", "commands"), COMMANDS.values(), ids=COMMANDS.keys())
def test_a_hook_becomes_commands(value: object, commands: tuple[tuple[str, ...], ...]) -> None:
    file = DevContainerConfig({"postCreateCommand": value})
    assert lifecycle_commands(ImageMetadata(), file, Hook.POST_CREATE, folder="/workspaces/r") == commands


def test_the_label_s_hooks_come_first_and_only_the_named_hook_runs() -> None:
    label = metadata({"postStartCommand": "one", "postCreateCommand": "no"}, {"postStartCommand": "two"})
    commands = lifecycle_commands(label, config(postStartCommand="three"), Hook.POST_START)
    assert [command[-1] for command in commands] == ["one", "two", "three"]


def run_group(value: object) -> subprocess.CompletedProcess[str]:
    (command,) = lifecycle_commands(ImageMetadata(), config(postCreateCommand=value), Hook.POST_CREATE)
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)


def test_the_commands_of_an_object_run_at_the_same_time() -> None:
    began = time.monotonic()
    done = run_group({"a": "sleep 0.4; echo a", "b": ["sh", "-c", 'sleep 0.4; echo "it\'s b"'], "c": "sleep 0.4"})
    assert done.returncode == 0
    assert sorted(done.stdout.splitlines()) == ["a", "it's b"]
    assert time.monotonic() - began < 1.1


def test_a_group_fails_with_one_of_its_commands_after_all_have_ended() -> None:
    done = run_group({"a": "exit 5", "b": "sleep 0.2; echo b"})
    assert (done.returncode, done.stdout) == (5, "b\n")


def override(
    _path: str = "/data/cs/r", _machine: Machine = UNLIMITED, _mounted: str = "", **values: Any
) -> dict[str, object]:
    return override_configuration(
        config(**values),
        image="host/dev@sha256:1",
        codespace="o-r-1",
        workspace=PurePosixPath(_path),
        repository_name="r",
        environment={"CODESPACES": "true"},
        machine=_machine,
        mounted=_mounted,
    )


def test_what_the_cli_is_given() -> None:
    assert override(
        containerEnv={"A": "b", "CODESPACES": "no"}, postCreateCommand="never", customizations={"x": 1}
    ) == {
        "image": "host/dev@sha256:1",
        "workspaceMount": "type=bind,source=/data/cs/r,target=/workspaces/r",
        "workspaceFolder": "/workspaces/r",
        "runArgs": ["--name=berth-o-r-1", "--tmpfs=/run/codespaces:mode=0755,size=16m"],
        "containerEnv": {"A": "b", "CODESPACES": "true"},
        "init": True,
        "updateRemoteUserUID": False,
    }


def test_the_machines_limits_are_the_engines() -> None:
    given = override(_machine=Machine(name="m", display_name="m", cpus=2, memory_bytes=2**30))
    assert given["runArgs"] == [
        "--name=berth-o-r-1",
        "--tmpfs=/run/codespaces:mode=0755,size=16m",
        "--cpus=2",
        "--memory=1073741824",
        "--memory-swap=1073741824",
    ]


def test_what_is_passed_on_of_the_file() -> None:
    hooks: dict[str, Any] = {"onCreateCommand": "x ${containerWorkspaceFolder}", "updateContentCommand": ["y"]}
    users: dict[str, Any] = {
        "remoteUser": "dev",
        "containerUser": "root",
        "userEnvProbe": "none",
        "overrideCommand": True,
    }
    given = override(init=False, remoteEnv={"A": None}, **hooks, **users)
    assert given["onCreateCommand"] == "x /workspaces/r"
    assert given["updateContentCommand"] == ["y"]
    assert given["remoteEnv"] == {"A": None}
    assert given["init"] is False
    assert {key: given[key] for key in users} == users


def test_a_command_that_is_not_to_be_replaced() -> None:
    """To the CLI nothing is true, where there is an image."""
    assert override(overrideCommand=False)["overrideCommand"] is False
    assert "overrideCommand" not in override()


def test_a_compose_file_says_where_the_checkout_is_seen() -> None:
    given = override(_mounted="/srv/app", workspaceFolder="/srv/app/${localWorkspaceFolderBasename}")
    assert given["workspaceMount"] == "type=bind,source=/data/cs/r,target=/srv/app"
    assert given["workspaceFolder"] == "/srv/app/app"
    assert override(_mounted="/srv/app")["workspaceFolder"] == "/srv/app"
    with pytest.raises(Invalid, match="must be /srv/app or a folder in it"):
        override(_mounted="/srv/app", workspaceFolder="/workspaces/r")


def test_what_would_open_the_server_is_not_there_even_unreviewed() -> None:
    given = override(privileged=True, mounts=["x"], runArgs=["--privileged"], initializeCommand="x", capAdd=["X"])
    assert given == override()


def test_a_path_with_a_comma_or_a_quote_is_one_field() -> None:
    assert override('/a,b"c/r')["workspaceMount"] == 'type=bind,"source=/a,b""c/r",target=/workspaces/r'


FOLDERS = {
    "/workspaces": "/workspaces",
    "/workspaces/r/": "/workspaces/r",
    "/workspaces/r/a/../b": "/workspaces/r/b",
    "/workspaces/${localWorkspaceFolderBasename}/a": "/workspaces/r/a",
}


@pytest.mark.parametrize(("folder", "path"), FOLDERS.items(), ids=FOLDERS.keys())
def test_the_folder_may_be_in_the_checkout(folder: str, path: str) -> None:
    assert override(workspaceFolder=folder)["workspaceFolder"] == path


@pytest.mark.parametrize("folder", ["/workspaces/other", "/etc", "/workspaces/r/../../etc"])
def test_a_folder_that_will_not_be_there_is_refused(folder: str) -> None:
    with pytest.raises(Invalid, match="must be /workspaces/r or a folder in it"):
        override(workspaceFolder=folder)
