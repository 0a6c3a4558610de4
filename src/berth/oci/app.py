"""`/v2/…` and `/token`: which handler answers, who asks, and how answers and problems go out.

A request without a registry token gets 401 with a challenge, whatever it asks for: it learns nothing of names (A13).
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from berth.domain.package import PackageName, is_repository_name, parse_package_name
from berth.domain.package_access import PackageAction
from berth.domain.problem import Invalid, LimitReached, NotFound, Problem
from berth.domain.resource_scope import CATALOG, format_scope, join_scopes
from berth.edge.problem_status import bug_text
from berth.oci import blobs, lists, manifests, token, uploads
from berth.oci.call import OCICall, OCIServices
from berth.oci.exchange import IDLE_S, Answer, OCIRequest, Refusal, wrong_method
from berth.oci.problems import problem_answer
from berth.services.registry_access import Caller, Remembered, TokenNeeded, no_registry_token
from berth.services.registry_blob import ClientGone, ClientIdle

AtOnce = Callable[[Scope], Answer | None]
TOKEN_SERVICE = "/token"  # noqa: S105 a path
_LOG = logging.getLogger(__name__)
_COMMON = [(b"docker-distribution-api-version", b"registry/2.0"), (b"x-content-type-options", b"nosniff")]
_WITHOUT_LENGTH = frozenset({204, 304})  # RFC 9110 section 8.6: none, or that of an answer that is not given here
_READING = ("GET", "HEAD")
_PULL = frozenset({PackageAction.PULL})
_PUSH = frozenset({PackageAction.PULL, PackageAction.PUSH})
_DELETE = frozenset({PackageAction.DELETE})


@dataclass(frozen=True, slots=True)
class OCIRoute:
    """One endpoint: what a client without a token is told to fetch one for, and who answers."""

    actions: frozenset[PackageAction]
    handler: Callable[[OCICall], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class OCIRead:
    """One endpoint that many ask the same of: what is found for a token and a path is remembered while it holds."""

    actions: frozenset[PackageAction]
    find: Callable[[OCICall], Awaitable[Remembered[Any]]]
    answer: Callable[[OCIServices, OCIRequest, Any], Awaitable[Answer]]
    answer_at_once: Callable[[OCIRequest, Any], Answer | None]


_MANIFEST = OCIRead(_PULL, manifests.find, manifests.answer, manifests.answer_at_once)
_BLOB = OCIRead(_PULL, blobs.find, blobs.answer, blobs.answer_at_once)

ROUTES: Mapping[str, Mapping[str, OCIRoute | OCIRead]] = {
    "manifests": {
        "GET": _MANIFEST,
        "HEAD": _MANIFEST,
        "PUT": OCIRoute(_PUSH, manifests.put),
        "DELETE": OCIRoute(_DELETE, manifests.delete),
    },
    "blobs": {
        "GET": _BLOB,
        # How a push begins. A client that keeps its first token (oras for Python) pushes with what is asked for here.
        "HEAD": OCIRead(_PUSH, blobs.find, blobs.answer, blobs.answer_at_once),
        "DELETE": OCIRoute(_DELETE, blobs.delete),
    },
    "uploads": {
        "POST": OCIRoute(_PUSH, uploads.post),
        "GET": OCIRoute(_PUSH, uploads.get),
        "PATCH": OCIRoute(_PUSH, uploads.patch),
        "PUT": OCIRoute(_PUSH, uploads.put),
        "DELETE": OCIRoute(_PUSH, uploads.delete),
    },
    "tags": {"GET": OCIRoute(_PULL, lists.tags), "HEAD": OCIRoute(_PULL, lists.tags)},
    "referrers": {"GET": OCIRoute(_PULL, lists.referrers), "HEAD": OCIRoute(_PULL, lists.referrers)},
}


def is_oci_path(path: str) -> bool:
    """Whether a request's path belongs to this edge."""
    return path.startswith("/v2/") or path in {"/v2", TOKEN_SERVICE}


def make_oci_app(services: OCIServices, external_url: str | None, *, idle_s: float = IDLE_S) -> ASGIApp:
    """The ASGI application. `idle_s`: how long it waits for more of a body."""
    origin = external_url.rstrip("/") if external_url else None

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = OCIRequest(scope, receive, origin=origin, idle_s=idle_s)
        first = b""
        try:
            answer = await _answer(services, request, scope["path"])
            if answer.stream is not None:
                first = await anext(answer.stream)  # what fails at once is still an answer of its own
        except Problem as problem:
            answer = _refuse(request, problem)
        except Refusal as refusal:
            answer = _refuse(request, refusal.problem)
            answer.headers += refusal.headers
        except ClientIdle:
            answer = _refuse(request, LimitReached(f"Too little came for {idle_s:g} seconds.", code="request.idle"))
        except ClientGone:
            return
        except Exception:  # noqa: BLE001 an edge: a bug becomes a 500 with a request id, its traceback goes to the log
            request_id = uuid4().hex
            _LOG.exception("oci.failed", extra={"request_id": request_id, "method": request.method})
            text = f"{bug_text(request_id)}\n"
            answer = Answer(500, [(b"content-type", b"text/plain; charset=utf-8")], text.encode())
        await _send(send, answer, head=request.method == "HEAD")
        if answer.stream is not None:
            await _send_stream(request, send, first, answer.stream)

    return app


