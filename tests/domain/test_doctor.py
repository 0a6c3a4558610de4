"""The diagnosis: what is wrong, who can mend it, and what was not looked at because of what (DESIGN section 5)."""

from dataclasses import replace

import pytest

from berth.domain.doctor import PLACES, Check, CheckID, CheckState, Diagnosis, Facts, Pulled, diagnose
from berth.domain.failure_row import Row
from berth.domain.finding import Finding, Fixer
from berth.domain.image_reference import Digest, parse_image_reference
from berth.domain.provider_failure import ROWS
from berth.domain.registry_credential import (
    CODESPACE_TOKEN,
    CredentialKind,
    CredentialNote,
    CredentialRule,
    Failed,
    Found,
    NoCredential,
)
from berth.domain.registry_finding import CONNECTION, TEXTS
from berth.domain.registry_provider import Provider
from berth.domain.registry_triple import assemble
from berth.domain.secret import LevelledSecret, SecretLevel
from berth.domain.secret_text import SecretText
from berth.domain.unshared_triple import UnsharedTriple

IMAGE = parse_image_reference("ghcr.io/acme/app:1")
PULLED = Pulled(digest=Digest.of(b"x"))


def seen(code: str, **evidence: str) -> Finding:
    return Finding(code=code, sentence="No.", fixer=Fixer.REGISTRY, next_step="Do.", evidence=evidence)


MISSING = seen("image.credential_missing")


def triple(
    level: SecretLevel, prefix: str, *, password: str = "ghp_c4nary", parts: str = "SUP"
) -> list[LevelledSecret]:
    values = {"SERVER": "ghcr.io", "USER": "ana", "PASSWORD": password}
    return [
        LevelledSecret(level=level, name=f"{prefix}_CONTAINER_REGISTRY_{part}", value=SecretText(value))
        for part, value in values.items()
        if part[0] in parts
    ]


def choice(*secrets: LevelledSecret, withheld: str = "") -> Found | NoCredential | Failed:
    """The real resolver's."""
    return assemble(secrets, withheld_reason=withheld).for_image(IMAGE)


CHOSEN = choice(*triple(SecretLevel.REPOSITORY, "P"))
NONE = choice()
INCOMPLETE = choice(*triple(SecretLevel.REPOSITORY, "P", parts="SU"))
GOOD = Facts(image=IMAGE, choice=CHOSEN, used=PULLED, anonymous=MISSING, architecture="amd64")


def states(diagnosis: Diagnosis) -> dict[CheckID, CheckState]:
    return {check.id: check.state for check in diagnosis.checks}


def check_of(diagnosis: Diagnosis, wanted: CheckID) -> Check:
    (found,) = [check for check in diagnosis.checks if check.id is wanted]
    return found


def test_a_good_image() -> None:
    diagnosis = diagnose(GOOD)
    assert diagnosis.is_healthy
    assert set(states(diagnosis).values()) == {CheckState.PASSED}
    assert [check.id for check in diagnosis.checks] == list(CheckID)
    assert (diagnosis.with_credential, diagnosis.without_credential) == ("pulled", "image.credential_missing")
    assert (diagnosis.digest, diagnosis.provider) == (PULLED.digest, Provider.GHCR)
    assert "a classic token of GitHub" in check_of(diagnosis, CheckID.FORM).sentence
    assert "c4nary" not in repr(diagnosis)


def test_a_public_image_without_a_credential() -> None:
    diagnosis = diagnose(replace(GOOD, choice=NONE, anonymous=PULLED))
    assert diagnosis.is_healthy
    assert (diagnosis.source, diagnosis.with_credential, diagnosis.without_credential) == (None, "", "pulled")
    assert "asked without a credential" in check_of(diagnosis, CheckID.CREDENTIAL).sentence


@pytest.mark.parametrize("code", PLACES)
def test_what_comes_after_a_failure_is_skipped_and_says_because_of_what(code: str) -> None:
    diagnosis = diagnose(replace(GOOD, used=seen(code)))
    assert diagnosis.finding is not None
    assert diagnosis.finding.code == code
    place = PLACES[code]
    assert states(diagnosis)[place] is CheckState.FAILED
    assert code in check_of(diagnosis, place).sentence
    way = [check for check in diagnosis.checks if check.id in list(CheckID)[list(CheckID).index(CheckID.NAME) :]]
    after = [check for check in way if check.state is CheckState.SKIPPED]
    assert {check.because for check in after} <= {place}
    assert all(check.state is CheckState.PASSED for check in way if check not in after and check.id is not place)
    if place is not CheckID.NAME:
        assert after == way[[check.id for check in way].index(place) + 1 :]


