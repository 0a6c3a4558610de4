"""A9: which repository an image says it was built from, and the labels in its configuration."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth.domain.source_annotation import (
    MAX_CONFIG_BYTES,
    SOURCE_KEY,
    find_source_repository,
    read_image_labels,
)

HOSTS = {"berth.example", "berth.example:8443", "[::1]:8080"}


def find(text: str) -> tuple[str, str] | None:
    return find_source_repository({SOURCE_KEY: text}, {}, HOSTS)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("https://berth.example/Acme/app", id="as it is shown"),
        pytest.param("http://berth.example/Acme/app", id="plain http"),
        pytest.param("https://berth.example/Acme/app.git", id="as it is cloned"),
        pytest.param("https://berth.example/Acme/app/", id="with a slash"),
        pytest.param("https://berth.example/Acme/app.git/", id="with both"),
        pytest.param("https://BERTH.Example/Acme/app", id="the host has no case"),
        pytest.param("https://berth.example:443/Acme/app", id="the default port of https"),
        pytest.param("http://berth.example:80/Acme/app", id="the default port of http"),
        pytest.param("https://berth.example:8443/Acme/app", id="another port of ours"),
        pytest.param("http://[0::1]:8080/Acme/app", id="IPv6"),
    ],
)
def test_a9_a_repository_of_ours(text: str) -> None:
    assert find(text) == ("Acme", "app")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("https://github.com/acme/app", id="C4 another host"),
        pytest.param("https://berth.example.evil.com/acme/app", id="C4 a host that begins alike"),
        pytest.param("https://evil-berth.example/acme/app", id="C4 a host that ends alike"),
        pytest.param("https://www.berth.example/acme/app", id="C4 a sub-domain"),
        pytest.param("https://berth.example./acme/app", id="C4 a dot at the end"),
        pytest.param("https://berth.example:8444/acme/app", id="C4 another port"),
        pytest.param("http://berth.example:443/acme/app", id="C4 the port of another scheme"),
        pytest.param("https://user:hunter2@berth.example/acme/app", id="a user"),
        pytest.param("https://evil.com\\@berth.example/acme/app", id="a backslash"),
        pytest.param("https://evil.com#@berth.example/acme/app", id="a fragment as a user"),
        pytest.param("https://berth.example/acme/app#readme", id="a fragment"),
        pytest.param("https://berth.example/acme/app?ref=main", id="a query"),
        pytest.param("https://berth.example/acme/app/tree/main", id="a page below it"),
        pytest.param("https://berth.example/acme", id="no name"),
        pytest.param("https://berth.example/acme/", id="an empty name"),
        pytest.param("https://berth.example/acme/.git", id="nothing but .git"),
        pytest.param("https://berth.example/acme/app.git.git", id=".git twice"),
        pytest.param("https://berth.example/acme/app//", id="two slashes"),
        pytest.param("https://berth.example//acme/app", id="an empty owner"),
        pytest.param("https://berth.example", id="no path"),
        pytest.param("https://berth.example/acme/..", id="traversal as a name"),
        pytest.param("https://berth.example/../acme", id="traversal as an owner"),
        pytest.param("https://berth.example/x/../acme/app", id="traversal on the way"),
        pytest.param("https://berth.example/acme/%61pp", id="an escape"),
        pytest.param("https://berth.example/acme%2Fapp/x", id="an escaped slash"),
        pytest.param("https://berth.example/orgs/acme", id="a page of the server's"),
        pytest.param("https://berth.example/acme/\u00e4pp", id="not ASCII"),
        pytest.param("https://b\u0435rth.example/acme/app", id="a Cyrillic letter in the host"),
        pytest.param("https://berth.example/acme/app\n", id="a line feed"),
        pytest.param(" https://berth.example/acme/app", id="a space"),
        pytest.param("git://berth.example/acme/app", id="another scheme"),
        pytest.param("ssh://git@berth.example/acme/app", id="ssh"),
        pytest.param("git@berth.example:acme/app.git", id="the short form of ssh"),
        pytest.param("berth.example/acme/app", id="no scheme"),
        pytest.param("//berth.example/acme/app", id="an empty scheme"),
        pytest.param(f"https://berth.example/acme/{'a' * 101}", id="a name that is too long"),
        pytest.param(f"https://berth.example/{'a' * 40}/app", id="an owner that is too long"),
        pytest.param("https://berth.example/acme/" + "/" * 1_000_000, id="a text without end"),
    ],
)
def test_a9_no_repository_of_ours(text: str) -> None:
    assert find(text) is None


@pytest.mark.parametrize(
    "labels,annotations,found",
    [
        pytest.param({}, {}, None, id="neither"),
        pytest.param({SOURCE_KEY: "https://berth.example/a/l"}, {"x": "y"}, ("a", "l"), id="the label"),
        pytest.param({"x": "y"}, {SOURCE_KEY: "https://berth.example/a/n"}, ("a", "n"), id="the annotation"),
        pytest.param(
            {SOURCE_KEY: "https://berth.example/a/l"},
            {SOURCE_KEY: "https://berth.example/a/n"},
            ("a", "n"),
            id="the annotation beats the label",
        ),
        pytest.param(
            {SOURCE_KEY: "https://berth.example/a/l"},
            {SOURCE_KEY: "https://github.com/a/n"},
            None,
            id="also if it names none of ours",
        ),
        pytest.param({SOURCE_KEY.upper(): "https://berth.example/a/l"}, {}, None, id="the key has a case"),
    ],
)
def test_1_the_annotation_decides(
    labels: dict[str, str], annotations: dict[str, str], found: tuple[str, str] | None
) -> None:
    assert find_source_repository(labels, annotations, HOSTS) == found


def test_a9_a_server_without_hosts_has_no_repositories() -> None:
    assert find_source_repository({SOURCE_KEY: "https://berth.example/a/b"}, {}, ()) is None


@given(st.text() | st.from_regex(r"https?://berth\.example(:[0-9]{1,5})?/[!-~]{0,20}/[!-~]{0,20}", fullmatch=True))
def test_what_is_found_is_in_the_text(text: str) -> None:
    found = find(text)
    assert found is None or text.partition("://")[2].removesuffix("/").removesuffix(".git").endswith("/".join(found))


LABELS = {"a": "b", SOURCE_KEY: "https://berth.example/acme/app", "\u00e4": ""}


def test_labels_are_read() -> None:
    config = {"architecture": "amd64", "config": {"Labels": LABELS, "Env": ["A=b"]}, "rootfs": {"diff_ids": []}}
    body = json.dumps(config).encode()
    assert read_image_labels(body + b" " * (MAX_CONFIG_BYTES - len(body))) == LABELS


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"{}", id="an empty configuration"),
        pytest.param(b'{"config": null}', id="no config"),
        pytest.param(b'{"config": [1]}', id="a config that is a list"),
        pytest.param(b'{"config": {}}', id="no labels"),
        pytest.param(b'{"config": {"Labels": null}}', id="labels that are null"),
        pytest.param(b'{"config": {"Labels": ["a"]}}', id="labels that are a list"),
        pytest.param(b'{"config": {"Labels": {"a": "b", "c": 1}}}', id="a label that is a number"),
        pytest.param(b'{"config": {"Labels": {"a": "b", "a": "c"}}}', id="a label twice"),
        pytest.param(b'{"config": ' * 10_000, id="nested without end"),
        pytest.param(b'{"config": {"Labels": {"a": "b"}}}' + b" " * MAX_CONFIG_BYTES, id="more than 4 MiB"),
        pytest.param(b"\x1f\x8b\x08", id="no text"),
    ],
)
def test_an_odd_configuration_has_no_labels(body: bytes) -> None:
    assert read_image_labels(body) == {}
