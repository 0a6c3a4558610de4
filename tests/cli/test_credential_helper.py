"""`docker-credential-berth`: the protocol of docker's credential helpers, word for word, by the program as docker runs it."""

import asyncio
import base64
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.domain.test_environment_triple import triple
from tests.fakes.ecr import KEY_ID, SECRET, FakeECR, error
from tests.fakes.http_server import HTTPServer

ECR_HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
PROGRAM = Path(sys.executable).with_name("docker-credential-berth")
NOT_FOUND = "credentials not found in native keychain\n"
PASSWORD = "canary-hunter2 "
CORP = triple("CORP", "reg.example:5000", password=PASSWORD)


def run(action: str, stdin: str = "", environ: Mapping[str, str] = CORP) -> subprocess.CompletedProcess[str]:
    path = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    arguments = [action] if action else []
    return subprocess.run(
        [PROGRAM, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        env={**path, **environ},
        check=False,
        timeout=50,
    )


@pytest.mark.parametrize("asked", ["reg.example:5000", "https://reg.example:5000", "reg.example:5000\n"])
def test_get(asked: str) -> None:
    done = run("get", asked)
    login = {"ServerURL": asked.strip(), "Username": "robot", "Secret": PASSWORD}
    assert (done.returncode, json.loads(done.stdout), done.stderr) == (0, login, "")


def test_get_of_docker_hub_in_the_words_of_each_client() -> None:
    for asked in ("https://index.docker.io/v1/", "docker.io", "index.docker.io"):
        assert json.loads(run("get", asked, triple("HUB", "docker.io")).stdout)["Username"] == "robot"


@pytest.mark.parametrize(
    "asked",
    [
        "reg.example",
        "reg.example:5000.evil.example",
        "evil.example/reg.example:5000",
        "https://reg.example:5000/v1/access-token",
        "reg.example:5001",
        "REG example",
    ],
)
def test_c4_any_other_host_is_not_found_in_docker_s_own_words(asked: str) -> None:
    done = run("get", asked)
    assert (done.returncode, done.stdout) == (1, NOT_FOUND)


def test_get_of_nothing() -> None:
    done = run("get", "\n")
    assert (done.returncode, done.stdout) == (1, "no credentials server URL\n")


def test_c11_a_broken_login_is_an_error_and_not_none() -> None:
    broken = CORP | {"CORP_CONTAINER_REGISTRY_USER": ""}
    done = run("get", "reg.example:5000", broken)
    assert done.returncode == 1
    assert "CORP_CONTAINER_REGISTRY_USER" in done.stdout
    assert "not found" not in done.stdout
    assert PASSWORD.strip() not in done.stdout
    assert run("get", "ghcr.io", broken).stdout == NOT_FOUND
    done = run("get", "reg.example:5000", CORP | {"BAD_CONTAINER_REGISTRY_USER": "x"})
    assert done.returncode == 0


def test_list() -> None:
    environ = {**CORP, **triple("HUB", "docker.io", "ann"), **triple("AWS", ECR_HOST, KEY_ID, SECRET)}
    done = run("list", "", environ | {"HALF_CONTAINER_REGISTRY_SERVER": "quay.io"})
    assert done.returncode == 0
    assert json.loads(done.stdout) == {
        "reg.example:5000": "robot",
        "https://index.docker.io/v1/": "ann",
        ECR_HOST: "AWS",
    }
    assert "HALF_CONTAINER_REGISTRY_USER" in done.stderr


@pytest.mark.parametrize("action", ["store", "erase"])
def test_nothing_is_stored_or_erased_and_it_says_what_to_do(action: str) -> None:
    done = run(action, json.dumps({"ServerURL": "reg.example", "Username": "u", "Secret": PASSWORD}))
    assert done.returncode == 1
    assert "<NAME>_CONTAINER_REGISTRY_SERVER" in done.stdout
    assert PASSWORD.strip() not in done.stdout


def test_version_and_usage() -> None:
    assert run("version").stdout.startswith("docker-credential-berth (berth) ")
    for action in ("", "nonsense"):
        done = run(action)
        assert (done.returncode, "get|list|store|erase" in done.stderr) == (2, True)
    shown = run("--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert '{"credsStore": "berth"}' in shown.stdout


def test_what_is_no_text_is_said() -> None:
    done = run("get", "ghcr.io", {"X_CONTAINER_REGISTRY_USER": "a\udcff"})
    assert (done.returncode, "X_CONTAINER_REGISTRY_USER" in done.stdout) == (1, True)


async def test_c5_a_token_of_aws_is_made_once_and_kept_where_only_its_keys_find_it(tmp_path: Path) -> None:
    fake = FakeECR()
    async with HTTPServer.run(fake) as server:
        environ = triple("AWS", ECR_HOST, KEY_ID, SECRET) | {
            "BERTH_ECR_ENDPOINT": f"http://{server.address}",
            "XDG_CACHE_HOME": str(tmp_path),
        }
        token = ""
        for _ in range(2):
            done = await asyncio.to_thread(run, "get", ECR_HOST, environ)
            (token,) = fake.tokens
            assert json.loads(done.stdout) == {"ServerURL": ECR_HOST, "Username": "AWS", "Secret": token}
        (file,) = (tmp_path / "berth").iterdir()
        assert token.encode() not in file.read_bytes()
        assert len(fake.swaps) == 1
        fake.refuse = [error(400, "UnrecognizedClientException", "x")]
        file.unlink()
        refused = await asyncio.to_thread(run, "get", ECR_HOST, environ)
        assert refused.returncode == 1
        assert "AWS_CONTAINER_REGISTRY_" in refused.stdout
        assert SECRET not in refused.stdout + refused.stderr
        assert (await asyncio.to_thread(run, "get", "ghcr.io", environ)).stdout == NOT_FOUND


def test_a_ready_token_that_has_expired_is_an_error() -> None:
    def ready(expiration: int) -> dict[str, str]:
        token = base64.b64encode(json.dumps({"payload": "x" * 40, "expiration": expiration}).encode()).decode()
        return triple("AWS", ECR_HOST, "AWS", token)

    assert run("get", ECR_HOST, ready(1)).returncode == 1
    assert run("get", ECR_HOST, ready(4_000_000_000)).returncode == 0


_SHOW = """
import sys
before = set(sys.modules)
from berth.cli.credential_helper import main
main()
print(*sorted(set(sys.modules) - before), file=sys.stderr)
"""


def test_the_usual_answer_imports_next_to_nothing() -> None:
    """What `make bench-helper` measures; here without a clock."""
    environ = {"PATH": os.environ["PATH"], **triple("CORP", "reg.example:5000")}
    done = subprocess.run(
        [sys.executable, "-c", _SHOW, "get"],
        input="reg.example:5000",
        capture_output=True,
        text=True,
        env=environ,
        check=True,
        timeout=50,
    )
    assert json.loads(done.stdout)["Secret"] == "hunter2"
    own = {"berth", "berth.cli", "berth.cli.credential_helper", "berth.domain"}
    needed = own | {"berth.domain.plain_login", "berth.domain.docker_hub", "warnings"}
    assert {name for name in done.stderr.split() if not name.startswith("importlib")} <= needed
