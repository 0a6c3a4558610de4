"""C1, C2, C5, C11 for triples of AWS's registries: what is chosen, what waits for its swap, what is refused."""

import itertools

import pytest

from berth.domain.docker_config import NO_ENTRIES, merge_docker_config
from berth.domain.ecr_key import AwsKeys
from berth.domain.finding import Fixer
from berth.domain.image_reference import parse_image_reference
from berth.domain.registry_credential import (
    CredentialKind,
    CredentialRule,
    CredentialSource,
    Failed,
    Found,
    NoCredential,
    RegistryCredentials,
)
from berth.domain.registry_triple import assemble, names_a_registry
from berth.domain.secret import LevelledSecret, SecretLevel
from berth.domain.secret_text import SecretText

USER, REPOSITORY, ORGANIZATION = SecretLevel.USER, SecretLevel.REPOSITORY, SecretLevel.ORGANIZATION
HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
IMAGE = parse_image_reference(f"{HOST}/team/dev:1")
KEY_ID, TEMPORARY = "AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
SESSION = "IQoJb3JpZ2luX2VjEXAMPLE//////////wEaCXVz"
TOKEN = "a-ready-token-of-ecr"


def secrets(level: SecretLevel, prefix: str = "AWS_CI", server: str = HOST, **parts: str) -> list[LevelledSecret]:
    values = {"SERVER": server, "USER": KEY_ID, "PASSWORD": SECRET} | parts
    return [
        LevelledSecret(level=level, name=f"{prefix}_CONTAINER_REGISTRY_{part}", value=SecretText(value))
        for part, value in values.items()
        if value
    ]


def rules(credentials: RegistryCredentials) -> list[CredentialRule]:
    return [note.rule for note in credentials.trail]


def test_c5_keys_log_in_nowhere_before_their_swap() -> None:
    credentials = assemble(secrets(REPOSITORY))
    assert credentials.chosen == {}
    (keys,) = credentials.unswapped.values()
    assert keys.keys == AwsKeys(key_id=KEY_ID, secret=SecretText(SECRET))
    assert (keys.host, keys.source, keys.kind) == (HOST, CredentialSource(REPOSITORY, "AWS_CI"), CredentialKind.ECR)
    assert rules(credentials) == [CredentialRule.CHOSEN]
    choice = credentials.for_image(IMAGE)
    assert isinstance(choice, Failed)
    assert (choice.finding.code, choice.finding.fixer) == ("ecr.not_swapped", Fixer.SITE_ADMIN)
    assert HOST not in merge_docker_config(None, NO_ENTRIES, credentials.chosen.values()).text.reveal()


def test_c5_a_ready_token_is_a_credential() -> None:
    credentials = assemble(secrets(USER, USER="AWS", PASSWORD=TOKEN))
    choice = credentials.for_image(IMAGE)
    assert isinstance(choice, Found)
    assert (choice.credential.user, choice.credential.password.reveal()) == ("AWS", TOKEN)
    assert choice.credential.kind is CredentialKind.ECR_READY
    assert credentials.unswapped == {}


def test_c4_keys_for_a_host_that_only_looks_like_one_are_a_password_as_any_other() -> None:
    credentials = assemble(secrets(USER, server=f"{HOST}.evil.example"))
    assert [each.kind for each in credentials.chosen.values()] == [CredentialKind.BASIC]
    assert isinstance(credentials.for_image(IMAGE), NoCredential)


@pytest.mark.parametrize("levels", list(itertools.product(SecretLevel, repeat=2)), ids=str)
def test_c1_the_session_token_is_of_the_same_level_and_prefix(levels: tuple[SecretLevel, SecretLevel]) -> None:
    keys, session = levels
    given = secrets(keys, USER=TEMPORARY)
    given += [LevelledSecret(level=session, name="AWS_CI_CONTAINER_REGISTRY_SESSION_TOKEN", value=SecretText(SESSION))]
    credentials = assemble(given)
    if keys is session:
        assert credentials.unswapped[HOST].keys.session_token == SecretText(SESSION)
    else:
        assert credentials.unswapped == {}
        assert CredentialRule.AWS_KEYS_REFUSED in rules(credentials)
        assert CredentialRule.INCOMPLETE in rules(credentials)
    other = [LevelledSecret(level=keys, name="B_CONTAINER_REGISTRY_SESSION_TOKEN", value=SecretText(SESSION))]
    assert assemble(secrets(keys, USER=TEMPORARY) + other).unswapped == {}


def test_c2_the_most_specific_level_wins_whatever_its_keys_are() -> None:
    ready = secrets(ORGANIZATION, "ORG", USER="AWS", PASSWORD=TOKEN)
    credentials = assemble([*secrets(USER), *ready])
    assert (list(credentials.unswapped), credentials.chosen) == ([HOST], {})
    assert rules(credentials) == [CredentialRule.CHOSEN, CredentialRule.SHADOWED]
    credentials = assemble([*secrets(ORGANIZATION), *secrets(ORGANIZATION, "AAA", USER="AWS", PASSWORD=TOKEN)])
    assert (list(credentials.chosen), credentials.unswapped) == ([HOST], {})
    assert CredentialRule.DUPLICATE_HOST in rules(credentials)


def test_c11_keys_that_are_none_are_no_anonymous_access() -> None:
    credentials = assemble(secrets(ORGANIZATION, USER="ana@example.com"))
    choice = credentials.for_image(IMAGE)
    assert isinstance(choice, Failed)
    assert (choice.finding.code, choice.finding.fixer) == ("credential.aws_keys_refused", Fixer.ORGANIZATION_OWNER)
    assert "AWS_CI_CONTAINER_REGISTRY_USER is no access key id" in choice.finding.sentence
    assert "ana@example.com" not in repr(credentials)


@pytest.mark.parametrize("missing", ["USER", "PASSWORD"])
def test_c1_half_of_the_keys_is_incomplete(missing: str) -> None:
    for nothing in ("", " \n"):
        credentials = assemble(secrets(REPOSITORY, **{missing: nothing}))
        assert rules(credentials) == [CredentialRule.INCOMPLETE]
        assert isinstance(credentials.for_image(IMAGE), Failed)


def test_repairs_are_told() -> None:
    credentials = assemble(secrets(USER, USER=f" {KEY_ID} ", PASSWORD=f"{SECRET}\n"))
    assert rules(credentials) == [CredentialRule.AWS_KEYS_NOTED, CredentialRule.AWS_KEYS_NOTED, CredentialRule.CHOSEN]
    assert credentials.unswapped[HOST].keys.secret.reveal() == SECRET


def test_a_session_token_elsewhere_is_told_and_not_used() -> None:
    credentials = assemble(secrets(USER, server="ghcr.io", SESSION_TOKEN=SESSION))
    assert rules(credentials) == [CredentialRule.SESSION_UNUSED, CredentialRule.CHOSEN]
    assert credentials.chosen["ghcr.io"].password.reveal() == SECRET


def test_a_port_as_it_was_written_stays_beside_the_host() -> None:
    credentials = assemble(secrets(USER, server=f"{HOST}:443"))
    assert credentials.unswapped[HOST].aliases == (f"{HOST}:443",)


def test_a_session_token_is_no_server() -> None:
    secret = LevelledSecret(level=USER, name="X_CONTAINER_REGISTRY_SESSION_TOKEN", value=SecretText("ghcr.io"))
    assert not names_a_registry(secret)
    assert names_a_registry(secrets(USER)[0])
