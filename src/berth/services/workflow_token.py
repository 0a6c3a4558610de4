"""Use case of workflow tokens: what a job of one repository holds (A8). What it may do: `domain.access`, policy 2.

1. It is made with a personal token, by who may push to the repository, and it is no stronger than that token: not in
   what it opens, not in reading and writing packages, not in how long it lasts. At each use it is also no stronger than
   its maker's role then. What a package's administrator lets the repository's jobs delete (its workflow access list, role
   admin) they may delete whoever starts them, as on GitHub: that is the repository's right, not the person's (A8).
2. It lasts an hour. It is void when the repository is deleted, gets another owner (A12), or is no longer public: a
   token that opens public repositories only may have made it.
3. It outlives the token that made it, if that one is revoked: it is the job's, not the person's.
"""

from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import access_token as rows
from berth.adapters.store import audit
from berth.adapters.store.database import Store
from berth.domain.access import Action, Subject
from berth.domain.access_token import TokenKind, make_token
from berth.domain.problem import Denied
from berth.domain.scope import Scope
from berth.domain.workflow_permissions import WorkflowPermission, WorkflowPermissions
from berth.services.access_token import NewToken
from berth.services.account import require_personal
from berth.services.ports import Clock, Entropy
from berth.services.repository import find_locked

LIFETIME = timedelta(hours=1)
_SCOPE_FOR_PACKAGES = {WorkflowPermission.READ: Scope.READ_PACKAGES, WorkflowPermission.WRITE: Scope.WRITE_PACKAGES}


class WorkflowTokenService:
    """Workflow tokens."""

    def __init__(self, *, store: Store, clock: Clock, entropy: Entropy) -> None:
        self._store = store
        self._clock = clock
        self._entropy = entropy

    async def create(self, subject: Subject, owner: str, name: str, permissions: WorkflowPermissions) -> NewToken:
        """A new token of this repository. Raises NotFound, Denied."""
        require_personal(subject)
        value = make_token(TokenKind.WORKFLOW, self._entropy.token_bytes(32))
        async with self._store.begin() as connection:
            repository = (await find_locked(connection, subject, owner, name, Action.WRITE)).repository
            _check_packages(subject, permissions)
            now = self._clock.now()
            await rows.delete_expired_workflow_tokens(connection, repository.id, now)
            token = await rows.insert_token(
                connection,
                value,
                kind=TokenKind.WORKFLOW,
                account_id=subject.account_id,
                note="",
                scopes=frozenset(),
                now=now,
                expires_at=await _find_end(connection, subject, now),
                repository_id=repository.id,
                permissions=permissions,
            )
            await audit.record(
                connection,
                at=now,
                actor=subject,
                action="workflow_token.create",
                account_id=repository.owner_id,
                target=repository.full_name,
                detail=permissions.format(),
            )
        return NewToken(token=token, value=value)


def _check_packages(subject: Subject, permissions: WorkflowPermissions) -> None:
    needed = _SCOPE_FOR_PACKAGES.get(permissions.packages)
    if needed is not None and not subject.has(needed):
        raise Denied(
            f"Your token lacks what the new one asks for: {needed}.",
            code="token.scopes_exceeded",
            remedy="Ask for less, or use a token that has it.",
        )


async def _find_end(connection: AsyncConnection, subject: Subject, now: datetime) -> datetime:
    if subject.session_id is not None:
        return now + LIFETIME
    own = await rows.find_token(connection, subject.account_id, subject.token_id)
    if own is None:
        raise Denied("Your token was revoked meanwhile.", code="token.revoked")
    return now + LIFETIME if own.expires_at is None else min(now + LIFETIME, own.expires_at)
