"""Packages: container images' homes in the built-in registry, their names, and how they may change.

1. A name is `{owner}/{name}` in lower case, `name` may hold further `/`; what the OCI specification allows, at most 255
   characters in all. An owner's login is compared without case, so its lower-case form is part of the name.
2. A package is public, private or internal (organizations only). Public is for ever (A10): somebody may depend on it.
3. An organization decides which visibilities its members may give (A11), and whether a package that a workflow
   publishes inherits access (A8).
4. A deleted package can be restored for 30 days; its name is free at once, and who takes it gets nothing of the old (A12).

Source: OCI distribution-spec v1.1, "Pulling manifests"; GitHub docs, "Configuring a package's access control and visibility".
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from berth.domain.problem import Conflict, Invalid
from berth.domain.repository import Visibility

MAX_NAME_LENGTH = 255
RESTORE_WITHIN = timedelta(days=30)
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"({_COMPONENT})/({_COMPONENT}(?:/{_COMPONENT})*)")
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True)
class PackageName:
    """A package's name in the registry: `owner` is a lower-case login, `name` all that follows the first `/`."""

    owner: str
    name: str

    def __str__(self) -> str:
        return f"{self.owner}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A container package of an account. `owner_login` is joined for convenience; ids decide."""

    id: int
    owner_id: int
    owner_login: str
    owner_is_organization: bool
    name: str
    visibility: Visibility
    inherits_access: bool
    repository_id: int | None  # the repository that it is linked to
    untagged_retention_days: int | None  # None: versions without a tag stay
    created_at: datetime
    updated_at: datetime
    published_at: datetime | None  # its first manifest; until then only pushes see it
    deleted_at: datetime | None

    @property
    def full_name(self) -> str:
        return f"{self.owner_login.lower()}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagePolicy:
    """What an organization decides about its packages (policy 3). A user has none: the defaults hold."""

    inherit_access_default: bool = True
    creatable_visibilities: frozenset[Visibility] = field(default_factory=lambda: frozenset(Visibility))


DEFAULT_POLICY = PackagePolicy()


def find_package_name(text: str) -> PackageName | None:
    """The name (policy 1); None for what is none."""
    match = _NAME.fullmatch(text) if len(text) <= MAX_NAME_LENGTH else None
    return None if match is None else PackageName(match[1], match[2])


def parse_package_name(text: str) -> PackageName:
    """The same. Raises Invalid; never repeats the text."""
    name = find_package_name(text)
    if name is None:
        raise Invalid(
            "A package's name is owner/name: lower-case letters and digits, joined by '.', '_', '-' and '/'.",
            field="name",
            code="package.name",
        )
    return name


def is_repository_name(text: str) -> bool:
    """Whether it is a name by the specification, which knows names of one part and of any length."""
    return _REPOSITORY.fullmatch(text) is not None


def is_tag(text: str) -> bool:
    """Source: OCI distribution-spec v1.1, "Pulling manifests"."""
    return _TAG.fullmatch(text) is not None


def is_closed(visibility: Visibility, *, owner_is_organization: bool) -> bool:
    """Whether only what belongs to the organization can be granted something: members, teams, repositories (A3)."""
    return owner_is_organization and visibility is not Visibility.PUBLIC


def check_visibility_change(old: Visibility, new: Visibility, *, owner_is_organization: bool) -> None:
    """Policy 2. Raises Conflict for a public package that should close, Invalid for an internal one of a user."""
    if new is Visibility.INTERNAL and not owner_is_organization:
        raise Invalid("Only an organization's package can be internal.", field="visibility", code="package.visibility")
    if old is Visibility.PUBLIC and new is not Visibility.PUBLIC:
        raise Conflict(
            "A public package cannot become private or internal again.",
            code="package.public_for_ever",
            remedy="Delete it and publish the images under another name.",
        )


def parse_visibility(word: str) -> Visibility:
    """Raises Invalid."""
    try:
        return Visibility(word)
    except ValueError:
        raise Invalid(
            "visibility is public, private or internal.", field="visibility", code="package.visibility"
        ) from None


def parse_policy(inherit_access_default: bool, words: Iterable[str]) -> PackagePolicy:  # noqa: FBT001
    """An organization's policy. Raises Invalid; no visibility at all is allowed: then only owners create packages."""
    return PackagePolicy(
        inherit_access_default=inherit_access_default,
        creatable_visibilities=frozenset(parse_visibility(word) for word in words),
    )
