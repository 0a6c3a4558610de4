"""What a codespace has in place of the tunnel that `gh codespace ssh`, `logs`, `cp`, `ports`, `jupyter` and `rebuild` want.

They ask for the codespace with `internal=true`, and while something is missing in its `connection` they ask again for five
minutes. There is no tunnel here, so it is complete and leads nowhere: gh gives up at once, naming a host that says why. Such a name
cannot exist (RFC 6761, section 6.4), and the tokens are none. `gh codespace code` and `view`, which newer ones ask for in the
same way, do not look at it.

Source: GITHUB_API section 7 of the references: the first five are for gh up to 2.35, `tunnelProperties` for later ones.
"""

from collections.abc import Mapping
from typing import Any

_HOST = "unsupported.berth.invalid"
_NONE = "unsupported"

NO_TUNNEL: Mapping[str, Any] = {
    "sessionId": _NONE,
    "sessionToken": _NONE,
    "relayEndpoint": f"sb://{_HOST}/",
    "relaySas": _NONE,
    "hostPublicKeys": [],
    "tunnelProperties": {
        "connectAccessToken": _NONE,
        "managePortsAccessToken": _NONE,
        "serviceUri": f"https://{_HOST}/",
        "tunnelId": _NONE,
        "clusterId": _HOST.partition(".")[0],
        "domain": _HOST,
    },
}
