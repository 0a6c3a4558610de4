"""Use case: find a repository by a name that it had. What a name leads to: `adapters/store/former_name.py`."""

from berth.adapters.store import repository as rows
from berth.adapters.store.database import Store
from berth.domain.access import Action, Subject, decide_repository
from berth.services.repository import RepositoryView, view_of


class FormerNameService:
    """Former names of repositories."""

    def __init__(self, *, store: Store) -> None:
        self._store = store

    async def find(self, subject: Subject | None, owner: str, name: str) -> RepositoryView | None:
        """What was called so, if the subject may read it; None is one answer for hidden and missing (A13).

        Takes one query, whatever it finds.
        """
        account_id = None if subject is None else subject.account_id
        async with self._store.read() as connection:
            known = await rows.find_known(connection, account_id, owner, name, formerly=True)
        if known is None or not decide_repository(subject, known.facts, Action.READ):
            return None
        return view_of(subject, known)
