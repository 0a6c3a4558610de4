"""The doctor over real HTTP: the service and its clients as they are, every other party on loopback, over TLS, under its own name.

One server answers for all names; whom it plays is said by `answers`, where a name leads by `resolve` and `dns`.
"""

import socket
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.codespace_world import OWN_HOST, CodespaceWorld, make_codespace_world
from tests.fakes.certificates import Authority
from tests.fakes.http_server import Asked, Handler, HTTPServer, Reply
from tests.secret_world import ACME, MINE, WEB

from berth.adapters.ecr_http import EcrHTTP
from berth.adapters.entropy_system import SystemEntropy
from berth.adapters.guarded_http import Endpoint, GuardedHTTP, GuardedHTTPSettings
from berth.adapters.registry_http import RegistryHTTP
from berth.adapters.store.database import Store
from berth.domain.doctor import Diagnosis
from berth.domain.secret import SecretLevel, SecretVisibility
from berth.services.doctor import DoctorService
from berth.services.image_probe import ImageProbe, Patience
from berth.services.package_refusal import PackageRefusals
from berth.services.ports import EcrAPI, RegistryClient
from berth.services.registry_credential import RegistryCredentialService
from berth.services.registry_credential_swap import RegistryCredentialSwap

REPOSITORY = "acme/web"
IMPATIENT = GuardedHTTPSettings(resolve_timeout_s=0.2, connect_timeout_s=3, read_timeout_s=0.3)
_PLACES = {SecretLevel.USER: MINE, SecretLevel.REPOSITORY: WEB, SecretLevel.ORGANIZATION: ACME}
_Place = tuple[SecretLevel, str]


@dataclass(frozen=True, kw_only=True)
class Triple:
    """Three secrets of one level and prefix; those that are empty are not stored. `shared`: with the repository."""

    server: str
    user: str = "ana"
    password: str = ""
    level: SecretLevel = SecretLevel.REPOSITORY
    prefix: str = "P"
    session_token: str = ""
    shared: bool = True

    def secrets(self) -> Mapping[_Place, tuple[str, bool]]:
        parts = {
            "SERVER": self.server,
            "USER": self.user,
            "PASSWORD": self.password,
            "SESSION_TOKEN": self.session_token,
        }
        name = f"{self.prefix}_CONTAINER_REGISTRY_"
        return {(self.level, name + part): (value, self.shared) for part, value in parts.items() if value}


@dataclass
class OffClock:
    """Of this machine, or beside it."""

    ahead: timedelta = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass
class DoctorWorld:
    """Who is asked, and how it is done. acme/web is the repository, olga an owner of acme."""

    codespaces: CodespaceWorld
    authority: Authority
    resources: AsyncExitStack
    answers: dict[str, Handler] = field(default_factory=dict)  # host, as in an image's name → who it is
    resolve: dict[str, Endpoint] = field(default_factory=dict)
    dns: dict[str, Sequence[str]] = field(default_factory=dict)  # what is in neither has no address
    slow: set[str] = field(default_factory=set)  # names for which the answer comes too late
    clock: OffClock = field(default_factory=OffClock)
    stored: dict[_Place, tuple[str, bool]] = field(default_factory=dict)
    looked_up: list[str] = field(default_factory=list)
    clients: dict[bool, GuardedHTTP] = field(default_factory=dict)

    def answer(self, asked: Asked) -> Reply:
        return self.answers[asked.headers["host"]](asked)

    def client(self, *, impatient: bool = False) -> GuardedHTTP:
        """One of each kind: to make one takes longer than to ask."""
        if impatient not in self.clients:
            bounds = IMPATIENT if impatient else GuardedHTTPSettings()
            settings = replace(bounds, resolve=self.resolve, ca_file=self.authority.ca_file)
            self.clients[impatient] = GuardedHTTP(settings, resolver=self.find)
            self.resources.callback(self.clients[impatient].close)
        return self.clients[impatient]

    def find(self, name: str, port: int) -> Sequence[str]:
        self.looked_up.append(name)
        if name in self.slow:
            time.sleep(0.6)
        if name not in self.dns:
            raise socket.gaierror(name)
        return self.dns[name]

    def doctor(self, *, impatient: bool = False, bounds: Mapping[str, float] | None = None) -> DoctorService:
        """A new one, that remembers no token."""
        http = self.client(impatient=impatient)
        return self.doctor_with(RegistryHTTP(http), EcrHTTP(http, clock=self.clock), bounds or {})

    def doctor_with(self, registry: RegistryClient, ecr: EcrAPI, bounds: Mapping[str, float]) -> DoctorService:
        store, secrets = self.codespaces.store, self.codespaces.secrets
        swaps = RegistryCredentialSwap(ecr=ecr, clock=self.clock, entropy=SystemEntropy(), delays_s=(0, 0))
        self.resources.push_async_callback(swaps.close)
        return DoctorService(
            store=store,
            clock=secrets.clock,
            probe=ImageProbe(
                registry=registry, engine=self.codespaces.engine, swaps=swaps, patience=Patience(**bounds)
            ),
            credentials=RegistryCredentialService(store=store, secrets=secrets.service, swaps=swaps, own_host=OWN_HOST),
            refusals=PackageRefusals(store=store, tokens=self.codespaces.tokens, own_host=OWN_HOST),
            own_host=OWN_HOST,
        )

    async def examine(self, image: str, *, login: str = "olga", doctor: DoctorService | None = None) -> Diagnosis:
        owner, _, name = REPOSITORY.partition("/")
        return await (doctor or self.doctor()).examine(self.codespaces.secrets.subject(login), owner, name, image)

    async def become(self, *triples: Triple) -> None:
        """Store exactly these; what is stored already stays as it is."""
        wanted = {place: value for triple in triples for place, value in triple.secrets().items()}
        secrets = self.codespaces.secrets
        for level, name in self.stored.keys() - wanted.keys():
            await secrets.service.delete(secrets.subject("olga"), _PLACES[level], name)
        for (level, name), (value, shared) in wanted.items():
            if self.stored.get((level, name)) == (value, shared):
                continue
            visibility = SecretVisibility.ALL if level is SecretLevel.ORGANIZATION else None
            repositories = ((REPOSITORY,) if shared else ("acme/site",)) if level is SecretLevel.USER else None
            await secrets.put("olga", _PLACES[level], name, value, visibility=visibility, repositories=repositories)
        self.stored = wanted


@asynccontextmanager
async def open_doctor_world(store: Store, folder: Path, answers: Mapping[str, Handler]) -> AsyncIterator[DoctorWorld]:
    """With these parties, each at its name."""
    names = sorted({host.partition(":")[0] for host in answers})
    authority = Authority(folder)
    codespaces = await make_codespace_world(store, folder)
    async with AsyncExitStack() as resources:
        world = DoctorWorld(codespaces, authority, resources, answers=dict(answers))
        context = authority.server_context(*names)
        server = await resources.enter_async_context(HTTPServer.run(world.answer, tls=context))
        world.resolve = {name: Endpoint("127.0.0.1", server.port) for name in names}
        yield world
