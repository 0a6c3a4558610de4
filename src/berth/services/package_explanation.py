"""Use case: what somebody may do with a package, and by which rules. For who may administer it.

It asks the decision that the registry asks, and has no rule of its own:
1. of a user, about his role alone: with a personal token of every scope for packages; one who is suspended may nothing;
2. of a repository, about the token of a codespace that was launched from it, for a pull; about the token of one of its
   workflows, with `packages: write`, for anything else. Both for somebody who may write to the repository.

A repository is named by who may read it; any other is answered like a missing one (A13).
"""

from dataclasses import dataclass, replace

from berth.adapters.store import account as account_rows
from berth.adapters.store import package as rows
from berth.adapters.store import repository as repository_rows
from berth.adapters.store.database import Store
from berth.adapters.store.package import Asker
from berth.domain.access import Action, Decision, Subject, decide_repository
from berth.domain.access_token import TokenKind
from berth.domain.account import AccountType
from berth.domain.package import Package
from berth.domain.package_access import PackageAction, PackageFacts, decide_package
from berth.domain.problem import Invalid
from berth.domain.scope import Scope, expand_scopes
from berth.domain.suspension import refuse_suspended
from berth.domain.workflow_permissions import WorkflowPermission, WorkflowPermissions
from berth.services.package_access import PackagePlace, find_allowed, unknown_repository

_ALL_SCOPES = expand_scopes(frozenset({Scope.WRITE_PACKAGES, Scope.DELETE_PACKAGES}))
_TOKEN = 0  # no token's id: nobody logs in with it
_WRITE_PACKAGES = WorkflowPermissions(packages=WorkflowPermission.WRITE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A decision, and about whom it is: `octo`, `a codespace of acme/web`, `a workflow of acme/web`."""

    package: Package
    action: PackageAction
    asked_of: str
    decision: Decision


def parse_action(word: str) -> PackageAction:
    """Raises Invalid."""
    try:
        return PackageAction(word)
    except ValueError:
        raise Invalid(f"action is one of {', '.join(PackageAction)}.", field="action", code="package.action") from None


class PackageExplanationService:
    """Explains access."""

    def __init__(self, *, store: Store) -> None:
        self._store = store

    async def of_user(self, subject: Subject, place: PackagePlace, action: PackageAction, login: str) -> Explanation:
        """Raises NotFound, Denied; Invalid for an unknown user."""
        async with self._store.read() as connection:
            package = (await find_allowed(connection, subject, place, PackageAction.ADMINISTER)).package
            user = await account_rows.find_account(connection, login)
            if user is None or user.type is not AccountType.USER:
                raise Invalid(f"There is no user '{login[:40]}'.", field="user", code="package.user_unknown")
            asked = Subject(
                account_id=user.id,
                login=user.login,
                site_admin=user.site_admin,
                token_kind=TokenKind.PERSONAL,
                token_id=_TOKEN,
                scopes=_ALL_SCOPES,
            )
            known = await rows.get_known_package_by_id(connection, Asker(user.id), package.id)
        explained = _explain(package, action, user.login, asked, known.facts)
        return replace(explained, decision=refuse_suspended(explained.decision)) if user.is_suspended else explained

    async def of_repository(
        self, subject: Subject, place: PackagePlace, action: PackageAction, owner: str, name: str
    ) -> Explanation:
        """Raises NotFound, Denied; Invalid for a repository that the subject may not read."""
        async with self._store.read() as connection:
            package = (await find_allowed(connection, subject, place, PackageAction.ADMINISTER)).package
            found = await repository_rows.find_known(connection, subject.account_id, owner, name)
            if found is None or not decide_repository(subject, found.facts, Action.READ):
                raise unknown_repository()
            repository = found.repository
            known = await rows.get_known_package_by_id(connection, Asker(None, repository.id), package.id)
        by_codespace = action is PackageAction.PULL
        asked = Subject(
            account_id=subject.account_id,
            login=subject.login,
            site_admin=False,
            token_kind=TokenKind.CODESPACE if by_codespace else TokenKind.WORKFLOW,
            token_id=_TOKEN,
            scopes=frozenset(),
            permissions=_WRITE_PACKAGES,
        )
        whose = f"a {'codespace' if by_codespace else 'workflow'} of {repository.full_name}"
        return _explain(package, action, whose, asked, _for_a_writer(known.facts))


def _for_a_writer(facts: PackageFacts) -> PackageFacts:
    """The same, of an account that may write to the repository behind the token."""
    source = facts.source
    changed = None if source is None else replace(source, repository=replace(source.repository, is_owner=True))
    return replace(facts, source=changed)


def _explain(
    package: Package, action: PackageAction, asked_of: str, asked: Subject, facts: PackageFacts
) -> Explanation:
    decision = decide_package(asked, facts, action)
    return Explanation(package=package, action=action, asked_of=asked_of, decision=decision)
