"""Triples: which secrets belong together, and what becomes of them (C1 to C3).

The policy is that of `registry_credential.py`, 1 to 5. A triple for AWS's registries may have a fourth secret,
`<PREFIX>_CONTAINER_REGISTRY_SESSION_TOKEN`: same prefix, same level (C1).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from berth.domain.ecr_host import EcrRegistry, find_ecr_registry
from berth.domain.ecr_key import TOKEN_USER, AwsKeys, Parts, read_ecr_secrets
from berth.domain.problem import Invalid
from berth.domain.registry_credential import (
    CredentialKind,
    CredentialNote,
    CredentialRule,
    CredentialSource,
    RegistryCredential,
    RegistryCredentials,
    UnswappedKeys,
)
from berth.domain.registry_host import normalise_registry_host
from berth.domain.secret import LevelledSecret, SecretVersion, parse_secret_name
from berth.domain.secret_text import SecretText

_NAME = re.compile(r"(.*)_CONTAINER_REGISTRY_(SERVER|USER|PASSWORD|SESSION_TOKEN)")
_NO_NAME = re.compile(r"[^A-Z0-9]+")
_PARTS = ("SERVER", "USER", "PASSWORD")
_ALL_PARTS = (*_PARTS, "SESSION_TOKEN")
_WITHOUT_PREFIX = frozenset(f"CONTAINER_REGISTRY_{part}" for part in _PARTS)


_Candidate = RegistryCredential | UnswappedKeys


@dataclass(slots=True)
class _Triple:
    """One prefix at one level, while it is put together."""

    source: CredentialSource
    parts: dict[str, LevelledSecret]
    ambiguous: bool = False
    host: str = ""
    aliases: tuple[str, ...] = ()

    def name(self, part: str) -> str:
        return f"{self.source.prefix}_CONTAINER_REGISTRY_{part}"

    def value(self, part: str) -> str:
        return self.parts[part].value.reveal() if part in self.parts else ""

    @property
    def versions(self) -> tuple[SecretVersion, ...]:
        found = (self.parts[part].version for part in _ALL_PARTS if part in self.parts)
        return tuple(version for version in found if version is not None)

    def note(self, rule: CredentialRule, text: str) -> CredentialNote:
        return CredentialNote(rule=rule, source=self.source, host=self.host, text=text)


def assemble(secrets: Iterable[LevelledSecret], *, withheld_reason: str = "") -> RegistryCredentials:
    """Make the credentials of one launch from all secrets that reach it (policy 1 to 5). Others are ignored."""
    trail: list[CredentialNote] = []
    candidates: dict[str, list[_Candidate]] = {}
    for triple in _group(secrets, trail):
        credential = _complete(triple, trail)
        if credential is not None:
            candidates.setdefault(credential.host, []).append(credential)
    chosen = {host: _choose(candidates[host], trail) for host in sorted(candidates)}
    return RegistryCredentials(
        chosen={host: each for host, each in chosen.items() if isinstance(each, RegistryCredential)},
        unswapped={host: each for host, each in chosen.items() if isinstance(each, UnswappedKeys)},
        trail=tuple(trail),
        withheld_reason=withheld_reason,
    )


def prefix_of(host: str) -> str:
    """A prefix for this host: `registry.example.com:5000` → `REGISTRY_EXAMPLE_COM_5000`; never an impossible name (S1)."""
    text = _NO_NAME.sub("_", host.upper()).strip("_")
    return f"R_{text}" if text[:1].isdigit() or text.startswith("GITHUB_") else text


def triple_names(prefix: str) -> tuple[str, ...]:
    """Of SERVER, USER and PASSWORD, and of the session token that AWS keys may have. Raises Invalid."""
    return tuple(parse_secret_name(f"{prefix}_CONTAINER_REGISTRY_{part}") for part in _ALL_PARTS)


def is_of_triple(name: str) -> bool:
    """Whether a secret of this name belongs to a triple: then its change concerns what runs, too (C8)."""
    return _NAME.fullmatch(name) is not None


def prefix_in(name: str) -> str | None:
    """What begins the name of a triple's secret; None for any other secret."""
    match = _NAME.fullmatch(name)
    return None if match is None else match[1]


def triple_versions(secrets: Iterable[LevelledSecret]) -> dict[CredentialSource, tuple[SecretVersion, ...]]:
    """Which values each triple is made of, in the order of their names; also of those that log in nowhere."""
    return {triple.source: triple.versions for triple in _group(secrets, [])}


def names_a_registry(secret: LevelledSecret) -> bool:
    """Whether the secret is a triple's SERVER that holds nothing but a host: then people may see it, and must.

    One that is refused may hold a password, and stays hidden (C3).
    """
    match = _NAME.fullmatch(secret.name)
    if match is None or match[2] != "SERVER":
        return False
    try:
        normalise_registry_host(secret.value.reveal())
    except Invalid:
        return False
    return True


def _group(secrets: Iterable[LevelledSecret], trail: list[CredentialNote]) -> list[_Triple]:
    """The triples, complete or not, by level and prefix: no part can meet a part of another level (C1)."""
    triples: dict[CredentialSource, _Triple] = {}
    for secret in secrets:
        match = _NAME.fullmatch(secret.name)
        if match:
            source = CredentialSource(secret.level, match[1])
            triple = triples.setdefault(source, _Triple(source, parts={}))
            triple.ambiguous |= match[2] in triple.parts
            triple.parts[match[2]] = secret
        elif secret.name in _WITHOUT_PREFIX:
            text = f"{secret.name} has no prefix, so it is not used; call it, for example, MY_{secret.name}."
            trail.append(_Triple(CredentialSource(secret.level, ""), {}).note(CredentialRule.NAME_WITHOUT_PREFIX, text))
    return [triples[source] for source in sorted(triples, key=lambda source: source.order)]


