"""The registry's access and token services on a real store, with the people of `secret_world` and real tokens."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import delete, insert, select, update
from tests.secret_world import SecretWorld, make_secret_world

from berth.adapters.entropy_system import SystemEntropy
from berth.adapters.registry_token_jwt import RegistryTokenJWT
from berth.adapters.store import access_token as token_rows
from berth.adapters.store import codespace as codespace_rows
from berth.adapters.store import package as rows
from berth.adapters.store.database import Store
from berth.adapters.store.fresh import FreshCache
from berth.adapters.store.package import Asker, KnownPackage
from berth.adapters.store.package_tables import packages
from berth.adapters.store.tables import access_tokens, audit_log
from berth.domain.access_token import TokenKind, hash_token, make_token
from berth.domain.package import PackageName
from berth.domain.repository import Visibility
from berth.domain.scope import parse_scopes
from berth.domain.secret_text import SecretText
from berth.domain.workflow_permissions import parse_permissions
from berth.services.access_token import CODESPACE_SCOPES, AccessTokenService
from berth.services.registry_access import Caller, RegistryAccess
from berth.services.registry_token import RegistryTokenService

LIFETIME_S = 300


@dataclass
class StillClock:
    """Stands until it is moved. It begins now: the signer asks the machine's own clock whether a token has expired."""

    time: datetime = field(default_factory=lambda: datetime.now(UTC))

    def now(self) -> datetime:
        return self.time

    def move(self, **by: float) -> None:
        self.time += timedelta(**by)


@dataclass
class RegistryAccessWorld:
    """acme: owner olga, member mia, writer wim (team writers), reader rita (by name on acme/web), outsider otto.

    acme/web is private, acme/site public, acme/docs internal, otto/own private.
    """

    people: SecretWorld
    clock: StillClock
    signer: RegistryTokenJWT
    access: RegistryAccess
    tokens: RegistryTokenService
    _numbers: Any = field(default_factory=count)

    @property
    def store(self) -> Store:
        return self.people.store

    async def personal(self, login: str, *scopes: str, expires_at: datetime | None = None) -> SecretText:
        """A personal token of these scopes."""
        return await self._token(login, TokenKind.PERSONAL, scopes=parse_scopes(scopes), expires_at=expires_at)

    async def job(self, login: str, repository: str, packages: str = "write") -> SecretText:
        """The token of a job of the repository, made by this login."""
        permissions = parse_permissions({"packages": packages})
        repository_id = self.people.repositories[repository]
        return await self._token(login, TokenKind.WORKFLOW, repository_id=repository_id, permissions=permissions)

    async def codespace(self, login: str, repository: str) -> SecretText:
        """The token of a codespace of the repository."""
        async with self.store.begin() as connection:
            made = await codespace_rows.insert_codespace(
                connection,
                {
                    "name": f"cs-{next(self._numbers)}",
                    "display_name": "",
                    "environment_id": "",
                    "owner_id": self.people.accounts[login],
                    "repository_id": self.people.repositories[repository],
                    "ref": "main",
                    "machine": "",
                    "location": "",
                    "idle_timeout_minutes": 30,
                    "retention_period_minutes": 0,
                    "created_at": self.clock.now(),
                    "updated_at": self.clock.now(),
                    "last_used_at": self.clock.now(),
                },
            )
        return await self._token(login, TokenKind.CODESPACE, scopes=CODESPACE_SCOPES, codespace_id=made.id)

    async def _token(self, login: str, kind: TokenKind, **values: Any) -> SecretText:
        value = make_token(kind, SystemEntropy().token_bytes(32))
        given = {"scopes": frozenset(), "expires_at": None, **values}
        async with self.store.begin() as connection:
            await token_rows.insert_token(
                connection,
                value,
                kind=kind,
                account_id=self.people.accounts[login],
                note="",
                now=self.clock.now(),
                **given,
            )
        return value

    async def who(self, name: str) -> SecretText | None:
        """`anonymous`; `login` or `login scope,scope`; `login@owner/name` in a codespace; `login job owner/name write`."""
        if name == "anonymous":
            return None
        if " job " in name:
            login, _job, repository, packages = name.split()
            return await self.job(login, repository, packages)
        login, at, repository = name.partition("@")
        if at:
            return await self.codespace(login, repository)
        login, _, scopes = name.partition(" ")
        return await self.personal(login, *(scopes or "read:packages,write:packages,delete:packages").split(","))

    async def revoke(self, value: SecretText) -> None:
        hashed = hash_token(value)
        async with self.store.begin() as connection:
            await connection.execute(delete(access_tokens).where(access_tokens.c.hash == hashed))

    async def caller(self, password: SecretText | None, *scopes: str) -> Caller:
        """Who shows a registry token that was just made for these scopes."""
        return await self.access.authenticate(await self.issue(password, *scopes), "")

    async def issue(self, password: SecretText | None, *scopes: str) -> str:
        return (await self.tokens.issue(password, scopes)).value.reveal()

    async def package(
        self, full_name: str, visibility: Visibility = Visibility.PRIVATE, *, linked: str | None = None, **values: Any
    ) -> int:
        """A published package; `linked` to a repository, with inheritance on unless `inherits_access` says otherwise."""
        owner, _, name = full_name.partition("/")
        given = {
            "owner_id": self.people.accounts[owner],
            "name": name,
            "visibility": visibility,
            "inherits_access": linked is not None,
            "repository_id": None if linked is None else self.people.repositories[linked],
            "creator_token_id": 0,
            "created_at": self.clock.now(),
            "updated_at": self.clock.now(),
            "published_at": self.clock.now(),
            **values,
        }
        async with self.store.begin() as connection:
            statement = insert(packages).values(**given).returning(packages.c.id)
            return int((await connection.execute(statement)).scalar_one())

    async def change(self, package_id: int, **values: object) -> None:
        async with self.store.begin() as connection:
            await connection.execute(update(packages).where(packages.c.id == package_id).values(**values))

    async def known(self, full_name: str, login: str | None = None) -> KnownPackage | None:
        """The live package of this name, with the facts about an account."""
        owner, _, name = full_name.partition("/")
        asker = Asker(None if login is None else self.people.accounts[login])
        async with self.store.read() as connection:
            return await rows.find_known_package(connection, asker, PackageName(owner, name))

    async def audited(self) -> list[tuple[str, str, str, str]]:
        """Actor, action, target and detail of every row."""
        columns = (audit_log.c.actor_login, audit_log.c.action, audit_log.c.target, audit_log.c.detail)
        async with self.store.read() as connection:
            return [tuple(row) for row in await connection.execute(select(*columns).order_by(audit_log.c.id))]


@asynccontextmanager
async def make_registry_access_world(store: Store, folder: Path) -> AsyncIterator[RegistryAccessWorld]:
    people = await make_secret_world(store, folder)
    clock = StillClock()
    signer = RegistryTokenJWT(folder / "master-key")
    tokens = AccessTokenService(store=store, clock=clock, entropy=SystemEntropy())
    cache = FreshCache(store)
    yield RegistryAccessWorld(
        people=people,
        clock=clock,
        signer=signer,
        access=RegistryAccess(store=store, clock=clock, cache=cache, signer=signer, tokens=tokens),
        tokens=RegistryTokenService(store=store, clock=clock, signer=signer, tokens=tokens, lifetime_s=LIFETIME_S),
    )
    await cache.close()
