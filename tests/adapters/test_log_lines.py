"""The server's log: whose words are heard in it."""

import subprocess
import sys

_PROGRAM = """
import logging
import uvicorn
from berth.adapters.log_lines import set_up_logging

set_up_logging()
uvicorn.Config("app", log_config=None)  # as the server makes it; it has a say in its loggers' levels
logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
logging.getLogger("uvicorn.error").error("uvicorn.ends")
logging.getLogger("another.library").warning("library.warns")
logging.getLogger("berth.anything").info("berth.tells", extra={"path": "a b"})
"""


def test_what_clients_send_wrong_is_not_the_administrators_business() -> None:
    """docker tries TLS at a registry on 127.0.0.0/8 first, so each push would leave two warnings."""
    done = subprocess.run([sys.executable, "-c", _PROGRAM], check=True, capture_output=True, text=True)
    assert [line.split(" ", 1)[1] for line in done.stderr.splitlines()] == [
        "error uvicorn.ends",
        "warning library.warns",
        "info berth.tells path='a b'",
    ]
