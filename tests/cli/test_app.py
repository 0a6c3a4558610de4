"""The program itself: it knows all its commands, and starts with the one that is asked for only."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer.core
import typer.main
from tests.cli.conftest import Berth

from berth.cli import app as program

_SHOW = """
import json, sys
from berth.cli.app import main
sys.argv = ["berth", *sys.argv[1:]]
try:
    main()
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def modules_of(*arguments: str) -> set[str]:
    """What a process has imported at its end."""
    done = subprocess.run(
        [sys.executable, "-c", _SHOW, *arguments], capture_output=True, text=True, check=True, timeout=50
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize(
    "arguments,own",
    [
        (("--version",), set[str]()),
        (("serve", "--help"), {"berth.cli.serve"}),
        (("credentials", "--help"), {"berth.cli.credentials"}),
        (("token", "list", "--help"), {"berth.cli.access_token"}),
    ],
    ids=["version", "serve", "credentials", "token"],
)
def test_a_command_s_module_is_imported_when_it_is_asked_for(arguments: tuple[str, ...], own: set[str]) -> None:
    loaded = modules_of(*arguments)
    commands = {module for module, _ in program._COMMANDS.values()}
    assert loaded & commands == own
    if own != {"berth.cli.access_token"}:  # that one speaks to a server
        assert not loaded & {"httpx", "rich", "sqlalchemy", "berth.client", "berth.server", "berth.wiring"}


def test_help_knows_what_every_command_is_for(anonymous: Berth) -> None:
    shown = anonymous("--help")
    assert shown.exit_code == 0
    lines = {line.split()[0]: line.split()[1:] for line in shown.stdout.partition("Commands:")[2].splitlines() if line}
    assert list(lines) == list(program._COMMANDS)
    assert all(lines.values())


def groups(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """All groups of commands, by their words."""
    if isinstance(command, typer.core.TyperGroup):
        yield path
        for name in command.commands:
            yield from groups(command.commands[name], (*path, name))


GROUPS = list(groups(typer.main.get_group(program.app)))


@pytest.mark.parametrize("path", GROUPS, ids=" ".join)
def test_help_says_of_every_command_a_whole_sentence(
    anonymous: Berth, monkeypatch: pytest.MonkeyPatch, path: tuple[str, ...]
) -> None:
    """On a terminal of 80 columns click cuts what is longer, and ends it with dots."""
    monkeypatch.setenv("COLUMNS", "80")
    shown = anonymous(*path, "--help").stdout.partition("Commands:")[2]
    assert shown
    assert [line for line in shown.splitlines() if line.endswith("...")] == []


def test_an_unknown_command_is_2_and_near_ones_are_named(anonymous: Berth) -> None:
    result = anonymous("codespce")
    assert (result.exit_code, "codespace" in result.stderr) == (2, True)
    assert anonymous().exit_code == 2
    assert anonymous("token", "lst").exit_code == 2


def test_the_commands_can_be_changed_like_any_group_s() -> None:
    commands = program._Commands()
    assert len(commands) == len(program._COMMANDS)
    with pytest.raises(KeyError):
        commands["nothing"]
    commands["serve"] = commands["login"]
    assert commands["serve"].name == "login"
    del commands["serve"]
    assert "serve" not in list(commands)
