"""A server on loopback and a `berth` that is logged in to it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.fakes.github_like import TOKEN, GitHubLike, run_github_like
from typer.testing import CliRunner, Result

from berth.cli.app import app

Berth = Callable[..., Result]


@pytest.fixture
def server() -> Iterator[GitHubLike]:
    with run_github_like() as world:
        yield world


@pytest.fixture
def anonymous(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Berth:
    """`berth(*argv, stdin=...)` without a login."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("BERTH_HOST", "BERTH_TOKEN", "BERTH_CONFIG", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)

    def run(*argv: str, stdin: str | bytes = "") -> Result:
        return CliRunner().invoke(app, list(argv), input=stdin)

    return run


@pytest.fixture
def berth(anonymous: Berth, server: GitHubLike, monkeypatch: pytest.MonkeyPatch) -> Berth:
    monkeypatch.setenv("BERTH_HOST", server.url)
    monkeypatch.setenv("BERTH_TOKEN", TOKEN)
    return anonymous
