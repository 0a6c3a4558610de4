"""`docker-credential-berth`, as docker starts it for each pull and push: the usual answer, or the modules that know all others.

What is imported here is all that the usual answer costs besides Python itself (docs/performance.md).
"""

import os
import sys
from importlib import import_module

from berth.domain.plain_login import find_plain_login

_MAX_SERVER_LENGTH = 8192


def main() -> None:
    asked = ""
    if sys.argv[1:] == ["get"]:
        asked = sys.stdin.read(_MAX_SERVER_LENGTH).strip()
        login = find_plain_login(dict(os.environ), asked)
        if login is not None:
            words = zip(("ServerURL", "Username", "Secret"), (asked, *login), strict=True)
            sys.stdout.write(f"{{{', '.join(f'{_quote(name)}: {_quote(value)}' for name, value in words)}}}\n")
            return
    import_module("berth.cli.helper_protocol").answer(asked)


def _quote(text: str) -> str:
    """As JSON; printable ASCII needs no more."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


if __name__ == "__main__":
    main()
