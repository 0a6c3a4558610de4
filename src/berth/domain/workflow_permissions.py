"""What the token of a workflow may do in its own repository: a level for packages and one for contents (A8).

Source: GitHub docs, "Workflow syntax for GitHub Actions", `permissions`; of its keys those that mean something here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from berth.domain.problem import Invalid


class WorkflowPermission(StrEnum):
    """How far one permission goes; `write` includes `read`."""

    NONE = "none"
    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowPermissions:
    """One level each; what nobody asked for is none."""

    packages: WorkflowPermission = WorkflowPermission.NONE
    contents: WorkflowPermission = WorkflowPermission.NONE

    def format(self) -> str:
        """As the store keeps it and the audit log shows it: `contents=read packages=write`."""
        return f"contents={self.contents} packages={self.packages}"


NO_PERMISSIONS = WorkflowPermissions()
_NAMES = ("contents", "packages")


def parse_permissions(wanted: Mapping[str, str]) -> WorkflowPermissions:
    """What a request names. Raises Invalid for an unknown key or level (A14: denied, not ignored)."""
    for name in wanted:
        if name not in _NAMES:
            raise _invalid(f"'{name[:40]}' is not a permission of a workflow. Known: {', '.join(_NAMES)}.")
    try:
        return WorkflowPermissions(**{name: WorkflowPermission(level) for name, level in wanted.items()})
    except ValueError:
        raise _invalid(f"A permission is one of {', '.join(WorkflowPermission)}.") from None


def parse_stored_permissions(text: str) -> WorkflowPermissions:
    """The inverse of `format`. Raises Invalid for any other text."""
    found = parse_permissions(dict(word.partition("=")[::2] for word in text.split()))
    if found.format() != text:
        raise _invalid("These are not the stored permissions of a workflow token.")
    return found


def _invalid(message: str) -> Invalid:
    return Invalid(message, field="permissions", code="workflow_token.permissions")
