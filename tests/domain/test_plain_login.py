"""The short way says what the long way says, or nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.domain.test_environment_triple import triple

from berth.domain.docker_hub import DOCKER_HUB_ALIASES, DOCKER_HUB_KEYS
from berth.domain.ecr_host import find_ecr_registry
from berth.domain.environment_triple import assemble_environment
from berth.domain.helper_server import find_asked_host
from berth.domain.plain_login import find_plain_login, is_plain_host
from berth.domain.registry_credential import CredentialKind, Found

HOSTS = ["ghcr.io", "reg.example:5000", "localhost:5000", "docker.io", "public.ecr.aws", "127.0.0.1:5000"]
SERVERS = st.sampled_from(
    [
        *HOSTS,
        "GHCR.io",
        "https://ghcr.io/",
        "ghcr.io:443",
        " ghcr.io",
        "xghcr.io",
        "ghcr.io/a",
        "",
        "é",
        *DOCKER_HUB_ALIASES,
    ]
)
NAMES = st.builds(
    "{}_CONTAINER_REGISTRY_{}".format,
    st.sampled_from(["A", "B", "a", "", "Ä", "A\n", "A_CONTAINER_REGISTRY_SERVER"]),
    st.sampled_from(["SERVER", "USER", "PASSWORD", "SESSION_TOKEN", "server"]),
)
VALUES = SERVERS | st.sampled_from(["robot", "hunter2", "a:b", "x\n", " x", "inner space", 'quo"te\\', "\x01", "ü"])


@given(
    st.dictionaries(NAMES, VALUES, max_size=7),
    st.sampled_from(["ghcr.io", "reg.example:5000", "docker.io"]),
    st.sampled_from([*HOSTS, *DOCKER_HUB_KEYS, "https://index.docker.io/v1/access-token"]),
)
def test_what_it_answers_is_what_the_rules_answer(more: dict[str, str], own: str, asked: str) -> None:
    for environ in (more, triple("A", own) | more, more | triple("A", own)):
        login = find_plain_login(environ, asked)
        if login is not None:
            choice = assemble_environment(environ).for_host(find_asked_host(asked) or "")
            assert isinstance(choice, Found)
            assert (choice.credential.user, choice.credential.password.reveal()) == login
            assert choice.credential.kind is CredentialKind.BASIC
            assert choice.credential.expires_at is None


@given(
    st.text("abz019.-:/_A[]% é", max_size=20)
    | st.from_regex(r"[a-z0-9-]{1,5}(\.[a-z0-9-]{1,4}){0,3}(:[0-9]{1,6})?", fullmatch=True)
)
def test_a_plain_host_is_a_normal_one(text: str) -> None:
    if is_plain_host(text):
        assert find_asked_host(text) == text
        assert find_ecr_registry(text) is None


@pytest.mark.parametrize("host", ["ghcr.io", "reg.corp.example:5000", "localhost:5000", "a-b.example"])
def test_most_environments_need_no_more(host: str) -> None:
    environ = {"PATH": "/bin", **triple("OTHER", "quay.io"), **triple("X", host, "robot", "hun ter:2")}
    assert find_plain_login(environ, host) == ("robot", "hun ter:2")


@pytest.mark.parametrize("asked", DOCKER_HUB_KEYS)
def test_docker_hub_in_the_words_of_each_client(asked: str) -> None:
    hub = triple("X", "docker.io")
    assert find_plain_login(hub | triple("OTHER", "quay.io"), asked) == ("robot", "hunter2")
    for alias in DOCKER_HUB_ALIASES:
        assert find_plain_login(hub | triple("OTHER", alias), asked) is None
        assert not is_plain_host(alias)


@pytest.mark.parametrize(
    "change",
    [
        {"X_CONTAINER_REGISTRY_USER": ""},
        {"X_CONTAINER_REGISTRY_PASSWORD": "hunter2\n"},
        {"X_CONTAINER_REGISTRY_USER": "a:b"},
        {"X_CONTAINER_REGISTRY_PASSWORD": "\udcff"},
        {"X_CONTAINER_REGISTRY_SERVER": "https://ghcr.io"},
        {"x_CONTAINER_REGISTRY_USER": "twice"},
        triple("A", "GHCR.IO"),
        triple("A", "quay.io", password="\udcff"),
    ],
    ids=["missing", "newline", "colon", "no text", "repaired", "twice", "two for one host", "no text elsewhere"],
)
def test_where_a_rule_has_a_say_nothing_is_answered(change: dict[str, str]) -> None:
    whole = triple("X", "ghcr.io")
    assert find_plain_login(whole, "ghcr.io") is not None
    assert find_plain_login(whole | change, "ghcr.io") is None


NOT_PLAIN = [
    "", ".", "a..b", "-a.example", "a-.example", "1.2.3.4", "0x7f.1", "a.0x1f", "ghcr.io.", "GHCR.io", "é.example", "[::1]",
    "a.example:", "a.example:0", "a.example:080", "a.example:443", "a.example:65536", "a.example:5:5", "a.example:²",
    f"a.example:{'1' * 5000}", "u@a.example", "a.example/b", "a b.example", f"{'a' * 64}.example", "a." * 130 + "example",
    "docker.io", "index.docker.io", "hub.docker.com", "public.ecr.aws", "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
]  # fmt: skip


@pytest.mark.parametrize("text", NOT_PLAIN)
def test_what_is_not_plain_beyond_doubt(text: str) -> None:
    assert not is_plain_host(text)
    assert is_plain_host("a.example:5000")
