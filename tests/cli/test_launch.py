"""`codespace create` and `logs --follow`: phases, a broken connection, a finding, Ctrl-C, hostile text."""

import json
import sys

import pytest
from tests.cli.conftest import Berth
from tests.domain.test_plain_text import HOSTILE
from tests.fakes.github_like import CODESPACE, GitHubLike

from berth.cli.terminal import clean, out_table
from berth.client import Client, parse_events

FINDING = {
    "code": "pull.denied",
    "sentence": "The registry refused the password.",
    "fixer": "organization_owner",
    "next_step": "berth registry add registry.example.com --replace",
    "evidence": {"status": "401"},
}
CREATE = ("codespace", "create", "--repo", "acme/shop")


def test_create_shows_the_phases_and_prints_the_name(berth: Berth) -> None:
    result = berth(*CREATE)
    assert (result.exit_code, result.stdout) == (0, f"{CODESPACE}\n")
    for text in ("Pulling the image", "1.0 MB of 2.0 MB", "postCreateCommand", "installed", "Ready"):
        assert text in result.stderr


def test_create_does_not_wait_if_told_so(berth: Berth, server: GitHubLike) -> None:
    result = berth(*CREATE, "--no-wait", "--json")
    assert json.loads(result.stdout)["state"] == "Queued"
    assert server.streams == []


