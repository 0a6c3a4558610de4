"""Exports of codespaces, as people ask for them: store one, tell how far it is. `codespace_export_worker.py` brings it about."""

from collections.abc import Callable
from dataclasses import dataclass

from berth.adapters.store import audit
from berth.adapters.store import codespace as codespace_rows
from berth.adapters.store import codespace_export as rows
from berth.adapters.store import repository as repository_rows
from berth.adapters.store.database import Store
from berth.domain.access import Action, Subject, decide_repository
from berth.domain.codespace import Codespace
from berth.domain.codespace_export import (
    CodespaceExport,
    branch_exists,
    branch_names,
    check_may_begin,
    may_not_push,
    no_free_branch,
)
from berth.domain.problem import NotFound
from berth.domain.repository import Repository, parse_branch_name, short_branch
from berth.services.codespace import CodespaceService
from berth.services.ports import Clock, GitRepositories


@dataclass(frozen=True, slots=True, kw_only=True)
class CodespaceExportView:
    """An export with what its answers show of others."""

    export: CodespaceExport
    codespace: Codespace
    repository: Repository


class CodespaceExportService:
    """Use cases of exports. `wake` tells this process's loop that one was stored."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        git: GitRepositories,
        codespaces: CodespaceService,
        wake: Callable[[], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._git = git
        self._codespaces = codespaces
        self._wake = wake

    async def start(self, subject: Subject, name: str, branch: str | None) -> CodespaceExportView:
        """Store an export to a new branch, which has a name of ours if none is given; the loop brings it about.

        Raises Denied where the caller may not push, Conflict unless the codespace runs or where the branch is there,
        Invalid for what is no branch's name.
        """
        view = await self._codespaces.get_to_run(subject, name)
        wanted = parse_branch_name(short_branch(branch), field="branch") if branch else None
        async with self._store.read() as connection:
            facts = await repository_rows.gather_facts(connection, subject.account_id, view.repository.id)
        decision = None if facts is None else decide_repository(subject, facts, Action.WRITE)
        if not decision:
            raise may_not_push(view.repository.full_name)
        check_may_begin(view.codespace)
        found = await find_branch(self._git, view.repository.id, view.codespace.name, wanted)
        now = self._clock.now()
        async with self._store.begin() as connection:
            export = await rows.insert_export(
                connection, view.codespace.id, branch=found, branch_is_wanted=wanted is not None, at=now
            )
            await audit.record(
                connection,
                at=now,
                actor=subject,
                action="codespace.export",
                account_id=view.repository.owner_id,
                target=view.codespace.name,
                detail=f"{view.repository.full_name} {found}",
            )
            codespace = await codespace_rows.find_codespace_by_id(connection, view.codespace.id)
        self._wake()
        return CodespaceExportView(export=export, codespace=codespace or view.codespace, repository=view.repository)

    async def get(self, subject: Subject, name: str, export_id: int | None) -> CodespaceExportView:
        """One of the exports of one of the caller's own codespaces; without an id the newest. Raises NotFound."""
        view = await self._codespaces.get(subject, name)
        async with self._store.read() as connection:
            export = await rows.find_export(connection, view.codespace.id, export_id)
        if export is None:
            raise NotFound("Not Found", code="export.not_found")
        return CodespaceExportView(export=export, codespace=view.codespace, repository=view.shown_repository)


async def find_branch(git: GitRepositories, repository_id: int, codespace_name: str, wanted: str | None) -> str:
    """The wanted branch, or the first of ours, that is not there yet. Raises Conflict."""
    if wanted is not None:
        if await git.find_commit(repository_id, f"refs/heads/{wanted}") is not None:
            raise branch_exists(wanted)
        return wanted
    for name in branch_names(codespace_name):
        if await git.find_commit(repository_id, f"refs/heads/{name}") is None:
            return name
    raise no_free_branch()
