"""A finding for somebody who has no server: the same cause, but the one who can mend it is himself, by variables."""

from collections.abc import Mapping
from dataclasses import replace

from berth.domain.finding import Finding, Fixer

_STEPS: Mapping[str, str] = {
    "image.credential_missing": "Set three variables: X_CONTAINER_REGISTRY_SERVER={host}, X_CONTAINER_REGISTRY_USER and "
    "X_CONTAINER_REGISTRY_PASSWORD; any name may stand for X.",
    "registry.address_forbidden": "If it is meant, allow it: BERTH_PRIVATE_ADDRESSES={host}:PORT, or its network.",
    "registry.plain_http": "If everybody on the way may read the password, allow it: BERTH_INSECURE_REGISTRIES={host}.",
    "registry.tls": "{host} needs a valid certificate, or BERTH_CA_FILE names a file with its authority's.",
    "registry.realm_elsewhere": "If that host is its real token service, set BERTH_TOKEN_REALMS={host}=THAT-HOST.",
}
_OWN = frozenset({Fixer.SITE_ADMIN, Fixer.REPOSITORY_ADMIN, Fixer.ORGANIZATION_OWNER})


def for_one_alone(finding: Finding) -> Finding:
    """The finding, told to the one who set the variables."""
    step = _STEPS.get(finding.code)
    host = finding.evidence.get("other_host") or finding.evidence.get("host", "")
    if step is not None and (host or "{host}" not in step):
        finding = replace(finding, next_step=step.format(host=host))
    return replace(finding, fixer=Fixer.DEVELOPER) if finding.fixer in _OWN else finding
