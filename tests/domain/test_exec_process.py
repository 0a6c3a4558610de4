"""Which process a command is, and how it is ended: the scripts run in a shell of this machine."""

import os
import pwd
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

import pytest

from berth.domain.exec_process import FirstLine, announced, in_shell, kill_command, login_shell, parse_first_line


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (b"23\nabc", (23, b"abc")),
        (b"23\r\n\0", (23, b"\0")),
        (b"4194304\n", (4194304, b"")),
        (b"1\n", None),  # kill -1 is everybody
        (b"0\n", None),
        (b"-5\n", None),
        (b"023\n", None),
        (b"12345678901\n", None),
        (b"23", None),
        (b"sh: not found\n", None),
        (b"", None),
    ],
)
def test_the_first_line_is_a_process_id(said: bytes, found: tuple[int, bytes] | None) -> None:
    assert parse_first_line(said) == found


@pytest.mark.parametrize(
    ("pieces", "process_id", "own"),
    [
        ([b"23\n"], 23, [b""]),
        ([b"23\nabc", b"5\n"], 23, [b"abc", b"5\n"]),
        ([b"2", b"3", b"\nabc"], 23, [b"", b"", b"abc"]),
        ([b"1\nabc", b"2\n"], None, [b"1\nabc", b"2\n"]),  # kill -1 is everybody
        (
            [b"OCI runtime exec failed: no such file\r\n", b"x"],
            None,
            [b"OCI runtime exec failed: no such file\r\n", b"x"],
        ),
        ([b"x" * 40, b"23\n"], None, [b"x" * 40, b"23\n"]),
        ([b"OCI"], None, [b""]),
        ([], None, []),
    ],
)
def test_the_first_line_is_kept_back(pieces: list[bytes], process_id: int | None, own: list[bytes]) -> None:
    """And nothing else is lost, however it comes."""
    first = FirstLine()
    assert [first.take(piece) for piece in pieces] == own
    rest = first.end()
    assert (first.is_over, first.process_id, first.end()) == (True, process_id, b"")
    announced_by = b"" if process_id is None else b"%d\n" % process_id
    assert announced_by + b"".join(own) + rest == b"".join(pieces)


def test_a_command_holds_no_value_and_runs_without_the_file_too() -> None:
    command = announced(["sh", "-c", 'echo "$1"; exit 3', "x", "a  b"])
    assert command[-1] == "a  b"
    assert "export" not in " ".join(command)
    done = subprocess.run(command, capture_output=True, check=False)
    found = parse_first_line(done.stdout)
    assert found is not None
    assert (done.returncode, found[1]) == (3, b"a  b\n")


@contextmanager
def running(*command: str) -> Iterator[tuple[subprocess.Popen[bytes], BinaryIO, int]]:
    """As an engine starts it: a session of its own."""
    with subprocess.Popen(announced(command), stdout=subprocess.PIPE, start_new_session=True) as process:
        output = cast("BinaryIO", process.stdout)
        found = parse_first_line(output.readline())
        assert found is not None
        assert found[0] == process.pid
        yield process, output, found[0]


@pytest.mark.parametrize("trap", ["", "trap '' HUP; "], ids=["hears the hang-up", "does not hear it"])
def test_the_whole_group_ends(trap: str) -> None:
    with running("sh", "-c", f"{trap}sleep 751001 & echo $!; wait") as (process, output, process_id):
        child = int(output.readline())
        os.kill(child, 0)
        subprocess.run(kill_command(process_id), check=True, timeout=10)
        assert process.wait(5) in {-signal.SIGHUP, -signal.SIGKILL}
    deadline = time.monotonic() + 5
    while is_there(child):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_there(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


def test_what_is_no_leader_is_let_live() -> None:
    """The id may be another process's by now."""
    process = subprocess.Popen(["sleep", "751002"])
    try:
        subprocess.run(kill_command(process.pid), check=True, timeout=10)
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def test_what_has_ended_is_no_error() -> None:
    with running("true") as (process, _, process_id):
        process.wait(5)
    assert subprocess.run(kill_command(process_id), check=True, timeout=10, capture_output=True).stderr == b""


def test_a_line_is_for_the_user_s_own_shell() -> None:
    shell = pwd.getpwuid(os.getuid()).pw_shell
    done = subprocess.run(in_shell("echo \"$SHELL\" 'a  b'; exit 3"), capture_output=True, check=False)
    assert (done.returncode, done.stdout.decode()) == (3, f"{shell} a  b\n")


def test_a_login_shell_reads_what_a_login_reads() -> None:
    assert login_shell()[-1] == "-l"
    done = subprocess.run(login_shell(), input=b"exit 4\n", capture_output=True, check=False)
    assert done.returncode == 4
