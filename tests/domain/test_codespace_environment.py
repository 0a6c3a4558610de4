"""A codespace's environment file, the stream that installs it, and commands that read it (L7, S7)."""

import os
import subprocess
from pathlib import Path

import pytest

from berth.domain.codespace_environment import (
    AUTHOR_SCRIPT,
    INSTALL_SCRIPT,
    environment_file,
    installation_input,
)
from berth.domain.docker_config_files import FRESH_FILE
from berth.domain.secret_text import SecretText

HOSTILE = {
    "plain": "value",
    "empty": "",
    "a quote": "it's",
    "double quotes": 'say "x"',
    "several lines": "one\ntwo\n",
    "a command": "$(touch /tmp/berth-was-here) `id` ${HOME}",
    "a variable of the container": "${containerEnv:PATH}",
    "a backslash at the end": "x\\",
    "other letters": "päßwörd ✓",
    "spaces": "  two  ",
    "a mark": "----\n-----",
}


def read_by(shell: list[str], content: str, name: str, tmp_path: Path) -> str:
    file = tmp_path / "env"
    file.write_text(content)
    script = f'. {file}; printf %s "${name}"'
    environment = {"PATH": "/usr/bin:/bin", "BASE": "base", "GONE": "there"}
    return subprocess.run([*shell, "-c", script], env=environment, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("shell", [["dash"], ["bash"], ["bash", "--posix"], ["busybox", "sh"]], ids=" ".join)
@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE.keys())
def test_every_shell_reads_the_value_as_it_was(shell: list[str], value: str, tmp_path: Path) -> None:
    assert read_by(shell, environment_file({"A": SecretText(value)}, {}), "A", tmp_path) == value
    assert not Path("/tmp/berth-was-here").exists()


EXPANDED = {
    "${containerEnv:BASE}:/x": "base:/x",
    "/x:${containerEnv:BASE}": "/x:base",
    "${containerEnv:BASE}${containerEnv:BASE}": "basebase",
    "${containerEnv:NOT_SET}": "",
    '${containerEnv:NOT_SET:a "$b` \\c}': 'a "$b` \\c',
    "$BASE ${BASE} $(id) 'x'": "$BASE ${BASE} $(id) 'x'",
    "${containerEnv:a;id}": "${containerEnv:a;id}",
    "": "",
}


@pytest.mark.parametrize("shell", [["dash"], ["bash"], ["busybox", "sh"]], ids=" ".join)
@pytest.mark.parametrize(("text", "value"), EXPANDED.items(), ids=EXPANDED.keys())
def test_a_remote_variable_may_build_on_the_container_s(
    shell: list[str], text: str, value: str, tmp_path: Path
) -> None:
    assert read_by(shell, environment_file({}, {"A": text}), "A", tmp_path) == value


def test_a_remote_variable_that_is_null_is_taken_away(tmp_path: Path) -> None:
    assert read_by(["dash"], environment_file({}, {"GONE": None}), "GONE", tmp_path) == ""


def test_a_remote_variable_replaces_no_secret(tmp_path: Path) -> None:
    content = environment_file({"A": SecretText("secret")}, {"A": "remote"})
    assert read_by(["dash"], content, "A", tmp_path) == "secret"


@pytest.mark.parametrize("name", ["UID", "EUID", "PPID", "SHELLOPTS", "BASHOPTS", "BASH_VERSINFO"])
def test_a_name_at_which_bash_would_end_is_left_out(name: str, tmp_path: Path) -> None:
    content = environment_file({name: "1", "A": "after"}, {name: "1"})
    assert read_by(["bash", "--posix"], content, "A", tmp_path) == "after"


@pytest.mark.parametrize(("name", "value"), [("A B", ""), ("", ""), ("A;id", ""), ("1A", ""), ("A\n", ""), ("A", "\0")])
def test_what_no_variable_can_be_is_a_bug_of_the_caller(name: str, value: str) -> None:
    with pytest.raises(ValueError, match="a variable's name"):
        environment_file({name: value}, {})
    with pytest.raises(ValueError, match="a variable's name"):
        environment_file({}, {name: value})


def test_the_stream_is_a_secret_and_its_mark_is_in_no_value() -> None:
    stream = installation_input({"A": "----\n-----"})
    assert "-----" not in str(stream)
    mark, _, rest = stream.reveal().partition("\n")
    assert mark == "------"
    assert rest.split(f"{mark}\n") == ["export A='----\n-----'\n", ""]


@pytest.mark.parametrize("shell", [["dash"], ["bash"], ["bash", "--posix"], ["busybox", "sh"]], ids=" ".join)
@pytest.mark.parametrize(("fresh", "value"), [(None, "first"), ("second\n", "second")])
def test_c8_a_shell_reads_the_token_of_now(shell: list[str], fresh: str | None, value: str, tmp_path: Path) -> None:
    content = environment_file({"GITHUB_TOKEN": SecretText("first")}, {})
    file = tmp_path / "token"
    if fresh is not None:
        file.write_text(fresh)
    assert content.count(FRESH_FILE) == 2
    assert read_by(shell, content.replace(FRESH_FILE, str(file)), "GITHUB_TOKEN", tmp_path) == value


def test_what_has_no_token_looks_for_none() -> None:
    assert FRESH_FILE not in environment_file({"A": "1"}, {"GITHUB_TOKEN": "remote"})


def test_the_script_holds_no_value() -> None:
    assert "/run/codespaces" in INSTALL_SCRIPT


@pytest.mark.parametrize(
    ("before", "variables", "author"),
    [
        pytest.param(
            "", {"GIT_COMMITTER_NAME": "Ada L.", "GIT_COMMITTER_EMAIL": "a@b"}, ("Ada L.", "a@b"), id="the user"
        ),
        pytest.param(
            "[user]\nname = Image\n",
            {"GIT_COMMITTER_NAME": "Ada L.", "GIT_COMMITTER_EMAIL": "a@b"},
            ("Image", "a@b"),
            id="what the image says stays",
        ),
        pytest.param("", {}, ("", ""), id="nobody"),
    ],
)
def test_git_knows_who_commits(before: str, variables: dict[str, str], author: tuple[str, str], tmp_path: Path) -> None:
    system = tmp_path / "gitconfig"
    if before:
        system.write_text(before)
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GIT_CONFIG_SYSTEM": str(system)} | variables
    script = f"set -eu; umask 077; {AUTHOR_SCRIPT}"
    done = subprocess.run(["/bin/sh", "-c", script], env=environment, cwd=tmp_path, capture_output=True, check=True)
    assert done.stdout + done.stderr == b""
    found = [
        subprocess.run(
            ["git", "config", f"user.{key}"], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        ).stdout.strip()
        for key in ("name", "email")
    ]
    assert tuple(found) == author
    if variables and not before:
        assert system.stat().st_mode & 0o777 == 0o644, "the codespace's user reads it"


def test_without_git_nothing_is_said(tmp_path: Path) -> None:
    environment = {"PATH": str(tmp_path), "GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "a@b"}
    done = subprocess.run(
        ["/bin/sh", "-c", f"set -eu; {AUTHOR_SCRIPT}"], env=environment, capture_output=True, check=True
    )
    assert done.stdout + done.stderr == b""
