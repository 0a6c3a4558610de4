"""The doctor: from what was seen of one image to what is wrong with it, who can mend it, and what to do (DESIGN section 5).

1. `Facts` hold every probe's outcome as a value: a failure is a fact. `diagnose` decides nothing by itself that a launch
   decides: the credential comes from the resolver, refusals are findings that the registry client, the access decision and
   the policy made.
2. Every check has an answer. What could not be looked at because another check failed is *skipped*, and says of which.
3. The finding is that of the first of these that failed: the organization's policy, the credential, the way to the registry
   and the image with that credential.
4. The image is also asked for without any credential. That tells a bad credential for a public image from a good image
   behind a bad credential, and a missing one from a needless one.
5. Nothing is told that a launch by the same person would not be told: a hidden image and a missing one look the same (A13).
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum

from berth.domain.credential_form import check_credential_form, describe_password
from berth.domain.finding import Finding, Fixer
from berth.domain.image_reference import Digest, ImageReference
from berth.domain.pull_finding import explain_pull
from berth.domain.registry_credential import (
    Choice,
    CredentialKind,
    CredentialRule,
    CredentialSource,
    Failed,
    Found,
    NoCredential,
)
from berth.domain.registry_provider import Provider, provider_of_host
from berth.domain.unshared_triple import UnsharedTriple, explain_unshared

USUAL_ARCHITECTURE = "amd64"  # where the engine does not say


class CheckID(StrEnum):
    """What is looked at, in this order. The values are stable."""

    POLICY = "policy"
    ENGINE = "engine"
    CREDENTIAL = "credential"
    FORM = "credential_form"
    NAME = "image_name"
    DNS = "dns"
    ADDRESS = "address"
    CONNECTION = "connection"
    TLS = "tls"
    REGISTRY = "registry"
    LIMIT = "rate_limit"
    TOKEN_SERVICE = "token_service"  # noqa: S105 - the name of a check
    LOGIN = "login"
    ACCESS = "access"
    IMAGE = "image"
    PLATFORM = "platform"
    CONTENT = "content"


class CheckState(StrEnum):
    """The values are stable."""

    PASSED = "passed"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One answer. `because` names the check that failed, where this one was skipped."""

    id: CheckID
    state: CheckState
    sentence: str
    because: CheckID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """The registry showed the image: manifest and configuration."""

    digest: Digest | None


Outcome = Pulled | Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Outset:
    """What is known before the registry is asked. `architecture` is None if the engine did not say."""

    image: ImageReference
    choice: Choice
    architecture: str | None
    policy: Finding | None = None  # why the organization does not allow it
    unshared: tuple[UnsharedTriple, ...] = ()  # for this host, which the caller may know of
    is_alone: bool = False  # no server was asked: the triples are those of this machine's environment

    @property
    def probed(self) -> str:
        """The architecture that the image is asked for."""
        return self.architecture or USUAL_ARCHITECTURE


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts(Outset):
    """What was seen. `used` is with the credential that a launch uses; None where there is none by failure (C11).

    `anonymous` is without any; where a launch uses none, both are one. `decided`: `used` is our own decision about the
    built-in registry, which was not asked with it.
    """

    used: Outcome | None
    anonymous: Outcome
    decided: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """`finding` is None where a launch would get the image."""

    image: ImageReference
    provider: Provider
    source: CredentialSource | None  # of the credential that a launch uses
    finding: Finding | None
    checks: tuple[Check, ...]
    with_credential: str  # pulled, a code, or empty: there is no credential to try
    without_credential: str
    digest: Digest | None = None

    @property
    def is_healthy(self) -> bool:
        return self.finding is None


# The checks on the way to an image, each after those that have to be good for it, and how a good one reads.
_WAY: Mapping[CheckID, str] = {
    CheckID.DNS: "The name of {host} resolves.",
    CheckID.ADDRESS: "It leads to an address that may be asked.",
    CheckID.CONNECTION: "A connection comes about.",
    CheckID.TLS: "The connection is as safe as it has to be.",
    CheckID.REGISTRY: "{host} answers as a container registry.",
    CheckID.LIMIT: "{host} does not refuse for having been asked too often.",
    CheckID.TOKEN_SERVICE: "The password, if there is one, goes only where it may.",
    CheckID.LOGIN: "The registry takes the login, or needs none.",
    CheckID.ACCESS: "The image may be pulled.",
    CheckID.IMAGE: "The image is there.",
    CheckID.PLATFORM: "It is made for linux/{architecture}.",
    CheckID.CONTENT: "Its manifest and configuration are whole.",
}

