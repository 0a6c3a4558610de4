"""Queries on prebuilds, their versions and their log."""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store.paging import fetch_page
from berth.adapters.store.prebuild_tables import prebuild_log, prebuild_versions, prebuilds
from berth.adapters.store.work import database_now
from berth.domain.codespace import LogEntry, finding_from_json
from berth.domain.prebuild import Prebuild, PrebuildState, PrebuildTrigger, PrebuildVersion, PrebuildWish

MAX_LOG_LINES = 10_000
_LIVE: ColumnElement[bool] = prebuilds.c.deleted.is_(False)


def to_prebuild(row: Row[Any]) -> Prebuild:
    """A row as the domain's value."""
    return Prebuild(
        id=row.id,
        repository_id=row.repository_id,
        creator_id=row.creator_id,
        wish=PrebuildWish(
            branch=row.branch,
            devcontainer_path=row.devcontainer_path,
            trigger=PrebuildTrigger(row.trigger),
            every_hours=row.every_hours,
            kept_versions=row.kept_versions,
        ),
        state=PrebuildState(row.state),
        is_forced=row.forced,
        is_deleted=row.deleted,
        commit_id=row.commit_id,
        finding=finding_from_json(row.finding) if row.finding else None,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )


def _to_version(row: Row[Any]) -> PrebuildVersion:
    return PrebuildVersion(**row._asdict())


async def count_prebuilds(connection: AsyncConnection, repository_id: int) -> int:
    statement = select(func.count()).select_from(prebuilds).where(prebuilds.c.repository_id == repository_id, _LIVE)
    return int((await connection.execute(statement)).scalar_one())


async def insert_prebuild(
    connection: AsyncConnection, *, repository_id: int, creator_id: int, wish: PrebuildWish, at: datetime
) -> Prebuild:
    """A new row, due at once."""
    values = {
        **asdict(wish),
        "repository_id": repository_id,
        "creator_id": creator_id,
        "state": PrebuildState.QUEUED,
        "forced": False,
        "deleted": False,
        "created_at": at,
        "next_at": database_now(connection),
        "generation": 1,
        "seen": 0,
        "epoch": 0,
        "attempts": 0,
    }
    return to_prebuild((await connection.execute(insert(prebuilds).values(**values).returning(prebuilds))).one())


async def find_prebuild(connection: AsyncConnection, repository_id: int, prebuild_id: int) -> Prebuild | None:
    statement = select(prebuilds).where(prebuilds.c.id == prebuild_id, prebuilds.c.repository_id == repository_id)
    row = (await connection.execute(statement.where(_LIVE))).one_or_none()
    return None if row is None else to_prebuild(row)


async def list_prebuilds(
    connection: AsyncConnection, repository_id: int, *, limit: int, offset: int
) -> tuple[list[Prebuild], int]:
    """A page, oldest first, and how many there are."""
    statement = select(prebuilds).where(prebuilds.c.repository_id == repository_id, _LIVE).order_by(prebuilds.c.id)
    rows, total = await fetch_page(connection, statement, limit=limit, offset=offset)
    return [to_prebuild(row) for row in rows], total


async def list_of_branch(connection: AsyncConnection, repository_id: int, branch: str) -> list[Prebuild]:
    statement = select(prebuilds).where(prebuilds.c.repository_id == repository_id, prebuilds.c.branch == branch, _LIVE)
    return [to_prebuild(row) for row in await connection.execute(statement)]


async def list_pushed(connection: AsyncConnection, repository_id: int) -> list[Prebuild]:
    """Those that a push makes anew."""
    statement = select(prebuilds).where(
        prebuilds.c.repository_id == repository_id, prebuilds.c.trigger == PrebuildTrigger.PUSH, _LIVE
    )
    return [to_prebuild(row) for row in await connection.execute(statement)]


async def request(connection: AsyncConnection, prebuild_id: int, values: Mapping[str, Any]) -> None:
    """Store what is wanted; the loop takes it from here, and ends a run that is under way."""
    statement = update(prebuilds).where(prebuilds.c.id == prebuild_id, _LIVE)
    changes = {"generation": prebuilds.c.generation + 1, "attempts": 0, "next_at": database_now(connection)}
    await connection.execute(statement.values(**values, **changes))