def test_a_bad_name_says_nothing_of_the_image() -> None:
    diagnosis = diagnose(replace(GOOD, used=seen("image.name_incomplete")))
    assert states(diagnosis)[CheckID.REGISTRY] is CheckState.PASSED
    assert check_of(diagnosis, CheckID.ACCESS).because is CheckID.NAME


def row_codes(rows: tuple[Row, ...]) -> set[str]:
    return {row.code for row in rows}


def test_every_code_of_a_registry_has_its_check() -> None:
    assert set(TEXTS) | set(CONNECTION) | row_codes(ROWS) <= set(PLACES)
    known = {"package.name", "package.not_found", "package.codespace_denied", "package.credential_denied"}
    assert known | {"codespace.token_void"} <= set(PLACES)
    assert set(PLACES.values()) <= set(CheckID)


@pytest.mark.parametrize(
    "phase,place",
    [("token", CheckID.TOKEN_SERVICE), ("config", CheckID.CONTENT)],
)
def test_what_another_host_does_not_answer_is_not_the_registrys_connection(phase: str, place: CheckID) -> None:
    there = seen("registry.unreachable", other_host="auth.example", phase=phase)
    diagnosis = diagnose(replace(GOOD, used=there))
    assert states(diagnosis)[CheckID.CONNECTION] is CheckState.PASSED
    assert states(diagnosis)[place] is CheckState.FAILED
    here = diagnose(replace(GOOD, used=seen("registry.unreachable", phase=phase)))
    assert states(here)[CheckID.CONNECTION] is CheckState.FAILED


def test_c11_a_failed_credential_is_not_anonymous_even_where_anybody_may_pull() -> None:
    diagnosis = diagnose(replace(GOOD, choice=INCOMPLETE, used=None, anonymous=PULLED))
    assert diagnosis.finding is not None
    assert (diagnosis.finding.code, diagnosis.finding.fixer) == ("credential.incomplete", Fixer.REPOSITORY_ADMIN)
    assert (diagnosis.with_credential, diagnosis.without_credential) == ("", "pulled")
    assert states(diagnosis)[CheckID.CREDENTIAL] is CheckState.FAILED
    assert states(diagnosis)[CheckID.REGISTRY] is CheckState.PASSED, "the way to the registry was looked at"
    for skipped in (CheckID.FORM, CheckID.LOGIN, CheckID.ACCESS, CheckID.CONTENT):
        assert check_of(diagnosis, skipped).because is CheckID.CREDENTIAL


def test_a_failed_credential_and_an_unreachable_registry() -> None:
    diagnosis = diagnose(replace(GOOD, choice=INCOMPLETE, used=None, anonymous=seen("registry.name_unknown")))
    assert diagnosis.finding is not None
    assert diagnosis.finding.code == "credential.incomplete"
    assert states(diagnosis)[CheckID.DNS] is CheckState.FAILED


def test_a_bad_credential_breaks_a_public_image() -> None:
    bad = replace(GOOD, used=seen("image.unauthorized"))
    diagnosis = diagnose(replace(bad, anonymous=PULLED))
    assert diagnosis.finding is not None
    assert diagnosis.finding.code == "credential.breaks_public_image"
    control = diagnose(bad)
    assert control.finding is not None
    assert control.finding.code == "image.unauthorized"


def test_c2_what_the_triples_left_to_say_is_a_warning() -> None:
    both = choice(*triple(SecretLevel.USER, "MINE"), *triple(SecretLevel.ORGANIZATION, "CORP"))
    credential = check_of(diagnose(replace(GOOD, choice=both)), CheckID.CREDENTIAL)
    assert credential.state is CheckState.WARNING
    assert (
        "MINE_CONTAINER_REGISTRY_… (user) is used, CORP_CONTAINER_REGISTRY_… (organization) is not."
        in credential.sentence
    )
    assert check_of(diagnose(GOOD), CheckID.CREDENTIAL).state is CheckState.PASSED


