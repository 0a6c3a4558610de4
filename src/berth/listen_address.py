"""Where the server listens, as the setting LISTEN says it."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

_PLAIN = "http://"


@dataclass(frozen=True, slots=True)
class TCPAddress:
    """Where to listen. IPv6 addresses are without brackets; port 0 lets the system choose.

    `plain`: without TLS, even if there is a certificate.
    """

    host: str
    port: int
    plain: bool = False


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A socket in the file system."""

    path: Path


ListenAddress = TCPAddress | UnixAddress


def parse_listen_addresses(entries: Sequence[str]) -> tuple[ListenAddress, ...]:
    """Raises ValueError."""
    if not entries:
        raise ValueError("at least one address")
    return tuple(map(_parse, entries))


def _parse(entry: str) -> ListenAddress:
    if entry.startswith("unix:"):
        path = entry.removeprefix("unix:")
        if not path.startswith("/"):
            raise ValueError("after unix: comes an absolute path")
        return UnixAddress(Path(path))
    plain = entry.startswith(_PLAIN)
    host, separator, port = entry.removeprefix(_PLAIN).rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    is_port = port.isascii() and port.isdecimal() and len(port) < 6 and int(port) < 65536
    if not separator or not bare or not is_port or (":" in bare and bare == host):
        raise ValueError("each entry is host:port, [IPv6]:port, unix:/path or http://127.0.0.1:port")
    if plain and not _is_loopback(bare):
        raise ValueError("http:// is for loopback addresses: tokens would cross the network in clear")
    return TCPAddress(bare, int(port), plain)


def _is_loopback(host: str) -> bool:
    """Whether nothing that is sent there leaves this machine."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
