"""Triples that name a registry but do not reach the repository: stored, and of no use there (S3).

1. Of one's own account: they do not select it. Only their owner is told of them.
2. Of the repository's organization: they do not select it, or are for private repositories and it is public. Only who is shown
   the organization's secrets is told of them (A13).
3. What they hold is not looked at but for SERVER; one that is no host is left out.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from berth.domain.finding import Finding
from berth.domain.problem import Invalid
from berth.domain.registry_credential import CredentialSource
from berth.domain.registry_host import normalise_registry_host
from berth.domain.secret import LevelledSecret, SecretLevel, SecretVisibility

SERVER_ENDING = "_CONTAINER_REGISTRY_SERVER"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsharedServer:
    """A triple's SERVER that does not reach the repository. `visibility` is an organization's secret's."""

    secret: LevelledSecret
    visibility: SecretVisibility | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsharedTriple:
    """Such a triple, and why. `for_private`: it is for private repositories."""

    source: CredentialSource
    host: str
    for_private: bool = False

    @property
    def sentence(self) -> str:
        whose = "Your" if self.source.level is SecretLevel.USER else "The organization's"
        why = "are for private repositories only" if self.for_private else "do not select this repository"
        return f"{whose} secrets {self.source} name {self.host}, but {why}."

    @property
    def next_step(self) -> str:
        add = f"`berth registry add {self.host} --prefix {self.source.prefix}"
        secrets = f"the three secrets {self.source.prefix}_CONTAINER_REGISTRY_…"
        if self.source.level is SecretLevel.USER:
            return f"Select the repository for {secrets} of your account: {add} --user --repos OWNER/REPO --replace`, or gh."
        if self.for_private:
            step = f"{add} --org ORG --visibility all --replace`"
            return f"Give {secrets} the visibility all, if public repositories may use them: {step}."
        return (
            f"Select the repository for {secrets} of the organization: {add} --org ORG --repos REPO --replace`, or gh."
        )


def find_unshared(servers: Iterable[UnsharedServer], host: str | None = None) -> tuple[UnsharedTriple, ...]:
    """Those whose SERVER is this normal host, exactly (C4); all without one."""
    return tuple(triple for triple in _triples(servers) if host in {None, triple.host})


def explain_unshared(seen: Finding, triple: UnsharedTriple) -> Finding:
    """The finding where the image is missing nothing but such a triple."""
    return replace(
        seen,
        code="credential.not_shared",
        sentence=f"{seen.sentence} {triple.sentence}",
        fixer=triple.source.fixer,
        next_step=triple.next_step,
        evidence={**seen.evidence, **triple.source.evidence},
    )


def _triples(servers: Iterable[UnsharedServer]) -> Iterator[UnsharedTriple]:
    for server in servers:
        secret = server.secret
        try:
            host = normalise_registry_host(secret.value.reveal()).host
        except Invalid:
            continue
        source = CredentialSource(secret.level, secret.name.removesuffix(SERVER_ENDING))
        yield UnsharedTriple(source=source, host=host, for_private=server.visibility is SecretVisibility.PRIVATE)
