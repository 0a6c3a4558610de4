"""Reaching a port by what an image has: each way runs here, with nothing else on its PATH."""

import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.server import free_port

from berth.domain.port_relay import parse_forward, relay_command
from berth.domain.problem import Invalid


@pytest.mark.parametrize(
    ("text", "ports"),
    [("8080:80", (8080, 80)), ("5432", (5432, 5432)), ("1:65535", (1, 65535))],
)
def test_ports(text: str, ports: tuple[int, int]) -> None:
    assert parse_forward(text) == ports


@pytest.mark.parametrize(
    "text",
    ["", ":", "80:", ":80", "0", "65536", "80:0", "1:2:3", "a", "-1", "+1", "1.5", "٣", "8 0", "0x50", "999999999999"],
)
def test_what_are_no_ports(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_forward(text)
    assert caught.value.code == "cli.ports"


@contextmanager
def answering(family: socket.AddressFamily, host: str) -> Iterator[int]:
    """Reads to the end, and then says how much that was; for one connection."""
    with socket.socket(family) as listener:
        listener.bind((host, 0))
        listener.listen()

        def answer() -> None:
            taken, _ = listener.accept()
            with taken:
                size = 0
                while piece := taken.recv(65536):
                    size += len(piece)
                taken.sendall(f"{size} ".encode() + b"x" * 200_000)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield int(listener.getsockname()[1])


WAYS = {"python3": ("python3",), "perl": ("perl",), "busybox": ("busybox", "grep")}


def only(folder: Path, *programs: str) -> dict[str, str]:
    """A PATH with nothing but these."""
    for program in programs:
        found = sys.executable if program == "python3" else shutil.which(program)
        if found is None:
            pytest.skip(f"there is no {program} here")
        real = folder / program
        real.write_text(f'#!/bin/sh\nexec {found} "$@"\n')
        real.chmod(0o755)
    return {"PATH": str(folder)}


@pytest.mark.parametrize("way", WAYS)
def test_each_way_carries_both_directions_and_the_end(way: str, tmp_path: Path) -> None:
    with answering(socket.AF_INET, "127.0.0.1") as port:
        content = bytes(300_000)
        done = subprocess.run(
            relay_command(port),
            env=only(tmp_path, *WAYS[way]),
            input=content,
            capture_output=True,
            timeout=30,
            check=True,
        )
    assert done.stdout[:7] == b"300000 "
    assert len(done.stdout) == 200_007


@pytest.mark.parametrize("way", ["python3", "perl"])
def test_what_listens_on_the_newer_loopback_only(way: str, tmp_path: Path) -> None:
    with answering(socket.AF_INET6, "::1") as port:
        done = subprocess.run(
            relay_command(port),
            env=only(tmp_path, *WAYS[way]),
            input=b"abc",
            capture_output=True,
            timeout=30,
            check=True,
        )
    assert done.stdout.startswith(b"3 x")


def test_bash_carries_both_directions(tmp_path: Path) -> None:
    """It cannot say that nothing more comes, so who answers must not wait for that."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        command = relay_command(port)
        environment = only(tmp_path, "bash", "cat")
        with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            taken, _ = listener.accept()
            with taken:
                process.stdin.write(b"ping")
                process.stdin.flush()
                assert taken.recv(4) == b"ping"
                taken.sendall(b"pong")
            assert process.stdout.read() == b"pong"


@pytest.mark.parametrize("way", [*WAYS, "bash"])
def test_where_nothing_answers_it_fails(way: str, tmp_path: Path) -> None:
    programs = WAYS.get(way, ("bash", "cat"))
    done = subprocess.run(
        relay_command(free_port()),
        env=only(tmp_path, *programs),
        input=b"",
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.returncode != 0
    assert done.stdout == b""


def test_an_image_that_has_nothing_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        relay_command(80), env={"PATH": str(tmp_path)}, input=b"", capture_output=True, timeout=30, check=False
    )
    assert (done.returncode, b"none of python3" in done.stderr) == (69, True)
