"""What an organization's owners do with the codespaces of its repositories, whosever they are: list, stop, delete."""

from berth.adapters.store import codespace as rows
from berth.adapters.store.database import Store
from berth.domain.access import Subject
from berth.domain.account import AccountType
from berth.domain.lifecycle import Desired
from berth.domain.problem import NotFound
from berth.services.account import get_account, organization_of_owner
from berth.services.codespace import CodespaceService
from berth.services.codespace_view import CodespaceView


class OrganizationCodespaceService:
    """For owners with the scope admin:org; a member is refused, for anybody else there is nothing (A13).

    The repository decides: what a user has in other repositories is not the organization's to see.
    """

    def __init__(self, *, store: Store, codespaces: CodespaceService) -> None:
        self._store = store
        self._codespaces = codespaces

    async def list_all(
        self, subject: Subject, organization: str, login: str | None, *, limit: int, offset: int
    ) -> tuple[list[CodespaceView], int]:
        """A page of all codespaces, or of one user's, newest first. A constant number of queries."""
        async with self._store.read() as connection:
            found = await organization_of_owner(connection, subject, organization)
            user = None if login is None else await get_account(connection, login, AccountType.USER)
            page, total = await rows.list_codespaces(
                connection,
                owner_id=None if user is None else user.id,
                organization_id=found.id,
                limit=limit,
                offset=offset,
            )
            return await self._codespaces.show_all(connection, subject, page), total

    async def stop(self, subject: Subject, organization: str, login: str, name: str) -> CodespaceView:
        """Ask for it to stop; nothing happens if that was asked already."""
        view = await self.get(subject, organization, login, name)
        if view.codespace.desired is Desired.STOPPED:
            return view
        return await self._codespaces.request(subject, view, Desired.STOPPED, "codespace.stop")

    async def delete(self, subject: Subject, organization: str, login: str, name: str) -> None:
        """Ask for it to go."""
        view = await self.get(subject, organization, login, name)
        await self._codespaces.request(subject, view, Desired.DELETED, "codespace.delete")

    async def get(self, subject: Subject, organization: str, login: str, name: str) -> CodespaceView:
        """One of them. Raises NotFound, Denied."""
        async with self._store.read() as connection:
            found = await organization_of_owner(connection, subject, organization)
            user = await get_account(connection, login, AccountType.USER)
            codespace = await rows.find_codespace(connection, user.id, name)
            views = [] if codespace is None else await self._codespaces.show_all(connection, subject, [codespace])
        for view in views:
            if view.repository.owner_id == found.id:
                return view
        raise NotFound("Not Found", code="codespace.not_found")
