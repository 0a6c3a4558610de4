"""How often somebody may try to sign in, so that passwords cannot be guessed.

1. Within WINDOW an account is tried MOST_PER_ACCOUNT times, and one address tries MOST_PER_ADDRESS times, over all replicas.
   An IPv6 address counts with its neighbours: a client has 2^64 of them.
2. An attempt counts before the password is looked at, so that many at once are not looked at together; one that
   succeeds is taken back.
3. Whether there is such an account changes neither the answer nor the count (A13).
4. Who is signed in stays so: others' attempts close only the door.
5. What an address tries beyond its bound counts for no account: else one client could close all doors.
"""

import hashlib
from datetime import timedelta
from ipaddress import IPv6Address, ip_network

from berth.domain.client_address import read_address

WINDOW = timedelta(minutes=15)
MOST_PER_ACCOUNT = 10
MOST_PER_ADDRESS = 100


def account_key(login: str) -> str:
    """What an account's attempts are counted under. Hashed: people type passwords into the wrong field."""
    return _key("account", login.strip().lower())


def address_key(address: str) -> str | None:
    """What an address's attempts are counted under; None where there is none to count (a unix socket)."""
    parsed = read_address(address)
    if parsed is None:
        return None
    return _key("address", str(ip_network((parsed, 64), strict=False) if isinstance(parsed, IPv6Address) else parsed))


def _key(kind: str, text: str) -> str:
    return hashlib.sha256(f"{kind} {text}".encode()).hexdigest()