def _complete(triple: _Triple, trail: list[CredentialNote]) -> _Candidate | None:
    """The triple's credential, or None with a note that says what is wrong. Whatever is known of the host is noted."""
    server_refused = _normalise_server(triple, trail)
    if triple.ambiguous:
        text = f"A secret of {triple.name('…')} is there twice {triple.source.place}; none is used."
        trail.append(triple.note(CredentialRule.AMBIGUOUS, text))
        return None
    registry = find_ecr_registry(triple.host)
    if registry is None:
        user, password = _ends_cut(triple, "USER", trail), _ends_cut(triple, "PASSWORD", trail)
    else:  # there white space means nothing, whatever is beside it
        user, password = triple.value("USER").strip(), triple.value("PASSWORD").strip()
    values = {"SERVER": triple.host or server_refused, "USER": user, "PASSWORD": password}
    missing = [triple.name(part) for part in _PARTS if not values[part]]
    if missing:
        text = f"{' and '.join(missing)} {'has' if len(missing) == 1 else 'have'} no value {triple.source.place}."
        trail.append(triple.note(CredentialRule.INCOMPLETE, text))
        return None
    if server_refused:
        return None
    if registry is not None:
        return _complete_ecr(triple, registry, trail)
    if "SESSION_TOKEN" in triple.parts:
        text = f"{triple.name('SESSION_TOKEN')} is not used: it is for AWS keys, and {triple.host} is not AWS's."
        trail.append(triple.note(CredentialRule.SESSION_UNUSED, text))
    if ":" in user:
        text = f"{triple.name('USER')} holds a colon, which no login can send (RFC 7617 §2)."
        trail.append(triple.note(CredentialRule.USER_REFUSED, text))
        return None
    return RegistryCredential(
        host=triple.host,
        user=user,
        password=SecretText(password),
        source=triple.source,
        aliases=triple.aliases,
        versions=triple.versions,
    )


def _complete_ecr(triple: _Triple, registry: EcrRegistry, trail: list[CredentialNote]) -> _Candidate | None:
    """The same for a registry of AWS (policy 5)."""
    user, password, session_token = (triple.value(part) for part in ("USER", "PASSWORD", "SESSION_TOKEN"))
    secrets = read_ecr_secrets(Parts(user, password, session_token, name=triple.name("")))
    trail.extend(triple.note(CredentialRule.AWS_KEYS_NOTED, text) for text in secrets.notes)
    found = secrets.found
    if found is None:
        trail.append(triple.note(CredentialRule.AWS_KEYS_REFUSED, secrets.refusal))
        return None
    if isinstance(found, AwsKeys):
        return UnswappedKeys(
            host=triple.host,
            keys=found,
            registry=registry,
            source=triple.source,
            aliases=triple.aliases,
            versions=triple.versions,
        )
    return RegistryCredential(
        host=triple.host,
        user=TOKEN_USER,
        password=found.password,
        source=triple.source,
        kind=CredentialKind.ECR_READY,
        aliases=triple.aliases,
        expires_at=found.expires_at,
        versions=triple.versions,
    )


def _normalise_server(triple: _Triple, trail: list[CredentialNote]) -> bool:
    """Set the triple's host. True if SERVER holds something that is refused."""
    server = triple.value("SERVER")
    if not server.strip():
        return False
    try:
        normal = normalise_registry_host(server)
    except Invalid as refusal:
        text = f"{triple.name('SERVER')} cannot be used: {refusal.message}"
        trail.append(triple.note(CredentialRule.SERVER_REFUSED, text))
        return True
    triple.host, triple.aliases = normal.host, normal.aliases
    for repair in normal.repairs:
        text = f"{triple.name('SERVER')}: {repair}"
        trail.append(triple.note(CredentialRule.SERVER_REPAIRED, text))
    return False


def _ends_cut(triple: _Triple, part: str, trail: list[CredentialNote]) -> str:
    """The value of USER or PASSWORD after policy 3; empty if there is none."""
    value = triple.value(part)
    cut = value.removesuffix("\n")
    if cut != value:
        cut = cut.removesuffix("\r")
        text = f"One newline at the end of {triple.name(part)} was removed."
        trail.append(triple.note(CredentialRule.NEWLINE_REMOVED, text))
    if cut != cut.strip():
        text = f"{triple.name(part)} begins or ends with white space, which was kept. Is it meant?"
        trail.append(triple.note(CredentialRule.WHITE_SPACE_KEPT, text))
    return cut


def _choose(candidates: list[_Candidate], trail: list[CredentialNote]) -> _Candidate:
    """The first of one host's credentials, which are in order of level and prefix (policy 4)."""
    winner, *others = candidates
    trail.append(_note(winner, CredentialRule.CHOSEN, f"{winner.host} is served by {winner.source}."))
    for other in others:
        if other.source.level is winner.source.level:
            rule = CredentialRule.DUPLICATE_HOST
            text = f"Both name {other.host} at one level: the first in alphabetical order is used."
        else:
            rule = CredentialRule.SHADOWED
            text = f"The {winner.source.level} level comes before the {other.source.level} level."
        trail.append(_note(other, rule, f"{winner.source} is used, {other.source} is not. {text}"))
    return winner


def _note(credential: _Candidate, rule: CredentialRule, text: str) -> CredentialNote:
    return CredentialNote(rule=rule, source=credential.source, host=credential.host, text=text)
