"""Names of branches, what runs in the container, and what its answers are worth (policy of domain/codespace_export.py)."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.domain.test_codespace import CODESPACE

from berth.domain.codespace_export import (
    EXPORT_SCRIPT,
    MAX_NAMES,
    branch_exists,
    branch_names,
    check_may_begin,
    check_may_go_on,
    codespace_gone,
    export_command,
    interrupted,
    may_not_push,
    no_free_branch,
    not_arrived,
    read_answer,
    too_long,
    too_much_output,
)
from berth.domain.finding import Fixer
from berth.domain.launch import finding_of
from berth.domain.lifecycle import Desired, Phase
from berth.domain.problem import Problem, is_passing
from berth.domain.repository import parse_branch_name

SHA = "fd95a81ca01e48ede9f39c799ecbcef817b8a3b2"
NAME = "octo-hello-g4wpq6h95q"


def test_3_the_first_name_is_githubs_and_the_others_are_told_apart() -> None:
    names = list(branch_names(NAME))
    assert names[:3] == [f"codespace-{NAME}", f"codespace-{NAME}-2", f"codespace-{NAME}-3"]
    assert len(names) == len(set(names)) == MAX_NAMES
    assert [parse_branch_name(name) for name in names] == names


def test_4_the_command_is_the_same_for_the_same_export() -> None:
    arguments: dict[str, Any] = {
        "origin": "https://berth.test",
        "repository_full_name": "acme/web",
        "branch": "b",
        "name": "Olga",
        "email": "olga@example.com",
        "codespace": NAME,
        "at": datetime(2026, 11, 23, 8, 0, tzinfo=UTC),
    }
    command = export_command(**arguments)
    assert command == export_command(**arguments)
    assert command[:3] == ("/bin/sh", "-c", EXPORT_SCRIPT)
    assert command[4:6] == ("https://berth.test/acme/web.git", "https://berth.test")
    assert command[7:] == ("b", "Olga", "olga@example.com", "1795420800 +0000", f"Export of the codespace {NAME}")


GOOD = {
    "the last line alone": f"berth-export {SHA}\n",
    "after what git said": f"remote: hello\n\nberth-export {SHA}\n",
    "without a newline at the end": f"berth-export {SHA}",
    "after a line that looks like it": f"berth-export {'0' * 40}\nberth-export {SHA}\n",
    "after bytes that are no text": f"\udcff\nberth-export {SHA}\n",
}


@pytest.mark.parametrize("output", GOOD.values(), ids=GOOD.keys())
def test_6_what_the_container_says_it_pushed(output: str) -> None:
    assert read_answer(0, output.encode(errors="surrogateescape"), codespace=NAME) == SHA


def test_6_a_repository_may_count_by_sha256() -> None:
    assert read_answer(0, f"berth-export {'a' * 64}\n".encode(), codespace=NAME) == "a" * 64


HOSTILE = {
    "nothing": "",
    "no line of ours": "done\n",
    "a line after it": f"berth-export {SHA}\nmore\n",
    "a name instead of a commit": "berth-export main\n",
    "an option": "berth-export --upload-pack=x\n",
    "too short": f"berth-export {SHA[:-1]}\n",
    "between the lengths": f"berth-export {SHA}ab\n",
    "upper case": f"berth-export {SHA.upper()}\n",
    "a NUL": f"berth-export {SHA}\0\n",
    "in the middle of a line": f"x berth-export {SHA}\n",
    "digits of another script": f"berth-export {'٣' * 40}\n",
}


@pytest.mark.parametrize("output", HOSTILE.values(), ids=HOSTILE.keys())
def test_6_anything_else_is_no_success(output: str) -> None:
    with pytest.raises(Problem) as refused:
        read_answer(0, output.encode(), codespace=NAME)
    assert refused.value.code == "export.not_arrived"


CODES = {
    10: "export.no_git",
    11: "export.no_repository",
    12: "export.no_commit",
    13: "export.push_failed",
    1: "export.ended",
    137: "export.ended",
    -1: "export.ended",
}


@pytest.mark.parametrize(("exit_code", "code"), CODES.items())
def test_a_failure_has_a_code_and_a_remedy_and_nothing_of_the_output(exit_code: int, code: str) -> None:
    secret = b"planted-value"
    with pytest.raises(Problem) as failed:
        read_answer(exit_code, secret + f"\nberth-export {SHA}\n".encode(), codespace=NAME)
    problem = failed.value
    assert problem.code == code
    assert f"berth codespace exec {NAME} --" in problem.remedy
    assert "planted-value" not in f"{problem.message} {problem.remedy}"
    assert finding_of(problem).fixer is Fixer.DEVELOPER


BEGIN = {
    "available": ({}, None),
    "exporting": ({"exporting": True}, "export.in_progress"),
    "exporting, asked to stop": (
        {"exporting": True, "desired": Desired.STOPPED, "generation": 2},
        "export.in_progress",
    ),
    "of a fork's pull request": ({"from_fork": True}, "export.from_fork"),
    "stopped": ({"desired": Desired.STOPPED, "phase": Phase.SHUTDOWN}, "export.not_running"),
    "asked to stop": ({"desired": Desired.STOPPED, "generation": 2}, "export.not_running"),
    "being launched": ({"phase": Phase.PROVISIONING, "generation": 2}, "export.not_running"),
    "failed": ({"phase": Phase.FAILED}, "export.not_running"),
    "deleted": ({"desired": Desired.DELETED}, "export.not_running"),
}


@pytest.mark.parametrize(("changes", "code"), BEGIN.values(), ids=BEGIN.keys())
def test_an_export_begins_in_what_runs_one_at_a_time(changes: dict[str, Any], code: str | None) -> None:
    codespace = replace(CODESPACE, **changes)
    if code is None:
        check_may_begin(codespace)
        return
    with pytest.raises(Problem) as refused:
        check_may_begin(codespace)
    assert refused.value.code == code


def test_it_goes_on_while_the_codespace_runs() -> None:
    check_may_go_on(replace(CODESPACE, exporting=True))
    with pytest.raises(Problem) as refused:
        check_may_go_on(replace(CODESPACE, exporting=True, desired=Desired.DELETED))
    assert refused.value.code == "export.not_running"


@pytest.mark.parametrize(
    "problem",
    [
        branch_exists("b"),
        no_free_branch(),
        may_not_push("acme/web"),
        codespace_gone(),
        interrupted(),
        too_long(900),
        too_much_output(1024),
        not_arrived(),
    ],
    ids=lambda problem: problem.message[:40],
)
def test_every_end_says_what_to_do_and_is_one(problem: Problem) -> None:
    assert problem.remedy
    assert not is_passing(problem)
    wanted = Fixer.REPOSITORY_ADMIN if problem.code == "export.read_only" else Fixer.DEVELOPER
    assert finding_of(problem).fixer is wanted
