"""Use cases of an organization's policy for its packages (A8, A11). Its owners' to see and to set."""

from collections.abc import Sequence

from berth.adapters.store import account as account_rows
from berth.adapters.store import audit
from berth.adapters.store import package as rows
from berth.adapters.store.database import Store
from berth.domain.access import Subject
from berth.domain.package import PackagePolicy, parse_policy
from berth.services.account import organization_of_owner
from berth.services.ports import Clock


class PackagePolicyService:
    """Policies."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def get(self, subject: Subject, organization: str) -> PackagePolicy:
        """The defaults where nothing was ever set. Raises NotFound, Denied."""
        async with self._store.read() as connection:
            found = await organization_of_owner(connection, subject, organization)
            return await rows.get_policy(connection, found.id)

    async def change(
        self,
        subject: Subject,
        organization: str,
        *,
        inherit_access_default: bool | None,
        creatable_visibilities: Sequence[str] | None,
    ) -> PackagePolicy:
        """None leaves it as it is. What exists is not changed by it. Raises NotFound, Denied, Invalid."""
        async with self._store.begin() as connection:
            found = await organization_of_owner(connection, subject, organization)
            await account_rows.lock_organization(connection, found.id)
            old = await rows.get_policy(connection, found.id)
            policy = parse_policy(
                old.inherit_access_default if inherit_access_default is None else inherit_access_default,
                old.creatable_visibilities if creatable_visibilities is None else creatable_visibilities,
            )
            await rows.set_policy(connection, found.id, policy)
            words = ",".join(sorted(policy.creatable_visibilities)) or "none"
            await audit.record(
                connection,
                at=self._clock.now(),
                actor=subject,
                action="package.policy",
                account_id=found.id,
                target=found.login,
                detail=f"inherit_access_default {policy.inherit_access_default}, creatable_visibilities {words}",
            )
        return policy
