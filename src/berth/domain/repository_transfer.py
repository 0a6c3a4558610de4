"""What becomes of a repository that is given to another account, as one plan.

Policy:
1. What is bound to its id stays: git, its own secrets, users' secrets that select it, its codespaces, and the roles that
   people have on it by name.
2. What the old owner's organization gave it, or gave on it, ends: its members' and teams' roles, its secrets, and the
   tokens of workflows (A12). Rights are decided anew at each use, so nothing else has to be told.
3. An internal repository of a user would have no organization whose members read it: it becomes private.
4. Nobody who transfers it loses it: who does so administers it under an organization as if he had created it there, and
   the user whose it was administers it by name. The user whose it is now needs no role by name.
5. A user owns only what he took himself: there is no way to ask him. An organization, by one of its members.

Source: GitHub docs, "Transferring a repository". Decided: at once, and 4 for whoever transfers.
"""

from dataclasses import dataclass

from berth.domain.account import Account, AccountType
from berth.domain.problem import Denied, Invalid
from berth.domain.repository import Repository, Visibility


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferPlan:
    """The repository afterwards. `administrators` are ids of users who get the role by name."""

    owner_id: int
    name: str
    visibility: Visibility
    administrators: frozenset[int]


def check_new_owner(repository: Repository, new_owner: Account, *, caller_id: int, is_member: bool) -> None:
    """Policy 5; `is_member`: of the new owner, if that is an organization. Raises Invalid, Denied."""
    if new_owner.id == repository.owner_id:
        raise Invalid(
            f"{repository.full_name} belongs to {new_owner.login} already.",
            field="new_owner",
            code="repository.transfer.same_owner",
            remedy="To rename it only, change its name.",
        )
    if new_owner.type is AccountType.ORGANIZATION and not is_member:
        raise Denied(
            f"You are not a member of {new_owner.login}.",
            code="repository.create_denied",
            remedy=f"Ask an owner of {new_owner.login}.",
        )
    if new_owner.type is AccountType.USER and new_owner.id != caller_id:
        raise Denied(
            f"{new_owner.login} would have to agree, and there is no way to ask.",
            code="repository.transfer.denied",
            remedy=f"Make {new_owner.login} an administrator of the repository, who can then transfer it to himself.",
        )


def plan_transfer(repository: Repository, new_owner: Account, *, caller_id: int, name: str | None) -> TransferPlan:
    """Policy 3 and 4; `name` is the new one, None to keep the old."""
    to_user = new_owner.type is AccountType.USER
    internal = repository.visibility is Visibility.INTERNAL
    administrators = {caller_id} if repository.owner_is_organization else {caller_id, repository.owner_id}
    return TransferPlan(
        owner_id=new_owner.id,
        name=repository.name if name is None else name,
        visibility=Visibility.PRIVATE if to_user and internal else repository.visibility,
        administrators=frozenset(administrators - {new_owner.id}),
    )
