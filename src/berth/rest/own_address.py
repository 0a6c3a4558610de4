"""Where links in answers point: absolute addresses of this server that the client can follow as they are.

1. With EXTERNAL_URL they begin with it, whatever the request says of itself. Asked as `api.` before EXTERNAL_URL's own
   host, the API's links stay there: a client sends its token to the host that it began with, and to no other.
2. Without it they begin with the scheme, host and port that the client used. A unix socket counts as https: gh, which is
   what speaks through one, believes so and follows links as https through the same socket.
3. A Host that is no host name stands for nothing: it is never repeated, in no header and in no body (domain/host_header.py).

Source: RFC 9110, section 7.2 (Host); what clients do with links: GITHUB_API section 2.5 of the references.
"""

from starlette.requests import HTTPConnection

from berth.edge.own_origin import host_of, origin_of
from berth.rest.call import Links

API_PREFIX = "/api/v3"
_API_LABEL = "api."


def is_api_host(host: str) -> bool:
    """Whether everything under this Host is the API: gh asks `api.github.com`, or `api.` before github.localhost."""
    return host.startswith(_API_LABEL)


def make_links(request: HTTPConnection, external_url: str | None) -> Links:
    """Where this request's links point."""
    host = host_of(request)
    scheme, _, web_host = origin_of(request, external_url).partition("://")
    if external_url is None:
        web_host = web_host.removeprefix(_API_LABEL)
    elif host != f"{_API_LABEL}{web_host.lower()}":
        host = web_host
    return Links(f"{scheme}://{host}", "" if is_api_host(host) else API_PREFIX, f"{scheme}://{web_host}")
