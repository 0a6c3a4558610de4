"""Who may have codespaces of an organization's repositories: asked of the store, and set by its owners."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import account as account_rows
from berth.adapters.store import audit
from berth.adapters.store import codespace_access as rows
from berth.adapters.store import repository as repository_rows
from berth.adapters.store.database import Store
from berth.domain.access import Decision, Subject
from berth.domain.account import Account, is_login
from berth.domain.codespace_access import (
    AccessVisibility,
    check_names,
    decide_access,
    parse_visibility,
    require_access,
)
from berth.domain.problem import Invalid
from berth.domain.repository import Repository
from berth.services.account import organization_of_owner
from berth.services.ports import Clock


async def find_access_decision(connection: AsyncConnection, user_id: int, repository_id: int) -> Decision:
    """May this user have a codespace of this repository? Two queries. Raises NotFound if it is gone."""
    facts = await repository_rows.get_facts(connection, user_id, repository_id)
    return decide_access(await rows.find_access(connection, user_id, repository_id), facts)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessSetting:
    """What an organization said: `visibility` is None where it said nothing; `logins` are the list, by name."""

    visibility: str | None
    logins: tuple[str, ...]


class CodespaceAccessService:
    """An organization's setting; for owners with the scope admin:org."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def require(self, subject: Subject, repository: Repository) -> None:
        """Raises Denied unless the caller may have a codespace of this repository."""
        async with self._store.read() as connection:
            decision = await find_access_decision(connection, subject.account_id, repository.id)
        require_access(decision, repository.owner_login)

    async def get(self, subject: Subject, organization: str) -> AccessSetting:
        """Raises NotFound, Denied."""
        async with self._store.read() as connection:
            found = await organization_of_owner(connection, subject, organization)
            visibility = await rows.find_visibility(connection, found.id)
            return AccessSetting(visibility=visibility, logins=tuple(await rows.list_users(connection, found.id)))

    async def set_visibility(self, subject: Subject, organization: str, word: str, usernames: list[str] | None) -> None:
        """Replace the setting and the list of users, whom only `selected_members` needs. Raises Invalid."""
        visibility = parse_visibility(word)
        selects = visibility is AccessVisibility.SELECTED_MEMBERS
        names = check_names(usernames) if selects else frozenset()
        async with self._store.begin() as connection:
            found = await self._lock(connection, subject, organization)
            ids = await _find_people(connection, found, names)
            await rows.set_visibility(connection, found.id, visibility)
            await rows.add_users(connection, found.id, ids)
            await self._record(connection, subject, found, f"{visibility} {' '.join(sorted(names))}".strip())

    async def add_users(self, subject: Subject, organization: str, usernames: list[str]) -> None:
        """Put users on the list. Raises Invalid unless the setting is `selected_members`."""
        names = check_names(usernames)
        async with self._store.begin() as connection:
            found = await self._lock_selected(connection, subject, organization)
            await rows.add_users(connection, found.id, await _find_people(connection, found, names))
            await self._record(connection, subject, found, f"add {' '.join(sorted(names))}")

    async def remove_users(self, subject: Subject, organization: str, usernames: list[str]) -> None:
        """Take users off the list. Raises as `add_users`."""
        names = check_names(usernames)
        async with self._store.begin() as connection:
            found = await self._lock_selected(connection, subject, organization)
            await rows.remove_users(connection, found.id, await _find_people(connection, found, names))
            await self._record(connection, subject, found, f"remove {' '.join(sorted(names))}")

    async def _lock(self, connection: AsyncConnection, subject: Subject, organization: str) -> Account:
        found = await organization_of_owner(connection, subject, organization)
        await account_rows.lock_organization(connection, found.id)
        return found

    async def _lock_selected(self, connection: AsyncConnection, subject: Subject, organization: str) -> Account:
        found = await self._lock(connection, subject, organization)
        if await rows.find_visibility(connection, found.id) != AccessVisibility.SELECTED_MEMBERS:
            raise Invalid(
                f"The users are not selected by name in {found.login}.",
                field="visibility",
                code="codespace.access_not_selected",
                remedy="Set the visibility selected_members first.",
            )
        return found

    async def _record(self, connection: AsyncConnection, subject: Subject, organization: Account, detail: str) -> None:
        await audit.record(
            connection,
            at=self._clock.now(),
            actor=subject,
            action="codespace.access",
            account_id=organization.id,
            target=organization.login,
            detail=detail,
        )


async def _find_people(connection: AsyncConnection, organization: Account, names: frozenset[str]) -> list[int]:
    """Raises Invalid that names who is neither a member nor a collaborator: all of them or none are taken."""
    people = await rows.find_people(connection, organization.id, {name for name in names if is_login(name)})
    if missing := sorted(names - people.keys()):
        raise Invalid(
            f"Neither members nor collaborators of {organization.login}: {', '.join(missing)[:200]}.",
            field="selected_usernames",
            code="codespace.access_users",
        )
    return sorted(people.values())
