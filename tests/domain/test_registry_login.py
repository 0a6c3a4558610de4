"""What a person is told of a login that was tried: the three outcomes, with and without an image; each beside its control."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from berth.domain import ecr_finding, registry_finding
from berth.domain.doctor import Outcome, Pulled
from berth.domain.finding import Finding, Fixer
from berth.domain.image_reference import Digest, parse_image_reference
from berth.domain.login_exchange import LoginProof
from berth.domain.registry_credential import CredentialKind, CredentialSource, Found, RegistryCredential
from berth.domain.registry_login import NOT_THE_KEYS, UNPROVEN, LoginOutcome, judge_login, judge_pull, reject
from berth.domain.registry_provider import Provider
from berth.domain.secret import SecretLevel
from berth.domain.secret_text import SecretText

ACCEPTED, REFUSED, UNKNOWN = LoginOutcome.ACCEPTED, LoginOutcome.REFUSED, LoginOutcome.UNKNOWN
PLAIN = RegistryCredential(
    host="r.test",
    user="c4nary-user",
    password=SecretText("c4nary-pw"),
    source=CredentialSource(SecretLevel.ORGANIZATION, "R"),
)
GHCR = replace(PLAIN, host="ghcr.io")
IMAGE = "team/app:1"
PULLED = Pulled(digest=Digest.of(b"it"))


def finding(code: str) -> Finding:
    return Finding(code=code, sentence=f"{code}.", fixer=Fixer.REGISTRY, next_step="Do.")


ANONYMOUS = finding("image.credential_missing")


@pytest.mark.parametrize(
    "seen,outcome,code",
    [
        (LoginProof.CHECKED, ACCEPTED, ""),
        (LoginProof.NOT_ASKED, UNKNOWN, "registry.login_not_asked"),
        (LoginProof.NOT_CHECKED, UNKNOWN, "registry.login_not_checked"),
        (finding("image.unauthorized"), REFUSED, "image.unauthorized"),
        (finding("registry.address_forbidden"), UNKNOWN, "registry.address_forbidden"),
    ],
)
def test_without_an_image(seen: LoginProof | Finding, outcome: LoginOutcome, code: str) -> None:
    verdict = judge_login(PLAIN, seen)
    assert (verdict.outcome, verdict.finding.code if verdict.finding else "") == (outcome, code)
    assert (verdict.host, verdict.kind, verdict.provider) == ("r.test", CredentialKind.BASIC, Provider.PLAIN)
    assert verdict.sentence == ("r.test takes the login." if verdict.finding is None else verdict.finding.sentence)
    assert "c4nary" not in repr(verdict)
    if code in UNPROVEN:
        assert verdict.finding is not None
        assert verdict.finding.evidence == {"host": "r.test", "level": "organization", "prefix": "R"}
        assert "--image" in verdict.finding.next_step


# What is about the login, or about what it may do; everything else leaves it unknown.
REFUSING = {
    "image.unauthorized",
    "image.credential_missing",
    "image.token_expired",
    "image.denied",
    "ecr.access_denied",
    "ecr.key_malformed",
    "ecr.key_unknown",
    "ecr.keys_expired",
    "ecr.not_opted_in",
    "ecr.refused",
    "ecr.secret_wrong",
}


@pytest.mark.parametrize("code", sorted({*registry_finding.TEXTS, *registry_finding.CONNECTION, *ecr_finding.TEXTS}))
def test_every_finding_is_a_refusal_or_leaves_it_unknown(code: str) -> None:
    assert reject("r.test", finding(code)).outcome is (REFUSED if code in REFUSING else UNKNOWN)


def test_b3_what_is_not_about_the_keys_is_a_code_that_there_is() -> None:
    assert set(ecr_finding.TEXTS) >= NOT_THE_KEYS


WITH_IMAGE: dict[str, tuple[RegistryCredential, Outcome, Outcome, LoginOutcome, str, str]] = {
    "given, and to nobody else": (PLAIN, PULLED, ANONYMOUS, ACCEPTED, "", ""),
    "given, and hidden from others": (PLAIN, PULLED, finding("image.not_found"), ACCEPTED, "", ""),
    "given to anybody": (PLAIN, PULLED, PULLED, UNKNOWN, "registry.login_not_needed", ""),
    "given, and nobody else could be asked for": (
        PLAIN, PULLED, finding("registry.rate_limited"), UNKNOWN, "registry.login_not_needed", "",
    ),
    "given to anybody where a wrong login is refused": (GHCR, PULLED, PULLED, ACCEPTED, "", "Anybody may pull"),
    "a wrong login": (PLAIN, finding("image.unauthorized"), ANONYMOUS, REFUSED, "image.unauthorized", ""),
    "no right to it": (PLAIN, finding("image.denied"), ANONYMOUS, REFUSED, "image.denied", ""),
    "a login that breaks a public image": (
        GHCR, finding("image.unauthorized"), PULLED, REFUSED, "credential.breaks_public_image", "",
    ),
    "let in, and no such tag": (PLAIN, finding("image.not_found"), ANONYMOUS, ACCEPTED, "", "image.not_found."),
    "let in, and not for this engine": (
        PLAIN, finding("image.platform_missing"), ANONYMOUS, ACCEPTED, "", "image.platform_missing.",
    ),
    "no such tag for anybody": (
        PLAIN, finding("image.not_found"), finding("image.not_found"), UNKNOWN, "image.not_found", "",
    ),
    "unreachable": (PLAIN, finding("registry.tls"), finding("registry.tls"), UNKNOWN, "registry.tls", ""),
    "C7": (PLAIN, finding("registry.realm_elsewhere"), ANONYMOUS, UNKNOWN, "registry.realm_elsewhere", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", WITH_IMAGE)
def test_with_an_image(name: str) -> None:
    credential, used, anonymous, outcome, code, warning = WITH_IMAGE[name]
    image = parse_image_reference(f"{credential.host}/{IMAGE}")
    verdict = judge_pull(Found(credential), image, used, anonymous)
    assert (verdict.outcome, verdict.finding.code if verdict.finding else "") == (outcome, code)
    assert verdict.digest == (PULLED.digest if used is PULLED and outcome is ACCEPTED else None)
    assert [text[: len(warning)] for text in verdict.warnings] == ([warning] if warning else [])
    assert "c4nary" not in repr(verdict)


def test_only_a_ready_token_has_an_end() -> None:
    end = datetime(2026, 1, 1, tzinfo=UTC)
    ready = replace(PLAIN, kind=CredentialKind.ECR_READY, expires_at=end)
    assert judge_login(ready, LoginProof.CHECKED).expires_at == end
    assert judge_login(replace(ready, kind=CredentialKind.ECR), LoginProof.CHECKED).expires_at is None
