"""`berth demo` as a person runs it: it shows what it promises, hides the password, and leaves nothing behind."""

import asyncio
import base64
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.world import engine_api

from berth.cli.demo import PASSWORD_PREFIX, REGISTRY_USER

pytestmark = [pytest.mark.engine, pytest.mark.registry, pytest.mark.timeout(180)]


def forms_of_the_password() -> tuple[str, str]:
    encoded = base64.b64encode(f"{REGISTRY_USER}:{PASSWORD_PREFIX}".encode()).decode()
    return PASSWORD_PREFIX, encoded[: len(f"{REGISTRY_USER}:{PASSWORD_PREFIX}") // 3 * 4]


COMMAND = (sys.executable, "-m", "berth", "demo")


def environment(docker_host: str, temporary: Path) -> dict[str, str]:
    return os.environ | {"DOCKER_HOST": docker_host, "TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1"}


def run_demo(docker_host: str, temporary: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        COMMAND,
        env=environment(docker_host, temporary), capture_output=True, text=True, check=False, timeout=170,
    )  # fmt: skip


def run_demo_until(said: str, docker_host: str, temporary: Path) -> tuple[str, int]:
    """Interrupted as soon as it has said this: what it said, and its exit code."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # who was started to ignore it passes that on
    with subprocess.Popen(COMMAND, env=environment(docker_host, temporary), stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        text = ""
        for line in demo.stdout:
            text += line
            if said in line:
                demo.send_signal(signal.SIGINT)
        return text, demo.wait()


async def what_is_there(docker_host: str) -> tuple[set[str], set[str]]:
    async with engine_api(docker_host) as engine:
        containers = (await engine.get("/containers/json", params={"all": "1"})).json()
        images = (await engine.get("/images/json")).json()
    return {each["Id"] for each in containers}, {each["Id"] for each in images}


async def test_the_demo(docker_host: str, tmp_path: Path) -> None:
    before = await what_is_there(docker_host)
    done = await asyncio.to_thread(run_demo, docker_host, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "What was done" in done.stdout
    for code in ("package.codespace_denied", "image.unauthorized", "credential.incomplete", "image.not_found"):
        assert code in done.stdout
    assert f"{REGISTRY_USER}:********" in done.stdout
    for sentence in ("Nobody stored a credential", "neither linked to the package", "a public repository needs"):
        assert sentence in " ".join(done.stdout.split())
    assert not re.search(r"gh[pus]_\w", done.stdout + done.stderr), "no token"
    assert not [form for form in forms_of_the_password() if form in done.stdout + done.stderr]
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert await what_is_there(docker_host) == before, (
        "an engine of others gets back what it had, and keeps what it has"
    )
    assert os.listdir(tmp_path) == []  # noqa: PTH208 in an async function


ELSEWHERE = "tcp://engine.example:2375"


def test_an_engine_that_is_elsewhere_is_named_and_not_used_and_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    said, code = run_demo_until("starts one of its own", ELSEWHERE, tmp_path)
    assert "engine.example" in said
    assert "another machine" in said
    assert "started for the demo" in said
    assert "everything that had been made is gone" in said
    assert (code, list(tmp_path.iterdir())) == (130, [])


@pytest.mark.slow
async def test_the_demo_with_an_engine_of_its_own(tmp_path: Path) -> None:
    done = await asyncio.to_thread(run_demo, ELSEWHERE, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "What was done" in done.stdout
