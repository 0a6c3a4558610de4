"""The registries that a codespace would be logged in to, told without any value (DESIGN section 3.1)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from berth.adapters.store import last_check as last_check_rows
from berth.adapters.store.database import Store
from berth.domain.access import Action, Subject, decide_repository
from berth.domain.image_reference import ImageReference
from berth.domain.last_check import UNTRIED, LastCheck
from berth.domain.problem import Denied
from berth.domain.registry_credential import (
    BROKEN,
    CODESPACE_TOKEN,
    CredentialKind,
    CredentialRule,
    CredentialSource,
    RegistryCredentials,
    note_built_in,
)
from berth.domain.registry_host import normalise_registry_host
from berth.domain.registry_triple import assemble, triple_versions
from berth.domain.repository import Repository
from berth.domain.secret import SecretLevel
from berth.domain.unshared_triple import SERVER_ENDING, UnsharedServer, UnsharedTriple, find_unshared
from berth.services.registry_credential_swap import Owners, RegistryCredentialSwap
from berth.services.secret import OpenedSecrets, SecretService
from berth.services.secret_access import SecretPlace, find_visible_repository, may_list

_LOSES = frozenset({CredentialRule.SHADOWED, CredentialRule.DUPLICATE_HOST})
# The notes that say what became of a triple; others say what else is to be known of it.
_DECIDES = _LOSES | BROKEN | {CredentialRule.CHOSEN, CredentialRule.SERVER_REFUSED, CredentialRule.NAME_WITHOUT_PREFIX}


@dataclass(slots=True, kw_only=True)
class RegistryEntry:
    """One triple, complete or not, or the codespace's token, and what became of it.

    `kind` is None unless the codespace is logged in with it. `reason` says why it is, or is not.
    """

    source: CredentialSource
    server: str = ""  # empty while it is not known
    kind: CredentialKind | None = None
    expires_at: datetime | None = None  # of a token, as far as that is known without asking anybody
    shadowed: bool = False
    incomplete: bool = False
    reason: str = ""
    warnings: list[str] = field(default_factory=list)
    last_check: LastCheck | None = None  # None: there is nothing to try, or it is not for the caller to know


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryList:
    """All that reaches the codespace, and what the caller may know of that does not, since the repository lacks it.

    `withheld_reason` says why there are no triples, where that is not by chance.
    """

    entries: tuple[RegistryEntry, ...]
    unshared: tuple[UnsharedTriple, ...]
    withheld_reason: str

    def find(self, image: ImageReference) -> RegistryEntry | None:
        """What a launch logs in to the image's host with; else what was to be that and is broken (C11); else None."""
        host = normalise_registry_host(image.host).host
        there = [entry for entry in self.entries if entry.server == host and not entry.shadowed]
        return next((entry for entry in there if entry.kind is not None), there[0] if there else None)


class RegistryCredentialService:
    """Tells people about registry credentials."""

    def __init__(self, *, store: Store, secrets: SecretService, swaps: RegistryCredentialSwap, own_host: str) -> None:
        """`own_host` is where the built-in registry answers, in its normal form."""
        self._store = store
        self._secrets = secrets
        self._swaps = swaps
        self._own_host = own_host

    async def list_for(self, subject: Subject, owner: str, repository: str) -> RegistryList:
        """What the caller's codespace of this repository would be logged in to. Raises NotFound; Denied by the token."""
        known, opened = await self.open_for(subject, owner, repository)
        credentials = assemble(opened.secrets)
        entries = list_registry_entries(credentials, self._own_host, self._expiries(credentials, opened.owners))
        await self._add_last_checks(subject, known, opened, entries)
        withheld = opened.withheld_reason  # then nothing of his reaches it, whatever he selects
        unshared = () if withheld else await self.find_unshared(subject, known)
        return RegistryList(entries=entries, unshared=unshared, withheld_reason=withheld)

    async def find_unshared(
        self, subject: Subject, repository: Repository, host: str | None = None
    ) -> tuple[UnsharedTriple, ...]:
        """The triples that do not reach the repository, as far as the caller may know of them; for one normal host."""
        found = await self._secrets.open_unshared(subject, repository, ending=SERVER_ENDING)
        servers = [UnsharedServer(secret=secret, visibility=visibility) for secret, visibility in found]
        return find_unshared(servers, host)

    async def open_for(self, subject: Subject, owner: str, repository: str) -> tuple[Repository, OpenedSecrets]:
        """The secrets of his codespace, for what tells of them without a value. Raises NotFound; Denied by the token."""
        async with self._store.read() as connection:
            known = await find_visible_repository(connection, subject, owner, repository, Action.READ)
        opened = await self._secrets.open_for_codespace(subject.account_id, known.repository.id)
        # Where the user gets secrets, his token must be good for saying which (A6).
        if not opened.withheld_reason and not decide_repository(subject, known.facts, Action.WRITE):
            raise Denied("Must have admin rights to Repository. This needs a token with the scope repo.")
        return known.repository, opened

    async def _add_last_checks(
        self, subject: Subject, repository: Repository, opened: OpenedSecrets, entries: tuple[RegistryEntry, ...]
    ) -> None:
        """Of the levels whose secrets the caller is shown: launches of others, from repositories that are none of his
        business, may have left them.
        """
        at = {"owner": repository.owner_login, "repository": repository.name}
        versions = triple_versions(opened.secrets)
        async with self._store.read() as connection:
            shown = {
                level for level in SecretLevel if await may_list(connection, subject, SecretPlace(level=level, **at))
            }
            found = await last_check_rows.find_checks(connection, versions.values())
        for entry in entries:
            if entry.source.level in shown and entry.source in versions and not entry.incomplete:
                entry.last_check = found.get(versions[entry.source], UNTRIED)

    def _expiries(self, credentials: RegistryCredentials, owners: Owners) -> Mapping[CredentialSource, datetime | None]:
        """No swap is made to tell people."""
        return {keys.source: self._swaps.expiry(keys, owners) for keys in credentials.unswapped.values()}


def list_registry_entries(
    credentials: RegistryCredentials, own_host: str, expiries: Mapping[CredentialSource, datetime | None]
) -> tuple[RegistryEntry, ...]:
    """One entry per level and prefix, most specific level first; the built-in registry's stands last.

    `expiries` is about AWS keys: until when what they were swapped for lasts.
    """
    entries: dict[CredentialSource, RegistryEntry] = {}

    def entry(source: CredentialSource) -> RegistryEntry:
        return entries.setdefault(source, RegistryEntry(source=source))

    for credential in credentials.chosen.values():
        used = entry(credential.source)
        used.server, used.kind, used.expires_at = credential.host, credential.kind, credential.expires_at
    for keys in credentials.unswapped.values():
        used = entry(keys.source)
        used.server, used.kind, used.expires_at = keys.host, keys.kind, expiries[keys.source]
    if own_host not in credentials.chosen:
        entry(CODESPACE_TOKEN).kind = CredentialKind.CODESPACE
    for note in (*credentials.trail, note_built_in(credentials, own_host)):
        told = entry(note.source)
        told.server = told.server or note.host
        told.shadowed |= note.rule in _LOSES
        told.incomplete |= note.rule is CredentialRule.INCOMPLETE
        if note.rule in _DECIDES:
            told.reason = told.reason or note.text
        if note.rule is not CredentialRule.CHOSEN:
            told.warnings.append(note.text)
    return tuple(sorted(entries.values(), key=lambda one: one.source.order))
