"""Whose secrets a caller may manage: the user himself, a repository's admins, an organization's owners.

1. User level: the user, about himself.
2. Repository level: admins write, those with write access list; the token's scopes cap both (A6).
3. Organization level: owners.
4. Who cannot see the repository or is outside the organization is told that it does not exist (A13); who can see it but
   lacks the role is refused.
5. A codespace's token never changes secrets: what runs in a codespace must not plant a value for the next one. A
   workflow's token does not even list them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import account as account_rows
from berth.adapters.store import repository as repository_rows
from berth.domain.access import Action, Subject, decide_repository
from berth.domain.access_token import TokenKind
from berth.domain.account import AccountType
from berth.domain.problem import Denied, NotFound
from berth.domain.scope import Scope
from berth.domain.secret import SecretLevel

# What a token needs to list and to change the secrets of a level (A6).
SCOPES: Mapping[SecretLevel, Scope] = {
    SecretLevel.USER: Scope.CODESPACE_SECRETS,
    SecretLevel.ORGANIZATION: Scope.ADMIN_ORG,
    SecretLevel.REPOSITORY: Scope.REPO,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretPlace:
    """Where a request says that a secret is: the caller's own, `owner`'s, or the repository `owner/repository`'s."""

    level: SecretLevel
    owner: str = ""
    repository: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretOwner:
    """Whose secrets they are. `id` is a repository's or an account's; `account_id` says whose audit log it is."""

    level: SecretLevel
    id: int
    account_id: int
    label: str

    @property
    def text(self) -> str:
        """The owner as one text, no other owner's: what clients seal is bound to it."""
        return f"{self.level}/{self.id}"

    def context(self, name: str) -> str:
        """What the stored value is bound to."""
        return f"{self.text}/{name}"


async def find_owner(connection: AsyncConnection, subject: Subject, place: SecretPlace, *, write: bool) -> SecretOwner:
    """The owner, if the caller may list (or with `write` change) his secrets. Raises NotFound, Denied."""
    if subject.token_kind is TokenKind.WORKFLOW or (write and subject.token_kind is not TokenKind.PERSONAL):
        raise Denied(
            "The token of a codespace or a workflow does not manage secrets.",
            code="secret.by_token",
            remedy="Use a personal access token.",
        )
    match place.level:
        case SecretLevel.USER:
            return SecretOwner(
                level=place.level, id=subject.account_id, account_id=subject.account_id, label=subject.login
            )
        case SecretLevel.REPOSITORY:
            action = Action.ADMINISTER if write else Action.WRITE
            known = await find_visible_repository(connection, subject, place.owner, place.repository, action)
            repository = known.repository
            return SecretOwner(
                level=place.level, id=repository.id, account_id=repository.owner_id, label=repository.full_name
            )
        case SecretLevel.ORGANIZATION:
            return await _find_organization(connection, subject, place.owner)
        case _:
            assert_never(place.level)


async def may_list(connection: AsyncConnection, subject: Subject, place: SecretPlace) -> bool:
    """Whether the caller is shown the secrets of this place; where there is no such owner there are none."""
    if SCOPES[place.level] not in subject.scopes:
        return False
    try:
        await find_owner(connection, subject, place, write=False)
    except (Denied, NotFound):
        return False
    return True


async def find_visible_repository(
    connection: AsyncConnection, subject: Subject, owner: str, name: str, action: Action
) -> repository_rows.KnownRepository:
    """The repository, if the caller may do this with it. Raises NotFound if he may not know of it, else Denied."""
    known = await repository_rows.find_known(connection, subject.account_id, owner, name)
    if known is None:
        raise _no_repository()
    decision = decide_repository(subject, known.facts, action)
    if not decision.may_know_it_exists:
        raise _no_repository()
    if not decision.allowed:
        raise Denied("Must have admin rights to Repository.", code="secret.denied")
    return known


async def _find_organization(connection: AsyncConnection, subject: Subject, login: str) -> SecretOwner:
    account = await account_rows.find_account(connection, login)
    if account is None or account.type is not AccountType.ORGANIZATION:
        raise _no_organization()
    facts = await account_rows.organization_facts(connection, account.id, subject.account_id)
    if facts.is_owner:
        return SecretOwner(level=SecretLevel.ORGANIZATION, id=account.id, account_id=account.id, label=account.login)
    if facts.is_member:
        raise Denied("Must be an owner of the organization to manage its secrets.", code="secret.denied")
    raise _no_organization()


def not_found() -> NotFound:
    return NotFound("Not Found", code="secret.not_found")


def _no_repository() -> NotFound:
    return NotFound("Not Found", code="repository.not_found")


def _no_organization() -> NotFound:
    return NotFound("Not Found", code="account.not_found")
