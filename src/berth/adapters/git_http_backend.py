"""git's smart HTTP protocol, spoken by `git http-backend` as a CGI program. Source: git-http-backend(1), RFC 3875.

Both bodies are streamed. A gzip request body is inflated by the program itself.
"""

import asyncio
import contextlib
import re
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from berth.adapters.git_process import CONFIGURATION, git_environment, kill_group
from berth.domain.problem import UpstreamFailed
from berth.services.ports import GitRequest, GitResponse

_CHUNK_BYTES = 64 * 1024
_PROTOCOL = re.compile(r"[a-z0-9=:.-]{1,100}")
_HEADERS = frozenset({"content-type", "cache-control", "expires", "pragma"})
_SETTINGS = CONFIGURATION | {"receive.fsckObjects": "true", "http.uploadpack": "true", "receive.hideRefs": "refs/pull"}
MAX_PUSH_BYTES = 2 * 1024**3  # counted after inflation. Source: GitHub docs, "Troubleshooting the 2 GB push limit"
_PATIENCE_S = 3


class GitHTTPBackend:
    """The port GitBackend. A push of more than `max_push_bytes` is refused, and what came of it is removed."""

    def __init__(self, *, max_push_bytes: int = MAX_PUSH_BYTES) -> None:
        self._settings = _SETTINGS | {"receive.maxInputSize": str(max_push_bytes)}

    @asynccontextmanager
    async def serve(self, request: GitRequest, body: AsyncIterator[bytes]) -> AsyncIterator[GitResponse]:
        try:
            process = await asyncio.create_subprocess_exec(
                "git",
                "http-backend",
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                env=_environment(request, self._settings),
                start_new_session=True,
                limit=_CHUNK_BYTES,
            )
        except OSError as error:
            raise UpstreamFailed("git cannot be started.", code="git.missing") from error
        feeder = asyncio.create_task(_feed(process, body))
        try:
            status, headers = await _read_head(process, feeder)
            yield GitResponse(status=status, headers=headers, chunks=_chunks(process, feeder))
        finally:
            feeder.cancel()
            await (_end(process) if request.service_path == "git-receive-pack" else kill_group(process))
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await feeder


def _environment(request: GitRequest, settings: Mapping[str, str]) -> dict[str, str]:
    variables = {
        "GIT_PROJECT_ROOT": str(request.repository.parent),
        "PATH_INFO": f"/{request.repository.name}/{request.service_path}",
        "GIT_HTTP_EXPORT_ALL": "1",
        "REQUEST_METHOD": request.method,
        "QUERY_STRING": request.query,
        "CONTENT_TYPE": request.content_type,
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "GIT_CONFIG_COUNT": str(len(settings)),
    }
    for index, (name, value) in enumerate(settings.items()):
        variables |= {f"GIT_CONFIG_KEY_{index}": name, f"GIT_CONFIG_VALUE_{index}": value}
    if request.content_encoding in {"gzip", "x-gzip"}:
        variables["HTTP_CONTENT_ENCODING"] = "gzip"
    if _PROTOCOL.fullmatch(request.protocol):
        variables["GIT_PROTOCOL"] = request.protocol
    if request.login:
        variables["REMOTE_USER"] = request.login  # what lets http-backend receive a push
    return git_environment(variables)


async def _end(process: Process) -> None:
    """Nothing more comes: receive-pack then removes what it has of a broken push. Killed at once, it would leave it."""
    assert process.stdin is not None  # noqa: S101 it was asked for
    if process.returncode is None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                await process.wait()
    await kill_group(process)


async def _feed(process: Process, body: AsyncIterator[bytes]) -> None:
    """The request's body into the program. Its end, not a Content-Length, tells the program that this was all.

    Half a body, when the client goes away, does not look like a whole one: a push's commands end with a packet of their
    own, a pack with a checksum, a gzip body with its length.
    """
    assert process.stdin is not None  # noqa: S101 it was asked for
    try:
        async for chunk in body:
            process.stdin.write(chunk)
            await process.stdin.drain()
    except (BrokenPipeError, ConnectionResetError):
        return  # it had read what it wanted
    finally:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.close()


async def _read_head(process: Process, feeder: asyncio.Task[None]) -> tuple[int, tuple[tuple[str, str], ...]]:
    assert process.stdout is not None  # noqa: S101 it was asked for
    status = 200
    headers: list[tuple[str, str]] = []
    while True:
        line = (await process.stdout.readline()).decode("latin-1")
        if not line:
            if feeder.done() and not feeder.cancelled():
                feeder.result()  # the client went away, or sent what cannot be read
            raise UpstreamFailed("git ended without an answer.", code="git.failed")
        name, _, value = line.rstrip("\r\n").partition(":")
        if not name:
            return status, tuple(headers)
        if name.lower() == "status":
            status = int(value.split()[0])
        elif name.lower() in _HEADERS:
            headers.append((name.lower(), value.strip()))


async def _chunks(process: Process, feeder: asyncio.Task[None]) -> AsyncIterator[bytes]:
    assert process.stdout is not None  # noqa: S101 it was asked for
    while chunk := await process.stdout.read(_CHUNK_BYTES):
        yield chunk
    if feeder.done() and not feeder.cancelled():
        feeder.result()
    if await process.wait():
        raise UpstreamFailed("git failed in the middle of its answer.", code="git.failed")
