"""The finding about a refused image, with what is known besides the registry's answer. For launches and the doctor alike.

1. Where the registry rejects the credential of an image that anybody may pull, the credential is the cause: without it the
   pull would work. That was asked, not guessed.
2. Where the form of the credential shows why it is rejected, that is the cause.
3. Where a credential is missing by rule, the rule is named, and nobody is sent to store one (S6).
4. What the triples left to say goes with it: an incomplete one may be the cause.
"""

from dataclasses import replace

from berth.domain.credential_form import check_credential_form
from berth.domain.finding import Finding, Fixer
from berth.domain.image_reference import ImageReference
from berth.domain.registry_credential import CredentialKind, CredentialRule, Found, NoCredential

WITHHELD = "secrets_withheld"  # stands in the evidence where a credential is missing by rule
TOKEN_EXPIRED = "image.token_expired"  # noqa: S105 - a code

# The failures that may be the credential's alone.
BY_CREDENTIAL = frozenset(
    {
        "image.unauthorized",
        "image.denied",
        "image.scope_missing",
        TOKEN_EXPIRED,
        "registry.login_blocked",
        "registry.realm_elsewhere",
    }
)
_REJECTED = frozenset({"image.unauthorized", TOKEN_EXPIRED})


def explain_pull(
    finding: Finding, choice: Found | NoCredential, image: ImageReference, *, open_to_anybody: bool = False
) -> Finding:
    """The finding to show (policy 1 to 4). `open_to_anybody`: without a credential the same image was given."""
    if isinstance(choice, NoCredential):
        told = _withheld(finding, image, choice.withheld_reason) if choice.withheld_reason else finding
    elif open_to_anybody and finding.code in BY_CREDENTIAL:
        told = _breaks_public_image(finding, choice, image)
    else:
        told = _by_form(finding, choice)
    said = " ".join(
        note.text for note in choice.notes if note.rule is not CredentialRule.CHOSEN
    )  # that one is in evidence
    return replace(told, evidence={**told.evidence, "credentials": said}) if said else told


def _breaks_public_image(finding: Finding, choice: Found, image: ImageReference) -> Finding:
    source = choice.credential.source
    return Finding(
        code="credential.breaks_public_image",
        sentence=f"Anybody may pull {image}, but with the credential {source} it is refused. {finding.sentence}",
        fixer=source.fixer,
        next_step=f"Delete the three secrets, if nothing else at {image.host} needs them. Or: {finding.next_step}",
        evidence={**finding.evidence, "cause": finding.code},
    )


def _by_form(finding: Finding, choice: Found) -> Finding:
    credential = choice.credential
    if finding.code not in _REJECTED or credential.kind is not CredentialKind.BASIC:
        return finding
    notes = check_credential_form(credential.host, credential.user, credential.password)
    refused = next((note for note in notes if note.refused), None)
    if refused is None:
        return finding
    return Finding(
        code=refused.code,
        sentence=f"{finding.sentence} {refused.text}",
        fixer=credential.source.fixer,
        next_step=f"Set USER and PASSWORD of {credential.source} again, in a form that {credential.host} takes.",
        evidence={**finding.evidence, "cause": finding.code},
    )


def _withheld(finding: Finding, image: ImageReference, reason: str) -> Finding:
    if finding.code != "image.credential_missing":
        return finding
    return replace(
        finding,
        sentence=f"{finding.sentence} {reason}",
        fixer=Fixer.DEVELOPER,
        next_step=f"Have that changed, if it can be; else name an image that anybody may pull, or have {image} made public.",
        evidence={**finding.evidence, WITHHELD: "by rule"},
    )
