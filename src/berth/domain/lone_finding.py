"""A finding for somebody who has no server: the same cause, but the one who can mend it is himself, by variables."""

import re
from collections.abc import Mapping
from dataclasses import replace

from berth.domain.finding import Finding, Fixer
from berth.domain.registry_host import parse_host_and_port

_STEPS: Mapping[str, str] = {
    "image.credential_missing": "Set three variables: X_CONTAINER_REGISTRY_SERVER={host}, X_CONTAINER_REGISTRY_USER and "
    "X_CONTAINER_REGISTRY_PASSWORD; any name may stand for X.",
    "registry.address_forbidden": "If it is meant, allow it: BERTH_PRIVATE_ADDRESSES={address}, or its network.",
    "registry.plain_http": "If everybody on the way may read the password, allow it: BERTH_INSECURE_REGISTRIES={host}.",
    "registry.tls": "{host} needs a valid certificate, or BERTH_CA_FILE names a file with its authority's. A registry without "
    "TLS is asked only if BERTH_INSECURE_REGISTRIES names it.",
    "registry.realm_elsewhere": "If that host is its real token service, set BERTH_TOKEN_REALMS={host}=THAT-HOST.",
}
# What other texts say of secrets, and of the command that stores them at a server.
_WORDS = (
    (re.compile(r"\b(the|three) secrets\b"), r"\1 variables"),
    (re.compile(r"\bin the secret …_"), "in the variable …_"),
    (re.compile(r"store both: `berth registry add [^`]+`"), "set the variables again"),
    (re.compile(r"`berth registry add ([^`]+)`"), r"three variables with X_CONTAINER_REGISTRY_SERVER=\1"),
)
_OWN = frozenset({Fixer.SITE_ADMIN, Fixer.REPOSITORY_ADMIN, Fixer.ORGANIZATION_OWNER})


def for_one_alone(finding: Finding) -> Finding:
    """The finding, told to the one who set the variables."""
    step = _STEPS.get(finding.code)
    host = finding.evidence.get("other_host") or finding.evidence.get("host", "")
    if step is not None and host:
        name, port = parse_host_and_port(host)
        told = step.format(host=host, address=f"{name}:{port or 443}")
    else:
        told = finding.next_step
        for pattern, words in _WORDS:
            told = pattern.sub(words, told)
    return replace(finding, next_step=told, fixer=Fixer.DEVELOPER if finding.fixer in _OWN else finding.fixer)