def answer_at_once(services: OCIServices, scope: Scope) -> Answer | None:
    """The answer to a read that was answered before and would be again, without waiting for anything; None otherwise.

    The same parts that `make_oci_app` answers with, for a server that can send an answer while it reads the request. What
    goes wrong here is logged, and left to the long way.
    """
    path: str = scope["path"]
    try:
        kind, _name, _reference = _parse_path(path)
    except NotFound:
        return None
    request = OCIRequest(scope, _no_body)
    route = ROUTES[kind].get(request.method)
    if not isinstance(route, OCIRead):
        return None
    try:
        found = services.access.recall(request.headers.get(b"authorization", b""), path)
        answer = None if found is None else route.answer_at_once(request, found)
    except Exception:  # noqa: BLE001 a bug; the parser above would blame the client, and log nothing
        _LOG.exception("oci.failed", extra={"request_id": uuid4().hex, "method": request.method})
        return None
    if answer is not None:
        answer.headers = [*answer.headers, *_COMMON]
    return answer


async def _no_body() -> Message:
    raise RuntimeError("a read has no body")


def _refuse(request: OCIRequest, problem: Problem) -> Answer:
    answer = problem_answer(problem, f"{request.origin}{TOKEN_SERVICE}", request.host)
    if answer.status >= 500:  # docker shows the number only; so it is here that the administrator reads why
        _LOG.warning("oci.unavailable", extra={"code": problem.code, "reason": problem.message})
    return answer


async def _answer(services: OCIServices, request: OCIRequest, path: str) -> Answer:
    if path == TOKEN_SERVICE:
        return await token.issue(services, request)
    if path in {"/v2/", "/v2"}:
        _check_method(request, _READING)
        await _authenticate(services, request, "")
        return Answer(200, [(b"content-type", b"application/json")], b"{}")
    if path == "/v2/_catalog":
        _check_method(request, _READING)
        caller = await _authenticate(services, request, CATALOG)
        return await lists.catalog(services, request, caller)
    kind, text, reference = _parse_path(path)
    routes = ROUTES[kind]
    if kind == "uploads":
        routes = {method: route for method, route in routes.items() if (method == "POST") == (reference == "")}
    _check_method(request, routes)
    route = routes[request.method]
    if isinstance(route, OCIRoute):
        call = await _call(services, request, text, reference, route)
        try:
            return await route.handler(call)
        except TokenNeeded as problem:
            problem.scope = join_scopes(_scope(request, call.name, route), problem.scope)
            raise
    read = route

    async def find() -> Remembered[Any]:
        return await read.find(await _call(services, request, text, reference, read))

    shown = request.headers.get(b"authorization", b"")
    return await read.answer(services, request, await services.access.remember(shown, path, find))


async def _call(
    services: OCIServices, request: OCIRequest, text: str, reference: str, route: OCIRoute | OCIRead
) -> OCICall:
    name = _parse_name(text, request)
    caller = await _authenticate(services, request, _scope(request, name, route))
    return OCICall(request, services, caller, name, reference)


def _scope(request: OCIRequest, name: PackageName, route: OCIRoute | OCIRead) -> str:
    """All that the request can need: many clients come again only once, with a token for what the challenge names."""
    return join_scopes(format_scope(name, route.actions), uploads.source_scope(request))


def _check_method(request: OCIRequest, allowed: Collection[str]) -> None:
    if request.method not in allowed:
        raise wrong_method(request.method, allowed)


def _parse_path(path: str) -> tuple[str, str, str]:
    """(kind of endpoint, name, what stands behind). A name may itself hold words like `blobs`, so the end decides."""
    before, _, reference = path.removeprefix("/v2/").rpartition("/")
    name, _, word = before.rpartition("/")
    if word == "uploads" and name.endswith("/blobs"):
        return "uploads", name.removesuffix("/blobs"), reference
    if word == "blobs" and reference == "uploads":
        return "uploads", name, ""
    if word == "tags" and reference != "list":
        word = ""
    if word not in ROUTES or word == "uploads" or not name:
        raise NotFound("There is nothing here.", code="request.path")
    return word, name, reference


def _parse_name(text: str, request: OCIRequest) -> PackageName:
    """A name that none can be is said to be one only to who has shown a token.

    Where the specification knows the name and only we have no package of such a name, it is missing: it wants 404. And
    docker pushes again, for 50 seconds, after every code that is not on its list; NAME_UNKNOWN is, NAME_INVALID is not.
    """
    try:
        return parse_package_name(text)
    except Invalid as problem:
        if request.header(b"authorization") is None:
            raise TokenNeeded("authentication required", scope="", code="unauthenticated") from None
        if is_repository_name(text):
            raise NotFound(problem.message, code="package.not_found") from None
        raise


async def _authenticate(services: OCIServices, request: OCIRequest, scope: str) -> Caller:
    header = request.headers.get(b"authorization")
    if header is None:
        raise TokenNeeded("authentication required", scope=scope, code="unauthenticated")
    if header[:7].lower() != b"bearer ":
        raise no_registry_token(scope)
    return await services.access.authenticate(header[7:].decode("latin-1"), scope)


async def _send(send: Send, answer: Answer, *, head: bool) -> None:
    headers = [*answer.headers, *_COMMON]
    sized = answer.stream is None and answer.status not in _WITHOUT_LENGTH
    if sized and not any(name == b"content-length" for name, _ in headers):
        headers.append((b"content-length", b"%d" % len(answer.body)))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if answer.stream is None:
        await send({"type": "http.response.body", "body": b"" if head else answer.body})


async def _send_stream(request: OCIRequest, send: Send, first: bytes, stream: AsyncIterator[bytes]) -> None:
    """Until the end, or until nobody reads it any more. What fails now can only break the connection off."""
    gone = asyncio.create_task(request.until_gone())
    try:
        await send({"type": "http.response.body", "body": first, "more_body": True})
        async for chunk in stream:
            if gone.done():
                return
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    except Problem as problem:
        _LOG.warning("oci.broken_off", extra={"code": problem.code})
    finally:
        gone.cancel()
        if isinstance(stream, AsyncGenerator):
            await stream.aclose()
