"""Exports in a world of codespaces: what the container does is the test's to say, our repository is real."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Row, case, select, update
from tests.codespace_world import ORIGIN, CodespaceWorld, make_codespace_world
from tests.fakes.engine import Executed

from berth.adapters.store import codespace_export as rows
from berth.adapters.store import work
from berth.adapters.store.database import Store
from berth.adapters.store.tables import codespace_exports
from berth.domain.codespace_export import EXPORT_SCRIPT, CodespaceExport
from berth.domain.git_object import Signature
from berth.services.codespace_activity import CodespaceActivity
from berth.services.codespace_exec import CodespaceExec
from berth.services.codespace_export import CodespaceExportService
from berth.services.codespace_export_worker import CodespaceExportWorker
from berth.services.ports import ExecResult
from berth.services.reconcile import Claim, Reconciler


@dataclass
class ExportWorld:
    """`git` is what the container's git does with (repository, branch): it pushes, unless a test says otherwise."""

    codespaces: CodespaceWorld
    service: CodespaceExportService
    worker: CodespaceExportWorker
    git: Callable[[str], Awaitable[ExecResult]]
    branches: list[str] = field(default_factory=list)  # that the container was told, in order
    woken: list[int] = field(default_factory=list)

    @property
    def store(self) -> Store:
        return self.codespaces.store

    async def on_execute(self, executed: Executed) -> ExecResult | None:
        if EXPORT_SCRIPT not in executed.command:
            return None
        self.branches.append(executed.command[-5])
        return await self.git(self.branches[-1])

    async def push(self, branch: str, path: str = "saved") -> str:
        """What the container's git does when all is well: a commit on the branch, of this one file, on top of main."""
        repository_id = self.codespaces.secrets.repositories["acme/web"]
        git = self.codespaces.git
        main = await git.find_commit(repository_id, "refs/heads/main")
        assert main is not None
        await git._git(repository_id, "update-ref", f"refs/heads/{branch}", main)
        written = await git.write_file(
            repository_id,
            branch=branch,
            path=path,
            data=b"x",
            expected=None,
            message="export",
            author=Signature(name="olga", email="olga@example.com", at=datetime(2026, 1, 1, tzinfo=UTC)),
        )
        return written.commit.sha

    async def push_well(self, branch: str) -> ExecResult:
        return ExecResult(0, f"noise\nberth-export {await self.push(branch)}\n".encode())

    async def head(self, branch: str) -> str | None:
        repository_id = self.codespaces.secrets.repositories["acme/web"]
        return await self.codespaces.git.find_commit(repository_id, f"refs/heads/{branch}")

    async def start(self, name: str, branch: str | None = None, login: str = "olga") -> CodespaceExport:
        return (await self.service.start(self.codespaces.secrets.subject(login), name, branch)).export

    async def latest(self, name: str) -> CodespaceExport:
        found = await self.service.get(self.codespaces.secrets.subject("olga"), name, None)
        return found.export

    async def row(self, export_id: int) -> Row[Any]:
        async with self.store.read() as connection:
            statement = select(codespace_exports).where(codespace_exports.c.id == export_id)
            return (await connection.execute(statement)).one()

    async def set_row(self, export_id: int, **values: Any) -> None:
        async with self.store.begin() as connection:
            await connection.execute(
                update(codespace_exports).where(codespace_exports.c.id == export_id).values(**values)
            )

    async def claim(self, export_id: int) -> Claim:
        """Take the row, whenever it is due, also from a server that was killed."""
        async with self.store.begin() as connection:
            await connection.execute(update(codespace_exports).values(next_at=None))
            due = update(codespace_exports).where(codespace_exports.c.id == export_id)
            ended = case((codespace_exports.c.lease.is_not(None), 0.0))
            await connection.execute(due.values(next_at=0.0, lease=ended))
        async with self.store.begin() as connection:
            (row,) = await work.claim(connection, codespace_exports, holder="test", lease_s=60, limit=2)
        return Claim(self.store, codespace_exports, row)

    async def run(self, claim: Claim) -> CodespaceExport:
        """What the loop does with a claimed row, once; the export afterwards."""
        await Reconciler(self.store, self.worker, holder="test")._step(claim)
        return rows.to_export(await self.row(claim.id))

    async def step(self, export_id: int) -> CodespaceExport:
        return await self.run(await self.claim(export_id))

    async def export(self, name: str, branch: str | None = None) -> CodespaceExport:
        """From the request to its end."""
        return await self.step((await self.start(name, branch)).id)


async def make_export_world(store: Store, folder: Path, *, timeout_s: float = 60) -> ExportWorld:
    codespaces = await make_codespace_world(store, folder)
    await codespaces.give_triple()
    woken: list[int] = []
    clock = codespaces.secrets.clock
    world = ExportWorld(
        codespaces=codespaces,
        service=CodespaceExportService(
            store=store,
            clock=clock,
            git=codespaces.git,
            codespaces=codespaces.service,
            wake=lambda: woken.append(1),
        ),
        worker=CodespaceExportWorker(
            store=store,
            clock=clock,
            git=codespaces.git,
            executor=CodespaceExec(codespaces.engine),
            activity=CodespaceActivity(store=store, clock=clock),
            origin=ORIGIN,
            timeout_s=timeout_s,
        ),
        git=None,  # type: ignore[arg-type]  # set below: it is a method of this object
        woken=woken,
    )
    world.git = world.push_well
    codespaces.engine.on_execute = world.on_execute
    return world
