"""The one client for outgoing HTTP: it calls only addresses that C9 allows, whatever a user's host name resolves to.

1. A name is resolved once per session; *every* address is checked; the connection goes to a checked address, while the
   Host header, TLS server name and certificate check keep the real name. A second answer of the DNS changes nothing.
2. https, with the certificate checked; plain http only to hosts that the administrator marked as insecure.
3. No redirect is followed, no cookie kept, no proxy, netrc or other environment read, no compressed body unpacked.
4. Time is bounded for name, connection, read and whole request; bytes are bounded for headers and body.
5. Connections are shared inside one session only, so no two users ever share one.

Decided: httpcore, the transport below httpx, without httpx on top. Its network backend is the seam that rule 1 needs,
and rule 3 is what it does by itself. Failures are UpstreamFailed with a `registry.*` code; no text holds a header.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from threading import Thread
from typing import Self

import httpcore

from berth.domain.address_policy import IPAddress, PrivateAddresses, is_address_allowed
from berth.domain.problem import Invalid, UpstreamFailed
from berth.domain.registry_host import WebAddress, parse_host_and_port, parse_web_address
from berth.domain.secret_text import SecretText

MAX_HEADER_BYTES = 64 * 1024
MAX_HEADERS = 256
MAX_ADDRESSES = 16
_RESOLVER_THREADS = 16

Resolver = Callable[[str, int], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the administrator sends a name (RESOLVE): exempt from the address check, not from the certificate's."""

    address: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedHTTPSettings:
    """All from the administrator and the server itself, nothing from a user's secret."""

    private_addresses: PrivateAddresses = field(default_factory=PrivateAddresses)
    insecure_hosts: frozenset[str] = frozenset()  # `host[:port]` as in an image's name
    resolve: Mapping[str, Endpoint] = field(default_factory=dict)
    ca_file: Path | None = None  # trusted besides the system's
    resolve_timeout_s: float = 5
    connect_timeout_s: float = 5
    read_timeout_s: float = 10
    total_timeout_s: float = 15

    def reaching(self, addresses: Sequence[WebAddress]) -> "GuardedHTTPSettings":
        """The same, and exactly these endpoints too, whatever address they have, each with its own scheme."""
        plain = {address.host for address in addresses if address.scheme == "http"}
        return replace(
            self,
            private_addresses=self.private_addresses.including(addresses),
            insecure_hosts=self.insecure_hosts | plain,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedRequest:
    """One request. A SecretText header is revealed on the wire only."""

    method: str
    url: str
    headers: Mapping[str, str | SecretText] = field(default_factory=dict)
    body: bytes = b""
    max_body_bytes: int = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedResponse:
    """A whole answer. The headers' names are lower-case; repeated ones are joined by commas."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def parse_resolve(entries: Iterable[str]) -> Mapping[str, Endpoint]:
    """The setting RESOLVE: each entry `host=address:port`. Raises Invalid naming the entry."""
    result: dict[str, Endpoint] = {}
    for entry in entries:
        try:
            host, _, target = entry.partition("=")
            name, own_port = parse_host_and_port(host)
            address, port = parse_host_and_port(target)
            literal = str(ip_address(address.strip("[]")))
        except (Invalid, ValueError):
            own_port, port, name, literal = None, None, "", ""
        if own_port is not None or port is None:
            text = f"'{entry[:80]}' is not host=address:port with an IP address."
            raise Invalid(text, field="resolve", code="settings.resolve")
        result[name] = Endpoint(literal, port)
    return result


def system_resolver(name: str, port: int) -> Sequence[str]:
    """Every address of the name, in the system's order. Blocks; raises OSError."""
    answers = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))


