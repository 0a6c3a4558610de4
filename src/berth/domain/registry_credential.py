"""Registry credentials: from triples of secrets and the codespace's own token, one per host, with the trail of rules.

1. A triple is `<PREFIX>_CONTAINER_REGISTRY_SERVER`, `…_USER` and `…_PASSWORD` with one prefix *at one level* (C1). What
   is missing or empty is never taken from another level or prefix: the triple is incomplete, and reported.
2. SERVER is normalised, repairs are reported; if it cannot be, the triple is refused and reported (C3).
3. One newline at the end of PASSWORD and of USER is removed with a note, as `docker login --password-stdin` does. Other
   white space at their ends is kept with a warning: it may be meant.
4. Per host the most specific level wins: user > repository > organization; what loses is reported. In one level the
   first prefix in alphabetical order wins, with a warning that names both (C2).
5. AWS's registries have credentials of two kinds: a ready token, and keys that are swapped for one before anything is
   logged in with them (C5). Until then, and if the swap fails, the host has no credential and is no anonymous one.
6. An image gets the credential of exactly its host, Docker Hub's spellings being one (C4). If only a broken triple
   names that host the answer is *failed*, which is not *none* (C11).
7. The built-in registry is opened by the codespace's own token, unless a whole triple names this server; a note says
   which (C6). A broken triple for it is reported, as in 4, and blocks nothing.

Decided: the prefix may be empty (`_CONTAINER_REGISTRY_SERVER`), since GitHub's `<*>` does not say that it may not.
Without the first underscore it is no triple's name, and a note says so. Source: GitHub docs, "Allowing your codespace to
access a private image registry".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from berth.domain.ecr_host import EcrRegistry
from berth.domain.ecr_key import TOKEN_USER, AwsKeys
from berth.domain.finding import Finding, Fixer
from berth.domain.image_reference import ImageReference
from berth.domain.registry_host import normalise_registry_host
from berth.domain.secret import PRECEDENCE, Level, OwnLevel, SecretLevel, SecretVersion
from berth.domain.secret_text import SecretText

_ORDER: tuple[Level | None, ...] = (OwnLevel.ENVIRONMENT, *PRECEDENCE, None)
_FIXERS: Mapping[Level | None, Fixer] = {
    OwnLevel.ENVIRONMENT: Fixer.DEVELOPER,
    SecretLevel.USER: Fixer.DEVELOPER,
    SecretLevel.REPOSITORY: Fixer.REPOSITORY_ADMIN,
    SecretLevel.ORGANIZATION: Fixer.ORGANIZATION_OWNER,
    None: Fixer.DEVELOPER,
}


class CredentialKind(StrEnum):
    """What user and password are."""

    BASIC = "basic"  # as they are
    ECR = "ecr"  # `AWS` and the token that AWS keys were swapped for
    ECR_READY = "ecr_token"  # `AWS` and a ready token
    CODESPACE = "codespace"  # the login and the codespace's own token, for the built-in registry


class CredentialRule(StrEnum):
    """The rules that leave a note. The values are stable."""

    CHOSEN = "credential.chosen"
    SHADOWED = "credential.shadowed"
    DUPLICATE_HOST = "credential.duplicate_host"
    INCOMPLETE = "credential.incomplete"
    AMBIGUOUS = "credential.ambiguous"
    SERVER_REFUSED = "credential.server_refused"
    SERVER_REPAIRED = "credential.server_repaired"
    USER_REFUSED = "credential.user_refused"
    NEWLINE_REMOVED = "credential.newline_removed"
    WHITE_SPACE_KEPT = "credential.white_space_kept"
    NAME_WITHOUT_PREFIX = "credential.name_without_prefix"
    AWS_KEYS_REFUSED = "credential.aws_keys_refused"
    AWS_KEYS_NOTED = "credential.aws_keys_noted"
    SESSION_UNUSED = "credential.session_token_unused"
    SWAPPED = "credential.swapped"
    SWAP_FAILED = "credential.swap_failed"
    REFRESH_FAILED = "credential.refresh_failed"


BROKEN = frozenset(
    {
        CredentialRule.INCOMPLETE,
        CredentialRule.AMBIGUOUS,
        CredentialRule.USER_REFUSED,
        CredentialRule.AWS_KEYS_REFUSED,
    }
)
_LOST = BROKEN | {CredentialRule.SERVER_REFUSED, CredentialRule.SWAP_FAILED}
_GOOD = frozenset({CredentialRule.CHOSEN, CredentialRule.SWAPPED})


@dataclass(frozen=True, slots=True)
class Anonymous:
    """No credential, on purpose. Never the result of a failure (C11)."""


@dataclass(frozen=True, slots=True)
class CredentialSource:
    """Where a credential comes from: the triple of that level and prefix; without a level, the codespace's own token."""

    level: Level | None
    prefix: str = ""

    def __str__(self) -> str:
        if self.level is None:
            return "the codespace's own token"
        return f"{self.prefix}_CONTAINER_REGISTRY_… ({self.level})"

    @property
    def place(self) -> str:
        """Where its secrets stand, as the end of a sentence. Without a server nobody knows levels."""
        return "in the environment" if self.level is OwnLevel.ENVIRONMENT else f"at the {self.level} level"

    @property
    def order(self) -> tuple[int, str]:
        """Sorts sources, the first to win first (policy 4 and 7)."""
        return _ORDER.index(self.level), self.prefix

    @property
    def fixer(self) -> Fixer:
        """Who keeps it. Nobody keeps a codespace's token: whoever launched gets a new one at each start."""
        return _FIXERS[self.level]

    @property
    def evidence(self) -> dict[str, str]:
        """What a finding says of it."""
        if self.level is None:
            return {"credential": str(self)}
        return {"level": self.level.value, "prefix": self.prefix}


