"""The worker of the reconcile loop for exports: git in the container commits and pushes, our repository says what came of it.

The rules are in `domain/codespace_export.py`. A step that was cut off is done again: the same files are the same commit.
"""

import asyncio
from dataclasses import dataclass, replace
from typing import Any

from berth.adapters.store import account as account_rows
from berth.adapters.store import codespace as codespace_rows
from berth.adapters.store import codespace_export as rows
from berth.adapters.store import repository as repository_rows
from berth.adapters.store.database import Store
from berth.adapters.store.tables import codespace_exports
from berth.domain.access import role_without_token
from berth.domain.account import Account
from berth.domain.codespace import Codespace, finding_to_json
from berth.domain.codespace_export import (
    MAX_NAMES,
    PUSH_FAILED,
    CodespaceExport,
    ExportState,
    branch_exists,
    check_may_go_on,
    codespace_gone,
    export_command,
    interrupted,
    may_not_push,
    no_free_branch,
    not_arrived,
    read_answer,
    too_long,
    too_much_output,
)
from berth.domain.finding import Finding
from berth.domain.git_object import clean_signature
from berth.domain.launch import INTERNAL, finding_of
from berth.domain.problem import Problem, is_passing
from berth.domain.repository import Repository
from berth.domain.role import Role
from berth.domain.suspension import suspended
from berth.services.codespace_activity import CodespaceActivity
from berth.services.codespace_exec import CodespaceExec
from berth.services.codespace_export import find_branch
from berth.services.ports import Clock, ExecResult, GitRepositories
from berth.services.reconcile import Claim, Outcome

EXPORT_TIMEOUT_S = 900.0  # of one attempt; a push may bring 2 GiB
MAX_OUTPUT_BYTES = 512 * 1024  # less than the engine keeps, so that the end is always there
MAX_ATTEMPTS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """What is exported, and for whom."""

    codespace: Codespace
    owner: Account
    repository: Repository


class CodespaceExportWorker:
    """Drives the rows of the table `codespace_exports`. `origin` is what codespaces call this server by."""

    table = codespace_exports

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        git: GitRepositories,
        executor: CodespaceExec,
        activity: CodespaceActivity,
        origin: str,
        timeout_s: float = EXPORT_TIMEOUT_S,
    ) -> None:
        self._store = store
        self._clock = clock
        self._git = git
        self._executor = executor
        self._activity = activity
        self._origin = origin
        self._timeout_s = timeout_s

    async def act(self, claim: Claim) -> Outcome:
        """The whole export. A Problem is its answer, unless it is passing."""
        export = rows.to_export(claim.row)
        if export.state is not ExportState.IN_PROGRESS:
            return Outcome()
        try:
            if claim.deserted >= MAX_ATTEMPTS:
                raise interrupted()
            branch, sha = await self._export(claim, export)
        except Problem as problem:
            if is_passing(problem) and claim.attempts < MAX_ATTEMPTS:
                raise
            return self._failed(finding_of(problem))
        return self._ended(ExportState.SUCCEEDED, branch=branch, sha=sha)

    async def give_up(self, claim: Claim, error: Exception) -> Outcome | None:
        """What was to be tried again fails after a few attempts."""
        if claim.attempts < MAX_ATTEMPTS:
            return None
        again = "Export again; if it fails again, the server's log names it."
        return self._failed(finding_of(error) if isinstance(error, Problem) else replace(INTERNAL, next_step=again))

    async def _export(self, claim: Claim, export: CodespaceExport) -> tuple[str, str]:
        """The branch and its commit, as our repository has them. Raises a Problem."""
        source = await self._source(export)
        branch = export.branch
        try:
            async with asyncio.timeout(self._timeout_s):
                for _ in range(MAX_NAMES):
                    result = await self._run(source, export, branch)
                    if result.exit_code != PUSH_FAILED or await self._head(source, branch) is None:
                        break
                    if export.branch_is_wanted:
                        raise branch_exists(branch)
                    branch = await find_branch(self._git, source.repository.id, source.codespace.name, None)
                    await claim.note(branch=branch)
                else:
                    raise no_free_branch()
        except TimeoutError as error:
            raise too_long(self._timeout_s) from error
        sha = read_answer(result.exit_code, result.output, codespace=source.codespace.name)
        if await self._head(source, branch) != sha:
            raise not_arrived()
        return branch, sha

    async def _head(self, source: _Source, branch: str) -> str | None:
        return await self._git.find_commit(source.repository.id, f"refs/heads/{branch}")

    async def _source(self, export: CodespaceExport) -> _Source:
        """With the owner's rights as they are now. Raises a Problem where it cannot be exported any more."""
        async with self._store.read() as connection:
            codespace = await codespace_rows.find_codespace_by_id(connection, export.codespace_id)
            if codespace is None or codespace.repository_id is None:
                raise codespace_gone()
            check_may_go_on(codespace)
            owner = await account_rows.find_account_by_id(connection, codespace.owner_id)
            repository = await repository_rows.find_repository_by_id(connection, codespace.repository_id)
            facts = await repository_rows.gather_facts(connection, codespace.owner_id, codespace.repository_id)
        if owner is None or repository is None or facts is None or role_without_token(facts) < Role.PULL:
            raise codespace_gone()  # for him; by no name that it got since (A13)
        if owner.is_suspended:
            raise suspended()
        if role_without_token(facts) < Role.PUSH:
            raise may_not_push(repository.full_name)
        return _Source(codespace=codespace, owner=owner, repository=repository)

    async def _run(self, source: _Source, export: CodespaceExport, branch: str) -> ExecResult:
        """Git in the container. It may say anything, at any length; a bound ends that."""
        signature = clean_signature(source.owner.git_name, source.owner.git_email, export.created_at)
        command = export_command(
            origin=self._origin,
            repository_full_name=source.repository.full_name,
            branch=branch,
            name=signature.name,
            email=signature.email,
            codespace=source.codespace.name,
            at=signature.at,
        )
        seen = 0

        async def count(chunk: bytes) -> None:
            nonlocal seen
            seen += len(chunk)
            if seen > MAX_OUTPUT_BYTES:
                raise too_much_output(MAX_OUTPUT_BYTES)

        async with self._activity.using(source.codespace.id):
            return await self._executor.run(source.codespace, command, on_output=count)

    def _failed(self, finding: Finding) -> Outcome:
        return self._ended(ExportState.FAILED, finding=finding_to_json(finding))

    def _ended(self, state: ExportState, **values: Any) -> Outcome:
        return Outcome(values={**values, "state": state, "completed_at": self._clock.now()})
