"""S3: triples that are stored and do not reach the repository: one's own, and the organization's."""

import pytest

from berth.domain.finding import Finding, Fixer
from berth.domain.registry_credential import CredentialSource
from berth.domain.secret import LevelledSecret, SecretLevel, SecretVisibility
from berth.domain.secret_text import SecretText
from berth.domain.unshared_triple import UnsharedServer, UnsharedTriple, explain_unshared, find_unshared

USER, ORGANIZATION = SecretLevel.USER, SecretLevel.ORGANIZATION
SEEN = Finding(code="x", sentence="No.", fixer=Fixer.REGISTRY, next_step="", evidence={"status": "401"})


def server(text: str, level: SecretLevel = USER, visibility: SecretVisibility | None = None) -> UnsharedServer:
    secret = LevelledSecret(level=level, name="P_CONTAINER_REGISTRY_SERVER", value=SecretText(text))
    return UnsharedServer(secret=secret, visibility=visibility)


@pytest.mark.parametrize(
    "text,host,found",
    [
        ("https://GHCR.io/", "ghcr.io", True),
        ("hub.docker.com", "docker.io", True),
        ("ghcr.io.evil.example", "ghcr.io", False),
        ("https://ana:c4nary@ghcr.io", "ghcr.io", False),
        ("https://ana:c4nary@ghcr.io", None, False),
        ("ghcr.io.evil.example", None, True),
    ],
)
def test_c4_only_exactly_the_host(text: str, host: str | None, found: bool) -> None:
    triples = find_unshared([server(text)], host)
    assert [triple.source for triple in triples] == ([CredentialSource(USER, "P")] if found else [])


@pytest.mark.parametrize(
    "level,visibility,fixer,sentence,step",
    [
        (USER, None, Fixer.DEVELOPER, "Your secrets P_CONTAINER_REGISTRY_… (user) name ghcr.io, but do not select this repository.",
         "berth registry add ghcr.io --prefix P --user --repos OWNER/REPO --replace"),
        (ORGANIZATION, SecretVisibility.SELECTED, Fixer.ORGANIZATION_OWNER, "The organization's secrets",
         "--org ORG --repos REPO --replace"),
        (ORGANIZATION, SecretVisibility.PRIVATE, Fixer.ORGANIZATION_OWNER, "but are for private repositories only.",
         "--visibility all --replace"),
    ],
    ids=["one's own", "not selected", "for private ones"],
)  # fmt: skip
def test_the_finding_says_which_why_and_what_to_do(
    level: SecretLevel, visibility: SecretVisibility | None, fixer: Fixer, sentence: str, step: str
) -> None:
    (triple,) = find_unshared([server("ghcr.io", level, visibility)])
    told = explain_unshared(SEEN, triple)
    assert (told.code, told.fixer) == ("credential.not_shared", fixer)
    assert told.evidence == {"status": "401", "level": level.value, "prefix": "P"}
    assert told.sentence.startswith("No. ")
    assert sentence in told.sentence
    assert step in told.next_step
    assert isinstance(triple, UnsharedTriple)
