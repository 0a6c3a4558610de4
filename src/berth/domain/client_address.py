"""Whose address a request comes from, where proxies stand in front (the setting TRUSTED_PROXIES).

1. Only a trusted proxy is believed, and of what it says only X-Forwarded-For: any client can write such a header. A trusted
   proxy adds the address of who spoke to it at the right end, so the client is the right-most address that is no trusted
   proxy itself. What stands to the left of that the client may have invented.
2. If all are trusted proxies, the client is one: the left-most.
3. What is no address (`unknown`, a name, nothing at all) is nobody's: no address is known then, and none is guessed.
4. 127.0.0.1 is this machine in the mouth of a proxy on this machine. Said by another machine it is that one: no address.
5. An IPv4 address that IPv6 carries is that address; a zone (`%eth0`) means nothing beyond its machine and is left out.

The header `Forwarded` (RFC 7239) is not read: proxies that write it can write the other one, and two would have to agree.
Source: for what proxies write, nginx and HAProxy's manuals: one address, in some proxies with a port, IPv6 also in brackets.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network

from berth.domain.address_policy import IPAddress, IPNetwork, judged_address
from berth.domain.problem import Invalid

UNIX = "unix"
_WITH_PORT = re.compile(r"\[([^\[\]]*)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """Who is believed. `unix`: who speaks through one of the server's unix sockets."""

    networks: tuple[IPNetwork, ...] = ()
    unix: bool = False

    def __bool__(self) -> bool:
        return self.unix or bool(self.networks)

    def has(self, address: IPAddress) -> bool:
        return any(address in network for network in self.networks)


def parse_trusted_proxies(entries: Iterable[str]) -> TrustedProxies:
    """The setting's value. Raises Invalid naming the entry."""
    networks: list[IPNetwork] = []
    unix = False
    for entry in entries:
        if entry == UNIX:
            unix = True
        else:
            networks.append(_parse_network(entry))
    return TrustedProxies(tuple(networks), unix)


def _parse_network(entry: str) -> IPNetwork:
    try:
        network = ip_network(entry)
    except ValueError:
        raise Invalid(
            f"'{entry[:80]}' is neither an address, nor a network such as 10.1.0.0/24 (whose host bits are zero), nor unix.",
            field="trusted_proxies",
            code="settings.trusted_proxies",
        ) from None
    if network.prefixlen == 0:
        raise Invalid(
            f"{entry} is everybody: each client could say that it is another.",
            field="trusted_proxies",
            code="settings.trusted_proxies",
            remedy="Name the proxies.",
        )
    return network


def read_address(text: str) -> IPAddress | None:
    """An address and nothing else (policy 5); None for what is none."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        address = IPv6Address(int(address))
    return judged_address(address)


def is_this_machine(address: str) -> bool:
    """Whether it is a loopback address."""
    parsed = read_address(address)
    return parsed is not None and parsed.is_loopback


def find_client(peer: str | None, said: Sequence[str], trusted: TrustedProxies) -> str | None:
    """The client's address; None where none is known.

    `peer` is who spoke to us: an address, UNIX, or None; `said` is what its X-Forwarded-For headers hold, in their order.
    """
    if not said or peer is None or not _is_trusted(peer, trusted):
        return None if peer == UNIX else peer
    hops = [hop for value in said for part in value.split(",") if (hop := part.strip())]
    is_here = peer == UNIX or is_this_machine(peer)
    found: IPAddress | None = None
    for hop in reversed(hops):
        found = _read_hop(hop)
        if found is None:
            return None
        is_here = is_here and found.is_loopback
        if not trusted.has(found):
            break
    if found is None or (found.is_loopback and not is_here):
        return None
    return str(found)


def _is_trusted(peer: str, trusted: TrustedProxies) -> bool:
    if peer == UNIX:
        return trusted.unix
    address = read_address(peer)
    return address is not None and trusted.has(address)


def _read_hop(hop: str) -> IPAddress | None:
    found = _WITH_PORT.fullmatch(hop)
    return read_address(hop if found is None else found[1] or found[2] or "")
