"""What a command in a codespace and its caller say to each other over a WebSocket: frames, their order, their windows.

1. A message is binary: one byte, the channel, then what the channel carries. None is larger than MAX_MESSAGE_BYTES.
2. The caller's first frame is `start`, and no other is. After `end of stdin` there is no more stdin. Only a terminal is resized.
3. Either side may send WINDOW_BYTES of data (stdin; stdout and stderr together) before the other says with `window` how much
   of it has gone on. So both always read what comes: nobody has to keep more than a window, and a peer that is gone is noticed,
   however long a command or a pager pauses.
4. The server ends with one `end` frame: the exit code, or why there is none. Then it closes.
5. What breaks a rule ends the conversation. Nothing is guessed, nothing is skipped.

The bytes stand in docs/api.md. Numbers of stdin, stdout and stderr, and the close byte, are those of Kubernetes' channel protocol.
"""

import json
import re
from dataclasses import dataclass
from enum import IntEnum
from typing import assert_never

from berth.domain.problem import Invalid
from berth.domain.strict_json import parse_json_object

SUBPROTOCOL = "berth.exec.v1"
MAX_MESSAGE_BYTES = 128 * 1024
MAX_DATA_BYTES = 32 * 1024  # what we put into one frame
WINDOW_BYTES = 256 * 1024
MAX_SIDE = 1000  # rows or columns of a terminal
_TERM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_MAX_REASON = 1000  # characters
_COUNT_BYTES = 4


class Channel(IntEnum):
    """A message's first byte."""

    STDIN = 0
    STDOUT = 1
    STDERR = 2
    END = 3
    RESIZE = 4
    START = 5
    WINDOW = 6
    END_OF_STDIN = 255


@dataclass(frozen=True, slots=True)
class TerminalSize:
    """In characters, each from 1 to MAX_SIDE."""

    rows: int
    columns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What to run. With `size` in a terminal of that size and the type `term`; then stderr comes as stdout."""

    command: tuple[str, ...]
    size: TerminalSize | None = None
    term: str = ""


@dataclass(frozen=True, slots=True)
class Data:
    """Bytes of stdin, stdout or stderr."""

    channel: Channel
    content: bytes


@dataclass(frozen=True, slots=True)
class EndOfStdin:
    """No more stdin will come."""


@dataclass(frozen=True, slots=True)
class Window:
    """So many more bytes may be sent."""

    size_bytes: int


@dataclass(frozen=True, slots=True)
class Exited:
    """The command ended."""

    exit_code: int


@dataclass(frozen=True, slots=True)
class Broken:
    """There is no exit code, and why. `code` is a Problem's."""

    code: str
    message: str


CallerFrame = Start | Data | EndOfStdin | TerminalSize | Window
ServerFrame = Data | Window | Exited | Broken


def parse_caller_frame(message: bytes) -> CallerFrame:
    """A frame from the caller. Raises Invalid(code="exec.frame")."""
    channel, content = _split(message)
    match channel:
        case Channel.STDIN:
            return Data(channel, content)
        case Channel.START:
            return _parse_start(content)
        case Channel.RESIZE:
            return _parse_size(_object(content))
        case Channel.WINDOW:
            return _parse_window(content)
        case Channel.END_OF_STDIN if not content:
            return EndOfStdin()
        case _:
            raise _wrong("A caller sends no such frame.")


def parse_server_frame(message: bytes) -> ServerFrame:
    """A frame from the server. Raises Invalid(code="exec.frame")."""
    channel, content = _split(message)
    match channel:
        case Channel.STDOUT | Channel.STDERR:
            return Data(channel, content)
        case Channel.WINDOW:
            return _parse_window(content)
        case Channel.END:
            return _parse_end(_object(content))
        case _:
            raise _wrong("A server sends no such frame.")


def frame_bytes(frame: CallerFrame | ServerFrame) -> bytes:
    """The message that says this."""
    match frame:
        case Data():
            return bytes((frame.channel,)) + frame.content
        case EndOfStdin():
            return bytes((Channel.END_OF_STDIN,))
        case Window():
            return bytes((Channel.WINDOW,)) + frame.size_bytes.to_bytes(_COUNT_BYTES)
        case TerminalSize():
            return _json(Channel.RESIZE, {"rows": frame.rows, "columns": frame.columns})
        case Start():
            terminal = (
                {"rows": frame.size.rows, "columns": frame.size.columns, "term": frame.term} if frame.size else None
            )
            return _json(Channel.START, {"command": frame.command, "terminal": terminal})
        case Exited():
            return _json(Channel.END, {"exit_code": frame.exit_code})
        case Broken():
            return _json(Channel.END, {"code": frame.code, "message": frame.message[:_MAX_REASON]})
        case _:  # pragma: no cover
            assert_never(frame)


def _json(channel: Channel, content: object) -> bytes:
    return bytes((channel,)) + json.dumps(content).encode()


