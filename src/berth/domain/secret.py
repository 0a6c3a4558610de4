"""Secrets: names, levels, limits, who may use which, and which one wins (rules S1 to S7).

1. A name is `[A-Za-z_][A-Za-z0-9_]*`, not `GITHUB_…`, compared and stored in upper case (S1).
2. At most 100 per owner and 48 KB a value (S2).
3. A secret reaches a codespace of repository R if its level and its selection say so (S3), and the user may write to R (S6).
4. As environment variables the most specific level wins per name: user > repository > organization (S4).

Registry credentials are made from whole triples of one level, not name by name: `registry_credential.py` (C1).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from berth.domain.problem import Invalid
from berth.domain.secret_text import SecretText

MAX_SECRETS_PER_OWNER = 100
MAX_VALUE_BYTES = 48 * 1024

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAX_NAME_LENGTH = 255


class SecretLevel(StrEnum):
    """Where a secret is stored. The order of definition is the order of precedence, most specific first (S4, C2)."""

    USER = "user"
    REPOSITORY = "repository"
    ORGANIZATION = "organization"


PRECEDENCE: tuple[SecretLevel, ...] = tuple(SecretLevel)


class OwnLevel(StrEnum):
    """Where there is no server: nobody stores a secret, this process has it."""

    ENVIRONMENT = "environment"


Level = SecretLevel | OwnLevel


class SecretVisibility(StrEnum):
    """Which repositories' codespaces may use a secret. User secrets are always SELECTED; repository secrets have none."""

    ALL = "all"
    PRIVATE = "private"
    SELECTED = "selected"


@dataclass(frozen=True, slots=True)
class SecretVersion:
    """One value of one stored secret. Whoever stores another value gives it another number; ids are never used again."""

    secret_id: int
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelledSecret:
    """An opened secret with the level it came from."""

    level: Level
    name: str
    value: SecretText
    version: SecretVersion | None = None  # None: it is stored nowhere


def parse_secret_name(text: str) -> str:
    """The stored form of a secret's name: upper case.

    Raises Invalid in GitHub's words. Source: GitHub docs, "Managing your account-specific secrets for GitHub Codespaces".
    """
    if not _NAME.fullmatch(text) or len(text) > _MAX_NAME_LENGTH:
        raise Invalid(
            "Secret names can only contain alphanumeric characters ([a-z], [A-Z], [0-9]) or underscores (_). "
            "Spaces are not allowed. Must start with a letter ([a-z], [A-Z]) or underscores (_).",
            field="secret_name",
            code="secret.name",
        )
    name = text.upper()
    if name.startswith("GITHUB_"):
        raise Invalid("Secret names must not start with GITHUB_.", field="secret_name", code="secret.name.reserved")
    return name


def may_use_organization_secret(visibility: SecretVisibility, *, repository_is_public: bool, selected: bool) -> bool:
    """Whether a codespace of a repository of that organization may use the secret (S3)."""
    match visibility:
        case SecretVisibility.ALL:
            return True
        case SecretVisibility.PRIVATE:
            return not repository_is_public
        case SecretVisibility.SELECTED:
            return selected


def choose_environment(secrets: Iterable[LevelledSecret]) -> dict[str, SecretText]:
    """The environment variables: per name the most specific level wins (S4)."""
    chosen: dict[str, LevelledSecret] = {}
    for secret in secrets:
        other = chosen.get(secret.name)
        if other is None or PRECEDENCE.index(secret.level) < PRECEDENCE.index(other.level):
            chosen[secret.name] = secret
    return {name: secret.value for name, secret in sorted(chosen.items())}
