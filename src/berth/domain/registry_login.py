"""A login that was tried before it is stored: from what was seen to what a person is told.

1. There are three outcomes, and none stands for another: *accepted*, *refused*, and *unknown*: nobody could be asked, or the
   answer proves nothing. Only what is accepted is stored without being told to.
2. Without an image it is the login that was tried. A registry which asks for none, or whose token service gives the same to
   anybody, leaves it unknown.
3. With an image it is the pull of it with exactly this login. An image that may not be pulled is a refusal, since that is what
   the login is for. One that is missing or unfit was asked for with a login that was taken: then that is a warning.
4. An image that anybody may pull proves nothing, but at a provider that is known to refuse a wrong login for such images too.
5. For AWS the swap is the login: what AWS says of its keys, and of nothing else, refuses them.

The codes and texts of what went wrong are those of launches and the doctor; there is no second table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from berth.domain.doctor import CheckID, Outcome, Pulled, place_of
from berth.domain.finding import Finding, Fixer
from berth.domain.image_reference import Digest, ImageReference
from berth.domain.login_exchange import LoginProof
from berth.domain.pull_finding import explain_pull
from berth.domain.registry_credential import CredentialKind, Found, RegistryCredential
from berth.domain.registry_provider import Provider, provider_of_host


class LoginOutcome(StrEnum):
    """The values are stable (policy 1)."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"


# Findings that are about the login itself, or about what it may do.
_REFUSALS = frozenset({CheckID.LOGIN, CheckID.ACCESS})
# What a registry says of an image only to those whom it lets look.
_LOOKED = frozenset({CheckID.IMAGE, CheckID.PLATFORM, CheckID.CONTENT})
# What AWS, or the way to it, says that is not about the keys (policy 5).
NOT_THE_KEYS = frozenset(
    {
        "ecr.bad_answer",
        "ecr.clock_skew",
        "ecr.region_unknown",
        "ecr.server_error",
        "ecr.throttled",
        "ecr.unreachable",
    }
)

_TRY_AN_IMAGE = "Name an image that nobody else may pull (`--image`), or store the login untried (`--unchecked`)."
# Why a login that was not refused is not accepted either: code → sentence.
UNPROVEN: Mapping[str, str] = {
    "registry.login_not_asked": "{host} answers without a login, so it did not look at this one.",
    "registry.login_not_checked": "The token service of {host} gives its tokens to anybody: it does not show whether "
    "this login is right.",
    "registry.login_not_needed": "Anybody may pull {image}: it does not show whether {host} takes this login.",
}
_CODES = {
    LoginProof.NOT_ASKED: "registry.login_not_asked",
    LoginProof.NOT_CHECKED: "registry.login_not_checked",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginVerdict:
    """`sentence` says what was found; `finding` is why it is not accepted. `kind` is None where it is no credential.

    `expires_at` is of a ready token; AWS keys are swapped anew again and again. Nothing of USER or PASSWORD stands in it.
    """

    host: str
    outcome: LoginOutcome
    sentence: str
    kind: CredentialKind | None = None
    finding: Finding | None = None
    warnings: tuple[str, ...] = ()
    expires_at: datetime | None = None
    digest: Digest | None = None  # of the image that was asked for

    @property
    def provider(self) -> Provider:
        return provider_of_host(self.host)


def judge_login(credential: RegistryCredential, seen: LoginProof | Finding) -> LoginVerdict:
    """The verdict without an image (policy 2)."""
    if isinstance(seen, Finding):
        return reject(credential.host, seen, credential.kind)
    if seen is LoginProof.CHECKED:
        return _accept(credential, f"{credential.host} takes the login.")
    return _leave_open(credential, _CODES[seen])


def judge_pull(found: Found, image: ImageReference, used: Outcome, anonymous: Outcome) -> LoginVerdict:
    """The verdict with an image: what came of it with the login, and without any (policy 3 and 4)."""
    credential, open_to_anybody = found.credential, isinstance(anonymous, Pulled)
    if isinstance(used, Pulled):
        if not _tells_apart(credential.host, anonymous, _REFUSALS | _LOOKED):
            return _leave_open(credential, "registry.login_not_needed", str(image))
        warnings = (f"Anybody may pull {image}: it needs no login.",) if open_to_anybody else ()
        return _accept(credential, f"{credential.host} takes the login, and gives {image}.", warnings, used.digest)
    told = explain_pull(used, found, image, open_to_anybody=open_to_anybody)
    if place_of(used) in _LOOKED and _tells_apart(credential.host, anonymous, _REFUSALS):
        return _accept(credential, f"{credential.host} takes the login.", (f"{told.sentence} {told.next_step}",))
    return reject(credential.host, told, credential.kind)


def reject(host: str, finding: Finding, kind: CredentialKind | None = None) -> LoginVerdict:
    """The verdict for a login that was refused, or could not be tried (policy 1 and 5)."""
    refused = place_of(finding) in _REFUSALS and finding.code not in NOT_THE_KEYS
    return _unaccepted(host, LoginOutcome.REFUSED if refused else LoginOutcome.UNKNOWN, finding, kind)


def _tells_apart(host: str, anonymous: Outcome, refused: frozenset[CheckID]) -> bool:
    """Whether what the login was given is more than anybody gets (policy 4)."""
    if provider_of_host(host) is not Provider.PLAIN:
        return True
    return isinstance(anonymous, Finding) and place_of(anonymous) in refused


def _accept(
    credential: RegistryCredential, sentence: str, warnings: tuple[str, ...] = (), digest: Digest | None = None
) -> LoginVerdict:
    return LoginVerdict(
        host=credential.host,
        outcome=LoginOutcome.ACCEPTED,
        sentence=sentence,
        kind=credential.kind,
        warnings=warnings,
        expires_at=credential.expires_at if credential.kind is CredentialKind.ECR_READY else None,
        digest=digest,
    )


def _leave_open(credential: RegistryCredential, code: str, image: str = "") -> LoginVerdict:
    finding = Finding(
        code=code,
        sentence=UNPROVEN[code].format(host=credential.host, image=image),
        fixer=Fixer.DEVELOPER,
        next_step=_TRY_AN_IMAGE,
        evidence={"host": credential.host, **credential.source.evidence},
    )
    return _unaccepted(credential.host, LoginOutcome.UNKNOWN, finding, credential.kind)


def _unaccepted(host: str, outcome: LoginOutcome, finding: Finding, kind: CredentialKind | None) -> LoginVerdict:
    return LoginVerdict(host=host, outcome=outcome, sentence=finding.sentence, kind=kind, finding=finding)
