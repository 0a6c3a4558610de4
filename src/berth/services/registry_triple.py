"""The three secrets of a registry's login as one thing: told of, tried before they are stored, stored, removed.

1. The login is tried from here, once, before anything is stored or replaced. What is refused is not stored at all; what
   cannot be told is stored only if the caller asks for that.
2. All of them are stored in one transaction, or none. Codespaces read their secrets in one query, so none sees a new
   password beside an old server.
3. The session token of temporary AWS keys is a fourth secret. One that is not given anew goes when its keys are replaced.
4. A login that is replaced stays given to the repositories that it was given to, each secret of it for itself: somebody may
   have given the password to fewer than the server. A secret that was not there is given to whom the password is.
5. What a try came to is kept for the values that were tried, and for no others (`domain/last_check.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

from berth.adapters.store.secret import StoredSecret
from berth.adapters.store.secret_reach import Reach
from berth.domain.access import Subject
from berth.domain.credential_form import refuse_bad_form
from berth.domain.last_check import UNTRIED, LastCheck
from berth.domain.problem import Conflict, Invalid, NotFound
from berth.domain.registry_credential import CredentialKind, CredentialSource
from berth.domain.registry_host import normalise_registry_host
from berth.domain.registry_login import LoginOutcome, LoginVerdict
from berth.domain.registry_provider import Provider, provider_of_host
from berth.domain.registry_triple import assemble, prefix_in, prefix_of, triple_names, triple_versions
from berth.domain.secret import MAX_SECRETS_PER_OWNER, LevelledSecret, SecretVersion, SecretVisibility
from berth.domain.secret_text import SecretText
from berth.services.last_check import LastChecks
from berth.services.registry_check import RegistryCheckService, SealedLogin
from berth.services.registry_credential import list_registry_entries
from berth.services.registry_credential_swap import RegistryCredentialSwap
from berth.services.registry_login import GivenLogin
from berth.services.secret import SecretService
from berth.services.secret_access import SecretOwner, SecretPlace
from berth.services.secret_change import SecretChange
from berth.services.secret_group import SecretGroupService
from berth.services.secret_selection import MAX_SELECTED_REPOSITORIES

_Stored = Sequence[tuple[StoredSecret, LevelledSecret]]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTriple:
    """One login at its level, told without a value. `kind` is None where it logs in nowhere: `warnings` say why.

    `names` are the secrets that are there. `expires_at` is of a token, as far as that is known without asking anybody.
    """

    source: CredentialSource
    names: tuple[str, ...]
    server: str = ""  # empty while it is not known
    kind: CredentialKind | None = None
    incomplete: bool = False
    warnings: tuple[str, ...] = ()
    expires_at: datetime | None = None
    visibility: SecretVisibility | None
    updated_at: datetime
    reach: Reach = field(default_factory=Reach)
    rivals: tuple[str, ...] = ()  # other prefixes at this level that name the same server
    versions: tuple[SecretVersion, ...]  # of its values, SERVER's first
    last_check: LastCheck | None = None  # None: not looked up

    @property
    def provider(self) -> Provider:
        return provider_of_host(self.server)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Which repositories' codespaces are to get a new login."""

    visibility: SecretVisibility | None = None
    repository_ids: tuple[int, ...] | None = None


