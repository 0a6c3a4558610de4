"""Accounts, repositories and roles for the tests of secrets, straight in the store."""

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nacl.public import PublicKey, SealedBox

from berth.adapters.sealer import Sealer
from berth.adapters.store import account as account_rows
from berth.adapters.store import collaborator as collaborator_rows
from berth.adapters.store import repository as repository_rows
from berth.adapters.store import team as team_rows
from berth.adapters.store.database import Store
from berth.domain.access import Subject
from berth.domain.access_token import TokenKind
from berth.domain.account import AccountType, OrganizationRole
from berth.domain.repository import Visibility
from berth.domain.role import Role
from berth.domain.scope import Scope, expand_scopes
from berth.domain.secret import SecretLevel, SecretVisibility
from berth.domain.workflow_permissions import parse_permissions
from berth.services.secret import SecretService
from berth.services.secret_access import SecretPlace
from berth.services.secret_change import SecretChange

ALL_SCOPES = frozenset({Scope.REPO, Scope.CODESPACE, Scope.ADMIN_ORG})
MINE = SecretPlace(level=SecretLevel.USER)
ACME = SecretPlace(level=SecretLevel.ORGANIZATION, owner="acme")
WEB = SecretPlace(level=SecretLevel.REPOSITORY, owner="acme", repository="web")


@dataclass
class TickingClock:
    """Moves on by a minute whenever it is read, so that a changed time shows; with a step of 0, only when told."""

    time: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    step: timedelta = timedelta(minutes=1)

    def now(self) -> datetime:
        self.time += self.step
        return self.time


@dataclass
class SecretWorld:
    """acme: owner olga, member mia, writer wim (team), reader rita (member of nothing but collaborator), outsider otto.

    Repositories: acme/web (private), acme/site (public), acme/docs (internal), otto/own (private).
    """

    store: Store
    sealer: Sealer
    service: SecretService
    clock: TickingClock
    accounts: dict[str, int] = field(default_factory=dict)
    repositories: dict[str, int] = field(default_factory=dict)

    def subject(self, login: str, *, scopes: frozenset[Scope] = ALL_SCOPES, codespace_of: str | None = None) -> Subject:
        return Subject(
            account_id=self.accounts[login],
            login=login,
            site_admin=False,
            token_kind=TokenKind.CODESPACE if codespace_of else TokenKind.PERSONAL,
            token_id=1,
            scopes=expand_scopes(scopes),
            codespace_id=1 if codespace_of else None,
            codespace_repository_id=self.repositories[codespace_of] if codespace_of else None,
        )

    def job(self, login: str, repository: str, *, contents: str = "none", packages: str = "none") -> Subject:
        """A job of the repository, with a workflow token that this login made."""
        return Subject(
            account_id=self.accounts[login],
            login=login,
            site_admin=False,
            token_kind=TokenKind.WORKFLOW,
            token_id=1,
            scopes=frozenset(),
            workflow_repository_id=self.repositories[repository],
            permissions=parse_permissions({"contents": contents, "packages": packages}),
        )

    def owner(self, login: str, place: SecretPlace) -> str:
        """The text of whose secrets they are; id 0 where the place does not exist."""
        found = {
            SecretLevel.USER: self.accounts[login],
            SecretLevel.ORGANIZATION: self.accounts.get(place.owner, 0),
            SecretLevel.REPOSITORY: self.repositories.get(f"{place.owner}/{place.repository}", 0),
        }
        return f"{place.level}/{found[place.level]}"

    def sealed(self, login: str, place: SecretPlace, value: str) -> SecretChange:
        key_id, box = self.seal(login, place, value)
        return SecretChange(encrypted_value=box, key_id=key_id)

    def seal(self, login: str, place: SecretPlace, value: str) -> tuple[str, str]:
        key_id, key = self.sealer.public_key(owner=self.owner(login, place))
        box = SealedBox(PublicKey(base64.b64decode(key))).encrypt(value.encode())
        return key_id, base64.b64encode(box).decode()

    async def put(
        self,
        login: str,
        place: SecretPlace,
        name: str,
        value: str | None = "value",
        *,
        visibility: SecretVisibility | None = None,
        repositories: tuple[str, ...] | None = None,
    ) -> bool:
        key_id, box = (None, None) if value is None else self.seal(login, place, value)
        ids = None if repositories is None else tuple(self.repositories[one] for one in repositories)
        change = SecretChange(encrypted_value=box, key_id=key_id, visibility=visibility, repository_ids=ids)
        return await self.service.put(self.subject(login), place, name, change)

    async def opened(self, login: str, repository: str) -> dict[tuple[str, str], str]:
        found = await self.service.open_for_codespace(self.accounts[login], self.repositories[repository])
        return {(secret.level.value, secret.name): secret.value.reveal() for secret in found.secrets}


async def make_secret_world(store: Store, folder: Path) -> SecretWorld:
    clock = TickingClock()
    sealer = Sealer(folder / "master-key", clock)
    service = SecretService(store=store, sealer=sealer, clock=clock)
    world = SecretWorld(store=store, sealer=sealer, service=service, clock=clock)
    now = clock.now()
    async with store.begin() as connection:
        for login in ("acme", "olga", "mia", "wim", "rita", "otto"):
            kind = AccountType.ORGANIZATION if login == "acme" else AccountType.USER
            account = await account_rows.insert_account(connection, login=login, kind=kind, now=now)
            world.accounts[login] = account.id
        ids = world.accounts
        await account_rows.set_membership(connection, ids["acme"], ids["olga"], OrganizationRole.ADMIN)
        for login in ("mia", "wim"):
            await account_rows.set_membership(connection, ids["acme"], ids[login], OrganizationRole.MEMBER)
        for name, visibility in (
            ("acme/web", Visibility.PRIVATE),
            ("acme/site", Visibility.PUBLIC),
            ("acme/docs", Visibility.INTERNAL),
            ("otto/own", Visibility.PRIVATE),
        ):
            owner, _, short = name.partition("/")
            world.repositories[name] = await repository_rows.insert_repository(
                connection,
                owner_id=ids[owner],
                name=short,
                description="",
                visibility=visibility,
                default_branch="main",
                now=now,
            )
        team = await team_rows.insert_team(
            connection, organization_id=ids["acme"], slug="writers", name="writers", description="", now=now
        )
        await team_rows.set_team_member(connection, team.id, ids["wim"], "member")
        for name in ("acme/web", "acme/site", "acme/docs"):
            await team_rows.set_team_repository(connection, team.id, world.repositories[name], Role.PUSH)
        await collaborator_rows.set_collaborator(connection, world.repositories["acme/web"], ids["rita"], Role.PULL)
    return world
