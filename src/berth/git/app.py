"""`/{owner}/{repo}.git/…` for git: who asks, what he may do, then `git http-backend` answers.

Source: gitprotocol-http(5). An access token is the password of Basic; the user name does not matter. Whoever may not
read gets 401 without a credential and 404 with one (A13). Under a name that a repository had, git's first request is sent
on to the present one: more than the first git would not follow (git-config(1), `http.followRedirects`).

Each request is three programs of this machine, for whoever may read a public repository: AT_ONCE of an account, and of all
who show none, run in this process, and what a fetch asks for, which is small, comes within FETCH_S. A push may be silent for
PUSH_IDLE_S.
"""

import asyncio
import logging
import re
from collections import Counter
from collections.abc import AsyncIterator

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from berth.domain.access import Action, Subject
from berth.domain.problem import Denied, LimitReached, NotFound, Problem, Unauthenticated
from berth.domain.repository import Repository
from berth.edge.credential import token_of
from berth.edge.problem_status import status_of
from berth.services.ports import GitBackend, GitRequest
from berth.services.repository import GitTarget
from berth.services.services import Services

_PATH = re.compile(
    r"/(?P<owner>[^/]+)/(?P<name>[^/]+?)(?:\.git)?/(?P<service>info/refs|git-upload-pack|git-receive-pack)"
)
_ACTIONS = {"git-upload-pack": Action.READ, "git-receive-pack": Action.WRITE}
AT_ONCE, FETCH_S, PUSH_IDLE_S = 64, 60.0, 600.0
_LOG = logging.getLogger(__name__)
_CHALLENGE = (b"www-authenticate", b'Basic realm="Berth"')


class ClientGone(Exception):
    """The client closed the connection before the end."""


def is_git_path(path: str) -> bool:
    """Whether a request's path belongs to this edge."""
    return _PATH.fullmatch(path) is not None


def make_git_app(services: Services, backend: GitBackend) -> ASGIApp:
    """The ASGI application; what is no path of git's is 404."""
    turns = _Turns()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await _respond(services, backend, turns, scope, receive, send)
        except ClientGone:
            return

    return app


class _Turns:
    """How many requests each account has under way; None: all who show none."""

    def __init__(self) -> None:
        self._taken: Counter[int | None] = Counter()

    def take(self, subject: Subject | None) -> None:
        """Raises LimitReached."""
        account = None if subject is None else subject.account_id
        if self._taken[account] >= AT_ONCE:
            whose = "of all who show no token" if subject is None else "of yours"
            raise LimitReached(
                f"{AT_ONCE} git requests {whose} are under way.",
                code="git.busy",
                remedy="Try again when some have ended.",
            )
        self._taken[account] += 1

    def give_back(self, subject: Subject | None) -> None:
        self._taken -= Counter([None if subject is None else subject.account_id])  # what is none is no entry any more


async def _respond(
    services: Services, backend: GitBackend, turns: _Turns, scope: Scope, receive: Receive, send: Send
) -> None:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    try:
        match, action = _parse(scope)
        subject = await _authenticate(services, headers.get("authorization", ""))
        target = await _open(services, subject, match, action)
        if not isinstance(target, Repository):
            turns.take(subject)
    except Problem as problem:
        await _refuse(send, problem)
        return
    if isinstance(target, Repository):
        await _send_on(send, target, scope["query_string"])
        return
    request = GitRequest(
        repository=target.path,
        service_path=match["service"],
        method=scope["method"],
        query=scope["query_string"].decode("latin-1"),
        content_type=headers.get("content-type", ""),
        content_encoding=headers.get("content-encoding", "").lower(),
        protocol=headers.get("git-protocol", ""),
        login="" if subject is None else subject.login,
    )
    pushes = match["service"] == "git-receive-pack"
    body = _Body(receive, PUSH_IDLE_S if pushes else None)
    try:
        await _relay(backend, request, body, send)
    finally:
        turns.give_back(subject)
        if pushes:  # also after a client that went away: what it pushed may have arrived
            await asyncio.shield(services.repositories.note_push(target.repository))