def test_a_failed_launch_shows_its_finding_and_is_exit_1(berth: Berth, server: GitHubLike) -> None:
    server.state = "Failed"
    server.log[3] = (4, "finding", json.dumps(FINDING))
    result = berth(*CREATE, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["finding"]["code"] == "pull.denied"
    for text in ("refused the password", "pull.denied", "an owner of the organization", "berth registry add", "401"):
        assert text in result.stderr


@pytest.mark.parametrize("verb", ["start", "rebuild"])
def test_a_start_and_a_rebuild_show_what_the_log_gets_from_then_on(berth: Berth, server: GitHubLike, verb: str) -> None:
    result = berth("codespace", verb, CODESPACE)
    assert result.exit_code == 0
    assert server.streams == ["4"]  # the last line that was there before
    assert "Ready. Try" in result.stderr
    assert "Pulling the image" not in result.stderr
    server.log = [entry for entry in server.log if entry[1] == "end"]
    assert berth("codespace", verb, CODESPACE).exit_code == 0
    assert server.streams == ["4", ""]


@pytest.mark.parametrize("verb", ["start", "rebuild"])
def test_a_start_and_a_rebuild_fail_as_the_launch_does(berth: Berth, server: GitHubLike, verb: str) -> None:
    server.state, server.finding = "Failed", FINDING
    result = berth("codespace", verb, CODESPACE, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["state"] == "Failed"
    assert "refused the password" in result.stderr
    assert f"When that is mended: berth codespace {verb} {CODESPACE}" in result.stderr


def test_a_start_says_which_hook_failed(berth: Berth, server: GitHubLike) -> None:
    assert "ended with" not in berth("codespace", "start", CODESPACE).stderr
    server.more = {"failed_hook": {"hook": "postStartCommand", "exit_code": 3, "at": "2026-11-30T08:00:00Z"}}
    said = berth("codespace", "start", CODESPACE).stderr
    assert "postStartCommand ended with exit code 3" in said
    assert "Ready" in said


def test_logs_of_a_failed_launch_end_with_what_to_do(berth: Berth, server: GitHubLike) -> None:
    server.log[3] = (4, "finding", json.dumps(FINDING))
    for options in ((), ("--follow",)):
        result = berth("codespace", "logs", CODESPACE, *options)
        assert result.exit_code == 0
        for text in ("pull.denied", "an owner of the organization", "berth registry add"):
            assert text in result.stderr
    ways_on = (f"berth codespace start {CODESPACE}", f"berth codespace delete {CODESPACE}")
    said = berth(*CREATE).stderr
    assert not [way for way in ways_on if way in said]
    server.state = "Failed"
    said = berth(*CREATE).stderr
    assert not [way for way in ways_on if way not in said]


def test_on_a_terminal_a_steps_heading_stands_above_its_output(
    berth: Berth, server: GitHubLike, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    server.log[1] = (2, "progress", '{"layers_total":0,"layers_done":0,"bytes_total":0,"bytes_done":0}')
    text = clean(berth(*CREATE).stderr)
    assert 0 <= text.index("s] Running postCreateCommand") < text.index("    installed")


@pytest.mark.parametrize(("columns", "lines"), [(("", ""), 1), (("name", "value"), 3)])
def test_on_a_terminal_a_table_has_a_heading_if_its_columns_have_names(
    columns: tuple[str, ...], lines: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    out_table(columns, [("a", "b")])
    assert len(capsys.readouterr().out.splitlines()) == lines


def test_nothing_is_said_of_a_pull_of_nothing(berth: Berth, server: GitHubLike) -> None:
    server.log[1] = (2, "progress", '{"layers_total":0,"layers_done":0,"bytes_total":0,"bytes_done":0}')
    assert "pulled" not in berth(*CREATE).stderr


def test_a_broken_stream_is_taken_up_where_it_broke(berth: Berth, server: GitHubLike) -> None:
    server.break_after = 3
    result = berth("codespace", "logs", "--follow", CODESPACE)
    assert server.streams == ["", "3"]
    assert result.stdout == "== Pulling the image\n== Running postCreateCommand\ninstalled\n"


@pytest.mark.parametrize(
    ("argv", "give_up"),
    [(CREATE, "delete"), (("codespace", "start", CODESPACE), "stop"), (("codespace", "rebuild", CODESPACE), "stop")],
    ids=["create", "start", "rebuild"],
)
def test_ctrl_c_says_how_to_go_on(
    berth: Berth, monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...], give_up: str
) -> None:
    def interrupt(self: Client, name: str, *, after: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "follow_log", interrupt)
    result = berth(*argv)
    assert result.exit_code == 1
    assert f"berth codespace logs {CODESPACE} --follow" in result.stderr
    assert f"Give it up: berth codespace {give_up} {CODESPACE}" in result.stderr


HOSTILE_TEXT = "".join(text for text, _ in HOSTILE[:-1]) + "[red]markup[/red]"


def test_hostile_text_of_a_server_never_reaches_the_terminal(berth: Berth, server: GitHubLike) -> None:
    server.state = "Failed\x1b[2J"
    finding = dict.fromkeys(("code", "sentence", "fixer", "next_step"), HOSTILE_TEXT)
    server.finding = {**finding, "evidence": {HOSTILE_TEXT: HOSTILE_TEXT}}
    kinds = ("phase", "output", "finding", "progress", HOSTILE_TEXT.replace("\n", "").replace("\r", ""))
    server.log = [(number, kind, HOSTILE_TEXT) for number, kind in enumerate(kinds, 1)]
    server.log += [(9, "finding", json.dumps(server.finding)), (10, "end", "")]
    server.answers["GET /user/tokens"] = (422, {"message": HOSTILE_TEXT})
    commands = [
        CREATE,
        ("codespace", "logs", CODESPACE),
        ("codespace", "logs", CODESPACE, "--follow"),
        ("codespace", "logs", CODESPACE, "--json"),
        ("codespace", "view", CODESPACE),
        ("codespace", "list"),
        ("codespace", "stop", CODESPACE),
        ("token", "list"),
    ]
    for argv in commands:
        result = berth(*argv)
        found = [sign for sign in result.stdout + result.stderr if sign not in "\n\t" and clean(sign) != sign]
        assert found == [], argv
        assert "Traceback" not in result.stderr, argv


def test_an_event_may_arrive_in_pieces_and_have_lines_within_lines() -> None:
    raw = 'id: 4\r\nevent: output\r\ndata: {"at": "x",\r\ndata: "text": "a\u2028b"}\r\n\r\n: comment\n\n'.encode()
    entries = list(parse_events(raw[at : at + 1] for at in range(len(raw))))
    assert [(entry.id, entry.kind, entry.text) for entry in entries] == [(4, "output", "a\u2028b")]
