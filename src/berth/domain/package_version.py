"""A package's version: one manifest, with the tags that point to it.

1. A version that has a tag is not deleted if no other one has: a package without any tag looks empty to who pulls.
   Whoever wants that deletes the package.
2. A deleted version can be restored for 30 days. It brings back those of its tags that were not given to another
   version meanwhile.

Source: GitHub docs, "Deleting and restoring a package"; the text of policy 1 is what GitHub answers.
"""

from dataclasses import dataclass
from datetime import datetime

from berth.domain.problem import Invalid


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageVersion:
    """A version, live or deleted. `tags` are in the order of their bytes."""

    id: int
    digest: str
    tags: tuple[str, ...]
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None


def check_version_deletion(version: PackageVersion, *, others_are_tagged: bool) -> None:
    """Policy 1. Raises Invalid(code="package.last_tagged")."""
    if version.tags and not others_are_tagged:
        raise Invalid(
            "You cannot delete the last tagged version of a package. You must delete the package instead.",
            code="package.last_tagged",
        )
