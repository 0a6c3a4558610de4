"""GitHub's five repository roles, their order, and what each may do (one table)."""

from enum import IntEnum


class Role(IntEnum):
    """A role on a repository, weakest first, so that `max` merges roles from several sources.

    Source: GitHub docs, "Repository roles for an organization".
    """

    NONE = 0
    PULL = 1
    TRIAGE = 2
    PUSH = 3
    MAINTAIN = 4
    ADMIN = 5

    @property
    def word(self) -> str:
        """GitHub's word for it in `permission` parameters: pull, triage, push, maintain, admin."""
        return self.name.lower()

    @property
    def legacy_word(self) -> str:
        """The coarse word of `get-collaborator-permission-level`: admin, write, read, none."""
        return _LEGACY[self]

    @property
    def role_name(self) -> str:
        """The `role_name` of REST answers: read, triage, write, maintain, admin, none."""
        return _ROLE_NAMES[self]


_LEGACY = {
    Role.NONE: "none",
    Role.PULL: "read",
    Role.TRIAGE: "read",
    Role.PUSH: "write",
    Role.MAINTAIN: "write",
    Role.ADMIN: "admin",
}
_ROLE_NAMES = _LEGACY | {Role.TRIAGE: "triage", Role.MAINTAIN: "maintain"}

_WORDS = {role.word: role for role in Role if role is not Role.NONE} | {"read": Role.PULL, "write": Role.PUSH}


def find_role(word: str) -> Role | None:
    """The role that a request names, in either of GitHub's vocabularies; None for any other word."""
    return _WORDS.get(word)
