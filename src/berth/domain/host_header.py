"""The Host that a client says it asks: what of it may stand in a link, a header or a page.

A Host that is no host name stands for nothing and is never repeated. Source: RFC 9110, section 7.2.
"""

import re

_MAX_LENGTH = 300
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9._-]*[a-z0-9_])?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", re.IGNORECASE)


def read_host(header: str) -> str:
    """In lower case, with its port; `localhost` for one that is missing or is no host name."""
    return header.lower() if len(header) < _MAX_LENGTH and _HOST.fullmatch(header) else "localhost"