@pytest.mark.parametrize(
    "rule,state", [(CredentialRule.SWAPPED, CheckState.PASSED), (CredentialRule.REFRESH_FAILED, CheckState.WARNING)]
)
def test_c5_keys_that_were_swapped_are_told_and_no_warning(rule: CredentialRule, state: CheckState) -> None:
    assert isinstance(CHOSEN, Found)
    note = CredentialNote(rule=rule, source=CHOSEN.credential.source, host="ghcr.io", text="The keys were swapped.")
    told = replace(GOOD, choice=replace(CHOSEN, notes=(*CHOSEN.notes, note)))
    credential = check_of(diagnose(told), CheckID.CREDENTIAL)
    assert credential.sentence.endswith("The keys were swapped.")
    assert credential.state is state
    elsewhere = replace(told, unshared=(UnsharedTriple(source=CHOSEN.credential.source, host="ghcr.io"),))
    assert check_of(diagnose(elsewhere), CheckID.CREDENTIAL).state is CheckState.WARNING


def test_s6_withheld_secrets_are_a_warning_with_the_reason() -> None:
    facts = replace(GOOD, choice=choice(withheld="You may not write."), used=MISSING)
    diagnosis = diagnose(facts)
    assert check_of(diagnosis, CheckID.CREDENTIAL).state is CheckState.WARNING
    assert check_of(diagnosis, CheckID.CREDENTIAL).sentence.endswith("You may not write.")
    assert diagnosis.finding is not None
    assert "You may not write." in diagnosis.finding.sentence


@pytest.mark.parametrize(
    "password,state",
    [("ghp_x", CheckState.PASSED), ("x", CheckState.PASSED), ("github_pat_x", CheckState.WARNING)],
)
def test_the_form_is_looked_at(password: str, state: CheckState) -> None:
    facts = replace(GOOD, choice=choice(*triple(SecretLevel.USER, "P", password=password)))
    assert check_of(diagnose(facts), CheckID.FORM).state is state


@pytest.mark.parametrize("user,state", [("robot", CheckState.PASSED), ("robot ", CheckState.WARNING)])
def test_a_form_is_not_guessed_at(user: str, state: CheckState) -> None:
    """`robot` may be a robot of Harbor's that lost its name, or somebody's plain user."""
    assert isinstance(CHOSEN, Found)
    named = Found(replace(CHOSEN.credential, host="r.example", user=user))
    assert check_of(diagnose(replace(GOOD, choice=named)), CheckID.FORM).state is state


def test_a_form_that_cannot_work_is_the_cause_of_a_rejection() -> None:
    assert isinstance(CHOSEN, Found)
    bad = Found(replace(CHOSEN.credential, user="_json_key", password=SecretText("{")))
    diagnosis = diagnose(replace(GOOD, choice=bad, used=seen("image.unauthorized")))
    assert states(diagnosis)[CheckID.FORM] is CheckState.FAILED
    assert diagnosis.finding is not None
    assert diagnosis.finding.code == "credential_form.json_key"


def test_l6_a_policy_of_the_organization_comes_first() -> None:
    refused = seen("codespace_policy.image")
    diagnosis = diagnose(replace(GOOD, policy=refused, used=seen("image.unauthorized")))
    assert diagnosis.finding == refused
    assert states(diagnosis)[CheckID.POLICY] is CheckState.FAILED
    assert states(diagnosis)[CheckID.LOGIN] is CheckState.FAILED, "the rest is looked at all the same"


def test_an_engine_that_does_not_answer_is_a_warning() -> None:
    diagnosis = diagnose(replace(GOOD, architecture=None))
    assert diagnosis.is_healthy
    assert states(diagnosis)[CheckID.ENGINE] is CheckState.WARNING


def test_our_own_decision_counts_only_where_our_registry_is_reached() -> None:
    assert isinstance(CHOSEN, Found)
    own = replace(CHOSEN.credential, kind=CredentialKind.CODESPACE, source=CODESPACE_TOKEN)
    decided = replace(GOOD, choice=Found(own), decided=True)
    assert diagnose(decided).is_healthy
    assert check_of(diagnose(decided), CheckID.FORM).state is CheckState.PASSED
    unreached = diagnose(replace(decided, anonymous=seen("registry.unreachable")))
    assert unreached.finding is not None
    assert unreached.finding.code == "registry.unreachable"
    assert diagnose(replace(decided, decided=False, anonymous=seen("registry.unreachable"))).is_healthy
