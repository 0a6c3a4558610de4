"""How many repositories secrets are given to."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Integer, case, cast, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store.repository import readable_by
from berth.adapters.store.secret_tables import secret_repositories
from berth.adapters.store.tables import repositories
from berth.domain.access import Subject


@dataclass(frozen=True, slots=True)
class Reach:
    """Of secrets that belong together: how many repositories get all of them, and how many only some."""

    whole: int = 0
    partly: int = 0


async def count_selected(
    connection: AsyncConnection, groups: Sequence[Collection[int]], *, subject: Subject, organization_id: int | None
) -> list[Reach]:
    """For each group of secrets' ids, which share none. One query.

    Counted is what the subject can see (A13): the organization's repositories, else all that he may read.
    """
    ids = {secret_id: number for number, group in enumerate(groups) for secret_id in group}
    if not ids:
        return [Reach() for _ in groups]
    group = cast(case(ids, value=secret_repositories.c.secret_id), Integer).label("number")
    visible: ColumnElement[bool] = readable_by(subject)
    if organization_id is not None:
        visible = repositories.c.owner_id == organization_id
    each = (
        select(group, secret_repositories.c.repository_id, func.count().label("parts"))
        .join(repositories, repositories.c.id == secret_repositories.c.repository_id)
        .where(secret_repositories.c.secret_id.in_(list(ids)), visible)
        .group_by("number", secret_repositories.c.repository_id)
        .subquery()
    )
    statement = select(each.c.number, each.c.parts, func.count().label("found")).group_by(each.c.number, each.c.parts)
    found: list[dict[bool, int]] = [{} for _ in groups]
    for number, parts, count in await connection.execute(statement):
        whole = parts == len(groups[number])
        found[number][whole] = found[number].get(whole, 0) + count
    return [Reach(one.get(True, 0), one.get(False, 0)) for one in found]
