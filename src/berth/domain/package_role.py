"""Roles on a package, their order, and which role on a repository becomes which (one table, A4)."""

from collections.abc import Mapping
from enum import IntEnum

from berth.domain.role import Role


class PackageRole(IntEnum):
    """A role on a package, weakest first, so that `max` merges roles from several sources.

    Source: GitHub docs, "About permissions for GitHub Packages", "Visibility and access permissions for packages".
    """

    NONE = 0
    READ = 1
    WRITE = 2
    ADMIN = 3

    @property
    def word(self) -> str:
        return self.name.lower()


_WORDS = {role.word: role for role in PackageRole if role is not PackageRole.NONE}

INHERITED: Mapping[Role, PackageRole] = {
    Role.NONE: PackageRole.NONE,
    Role.PULL: PackageRole.READ,
    Role.TRIAGE: PackageRole.READ,
    Role.PUSH: PackageRole.WRITE,
    Role.MAINTAIN: PackageRole.WRITE,
    Role.ADMIN: PackageRole.ADMIN,
}


def find_package_role(word: str) -> PackageRole | None:
    """The role that a request names; None for any other word, `none` too: a grant is removed, not set to nothing."""
    return _WORDS.get(word)
