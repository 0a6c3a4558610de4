"""Queries on codespaces and their logs."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, and_, delete, exists, false, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store.paging import fetch_page
from berth.adapters.store.tables import accounts, codespace_exports, codespace_log, codespaces, repositories
from berth.adapters.store.work import database_now
from berth.domain.codespace import Codespace, LogEntry, Rebuild, failed_hook_from_json, finding_from_json
from berth.domain.codespace_export import ExportState
from berth.domain.lifecycle import Desired, Phase
from berth.domain.problem import Conflict

_NAMES_AT_ONCE = 500  # a statement takes some thousand values
_COLUMNS_OF_LOOP = {"next_at", "lease", "holder", "deserted"}
_EXPORTING = (
    exists()
    .where(codespace_exports.c.codespace_id == codespaces.c.id, codespace_exports.c.state == ExportState.IN_PROGRESS)
    .label("exporting")
)


def to_codespace(row: Row[Any]) -> Codespace:
    """A row as the domain's value; that of a claim does not tell of exports."""
    fields: dict[str, Any] = {k: v for k, v in row._asdict().items() if k not in _COLUMNS_OF_LOOP}
    fields["desired"] = Desired(fields["desired"])
    fields["phase"] = Phase(fields["phase"])
    fields["recent_folders"] = tuple(json.loads(fields["recent_folders"]))
    fields["exporting"] = bool(fields.get("exporting"))
    fields["finding"] = finding_from_json(fields["finding"]) if fields["finding"] else None
    fields["failed_hook"] = failed_hook_from_json(fields["failed_hook"]) if fields["failed_hook"] else None
    return Codespace(**fields)


async def insert_codespace(connection: AsyncConnection, values: Mapping[str, Any]) -> Codespace:
    """A new row, due at once. Raises Conflict if its name is taken."""
    start = {"desired": Desired.RUNNING, "phase": Phase.QUEUED, "generation": 1, "seen": 0, "epoch": 0, "attempts": 0}
    statement = insert(codespaces).values(**start, **values, next_at=database_now(connection)).returning(codespaces)
    try:
        return to_codespace((await connection.execute(statement)).one())
    except IntegrityError as error:
        raise Conflict("A codespace of this name exists.", code="codespace.name_taken") from error


async def find_codespace(connection: AsyncConnection, owner_id: int, name: str) -> Codespace | None:
    """One that its owner can still see: not deleted, its repository there."""
    statement = select(codespaces, _EXPORTING).where(
        codespaces.c.name == name,
        codespaces.c.owner_id == owner_id,
        codespaces.c.desired != Desired.DELETED,
        codespaces.c.repository_id.is_not(None),
    )
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else to_codespace(row)


async def find_codespace_by_id(connection: AsyncConnection, codespace_id: int) -> Codespace | None:
    row = (
        await connection.execute(select(codespaces, _EXPORTING).where(codespaces.c.id == codespace_id))
    ).one_or_none()
    return None if row is None else to_codespace(row)


async def lock_codespace(connection: AsyncConnection, codespace_id: int) -> Codespace | None:
    """The same; requests and the loop's writes wait until the transaction ends."""
    await connection.execute(select(codespaces.c.id).where(codespaces.c.id == codespace_id).with_for_update(read=True))
    return await find_codespace_by_id(connection, codespace_id)


async def list_codespaces(
    connection: AsyncConnection,
    *,
    owner_id: int | None = None,
    repository_id: int | None = None,
    organization_id: int | None = None,
    limit: int,
    offset: int,
) -> tuple[list[Codespace], int]:
    """A page of codespaces, newest first, and how many there are: an owner's, those of a repository, of an
    organization's repositories. What is None does not restrict.
    """
    wanted = [codespaces.c.desired != Desired.DELETED, codespaces.c.repository_id.is_not(None)]
    if owner_id is not None:
        wanted.append(codespaces.c.owner_id == owner_id)
    if repository_id is not None:
        wanted.append(codespaces.c.repository_id == repository_id)
    if organization_id is not None:
        theirs = select(repositories.c.id).where(repositories.c.owner_id == organization_id)
        wanted.append(codespaces.c.repository_id.in_(theirs))
    statement = select(codespaces, _EXPORTING).where(*wanted).order_by(codespaces.c.id.desc())
    rows, total = await fetch_page(connection, statement, limit=limit, offset=offset)
    return [to_codespace(row) for row in rows], total


