"""Which addresses Berth may call on a user's behalf (C9). The name decides nothing: the address that is dialled does.

1. What the administrator listed is allowed: a `host:port`, or an address in a listed network. For the built-in registry
   alone, so is this server's own origin, and the blob store that its redirects lead to.
2. A public unicast address is allowed.
3. Everything else is refused: loopback, link-local (cloud metadata), private, CGNAT, multicast, reserved; and every
   IPv6 range that carries an IPv4 address inside (a mapped one is judged as that; NAT64, 6to4, Teredo are refused).

Source: IANA special-purpose address registries. Observed (Python 3.11): `is_private` is false for 100.64.0.0/10, and
`is_global` is true for 64:ff9b::/96, multicast, fec0::/10 and 192.88.99.0/24; hence the lists below.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from berth.domain.problem import Invalid
from berth.domain.registry_host import WebAddress, parse_host_and_port

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

_IPV6_UNICAST = IPv6Network("2000::/3")  # the only range that IANA hands out for global unicast
_NEVER_PUBLIC: tuple[IPNetwork, ...] = (
    IPv4Network("100.64.0.0/10"),  # CGNAT, RFC 6598
    IPv4Network("192.88.99.0/24"),  # 6to4 relays, RFC 7526
    IPv6Network("2001::/32"),  # Teredo, RFC 4380
    IPv6Network("2002::/16"),  # 6to4, RFC 3056
    IPv6Network("3fff::/20"),  # documentation, RFC 9637
)


@dataclass(frozen=True, slots=True)
class PrivateAddresses:
    """What is let through beyond public addresses: exact `(name, port)` pairs, and networks."""

    endpoints: frozenset[tuple[str, int]] = frozenset()
    networks: tuple[IPNetwork, ...] = ()

    def including(self, addresses: Iterable[WebAddress]) -> "PrivateAddresses":
        """The same, with exactly these endpoints too."""
        return PrivateAddresses(self.endpoints | {address.origin for address in addresses}, self.networks)


def parse_private_addresses(entries: Iterable[str]) -> PrivateAddresses:
    """The setting's value: each entry `host:port`, an address, or a network (CIDR). Raises Invalid naming the entry."""
    endpoints: set[tuple[str, int]] = set()
    networks: list[IPNetwork] = []
    for entry in entries:
        try:
            networks.append(ip_network(entry))
        except ValueError:
            endpoints.add(_parse_endpoint(entry))
    return PrivateAddresses(frozenset(endpoints), tuple(networks))


def is_address_allowed(ip: IPAddress, port: int, host: str, allow_list: PrivateAddresses) -> bool:
    """Whether a connection to `ip`, where the name `host` (lower-case, IPv6 in brackets) led, may be made."""
    address = judged_address(ip)
    listed = (host, port) in allow_list.endpoints or any(address in network for network in allow_list.networks)
    return listed or _is_public(address)


def _parse_endpoint(entry: str) -> tuple[str, int]:
    refusal = Invalid(
        f"'{entry[:80]}' is neither host:port nor a network such as 10.0.0.0/8 (whose host bits are zero).",
        field="private_addresses",
        code="settings.private_addresses",
    )
    try:
        name, port = parse_host_and_port(entry)
    except Invalid:
        raise refusal from None
    if port is None:
        raise refusal
    return name, port


def judged_address(ip: IPAddress) -> IPAddress:
    """An IPv4-mapped address reaches the IPv4 address inside, so that one is judged."""
    mapped = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
    return mapped or ip


def _is_public(ip: IPAddress) -> bool:
    if isinstance(ip, IPv6Address) and ip not in _IPV6_UNICAST:
        return False
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in _NEVER_PUBLIC)
