"""Triples of the environment: C1 to C5 as for stored secrets, and what is different where nobody stores any."""

import pytest
from tests.fakes.ecr_memory import ECR_HOST, KEY_ID, SECRET

from berth.domain.environment_triple import assemble_environment
from berth.domain.finding import Fixer
from berth.domain.problem import Invalid
from berth.domain.registry_credential import Anonymous, CredentialRule, Failed, Found, NoCredential, RegistryCredentials


def triple(prefix: str, server: str, user: str = "robot", password: str = "hunter2") -> dict[str, str]:
    parts = {"SERVER": server, "USER": user, "PASSWORD": password}
    return {f"{prefix}_CONTAINER_REGISTRY_{part}": value for part, value in parts.items()}


def rules(credentials: RegistryCredentials) -> list[str]:
    return [note.rule for note in credentials.trail]


def test_c1_a_triple_becomes_a_login_and_says_where_it_is_from() -> None:
    credentials = assemble_environment({**triple("CORP", "https://Registry.Example/"), "PATH": "/bin"})
    found = credentials.for_host("registry.example")
    assert isinstance(found, Found)
    assert (found.credential.user, found.credential.password.reveal()) == ("robot", "hunter2")
    assert str(found.credential.source) == "CORP_CONTAINER_REGISTRY_… (environment)"
    assert found.credential.source.evidence == {"level": "environment", "prefix": "CORP"}
    assert CredentialRule.SERVER_REPAIRED in rules(credentials)
    assert credentials.lost == ()
    assert [note.rule for note in credentials.warnings] == [CredentialRule.SERVER_REPAIRED] * len(credentials.warnings)


def test_c5_aws_keys_wait_for_their_swap() -> None:
    credentials = assemble_environment(triple("AWS", ECR_HOST, KEY_ID, SECRET))
    assert list(credentials.unswapped) == [ECR_HOST]
    assert isinstance(credentials.for_host(ECR_HOST), Failed)


def test_c2_the_first_of_two_prefixes_wins_and_both_are_named() -> None:
    credentials = assemble_environment({**triple("B", "ghcr.io", "bob"), **triple("A", "ghcr.io", "ann")})
    assert credentials.chosen["ghcr.io"].user == "ann"
    (warning,) = credentials.warnings
    assert warning.rule is CredentialRule.DUPLICATE_HOST
    assert "A_CONTAINER_REGISTRY_…" in warning.text
    assert "B_CONTAINER_REGISTRY_…" in warning.text
    assert credentials.lost == (), "the other one works"


@pytest.mark.parametrize(
    "change,rule",
    [
        ({"X_CONTAINER_REGISTRY_PASSWORD": ""}, CredentialRule.INCOMPLETE),
        ({"X_CONTAINER_REGISTRY_USER": "a:b"}, CredentialRule.USER_REFUSED),
        ({"x_CONTAINER_REGISTRY_USER": "twice"}, CredentialRule.AMBIGUOUS),
        ({"X_CONTAINER_REGISTRY_SERVER": "https://u:hunter3@ghcr.io"}, CredentialRule.SERVER_REFUSED),
        ({"X_CONTAINER_REGISTRY_SERVER": ECR_HOST}, CredentialRule.AWS_KEYS_REFUSED),
    ],
)
def test_c11_what_was_meant_as_a_login_and_is_none_is_lost_and_not_none(
    change: dict[str, str], rule: CredentialRule
) -> None:
    whole = triple("X", "ghcr.io")
    assert isinstance(assemble_environment(whole).for_host("ghcr.io"), Found)
    credentials = assemble_environment(whole | change)
    assert [note.rule for note in credentials.lost] == [rule]
    assert "hunter" not in "".join(note.text for note in credentials.trail)
    if rule not in {CredentialRule.SERVER_REFUSED, CredentialRule.AWS_KEYS_REFUSED}:
        failed = credentials.for_host("ghcr.io")
        assert isinstance(failed, Failed)
        assert failed.finding.fixer is Fixer.DEVELOPER
        assert "environment" in failed.finding.next_step


def test_empty_variables_are_unset_ones() -> None:
    assert assemble_environment(dict.fromkeys(triple("X", "ghcr.io"), "")).trail == ()
    assert assemble_environment({}).for_host("ghcr.io") == NoCredential(Anonymous())


def test_a_name_without_a_prefix_is_told() -> None:
    (note,) = assemble_environment({"CONTAINER_REGISTRY_SERVER": "ghcr.io"}).warnings
    assert note.rule is CredentialRule.NAME_WITHOUT_PREFIX


def test_a_reserved_name_is_nobody_s_where_nobody_stores_it() -> None:
    assert "ghcr.io" in assemble_environment(triple("GITHUB", "ghcr.io")).chosen


def test_what_is_no_text_is_refused_by_name_and_not_shown() -> None:
    with pytest.raises(Invalid) as refused:
        assemble_environment(triple("X", "ghcr.io", password="canary\udcff"))
    assert "X_CONTAINER_REGISTRY_PASSWORD" in refused.value.message
    assert "canary" not in refused.value.message
    assert assemble_environment({"OTHER": "\udcff"}).trail == ()
