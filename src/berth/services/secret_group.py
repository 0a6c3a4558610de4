"""Secrets that belong together, or one alone: which repositories get them.

What is changed is changed for all of them. A step that fails leaves some of them given and others not; a triple of which a
codespace gets only a part logs in nowhere (C1), and its page says so.
"""

from collections.abc import Collection, Sequence

from berth.adapters.store import secret as rows
from berth.adapters.store.database import Store
from berth.adapters.store.secret_reach import Reach, count_selected
from berth.domain.access import Subject
from berth.domain.problem import Denied
from berth.domain.secret import MAX_SECRETS_PER_OWNER, SecretLevel, SecretVisibility
from berth.services.secret import SecretService
from berth.services.secret_access import SecretPlace, find_owner
from berth.services.secret_change import SecretChange
from berth.services.secret_selection import find_selectable


class SecretGroupService:
    """Use cases about several secrets of one owner."""

    def __init__(self, *, store: Store, secrets: SecretService) -> None:
        self._store = store
        self._secrets = secrets

    async def require_manager(self, subject: Subject, place: SecretPlace) -> None:
        """Raises NotFound, Denied for who may not change the owner's secrets."""
        async with self._store.read() as connection:
            await find_owner(connection, subject, place, write=True)

    async def may_manage(self, subject: Subject, place: SecretPlace) -> bool:
        """The same as an answer, for who may list them. Raises NotFound."""
        try:
            await self.require_manager(subject, place)
        except Denied:
            return False
        return True

    async def count_repositories(
        self, subject: Subject, place: SecretPlace, groups: Sequence[Collection[str]]
    ) -> list[Reach]:
        """For each group of names how many repositories are selected, as far as the caller can see them (A13)."""
        async with self._store.read() as connection:
            owner = await find_owner(connection, subject, place, write=False)
            found, _total = await rows.list_secrets(
                connection, owner.level, owner.id, limit=MAX_SECRETS_PER_OWNER, offset=0
            )
            ids = {each.name: each.id for each in found}
            organization_id = owner.id if owner.level is SecretLevel.ORGANIZATION else None
            known = [[ids[name] for name in group if name in ids] for group in groups]
            return await count_selected(connection, known, subject=subject, organization_id=organization_id)

    async def find_selected(
        self, subject: Subject, place: SecretPlace, names: Collection[str], repository_ids: Collection[int]
    ) -> set[int]:
        """Those of the ids that are selected for all of the names, and that the caller can see."""
        async with self._store.read() as connection:
            owner = await find_owner(connection, subject, place, write=False)
            chosen = set(repository_ids)
            for name in names:
                stored = await rows.find_secret(connection, owner.level, owner.id, name)
                chosen &= set() if stored is None else set(await rows.list_selection(connection, stored.id))
            return await find_selectable(connection, subject, owner, chosen)

    async def select(self, subject: Subject, place: SecretPlace, names: Sequence[str], repository_id: int) -> None:
        """Give them to the repository. Raises as `SecretService.add_repository`."""
        for name in names:
            await self._secrets.add_repository(subject, place, name, repository_id)

    async def unselect(self, subject: Subject, place: SecretPlace, names: Sequence[str], repository_id: int) -> None:
        """Give them to it no more. Raises as `SecretService.remove_repository`."""
        for name in names:
            await self._secrets.remove_repository(subject, place, name, repository_id)

    async def set_visibility(
        self, subject: Subject, place: SecretPlace, names: Collection[str], visibility: SecretVisibility
    ) -> None:
        """Of an organization's secrets. Raises as `SecretService.put`."""
        await self._secrets.put_together(subject, place, {name: SecretChange(visibility=visibility) for name in names})
