"""What a docker client asks a credential helper for, and what that means here.

1. A client names a registry by its host, or by a URL in one of the old forms (`https://index.docker.io/v1/`). It is
   compared by its normal form, as a whole (C4).
2. What names something below a host is not the host: docker keeps its own tokens under such names
   (`https://index.docker.io/v1/access-token`), and a password handed out as one of those would be sent elsewhere.
"""

from berth.domain.problem import Invalid
from berth.domain.registry_host import normalise_registry_host


def find_asked_host(server: str) -> str | None:
    """The normal host that is asked for; None if it is no host that anybody can have a login to."""
    try:
        normal = normalise_registry_host(server)
    except Invalid:
        return None
    return None if normal.path_ignored else normal.host