class GuardedHTTP:
    """Makes sessions. One per process; close it at the end."""

    def __init__(self, settings: GuardedHTTPSettings, *, resolver: Resolver = system_resolver) -> None:
        self._settings = settings
        self._lookups = _Lookups(resolver)
        self._tls = ssl.create_default_context()
        if settings.ca_file is not None:
            self._tls.load_verify_locations(settings.ca_file)

    def session(self) -> "GuardedSession":
        """For requests that belong together, on behalf of one user. Use it with `async with`."""
        backend = _GuardedBackend(self._settings, self._lookups)
        pool = httpcore.AsyncConnectionPool(ssl_context=self._tls, network_backend=backend, max_connections=4)
        return GuardedSession(self._settings, pool, backend)

    def close(self) -> None:
        """No name is looked up any more. What a resolver still works on is left to it."""
        self._lookups.is_closed = True


class GuardedSession:
    """Sends requests, one after the other or a few at once. They share connections and looked-up names."""

    def __init__(
        self, settings: GuardedHTTPSettings, pool: httpcore.AsyncConnectionPool, backend: "_GuardedBackend"
    ) -> None:
        self._settings = settings
        self._pool = pool
        self._backend = backend

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._pool.aclose()
        await self._backend.close()

    async def send(self, request: GuardedRequest) -> GuardedResponse:
        """The answer, whatever its status. Raises Invalid for a URL that is none, else UpstreamFailed."""
        address = parse_web_address(request.url)
        if address.scheme == "http" and address.host not in self._settings.insecure_hosts:
            text = f"{address.host} would be asked without encryption, which the administrator does not allow."
            raise UpstreamFailed(text, code="registry.plain_http")
        try:
            async with asyncio.timeout(self._settings.total_timeout_s):
                return await self._send(request, address)
        except httpcore.ConnectTimeout as error:
            text = f"No connection to {address.host} came about in time."
            raise UpstreamFailed(text, code="registry.connect_timeout", retryable=True) from error
        except (TimeoutError, httpcore.TimeoutException) as error:
            raise _timeout(address.host) from error
        except httpcore.ConnectError as error:
            raise _connect_failure(address.host, error) from error
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            text = f"{address.host} broke off its answer, or sent what is not HTTP."
            raise UpstreamFailed(text, code="registry.bad_answer", retryable=True) from error

    async def _send(self, request: GuardedRequest, address: WebAddress) -> GuardedResponse:
        settings = self._settings
        url = httpcore.URL(
            scheme=address.scheme, host=address.name.strip("[]"), port=address.port, target=address.target
        )
        headers = [("Host", address.host), ("Accept-Encoding", "identity"), ("User-Agent", "berth")]
        for name, value in request.headers.items():
            headers.append((name, value.reveal() if isinstance(value, SecretText) else value))
        if request.body:
            headers.append(("Content-Length", str(len(request.body))))
        timeout = {
            "connect": settings.connect_timeout_s,
            "read": settings.read_timeout_s,
            "write": settings.read_timeout_s,
            "pool": settings.total_timeout_s,
        }
        message = httpcore.Request(
            request.method, url, headers=headers, content=request.body, extensions={"timeout": timeout}
        )
        response = await self._pool.handle_async_request(message)
        try:
            return await _read(response, request.max_body_bytes, address.host)
        finally:
            await response.aclose()


async def _read(response: httpcore.Response, max_body_bytes: int, host: str) -> GuardedResponse:
    size = sum(len(name) + len(value) for name, value in response.headers)
    if size > MAX_HEADER_BYTES or len(response.headers) > MAX_HEADERS:
        raise UpstreamFailed(f"{host} answered with too many headers.", code="registry.answer_too_big")
    headers: dict[str, str] = {}
    for raw_name, raw_value in response.headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    body = bytearray()
    async for chunk in response.aiter_stream():
        body += chunk
        if len(body) > max_body_bytes:
            text = f"{host} answered with more than {max_body_bytes} bytes."
            raise UpstreamFailed(text, code="registry.answer_too_big")
    return GuardedResponse(status=response.status, headers=headers, body=bytes(body))


