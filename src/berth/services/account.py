"""Use cases of users, organizations and memberships."""

import re
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import account as rows
from berth.adapters.store import audit
from berth.adapters.store import repository as repository_rows
from berth.adapters.store import suspension as suspension_rows
from berth.adapters.store.database import Store
from berth.domain.access import OrganizationFacts, Subject
from berth.domain.access_token import TokenKind
from berth.domain.account import Account, AccountType, OrganizationRole, parse_login
from berth.domain.problem import Conflict, Denied, Invalid, NotFound
from berth.domain.scope import Scope
from berth.services.ports import Clock

_EMAIL = re.compile(r"[^@\s<>]{1,64}@[^@\s<>]{1,190}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountView:
    """An account with the numbers that its page shows."""

    account: Account
    public_repositories: int
    private_repositories: int  # private and internal; edges show it to the account itself only
    is_for_site_admin: bool = False  # whom edges show `suspended_at`


@dataclass(frozen=True, slots=True, kw_only=True)
class MembershipView:
    """A user in an organization."""

    organization: Account
    user: Account
    role: OrganizationRole


def is_site_admin(subject: Subject | None) -> bool:
    """Only by a personal token with the scope site_admin, of a site administrator."""
    if subject is None:
        return False
    return subject.site_admin and subject.token_kind is TokenKind.PERSONAL and subject.has(Scope.SITE_ADMIN)


def require_site_admin(subject: Subject) -> None:
    """Raises Denied."""
    if not is_site_admin(subject):
        raise Denied(
            "This is for site administrators.",
            code="account.not_site_admin",
            remedy="Use a token with the scope site_admin that belongs to a site administrator.",
        )


def require_personal(subject: Subject) -> None:
    """Accounts, organizations and teams are not changed by what runs in a codespace or a workflow. Raises Denied."""
    if subject.token_kind is not TokenKind.PERSONAL:
        raise Denied(
            "The token of a codespace or a workflow cannot do this.",
            code="token.codespace",
            remedy="Use a personal access token.",
        )


async def get_account(connection: AsyncConnection, login: str, kind: AccountType | None = None) -> Account:
    """Raises NotFound."""
    account = await rows.find_account(connection, login)
    if account is None or kind not in {None, account.type}:
        raise NotFound("Not Found", code="account.not_found")
    return account


async def organization_of_member(
    connection: AsyncConnection, subject: Subject, login: str
) -> tuple[Account, OrganizationFacts]:
    """An organization that the subject may look into: he is a member and his token lets him. Raises NotFound (A13)."""
    organization = await get_account(connection, login, AccountType.ORGANIZATION)
    facts = await rows.organization_facts(connection, organization.id, subject.account_id)
    if not facts.is_member or not subject.has(Scope.READ_ORG):
        raise NotFound("Not Found", code="account.not_found")
    return organization, facts


async def organization_of_owner(connection: AsyncConnection, subject: Subject, login: str) -> Account:
    """An organization that the subject may change. Raises Denied for a member, NotFound for anybody else."""
    require_personal(subject)
    organization, facts = await organization_of_member(connection, subject, login)
    if not facts.is_owner or not subject.has(Scope.ADMIN_ORG):
        raise Denied(
            "You must be an owner of the organization, and your token needs the scope admin:org.",
            code="account.not_owner",
            remedy=f"Ask an owner of {organization.login}.",
        )
    return organization


class AccountService:
    """Users, organizations, memberships."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def get(self, subject: Subject | None, login: str) -> AccountView:
        """A user or an organization. Raises NotFound."""
        async with self._store.read() as connection:
            return await self._view(connection, await get_account(connection, login), subject)

    async def get_own(self, subject: Subject) -> AccountView:
        """Raises Denied for a workflow's token: its job works for a repository and learns nothing of the person."""
        if subject.token_kind is TokenKind.WORKFLOW:
            raise Denied(
                "The token of a workflow stands for a repository, not for a person.",
                code="token.workflow",
                remedy="Use a personal access token.",
            )
        async with self._store.read() as connection:
            return await self._view(connection, await get_account(connection, subject.login), subject)

    async def get_organization(self, subject: Subject | None, login: str) -> AccountView:
        """Raises NotFound, for a user too."""
        async with self._store.read() as connection:
            account = await get_account(connection, login, AccountType.ORGANIZATION)
            return await self._view(connection, account, subject)

    async def _view(self, connection: AsyncConnection, account: Account, subject: Subject | None) -> AccountView:
        public, private = await repository_rows.count_repositories(connection, account.id)
        return AccountView(
            account=account,
            public_repositories=public,
            private_repositories=private,
            is_for_site_admin=is_site_admin(subject),
        )

    async def list_users(self, subject: Subject | None, *, limit: int, offset: int) -> tuple[list[Account], int]:
        async with self._store.read() as connection:
            return await rows.list_users(connection, limit=limit, offset=offset)

    async def list_own_organizations(self, subject: Subject, *, limit: int, offset: int) -> tuple[list[Account], int]:
        async with self._store.read() as connection:
            return await rows.list_organizations_of(connection, subject.account_id, limit=limit, offset=offset)

    async def list_members(
        self, subject: Subject, organization: str, role: OrganizationRole | None, *, limit: int, offset: int
    ) -> tuple[list[Account], int]:
        """All members, for members; memberships are concealed from everybody else, who gets an empty list."""
        async with self._store.read() as connection:
            try:
                found, _facts = await organization_of_member(connection, subject, organization)
            except NotFound:
                await get_account(connection, organization, AccountType.ORGANIZATION)
                return [], 0
            members, total = await rows.list_members(connection, found.id, role, limit=limit, offset=offset)
        return [member for member, _role in members], total

    async def list_memberships(
        self, subject: Subject, organization: str, *, limit: int, offset: int
    ) -> tuple[list[MembershipView], int]:
        """All members and what each is. Raises NotFound for who is none himself."""
        async with self._store.read() as connection:
            found, _facts = await organization_of_member(connection, subject, organization)
            members, total = await rows.list_members(connection, found.id, None, limit=limit, offset=offset)
        return [MembershipView(organization=found, user=user, role=role) for user, role in members], total

    async def get_membership(self, subject: Subject, organization: str, login: str) -> MembershipView:
        """Raises NotFound where there is none, or the subject may not know."""
        async with self._store.read() as connection:
            found, _facts = await organization_of_member(connection, subject, organization)
            user = await get_account(connection, login, AccountType.USER)
            role = await rows.find_membership(connection, found.id, user.id)
        if role is None:
            raise NotFound("Not Found", code="account.no_membership")
        return MembershipView(organization=found, user=user, role=role)

    async def set_membership(
        self, subject: Subject, organization: str, login: str, role: OrganizationRole
    ) -> MembershipView:
        """Make a user a member or an owner at once, without an invitation. Raises Conflict for the last owner."""
        async with self._store.begin() as connection:
            found = await organization_of_owner(connection, subject, organization)
            user = await get_account(connection, login, AccountType.USER)
            await rows.lock_organization(connection, found.id)
            if role is not OrganizationRole.ADMIN:
                await self._keep_an_owner(connection, found, user)
            await rows.set_membership(connection, found.id, user.id, role)
            await self._record(connection, subject, "membership.set", found.id, user.login, role)
        return MembershipView(organization=found, user=user, role=role)

    async def remove_membership(self, subject: Subject, organization: str, login: str) -> None:
        """An owner removes a member, or a member leaves. Raises Conflict for the last owner."""
        async with self._store.begin() as connection:
            if login.lower() == subject.login.lower():
                require_personal(subject)
                found, _facts = await organization_of_member(connection, subject, organization)
                if not subject.has(Scope.WRITE_ORG):
                    raise Denied("Your token lacks the scope write:org.", code="scope.missing")
            else:
                found = await organization_of_owner(connection, subject, organization)
            user = await get_account(connection, login, AccountType.USER)
            await rows.lock_organization(connection, found.id)
            if await rows.find_membership(connection, found.id, user.id) is None:
                raise NotFound("Not Found", code="account.no_membership")
            await self._keep_an_owner(connection, found, user)
            await rows.remove_membership(connection, found.id, user.id)
            await self._record(connection, subject, "membership.remove", found.id, user.login)

    async def _keep_an_owner(self, connection: AsyncConnection, organization: Account, user: Account) -> None:
        role = await rows.find_membership(connection, organization.id, user.id)
        if role is OrganizationRole.ADMIN and await rows.count_owners(connection, organization.id) == 1:
            raise Conflict(
                f"{user.login} is the last owner of {organization.login}.",
                code="account.last_owner",
                remedy="Make somebody else an owner first.",
            )

    async def create_user(
        self, subject: Subject, login: str, email: str | None, *, is_suspended: bool = False
    ) -> Account:
        """Site administrators only. Raises Invalid."""
        require_site_admin(subject)
        if email and not _EMAIL.fullmatch(email):
            raise Invalid("That is not an email address.", field="email", code="account.email")
        async with self._store.begin() as connection:
            user = await rows.insert_account(
                connection, login=parse_login(login), kind=AccountType.USER, now=self._clock.now(), email=email or None
            )
            await self._record(connection, subject, "user.create", user.id, user.login)
            if is_suspended:
                reason = f"Suspended by {subject.login}"
                await suspension_rows.set_suspension(connection, user.id, self._clock.now(), reason)
                await self._record(connection, subject, "user.suspend", user.id, user.login, reason)
                user = await get_account(connection, login)
        return user

    async def create_organization(self, subject: Subject, login: str, owner: str) -> Account:
        """With its first owner. Site administrators only. Raises Invalid."""
        require_site_admin(subject)
        async with self._store.begin() as connection:
            first = await rows.find_account(connection, owner)
            if first is None or first.type is not AccountType.USER:
                raise Invalid(f"There is no user '{owner[:40]}'.", field="admin", code="account.owner_unknown")
            organization = await rows.insert_account(
                connection, login=parse_login(login), kind=AccountType.ORGANIZATION, now=self._clock.now()
            )
            await rows.set_membership(connection, organization.id, first.id, OrganizationRole.ADMIN)
            await self._record(connection, subject, "organization.create", organization.id, login, first.login)
        return organization

    async def _record(
        self, connection: AsyncConnection, actor: Subject, action: str, account_id: int, target: str, detail: str = ""
    ) -> None:
        await audit.record(
            connection,
            at=self._clock.now(),
            actor=actor,
            action=action,
            account_id=account_id,
            target=target,
            detail=detail,
        )
