"""Paths whose segments may hold a `/`: a package's name is one segment, `hello%2Fweb`.

A server hands over the path decoded, where the two kinds of `/` look alike. So routes with such a segment are matched
on the path as it was sent, segment by segment. Only that is understood: `hello/web`, as a proxy that decodes would send
it, could be the package `hello` and something below it.

Source: RFC 3986, section 2.2 (a reserved character and its percent-encoding differ); ASGI specification, `raw_path`;
what clients send: GITHUB_API section 1.2 of the references.
"""

from collections.abc import Awaitable, Callable
from urllib.parse import quote, unquote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

_WHOLE = "{package_name}"
_SLASH = "\udc2f"  # half a character: no decoding yields one, so it stands for nothing else
_SEGMENTED = "berth.segmented_path"
_KEPT = "/%:@!$&'()*+;=~"  # what may stand in a path and is no separator in a Link header


def sent_path(scope: Scope) -> str:
    """The path as it was sent, percent-encoded; from the decoded one where the server does not tell."""
    raw: bytes | None = scope.get("raw_path")
    return quote(scope["path"]) if raw is None else quote(raw.decode("latin-1"), safe=_KEPT)


def _segmented(scope: Scope) -> str:
    """Made once for a request: each of some fifty routes asks for it, and a path may be as long as a head."""
    if _SEGMENTED not in scope:
        scope[_SEGMENTED] = "/".join(
            unquote(segment).replace("/", _SLASH) if "%" in segment else segment
            for segment in sent_path(scope).split("/")
        )
    return str(scope[_SEGMENTED])


class _SegmentRoute(Route):
    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, found = super().matches({**scope, "path": _segmented(scope)})
        for name, value in found.get("path_params", {}).items():
            found["path_params"][name] = value.replace(_SLASH, "/")
        return match, found


def make_route(path: str, endpoint: Callable[[Request], Awaitable[Response]], methods: list[str]) -> Route:
    """A route of Starlette's, matched segment by segment where one of them is a package's name."""
    return (_SegmentRoute if _WHOLE in path else Route)(path, endpoint, methods=methods)
