"""What changes in the store when a repository gets another owner. Its row and its id stay."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store.access_token import revoke_workflow_tokens
from berth.adapters.store.collaborator import remove_collaborator, set_collaborator
from berth.adapters.store.package import forget_repository
from berth.adapters.store.repository import update_repository
from berth.adapters.store.secret_tables import secret_repositories, secrets
from berth.adapters.store.tables import accounts, team_repositories
from berth.domain.repository_transfer import TransferPlan
from berth.domain.role import Role
from berth.domain.secret import SecretLevel


async def lock_accounts(connection: AsyncConnection, account_ids: Collection[int]) -> None:
    """Changes of these accounts' members and secrets wait until the transaction ends.

    Before the repository's own lock, as writers of secrets do; in order of id, so that two transfers do not wait for
    each other.
    """
    statement = select(accounts.c.id).where(accounts.c.id.in_(account_ids)).order_by(accounts.c.id)
    await connection.execute(statement.with_for_update(key_share=True))


async def cut_ties(connection: AsyncConnection, repository_id: int, old_owner_id: int) -> None:
    """End what the old owner gave the repository, or gave others on it, packages too (A12). The caller holds all locks."""
    await revoke_workflow_tokens(connection, repository_id)
    await forget_repository(connection, repository_id)
    await connection.execute(delete(team_repositories).where(team_repositories.c.repository_id == repository_id))
    theirs = select(secrets.c.id).where(
        secrets.c.level == SecretLevel.ORGANIZATION, secrets.c.account_id == old_owner_id
    )
    await connection.execute(
        delete(secret_repositories).where(
            secret_repositories.c.repository_id == repository_id, secret_repositories.c.secret_id.in_(theirs)
        )
    )


async def change_owner(connection: AsyncConnection, repository_id: int, plan: TransferPlan, now: datetime) -> None:
    """Bring the plan about. Raises Invalid (already_exists) where the new owner has a repository of this name."""
    values = {"owner_id": plan.owner_id, "name": plan.name, "visibility": plan.visibility, "updated_at": now}
    await update_repository(connection, repository_id, values)
    await remove_collaborator(connection, repository_id, plan.owner_id)
    for user_id in sorted(plan.administrators):
        await set_collaborator(connection, repository_id, user_id, Role.ADMIN)
