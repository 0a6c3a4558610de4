"""The environment of a codespace (S7, L9) and the finding of a failed launch (L8)."""

import subprocess
from pathlib import Path

import pytest

from berth.domain.docker_config_files import FRESH_FILE
from berth.domain.finding import Fixer
from berth.domain.launch import GIT_HELPER, CodespaceIdentity, container_environment, finding_of, session_environment
from berth.domain.problem import Invalid, Problem, UpstreamFailed
from berth.domain.secret_text import SecretText

IDENTITY = CodespaceIdentity(
    name="octo-hello-g4wpq6h95q",
    user_login="octo",
    user_name="Octo Cat",
    user_email="octo@corp.example",
    repository_full_name="acme/hello",
    origin="https://berth.corp.example:8443",
)
L9 = {
    "CODESPACES": "true",
    "CODESPACE_NAME": "octo-hello-g4wpq6h95q",
    "GITHUB_USER": "octo",
    "GITHUB_REPOSITORY": "acme/hello",
    "GITHUB_API_URL": "https://berth.corp.example:8443/api/v3",
    "GITHUB_SERVER_URL": "https://berth.corp.example:8443",
    "GITHUB_GRAPHQL_URL": "https://berth.corp.example:8443/api/graphql",
    "GH_HOST": "berth.corp.example:8443",
    "GIT_COMMITTER_NAME": "Octo Cat",
    "GIT_COMMITTER_EMAIL": "octo@corp.example",
}


def test_l9_the_container_knows_what_it_is() -> None:
    assert container_environment(IDENTITY) == L9


def test_l7_nothing_in_the_container_environment_is_a_secret() -> None:
    assert not any(isinstance(value, SecretText) for value in container_environment(IDENTITY).values())


def test_s7_l9_a_session_has_the_secrets_and_the_token() -> None:
    environment = session_environment(IDENTITY, {"MINE": SecretText("x")}, SecretText("ghu_1"))
    assert environment["MINE"] == SecretText("x")
    assert environment["GITHUB_TOKEN"] == SecretText("ghu_1")
    assert {name: environment[name] for name in L9} == L9
    assert environment["GIT_CONFIG_KEY_0"] == "credential.https://berth.corp.example:8443.helper"


@pytest.mark.parametrize("shell", [["dash"], ["bash"], ["busybox", "sh"]], ids=" ".join)
@pytest.mark.parametrize(("fresh", "password"), [("ghu_2\n", "ghu_2"), (None, "ghu_1"), ("", "ghu_1")])
def test_c8_git_gets_the_token_of_now(shell: list[str], fresh: str | None, password: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    if fresh is not None:
        file.write_text(fresh)
    helper = GIT_HELPER.removeprefix("!").replace(FRESH_FILE, str(file))  # git runs it so: gitcredentials(7)
    for action, said in (("get", f"username=x-access-token\npassword={password}\n"), ("store", "")):
        command = [*shell, "-c", f'{helper} "$@"', helper, action]
        done = subprocess.run(command, env={"GITHUB_TOKEN": "ghu_1"}, capture_output=True, text=True, check=True)
        assert (done.stdout, done.stderr) == (said, "")


def test_s6_a_session_without_a_token_has_no_way_to_one() -> None:
    environment = session_environment(IDENTITY, {}, None)
    assert "GITHUB_TOKEN" not in environment
    assert {name: environment[name] for name in L9} == L9
    assert (environment["GIT_CONFIG_COUNT"], environment["GIT_CONFIG_KEY_0"]) == ("1", "safe.directory")
    assert not any("credential" in str(value) for value in environment.values())


def test_a_secret_cannot_replace_what_l9_promises() -> None:
    secrets = {"CODESPACES": SecretText("no"), "GH_HOST": SecretText("evil.example")}
    environment = session_environment(IDENTITY, secrets, SecretText("ghu_1"))
    assert environment["CODESPACES"] == "true"
    assert environment["GH_HOST"] == "berth.corp.example:8443"


@pytest.mark.parametrize(
    ("problem", "fixer"),
    [
        (Invalid("M.", code="devcontainer.malformed"), Fixer.DEVELOPER),
        (UpstreamFailed("M.", code="image.pull_failed"), Fixer.SITE_ADMIN),
        (Invalid("M.", code="image.name"), Fixer.DEVELOPER),
        (UpstreamFailed("M.", code="engine.unreachable"), Fixer.SITE_ADMIN),
        (Problem("M.", code="something.new"), Fixer.SITE_ADMIN),
    ],
    ids=["a bad file", "the longer match wins", "the shorter match", "the engine", "an unknown code"],
)
def test_l8_who_can_mend_it(problem: Problem, fixer: Fixer) -> None:
    finding = finding_of(problem)
    assert (finding.code, finding.sentence, finding.fixer) == (problem.code, "M.", fixer)
    assert finding.next_step


def test_l8_a_remedy_is_the_next_step() -> None:
    assert finding_of(Invalid("M.", remedy="Do this.")).next_step == "Do this."
