"""`berth doctor`: for people, for programs, and its exit codes."""

import json
from typing import Any

import pytest
from tests.cli.conftest import Berth
from tests.fakes.github_like import GitHubLike

PATH = "POST /repos/acme/shop/codespaces/doctor"
IMAGE = "ghcr.io/acme/dev:1"
ARGUMENTS = ("doctor", IMAGE, "--repo", "acme/shop")
CHECK = {"id": "dns", "state": "passed", "sentence": "The name resolves.\x1b[31m", "because": None}
SKIPPED = {"id": "access", "state": "skipped", "sentence": "Not looked at.", "because": "login"}
FINDING = {
    "code": "image.unauthorized",
    "sentence": "No.",
    "fixer": "registry",
    "next_step": "Do.",
    "evidence": {"status": "401"},
}
GOOD: dict[str, Any] = {
    "image": IMAGE, "provider": "ghcr", "healthy": True, "digest": "sha256:1", "finding": None, "credential": None,
    "with_credential": None, "without_credential": "pulled", "checks": [CHECK],
}  # fmt: skip
BAD = {
    **GOOD, "healthy": False, "digest": None, "finding": FINDING, "with_credential": "image.unauthorized",
    "credential": {"level": "user", "prefix": "P"}, "checks": [CHECK, SKIPPED],
}  # fmt: skip


def test_a_good_image(berth: Berth, server: GitHubLike) -> None:
    server.answers[PATH] = (200, GOOD)
    result = berth(*ARGUMENTS)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == ["ok       dns              The name resolves.", "without: pulled"]
    assert "can be pulled: sha256:1" in result.stderr


def test_a_bad_one_is_1_and_says_what_to_do(berth: Berth, server: GitHubLike) -> None:
    server.answers[PATH] = (200, BAD)
    result = berth(*ARGUMENTS)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[1:] == [
        "-        access           Not looked at.",
        "with the credential: image.unauthorized",
        "without: pulled",
    ]
    for words in ("No. (image.unauthorized)", "Who can fix it", "Next step: Do."):
        assert words in result.stderr


@pytest.mark.parametrize("answer", [GOOD, BAD], ids=["good", "bad"])
def test_for_programs(berth: Berth, server: GitHubLike, answer: dict[str, Any]) -> None:
    server.answers[PATH] = (200, answer)
    result = berth(*ARGUMENTS, "--json")
    assert json.loads(result.stdout) == answer
    assert result.exit_code == (0 if answer["healthy"] else 1)


def test_inside_of_a_codespace_the_repository_is_known(
    berth: Berth, server: GitHubLike, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_REPOSITORY", "acme/shop")
    server.answers[PATH] = (200, GOOD)
    assert berth("doctor", IMAGE).exit_code == 0
    monkeypatch.delenv("GITHUB_REPOSITORY")
    result = berth("doctor", IMAGE)
    assert (result.exit_code, "--repo OWNER/REPO" in result.stderr) == (2, True)


def test_for_another_user(berth: Berth, server: GitHubLike) -> None:
    server.answers[PATH] = (200, GOOD)
    assert berth(*ARGUMENTS, "--user", "ada").exit_code == 0
    server.answers[PATH] = (404, {"message": "Not Found", "code": "account.not_found"})
    result = berth(*ARGUMENTS, "--user", "nobody")
    assert (result.exit_code, "no such user" in result.stderr) == (1, True)


def test_local_asks_no_server(berth: Berth, server: GitHubLike) -> None:
    for more in (("--repo", "acme/shop"), ("--user", "ada")):
        assert berth("doctor", IMAGE, "--local", *more).exit_code == 2
    assert server.requests == []


def test_a_name_that_is_none_is_2(berth: Berth, server: GitHubLike) -> None:
    assert berth("doctor", "UP/er", "--repo", "acme/shop").exit_code == 2
    assert server.requests == []


def test_without_a_login_it_is_4(anonymous: Berth) -> None:
    assert anonymous(*ARGUMENTS).exit_code == 4


def test_an_unknown_repository_is_1(berth: Berth, server: GitHubLike) -> None:
    server.answers[PATH] = (404, {"message": "Not Found", "code": "repository.not_found"})
    result = berth(*ARGUMENTS)
    assert (result.exit_code, "no such repository" in result.stderr) == (1, True)