async def delete_row(connection: AsyncConnection, prebuild_id: int, epoch: int) -> bool:
    """The last step of a removal. False: the claim was lost."""
    statement = delete(prebuilds).where(prebuilds.c.id == prebuild_id, prebuilds.c.epoch == epoch)
    return bool((await connection.execute(statement)).rowcount)


async def list_names(connection: AsyncConnection) -> set[str]:
    """What the images of all prebuilds are called in the engine (`Prebuild.name`)."""
    return {f"prebuild.{number}" for number in (await connection.execute(select(prebuilds.c.id))).scalars()}


async def is_any_built(connection: AsyncConnection) -> bool:
    """Whether one is under way."""
    return bool((await connection.execute(select(exists().where(prebuilds.c.lease.is_not(None))))).scalar())


async def exist(connection: AsyncConnection, repository_id: int) -> bool:
    """Whether anything of the repository is prebuilt at all."""
    statement = select(exists().where(prebuilds.c.repository_id == repository_id, _LIVE))
    return bool((await connection.execute(statement)).scalar())


async def find_version(
    connection: AsyncConnection, repository_id: int, owner_id: int, configuration_hash: str
) -> PrebuildVersion | None:
    """The newest version of this hash that lies with this owner, of whichever of the repository's prebuilds."""
    statement = (
        select(prebuild_versions)
        .join(prebuilds, prebuilds.c.id == prebuild_versions.c.prebuild_id)
        .where(
            prebuilds.c.repository_id == repository_id,
            _LIVE,
            prebuild_versions.c.owner_id == owner_id,
            prebuild_versions.c.configuration_hash == configuration_hash,
        )
        .order_by(prebuild_versions.c.id.desc())
        .limit(1)
    )
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else _to_version(row)


async def list_versions(connection: AsyncConnection, prebuild_ids: Collection[int]) -> list[PrebuildVersion]:
    """Newest first."""
    statement = select(prebuild_versions).where(prebuild_versions.c.prebuild_id.in_(prebuild_ids))
    return [_to_version(row) for row in await connection.execute(statement.order_by(prebuild_versions.c.id.desc()))]


async def store_version(connection: AsyncConnection, values: Mapping[str, Any]) -> None:
    """A version, in place of one of the same hash."""
    await connection.execute(
        delete(prebuild_versions).where(
            prebuild_versions.c.prebuild_id == values["prebuild_id"],
            prebuild_versions.c.configuration_hash == values["configuration_hash"],
        )
    )
    await connection.execute(insert(prebuild_versions).values(**values))


async def delete_version(connection: AsyncConnection, version: PrebuildVersion) -> None:
    await connection.execute(delete(prebuild_versions).where(prebuild_versions.c.id == version.id))


async def is_shared(connection: AsyncConnection, version: PrebuildVersion) -> bool:
    """Whether another prebuild came to the same image, in the same place."""
    same = exists().where(
        prebuild_versions.c.id != version.id,
        prebuild_versions.c.owner_id == version.owner_id,
        prebuild_versions.c.digest == version.digest,
    )
    return bool((await connection.execute(select(same))).scalar())


async def append_log(connection: AsyncConnection, prebuild_id: int, at: datetime, lines: list[tuple[str, str]]) -> None:
    """Append (kind, text) lines."""
    if lines:
        rows = [{"prebuild_id": prebuild_id, "at": at, "kind": kind, "text": text} for kind, text in lines]
        await connection.execute(insert(prebuild_log), rows)


async def clear_log(connection: AsyncConnection, prebuild_id: int) -> None:
    """A log is that of the last run."""
    await connection.execute(delete(prebuild_log).where(prebuild_log.c.prebuild_id == prebuild_id))


async def read_log(connection: AsyncConnection, prebuild_id: int) -> list[LogEntry]:
    """Oldest first."""
    statement = (
        select(prebuild_log.c.id, prebuild_log.c.at, prebuild_log.c.kind, prebuild_log.c.text)
        .where(prebuild_log.c.prebuild_id == prebuild_id)
        .order_by(prebuild_log.c.id)
        .limit(MAX_LOG_LINES)
    )
    return [LogEntry(id=row.id, at=row.at, kind=row.kind, text=row.text) for row in await connection.execute(statement)]