# Code of a finding → the check that failed.
PLACES: Mapping[str, CheckID] = {
    "image.name_incomplete": CheckID.NAME,
    "image.name_refused": CheckID.NAME,
    "package.name": CheckID.NAME,
    "registry.name_unknown": CheckID.DNS,
    "registry.name_timeout": CheckID.DNS,
    "registry.address_forbidden": CheckID.ADDRESS,
    "registry.unreachable": CheckID.CONNECTION,
    "registry.connect_timeout": CheckID.CONNECTION,
    "registry.tls": CheckID.TLS,
    "registry.plain_http": CheckID.TLS,
    "registry.timeout": CheckID.REGISTRY,
    "registry.bad_answer": CheckID.REGISTRY,
    "registry.answer_too_big": CheckID.REGISTRY,
    "registry.not_a_registry": CheckID.REGISTRY,
    "registry.server_error": CheckID.REGISTRY,
    "registry.firewall": CheckID.REGISTRY,
    "registry.rate_limited": CheckID.LIMIT,
    "registry.login_blocked": CheckID.LIMIT,
    "registry.realm_elsewhere": CheckID.TOKEN_SERVICE,
    "registry.token_refused": CheckID.TOKEN_SERVICE,
    "credential.other_host": CheckID.TOKEN_SERVICE,
    "image.unauthorized": CheckID.LOGIN,
    "image.token_expired": CheckID.LOGIN,
    "codespace.token_void": CheckID.LOGIN,
    "image.scope_missing": CheckID.ACCESS,
    "image.credential_missing": CheckID.ACCESS,
    "image.denied": CheckID.ACCESS,
    "package.not_found": CheckID.ACCESS,
    "package.codespace_denied": CheckID.ACCESS,
    "package.credential_denied": CheckID.ACCESS,
    "registry.namespace_disabled": CheckID.ACCESS,
    "registry.quota_exceeded": CheckID.ACCESS,
    "image.not_found": CheckID.IMAGE,
    "image.tag_expired": CheckID.IMAGE,
    "image.platform_missing": CheckID.PLATFORM,
    "image.unsupported": CheckID.CONTENT,
    "feature.unsupported": CheckID.CONTENT,
    "feature.too_large": CheckID.CONTENT,
    "image.unproven": CheckID.CONTENT,
    "image.digest_mismatch": CheckID.CONTENT,
}
_BEFORE_LOGIN = frozenset({CheckID.DNS, CheckID.ADDRESS, CheckID.CONNECTION, CheckID.TLS, CheckID.REGISTRY})


def diagnosis_fields(diagnosis: Diagnosis) -> dict[str, object]:
    """What programs are shown of it, as values of JSON."""
    source = diagnosis.source
    return {
        "image": str(diagnosis.image),
        "provider": diagnosis.provider,
        "healthy": diagnosis.is_healthy,
        "digest": None if diagnosis.digest is None else str(diagnosis.digest),
        "finding": None if diagnosis.finding is None else asdict(diagnosis.finding),
        "credential": None
        if source is None
        else {"level": source.level, "prefix": None if source.level is None else source.prefix},
        "with_credential": diagnosis.with_credential or None,
        "without_credential": diagnosis.without_credential,
        "checks": [asdict(check) for check in diagnosis.checks],
    }


def diagnose(facts: Facts) -> Diagnosis:
    """What is wrong with the image, if anything is (policy 1 to 5)."""
    choice, outcome = facts.choice, _outcome(facts)
    finding = facts.policy
    if finding is None and isinstance(choice, Failed):
        finding = choice.finding
    if finding is None and isinstance(outcome, Finding) and not isinstance(choice, Failed):
        open_to_anybody = isinstance(facts.anonymous, Pulled)
        finding = explain_pull(outcome, choice, facts.image, open_to_anybody=open_to_anybody)
        if facts.unshared and isinstance(choice, NoCredential) and finding.code == "image.credential_missing":
            finding = explain_unshared(finding, facts.unshared[0])
    return Diagnosis(
        image=facts.image,
        provider=provider_of_host(facts.image.host),
        source=choice.credential.source if isinstance(choice, Found) else None,
        finding=finding,
        checks=(*_before(facts), *_way(facts, outcome)),
        with_credential=_word(facts.used) if isinstance(choice, Found) and facts.used is not None else "",
        without_credential=_word(facts.anonymous),
        digest=outcome.digest if finding is None and isinstance(outcome, Pulled) else None,
    )


def give_up(image: ImageReference, after_s: float) -> Diagnosis:
    """The diagnosis where the time for one was over before anything was known."""
    text = "Not looked at: the time for a diagnosis was over."
    return Diagnosis(
        image=image,
        provider=provider_of_host(image.host),
        source=None,
        finding=Finding(
            code="doctor.timeout",
            sentence=f"The diagnosis of {image} was not done within {after_s:g} s.",
            fixer=Fixer.SITE_ADMIN,
            next_step="Try again; if it stays, look at this server's load and database: no registry is waited for that long.",
            evidence={"host": image.host},
        ),
        checks=tuple(Check(id=check, state=CheckState.SKIPPED, sentence=text) for check in CheckID),
        with_credential="",
        without_credential="",
    )


def _outcome(facts: Facts) -> Outcome:
    """What a launch would get. A decision that nobody was asked for is worth nothing where the registry is not reached."""
    way = facts.anonymous
    unreached = facts.decided and isinstance(way, Finding) and place_of(way) in _BEFORE_LOGIN
    return way if facts.used is None or unreached else facts.used


