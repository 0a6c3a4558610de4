"""A finding: what went wrong with a launch or a pull, for a person and for a program. The doctor speaks in these."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Fixer(StrEnum):
    """Who can mend it."""

    DEVELOPER = "developer"  # the person who launched
    REPOSITORY_ADMIN = "repository_admin"
    PACKAGE_ADMIN = "package_admin"
    ORGANIZATION_OWNER = "organization_owner"
    SITE_ADMIN = "site_admin"
    REGISTRY = "registry"  # whoever runs the other registry


# The same, as who reads a finding is told.
FIXERS: Mapping[Fixer, str] = {
    Fixer.DEVELOPER: "you",
    Fixer.REPOSITORY_ADMIN: "an administrator of the repository",
    Fixer.PACKAGE_ADMIN: "an administrator of the package",
    Fixer.ORGANIZATION_OWNER: "an owner of the organization",
    Fixer.SITE_ADMIN: "the administrator of this server",
    Fixer.REGISTRY: "whoever runs the registry",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One cause. `code` is stable; `sentence` names the cause; `next_step` is what to do, with the command where one helps.

    `evidence` holds what was seen (phase, status, error code, host, level, prefix), never a secret.
    """

    code: str
    sentence: str
    fixer: Fixer
    next_step: str
    evidence: dict[str, str] = field(default_factory=dict)
