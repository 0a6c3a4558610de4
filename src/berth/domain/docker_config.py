"""A docker `config.json` in which entries of ours and entries of the codespace's user stand side by side.

1. Nothing in the file is trusted: what is no JSON object, or has no object under `auths`, is left alone (Invalid).
2. An entry is ours if Berth wrote exactly this value under exactly this key: fingerprints of what it wrote say so. What the
   user has written over, or made himself, is his.
3. Ours are replaced as a whole: what a deleted secret gave goes, and nothing else does.
4. The user's own login wins: where one of a host's keys is his, or a program of his answers for it (`credHelpers`), none
   of ours is written for that host, and that is said.
5. Where a host's credential could not be renewed, what Berth wrote for it before stays: it lasts until it expires (C8).
6. Every other key stays as it is: `HttpHeaders`, `proxies`, `credsStore`, what no docker has thought of yet.

Bare lower-case hosts with `auth` only, three keys for Docker Hub, no key with a path: docker and docker-py hand those to
every repository of the host. Observed: docker CLI 28.2, skopeo 1.9, devcontainer CLI 0.89, docker-py 7.2.
"""

import base64
import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from berth.domain.docker_hub import DOCKER_HUB, DOCKER_HUB_KEYS
from berth.domain.problem import Invalid
from berth.domain.registry_credential import RegistryCredential
from berth.domain.secret_text import SecretText
from berth.domain.strict_json import parse_json_object

MAX_CONFIG_BYTES = 64 * 1024
_MAX_ENTRIES = 1000

Entries = Mapping[str, frozenset[str]]  # key under `auths` → fingerprints of what Berth wrote there
NO_ENTRIES: Entries = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedConfig:
    """What becomes of a file."""

    text: SecretText  # the file to write
    entries: Entries  # what of it, and of what it replaces, is ours
    own: SecretText  # the user's part alone; empty if there is none
    notes: tuple[str, ...]  # what the user should know


def merge_docker_config(
    content: bytes | None,
    entries: Entries,
    credentials: Iterable[RegistryCredential],
    not_renewed: Collection[str] = (),
) -> MergedConfig:
    """The file with the logins of now (policy 2 to 6). Raises Invalid for a file that is to be left alone (policy 1).

    `not_renewed`: normal hosts of policy 5.
    """
    config, auths = _parse(content)
    old = {key: _fingerprint(auths[key]) for key in auths if _fingerprint(auths[key]) in entries.get(key, frozenset())}
    lasting = {key: auths[key] for key in old if key.removesuffix(":443") in not_renewed}
    for key in old:
        del auths[key]
    own = _own_part(config, auths)
    written = {key: frozenset({old[key]}) for key in lasting}
    auths.update(lasting)
    notes = []
    for credential in credentials:
        keys = config_keys(credential.host, credential.aliases)
        if _is_served_by_user(config, auths, keys):
            notes.append(f"Your docker config has a login of your own for {credential.host}, which was kept.")
            continue
        for key in keys:
            written[key] = frozenset({_fingerprint(_entry(credential))})
            auths[key] = _entry(credential)
    if written and config.get("credsStore"):
        notes.append("Your docker config names a credsStore: docker asks that program and not the logins in the file.")
    ours = {
        key: written.get(key, frozenset()) | ({old[key]} if key in old else frozenset()) for key in {*written, *old}
    }
    return MergedConfig(text=_text({**config, "auths": auths}), entries=ours, own=own, notes=tuple(notes))


def format_entries(entries: Entries) -> str:
    """One line."""
    return json.dumps({key: sorted(prints) for key, prints in sorted(entries.items())})


def parse_entries(text: str) -> Entries:
    """The opposite of `format_entries`. Whatever else the text is: nothing is ours."""
    try:
        found = parse_json_object(text.encode())
    except (Invalid, UnicodeEncodeError):
        return NO_ENTRIES
    if len(found) > _MAX_ENTRIES:
        return NO_ENTRIES
    return {key: frozenset(map(str, prints)) for key, prints in found.items() if isinstance(prints, list)}


def _parse(content: bytes | None) -> tuple[dict[str, object], dict[str, object]]:
    """The file, and what stands under `auths`; both are ours to change."""
    if content is None or not content.strip():  # docker itself takes an empty file for no file
        return {}, {}
    if len(content) > MAX_CONFIG_BYTES:
        raise Invalid(f"It has more than {MAX_CONFIG_BYTES // 1024} KiB.")
    config = parse_json_object(content)
    auths = config.get("auths", {})
    if not isinstance(auths, dict):
        raise Invalid("Its auths is not an object.")
    return config, dict(auths)


def config_keys(host: str, aliases: tuple[str, ...] = ()) -> tuple[str, ...]:
    """What clients look a normal host's login up by; docker's own key first."""
    return DOCKER_HUB_KEYS if host == DOCKER_HUB else (host, *aliases)


def _entry(credential: RegistryCredential) -> dict[str, str]:
    pair = f"{credential.user}:{credential.password.reveal()}"
    return {"auth": base64.b64encode(pair.encode()).decode()}


def _is_served_by_user(config: Mapping[str, object], own: Mapping[str, object], keys: tuple[str, ...]) -> bool:
    helpers = config.get("credHelpers")
    return any(key in own or (isinstance(helpers, dict) and key in helpers) for key in keys)


def _own_part(config: Mapping[str, object], own: Mapping[str, object]) -> SecretText:
    rest = {key: value for key, value in config.items() if key != "auths"}
    if not rest and not own:
        return SecretText("")
    return _text({**rest, "auths": dict(own)} if own else rest)


def _text(config: Mapping[str, object]) -> SecretText:
    return SecretText(json.dumps(config, indent=2) + "\n")


def _fingerprint(entry: object) -> str:
    return hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()
