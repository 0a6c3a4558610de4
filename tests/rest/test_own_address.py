"""Where links point: tests quote the policies of rest/own_address.py."""

import pytest
from starlette.requests import HTTPConnection

from berth.edge.own_origin import host_of
from berth.rest.own_address import make_links

OWN = "https://berth.example.com"


def request(host: str | None, scheme: str = "http") -> HTTPConnection:
    headers = [] if host is None else [(b"host", host.encode("latin-1"))]
    return HTTPConnection({"type": "http", "scheme": scheme, "path": "/", "headers": headers})


@pytest.mark.parametrize(
    "host, external_url, api, web",
    [
        ("berth.test", None, "http://berth.test/api/v3/x", "http://berth.test/x"),
        ("127.0.0.1:8080", None, "http://127.0.0.1:8080/api/v3/x", "http://127.0.0.1:8080/x"),
        ("[::1]:8080", None, "http://[::1]:8080/api/v3/x", "http://[::1]:8080/x"),
        ("api.github.localhost", None, "http://api.github.localhost/x", "http://github.localhost/x"),
        ("API.github.localhost", None, "http://api.github.localhost/x", "http://github.localhost/x"),
        ("berth.test", OWN, f"{OWN}/api/v3/x", f"{OWN}/x"),
        ("evil.test", f"{OWN}/", f"{OWN}/api/v3/x", f"{OWN}/x"),
        ("api.evil.test", OWN, f"{OWN}/api/v3/x", f"{OWN}/x"),
        ("api.berth.example.com", OWN, "https://api.berth.example.com/x", f"{OWN}/x"),
        ("any", "https://api.example.com", "https://api.example.com/x", "https://api.example.com/x"),
    ],
)
def test_policies_1_and_2(host: str, external_url: str | None, api: str, web: str) -> None:
    links = make_links(request(host), external_url)
    assert (links.api("/x"), links.web("/x")) == (api, web)


def test_policy_2_the_scheme_is_the_connections() -> None:
    assert make_links(request("berth.test", "https"), None).api("/x") == "https://berth.test/api/v3/x"
    assert make_links(request("berth.test", "wss"), None).web_origin == "https://berth.test"


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "a b",
        'evil"><script>',
        "a>; rel=next, <b",
        "user@evil",
        "evil/path",
        "a:b:c",
        "a:123456",
        "-a",
        "a.",
        "ä",
        "a" * 300,
    ],
)
def test_policy_3_what_is_no_host_is_never_repeated(host: str | None) -> None:
    assert host_of(request(host)) == "localhost"