class _Lookups:
    """The resolver in threads that hold up nobody: it may take minutes after whoever asked has left, or wants to end."""

    def __init__(self, resolver: Resolver) -> None:
        self.is_closed = False
        self._resolver = resolver
        self._free = asyncio.Semaphore(_RESOLVER_THREADS)

    async def look_up(self, host: str, port: int) -> Sequence[str]:
        if self.is_closed:
            raise RuntimeError("the client was closed")
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Sequence[str]] = loop.create_future()

        def end(outcome: Sequence[str] | Exception) -> None:
            self._free.release()
            if answer.done():  # whoever asked has left
                return
            if isinstance(outcome, Exception):
                answer.set_exception(outcome)
            else:
                answer.set_result(outcome)

        def run() -> None:
            outcome: Sequence[str] | Exception
            try:
                outcome = self._resolver(host, port)
            except Exception as error:  # noqa: BLE001 it is raised where it was asked
                outcome = error
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(end, outcome)

        Thread(target=run, name="resolve", daemon=True).start()
        return await answer


class _GuardedBackend(httpcore.AsyncNetworkBackend):
    """Dials checked addresses only (policy 1). One per session: it remembers what each name resolved to."""

    def __init__(self, settings: GuardedHTTPSettings, lookups: _Lookups) -> None:
        self._settings = settings
        self._lookups = lookups
        self._dialler = httpcore.AnyIOBackend()
        self._known: dict[tuple[str, int], tuple[Endpoint, ...]] = {}
        self._opened: list[httpcore.AsyncNetworkStream] = []

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        if (host, port) not in self._known:
            self._known[host, port] = await self._resolve(host, port)
        failure: Exception = UpstreamFailed(f"{host} has no address.", code="registry.name_unknown", retryable=True)
        for endpoint in self._known[host, port]:
            try:
                stream = await self._dialler.connect_tcp(
                    endpoint.address, endpoint.port, timeout, local_address, socket_options
                )
                self._opened.append(stream)
                return stream
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def close(self) -> None:
        """Close what is still open: httpcore forgets a connection that is cancelled in its TLS handshake."""
        for stream in self._opened:
            await stream.aclose()

    async def _resolve(self, host: str, port: int) -> tuple[Endpoint, ...]:
        """The addresses to dial. Raises UpstreamFailed if a single one is forbidden: a mixed answer is an attack."""
        name = f"[{host}]" if ":" in host else host
        override = self._settings.resolve.get(name)
        if override is not None:
            return (override,)
        addresses = [ip_address(text) for text in await self._look_up(host, port)]
        if not all(self._is_allowed(address, port, name) for address in addresses):
            text = f"{host} leads to an address that is not public, where Berth does not send requests for users."
            remedy = "The administrator can allow it with BERTH_PRIVATE_ADDRESSES."
            raise UpstreamFailed(text, code="registry.address_forbidden", remedy=remedy)
        return tuple(Endpoint(str(address), port) for address in addresses[:MAX_ADDRESSES])

    def _is_allowed(self, address: IPAddress, port: int, name: str) -> bool:
        return is_address_allowed(address, port, name, self._settings.private_addresses)

    async def _look_up(self, host: str, port: int) -> Sequence[str]:
        try:
            return [str(ip_address(host))]
        except ValueError:
            pass  # then it is a name
        try:
            async with asyncio.timeout(self._settings.resolve_timeout_s):
                return await self._lookups.look_up(host, port)
        except TimeoutError as error:
            text = f"The name {host} was not resolved in time."
            raise UpstreamFailed(text, code="registry.name_timeout", retryable=True) from error
        except (OSError, UnicodeError) as error:
            text = f"The name {host} does not resolve."
            raise UpstreamFailed(text, code="registry.name_unknown", retryable=True) from error


def _timeout(host: str) -> UpstreamFailed:
    return UpstreamFailed(f"{host} did not answer in time.", code="registry.timeout", retryable=True)


def _connect_failure(host: str, error: httpcore.ConnectError) -> UpstreamFailed:
    """TLS or TCP: httpcore has one class for both and keeps the cause."""
    cause = error.__cause__ or error.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        text = f"The certificate of {host} was refused: {cause.verify_message}"
        return UpstreamFailed(text, code="registry.tls")
    if isinstance(cause, ssl.SSLError):
        return UpstreamFailed(f"{host} does not speak TLS as expected.", code="registry.tls")
    return UpstreamFailed(f"{host} refused the connection.", code="registry.unreachable", retryable=True)
