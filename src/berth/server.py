"""Running a server: its sockets, its first start, its orderly end. What it is made of is `wiring`'s business."""

import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket
import ssl
import stat
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import uvicorn

from berth.adapters.log_lines import set_up_logging
from berth.adapters.sealer import HEADER_BYTES
from berth.domain.exec_frame import MAX_MESSAGE_BYTES
from berth.domain.problem import Invalid, Problem, UpstreamFailed
from berth.domain.secret_text import SecretText
from berth.event_loop import EventLoop
from berth.http_protocol import BerthConnection
from berth.listen_address import TCPAddress, UnixAddress
from berth.local import open_local
from berth.settings import Settings
from berth.socket_protocol import BerthSocket
from berth.wiring.server import Berth, make_berth

_BACKLOG = 512
_GRACE_S = 5
_DESCRIPTORS = 65_536
_LOG = logging.getLogger(__name__)


def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT. Raises a Problem for what keeps the server from starting."""
    set_up_logging()
    _allow_connections()
    if asyncio.run(_migrate(settings)):
        # The tools for that stay in memory: begin anew without them.
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606
    with asyncio.Runner(loop_factory=EventLoop) as runner:
        runner.run(_serve(settings))


def _allow_connections() -> None:
    """As many file descriptors as the system lets us have: the usual 1024 are few, one client could hold them all.

    The bound is for what a process inherits that looks at each of them. Where it cannot be raised it stays.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def new_admin_token(settings: Settings) -> None:
    """Write a new administrator's token to DATA_DIR; the old one ends. The server may be running."""
    token = asyncio.run(_new_admin_token(settings))
    write_token(settings.admin_token_file, token)


async def _migrate(settings: Settings) -> bool:
    async with open_local(settings) as local:
        return local.migrated


async def _new_admin_token(settings: Settings) -> SecretText:
    async with open_local(settings) as local:
        return await local.tokens.renew_site_admin_token()


def rotate_key(settings: Settings) -> str:
    """Make a new master key, wrap all data keys with it, drop old keys that nothing needs. The server may be running."""
    return asyncio.run(_rotate_key(settings))


async def _rotate_key(settings: Settings) -> str:
    async with open_local(settings) as local:
        key_id = local.sealer.rotate()
        report = await local.secrets.rewrap_all()
        if report.failed:
            raise UpstreamFailed(
                f"Key {key_id} is the newest now, but some secrets open with no key: {' '.join(report.failed)}",
                code="secret.undecryptable",
                remedy="Restore the master key file that they were stored with and run this again, or set them again.",
            )
        dropped = local.sealer.drop_retired(await local.secrets.value_headers(HEADER_BYTES))
    gone = f" Dropped {', '.join(dropped)}." if dropped else ""
    return f"Key {key_id} is the newest now; {report.rewrapped} secrets were wrapped with it.{gone}"


async def _serve(settings: Settings) -> None:
    berth = await make_berth(settings)
    try:
        sockets = [(_listen(address), address) for address in settings.listen]
        await _first_start(berth, settings)
        await _check_engine(berth, settings)
        check_proxies(settings)
        servers = [_server(berth, settings, address) for _, address in sockets]
        async with berth.running():
            for bound, address in sockets:
                _LOG.info("server.listening", extra={"url": _url(bound, settings, address)})
            runs = zip(servers, sockets, strict=True)
            with _outliving_sigterm(servers):
                await asyncio.gather(*(server.serve(sockets=[bound]) for server, (bound, _) in runs))
    finally:
        await berth.close()
        for address in settings.listen:
            if isinstance(address, UnixAddress):
                address.path.unlink(missing_ok=True)


@contextlib.contextmanager
def _outliving_sigterm(servers: Sequence[uvicorn.Server]) -> Iterator[None]:
    """A uvicorn that SIGTERM ended raises it once more: that would end the process before the background work has ended."""

    def end(*_: object) -> None:
        for server in servers:
            server.should_exit = True

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


