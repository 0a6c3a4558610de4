"""What is told about a refused image besides the registry's answer; each beside a refusal that stays as it is."""

from dataclasses import replace

import pytest

from berth.domain.finding import Finding, Fixer
from berth.domain.image_reference import parse_image_reference
from berth.domain.pull_finding import explain_pull
from berth.domain.registry_credential import (
    CredentialKind,
    CredentialNote,
    CredentialRule,
    CredentialSource,
    Found,
    NoCredential,
    RegistryCredential,
)
from berth.domain.secret import SecretLevel
from berth.domain.secret_text import SecretText

IMAGE = parse_image_reference("r.example/acme/app:1")
SOURCE = CredentialSource(SecretLevel.ORGANIZATION, "P")
CREDENTIAL = RegistryCredential(host="r.example", user="ana", password=SecretText("c4nary"), source=SOURCE)
NOTES = tuple(
    CredentialNote(rule=rule, source=SOURCE, host="r.example", text=text)
    for rule, text in ((CredentialRule.CHOSEN, "Chosen."), (CredentialRule.SERVER_REPAIRED, "Repaired."))
)


def seen(code: str) -> Finding:
    return Finding(code=code, sentence="No.", fixer=Fixer.REGISTRY, next_step="Do.", evidence={"status": "401"})


@pytest.mark.parametrize(
    "code", ["image.unauthorized", "image.denied", "image.scope_missing", "registry.realm_elsewhere"]
)
def test_a_credential_that_breaks_a_public_image_is_the_cause(code: str) -> None:
    told = explain_pull(seen(code), Found(CREDENTIAL), IMAGE, open_to_anybody=True)
    assert (told.code, told.fixer) == ("credential.breaks_public_image", Fixer.ORGANIZATION_OWNER)
    assert told.evidence == {"status": "401", "cause": code}
    assert "Delete the three secrets" in told.next_step
    assert "P_CONTAINER_REGISTRY_… (organization)" in told.sentence
    assert explain_pull(seen(code), Found(CREDENTIAL), IMAGE) == seen(code)


def test_where_the_registry_itself_fails_the_credential_is_not_the_cause() -> None:
    limited = seen("registry.rate_limited")
    assert explain_pull(limited, Found(CREDENTIAL), IMAGE, open_to_anybody=True) == limited


def test_a_bad_form_is_the_cause_of_a_rejection() -> None:
    bad = Found(replace(CREDENTIAL, user="_json_key", password=SecretText("{c4nary")))
    told = explain_pull(seen("image.unauthorized"), bad, IMAGE)
    assert (told.code, told.fixer) == ("credential_form.json_key", Fixer.ORGANIZATION_OWNER)
    assert told.evidence["cause"] == "image.unauthorized"
    assert "c4nary" not in repr(told)
    for same in (
        explain_pull(seen("image.denied"), bad, IMAGE),
        explain_pull(seen("image.denied"), Found(replace(bad.credential, kind=CredentialKind.CODESPACE)), IMAGE),
    ):
        assert same.code == "image.denied"


def test_s6_where_a_credential_is_withheld_nobody_is_sent_to_store_one() -> None:
    withheld = NoCredential(withheld_reason="You may not write.")
    told = explain_pull(seen("image.credential_missing"), withheld, IMAGE)
    assert told.sentence == "No. You may not write."
    assert told.next_step.startswith("Have that changed, if it can be; else name an image that anybody may pull")
    assert explain_pull(seen("image.not_found"), withheld, IMAGE) == seen("image.not_found")
    assert explain_pull(seen("image.credential_missing"), NoCredential(), IMAGE).next_step == "Do."


def test_what_the_triples_left_to_say_goes_with_it() -> None:
    told = explain_pull(seen("image.denied"), Found(CREDENTIAL, NOTES), IMAGE)
    assert told.evidence == {"status": "401", "credentials": "Repaired."}
    assert explain_pull(seen("image.denied"), Found(CREDENTIAL, NOTES[:1]), IMAGE).evidence == {"status": "401"}
