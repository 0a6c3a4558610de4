"""Use cases of the audit log: an organization's for its owners, one's own. Rows are written by each use case itself."""

from berth.adapters.store import audit as rows
from berth.adapters.store.database import Store
from berth.domain.access import Subject
from berth.domain.account import Account
from berth.domain.audit import AuditEvent, AuditFilter
from berth.services.account import organization_of_owner, require_personal


class AuditService:
    """Who did what, to what. Newest first."""

    def __init__(self, *, store: Store) -> None:
        self._store = store

    async def list_of_organization(
        self, subject: Subject, organization: str, *, limit: int, offset: int
    ) -> tuple[Account, list[AuditEvent], int]:
        """Raises NotFound, Denied."""
        async with self._store.read() as connection:
            found = await organization_of_owner(connection, subject, organization)
            events, total = await rows.list_events(connection, found.id, limit=limit, offset=offset)
        return found, events, total

    async def search_of_organization(
        self, subject: Subject, organization: str, wanted: AuditFilter, *, before: int | None, limit: int
    ) -> tuple[list[AuditEvent], bool]:
        """Those that fit, before the row `before`; and whether there are older ones. Raises NotFound, Denied."""
        async with self._store.read() as connection:
            found = await organization_of_owner(connection, subject, organization)
            events = await rows.search_events(connection, found.id, wanted, before=before, limit=limit + 1)
        return events[:limit], len(events) > limit

    async def list_own(self, subject: Subject, *, limit: int, offset: int) -> tuple[list[AuditEvent], int]:
        """What was done to the subject's own account and what it owns. Raises Denied."""
        require_personal(subject)
        async with self._store.read() as connection:
            return await rows.list_events(connection, subject.account_id, limit=limit, offset=offset)
