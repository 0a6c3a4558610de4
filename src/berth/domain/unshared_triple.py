"""Triples of the user's own account that name a registry but do not select the repository: stored, and of no use there (S3).

Only their owner is told of them. What they hold is not looked at but for SERVER.
"""

from collections.abc import Iterable

from berth.domain.finding import Finding, Fixer
from berth.domain.image_reference import ImageReference
from berth.domain.problem import Invalid
from berth.domain.registry_credential import CredentialSource
from berth.domain.registry_host import normalise_registry_host
from berth.domain.secret import LevelledSecret

SERVER_ENDING = "_CONTAINER_REGISTRY_SERVER"


def find_unshared(servers: Iterable[LevelledSecret], image: ImageReference) -> tuple[CredentialSource, ...]:
    """Those whose SERVER is the image's host, exactly (C4). `servers` are secrets whose names end as SERVER_ENDING."""
    host = normalise_registry_host(image.host).host
    return tuple(
        CredentialSource(secret.level, secret.name.removesuffix(SERVER_ENDING))
        for secret in servers
        if _host_of(secret) == host
    )


def explain_unshared(seen: Finding, source: CredentialSource, image: ImageReference) -> Finding:
    """The finding where the image is missing nothing but such a triple."""
    return Finding(
        code="credential.not_shared",
        sentence=f"{seen.sentence} Your secrets {source} name {image.host}, but do not select this repository.",
        fixer=Fixer.DEVELOPER,
        next_step=f"Select the repository for the three secrets {source.prefix}_CONTAINER_REGISTRY_… of your account: "
        f"`berth registry add {image.host} --prefix {source.prefix} --user --repos OWNER/REPO --replace`, or gh.",
        evidence={**seen.evidence, **source.evidence},
    )


def _host_of(secret: LevelledSecret) -> str:
    try:
        return normalise_registry_host(secret.value.reveal()).host
    except Invalid:
        return ""
