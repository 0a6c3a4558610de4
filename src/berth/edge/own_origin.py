"""How people reach this server: as EXTERNAL_URL says, else as the request came, if its Host is one (domain/host_header.py)."""

from starlette.requests import HTTPConnection

from berth.domain.host_header import read_host


def scheme_of(request: HTTPConnection) -> str:
    """Of a WebSocket the scheme of the page that asks for it: its Origin has that one."""
    scheme: str = request.scope["scheme"]
    return {"ws": "http", "wss": "https"}.get(scheme, scheme)


def host_of(request: HTTPConnection) -> str:
    """The Host that the client used."""
    return read_host(request.headers.get("host", ""))


def origin_of(request: HTTPConnection, external_url: str | None) -> str:
    return f"{scheme_of(request)}://{host_of(request)}" if external_url is None else external_url.rstrip("/")