async def _first_start(berth: Berth, settings: Settings) -> None:
    """The site administrator's token, once."""
    token = await berth.services.access_tokens.ensure_site_admin()
    if token is not None:
        write_token(settings.admin_token_file, token)
        _LOG.info("server.first_start", extra={"admin_token_file": str(settings.admin_token_file)})


async def _check_engine(berth: Berth, settings: Settings) -> None:
    """The server starts without an engine, but says that no codespace will."""
    try:
        await berth.engine.ping()
    except Problem:
        remedy = "start Docker, or set BERTH_DOCKER_HOST; codespaces wait until it answers"
        _LOG.warning("server.no_engine", extra={"docker_host": settings.docker_host, "remedy": remedy})


def check_proxies(settings: Settings) -> None:
    """Who is reached by https and does not speak it stands behind a proxy, and should know which."""
    is_https = settings.external_url is not None and settings.external_url.startswith("https://")
    if is_https and not settings.trusted_proxies and not any(map(settings.has_tls, settings.listen)):
        remedy = "set BERTH_TRUSTED_PROXIES (docs/proxy.md); until then all visitors count as one"
        _LOG.warning("server.no_trusted_proxies", extra={"external_url": settings.external_url, "remedy": remedy})


def write_token(path: Path, token: SecretText) -> None:
    """Write a token to a file that only its owner may read, whole or not at all."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IRUSR | stat.S_IWUSR)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{token.reveal()}\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)


def _server(berth: Berth, settings: Settings, address: TCPAddress | UnixAddress) -> uvicorn.Server:
    tls = settings.has_tls(address)
    config = uvicorn.Config(
        berth.app,
        loop="none",  # we run in ours
        http=partial(BerthConnection, at_once=berth.at_once),  # type: ignore[arg-type]  # it makes one of a Protocol; the event loop takes it as it is
        ws=BerthSocket,
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_per_message_deflate=False,
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,  # who we are is EXTERNAL_URL's to say, not a header's
        timeout_graceful_shutdown=_GRACE_S,
        ssl_certfile=settings.tls_cert if tls else None,
        ssl_keyfile=settings.tls_key if tls else None,
        backlog=_BACKLOG,
    )
    config.load()
    if config.ssl is not None:
        # Who asks knows what his processor is quick at: docker asks for AES-128 first, which costs us a third less than what
        # OpenSSL would insist on, a phone for ChaCha20.
        config.ssl.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    return uvicorn.Server(config)


def _listen(address: TCPAddress | UnixAddress) -> socket.socket:
    """A listening socket. Raises Invalid naming the address."""
    try:
        if isinstance(address, UnixAddress):
            return _listen_on_path(address.path)
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((address.host, address.port))
    except OSError as error:
        raise Invalid(
            f"Berth cannot listen on {_shown(address)}: {error.strerror or error}.",
            field="LISTEN",
            code="server.listen",
            remedy="Stop what uses it, or set BERTH_LISTEN to another address.",
        ) from error
    return bound


def _listen_on_path(path: Path) -> socket.socket:
    """A socket in the file system for its owner and group; a dead one of an earlier server is replaced."""
    if path.is_socket():
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as probe:
            if probe.connect_ex(str(path)) == 0:
                raise OSError(None, "another server listens there")
        path.unlink()
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    bound.bind(str(path))
    path.chmod(0o660)
    return bound


def _shown(address: TCPAddress | UnixAddress, port: int | None = None) -> str:
    """The address as people write it; `port` is the one that the system chose."""
    if isinstance(address, UnixAddress):
        return f"unix:{address.path}"
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{host}:{address.port if port is None else port}"


def _url(bound: socket.socket, settings: Settings, address: TCPAddress | UnixAddress) -> str:
    """What to log in to."""
    if isinstance(address, UnixAddress):
        return _shown(address)
    scheme = "https" if settings.has_tls(address) else "http"
    return f"{scheme}://{_shown(address, bound.getsockname()[1])}"
