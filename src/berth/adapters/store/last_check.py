"""Queries on what was learnt last of registries' logins."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store.secret_tables import last_checks, secrets
from berth.domain.last_check import LastCheck, Learnt
from berth.domain.registry_login import LoginOutcome
from berth.domain.secret import SecretVersion

Versions = tuple[SecretVersion, ...]


async def keep_check(connection: AsyncConnection, versions: Versions, learnt: Learnt, at: datetime) -> None:
    """Of the triple of these values, SERVER's first. Nothing if one of them is another by now: an older try never ends the
    memory of a newer one. Where both come at once it may; then nothing is told, since lists compare the versions again.
    """
    ids = {version.secret_id for version in versions}
    rows = await connection.execute(select(secrets.c.id, secrets.c.version).where(secrets.c.id.in_(ids)))
    if {SecretVersion(row.id, row.version) for row in rows} != set(versions):
        return
    values = {"versions": _text(versions), "outcome": learnt.outcome, "code": learnt.code, "at": at}
    mine = last_checks.c.secret_id == versions[0].secret_id
    if (await connection.execute(update(last_checks).where(mine).values(**values))).rowcount:
        return
    try:
        async with connection.begin_nested():
            await connection.execute(insert(last_checks).values(secret_id=versions[0].secret_id, **values))
    except IntegrityError:  # somebody else's came first, or the secret has just gone
        return


async def find_checks(connection: AsyncConnection, logins: Collection[Versions]) -> dict[Versions, LastCheck]:
    """What is known of the logins of exactly these values; those of which nothing is are left out. One query."""
    wanted = {_text(versions): versions for versions in logins if versions}
    columns = (last_checks.c.versions, last_checks.c.outcome, last_checks.c.code, last_checks.c.at)
    statement = select(*columns).where(
        last_checks.c.secret_id.in_([versions[0].secret_id for versions in wanted.values()]),
        last_checks.c.versions.in_(list(wanted)),
    )
    return {
        wanted[row.versions]: LastCheck(learnt=Learnt(LoginOutcome(row.outcome), row.code), at=row.at)
        for row in await connection.execute(statement)
    }


def _text(versions: Versions) -> str:
    return " ".join(f"{version.secret_id}.{version.number}" for version in versions)