async def lock_owner(connection: AsyncConnection, owner_id: int) -> None:
    """Make creations for one owner take turns until the transaction ends, so that his limit holds."""
    await connection.execute(select(accounts.c.id).where(accounts.c.id == owner_id).with_for_update(key_share=True))


async def count_codespaces(connection: AsyncConnection, owner_id: int) -> int:
    """How many count against the owner's limit."""
    statement = select(func.count()).where(codespaces.c.owner_id == owner_id, codespaces.c.desired != Desired.DELETED)
    return int((await connection.execute(statement)).scalar_one())


async def request(
    connection: AsyncConnection,
    codespace_id: int,
    desired: Desired,
    values: Mapping[str, Any],
    *,
    rebuild: Rebuild | None = None,
) -> None:
    """Store what its owner wants now; the loop takes it from here."""
    generation = codespaces.c.generation + 1
    asked = {} if rebuild is None else {"rebuild_asked": generation, "rebuild_full": rebuild is Rebuild.FULL}
    await connection.execute(
        update(codespaces)
        .where(codespaces.c.id == codespace_id, codespaces.c.desired != Desired.DELETED)
        .values(
            **values,
            **asked,
            desired=desired,
            generation=generation,
            attempts=0,
            next_at=database_now(connection),
        )
    )


async def request_stop_of_all(
    connection: AsyncConnection, owner_id: int, now: datetime, notice: str
) -> list[Codespace]:
    """Let all stop that an owner has running, or asked for; which these are. What failed rests already."""
    rests = and_(codespaces.c.phase == Phase.FAILED, codespaces.c.generation == codespaces.c.seen)
    statement = (
        update(codespaces)
        .where(codespaces.c.owner_id == owner_id, codespaces.c.desired == Desired.RUNNING, ~rests)
        .values(
            desired=Desired.STOPPED,
            generation=codespaces.c.generation + 1,
            attempts=0,
            next_at=database_now(connection),
            stop_notice=notice,
            updated_at=now,
        )
        .returning(codespaces)
    )
    return [to_codespace(row) for row in await connection.execute(statement)]


async def request_unchanged(
    connection: AsyncConnection, codespace: Codespace, epoch: int, desired: Desired, values: Mapping[str, Any]
) -> bool:
    """What the loop itself asks for. False: the claim was lost, or a request or a use came meanwhile; nothing is stored."""
    statement = (
        update(codespaces)
        .where(
            codespaces.c.id == codespace.id,
            codespaces.c.epoch == epoch,
            codespaces.c.generation == codespace.generation,
            codespaces.c.last_used_at == codespace.last_used_at,
        )
        .values(**values, desired=desired, generation=codespaces.c.generation + 1, attempts=0)
    )
    return bool((await connection.execute(statement)).rowcount)


async def touch(connection: AsyncConnection, codespace_id: int, at: datetime, *, unless_after: datetime) -> None:
    """Note a use, unless one was noted after that moment."""
    statement = update(codespaces).where(
        codespaces.c.id == codespace_id,
        codespaces.c.desired == Desired.RUNNING,
        codespaces.c.last_used_at < unless_after,
    )
    await connection.execute(statement.values(last_used_at=at))


async def update_codespace(connection: AsyncConnection, codespace_id: int, values: Mapping[str, Any]) -> None:
    """Change what the loop does not bring about: it has nothing to do now."""
    statement = update(codespaces).where(codespaces.c.id == codespace_id, codespaces.c.desired != Desired.DELETED)
    await connection.execute(statement.values(**values))


