"""Queries on organizations' policies for codespaces."""

import json
from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store.tables import codespace_policies, codespaces, repositories
from berth.domain.codespace_policy import CodespaceCounts, CodespacePolicy
from berth.domain.lifecycle import Desired

_LISTS = ("allowed_images", "allowed_options")  # JSON


async def list_policies(connection: AsyncConnection, organization_id: int) -> tuple[CodespacePolicy, ...]:
    """An account's policies by name; a user has none."""
    return (await list_policies_of(connection, {organization_id})).get(organization_id, ())


async def list_policies_of(
    connection: AsyncConnection, organization_ids: Collection[int]
) -> dict[int, tuple[CodespacePolicy, ...]]:
    """The same of several accounts, in one query."""
    return await _list(connection, codespace_policies.c.organization_id.in_(organization_ids))


async def list_policies_of_repository(connection: AsyncConnection, repository_id: int) -> tuple[CodespacePolicy, ...]:
    """Those of a repository's owner; none if it is gone."""
    owner = select(repositories.c.owner_id).where(repositories.c.id == repository_id).scalar_subquery()
    found = await _list(connection, codespace_policies.c.organization_id == owner)
    return next(iter(found.values()), ())


async def _list(connection: AsyncConnection, which: ColumnElement[bool]) -> dict[int, tuple[CodespacePolicy, ...]]:
    statement = select(codespace_policies).where(which).order_by(codespace_policies.c.name)
    found: dict[int, tuple[CodespacePolicy, ...]] = {}
    for row in await connection.execute(statement):
        found[row.organization_id] = (*found.get(row.organization_id, ()), _policy(row))
    return found


def _policy(row: Row[Any]) -> CodespacePolicy:
    lists = {name: text and tuple(json.loads(text)) for name, text in row._asdict().items() if name in _LISTS}
    fields = {**row._asdict(), **lists}
    del fields["organization_id"]
    return CodespacePolicy(**fields)


async def set_policy(connection: AsyncConnection, organization_id: int, policy: CodespacePolicy) -> None:
    """Make it, or replace the one of that name. The caller holds the organization's lock."""
    await delete_policy(connection, organization_id, policy.name)
    lists = {name: getattr(policy, name) for name in _LISTS}
    await connection.execute(
        insert(codespace_policies).values(
            organization_id=organization_id,
            name=policy.name,
            **{name: None if value is None else json.dumps(value) for name, value in lists.items()},
            idle_timeout_max_minutes=policy.idle_timeout_max_minutes,
            retention_max_minutes=policy.retention_max_minutes,
            max_codespaces_per_user=policy.max_codespaces_per_user,
            max_codespaces=policy.max_codespaces,
        )
    )


async def delete_policy(connection: AsyncConnection, organization_id: int, name: str) -> bool:
    """False: there was none."""
    statement = delete(codespace_policies).where(
        codespace_policies.c.organization_id == organization_id, codespace_policies.c.name == name
    )
    return bool((await connection.execute(statement)).rowcount)


async def count_codespaces(connection: AsyncConnection, organization_id: int, user_id: int) -> CodespaceCounts:
    """What counts against the limits of an organization's policies."""
    of_user = func.count().filter(codespaces.c.owner_id == user_id)
    statement = (
        select(of_user.label("of_user"), func.count().label("of_all"))
        .select_from(codespaces.join(repositories, repositories.c.id == codespaces.c.repository_id))
        .where(repositories.c.owner_id == organization_id, codespaces.c.desired != Desired.DELETED)
    )
    row = (await connection.execute(statement)).one()
    return CodespaceCounts(row.of_user, row.of_all)
