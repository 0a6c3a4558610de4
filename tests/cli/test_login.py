"""Where a login is kept, and that tokens and passwords show nowhere else."""

import stat
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Berth
from tests.fakes.certificates import Authority
from tests.fakes.github_like import TOKEN, GitHubLike, run_github_like
from typer.main import get_command

from berth.cli.app import app
from berth.cli.hosts import parse_origin
from berth.domain.problem import Invalid

PASSWORD = "canary-hunter2-55e1"


def commands() -> list[tuple[tuple[str, ...], list[str]]]:
    """Every command's words and its options."""
    found: list[tuple[tuple[str, ...], list[str]]] = []
    pending: list[tuple[tuple[str, ...], Any]] = [((), get_command(app))]
    while pending:
        words, command = pending.pop()
        children = getattr(command, "commands", None)
        if children is None:
            found.append((words, [name for parameter in command.params for name in parameter.opts]))
        else:
            pending += [((*words, name), child) for name, child in children.items()]
    return found


def test_login_is_checked_saved_privately_used_and_forgotten(
    anonymous: Berth, server: GitHubLike, tmp_path: Path
) -> None:
    assert anonymous("login", server.url, stdin=f"{TOKEN}\n").exit_code == 0
    file = tmp_path / "config" / "berth" / "hosts.toml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in file.parent.iterdir()] == ["hosts.toml"]
    assert anonymous("codespace", "list").exit_code == 0
    assert anonymous("logout").exit_code == 0
    assert TOKEN not in file.read_text()
    assert anonymous("codespace", "list").exit_code == 4


def test_a_bad_token_is_not_saved(anonymous: Berth, server: GitHubLike, tmp_path: Path) -> None:
    result = anonymous("login", server.url, stdin="wrong-token-9a1b")
    assert result.exit_code == 4
    assert "wrong-token-9a1b" not in result.output
    assert "does not know this token" in result.stderr
    assert not (tmp_path / "config" / "berth").exists()


@pytest.mark.parametrize(
    "token", ["two-9a1b\nlines", "umlaut-9a1b-\u00e4", "bell-9a1b\a"], ids=["lines", "umlaut", "bell"]
)
def test_a_token_that_fits_no_header_is_refused_unseen(anonymous: Berth, server: GitHubLike, token: str) -> None:
    result = anonymous("login", server.url, stdin=token)
    assert result.exit_code == 4
    assert "9a1b" not in result.output
    assert "Traceback" not in result.output


def test_a_private_authority_is_trusted_when_it_is_named(
    anonymous: Berth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    with run_github_like(authority.server_context("localhost")) as server:
        refused = anonymous("login", server.url, stdin=TOKEN)
        assert refused.exit_code == 1
        assert "CERTIFICATE_VERIFY_FAILED" in refused.stderr
        assert "SSL_CERT_FILE=FILE" in refused.stderr
        assert server.requests == []
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
        assert anonymous("login", server.url, stdin=TOKEN).exit_code == 0


def test_a_saved_token_never_goes_to_another_server(
    anonymous: Berth, server: GitHubLike, monkeypatch: pytest.MonkeyPatch
) -> None:
    anonymous("login", server.url, stdin=TOKEN)
    monkeypatch.setenv("BERTH_HOST", server.url.replace("127.0.0.1", "localhost"))
    server.requests.clear()
    assert anonymous("codespace", "list").exit_code == 4
    assert server.requests == []


@pytest.mark.parametrize(
    "text",
    ["", "ftp://x", "https://u:p@x", "https://x/path", "https://x:port", "https://", "https://a b", "https://x?q"],
)
def test_only_an_origin_is_a_server(text: str) -> None:
    with pytest.raises(Invalid):
        parse_origin(text)


def test_an_origin_may_come_without_a_scheme() -> None:
    assert parse_origin("Berth.example.com/") == "https://berth.example.com"
    assert parse_origin("http://[::1]:80") == "http://[::1]:80"
    assert parse_origin("127.0.0.1:8080") == "http://127.0.0.1:8080"
    assert parse_origin("[::1]:8080/") == "http://[::1]:8080"
    assert parse_origin("localhost.example.com") == "https://localhost.example.com"


def test_https_to_a_plain_server_asks_for_http(anonymous: Berth, server: GitHubLike) -> None:
    result = anonymous("login", server.url.replace("http:", "https:"), stdin=TOKEN)
    assert result.exit_code == 1
    assert f"Is it {server.url}?" in result.stderr


def test_a_token_without_a_host_says_what_is_missing(anonymous: Berth, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BERTH_TOKEN", TOKEN)
    result = anonymous("codespace", "list")
    assert result.exit_code == 4
    assert "Set BERTH_HOST too" in result.stderr


def test_no_command_takes_a_secret_as_an_argument() -> None:
    files = {"--password-file", "--token-file", "--session-token-file"}
    for words, options in commands():
        for option in options:
            if any(word in option.lower() for word in ("password", "token", "value", "secret")):
                assert option in files | {"--token-scopes", "token_id"}, (words, option)


def test_secrets_show_neither_in_output_nor_in_errors(berth: Berth, server: GitHubLike) -> None:
    add = ("registry", "add", "r.example.com", "--username", "u", "--user")
    for status in (201, 422, 500):
        server.answers["PUT /user/codespaces/secrets/R_EXAMPLE_COM_CONTAINER_REGISTRY_SERVER"] = (
            status,
            {"message": "m"},
        )
        output = berth(*add, stdin=PASSWORD).output + berth("secret", "set", "A", "--user", stdin=PASSWORD).output
        assert PASSWORD not in output
        assert TOKEN not in output


def test_help_works_everywhere_and_every_command_is_documented() -> None:
    document = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
    for words, _ in commands():
        line = next((line for line in document.splitlines() if line.startswith(f"| `berth {' '.join(words)}` |")), "")
        assert line.count(f"berth {' '.join(words)}") >= 2, f"docs/cli.md lacks berth {' '.join(words)} or its example"
