"""C1 to C4, C11: from secrets to credentials. The mixing attack is tried in every combination."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth.domain.finding import Fixer
from berth.domain.image_reference import parse_image_reference
from berth.domain.registry_credential import (
    CODESPACE_TOKEN,
    Anonymous,
    CredentialKind,
    CredentialRule,
    CredentialSource,
    Failed,
    Found,
    NoCredential,
    RegistryCredentials,
    add_codespace_token,
)
from berth.domain.registry_triple import assemble, is_of_triple, names_a_registry
from berth.domain.secret import Level, LevelledSecret, SecretLevel
from berth.domain.secret_text import SecretText

USER, REPOSITORY, ORGANIZATION = SecretLevel.USER, SecretLevel.REPOSITORY, SecretLevel.ORGANIZATION
PARTS = ("SERVER", "USER", "PASSWORD")
CANARY = "c4nary-p4ssword"
IMAGE = parse_image_reference("ghcr.io/acme/app")


def secret(level: SecretLevel, name: str, value: str) -> LevelledSecret:
    return LevelledSecret(level=level, name=name, value=SecretText(value))


def triple(
    level: SecretLevel, prefix: str = "ACME", *, server: str = "ghcr.io", user: str = "ana", password: str = CANARY
) -> list[LevelledSecret]:
    values = dict(zip(PARTS, (server, user, password), strict=True))
    return [secret(level, f"{prefix}_CONTAINER_REGISTRY_{part}", value) for part, value in values.items()]


def rules(credentials: RegistryCredentials) -> list[CredentialRule]:
    return [note.rule for note in credentials.trail]


@pytest.mark.parametrize(
    "levels",
    [
        pytest.param(levels, id="C1 SERVER of {}, USER of {}, PASSWORD of {}".format(*levels))
        for levels in itertools.product(SecretLevel, repeat=3)
    ],
)
def test_c1_parts_of_different_levels_never_meet(levels: tuple[SecretLevel, SecretLevel, SecretLevel]) -> None:
    values = ("ghcr.io", "ana", CANARY)
    secrets = [
        secret(level, f"ACME_CONTAINER_REGISTRY_{part}", value)
        for level, part, value in zip(levels, PARTS, values, strict=True)
    ]
    credentials = assemble(secrets)
    if len(set(levels)) == 1:
        assert list(credentials.chosen) == ["ghcr.io"]
        assert credentials.chosen["ghcr.io"].source.level is levels[0]
    else:
        assert credentials.chosen == {}
        assert rules(credentials).count(CredentialRule.INCOMPLETE) == len(set(levels))
        choice = credentials.for_image(IMAGE)
        assert isinstance(choice, Failed)
        assert choice.finding.evidence["level"] == levels[0]  # the level that names the host
    assert CANARY not in repr(credentials)


@pytest.mark.parametrize("missing", PARTS)
def test_c1_parts_of_different_prefixes_never_meet(missing: str) -> None:
    secrets = [*triple(USER, "A"), *triple(USER, "B", server="quay.io")]
    kept = [each for each in secrets if each.name != f"A_CONTAINER_REGISTRY_{missing}"]
    assert list(assemble(kept).chosen) == ["quay.io"]
    assert list(assemble(secrets).chosen) == ["ghcr.io", "quay.io"]


@pytest.mark.parametrize("empty", ["", "\n", "\r\n"])
def test_c1_an_empty_password_is_none(empty: str) -> None:
    credentials = assemble(triple(USER, password=empty))
    assert credentials.chosen == {}
    assert CredentialRule.INCOMPLETE in rules(credentials)


def test_c1_an_empty_server_is_none() -> None:
    credentials = assemble(triple(USER, server=" "))
    assert rules(credentials) == [CredentialRule.INCOMPLETE]
    assert credentials.trail[0].host == ""
    assert "ACME_CONTAINER_REGISTRY_SERVER" in credentials.trail[0].text


def test_c1_a_secret_twice_at_one_level_makes_the_triple_unusable() -> None:
    credentials = assemble([*triple(USER), *triple(USER, password="other")])
    assert credentials.chosen == {}
    assert rules(credentials) == [CredentialRule.AMBIGUOUS]


@pytest.mark.parametrize(
    "levels,winner,shadowed",
    [
        pytest.param([ORGANIZATION, REPOSITORY, USER], USER, 2, id="C2 user before repository before organization"),
        pytest.param([ORGANIZATION, REPOSITORY], REPOSITORY, 1, id="C2 repository before organization"),
        pytest.param([ORGANIZATION, USER], USER, 1, id="C2 user before organization"),
        pytest.param([ORGANIZATION], ORGANIZATION, 0, id="C2 organization alone"),
    ],
)
def test_c2_the_most_specific_level_wins(levels: list[SecretLevel], winner: SecretLevel, shadowed: int) -> None:
    credentials = assemble([part for level in levels for part in triple(level, f"P{level.upper()}")])
    assert credentials.chosen["ghcr.io"].source.level is winner
    assert rules(credentials) == [CredentialRule.CHOSEN] + [CredentialRule.SHADOWED] * shadowed


def test_c2_two_prefixes_of_one_level_warn_and_name_both() -> None:
    credentials = assemble([*triple(USER, "ZULU"), *triple(USER, "ALFA")])
    assert credentials.chosen["ghcr.io"].source.prefix == "ALFA"
    warning = credentials.trail[-1]
    assert warning.rule is CredentialRule.DUPLICATE_HOST
    assert "ALFA_" in warning.text
    assert "ZULU_" in warning.text


@pytest.mark.parametrize("server", ["ghcr.io", "https://GHCR.io/", "ghcr.io:443"])
def test_c2_hosts_are_compared_in_their_normal_form(server: str) -> None:
    credentials = assemble([*triple(USER, "A"), *triple(ORGANIZATION, "B", server=server)])
    assert list(credentials.chosen) == ["ghcr.io"]
    assert CredentialRule.SHADOWED in rules(credentials)


def test_c3_repairs_are_reported() -> None:
    credentials = assemble(triple(USER, server="https://GHCR.io/acme"))
    assert list(credentials.chosen) == ["ghcr.io"]
    assert rules(credentials) == [CredentialRule.SERVER_REPAIRED] * 3 + [CredentialRule.CHOSEN]


def test_c3_what_cannot_be_normalised_is_refused_and_not_repeated() -> None:
    credentials = assemble(triple(USER, server=f"https://ana:{CANARY}@ghcr.io"))
    assert credentials.chosen == {}
    assert rules(credentials) == [CredentialRule.SERVER_REFUSED]
    assert CANARY not in repr(credentials)


def test_c3_a_refused_server_and_a_missing_part_are_both_reported() -> None:
    credentials = assemble(triple(USER, server="ftp://x", password=""))
    assert rules(credentials) == [CredentialRule.SERVER_REFUSED, CredentialRule.INCOMPLETE]


@pytest.mark.parametrize(
    "typed,kept,expected",
    [
        pytest.param("p\n", "p", [CredentialRule.NEWLINE_REMOVED], id="one newline is removed"),
        pytest.param("p\r\n", "p", [CredentialRule.NEWLINE_REMOVED], id="one Windows newline is removed"),
        pytest.param(
            "p\n\n", "p\n", [CredentialRule.NEWLINE_REMOVED, CredentialRule.WHITE_SPACE_KEPT], id="only one of two"
        ),
        pytest.param("p ", "p ", [CredentialRule.WHITE_SPACE_KEPT], id="a blank at the end is kept"),
        pytest.param(" p", " p", [CredentialRule.WHITE_SPACE_KEPT], id="a blank in front is kept"),
        pytest.param("p\r", "p\r", [CredentialRule.WHITE_SPACE_KEPT], id="a lone carriage return is kept"),
        pytest.param("p q", "p q", [], id="a blank inside is nobody's business"),
        pytest.param('{"a":\n1}', '{"a":\n1}', [], id="a JSON key keeps its newlines"),
    ],
)
def test_a4_the_ends_of_a_password(typed: str, kept: str, expected: list[CredentialRule]) -> None:
    credentials = assemble(triple(USER, password=typed))
    assert credentials.chosen["ghcr.io"].password.reveal() == kept
    assert rules(credentials) == [*expected, CredentialRule.CHOSEN]


def test_a_user_with_a_colon_is_refused() -> None:
    credentials = assemble(triple(USER, user="a:b"))
    assert credentials.chosen == {}
    choice = credentials.for_image(IMAGE)
    assert isinstance(choice, Failed)
    assert choice.finding.code == "credential.user_refused"


@pytest.mark.parametrize(
    "name,prefix",
    [
        pytest.param("ACME_CONTAINER_REGISTRY", "ACME", id="an ordinary prefix"),
        pytest.param("A_B_2_CONTAINER_REGISTRY", "A_B_2", id="a prefix with underscores"),
        pytest.param("_CONTAINER_REGISTRY", "", id="decided: the prefix may be empty"),
        pytest.param("__CONTAINER_REGISTRY", "_", id="an underscore is a prefix"),
        pytest.param("X_CONTAINER_REGISTRY_USER_CONTAINER_REGISTRY", "X_CONTAINER_REGISTRY_USER", id="a nested prefix"),
    ],
)
def test_the_prefix_is_what_stands_before(name: str, prefix: str) -> None:
    secrets = [secret(USER, f"{name}_{part}", value) for part, value in zip(PARTS, ("ghcr.io", "a", "p"), strict=True)]
    assert assemble(secrets).chosen["ghcr.io"].source.prefix == prefix


def test_a_name_without_prefix_is_noted() -> None:
    credentials = assemble([secret(USER, "CONTAINER_REGISTRY_SERVER", "ghcr.io")])
    assert rules(credentials) == [CredentialRule.NAME_WITHOUT_PREFIX]
    choice = credentials.for_image(IMAGE)
    assert isinstance(choice, NoCredential)
    assert choice.notes == credentials.trail


def test_other_secrets_are_ignored() -> None:
    names = ["TOKEN", "ACME_CONTAINER_REGISTRY_HOST", "ACME_CONTAINER_REGISTRY_SERVERS", "ACME_CONTAINER_REGISTRY"]
    assert assemble([secret(USER, name, "x") for name in names]).trail == ()


@pytest.mark.parametrize(
    "server,image,found",
    [
        pytest.param("ghcr.io", "ghcr.io/a/b", True, id="C4 the same host"),
        pytest.param("ghcr.io", "ghcr.io:443/a/b", True, id="C4 the default port is the same host"),
        pytest.param("ghcr.io", "ghcr.io:444/a/b", False, id="C4 another port"),
        pytest.param("ghcr.io", "x.ghcr.io/a/b", False, id="C4 a sub-domain"),
        pytest.param("ghcr.io", "ghcr.io.evil.example/a/b", False, id="C4 a host that begins alike"),
        pytest.param("ghcr.io", "evilghcr.io/a/b", False, id="C4 a host that ends alike"),
        pytest.param("reg.corp", "reg.corp:5000/a", False, id="C4 a port that SERVER does not name"),
        pytest.param("https://index.docker.io/v1/", "a/b", True, id="Docker Hub by its old name"),
        pytest.param("docker.io", "registry-1.docker.io/a/b", True, id="Docker Hub by its API's name"),
        pytest.param("ghcr.io", "a/b", False, id="C4 Docker Hub is another host"),
    ],
)
def test_c4_exact_equality_decides(server: str, image: str, found: bool) -> None:
    choice = assemble(triple(USER, server=server)).for_image(parse_image_reference(image))
    assert isinstance(choice, Found if found else NoCredential)
    if isinstance(choice, NoCredential):
        assert choice.credential == Anonymous()


@pytest.mark.parametrize(
    "level,fixer",
    [
        (USER, Fixer.DEVELOPER),
        (REPOSITORY, Fixer.REPOSITORY_ADMIN),
        (ORGANIZATION, Fixer.ORGANIZATION_OWNER),
    ],
)
def test_c11_a_broken_triple_for_the_host_is_a_failure_not_anonymous(level: SecretLevel, fixer: Fixer) -> None:
    choice = assemble(triple(level)[:2]).for_image(IMAGE)
    assert isinstance(choice, Failed)
    assert choice.finding.code == "credential.incomplete"
    assert choice.finding.fixer is fixer
    assert "ACME_CONTAINER_REGISTRY_PASSWORD" in choice.finding.sentence
    assert choice.finding.evidence == {"host": "ghcr.io", "level": level, "prefix": "ACME"}


def test_c11_another_complete_triple_serves_the_host_with_a_warning() -> None:
    choice = assemble([*triple(USER)[:2], *triple(ORGANIZATION, "ORG")]).for_image(IMAGE)
    assert isinstance(choice, Found)
    assert choice.credential.source.level is ORGANIZATION
    assert CredentialRule.INCOMPLETE in [note.rule for note in choice.notes]


def test_c11_the_most_specific_broken_triple_is_named() -> None:
    choice = assemble([*triple(ORGANIZATION, "ORG")[:2], *triple(USER, "MINE")[:2]]).for_image(IMAGE)
    assert isinstance(choice, Failed)
    assert choice.finding.evidence["prefix"] == "MINE"


def test_c11_a_broken_triple_for_another_host_is_not_this_image_s_failure() -> None:
    assert isinstance(assemble(triple(USER, server="quay.io")[:2]).for_image(IMAGE), NoCredential)


def config_of(credentials: RegistryCredentials) -> dict[str, str]:
    """What a docker config would hold."""
    return {host: f"{one.user}:{one.password.reveal()}" for host, one in credentials.chosen.items()}


@pytest.mark.parametrize(
    ("name", "is_of_one"),
    [
        ("CORP_CONTAINER_REGISTRY_SERVER", True),
        ("_CONTAINER_REGISTRY_PASSWORD", True),
        ("CONTAINER_REGISTRY_USER", False),
        ("CORP_CONTAINER_REGISTRY_TOKEN", False),
        ("OTHER", False),
    ],
)
def test_c8_which_secrets_concern_what_runs(name: str, is_of_one: bool) -> None:
    assert is_of_triple(name) is is_of_one


OWN = "berth.example:8080"
OWN_IMAGE = parse_image_reference(f"{OWN}/acme/app")
TOKEN = SecretText("ghu_c4nary")


def with_token(credentials: RegistryCredentials) -> RegistryCredentials:
    return add_codespace_token(credentials, host=OWN, login="ana", token=TOKEN)


def test_c6_the_codespaces_token_opens_the_built_in_registry() -> None:
    credentials = with_token(assemble(triple(USER)))
    choice = credentials.for_image(OWN_IMAGE)
    assert isinstance(choice, Found)
    assert (choice.credential.user, choice.credential.password) == ("ana", TOKEN)
    assert (choice.credential.source, choice.credential.kind) == (CODESPACE_TOKEN, CredentialKind.CODESPACE)
    (note,) = choice.notes
    assert (note.rule, note.source) == (CredentialRule.CHOSEN, CODESPACE_TOKEN)
    assert "opened by the codespace's own token" in note.text
    assert config_of(credentials) == {"ghcr.io": f"ana:{CANARY}", OWN: f"ana:{TOKEN.reveal()}"}
    assert TOKEN.reveal() not in repr(credentials)


@pytest.mark.parametrize(
    "image",
    [
        pytest.param("berth.example/acme/app", id="C4 without the port"),
        pytest.param("berth.example:8081/acme/app", id="C4 another port"),
        pytest.param("x.berth.example:8080/acme/app", id="C4 a sub-domain"),
        pytest.param("acme/app", id="C4 Docker Hub"),
    ],
)
def test_c4_the_codespaces_token_is_for_no_other_host(image: str) -> None:
    assert isinstance(with_token(assemble([])).for_image(parse_image_reference(image)), NoCredential)


@pytest.mark.parametrize("level", SecretLevel)
def test_c6_a_triple_that_names_our_own_host_wins_and_a_note_says_so(level: SecretLevel) -> None:
    credentials = with_token(assemble(triple(level, server=f"http://{OWN}/")))
    choice = credentials.for_image(OWN_IMAGE)
    assert isinstance(choice, Found)
    assert choice.credential.source == CredentialSource(level, "ACME")
    assert choice.credential.password.reveal() == CANARY
    assert choice.notes[-1].rule is CredentialRule.SHADOWED
    assert "ACME_CONTAINER_REGISTRY_…" in choice.notes[-1].text
    assert config_of(credentials) == {OWN: f"ana:{CANARY}"}


def test_c6_a_broken_triple_for_our_own_host_is_reported_and_the_token_serves() -> None:
    choice = with_token(assemble(triple(USER, server=OWN)[:2])).for_image(OWN_IMAGE)
    assert isinstance(choice, Found)
    assert choice.credential.source == CODESPACE_TOKEN
    assert [note.rule for note in choice.notes] == [CredentialRule.INCOMPLETE, CredentialRule.CHOSEN]


def test_the_codespaces_token_stands_behind_every_triple() -> None:
    sources = [CODESPACE_TOKEN, *(CredentialSource(level, "A") for level in (ORGANIZATION, USER, REPOSITORY))]
    assert [source.level for source in sorted(sources, key=lambda one: one.order)] == [*SecretLevel, None]
    assert CODESPACE_TOKEN.evidence == {"credential": "the codespace's own token"}
    assert CODESPACE_TOKEN.fixer is Fixer.DEVELOPER


_levelled = st.builds(
    secret,
    st.sampled_from(SecretLevel),
    st.builds("{}_CONTAINER_REGISTRY_{}".format, st.sampled_from(["A", "B", ""]), st.sampled_from(PARTS)),
    st.sampled_from(["ghcr.io", "quay.io", "docker.io", "x", "", "p\n", "a:b"]),
)


@given(st.lists(_levelled, max_size=18, unique_by=lambda each: (each.level, each.name)))
def test_c1_every_credential_is_made_of_three_secrets_of_its_own_level(secrets: list[LevelledSecret]) -> None:
    values: dict[tuple[Level | None, str], str] = {(each.level, each.name): each.value.reveal() for each in secrets}
    for host, credential in assemble(secrets).chosen.items():
        own = [
            values[credential.source.level, f"{credential.source.prefix}_CONTAINER_REGISTRY_{part}"] for part in PARTS
        ]
        assert own[0].strip() == host
        assert own[1].removesuffix("\n") == credential.user
        assert own[2].removesuffix("\n") == credential.password.reveal()


@given(st.permutations([*triple(USER, "B"), *triple(USER, "A"), *triple(ORGANIZATION, "A", password="q")]))
def test_the_order_of_the_secrets_decides_nothing(secrets: list[LevelledSecret]) -> None:
    expected = assemble([*triple(USER, "A"), *triple(USER, "B"), *triple(ORGANIZATION, "A", password="q")])
    assert assemble(secrets) == expected


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("A_CONTAINER_REGISTRY_SERVER", "https://registry.example/", True),
        ("A_CONTAINER_REGISTRY_SERVER", "https://user:password@registry.example", False),
        ("A_CONTAINER_REGISTRY_USER", "registry.example", False),
        ("A_CONTAINER_REGISTRY_PASSWORD", "registry.example", False),
        ("SERVER", "registry.example", False),
    ],
    ids=["a host", "C3 a host with a password", "a user", "a password", "no triple's name"],
)
def test_c3_only_a_server_that_is_a_host_may_be_shown(name: str, value: str, shown: bool) -> None:
    secret = LevelledSecret(level=SecretLevel.USER, name=name, value=SecretText(value))
    assert names_a_registry(secret) is shown
