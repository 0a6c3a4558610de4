"""Finding a package that somebody may do something with, for every use case outside the registry itself.

1. The decision is `domain/package_access.py`'s. What may not be pulled answers like what is missing (A13); so does a
   name under which nothing was published yet, which only the push that took it sees.
2. Changes of one package take turns, and the decision is taken again behind the lock. Who needs other locks takes them
   before: organization, then repository, then package.
3. Every change is recorded in the owner's audit log, with the rules that allowed it.
"""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import audit
from berth.adapters.store import package as rows
from berth.adapters.store.package import KnownPackage
from berth.domain.access import Decision, Subject
from berth.domain.package import Package, PackageName
from berth.domain.package_access import PackageAction, PackageFacts, decide_package, refusal_text
from berth.domain.package_role import PackageRole, find_package_role
from berth.domain.problem import Denied, Invalid, NotFound
from berth.services.ports import Clock
from berth.services.registry_access import asker_of


@dataclass(frozen=True, slots=True)
class PackagePlace:
    """Where a request looks for a package. `name` is None for what no package can be named."""

    name: PackageName | None
    of_organization: bool = False  # an organization's only

    def may_hold(self, package: Package) -> bool:
        return package.owner_is_organization or not self.of_organization


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedPackage:
    """A package with the decision that lets the subject at it."""

    package: Package
    facts: PackageFacts
    decision: Decision


async def find_allowed(
    connection: AsyncConnection, subject: Subject, place: PackagePlace, action: PackageAction
) -> AllowedPackage:
    """A live package that the subject may do this with. Raises NotFound, Denied."""
    known = None if place.name is None else await rows.find_known_package(connection, asker_of(subject), place.name)
    if known is None or known.package.published_at is None or not place.may_hold(known.package):
        raise refusal(subject, action)
    return decide(subject, known, action)


async def lock_allowed(
    connection: AsyncConnection, subject: Subject, place: PackagePlace, action: PackageAction
) -> AllowedPackage:
    """The same, as it is while no other change of it runs."""
    package_id = (await find_allowed(connection, subject, place, action)).package.id
    await rows.lock_package(connection, package_id)
    known = await rows.get_known_package_by_id(connection, asker_of(subject), package_id)
    if known.package.deleted_at is not None:
        raise refusal(subject, action)
    return decide(subject, known, action)


def decide(subject: Subject, known: KnownPackage, action: PackageAction) -> AllowedPackage:
    """Raises NotFound, Denied."""
    decision = decide_package(subject, known.facts, action)
    if not decision:
        raise refusal(subject, action, decision)
    return AllowedPackage(package=known.package, facts=known.facts, decision=decision)


def refusal(subject: Subject, action: PackageAction, decision: Decision | None = None) -> NotFound | Denied:
    """The one answer for what is refused, hidden or missing (policy 1)."""
    text = refusal_text(subject, action, decision)
    if text is None:
        return NotFound("Not Found", code="package.not_found")
    return Denied(text, code="package.denied", remedy="Ask an administrator of the package, or use another token.")


def unknown_repository() -> Invalid:
    """Of a repository that a request names: one that is missing, and one that may not be read (A13)."""
    return Invalid(
        "There is no such repository, or you may not read it.", field="repository", code="package.repository_unknown"
    )


def parse_role(word: str) -> PackageRole:
    """A role that a request names. Raises Invalid."""
    role = find_package_role(word)
    if role is None:
        raise Invalid(
            f"'{word[:40]}' is not a role on a package. Known: read, write, admin.", field="role", code="package.role"
        )
    return role


async def record(
    connection: AsyncConnection, clock: Clock, actor: Subject, allowed: AllowedPackage, action: str, detail: str = ""
) -> None:
    """Policy 3. `detail` is what changed, in words of ours and names."""
    rules = " ".join(reason.rule for reason in allowed.decision.trail)
    await audit.record(
        connection,
        at=clock.now(),
        actor=actor,
        action=action,
        account_id=allowed.package.owner_id,
        target=allowed.package.full_name,
        detail=f"{detail} {rules}".strip(),
    )
