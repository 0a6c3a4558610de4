"""An organization's policies for the codespaces of its repositories: its owners set them, launches obey them (L6)."""

from collections.abc import Collection, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import account as account_rows
from berth.adapters.store import audit
from berth.adapters.store import codespace_policy as rows
from berth.adapters.store.database import Store
from berth.domain.access import Subject
from berth.domain.allowance import Allowances
from berth.domain.codespace_policy import (
    MAX_POLICIES,
    CodespacePolicy,
    check_policy,
    decide_images,
    option_policies,
    refusal_of,
    require_room,
)
from berth.domain.host_option import HostOption
from berth.domain.image_reference import ImageReference
from berth.domain.problem import LimitReached, NotFound
from berth.domain.repository import Repository
from berth.services.account import organization_of_owner
from berth.services.launch_failure import LaunchFailed
from berth.services.ports import Clock


async def require_images(store: Store, repository: Repository, images: Sequence[ImageReference]) -> None:
    """Every image that a launch from this repository uses, at creation and at rebuild. Raises LaunchFailed."""
    async with store.read() as connection:
        policies = await rows.list_policies(connection, repository.owner_id)
    decision = decide_images(policies, images)
    if not decision:
        raise LaunchFailed(refusal_of(decision, policies, repository.owner_login))


async def find_allowances(
    connection: AsyncConnection, repository: Repository, site_options: Collection[HostOption]
) -> Allowances:
    """What of the host the containers of this repository's codespaces may have now."""
    policies = await rows.list_policies(connection, repository.owner_id)
    return Allowances(
        site=frozenset(site_options), policies=option_policies(policies), organization=repository.owner_login
    )


async def require_room_for_another(connection: AsyncConnection, repository: Repository, user_id: int) -> None:
    """In the transaction that makes the codespace; its user is locked already. Raises LimitReached."""
    policies = await rows.list_policies(connection, repository.owner_id)
    if any(each.max_codespaces is not None for each in policies):
        await account_rows.lock_organization(connection, repository.owner_id)
    if policies:
        counts = await rows.count_codespaces(connection, repository.owner_id, user_id)
        require_room(policies, counts, repository.owner_login)


class CodespacePolicyService:
    """For owners with the scope admin:org."""

    def __init__(self, *, store: Store, clock: Clock, site_options: Collection[HostOption] = ()) -> None:
        """`site_options` is what the administrator lets codespaces have of their host."""
        self._store = store
        self._clock = clock
        self._site_options = site_options

    async def list_all(self, subject: Subject, organization: str) -> tuple[CodespacePolicy, ...]:
        """By name. Raises NotFound, Denied."""
        async with self._store.read() as connection:
            found = await organization_of_owner(connection, subject, organization)
            return await rows.list_policies(connection, found.id)

    async def get(self, subject: Subject, organization: str, name: str) -> CodespacePolicy:
        """Raises NotFound, Denied."""
        for policy in await self.list_all(subject, organization):
            if policy.name == name:
                return policy
        raise _not_found()

    async def put(self, subject: Subject, organization: str, policy: CodespacePolicy) -> CodespacePolicy:
        """Make it, or replace the one of that name. What runs goes on. Raises NotFound, Denied, Invalid, LimitReached."""
        async with self._store.begin() as connection:
            found = await organization_of_owner(connection, subject, organization)
            await account_rows.lock_organization(connection, found.id)
            checked = check_policy(policy, self._site_options)
            others = [each for each in await rows.list_policies(connection, found.id) if each.name != checked.name]
            if len(others) >= MAX_POLICIES:
                raise LimitReached(f"An organization has at most {MAX_POLICIES} policies.", code="codespace.policies")
            await rows.set_policy(connection, found.id, checked)
            await self._record(connection, subject, found.id, checked.name, _summary(checked))
        return checked

    async def delete(self, subject: Subject, organization: str, name: str) -> None:
        """Raises NotFound, Denied."""
        async with self._store.begin() as connection:
            found = await organization_of_owner(connection, subject, organization)
            await account_rows.lock_organization(connection, found.id)
            if not await rows.delete_policy(connection, found.id, name):
                raise _not_found()
            await self._record(connection, subject, found.id, name, "deleted")

    async def _record(
        self, connection: AsyncConnection, subject: Subject, organization_id: int, name: str, detail: str
    ) -> None:
        await audit.record(
            connection,
            at=self._clock.now(),
            actor=subject,
            action="codespace.policy",
            account_id=organization_id,
            target=name,
            detail=detail,
        )


def _summary(policy: CodespacePolicy) -> str:
    """What the audit log keeps: numbers, and how many patterns."""
    said = {
        "allowed_images": None if policy.allowed_images is None else len(policy.allowed_images),
        "allowed_options": None if policy.allowed_options is None else len(policy.allowed_options),
        "idle_timeout_max_minutes": policy.idle_timeout_max_minutes,
        "retention_max_minutes": policy.retention_max_minutes,
        "max_codespaces_per_user": policy.max_codespaces_per_user,
        "max_codespaces": policy.max_codespaces,
    }
    return ", ".join(f"{name} {value}" for name, value in said.items() if value is not None) or "empty"


def _not_found() -> NotFound:
    return NotFound("Not Found", code="codespace.policy_not_found")
