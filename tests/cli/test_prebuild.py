"""`berth prebuild`: waiting, what programs get, a finding, Ctrl-C, hostile text."""

import json
from typing import Any

import pytest
from tests.cli.conftest import Berth
from tests.fakes.github_like import GitHubLike

from berth.cli import prebuild as module
from berth.client import Client, Prebuild

BASE = "/repos/acme/shop/codespaces/prebuilds"
REPO = ("--repo", "acme/shop")
QUEUED: dict[str, Any] = {
    "id": 12,
    "branch": "main",
    "state": "queued",
    "trigger": "push",
    "versions": [],
    "finished_at": None,
    "finding": None,
}
READY = QUEUED | {"state": "ready", "finished_at": "2026-11-30T08:01:12Z"}
FINDING = {"code": "image.build_failed", "sentence": "It failed.", "fixer": "developer", "next_step": "Mend it."}
FAILED = QUEUED | {"state": "failed", "finding": FINDING}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, server: GitHubLike) -> None:
    monkeypatch.setattr(module, "_LOOK_EVERY_S", 0.0)
    server.answers |= {
        f"POST {BASE}": (201, QUEUED),
        f"GET {BASE}": (200, {"total_count": 1, "prebuilds": [READY]}),
        f"GET {BASE}/12": (200, READY),
        f"POST {BASE}/12/runs": (202, QUEUED),
        f"DELETE {BASE}/12": (204, None),
    }


def test_it_waits_and_prints_the_number(berth: Berth) -> None:
    result = berth(
        "prebuild", "create", *REPO, "--devcontainer-path", "x", "--trigger", "schedule", "--every-hours", "3"
    )
    assert (result.exit_code, result.stdout) == (0, "12\n")
    assert "Ready" in result.stderr
    told = json.loads(berth("prebuild", "run", *REPO, "12", "--json").stdout)
    assert (told["id"], told["state"]) == (12, "ready")


def test_it_does_not_wait_if_told_so(berth: Berth, server: GitHubLike) -> None:
    assert berth("prebuild", "create", *REPO, "--no-wait").exit_code == 0
    assert berth("prebuild", "run", *REPO, "12", "--no-wait").exit_code == 0
    assert not [request for request in server.requests if request.startswith("GET")]


def test_a_failed_one_shows_its_finding_and_is_exit_1(berth: Berth, server: GitHubLike) -> None:
    server.answers[f"GET {BASE}/12"] = (200, FAILED)
    result = berth("prebuild", "run", *REPO, "12")
    assert result.exit_code == 1
    for text in ("It failed.", "image.build_failed", "Mend it.", "berth prebuild logs --repo acme/shop 12"):
        assert text in result.stderr
    server.answers[f"GET {BASE}/12"] = (200, FAILED | {"finding": None})
    assert berth("prebuild", "run", *REPO, "12").exit_code == 1


def test_the_list_and_the_log(berth: Berth, server: GitHubLike) -> None:
    assert berth("prebuild", "list", *REPO).stdout == "12\tmain\tready\tpush\t2026-11-30T08:01:12Z\n"
    assert json.loads(berth("prebuild", "list", *REPO, "--json").stdout)[0]["branch"] == "main"
    entries = [
        {"id": 1, "at": "", "kind": "phase", "text": "Building\x1b[2J"},
        {"id": 2, "at": "", "kind": "progress", "text": "{}"},
        {"id": 3, "at": "", "kind": "output", "text": "Step 1"},
    ]
    server.answers[f"GET {BASE}/12/logs"] = (200, entries)
    assert berth("prebuild", "logs", *REPO, "12").stdout == "== Building\nStep 1\n"


def test_it_is_deleted(berth: Berth, server: GitHubLike) -> None:
    assert berth("prebuild", "delete", *REPO, "12", "--yes").exit_code == 0
    assert server.requests[-1] == f"DELETE {BASE}/12"


def test_ctrl_c_leaves_the_run_going(berth: Berth, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: Client, full_name: str, number: int) -> Prebuild:
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "get_prebuild", interrupt)
    result = berth("prebuild", "create", *REPO)
    assert result.exit_code == 1
    assert "The run goes on without you." in result.stderr