def _parse(scope: Scope) -> tuple[re.Match[str], Action]:
    match = _PATH.fullmatch(scope["path"])
    if match is None:
        raise NotFound("Not Found")
    service = match["service"]
    if service == "info/refs":
        if scope["method"] != "GET":
            raise NotFound("Not Found")
        query = re.fullmatch(r"service=(git-upload-pack|git-receive-pack)", scope["query_string"].decode("latin-1"))
        if query is None:
            raise Denied("Berth speaks git's smart protocol only; use a newer git.", code="git.dumb_protocol")
        service = query[1]
    elif scope["method"] != "POST":
        raise NotFound("Not Found")
    return match, _ACTIONS[service]


async def _authenticate(services: Services, header: str) -> Subject | None:
    if not header:
        return None
    subject = await services.access_tokens.find_subject(token_of(header))
    if subject is None:
        raise Unauthenticated("Bad credentials: the password must be an access token of this server.")
    return subject


async def _open(
    services: Services, subject: Subject | None, match: re.Match[str], action: Action
) -> GitTarget | Repository:
    """Where git finds it; only the repository, if the client is to be sent on to its present name."""
    try:
        return await _find(services, subject, match, action)
    except (NotFound, Denied):
        if subject is None:
            raise Unauthenticated("Authentication required.") from None
        raise


async def _find(
    services: Services, subject: Subject | None, match: re.Match[str], action: Action
) -> GitTarget | Repository:
    owner, name = match["owner"], match["name"]
    try:
        return await services.repositories.open_git(subject, owner, name, action)
    except NotFound:
        renamed = await services.former_names.find(subject, owner, name)
        if renamed is None:
            raise
    now = renamed.repository
    if match["service"] == "info/refs":
        return now
    # Git that had to log in first was sent on, but comes back here with the rest. Observed with git 2.39, http_request_reauth.
    return await services.repositories.open_git(subject, now.owner_login, now.name, action)


async def _send_on(send: Send, repository: Repository, query: bytes) -> None:
    """To the same host, whatever the client calls it: the path alone."""
    location = f"/{repository.full_name}.git/info/refs?".encode() + query
    headers = [(b"location", location), (b"content-length", b"0"), (b"cache-control", b"no-cache")]
    await send({"type": "http.response.start", "status": 301, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


class _Body:
    """The request's body as it comes; afterwards, whether the client is still there. `idle_s`: else all of it within FETCH_S."""

    def __init__(self, receive: Receive, idle_s: float | None) -> None:
        self._receive = receive
        self._idle_s = idle_s
        self.ended = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        now = asyncio.get_running_loop().time
        whole_by = now() + FETCH_S
        while True:
            message = await self._next(whole_by if self._idle_s is None else now() + self._idle_s)
            if message["type"] == "http.disconnect":
                raise ClientGone
            if message.get("body"):
                yield message["body"]
            if not message.get("more_body"):
                self.ended.set()
                return

    async def _next(self, by: float) -> Message:
        try:
            async with asyncio.timeout_at(by):
                return await self._receive()
        except TimeoutError:
            raise LimitReached("What git was to be told did not come.", code="request.idle") from None

    async def watch(self) -> None:
        """Raises ClientGone once the client has gone, after its whole body was read."""
        await self.ended.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass
        raise ClientGone


async def _relay(backend: GitBackend, request: GitRequest, body: _Body, send: Send) -> None:
    relay = asyncio.create_task(_answer(backend, request, body, send))
    watch = asyncio.create_task(body.watch())
    try:
        await asyncio.wait({relay, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not relay.done():
            relay.cancel()
        await asyncio.wait({relay})
    finally:
        for task in (relay, watch):
            task.cancel()
        await asyncio.gather(relay, watch, return_exceptions=True)
    if not relay.cancelled():
        relay.result()


async def _answer(backend: GitBackend, request: GitRequest, body: _Body, send: Send) -> None:
    started = False
    try:
        async with backend.serve(request, aiter(body)) as response:
            headers = [(name.encode(), value.encode("latin-1")) for name, value in response.headers]
            await send({"type": "http.response.start", "status": response.status, "headers": headers})
            started = True
            async for chunk in response.chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
    except Problem as problem:
        if started:  # the server cuts the connection, which is how git learns that the answer is not whole
            _LOG.warning("git.broken_off", extra={"code": problem.code})
            raise ClientGone from problem
        await _refuse(send, problem)


async def _refuse(send: Send, problem: Problem) -> None:
    status = status_of(problem)
    body = f"{problem.text}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append(_CHALLENGE)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
