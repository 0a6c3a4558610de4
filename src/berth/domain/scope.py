"""Scopes: what a personal access token may do at most. Scopes cap a role, they never add to it (A6).

Source: GitHub docs, "Scopes for OAuth apps"; which implies which: GITHUB_API section 2.1 of the references.
"""

from collections.abc import Iterable
from enum import StrEnum

from berth.domain.problem import Invalid


class Scope(StrEnum):
    """Every scope that Berth knows. An unknown word is refused when a token is made."""

    REPO = "repo"
    PUBLIC_REPO = "public_repo"
    DELETE_REPO = "delete_repo"
    USER = "user"
    READ_USER = "read:user"
    USER_EMAIL = "user:email"
    ADMIN_ORG = "admin:org"
    WRITE_ORG = "write:org"
    READ_ORG = "read:org"
    CODESPACE = "codespace"
    CODESPACE_SECRETS = "codespace:secrets"
    READ_PACKAGES = "read:packages"
    WRITE_PACKAGES = "write:packages"
    DELETE_PACKAGES = "delete:packages"
    WORKFLOW = "workflow"
    SITE_ADMIN = "site_admin"


_IMPLIES: dict[Scope, frozenset[Scope]] = {
    Scope.REPO: frozenset({Scope.PUBLIC_REPO}),
    Scope.USER: frozenset({Scope.READ_USER, Scope.USER_EMAIL}),
    Scope.ADMIN_ORG: frozenset({Scope.WRITE_ORG, Scope.READ_ORG}),
    Scope.WRITE_ORG: frozenset({Scope.READ_ORG}),
    Scope.CODESPACE: frozenset({Scope.CODESPACE_SECRETS}),
    Scope.WRITE_PACKAGES: frozenset({Scope.READ_PACKAGES}),
}


def parse_scopes(words: Iterable[str]) -> frozenset[Scope]:
    """The scopes named. Raises Invalid for a word that is none (A14: what is unknown is denied, not ignored)."""
    scopes = set()
    for word in words:
        try:
            scopes.add(Scope(word))
        except ValueError:
            raise Invalid(
                f"'{word[:40]}' is not a scope. Known: {', '.join(Scope)}.", field="scopes", code="scope.unknown"
            ) from None
    return frozenset(scopes)


def expand_scopes(scopes: frozenset[Scope]) -> frozenset[Scope]:
    """The scopes with all that they imply."""
    return scopes.union(*(_IMPLIES.get(scope, frozenset()) for scope in scopes))
