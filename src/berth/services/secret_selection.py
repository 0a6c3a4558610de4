"""Which repositories a secret may be given to (S3).

1. A user's secret: any repository that he can read with the token at hand.
2. An organization's secret: the organization's own repositories.
3. An id of nothing and one that he must not know of get the same answer (A13).
"""

from collections.abc import Collection

from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import repository as repository_rows
from berth.adapters.store import secret as rows
from berth.domain.access import Action, Subject, decide_repository
from berth.domain.problem import Invalid, LimitReached
from berth.domain.secret import SecretLevel, may_use_organization_secret
from berth.services.secret_access import SecretOwner

MAX_SELECTED_REPOSITORIES = 5000  # one query's worth of parameters on both databases


async def find_selectable(
    connection: AsyncConnection, subject: Subject, owner: SecretOwner, repository_ids: Collection[int]
) -> set[int]:
    """Those of the ids that the caller may select, and may see selected. One query."""
    if owner.level is SecretLevel.ORGANIZATION:
        return await rows.find_organization_repositories(connection, owner.id, repository_ids)
    facts = await repository_rows.gather_facts_of_many(connection, subject.account_id, repository_ids)
    return {one.repository_id for one in facts if decide_repository(subject, one, Action.READ)}


async def check_selection(
    connection: AsyncConnection, subject: Subject, owner: SecretOwner, repository_ids: Collection[int]
) -> tuple[int, ...]:
    """The ids, each once. Raises Invalid unless all of them may be selected."""
    wanted = set(repository_ids)
    check_selection_size(len(wanted))
    if wanted - await find_selectable(connection, subject, owner, wanted):
        raise Invalid(
            "At least one of the selected repositories does not exist for you, or not in this organization.",
            field="selected_repository_ids",
            code="secret.repository_unknown",
            remedy="Check the ids; for private repositories the token needs the scope repo.",
        )
    return tuple(sorted(wanted))


def check_selection_size(count: int) -> None:
    if count > MAX_SELECTED_REPOSITORIES:
        raise LimitReached(
            f"A secret can be given to at most {MAX_SELECTED_REPOSITORIES} repositories.", code="secret.selection_limit"
        )


def reaches(stored: rows.StoredValue, *, repository_is_public: bool) -> bool:
    """Whether the secret is for this repository's codespaces (S3); the query has chosen user and repository already."""
    if stored.level is not SecretLevel.ORGANIZATION:
        return True
    return stored.visibility is not None and may_use_organization_secret(
        stored.visibility, repository_is_public=repository_is_public, selected=stored.selected
    )
