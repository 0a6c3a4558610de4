"""The registries that a codespace would be logged in to, told without any value (DESIGN section 3.1)."""

from dataclasses import dataclass, field

from berth.domain.registry_credential import CredentialKind, CredentialRule, RegistryCredentials
from berth.domain.secret import PRECEDENCE, SecretLevel

_LOSES = frozenset({CredentialRule.SHADOWED, CredentialRule.DUPLICATE_HOST})


@dataclass(slots=True, kw_only=True)
class RegistryEntry:
    """One triple, complete or not, and what became of it. `kind` is None unless the codespace is logged in with it."""

    level: SecretLevel
    prefix: str
    server: str = ""  # empty while it is not known
    kind: CredentialKind | None = None
    shadowed: bool = False
    incomplete: bool = False
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryList:
    """All triples that reach the codespace. `withheld_reason` says why there are none, where that is not by chance."""

    entries: tuple[RegistryEntry, ...]
    withheld_reason: str


def list_registry_entries(credentials: RegistryCredentials) -> tuple[RegistryEntry, ...]:
    """One entry per level and prefix, most specific level first."""
    entries: dict[tuple[SecretLevel, str], RegistryEntry] = {}

    def entry(level: SecretLevel, prefix: str) -> RegistryEntry:
        return entries.setdefault((level, prefix), RegistryEntry(level=level, prefix=prefix))

    for credential in credentials.chosen.values():
        used = entry(credential.level, credential.prefix)
        used.server, used.kind = credential.host, credential.kind
    for note in credentials.trail:
        told = entry(note.level, note.prefix)
        told.server = told.server or note.host
        told.shadowed |= note.rule in _LOSES
        told.incomplete |= note.rule is CredentialRule.INCOMPLETE
        if note.rule is not CredentialRule.CHOSEN:
            told.warnings.append(note.text)
    return tuple(sorted(entries.values(), key=lambda one: (PRECEDENCE.index(one.level), one.prefix)))
