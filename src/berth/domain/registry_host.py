r"""Registry hosts: one normal form for what people type, and the strict parser for every address that Berth calls.

1. What is typed into SERVER is repaired where only one meaning is possible, and every repair is reported (C3).
2. What has two meanings, or none, is refused. A refusal never repeats the input: it may hold a password.
3. Docker Hub has five spellings and one name, `docker.io`; its API answers at `registry-1.docker.io`.
4. A host is ASCII, lower-case, without port 443 (the default). Two hosts are the same if these texts are equal (C4).

Decided: no `urllib.parse` here. It drops newlines silently and reads `evil\@ghcr.io` as ghcr.io; the grammar below is
matched whole, with ASCII classes.
"""

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from berth.domain.docker_hub import DOCKER_HUB, DOCKER_HUB_ALIASES, DOCKER_HUB_API
from berth.domain.problem import Invalid

MAX_TEXT_LENGTH = 2048

_WHITE_SPACE = " \t\r\n\v\f"
_INNER_WHITE_SPACE = re.compile(r"[\x00-\x20\x7f]")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)")
_CHARACTERS = re.compile(r"[A-Za-z0-9.:/\[\]_-]*")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_BRACKETED = re.compile(r"\[([0-9a-f:.]{2,45})\](?::([0-9]*))?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")  # a last label like this makes getaddrinfo read an IPv4 address
_PINNED_IMAGE = re.compile(r"(?<=[^@/])/[^@]*@sha(?:256|512):")
_API_PATHS = frozenset({"v1", "v2"})
_URL = re.compile(r"(https?)://([^/?#@\\]+)((?:/[!-~]*)?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryHost:
    """A normal host, what was repaired to get it (one sentence each), and the same host as the user wrote its port."""

    host: str
    repairs: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()  # `host:443`, if that was typed: an image named so looks that key up
    path_ignored: bool = False  # what was typed names something below the host


@dataclass(frozen=True, slots=True, kw_only=True)
class WebAddress:
    """A URL taken apart: only http and https, no user, no fragment."""

    scheme: str
    name: str  # lower-case; an IPv6 address in brackets
    port: int
    target: str  # path and query, begins with `/`

    @property
    def host(self) -> str:
        """`name[:port]`, without the scheme's default port: what a Host header holds."""
        return self.name if self.port == default_port(self.scheme) else f"{self.name}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}{self.target}"

    @property
    def origin(self) -> tuple[str, int]:
        return self.name, self.port


def default_port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def api_host(host: str) -> str:
    """Where the registry of that normal host answers; differs for Docker Hub only."""
    return DOCKER_HUB_API if host == DOCKER_HUB else host


def parse_host_and_port(text: str) -> tuple[str, int | None]:
    """Take `name[:port]` apart: the lower-case name (IPv6 in brackets, shortest form) and the port if one was written.

    Raises Invalid. Source: the `domain` grammar of distribution/reference `regexp.go`, without what resolvers read as a
    number, and RFC 1123 §2.1 for lengths.
    """
    lower = text.lower()
    if lower.startswith("["):
        match = _BRACKETED.fullmatch(lower)
        if match is None:
            raise _refusal("ipv6", "An IPv6 address is written [address] or [address]:port, without a zone.")
        return f"[{_ipv6(match[1])}]", _port(match[2])
    if lower.count(":") > 1:
        raise _refusal("ipv6", "An IPv6 address needs brackets: [address]:port.")
    name, colon, port = lower.partition(":")
    _check_name(name)
    return name, _port(port if colon else None)


def parse_web_address(url: str) -> WebAddress:
    """Take an http or https URL apart. Raises Invalid for every other text, in particular one that names a user."""
    match = _URL.fullmatch(url) if len(url) <= MAX_TEXT_LENGTH * 4 else None
    if match is None or "#" in match[3]:
        raise Invalid("This is not an http or https address without user and fragment.", code="url")
    name, port = parse_host_and_port(match[2])
    return WebAddress(scheme=match[1], name=name, port=port or default_port(match[1]), target=match[3] or "/")


def redirect_target(origin: WebAddress, location: str) -> WebAddress | None:
    """Where a Location header leads; None if it is no address, or leads from https to http."""
    if location.startswith("/") and not location.startswith("//"):
        location = f"{origin.scheme}://{origin.host}{location}"
    try:
        target = parse_web_address(location)
    except Invalid:
        return None
    return None if origin.scheme == "https" and target.scheme == "http" else target


def normalise_registry_host(text: str) -> RegistryHost:
    """The normal form of what a user typed as a registry (policy 1 to 4). Raises Invalid, code `registry_host.*`."""
    repairs: list[str] = []
    authority, path = _split(_strip(text, repairs), repairs)
    path_ignored = _repair_path(authority, path, repairs)
    name, port = parse_host_and_port(authority)
    host = name if port is None else f"{name}:{port}"
    if authority != host:
        repairs.append(f"The host was written in its normal form, {host}.")
    if port == 443:
        repairs.append("The port :443 was removed: it is the default.")
        port = None
    if port is None and name in DOCKER_HUB_ALIASES:
        if name != DOCKER_HUB:
            repairs.append(f"{name} is Docker Hub, whose registry is named {DOCKER_HUB}.")
        return RegistryHost(host=DOCKER_HUB, repairs=tuple(repairs), path_ignored=path_ignored)
    aliases = (host,) if host.endswith(":443") else ()
    normal = name if port is None else host
    return RegistryHost(host=normal, repairs=tuple(repairs), aliases=aliases, path_ignored=path_ignored)


def _strip(text: str, repairs: list[str]) -> str:
    """The text without surrounding white space, if nothing in it is forbidden whatever the rest means."""
    stripped = text.strip(_WHITE_SPACE)
    if stripped != text:
        repairs.append("White space around the host was removed.")
    if not stripped:
        raise _refusal("empty", "The registry's host is empty.")
    if len(stripped) > MAX_TEXT_LENGTH:
        raise _refusal("length", "The registry's host is too long.")
    if not stripped.isascii():
        raise _refusal("non_ascii", "A registry's host holds ASCII letters only; write other names as xn--….")
    if _INNER_WHITE_SPACE.search(stripped):
        raise _refusal("white_space", "A registry's host holds no white space.")
    if "\\" in stripped:
        raise _refusal("character", "A registry's host holds letters, digits, '.', '-' and ':' only.")
    return stripped


def _split(text: str, repairs: list[str]) -> tuple[str, str]:
    """Authority and path, once scheme, user and query are dealt with. The path holds no leading slash."""
    if _PINNED_IMAGE.search(text):
        raise _refusal("image", "This looks like an image reference; only the host belongs here.")
    if "@" in text:
        raise _refusal("userinfo", "A registry's host holds no user or password; they have secrets of their own.")
    if "?" in text or "#" in text:
        raise _refusal("query", "A registry's host has no query and no fragment.")
    scheme = _SCHEME.fullmatch(text)
    if scheme:
        kind, text = scheme[1].lower(), scheme[2]
        if kind not in {"http", "https"}:
            raise _refusal("scheme", "A registry is reached by https; no other scheme is known.")
        plain = " Plain HTTP is used only for hosts that the administrator allows." if kind == "http" else ""
        repairs.append(f"The scheme {kind}:// was removed.{plain}")
    if not _CHARACTERS.fullmatch(text):
        raise _refusal("character", "A registry's host holds letters, digits, '.', '-' and ':' only.")
    authority, slash, path = text.partition("/")
    if slash and not path:
        repairs.append("The slash at the end was removed.")
    if slash and not scheme and path.strip("/") not in {"", *_API_PATHS} and not _is_domain(authority):
        raise _refusal("image", "This looks like an image on Docker Hub; the host of Docker Hub is docker.io.")
    return authority, path


def _is_domain(first: str) -> bool:
    """Whether a first path element is a host and not a name on Docker Hub. Source: distribution/reference."""
    return first.lower() == "localhost" or "." in first or ":" in first


def _repair_path(authority: str, path: str, repairs: list[str]) -> bool:
    """Whether there is a path that is not the API's."""
    if ":" in path:
        raise _refusal("image", "This looks like an image reference; only the host belongs here.")
    trimmed = path.strip("/")
    if trimmed in _API_PATHS:
        repairs.append(f"The API path /{trimmed}/ was removed.")
    elif trimmed and authority:
        repairs.append("The path was ignored: a credential is for the whole host.")
        return True
    return False


def _check_name(name: str) -> None:
    if name.endswith("."):
        raise _refusal("trailing_dot", "A registry's host does not end in a dot.")
    labels = name.split(".")
    if not all(_LABEL.fullmatch(label) for label in labels) or len(name) > 253:
        raise _refusal("character", "A registry's host holds letters, digits, '.', '-' and ':' only.")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            IPv4Address(name)
        except AddressValueError:
            text = "This numeric host is ambiguous; write an IPv4 address as four decimal numbers."
            raise _refusal("numeric", text) from None


def _ipv6(text: str) -> str:
    try:
        return IPv6Address(text).compressed
    except AddressValueError:
        raise _refusal("ipv6", "The brackets do not hold an IPv6 address.") from None


def _port(text: str | None) -> int | None:
    if text is None:
        return None
    if not _PORT.fullmatch(text) or int(text) > 65535:
        raise _refusal("port", "A port is a number from 1 to 65535.")
    return int(text)


def _refusal(kind: str, sentence: str) -> Invalid:
    return Invalid(sentence, field="server", code=f"registry_host.{kind}")