def place_of(finding: Finding) -> CheckID:
    """The check that a finding fails. What another host did not answer is no fault of the way to the registry."""
    place = PLACES.get(finding.code, CheckID.ACCESS)
    if place in _BEFORE_LOGIN and "other_host" in finding.evidence:
        return CheckID.TOKEN_SERVICE if finding.evidence.get("phase") == "token" else CheckID.CONTENT
    return place


def _word(outcome: Outcome) -> str:
    return "pulled" if isinstance(outcome, Pulled) else outcome.code


def check_policy(policy: Finding | None, *, is_alone: bool = False) -> Check:
    """The first of all checks; `policy` is why the organization does not allow the image."""
    if policy is not None:
        return _failed(CheckID.POLICY, policy)
    if is_alone:
        return _passed(CheckID.POLICY, "No server was asked, so no organization's policy is known.")
    return _passed(CheckID.POLICY, "No policy of the organization stands against the image.")


def checks_before(outset: Outset) -> tuple[Check, ...]:
    """Those whose answers are known before the registry is asked; `diagnose` says the same of them."""
    return tuple(_before(outset))


def _before(facts: Outset) -> Iterator[Check]:
    yield check_policy(facts.policy, is_alone=facts.is_alone)
    if facts.architecture is None:
        text = f"The engine does not answer: the image was looked at as for {facts.probed}."
        yield Check(id=CheckID.ENGINE, state=CheckState.WARNING, sentence=text)
    else:
        yield _passed(CheckID.ENGINE, f"The engine runs linux/{facts.architecture}.")
    yield _credential(facts)
    yield _form(facts.choice)


def _credential(facts: Outset) -> Check:
    choice, host = facts.choice, facts.image.host
    if isinstance(choice, Failed):
        return _failed(CheckID.CREDENTIAL, choice.finding)
    notes = [note.text for note in choice.notes if note.rule is not CredentialRule.CHOSEN]
    notes += [triple.sentence for triple in facts.unshared]
    said = " ".join(notes)
    if isinstance(choice, NoCredential):
        said = f"{choice.withheld_reason} {said}".strip()
        whose = "No variables of the environment" if facts.is_alone else "No secrets"
        text = f"{whose} name {host}: it is asked without a credential. {said}".strip()
    else:
        text = f"{host} is asked with {choice.credential.source}. {said}".strip()
    state = CheckState.WARNING if said and not _is_good_news(facts) else CheckState.PASSED
    return Check(id=CheckID.CREDENTIAL, state=state, sentence=text)


def _is_good_news(facts: Outset) -> bool:
    """Whether all that is said of the credential is that AWS keys were swapped, as they should be."""
    if facts.unshared or not isinstance(facts.choice, Found):
        return False
    return {note.rule for note in facts.choice.notes} <= {CredentialRule.CHOSEN, CredentialRule.SWAPPED}


def _form(choice: Choice) -> Check:
    """Nothing is guessed before the registry is asked: its refusal says it, where it is one."""
    if isinstance(choice, Failed):
        return _skipped(CheckID.FORM, CheckID.CREDENTIAL)
    if isinstance(choice, NoCredential) or choice.credential.kind is not CredentialKind.BASIC:
        return _passed(CheckID.FORM, "There is no user and password of anybody's to look at.")
    credential = choice.credential
    found = check_credential_form(credential.host, credential.user, credential.password)
    notes = [note for note in found if not note.guess]
    if notes:
        state = CheckState.FAILED if any(note.refused for note in notes) else CheckState.WARNING
        return Check(id=CheckID.FORM, state=state, sentence=" ".join(note.text for note in notes))
    kind = describe_password(credential.password)
    known = f" The password looks like {kind}." if kind else ""
    return _passed(CheckID.FORM, f"User and password look as they should.{known}")


def _way(facts: Facts, outcome: Outcome) -> Iterator[Check]:
    """The way to the image, up to the check that fails; what comes after is skipped (policy 2)."""
    place = place_of(outcome) if isinstance(outcome, Finding) else None
    last = CheckID.REGISTRY if place is CheckID.NAME else place
    if place is CheckID.NAME and isinstance(outcome, Finding):
        yield _failed(CheckID.NAME, outcome)
    else:
        yield _passed(CheckID.NAME, f"{facts.image} is a whole name.")
    blocked = CheckID.CREDENTIAL if isinstance(facts.choice, Failed) else None
    reached = True
    for check, text in _WAY.items():
        if reached and check is place and isinstance(outcome, Finding):
            yield _failed(check, outcome)
            reached = False
        elif not reached:
            yield _skipped(check, place or check)
        elif blocked is not None and check not in _BEFORE_LOGIN:
            yield _skipped(check, blocked)
        else:
            yield _passed(check, text.format(host=facts.image.host, architecture=facts.probed))
            reached = check is not last


def _passed(check: CheckID, sentence: str) -> Check:
    return Check(id=check, state=CheckState.PASSED, sentence=sentence)


def _failed(check: CheckID, finding: Finding) -> Check:
    return Check(id=check, state=CheckState.FAILED, sentence=f"{finding.sentence} ({finding.code})")


def _skipped(check: CheckID, because: CheckID) -> Check:
    text = f"Not looked at: the check {because} failed."
    return Check(id=check, state=CheckState.SKIPPED, sentence=text, because=because)
