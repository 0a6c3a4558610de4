"""WWW-Authenticate, and C7: where a password may go."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth.domain.registry_challenge import TOKEN_REALMS, Challenge, may_send_password, parse_challenges

BEARER = Challenge("bearer", {"realm": "https://a/t", "service": "s", "scope": "repository:a/b:pull,push"})


@pytest.mark.parametrize(
    "header,challenges",
    [
        pytest.param(
            'Bearer realm="https://a/t",service="s",scope="repository:a/b:pull,push"', [BEARER], id="D1 Bearer"
        ),
        pytest.param('Basic realm="Registry Realm"', [Challenge("basic", {"realm": "Registry Realm"})], id="Basic"),
        pytest.param(
            'Bearer realm="x", service="y", Basic realm="z"',
            [Challenge("bearer", {"realm": "x", "service": "y"}), Challenge("basic", {"realm": "z"})],
            id="D1 two challenges in one line, as Gitea sends them",
        ),
        pytest.param(
            'Basic realm="z",Bearer realm="a, Basic b"',
            [Challenge("basic", {"realm": "z"}), Challenge("bearer", {"realm": "a, Basic b"})],
            id="a comma and a scheme inside quotes",
        ),
        pytest.param(r'Bearer realm="a\"b\\c"', [Challenge("bearer", {"realm": 'a"b\\c'})], id="escapes inside quotes"),
        pytest.param("Bearer realm=abc", [Challenge("bearer", {"realm": "abc"})], id="a value without quotes"),
        pytest.param('BEARER REALM="x"', [Challenge("bearer", {"realm": "x"})], id="names have no case"),
        pytest.param('Bearer realm = "x"', [Challenge("bearer", {"realm": "x"})], id="blanks around the sign"),
        pytest.param('Bearer realm="x",realm="evil"', [Challenge("bearer", {"realm": "x"})], id="the first one counts"),
        pytest.param(
            'Negotiate, Basic realm="z"', [Challenge("negotiate"), Challenge("basic", {"realm": "z"})], id="bare"
        ),
        pytest.param(
            'NTLM TlRMTVNTUAA=, Basic realm="z"',
            [Challenge("ntlm"), Challenge("basic", {"realm": "z"})],
            id="a scheme with a blob",
        ),
        pytest.param("", [], id="nothing"),
        pytest.param('="x"', [], id="no scheme"),
    ],
)
def test_challenges_are_read(header: str, challenges: list[Challenge]) -> None:
    assert list(parse_challenges(header)) == challenges


@given(st.text(alphabet='Bearr basic="\\,realm \t=', max_size=200))
def test_any_header_is_read_in_the_end(header: str) -> None:
    parse_challenges(header)


ALLOWED = [
    pytest.param("ghcr.io", "https://ghcr.io/token", id="the same host"),
    pytest.param("ghcr.io", "https://GHCR.io:443/token?x=1", id="the same host, written otherwise"),
    pytest.param("reg.corp:5000", "https://reg.corp:5000/token", id="the same host and port"),
    pytest.param("docker.io", "https://auth.docker.io/token", id="D3 the table names Docker Hub's token service"),
    pytest.param("registry-1.docker.io", "https://auth.docker.io/token", id="D3 by the API's name as well"),
    pytest.param("registry.gitlab.com", "https://gitlab.com/jwt/auth", id="D3 the table names GitLab's"),
    pytest.param("registry.digitalocean.com", "https://api.digitalocean.com/v2/x", id="D3 the table names theirs"),
    pytest.param("plain:5000", "http://plain:5000/token", id="plain http where the administrator allows it"),
    pytest.param("plain:5000", "https://plain:5000/token", id="better than what the administrator allows"),
]

FORBIDDEN = [
    pytest.param("ghcr.io", "https://evil.example/token", id="C7 another host"),
    pytest.param("ghcr.io", "https://ghcr.io:444/token", id="C7 another port"),
    pytest.param("ghcr.io", "http://ghcr.io/token", id="C7 the same host without encryption"),
    pytest.param("ghcr.io", "http://ghcr.io:443/token", id="C7 the same port without encryption"),
    pytest.param("ghcr.io", "https://auth.ghcr.io/token", id="C7 a sub-domain"),
    pytest.param("acme.azurecr.io", "https://evil.azurecr.io/token", id="D2 a sibling under a shared domain"),
    pytest.param("ghcr.io", "https://ghcr.io.evil.example/token", id="C7 a host that begins alike"),
    pytest.param("ghcr.io", "https://ghcr.io@evil.example/token", id="C7 the host as a user"),
    pytest.param("ghcr.io", "https://evil.example\\@ghcr.io/token", id="A6 a backslash"),
    pytest.param("ghcr.io", "https://auth.docker.io/token", id="C7 the table is for one registry each"),
    pytest.param("docker.io", "http://auth.docker.io/token", id="D3 a table row needs https"),
    pytest.param("docker.io", "https://auth.docker.io:8443/token", id="D3 a table row has the default port"),
    pytest.param("docker.io", "https://gitlab.com/jwt/auth", id="D3 a row of another registry"),
    pytest.param("plain:5000", "http://evil.example:5000/token", id="C7 another host, although plain http is allowed"),
    pytest.param("plain:5000", "http://plain/token", id="C7 another port, although plain http is allowed"),
    pytest.param("ghcr.io", "https://169.254.169.254/latest", id="the metadata service"),
    pytest.param("ghcr.io", "", id="no address"),
    pytest.param("ghcr.io", "/token", id="no host"),
    pytest.param("ghcr.io", "ftp://ghcr.io/token", id="another scheme"),
]
INSECURE = {"plain:5000"}


@pytest.mark.parametrize("host,realm", ALLOWED)
def test_c7_the_password_may_go(host: str, realm: str) -> None:
    assert may_send_password(host, realm, TOKEN_REALMS, INSECURE)


@pytest.mark.parametrize("host,realm", FORBIDDEN)
def test_c7_the_password_stays(host: str, realm: str) -> None:
    decision = may_send_password(host, realm, TOKEN_REALMS, INSECURE)
    assert not decision
    assert decision.reason


def test_d3_the_administrator_adds_a_pair() -> None:
    table = {"registry.corp": "gitlab.corp:8443"}
    assert may_send_password("registry.corp", "https://gitlab.corp:8443/jwt/auth", table, ())
    assert not may_send_password("registry.corp", "https://gitlab.corp/jwt/auth", table, ())


def test_both_hosts_are_named() -> None:
    decision = may_send_password("ghcr.io", "https://evil.example/token", TOKEN_REALMS, ())
    assert "ghcr.io" in decision.reason
    assert "evil.example" in decision.reason
    assert decision.realm_host == "evil.example"
