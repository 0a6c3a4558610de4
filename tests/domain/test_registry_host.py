"""Registry hosts: every row of the facts' table A5, and the strict reader of addresses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth.domain.docker_hub import DOCKER_HUB_ALIASES
from berth.domain.problem import Invalid
from berth.domain.registry_host import (
    api_host,
    normalise_registry_host,
    parse_host_and_port,
    parse_web_address,
)

# input, host, a word of each repair
ACCEPTED = [
    pytest.param("ghcr.io", "ghcr.io", [], id="a normal host needs no repair"),
    pytest.param(
        "https://index.docker.io/v1/", "docker.io", ["scheme", "/v1/", "Docker Hub"], id="A5 Hub's old address"
    ),
    pytest.param("registry-1.docker.io", "docker.io", ["Docker Hub"], id="A5 Hub's API host"),
    pytest.param("https://hub.docker.com/", "docker.io", ["scheme", "slash", "Docker Hub"], id="A5 Hub's web site"),
    pytest.param("GHCR.IO", "ghcr.io", ["normal form"], id="A5 upper case"),
    pytest.param("https://ghcr.io/", "ghcr.io", ["scheme", "slash"], id="A5 a scheme and a slash"),
    pytest.param("HTTPS://ghcr.io", "ghcr.io", ["scheme"], id="A4 an upper-case scheme"),
    pytest.param(" ghcr.io\n", "ghcr.io", ["White space"], id="A5 white space around"),
    pytest.param("ghcr.io:443", "ghcr.io", [":443"], id="A5 the default port"),
    pytest.param("ghcr.io/acme/app", "ghcr.io", ["path was ignored"], id="A5 a path"),
    pytest.param(
        "hub.docker.com/repository/docker/a", "docker.io", ["path", "Docker Hub"], id="A4 a page of Docker Hub"
    ),
    pytest.param("https://acme/team", "acme", ["scheme", "path"], id="a URL with a host of one label"),
    pytest.param("localhost/team", "localhost", ["path"], id="A1 localhost is a host"),
    pytest.param("quay.io/v2/", "quay.io", ["/v2/"], id="A5 an API path"),
    pytest.param("registry/v2", "registry", ["/v2/"], id="A4 an API path after one label"),
    pytest.param("http://reg.corp:5000", "reg.corp:5000", ["Plain HTTP"], id="A5 plain http"),
    pytest.param("10.0.0.5:5000", "10.0.0.5:5000", [], id="A5 a private address is C9's to judge"),
    pytest.param("[0:0::1]:5000", "[::1]:5000", ["normal form"], id="A5 IPv6 is shortened"),
    pytest.param("[::1]:443", "[::1]", [":443"], id="IPv6 with the default port"),
    pytest.param("docker.io:5000", "docker.io:5000", [], id="another port is not Docker Hub"),
    pytest.param("xn--bcher-kva.example", "xn--bcher-kva.example", [], id="an encoded international name"),
]

REFUSED = [
    pytest.param("", "empty", id="A5 nothing"),
    pytest.param("   ", "empty", id="A5 blanks"),
    pytest.param("x" * 3000, "length", id="endless"),
    pytest.param("x" * 64 + ".io", "character", id="a label of 64 characters"),
    pytest.param(".".join(["x" * 60] * 5), "character", id="a name of more than 253 characters"),
    pytest.param("ghcr.io/acme/app:1", "image", id="A5 an image reference"),
    pytest.param("ghcr.io/acme/app@sha256:" + "a" * 64, "image", id="an image reference with a digest"),
    pytest.param("acme/app", "image", id="an image on Docker Hub"),
    pytest.param("acme/app:1", "image", id="an image on Docker Hub with a tag"),
    pytest.param("ftp://x", "scheme", id="A5 another scheme"),
    pytest.param("::1", "ipv6", id="A5 IPv6 without brackets"),
    pytest.param("[::1", "ipv6", id="an open bracket"),
    pytest.param("[1:2]", "ipv6", id="brackets around no address"),
    pytest.param("[fe80::1%eth0]", "character", id="an IPv6 zone"),
    pytest.param("0x7f.1", "numeric", id="A5 a hexadecimal host"),
    pytest.param("2130706433", "numeric", id="A5 a number as host"),
    pytest.param("127.1", "numeric", id="A5 a shortened address"),
    pytest.param("017700000001", "numeric", id="A6 an octal host"),
    pytest.param("0", "numeric", id="A6 zero"),
    pytest.param("evil.0x7f000001", "numeric", id="a name that ends in a number"),
    pytest.param("https://u:hunter2@ghcr.io", "userinfo", id="A5 a password"),
    pytest.param("https://u:hunter2/x@ghcr.io", "userinfo", id="a password with a slash"),
    pytest.param("https://ghcr.io@evil.example", "userinfo", id="A5 a host as user"),
    pytest.param("ghcr.io.", "trailing_dot", id="A5 a dot at the end"),
    pytest.param("\uff47hcr.io", "non_ascii", id="A5 a fullwidth letter"),
    pytest.param("ghcr.io\u00a0", "non_ascii", id="a no-break space"),
    pytest.param("ghcr.io%2f.evil", "character", id="A5 an encoded slash"),
    pytest.param("evil.example\\@ghcr.io", "character", id="A5 a backslash"),
    pytest.param("ghcr.io\n.evil.example", "white_space", id="A5 a newline inside"),
    pytest.param("a b.com", "white_space", id="A5 a blank inside"),
    pytest.param("ghcr.io\x00", "white_space", id="a NUL"),
    pytest.param("ghcr.io?x=1", "query", id="A5 a query"),
    pytest.param("ghcr.io#x", "query", id="a fragment"),
    pytest.param("host:", "port", id="A5 an empty port"),
    pytest.param("host:0", "port", id="A5 port zero"),
    pytest.param("host:99999", "port", id="A5 a port out of range"),
    pytest.param("host:080", "port", id="a port with a leading zero"),
    pytest.param("host:\u0661", "non_ascii", id="A6 an Arabic-Indic digit"),
    pytest.param("https:///x", "character", id="no host"),
    pytest.param("my_registry:5000", "character", id="an underscore"),
    pytest.param("-a.io", "character", id="a dash in front"),
    pytest.param("a..io", "character", id="an empty label"),
]


@pytest.mark.parametrize("text,host,repairs", ACCEPTED)
def test_it_is_repaired_to(text: str, host: str, repairs: list[str]) -> None:
    normal = normalise_registry_host(text)
    assert normal.host == host
    assert len(normal.repairs) == len(repairs)
    for word, repair in zip(repairs, normal.repairs, strict=True):
        assert word in repair


@pytest.mark.parametrize("text,kind", REFUSED)
def test_it_is_refused_and_not_repeated(text: str, kind: str) -> None:
    with pytest.raises(Invalid) as refusal:
        normalise_registry_host(text)
    assert refusal.value.code == f"registry_host.{kind}"
    assert "hunter2" not in refusal.value.message
    assert "evil" not in refusal.value.message


@pytest.mark.parametrize("alias", sorted(DOCKER_HUB_ALIASES))
def test_docker_hub_has_one_name(alias: str) -> None:
    assert normalise_registry_host(alias).host == "docker.io"


def test_a_typed_default_port_is_remembered() -> None:
    assert normalise_registry_host("ghcr.io:443").aliases == ("ghcr.io:443",)
    assert normalise_registry_host("ghcr.io").aliases == ()
    assert normalise_registry_host("index.docker.io:443").aliases == ()


def test_docker_hub_answers_elsewhere() -> None:
    assert api_host("docker.io") == "registry-1.docker.io"
    assert api_host("ghcr.io") == "ghcr.io"


@given(st.text(max_size=60))
def test_any_text_is_normalised_once_for_all_or_refused(text: str) -> None:
    try:
        normal = normalise_registry_host(text)
    except Invalid:
        return
    again = normalise_registry_host(normal.host)
    assert (again.host, again.repairs) == (normal.host, ())
    parse_host_and_port(normal.host)


@pytest.mark.parametrize(
    "url,host,url_again",
    [
        pytest.param("https://ghcr.io/token?a=b", "ghcr.io", "https://ghcr.io/token?a=b", id="an ordinary address"),
        pytest.param("https://GHCR.io:443", "ghcr.io", "https://ghcr.io/", id="case, default port and empty path"),
        pytest.param("http://reg:80/x", "reg", "http://reg/x", id="http has a default port of its own"),
        pytest.param("http://reg:443/x", "reg:443", "http://reg:443/x", id="443 is no default for http"),
        pytest.param("https://[0::1]:5000/x", "[::1]:5000", "https://[::1]:5000/x", id="IPv6"),
    ],
)
def test_a_web_address_is_taken_apart(url: str, host: str, url_again: str) -> None:
    address = parse_web_address(url)
    assert (address.host, address.url) == (host, url_again)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://ghcr.io/",
        "//ghcr.io/",
        "https://u:p@ghcr.io/",
        "https://ghcr.io\\@evil/",
        "https://ghcr.io/#x",
        "https://ghcr.io?x",
        "https://ghcr.io/a b",
        "https://ghcr.io/\n",
        "https:///x",
        "https://127.1/",
        "https://ghcr.io/" + "x" * 9000,
    ],
)
def test_a_strange_web_address_is_refused(url: str) -> None:
    with pytest.raises(Invalid):
        parse_web_address(url)
