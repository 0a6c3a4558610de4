"""`codespace export`: waiting, the branch for programs, a finding, Ctrl-C, hostile text."""

import json

import pytest
from tests.cli.conftest import Berth
from tests.fakes.github_like import CODESPACE, GitHubLike

from berth.client import Client

EXPORT = ("codespace", "export", CODESPACE)
BRANCH = f"codespace-{CODESPACE}"
SHA = "fd95a81ca01e48ede9f39c799ecbcef817b8a3b2"
DONE = {"state": "succeeded", "sha": SHA}
FINDING = {"code": "export.no_git", "sentence": "There is no git.", "fixer": "developer", "next_step": "tar -c ."}


def test_it_waits_and_prints_the_branch(berth: Berth, server: GitHubLike) -> None:
    server.exports = [{}, {}, DONE]
    result = berth(*EXPORT)
    assert (result.exit_code, result.stdout) == (0, f"{BRANCH}\n")
    assert SHA in result.stderr
    assert len(server.exports) == 1


def test_json_is_the_export_at_its_end(berth: Berth, server: GitHubLike) -> None:
    server.exports = [{**DONE, "branch": "work"}]
    told = json.loads(berth(*EXPORT, "--branch", "work", "--json").stdout)
    assert (told["state"], told["branch"], told["sha"], told["id"]) == ("succeeded", "work", SHA, "7")


def test_it_does_not_wait_if_told_so(berth: Berth, server: GitHubLike) -> None:
    result = berth(*EXPORT, "--branch", "work", "--no-wait")
    assert (result.exit_code, result.stdout) == (0, "work\n")
    assert not [request for request in server.requests if request.startswith("GET")]


def test_a_failed_one_shows_its_finding_and_is_exit_1(berth: Berth, server: GitHubLike) -> None:
    server.exports = [{"state": "failed", "finding": FINDING}]
    result = berth(*EXPORT)
    assert (result.exit_code, result.stdout) == (1, "")
    for text in ("There is no git.", "export.no_git", "tar -c ."):
        assert text in result.stderr
    told = berth(*EXPORT, "--json")
    assert (told.exit_code, json.loads(told.stdout)["finding"]["code"]) == (1, "export.no_git")


def test_a_refusal_is_the_servers_sentence(berth: Berth, server: GitHubLike) -> None:
    text = "The codespace is Shutdown; an export needs it Available. Start it."
    server.answers[f"POST /user/codespaces/{CODESPACE}/exports"] = (
        422,
        {"message": text, "code": "export.not_running"},
    )
    result = berth(*EXPORT)
    assert (result.exit_code, text in result.stderr) == (1, True)


def test_on_a_terminal_it_says_what_it_waits_for(
    berth: Berth, server: GitHubLike, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    server.exports = [{}, DONE]
    assert "Committing and pushing" in berth(*EXPORT).stderr


def test_nothing_that_steers_a_terminal_is_printed(berth: Berth, server: GitHubLike) -> None:
    server.exports = [{**DONE, "branch": "a\x1b[2Jb", "sha": "\x1b]0;x\x07"}]
    result = berth(*EXPORT)
    assert "\x1b" not in result.stdout + result.stderr


def test_ctrl_c_says_how_to_go_on(berth: Berth, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: Client, name: str, export_id: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "get_export", interrupt)
    result = berth(*EXPORT)
    assert result.exit_code == 1
    assert f"berth codespace view {CODESPACE}" in result.stderr
