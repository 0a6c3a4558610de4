"""S3: one's own triples that do not select the repository."""

import pytest

from berth.domain.finding import Finding, Fixer
from berth.domain.image_reference import parse_image_reference
from berth.domain.registry_credential import CredentialSource
from berth.domain.secret import LevelledSecret, SecretLevel
from berth.domain.secret_text import SecretText
from berth.domain.unshared_triple import explain_unshared, find_unshared


@pytest.mark.parametrize(
    "server,image,found",
    [
        ("https://GHCR.io/", "ghcr.io/a/b", True),
        ("hub.docker.com", "acme/app", True),
        ("ghcr.io.evil.example", "ghcr.io/a/b", False),
        ("https://ana:c4nary@ghcr.io", "ghcr.io/a/b", False),
    ],
)
def test_c4_only_exactly_the_image_s_host(server: str, image: str, found: bool) -> None:
    secret = LevelledSecret(level=SecretLevel.USER, name="P_CONTAINER_REGISTRY_SERVER", value=SecretText(server))
    sources = find_unshared([secret], parse_image_reference(image))
    assert sources == ((CredentialSource(SecretLevel.USER, "P"),) if found else ())


def test_the_finding_says_which_and_what_to_do() -> None:
    seen = Finding(code="x", sentence="No.", fixer=Fixer.REGISTRY, next_step="", evidence={"status": "401"})
    told = explain_unshared(seen, CredentialSource(SecretLevel.USER, "P"), parse_image_reference("ghcr.io/a/b"))
    assert (told.code, told.fixer) == ("credential.not_shared", Fixer.DEVELOPER)
    assert told.evidence == {"status": "401", "level": "user", "prefix": "P"}
    assert "berth registry add ghcr.io --prefix P --user --repos OWNER/REPO --replace" in told.next_step
