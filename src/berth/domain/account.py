"""Accounts: users and organizations, their names, who belongs to which organization.

A name is what GitHub allows: 1 to 39 letters, digits and single hyphens, not at either end. Names are compared without
case and shown as they were written. The first words of our own paths cannot be names (DESIGN section 3).
"""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from berth.domain.problem import Invalid

_LOGIN = re.compile(r"[A-Za-z0-9](?:-?[A-Za-z0-9]){0,38}")
MAX_LOGIN_LENGTH = 39
MAX_TEAM_NAME = 100
MAX_TEAM_DESCRIPTION = 350  # Decided: as a repository's; GitHub documents none

RESERVED_LOGINS = frozenset(
    {
        "admin", "api", "codespaces", "docs", "doctor", "explore", "favicon", "graphql", "healthz", "help", "login",
        "logout", "metrics", "new", "notifications", "orgs", "packages", "readyz", "registries", "repositories",
        "search", "sessions", "settings", "setup", "signup", "site", "static", "teams", "token", "user", "users", "v2",
    }
)  # fmt: skip


class AccountType(StrEnum):
    """GitHub's `type` of an account."""

    USER = "User"
    ORGANIZATION = "Organization"


class OrganizationRole(StrEnum):
    """What a member is in an organization; `admin` is GitHub's word for an owner."""

    ADMIN = "admin"
    MEMBER = "member"


def parse_organization_role(word: str) -> OrganizationRole:
    """Raises Invalid."""
    try:
        return OrganizationRole(word)
    except ValueError:
        raise Invalid("A member's role is admin or member.", field="role", code="account.role") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user or an organization."""

    id: int
    login: str
    type: AccountType
    name: str | None
    email: str | None
    site_admin: bool
    created_at: datetime
    updated_at: datetime
    suspended_at: datetime | None = None
    suspension_reason: str | None = None

    @property
    def is_suspended(self) -> bool:
        return self.suspended_at is not None

    @property
    def git_name(self) -> str:
        """What his commits say."""
        return self.name or self.login

    @property
    def git_email(self) -> str:
        """The same; one that reaches nobody, if he has told none."""
        return self.email or f"{self.id}+{self.login}@users.noreply.localhost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """A team of an organization."""

    id: int
    organization_id: int
    slug: str
    name: str
    description: str
    created_at: datetime
    updated_at: datetime


def is_login(text: str) -> bool:
    """Whether an account could have this name."""
    return len(text) <= MAX_LOGIN_LENGTH and _LOGIN.fullmatch(text) is not None


def parse_login(text: str) -> str:
    """A new account's name, as written. Raises Invalid."""
    if not is_login(text):
        raise Invalid(
            "An account's name has 1 to 39 letters, digits and single hyphens, and begins and ends with none.",
            field="login",
            code="account.login",
        )
    if text.lower() in RESERVED_LOGINS:
        raise Invalid(f"The name '{text}' is reserved.", field="login", code="account.login.reserved")
    return text


_SLUG_BREAK = re.compile(r"[^a-z0-9_]+")


def team_slug(name: str) -> str:
    """A team's slug from its name, as GitHub makes it: lower case, other characters become one hyphen. Raises Invalid."""
    slug = _SLUG_BREAK.sub("-", name.lower()).strip("-")
    if not slug or max(len(slug), len(name)) > MAX_TEAM_NAME:
        raise Invalid(
            f"A team's name needs 1 to {MAX_TEAM_NAME} characters with a letter or digit.",
            field="name",
            code="team.name",
        )
    return slug


def check_team_description(text: str) -> str:
    """Raises Invalid."""
    if len(text) > MAX_TEAM_DESCRIPTION:
        raise Invalid(
            f"A team's description has at most {MAX_TEAM_DESCRIPTION} characters.",
            field="description",
            code="team.description",
        )
    return text