class RegistryTripleService:
    """Use cases of registries' logins at the three levels. Who may: `secret_access.py`."""

    def __init__(
        self,
        *,
        secrets: SecretService,
        groups: SecretGroupService,
        checks: RegistryCheckService,
        swaps: RegistryCredentialSwap,
        last_checks: LastChecks,
        own_host: str,
    ) -> None:
        self._secrets = secrets
        self._groups = groups
        self._checks = checks
        self._swaps = swaps
        self._last_checks = last_checks
        self._own_host = own_host

    async def list_of(
        self, subject: Subject, place: SecretPlace, *, limit: int, offset: int
    ) -> tuple[list[StoredTriple], int]:
        """A page by prefix, and how many there are. Raises NotFound, Denied; UpstreamFailed if a secret does not open."""
        found = await self._find(subject, place)
        page = found[offset : offset + limit]
        reach = await self._groups.count_repositories(subject, place, [each.names for each in page])
        checks = await self._last_checks.find([each.versions for each in page])
        return [
            replace(each, reach=one, last_check=checks.get(each.versions, UNTRIED))
            for each, one in zip(page, reach, strict=True)
        ], len(found)

    async def get(self, subject: Subject, place: SecretPlace, prefix: str) -> StoredTriple:
        """Without its last check. Raises NotFound for a prefix that none of the secrets has, and what `list_of` raises."""
        for each in await self._find(subject, place):
            if each.source.prefix == prefix.upper():
                reach = await self._groups.count_repositories(subject, place, [each.names])
                return replace(each, reach=reach[0])
        raise NotFound("Not Found", code="registry.not_found")

    async def add(
        self,
        subject: Subject,
        place: SecretPlace,
        given: GivenLogin,
        access: Access,
        *,
        image: str = "",
        unchecked: bool = False,
    ) -> LoginVerdict | None:
        """Try a new login and store it (policy 1 and 2). The verdict; only what is accepted was stored. None: untried.

        Raises Conflict where one of its secrets is there already, and what trying and storing raise.
        """
        new = _NewTriple.of(given, given.prefix.upper(), access)
        return await self._store(subject, place, new, image=image, unchecked=unchecked, fresh=True)

    async def replace(
        self,
        subject: Subject,
        place: SecretPlace,
        prefix: str,
        given: GivenLogin,
        *,
        image: str = "",
        unchecked: bool = False,
    ) -> LoginVerdict | None:
        """The same for one that is there (policy 3 and 4). Raises NotFound."""
        before = await self.get(subject, place, prefix)
        kept = {
            name: Access(visibility=(await self._secrets.get(subject, place, name)).visibility) for name in before.names
        }
        password = triple_names(before.source.prefix)[2]
        model = password if password in kept else before.names[-1]
        ids = None
        if kept[model].visibility is SecretVisibility.SELECTED:
            most = MAX_SELECTED_REPOSITORIES
            chosen, _total = await self._secrets.list_repositories(subject, place, model, limit=most, offset=0)
            ids = tuple(each.id for each in chosen)
        access = Access(visibility=kept[model].visibility, repository_ids=ids)
        new = _NewTriple.of(given, before.source.prefix, access, kept)
        return await self._store(subject, place, new, image=image, unchecked=unchecked, fresh=False)

    async def check(self, subject: Subject, place: SecretPlace, prefix: str) -> LoginVerdict:
        """Try what is stored, now. Raises NotFound; Invalid for what is incomplete; what trying raises."""
        owner, stored = await self._secrets.open_triples(subject, place)
        mine = [each for each in stored if prefix_in(each[0].name) == prefix.upper()]
        if not mine:
            raise NotFound("Not Found", code="registry.not_found")
        told = self._tell(owner, prefix.upper(), mine)
        if told.incomplete:
            raise Invalid(" ".join(told.warnings), code="registry.incomplete", remedy="Replace the login.")
        names, values = triple_names(prefix), {look.name: secret.value for look, secret in mine}
        given = GivenLogin(
            level=place.level,
            server=values[names[0]].reveal(),
            user=values[names[1]],
            password=values[names[2]],
            session_token=values.get(names[3]),
        )
        new = _NewTriple.of(given, told.source.prefix, Access())
        key_id, sealed = await self._secrets.seal(subject, place, new.values)
        verdict = await self._checks.check(subject, place, new.sealed(key_id, sealed, ""))
        await self._last_checks.keep_try(told.versions, verdict)
        return verdict

    async def remove(self, subject: Subject, place: SecretPlace, prefix: str) -> None:
        """All its secrets in one transaction. Raises NotFound."""
        found = await self.get(subject, place, prefix)
        await self._secrets.put_together(subject, place, {}, gone=found.names)

    async def _store(
        self, subject: Subject, place: SecretPlace, new: "_NewTriple", *, image: str, unchecked: bool, fresh: bool
    ) -> LoginVerdict | None:
        key_id, sealed = await self._secrets.seal(subject, place, new.values)
        if fresh:
            await self._require_free(subject, place, new.names)
        verdict = None
        if not unchecked:
            verdict = await self._checks.check(subject, place, new.sealed(key_id, sealed, image))
            if verdict.outcome is not LoginOutcome.ACCEPTED:
                return verdict
        changes = {
            name: SecretChange(
                encrypted_value=value,
                key_id=key_id,
                visibility=new.access_of(name).visibility,
                repository_ids=new.access_of(name).repository_ids,
            )
            for name, value in zip(new.names, sealed, strict=False)
        }
        gone = new.names[len(sealed) :]
        done = await self._secrets.put_together(subject, place, changes, gone=gone, replace=not fresh)
        if verdict is not None:
            await self._last_checks.keep_try(tuple(each.version for each in done), verdict)
        return verdict

    async def _require_free(self, subject: Subject, place: SecretPlace, names: Sequence[str]) -> None:
        """Before a login is tried for nothing; storing looks again."""
        there, _total = await self._secrets.list_names(subject, place, limit=MAX_SECRETS_PER_OWNER, offset=0)
        taken = sorted({each.name for each in there} & set(names))
        if taken:
            raise Conflict(
                f"There already: {', '.join(taken)}.",
                code="registry.exists",
                remedy="Replace the login that is there, or choose another prefix.",
            )

    async def _find(self, subject: Subject, place: SecretPlace) -> list[StoredTriple]:
        owner, stored = await self._secrets.open_triples(subject, place)
        triples: dict[str, list[tuple[StoredSecret, LevelledSecret]]] = {}
        for each in stored:
            triples.setdefault(prefix_in(each[0].name) or "", []).append(each)
        found = [self._tell(owner, prefix, triples[prefix]) for prefix in sorted(triples)]
        by_server: dict[str, list[str]] = {}
        for one in found:
            by_server.setdefault(one.server, []).append(one.source.prefix)
        return [
            replace(one, rivals=tuple(other for other in by_server[one.server] if other != one.source.prefix))
            if one.server
            else one
            for one in found
        ]

    def _tell(self, owner: SecretOwner, prefix: str, stored: _Stored) -> StoredTriple:
        """One triple by itself: it may reach other repositories than the rest of its level does."""
        source = CredentialSource(owner.level, prefix)
        secrets = [secret for _look, secret in stored]
        credentials = assemble(secrets)
        expiries = {
            keys.source: self._swaps.expiry(keys, {owner.level: owner.id}) for keys in credentials.unswapped.values()
        }
        entries = list_registry_entries(credentials, self._own_host, expiries)
        entry = next(each for each in entries if each.source == source)
        order = triple_names(prefix)
        looks = sorted((look for look, _secret in stored), key=lambda look: order.index(look.name))
        return StoredTriple(
            source=source,
            names=tuple(look.name for look in looks),
            server=entry.server,
            kind=entry.kind,
            incomplete=entry.incomplete,
            warnings=tuple(entry.warnings),
            expires_at=entry.expires_at,
            visibility=looks[0].visibility,
            updated_at=max(look.updated_at for look in looks),
            versions=triple_versions(secrets)[source],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _NewTriple:
    """What is about to be stored: `values` in the order of `names`, of which the last may stay without.

    `kept`: who gets those that are there; their selections stay as they are.
    """

    host: str
    prefix: str
    names: tuple[str, ...]
    values: tuple[SecretText, ...]
    access: Access
    kept: Mapping[str, Access] = field(default_factory=dict)

    @classmethod
    def of(
        cls, given: GivenLogin, prefix: str, access: Access, kept: Mapping[str, Access] = MappingProxyType({})
    ) -> "_NewTriple":
        """Raises Invalid for what cannot be a login, before anybody is asked."""
        host = normalise_registry_host(given.server).host
        refuse_bad_form(host, given.user.reveal(), given.password)
        values: tuple[SecretText, ...] = (SecretText(host), given.user, given.password)
        if given.session_token is not None:
            values = (*values, given.session_token)
        prefix = prefix or prefix_of(host)
        return cls(host=host, prefix=prefix, names=triple_names(prefix), values=values, access=access, kept=kept)

    def access_of(self, name: str) -> Access:
        return self.kept.get(name, self.access)

    def sealed(self, key_id: str, values: Sequence[str], image: str) -> SealedLogin:
        _server, user, password, *session = values
        return SealedLogin(
            server=self.host,
            key_id=key_id,
            encrypted_username=user,
            encrypted_password=password,
            encrypted_session_token=session[0] if session else None,
            prefix=self.prefix,
            image=image,
        )
