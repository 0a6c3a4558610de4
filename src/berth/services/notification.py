"""What somebody is told of his credentials (domain/notification.py)."""

from berth.adapters.store import notification as rows
from berth.adapters.store.database import Store
from berth.domain.access import Subject
from berth.domain.notification import Notifications
from berth.services.account import require_personal
from berth.services.ports import Clock


class NotificationService:
    """Reads only: nothing is marked as read, it goes when its cause does."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def list_own(self, subject: Subject) -> Notifications:
        require_personal(subject)
        async with self._store.read() as connection:
            return await rows.find_notifications(connection, subject.account_id, self._clock.now())

    async def count_own(self, subject: Subject) -> int:
        require_personal(subject)
        async with self._store.read() as connection:
            return await rows.count_notifications(connection, subject.account_id, self._clock.now())
