"""What a server has on its own machine: folder, database, keys, address; and what an administrator's commands do with them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from berth.adapters.clock_system import SystemClock
from berth.adapters.entropy_system import SystemEntropy
from berth.adapters.sealer import Sealer
from berth.adapters.store.database import Store
from berth.domain.problem import Invalid
from berth.listen_address import TCPAddress
from berth.services.access_token import AccessTokenService
from berth.services.secret import SecretService
from berth.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """What an administrator's commands on the server's own machine work with, beside a running server."""

    tokens: AccessTokenService
    secrets: SecretService
    sealer: Sealer
    migrated: bool  # the database was behind


@asynccontextmanager
async def open_local(settings: Settings) -> AsyncIterator[Local]:
    """The store and the keys of this machine's server, without starting anything."""
    clock, store, sealer = SystemClock(), open_store(settings), make_sealer(settings)
    try:
        migrated = await store.migrate()
        yield Local(
            tokens=AccessTokenService(store=store, clock=clock, entropy=SystemEntropy()),
            secrets=SecretService(store=store, sealer=sealer, clock=clock),
            sealer=sealer,
            migrated=migrated,
        )
    finally:
        await store.close()


def data_dir(settings: Settings) -> Path:
    """The data folder, for its owner only. Raises Invalid."""
    data = settings.data_dir.resolve()
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        data.chmod(0o700)  # the database in it is readable by whoever gets in here
    except OSError as error:
        raise Invalid(f"{data} cannot be used: {error.strerror}.", field="DATA_DIR", code="settings") from error
    return data


def open_store(settings: Settings) -> Store:
    return Store(
        settings.database_url.reveal() if settings.database_url else f"sqlite:///{data_dir(settings)}/berth.db"
    )


def keyring(settings: Settings) -> Path:
    return settings.master_key_file or data_dir(settings) / "master-key"


def make_sealer(settings: Settings) -> Sealer:
    return Sealer(keyring(settings), SystemClock())


def own_origin(settings: Settings) -> str:
    """What codespaces call us by, if EXTERNAL_URL does not say it: the first address that we listen on."""
    for address in settings.listen:
        if isinstance(address, TCPAddress):
            scheme = "https" if settings.has_tls(address) else "http"
            host = f"[{address.host}]" if ":" in address.host else address.host
            return f"{scheme}://{host}:{address.port}"
    raise Invalid(
        "A server that listens on a unix socket only needs EXTERNAL_URL: codespaces must know how to call it.",
        field="EXTERNAL_URL",
        code="settings",
    )
