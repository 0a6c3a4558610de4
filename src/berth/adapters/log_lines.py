"""The server's log: one line an event, `time level event key=value …`, on standard error.

Events have constant names (docs/log-events.md); fields are names, codes and ids, never inputs and never a secret.
"""

import logging
import sys
from datetime import UTC, datetime

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


class LineFormatter(logging.Formatter):
    """One line; values with spaces are quoted, control characters are escaped: a log line cannot be forged by an input."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
        fields = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        words = [f"{at}Z", record.levelname.lower(), _quoted(record.getMessage(), spaces=True)]
        words += [f"{name}={_quoted(str(value))}" for name, value in fields.items()]
        line = " ".join(words)
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _quoted(text: str, *, spaces: bool = False) -> str:
    plain = text.isprintable() and (spaces or (" " not in text and '"' not in text))
    return text if plain and text else ascii(text)


def set_up_logging() -> None:
    """Once per process. Other libraries are heard from WARNING on, uvicorn from ERROR on: it warns of what clients sent.

    docker, for one, tries TLS before plain HTTP at every registry on 127.0.0.0/8, twice in each push.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("berth").setLevel(logging.INFO)
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
