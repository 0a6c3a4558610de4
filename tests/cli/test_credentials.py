"""`berth credentials`: the logins of an environment printed, merged, told; and what was meant as one and is none."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Berth
from tests.domain.test_environment_triple import triple
from tests.fakes.ecr import DENIED, KEY_ID, SECRET, FakeECR
from tests.fakes.http_server import HTTPServer

ECR_HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
PASSWORD = "canary-hunter2"


@pytest.fixture
def alone(anonymous: Berth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Berth:
    """A folder of its own for all that is kept."""
    for name in ("HOME", "DOCKER_CONFIG", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    return anonymous


def give(monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)


def logins(text: str) -> dict[str, str]:
    auths: dict[str, dict[str, str]] = json.loads(text)["auths"]
    return {key: base64.b64decode(each["auth"]).decode() for key, each in auths.items()}


def test_they_are_printed_as_a_docker_config(alone: Berth, monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, triple("HUB", "https://hub.docker.com/", password=PASSWORD) | triple("R", "reg.example:5000"))
    result = alone("credentials")
    assert result.exit_code == 0
    hub = f"robot:{PASSWORD}"
    keys = {"https://index.docker.io/v1/": hub, "docker.io": hub, "index.docker.io": hub}
    assert logins(result.stdout) == keys | {"reg.example:5000": "robot:hunter2"}
    assert "Warning: HUB_CONTAINER_REGISTRY_SERVER" in result.stderr
    assert PASSWORD not in result.stderr


def test_c11_a_bad_triple_is_1_and_the_others_are_there(alone: Berth, monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, triple("GOOD", "ghcr.io") | {"BAD_CONTAINER_REGISTRY_SERVER": "quay.io"})
    result = alone("credentials")
    assert result.exit_code == 1
    assert set(logins(result.stdout)) == {"ghcr.io"}
    assert "BAD_CONTAINER_REGISTRY_USER and BAD_CONTAINER_REGISTRY_PASSWORD" in result.stderr
    monkeypatch.delenv("BAD_CONTAINER_REGISTRY_SERVER")
    assert alone("credentials").exit_code == 0


def test_without_any_there_is_an_empty_config(alone: Berth) -> None:
    result = alone("credentials")
    assert (result.exit_code, logins(result.stdout)) == (0, {})
    assert "No variables" in result.stderr


def test_for_programs_without_passwords(alone: Berth, monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, triple("R", "ghcr.io", password=PASSWORD) | {"X_CONTAINER_REGISTRY_SERVER": "quay.io"})
    result = alone("credentials", "--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert told["registries"] == [{"server": "ghcr.io", "prefix": "R", "kind": "basic", "expires_at": None}]
    (failed,) = told["failed"]
    assert (failed["server"], failed["prefix"], failed["rule"]) == ("quay.io", "X", "credential.incomplete")
    assert told["warnings"] == [failed["text"]]
    assert PASSWORD not in result.output


def test_merged_into_docker_s_file_or_another(alone: Berth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, triple("R", "ghcr.io", password=PASSWORD))
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"auths": {"mine.example": {"auth": "bWU6bWU="}}}))
    for arguments, file in (
        ((), tmp_path / "DOCKER_CONFIG" / "config.json"),
        ((str(other),), other),
    ):
        result = alone("credentials", "--merge", *arguments)
        assert result.exit_code == 0
        assert result.stdout == ""
        assert str(file) in result.stderr
        assert PASSWORD not in result.stderr
        assert logins(file.read_text())["ghcr.io"] == f"robot:{PASSWORD}"
    assert "mine.example" in logins(other.read_text())
    monkeypatch.delenv("DOCKER_CONFIG")
    alone("credentials", "--merge", "--json")
    assert (tmp_path / "HOME" / ".docker" / "config.json").exists()
    other.write_text("[]")
    result = alone("credentials", "--merge", str(other))
    assert (result.exit_code, "left alone" in result.stderr) == (1, True)


def test_passwords_go_to_no_terminal_unless_that_is_meant(alone: Berth, monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, triple("R", "ghcr.io", password=PASSWORD))
    monkeypatch.setattr("berth.cli.credentials.sys", FakeSys())
    result = alone("credentials")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--show" in result.stderr
    assert alone("credentials", "--json").exit_code == 0
    assert alone("credentials", "--merge").exit_code == 0
    assert set(logins(alone("credentials", "--show").stdout)) == {"ghcr.io"}


class FakeSys:
    """Standard output is a terminal."""

    class stdout:  # noqa: N801 the name of what it stands for
        @staticmethod
        def isatty() -> bool:
            return True


def test_a_path_without_merge_is_2(alone: Berth) -> None:
    assert alone("credentials", "x.json").exit_code == 2


def test_a_berth_toml_of_the_checkout_means_nothing(
    alone: Berth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stranger's pull request could stand for AWS by one. The variable says that the file would have been understood."""
    give(monkeypatch, triple("R", "ghcr.io"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "berth.toml").write_text('nonsense = "x"\n')
    assert alone("credentials").exit_code == 0
    monkeypatch.setenv("BERTH_NONSENSE", "x")
    assert alone("credentials").exit_code == 2


@pytest.fixture
async def ecr(alone: Berth, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeECR]:
    fake = FakeECR()
    async with HTTPServer.run(fake) as server:
        monkeypatch.setenv("BERTH_ECR_ENDPOINT", f"http://{server.address}")
        give(monkeypatch, triple("AWS", ECR_HOST, KEY_ID, SECRET))
        yield fake


async def test_c5_aws_keys_become_a_token(alone: Berth, ecr: FakeECR, tmp_path: Path) -> None:
    result = await asyncio.to_thread(alone, "credentials", "--merge")
    assert result.exit_code == 0
    file = tmp_path / "DOCKER_CONFIG" / "config.json"
    (token,) = ecr.tokens
    assert logins(file.read_text()) == {ECR_HOST: f"AWS:{token}"}
    told: dict[str, Any] = json.loads((await asyncio.to_thread(alone, "credentials", "--json")).stdout)
    assert told["registries"][0]["expires_at"].endswith("Z")
    assert told["warnings"] == []
    ecr.refuse = [DENIED]
    result = await asyncio.to_thread(alone, "credentials", "--merge")
    assert (result.exit_code, "not authorized" in result.stderr or "ecr:" in result.stderr) == (1, True)
    assert set(logins(file.read_text())) == {ECR_HOST}, "C8: the old one stays while it lasts"
    assert SECRET not in result.output