CODESPACE_TOKEN = CredentialSource(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryCredential:
    """What opens one normal host: what one complete triple became, or the codespace's own token."""

    host: str
    user: str
    password: SecretText
    source: CredentialSource
    kind: CredentialKind = CredentialKind.BASIC
    aliases: tuple[str, ...] = ()  # the host with `:443`, if the user wrote that
    expires_at: datetime | None = None  # None: it does not expire, or nobody says when
    versions: tuple[SecretVersion, ...] = ()  # of the stored secrets that it was made of, SERVER's first

    def has_expired(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, slots=True, kw_only=True)
class UnswappedKeys:
    """AWS keys for one normal host. They log in nowhere: what they are swapped for does."""

    host: str
    keys: AwsKeys
    registry: EcrRegistry
    source: CredentialSource
    aliases: tuple[str, ...] = ()
    versions: tuple[SecretVersion, ...] = ()  # as a credential's

    @property
    def kind(self) -> CredentialKind:
        return CredentialKind.ECR

    def swapped_for(self, token: SecretText, expires_at: datetime | None) -> RegistryCredential:
        """What logs in in their place (C5)."""
        return RegistryCredential(
            host=self.host,
            user=TOKEN_USER,
            password=token,
            source=self.source,
            kind=self.kind,
            aliases=self.aliases,
            expires_at=expires_at,
            versions=self.versions,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialNote:
    """One rule's part in the result. `host` is empty while it is not known. Never holds a value of USER or PASSWORD."""

    rule: CredentialRule
    source: CredentialSource
    host: str
    text: str


@dataclass(frozen=True, slots=True)
class Found:
    """The one credential for the host; the notes are about this and other triples for it."""

    credential: RegistryCredential
    notes: tuple[CredentialNote, ...] = ()


@dataclass(frozen=True, slots=True)
class NoCredential:
    """No triple names the host: the pull is anonymous. The notes are about triples whose host is not known."""

    credential: Anonymous = Anonymous()
    notes: tuple[CredentialNote, ...] = ()
    withheld_reason: str = ""  # why there can be none, where that is by rule (S6)


@dataclass(frozen=True, slots=True)
class Failed:
    """A triple names the host but is no credential. Never to be treated as anonymous (C11)."""

    finding: Finding


Choice = Found | NoCredential | Failed


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryCredentials:
    """All credentials of one launch: at most one per host, and how that came about."""

    chosen: Mapping[str, RegistryCredential]
    trail: tuple[CredentialNote, ...]
    unswapped: Mapping[str, UnswappedKeys] = field(default_factory=dict)
    failed: Mapping[str, Finding] = field(default_factory=dict)  # hosts whose keys were not swapped, and why
    swapped: Mapping[str, UnswappedKeys] = field(default_factory=dict)  # what tokens in `chosen` were got for
    owners: Mapping[SecretLevel, int] = field(default_factory=dict)  # whose the secrets of each level are, once swapped
    withheld_reason: str = ""  # why there are no triples, where that is by rule (S6)

    @property
    def lost(self) -> tuple[CredentialNote, ...]:
        """What is said of every triple that is no credential, though somebody meant it to be one (C11)."""
        return tuple(note for note in self.trail if note.rule in _LOST)

    @property
    def warnings(self) -> tuple[CredentialNote, ...]:
        """What people should hear: all but what went as it should."""
        return tuple(note for note in self.trail if note.rule not in _GOOD)

    def for_image(self, image: ImageReference) -> Choice:
        """The credential for the image's host (policy 5 and 6)."""
        return self.for_host(normalise_registry_host(image.host).host)

    def for_host(self, host: str) -> Choice:
        """The credential for a normal host (policy 5 and 6)."""
        notes = tuple(note for note in self.trail if note.host == host)
        credential = self.chosen.get(host)
        if credential is not None:
            return Found(credential, notes)
        if host in self.failed:
            return Failed(self.failed[host])
        if host in self.unswapped:
            return Failed(_not_swapped(self.unswapped[host]))
        broken = [note for note in notes if note.rule in BROKEN]
        if broken:
            return Failed(_finding(min(broken, key=lambda note: note.source.order)))
        notes = tuple(note for note in self.trail if not note.host)
        return NoCredential(notes=notes, withheld_reason=self.withheld_reason)


def note_built_in(credentials: RegistryCredentials, host: str) -> CredentialNote:
    """What opens the built-in registry, which answers at this normal host (policy 7)."""
    winner = credentials.chosen.get(host)
    if winner is None:
        text = f"{host} is this server's own registry; it is opened by {CODESPACE_TOKEN}."
        return CredentialNote(rule=CredentialRule.CHOSEN, source=CODESPACE_TOKEN, host=host, text=text)
    text = f"{host} is this server's own registry; {winner.source} is used there, {CODESPACE_TOKEN} is not."
    return CredentialNote(rule=CredentialRule.SHADOWED, source=CODESPACE_TOKEN, host=host, text=text)


def add_codespace_token(
    credentials: RegistryCredentials, *, host: str, login: str, token: SecretText, expires_at: datetime | None = None
) -> RegistryCredentials:
    """The same with the built-in registry's credential, if no triple is in its place (policy 7)."""
    own = RegistryCredential(
        host=host,
        user=login,
        password=token,
        source=CODESPACE_TOKEN,
        kind=CredentialKind.CODESPACE,
        expires_at=expires_at,
    )
    trail = (*credentials.trail, note_built_in(credentials, host))
    return replace(credentials, chosen={host: own, **credentials.chosen}, trail=trail)


def _not_swapped(keys: UnswappedKeys) -> Finding:
    return Finding(
        code="ecr.not_swapped",
        sentence=f"The AWS keys of {keys.source} were not swapped for a token of {keys.host}; nothing was sent.",
        fixer=Fixer.SITE_ADMIN,
        next_step="This is a fault in Berth; report it.",
        evidence={"host": keys.host, **keys.source.evidence},
    )


def _finding(note: CredentialNote) -> Finding:
    prefix, place = note.source.prefix, note.source.place
    return Finding(
        code=note.rule,
        sentence=f"{note.host} has a registry credential that cannot be used: {note.text}",
        fixer=note.source.fixer,
        next_step=f"Set {prefix}_CONTAINER_REGISTRY_SERVER, …_USER and …_PASSWORD, all {place}.",
        evidence={"host": note.host, **note.source.evidence},
    )
