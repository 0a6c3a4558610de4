"""What a registry asks for (`WWW-Authenticate`), and whether a password may go where it says (C7).

1. The registry's own host and port get the password, over https; over plain http only if the administrator said so.
2. A token service on another host gets it only if the table names it for exactly this registry, and only over https.
3. Everything else gets nothing, in particular a sub-domain, a sibling domain, another port. Nothing is guessed: the
   registrable domain of `acme.azurecr.io` is shared with strangers.

Source: RFC 9110 §11.6.1; distribution `docs/content/spec/auth/token.md`; CVE-2026-33540, CVE-2026-48978.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from berth.domain.problem import Invalid
from berth.domain.registry_host import WebAddress, api_host, default_port, parse_host_and_port, parse_web_address

# The registries whose token service is known to live elsewhere. The administrator may add to it (TOKEN_REALMS).
TOKEN_REALMS: Mapping[str, str] = {
    "registry-1.docker.io": "auth.docker.io",
    "registry.gitlab.com": "gitlab.com",
    "registry.digitalocean.com": "api.digitalocean.com",
}

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110's word for a word
_SCHEME = re.compile(rf"[ \t,]*({_TOKEN})(?=[ \t,]|$)[ \t]*")
_PARAMETER = re.compile(rf'[ \t,]*({_TOKEN})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))(?=[ \t,]|$)')
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*(?=[ \t]*(,|$))")
_ESCAPE = re.compile(r"\\(.)")
_MAX_HEADER_LENGTH = 8192


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to log in. `scheme` and the parameters' names are lower-case."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SendDecision:
    """Whether the password may be sent, why, and to which host the registry pointed."""

    allowed: bool
    reason: str
    realm_host: str = ""

    def __bool__(self) -> bool:
        return self.allowed


def parse_challenges(header: str) -> tuple[Challenge, ...]:
    """All challenges of one header (or of several, joined by commas), in order. What is malformed ends the list."""
    challenges: list[Challenge] = []
    text = header[:_MAX_HEADER_LENGTH]
    position = 0
    while match := _SCHEME.match(text, position):
        position = match.end()
        parameters: dict[str, str] = {}
        if blob := _TOKEN68.match(text, position):
            position = blob.end()
        while parameter := _PARAMETER.match(text, position):
            position = parameter.end()
            name, quoted, plain = parameter.groups()
            parameters.setdefault(name.lower(), _ESCAPE.sub(r"\1", quoted) if plain is None else plain)
        challenges.append(Challenge(match[1].lower(), parameters))
    return tuple(challenges)


def calls_token_invalid(header: str) -> bool:
    """Whether the registry does not believe its own token service. Source: RFC 6750 §3.1."""
    return any(challenge.parameters.get("error") == "invalid_token" for challenge in parse_challenges(header))


def registry_address(host: str, insecure_hosts: Collection[str]) -> WebAddress:
    """Where a registry answers: https, or plain http for a host that the administrator marked as insecure."""
    scheme = "http" if host in insecure_hosts else "https"
    name, port = parse_host_and_port(api_host(host))
    return WebAddress(scheme=scheme, name=name, port=port or default_port(scheme), target="/")


def may_send_password(
    registry_host: str, realm_url: str, realm_table: Mapping[str, str], insecure_hosts: Collection[str]
) -> SendDecision:
    """Whether the password of `registry_host` may be sent to `realm_url` (policy 1 to 3)."""
    registry = registry_address(registry_host, insecure_hosts)
    try:
        realm = parse_web_address(realm_url)
    except Invalid:
        return SendDecision(allowed=False, reason=f"{registry.host} named a token service by no valid http(s) address.")
    if realm.scheme == "http" and registry.scheme == "https":
        text = f"{registry.host} named a token service without encryption, at {realm.host}."
        return SendDecision(allowed=False, reason=text, realm_host=realm.host)
    if realm.origin == registry.origin:
        return SendDecision(allowed=True, reason="It is the registry's own host and port.", realm_host=realm.host)
    if realm.scheme == "https" and realm_table.get(registry.host) == realm.host:
        text = f"The table of token services names {realm.host} for {registry.host}."
        return SendDecision(allowed=True, reason=text, realm_host=realm.host)
    text = f"{registry.host} wants the password sent to {realm.host}, which is another host and not in the table."
    return SendDecision(allowed=False, reason=text, realm_host=realm.host)
