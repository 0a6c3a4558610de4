"""What people do with secrets, and what a launch gets of them.

Every change is one transaction that holds the owner's lock, so that limits and names stay exact under concurrency.
Values come in sealed and are stored encrypted; no method but those that open them gives one out, and no edge calls these.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import audit
from berth.adapters.store import codespace_access as access_rows
from berth.adapters.store import credential_refresh as refresh_rows
from berth.adapters.store import repository as repository_rows
from berth.adapters.store import secret as rows
from berth.adapters.store.database import Store
from berth.domain.access import Subject, role_without_token
from berth.domain.codespace_access import decide_access
from berth.domain.notification import WITHHELD
from berth.domain.problem import Conflict, Invalid, UpstreamFailed
from berth.domain.registry_triple import is_of_triple
from berth.domain.repository import Repository, Visibility
from berth.domain.role import Role
from berth.domain.secret import (
    MAX_SECRETS_PER_OWNER,
    LevelledSecret,
    SecretLevel,
    SecretVersion,
    SecretVisibility,
    parse_secret_name,
)
from berth.domain.secret_text import SecretText
from berth.services.ports import Clock, Sealer
from berth.services.secret_access import SecretOwner, SecretPlace, find_owner, may_list, not_found
from berth.services.secret_change import SecretChange, check_change, check_count, check_value
from berth.services.secret_selection import check_selection, check_selection_size, find_selectable, reaches

_REWRAP_PAGE = 100
_NO_WRITE = f"{WITHHELD}: they go only to users who may write to the repository, a right that its administrators give."
_SUSPENDED = f"{WITHHELD}: the user is suspended."
_NO_CODESPACES = f"{WITHHELD}: the organization does not let this user have codespaces of its repositories."


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretView:
    """What answers show of a secret: everything but its value."""

    name: str
    visibility: SecretVisibility | None
    created_at: datetime
    updated_at: datetime


class Put(NamedTuple):
    """What became of one change."""

    created: bool
    version: SecretVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedSecrets:
    """The secrets of one codespace. `withheld_reason` is empty unless the user gets none by rule (S6)."""

    secrets: tuple[LevelledSecret, ...]
    owners: Mapping[SecretLevel, int] = field(default_factory=dict)  # whose those of each level are
    withheld_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RewrapReport:
    """What a pass over all rows did. `failed` names the secrets that no master key opens."""

    rewrapped: int
    failed: tuple[str, ...]


class SecretService:
    """Use cases of secrets at all three levels. Who may: `secret_access.py`."""

    def __init__(self, *, store: Store, sealer: Sealer, clock: Clock) -> None:
        self._store = store
        self._sealer = sealer
        self._clock = clock

    async def public_key(self, subject: Subject, place: SecretPlace) -> tuple[str, str]:
        """(key id, base64 of the key) to seal this owner's values with. They open as no other owner's."""
        async with self._store.read() as connection:
            owner = await find_owner(connection, subject, place, write=False)
        return self._sealer.public_key(owner=owner.text)

    async def seal(
        self, subject: Subject, place: SecretPlace, values: Sequence[SecretText]
    ) -> tuple[str, tuple[str, ...]]:
        """(key id, the values sealed) of what was typed into our own pages: it goes on as if a client had sealed it."""
        async with self._store.read() as connection:
            owner = await find_owner(connection, subject, place, write=True)
        return self._sealer.seal(values, owner=owner.text)

    async def list_names(
        self, subject: Subject, place: SecretPlace, *, limit: int, offset: int
    ) -> tuple[list[SecretView], int]:
        """A page by name, and how many there are."""
        async with self._store.read() as connection:
            owner = await find_owner(connection, subject, place, write=False)
            found, total = await rows.list_secrets(connection, owner.level, owner.id, limit=limit, offset=offset)
        return [_view(stored) for stored in found], total

    async def get(self, subject: Subject, place: SecretPlace, name: str) -> SecretView:
        async with self._store.read() as connection:
            owner = await find_owner(connection, subject, place, write=False)
            return _view(await _get_stored(connection, owner, name))

    async def put(self, subject: Subject, place: SecretPlace, name: str, change: SecretChange) -> bool:
        """Create (True) or update (False). What an update does not say stays as it is.

        Raises Invalid, LimitReached (S2), and what `find_owner` raises. Source: GITHUB_API section 3.3 of the references.
        """
        return (await self.put_together(subject, place, {name: change}))[0].created

    async def put_together(
        self,
        subject: Subject,
        place: SecretPlace,
        changes: Mapping[str, SecretChange],
        *,
        gone: Collection[str] = (),
        replace: bool = True,
    ) -> list[Put]:
        """All of them in one transaction, or none. What is in `gone` is deleted, if it is there.

        Raises as `put`; without `replace` Conflict, if one is there already.
        """
        async with self._store.begin() as connection:
            owner = await self._lock(connection, subject, place)
            done = [
                await self._put(connection, subject, owner, name, change, replace=replace)
                for name, change in changes.items()
            ]
            for name in gone:
                stored = await rows.find_secret(connection, owner.level, owner.id, parse_secret_name(name))
                if stored is not None:
                    await rows.delete_secret(connection, stored.id)
                    await self._audit(connection, subject, owner, stored.name, "delete")
        return done

    async def _put(
        self,
        connection: AsyncConnection,
        subject: Subject,
        owner: SecretOwner,
        name: str,
        change: SecretChange,
        *,
        replace: bool,
    ) -> Put:
        name = parse_secret_name(name)
        check_change(owner, change)
        stored = await rows.find_secret(connection, owner.level, owner.id, name)
        if stored is not None and not replace:
            raise _exists(owner, name)
        values = self._new_values(owner, name, change, create=stored is None)
        ids = change.repository_ids
        wanted = None if ids is None else await check_selection(connection, subject, owner, ids)
        if stored is None:
            await check_count(connection, owner)
            version = await rows.insert_secret(connection, owner.level, owner.id, values)
        else:
            version = await rows.update_secret(connection, stored.id, values)
        if wanted is not None or values["visibility"] is not SecretVisibility.SELECTED:
            await rows.remove_from_selection(connection, version.secret_id)
            await rows.add_to_selection(connection, version.secret_id, wanted or ())
        await self._audit(connection, subject, owner, name, "update" if stored else "create")
        return Put(stored is None, version)

    def _new_values(self, owner: SecretOwner, name: str, change: SecretChange, *, create: bool) -> dict[str, Any]:
        now = self._clock.now()
        visibility = SecretVisibility.SELECTED if owner.level is SecretLevel.USER else change.visibility
        values: dict[str, Any] = {"visibility": visibility, "updated_at": now}
        if create:
            values |= {"name": name, "created_at": now}
        if change.encrypted_value is not None:
            value = self._sealer.open_sealed(change.key_id or "", change.encrypted_value, owner=owner.text)
            check_value(value)
            values["value"] = self._sealer.encrypt(value, context=owner.context(name))
        elif create:
            raise Invalid(
                "A new secret needs an encrypted_value.",
                field="encrypted_value",
                reason="missing_field",
                code="secret.value_missing",
            )
        return values

    async def delete(self, subject: Subject, place: SecretPlace, name: str) -> None:
        async with self._store.begin() as connection:
            owner = await self._lock(connection, subject, place)
            stored = await _get_stored(connection, owner, name)
            await rows.delete_secret(connection, stored.id)
            await self._audit(connection, subject, owner, stored.name, "delete")

    async def list_repositories(
        self, subject: Subject, place: SecretPlace, name: str, *, limit: int, offset: int
    ) -> tuple[list[Repository], int]:
        """A page of the selected repositories, by id; those that the caller cannot see (any more) are left out (A13)."""
        async with self._store.read() as connection:
            owner = await find_owner(connection, subject, place, write=False)
            stored = await _get_stored(connection, owner, name)
            selected = await rows.list_selection(connection, stored.id)
            visible = sorted(await find_selectable(connection, subject, owner, selected))
            page = visible[offset : offset + limit]
            found = await repository_rows.find_repositories_by_ids(connection, set(page))
        return [found[repository_id] for repository_id in page], len(visible)

    async def set_repositories(
        self, subject: Subject, place: SecretPlace, name: str, repository_ids: Iterable[int]
    ) -> None:
        """Replace the selection. Raises Conflict unless the secret is for selected repositories. `updated_at` stays."""
        async with self._store.begin() as connection:
            owner, stored = await self._lock_selected(connection, subject, place, name)
            wanted = await check_selection(connection, subject, owner, tuple(repository_ids))
            await rows.remove_from_selection(connection, stored.id)
            await rows.add_to_selection(connection, stored.id, wanted)
            await self._audit(connection, subject, owner, stored.name, "select_repositories")

    async def add_repository(self, subject: Subject, place: SecretPlace, name: str, repository_id: int) -> None:
        """Nothing happens if it is selected already. Raises as `set_repositories`."""
        async with self._store.begin() as connection:
            owner, stored = await self._lock_selected(connection, subject, place, name)
            await check_selection(connection, subject, owner, (repository_id,))
            selected = await rows.list_selection(connection, stored.id)
            if repository_id in selected:
                return
            check_selection_size(len(selected) + 1)
            await rows.add_to_selection(connection, stored.id, (repository_id,))
            await self._audit(connection, subject, owner, stored.name, "select_repositories")

    async def remove_repository(self, subject: Subject, place: SecretPlace, name: str, repository_id: int) -> None:
        """Nothing happens if it is not selected, or is nothing."""
        async with self._store.begin() as connection:
            owner, stored = await self._lock_selected(connection, subject, place, name)
            await rows.remove_from_selection(connection, stored.id, repository_id)
            await self._audit(connection, subject, owner, stored.name, "select_repositories")

    async def open_for_codespace(
        self, user_id: int, repository_id: int, levels: Collection[SecretLevel] = tuple(SecretLevel)
    ) -> OpenedSecrets:
        """All secrets of these levels that reach a codespace of this user and repository (S3, S6), in three queries.

        Who may have no codespace of it, because the organization says so or he is suspended, gets none of them.

        Raises UpstreamFailed(code="secret.undecryptable") if one of them does not open: none is ever left out silently.
        """
        async with self._store.read() as connection:
            facts = await repository_rows.gather_facts(connection, user_id, repository_id)
            if facts is None or role_without_token(facts) < Role.PUSH:
                return OpenedSecrets(secrets=(), withheld_reason=_NO_WRITE)
            access = await access_rows.find_access(connection, user_id, repository_id)
            if not decide_access(access, facts):
                return OpenedSecrets(secrets=(), withheld_reason=_SUSPENDED if access.is_suspended else _NO_CODESPACES)
            found = await rows.list_values_for_codespace(connection, user_id, repository_id)
        is_public = facts.visibility is Visibility.PUBLIC
        wanted = [one for one in found if one.level in levels and reaches(one, repository_is_public=is_public)]
        return OpenedSecrets(
            secrets=tuple(self._open(stored) for stored in wanted),
            owners={stored.level: stored.owner_id for stored in found},
        )

    async def open_unshared(
        self, subject: Subject, repository: Repository, *, ending: str
    ) -> tuple[tuple[LevelledSecret, SecretVisibility | None], ...]:
        """Those that end so and do not reach the repository, to tell the subject of them: his own, and the organization's.

        The latter only if he is shown the organization's secrets (A13). Raises as above.
        """
        async with self._store.read() as connection:
            found = await rows.list_unselected_values(connection, subject.account_id, repository.id, ending=ending)
            theirs_at = SecretPlace(level=SecretLevel.ORGANIZATION, owner=repository.owner_login)
            if await may_list(connection, subject, theirs_at):
                theirs = await rows.list_organization_values(connection, repository.id, ending=ending)
                is_public = repository.visibility is Visibility.PUBLIC
                found += [one for one in theirs if not reaches(one, repository_is_public=is_public)]
        return tuple((self._open(stored), stored.visibility) for stored in found)

    async def open_triples(
        self, subject: Subject, place: SecretPlace
    ) -> tuple[SecretOwner, tuple[tuple[rows.StoredSecret, LevelledSecret], ...]]:
        """An owner's registry secrets, to tell of them without a value who may list them. Raises as above."""
        async with self._store.read() as connection:
            owner = await find_owner(connection, subject, place, write=False)
            looks, _total = await rows.list_secrets(
                connection, owner.level, owner.id, limit=MAX_SECRETS_PER_OWNER, offset=0
            )
            values = await rows.list_owned_values(connection, owner.level, owner.id, [each.id for each in looks])
        opened = {each.id: self._open(each) for each in values if is_of_triple(each.name)}
        return owner, tuple((look, opened[look.id]) for look in looks if look.id in opened)

    async def rewrap_all(self) -> RewrapReport:
        """Wrap every row's data key with the newest master key. May be killed and run again, and run while others write."""
        rewrapped, after, failed = 0, 0, []
        while page := await self._values_after(after):
            after = page[-1].id
            async with self._store.begin() as connection:
                for stored in page:
                    try:
                        new = self._sealer.rewrap(stored.value)
                    except UpstreamFailed as problem:
                        if problem.code != "secret.undecryptable":
                            raise
                        failed.append(_told(stored, problem).message)
                        continue
                    if new is not None:
                        rewrapped += await rows.replace_value(connection, stored.id, old=stored.value, new=new)
        return RewrapReport(rewrapped=rewrapped, failed=tuple(failed))

    async def value_headers(self, size_bytes: int) -> frozenset[bytes]:
        """The distinct first bytes of all stored values: which master keys are in use."""
        async with self._store.read() as connection:
            return await rows.list_value_headers(connection, size_bytes)

    async def _values_after(self, after: int) -> list[rows.StoredValue]:
        async with self._store.read() as connection:
            return await rows.list_values(connection, after=after, limit=_REWRAP_PAGE)

    def _open(self, stored: rows.StoredValue) -> LevelledSecret:
        owner = SecretOwner(level=stored.level, id=stored.owner_id, account_id=0, label="")
        try:
            value = self._sealer.decrypt(stored.value, context=owner.context(stored.name))
        except UpstreamFailed as problem:
            raise _told(stored, problem) from problem
        version = SecretVersion(stored.id, stored.version)
        return LevelledSecret(level=stored.level, name=stored.name, value=value, version=version)

    async def _lock(self, connection: AsyncConnection, subject: Subject, place: SecretPlace) -> SecretOwner:
        owner = await find_owner(connection, subject, place, write=True)
        if not await rows.lock_owner(connection, owner.level, owner.id):
            raise not_found()
        return owner

    async def _lock_selected(
        self, connection: AsyncConnection, subject: Subject, place: SecretPlace, name: str
    ) -> tuple[SecretOwner, rows.StoredSecret]:
        owner = await self._lock(connection, subject, place)
        stored = await _get_stored(connection, owner, name)
        if stored.visibility is not SecretVisibility.SELECTED:
            raise Conflict(
                f"The secret {stored.name} is not for selected repositories.",
                code="secret.not_selected",
                remedy="Set it again with the visibility selected.",
            )
        return owner, stored

    async def _audit(
        self, connection: AsyncConnection, subject: Subject, owner: SecretOwner, name: str, verb: str
    ) -> None:
        await audit.record(
            connection,
            at=self._clock.now(),
            actor=subject,
            action=f"secret.{verb}",
            account_id=owner.account_id,
            target=name,
            detail=f"{owner.level} {owner.label}",
        )
        if is_of_triple(name):
            # In the transaction of the change: what runs is to have the credentials of now (C8), other secrets wait (S8).
            await refresh_rows.ask_for_level(connection, owner.level, owner.id)


def _exists(owner: SecretOwner, name: str) -> Conflict:
    return Conflict(
        f"{owner.label} has a secret {name} already.",
        code="secret.exists",
        remedy="Give it another name, or change the one that is there.",
    )


async def _get_stored(connection: AsyncConnection, owner: SecretOwner, name: str) -> rows.StoredSecret:
    try:
        stored = await rows.find_secret(connection, owner.level, owner.id, parse_secret_name(name))
    except Invalid:  # what cannot be a name is the name of nothing
        stored = None
    if stored is None:
        raise not_found()
    return stored


def _view(stored: rows.StoredSecret) -> SecretView:
    return SecretView(
        name=stored.name, visibility=stored.visibility, created_at=stored.created_at, updated_at=stored.updated_at
    )


def _told(stored: rows.StoredValue, problem: UpstreamFailed) -> UpstreamFailed:
    """The same with the secret's level and name."""
    message = f"The {stored.level} secret {stored.name} (owner {stored.owner_id}): {problem.message}"
    return UpstreamFailed(message, code=problem.code, remedy=problem.remedy, retryable=problem.retryable)
