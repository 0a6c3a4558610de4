"""The frames of `berth.exec.v1`: rules 1 to 5 of the module, and what a hostile peer may try."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth.domain.exec_frame import (
    MAX_MESSAGE_BYTES,
    WINDOW_BYTES,
    Broken,
    CallerFrame,
    CallerOrder,
    Channel,
    Credit,
    Data,
    EndOfStdin,
    Exited,
    ServerFrame,
    Start,
    Taken,
    TerminalSize,
    Window,
    check_command,
    frame_bytes,
    parse_caller_frame,
    parse_server_frame,
)
from berth.domain.problem import Invalid

SH = Start(command=("sh",))
TERMINAL = Start(command=("sh", "-c", "ls é"), size=TerminalSize(24, 80), term="xterm-256color")
FROM_CALLER: list[CallerFrame] = [
    SH,
    TERMINAL,
    Start(command=("sh",), size=TerminalSize(1, 1000)),
    Data(Channel.STDIN, b""),
    Data(Channel.STDIN, b"\0\xff\n"),
    EndOfStdin(),
    TerminalSize(1000, 1),
    Window(0),
    Window(2**32 - 1),
]
FROM_SERVER: list[ServerFrame] = [
    Data(Channel.STDOUT, b"out"),
    Data(Channel.STDERR, b"err"),
    Window(65536),
    Exited(0),
    Exited(255),
    Broken("exec.stopped", "The codespace was stopped."),
]


@pytest.mark.parametrize("frame", FROM_CALLER, ids=repr)
def test_1_what_a_caller_says_is_read_as_it_was_meant(frame: CallerFrame) -> None:
    assert parse_caller_frame(frame_bytes(frame)) == frame


@pytest.mark.parametrize("frame", FROM_SERVER, ids=repr)
def test_1_what_a_server_says_is_read_as_it_was_meant(frame: ServerFrame) -> None:
    assert parse_server_frame(frame_bytes(frame)) == frame


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (Data(Channel.STDIN, b"abc"), b"\x00abc"),
        (Data(Channel.STDOUT, b"abc"), b"\x01abc"),
        (Data(Channel.STDERR, b"abc"), b"\x02abc"),
        (Exited(7), b'\x03{"exit_code": 7}'),
        (TerminalSize(24, 80), b'\x04{"rows": 24, "columns": 80}'),
        (SH, b'\x05{"command": ["sh"], "terminal": null}'),
        (Window(258), b"\x06\x00\x00\x01\x02"),
        (EndOfStdin(), b"\xff"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_1_the_bytes_are_those_of_docs_api(frame: CallerFrame | ServerFrame, message: bytes) -> None:
    assert frame_bytes(frame) == message


def start(**fields: object) -> bytes:
    return bytes((Channel.START,)) + json.dumps(fields).encode()


BAD = {
    "nothing": b"",
    "too large": b"\x00" + b"x" * MAX_MESSAGE_BYTES,
    "no such channel": b"\x07",
    "a server's channel": b"\x01x",
    "another one": b'\x03{"exit_code": 0}',
    "an end of stdin with content": b"\xffx",
    "a start that is no JSON": b"\x05{",
    "a start that is an array": b"\x05[]",
    "a start that names something twice": b'\x05{"command": ["a"], "command": ["b"]}',
    "a start that is UTF-16": b"\x05" + '{"command": ["a"]}'.encode("utf-16"),
    "no command": start(),
    "a command that is a text": start(command="rm -rf /"),
    "a command of numbers": start(command=[1]),
    "an empty command": start(command=[]),
    "an empty first word": start(command=["", "a"]),
    "a NUL": start(command=["a\0b"]),
    "half a surrogate pair": b'\x05{"command": ["\\ud800"]}',
    "a terminal that is a number": start(command=["a"], terminal=1),
    "a terminal without a size": start(command=["a"], terminal={}),
    "a terminal of true rows": start(command=["a"], terminal={"rows": True, "columns": 80}),
    "a terminal type that sets something": start(
        command=["a"], terminal={"rows": 1, "columns": 1, "term": "x\nPATH=/"}
    ),
    "a terminal type that is a number": start(command=["a"], terminal={"rows": 1, "columns": 1, "term": 7}),
    "no rows": b'\x04{"rows": 0, "columns": 80}',
    "too many columns": b'\x04{"rows": 1, "columns": 1001}',
    "rows as text": b'\x04{"rows": "1", "columns": 1}',
    "rows as a fraction": b'\x04{"rows": 1.5, "columns": 1}',
    "a short window": b"\x06\x00\x00\x01",
    "a long window": b"\x06\x00\x00\x00\x00\x01",
    "deep JSON": b"\x05" + b'{"a":' * 1000 + b"1" + b"}" * 1000,
}


@pytest.mark.parametrize("message", BAD.values(), ids=BAD)
def test_5_a_caller_s_frame_that_is_wrong_is_refused(message: bytes) -> None:
    with pytest.raises(Invalid) as caught:
        parse_caller_frame(message)
    assert caught.value.code in {"exec.frame", "exec.command"}


@pytest.mark.parametrize(
    "message",
    [b"\x00x", b"\x05{}", b"\xff", b"\x03{}", b'\x03{"exit_code": -1}', b'\x03{"exit_code": 256}', b'\x03{"exit_code": true}',
     b'\x03{"code": "a"}', b"\x03nothing"],
)  # fmt: skip
def test_5_a_server_s_frame_that_is_wrong_is_refused(message: bytes) -> None:
    with pytest.raises(Invalid):
        parse_server_frame(message)


@given(st.binary(max_size=200))
def test_5_no_bytes_are_a_bug(message: bytes) -> None:
    for parse in (parse_caller_frame, parse_server_frame):
        with suppress(Invalid):
            parse(message)


def test_1_a_reason_is_cut() -> None:
    assert len(frame_bytes(Broken("x", "y" * 10_000))) < 1100


def test_a_command_that_can_be_run_is_let_through() -> None:
    check_command(("sh", "", "é\U0001f600"))
    check_command(["sh"])


STDIN, END, SIZE = Data(Channel.STDIN, b"x"), EndOfStdin(), TerminalSize(2, 2)


@pytest.mark.parametrize(
    ("frames", "good"),
    [
        ([SH], True),
        ([SH, STDIN, STDIN, END, Window(1)], True),
        ([TERMINAL, SIZE, STDIN, SIZE, END, SIZE], True),
        ([STDIN], False),
        ([END], False),
        ([Window(1)], False),
        ([SIZE], False),
        ([SH, SH], False),
        ([SH, STDIN, TERMINAL], False),
        ([SH, SIZE], False),
        ([SH, END, STDIN], False),
        ([SH, END, END], False),
    ],
    ids=repr,
)
def test_2_frames_come_in_order(frames: list[CallerFrame], good: bool) -> None:
    order = CallerOrder()
    for frame in frames[:-1]:
        order.take(frame)
    if good:
        order.take(frames[-1])
    else:
        with pytest.raises(Invalid):
            order.take(frames[-1])


def test_3_no_more_than_a_window_comes() -> None:
    order = CallerOrder()
    order.take(SH)
    piece = Data(Channel.STDIN, b"x" * 65536)
    for _ in range(WINDOW_BYTES // 65536):
        order.take(piece)
    with pytest.raises(Invalid, match="window"):
        order.take(STDIN)
    order.credit.grant(1)
    order.take(STDIN)


def test_3_nothing_is_given_back_that_was_not_used() -> None:
    credit = Credit()
    credit.spend(10)
    credit.grant(10)
    with pytest.raises(Invalid):
        credit.grant(1)


@given(st.lists(st.integers(1, 32768), max_size=200))
def test_3_a_window_never_closes_for_good(sizes: list[int]) -> None:
    """What is taken is given back in time: the sender always has more than nothing left."""
    credit, taken = Credit(), Taken()
    for size in sizes:
        credit.spend(size)
        window = taken.add(size)
        if window is not None:
            credit.grant(window.size_bytes)
        assert credit.left > WINDOW_BYTES // 2