def _split(message: bytes) -> tuple[Channel, bytes]:
    if not message or len(message) > MAX_MESSAGE_BYTES:
        raise _wrong(f"A message has 1 to {MAX_MESSAGE_BYTES} bytes.")
    try:
        return Channel(message[0]), message[1:]
    except ValueError:
        raise _wrong(f"There is no channel {message[0]}.") from None


def _object(content: bytes) -> dict[str, object]:
    try:
        return parse_json_object(content)
    except Invalid as problem:
        raise _wrong(problem.message) from None


def _parse_start(content: bytes) -> Start:
    fields = _object(content)
    command, terminal = fields.get("command"), fields.get("terminal")
    if not isinstance(command, list) or not all(isinstance(word, str) for word in command):
        raise _wrong("A command is a list of texts.")
    words = tuple(command)
    check_command(words)
    if terminal is None:
        return Start(command=words)
    if not isinstance(terminal, dict):
        raise _wrong("A terminal is an object.")
    term = terminal.get("term", "")
    if not isinstance(term, str) or (term and not is_term(term)):
        raise _wrong("A terminal's type is a short name such as xterm-256color.")
    return Start(command=words, size=_parse_size(terminal), term=term)


def check_command(command: tuple[str, ...] | list[str]) -> None:
    """Whether an engine can be asked to run it. Raises Invalid."""
    if not command or not command[0]:
        raise Invalid("The command is empty.", field="command", reason="missing_field", code="exec.command")
    if any("\0" in word for word in command):
        raise Invalid("A command's words hold no NUL.", field="command", code="exec.command")
    try:
        "".join(command).encode()
    except UnicodeEncodeError:  # JSON can name half a surrogate pair
        raise Invalid("A command's words are Unicode text.", field="command", code="exec.command") from None


def is_term(name: str) -> bool:
    """Whether it can be the type of a terminal."""
    return _TERM.fullmatch(name) is not None


def _parse_size(fields: dict[str, object]) -> TerminalSize:
    rows, columns = fields.get("rows"), fields.get("columns")
    if not (_is_count(rows, MAX_SIDE) and _is_count(columns, MAX_SIDE)):
        raise _wrong(f"A terminal has 1 to {MAX_SIDE} rows and columns.")
    return TerminalSize(int(str(rows)), int(str(columns)))


def _is_count(value: object, most: int) -> bool:
    return type(value) is int and 0 < value <= most  # a bool is an int, too, but no number of rows


def _parse_window(content: bytes) -> Window:
    if len(content) != _COUNT_BYTES:
        raise _wrong("A window is four bytes.")
    return Window(int.from_bytes(content))


def _parse_end(fields: dict[str, object]) -> Exited | Broken:
    exit_code, code, message = fields.get("exit_code"), fields.get("code"), fields.get("message")
    if type(exit_code) is int and 0 <= exit_code <= 255:
        return Exited(exit_code)
    if isinstance(code, str) and isinstance(message, str):
        return Broken(code, message[:_MAX_REASON])
    raise _wrong("An end has an exit code, or says why there is none.")


def _wrong(why: str) -> Invalid:
    return Invalid(f"The frame is not one of {SUBPROTOCOL}: {why}", code="exec.frame")


class Credit:
    """How much may be sent (rule 3). Of the receiver: how much may come."""

    def __init__(self) -> None:
        self.left = WINDOW_BYTES

    def spend(self, size_bytes: int) -> None:
        """Raises Invalid where there is not so much."""
        if size_bytes > self.left:
            raise _wrong("More was sent than the window allows.")
        self.left -= size_bytes

    def grant(self, size_bytes: int) -> None:
        """Raises Invalid for more than was spent."""
        if self.left + size_bytes > WINDOW_BYTES:
            raise _wrong("A window was given back that was not used.")
        self.left += size_bytes


class Taken:
    """What was received and has gone on, and was not given back yet: it is said in larger steps, not for each byte."""

    def __init__(self) -> None:
        self._size_bytes = 0

    def add(self, size_bytes: int) -> Window | None:
        """What to say now. A sender whose window is used up never waits for what is kept back here: it is a quarter at most."""
        self._size_bytes += size_bytes
        if self._size_bytes < WINDOW_BYTES // 4:
            return None
        said, self._size_bytes = Window(self._size_bytes), 0
        return said


class CallerOrder:
    """Rules 2 and 3 for one caller, as the server keeps them."""

    def __init__(self) -> None:
        self.credit = Credit()
        self._started: Start | None = None
        self._stdin_ended = False

    def take(self, frame: CallerFrame) -> None:
        """The next frame. Raises Invalid(code="exec.frame") where it must not come now."""
        if isinstance(frame, Start) != (self._started is None):
            raise _wrong("The first frame, and only that, is start.")
        match frame:
            case Start():
                self._started = frame
            case Data() | EndOfStdin() if self._stdin_ended:
                raise _wrong("Stdin has ended already.")
            case Data():
                self.credit.spend(len(frame.content))
            case EndOfStdin():
                self._stdin_ended = True
            case TerminalSize() if self._started is None or self._started.size is None:
                raise _wrong("There is no terminal to resize.")
            case _:
                pass