async def delete_row(connection: AsyncConnection, codespace_id: int, epoch: int) -> bool:
    """The last step of a removal. False: the claim was lost."""
    statement = delete(codespaces).where(codespaces.c.id == codespace_id, codespaces.c.epoch == epoch)
    return bool((await connection.execute(statement)).rowcount)


async def list_names(connection: AsyncConnection) -> set[str]:
    """The names of all codespaces that have a row: a container of any other name is an orphan."""
    return set((await connection.execute(select(codespaces.c.name))).scalars())


async def list_seen_by_engine(connection: AsyncConnection, names: Sequence[str]) -> list[Codespace]:
    """Those that have containers of these names, and those that should have one that runs."""
    found = {}
    for start in range(0, len(names) + 1, _NAMES_AT_ONCE):
        part = names[start : start + _NAMES_AT_ONCE]
        wanted = or_(codespaces.c.name.in_(part), codespaces.c.phase == Phase.AVAILABLE if start == 0 else false())
        for row in await connection.execute(select(codespaces).where(wanted)):
            found[row.id] = to_codespace(row)
    return list(found.values())


async def is_any_built(connection: AsyncConnection) -> bool:
    """Whether a step that may build an image is under way."""
    building = codespaces.c.phase.in_((Phase.QUEUED, Phase.PROVISIONING, Phase.REBUILDING))
    statement = select(exists().where(codespaces.c.lease.is_not(None), building))
    return bool((await connection.execute(statement)).scalar())


async def make_due(connection: AsyncConnection, ids: Sequence[int]) -> None:
    """To be looked at now, if they are at rest: what is worked on, waits for a new request or backs off is left alone."""
    now = database_now(connection)
    statement = update(codespaces).where(
        codespaces.c.id.in_(ids),
        codespaces.c.generation == codespaces.c.seen,
        codespaces.c.attempts == 0,
        codespaces.c.lease.is_(None),
    )
    await connection.execute(statement.values(next_at=now))


async def append_log(
    connection: AsyncConnection, codespace_id: int, at: datetime, lines: list[tuple[str, str]]
) -> None:
    """Append (kind, text) lines. Nothing happens if the codespace is gone: who writes may have lost it to another server."""
    kept = select(codespaces.c.id).where(codespaces.c.id == codespace_id).with_for_update(read=True, key_share=True)
    if lines and (await connection.execute(kept)).first() is not None:
        rows = [{"codespace_id": codespace_id, "at": at, "kind": kind, "text": text} for kind, text in lines]
        await connection.execute(insert(codespace_log), rows)


async def read_log(connection: AsyncConnection, codespace_id: int, *, after: int, limit: int) -> list[LogEntry]:
    """The lines after a given line's id, oldest first."""
    statement = _log_of(codespace_id).where(codespace_log.c.id > after).order_by(codespace_log.c.id).limit(limit)
    return await _read_entries(connection, statement)


async def read_log_end(
    connection: AsyncConnection, codespace_id: int, *, limit: int, kinds: Sequence[str] = ()
) -> list[LogEntry]:
    """The last lines, of these kinds only if any are named, oldest first."""
    statement = _log_of(codespace_id).order_by(codespace_log.c.id.desc()).limit(limit)
    if kinds:
        statement = statement.where(codespace_log.c.kind.in_(kinds))
    return (await _read_entries(connection, statement))[::-1]


def _log_of(codespace_id: int) -> Select[Any]:
    columns = (codespace_log.c.id, codespace_log.c.at, codespace_log.c.kind, codespace_log.c.text)
    return select(*columns).where(codespace_log.c.codespace_id == codespace_id)


async def _read_entries(connection: AsyncConnection, statement: Select[Any]) -> list[LogEntry]:
    rows = await connection.execute(statement)
    return [LogEntry(id=row.id, at=row.at, kind=row.kind, text=row.text) for row in rows]
