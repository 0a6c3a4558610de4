"""`berth serve` as an administrator starts it, wherever he happens to stand."""

import asyncio
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import httpx
from tests.server import free_port

HOSTILE = 'import pathlib; pathlib.Path("ran").touch(); raise SystemExit("a stranger\'s module")\n'


async def wait_until_answering(process: subprocess.Popen[bytes], url: str) -> None:
    async with asyncio.timeout(30), httpx.AsyncClient(trust_env=False) as client:
        while process.poll() is None:
            try:
                assert (await client.get(f"{url}/healthz")).status_code == 200
                return
            except httpx.TransportError:
                await asyncio.sleep(0.05)
    raise AssertionError(f"it ended with {process.returncode}")


async def test_the_working_directory_brings_no_code_into_the_server(tmp_path: Path) -> None:
    """Not even where others may write, such as /tmp: they would have the master key, and everybody's secrets."""
    here = tmp_path / "here"
    here.mkdir()
    (here / "uvloop.py").write_text(HOSTILE)
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "BERTH_DATA_DIR": str(tmp_path / "data"),
        "BERTH_LISTEN": f"127.0.0.1:{port}",
        "BERTH_DOCKER_HOST": f"unix://{tmp_path}/no-engine",
    }
    program = Path(sys.executable).with_name("berth")
    process = subprocess.Popen([program, "serve"], env=environment, cwd=here, stderr=subprocess.DEVNULL)  # noqa: ASYNC220
    try:
        await wait_until_answering(process, f"http://127.0.0.1:{port}")
        assert not (here / "ran").exists()
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait, 30)


async def test_it_takes_as_many_file_descriptors_as_it_may(tmp_path: Path) -> None:
    """The usual soft bound of 1024 is for programs that use select(): one client could hold so many connections."""
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "BERTH_DATA_DIR": str(tmp_path / "data"),
        "BERTH_LISTEN": f"127.0.0.1:{port}",
        "BERTH_DOCKER_HOST": f"unix://{tmp_path}/no-engine",
    }
    program = Path(sys.executable).with_name("berth")
    few = ["sh", "-c", f"ulimit -Sn 300; ulimit -Hn 2000; exec {program} serve"]
    process = subprocess.Popen(few, env=environment, stderr=subprocess.DEVNULL)  # noqa: ASYNC220
    try:
        await wait_until_answering(process, f"http://127.0.0.1:{port}")
        assert resource.prlimit(process.pid, resource.RLIMIT_NOFILE) == (2000, 2000)
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait, 30)


async def test_sigterm_is_an_orderly_end(tmp_path: Path) -> None:
    """Not that of the process: what is left to do in the background, in containers and on disk is done first."""
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "BERTH_DATA_DIR": str(tmp_path / "data"),
        "BERTH_LISTEN": f"http://127.0.0.1:{port},unix:{tmp_path}/socket",
        "BERTH_DOCKER_HOST": f"unix://{tmp_path}/no-engine",
    }
    program = Path(sys.executable).with_name("berth")
    process = subprocess.Popen([program, "serve"], env=environment, stderr=subprocess.PIPE)  # noqa: ASYNC220
    try:
        await wait_until_answering(process, f"http://127.0.0.1:{port}")
        assert (tmp_path / "socket").exists()
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = await asyncio.to_thread(process.communicate, None, 30)
    assert (process.returncode, b"Traceback" in said) == (0, False), said.decode()
    assert not (tmp_path / "socket").exists()


def test_control_that_module_would_have_run(tmp_path: Path) -> None:
    (tmp_path / "uvloop.py").write_text(HOSTILE)
    subprocess.run([sys.executable, "-m", "berth.cli.server_process"], cwd=tmp_path, capture_output=True, check=False)
    assert (tmp_path / "ran").exists()
