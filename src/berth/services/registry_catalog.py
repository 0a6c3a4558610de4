"""`/v2/_catalog`: the packages that a caller may pull, by name."""

from berth.adapters.store import package_list as rows
from berth.adapters.store.database import Store
from berth.domain.resource_scope import CATALOG
from berth.services.registry_access import Caller, insufficient


class RegistryCatalogService:
    """Lists names."""

    def __init__(self, *, store: Store) -> None:
        self._store = store

    async def list_names(self, caller: Caller, *, after: str, limit: int) -> tuple[list[str], bool]:
        """Full names in the order of their bytes, and whether there are more. Hidden ones are not counted (A13).

        Raises TokenNeeded for a registry token that was not made for the list (A14).
        """
        if not caller.claims.catalog:
            raise insufficient(CATALOG)
        async with self._store.read() as connection:
            found = await rows.list_readable_names(connection, caller.subject, after=after, limit=limit + 1)
        return found[:limit], len(found) > limit
