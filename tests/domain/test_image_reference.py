"""Image references: every row of the facts' table A1, and what no reference may be."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth.domain.image_reference import (
    Digest,
    DigestAlgorithm,
    ImageReference,
    parse_digest,
    parse_image_reference,
)
from berth.domain.problem import Invalid

A = "a" * 64
DIGEST = f"sha256:{A}"

ACCEPTED = [
    pytest.param("x", "docker.io/library/x:latest", id="A1 no domain and one element is library on Docker Hub"),
    pytest.param("a/b", "docker.io/a/b:latest", id="A1 no domain and two elements is on Docker Hub"),
    pytest.param("a/b/c:1", "docker.io/a/b/c:1", id="A1 no domain and three elements is on Docker Hub"),
    pytest.param("index.docker.io/a/b", "docker.io/a/b:latest", id="A1 index.docker.io is docker.io"),
    pytest.param(
        "index.docker.io/x", "docker.io/library/x:latest", id="A1 index.docker.io with one element is library"
    ),
    pytest.param("docker.io/x", "docker.io/library/x:latest", id="A1 docker.io with one element is library"),
    pytest.param("registry-1.docker.io/a/b", "registry-1.docker.io/a/b:latest", id="A1 registry-1 is not rewritten"),
    pytest.param("localhost/x", "localhost/x:latest", id="A1 localhost is a domain"),
    pytest.param("localhost:5000/x", "localhost:5000/x:latest", id="A1 a colon makes a domain"),
    pytest.param("myhost:5000/x:2", "myhost:5000/x:2", id="A1 a port makes a domain of one label"),
    pytest.param("ghcr.io/acme/app", "ghcr.io/acme/app:latest", id="A1 a dot makes a domain"),
    pytest.param("GHCR.IO/acme/app", "ghcr.io/acme/app:latest", id="A1 the host has no case"),
    pytest.param("ghcr.io:443/acme/app", "ghcr.io/acme/app:latest", id="the default port is no part of the name"),
    pytest.param("localhost:5000", "docker.io/library/localhost:5000", id="A1 without a slash there is no domain"),
    pytest.param(f"ghcr.io/a/b:1@{DIGEST}", f"ghcr.io/a/b:1@{DIGEST}", id="A1 tag and digest are both kept"),
    pytest.param(f"ghcr.io/a/b@{DIGEST}", f"ghcr.io/a/b@{DIGEST}", id="A1 a digest alone brings no tag"),
    pytest.param("[::1]:5000/x", "[::1]:5000/x:latest", id="A1 IPv6 in brackets"),
    pytest.param("[0:0::1]:5000/x", "[::1]:5000/x:latest", id="A1 IPv6 is shortened"),
    pytest.param("[::1]/x", "[::1]/x:latest", id="A1 IPv6 without a port"),
    pytest.param("10.0.0.5:5000/x", "10.0.0.5:5000/x:latest", id="IPv4 with a port"),
    pytest.param("a__b/c--d.e_f", "docker.io/a__b/c--d.e_f:latest", id="A1 the joints of a path"),
    pytest.param("x:" + "T" * 128, "docker.io/library/x:" + "T" * 128, id="A1 a tag of 128 characters"),
    pytest.param("abc123def456", "docker.io/library/abc123def456:latest", id="a short hexadecimal name is a name"),
]

REFUSED = [
    pytest.param("", "empty", id="nothing"),
    pytest.param("x" * 1025, "length", id="endless"),
    pytest.param("https://ghcr.io/a/b", "scheme", id="a URL"),
    pytest.param(A, "id", id="A1 64 hexadecimal digits"),
    pytest.param(DIGEST, "id", id="a bare image id"),
    pytest.param("sha512:" + "a" * 128, "id", id="a bare sha512 id"),
    pytest.param("ghcr.io/Acme/app", "upper_case", id="A1 upper case in the path"),
    pytest.param("Acme/app", "upper_case", id="decided: upper case without a dot is no host"),
    pytest.param("ghcr.io/../etc", "path", id="traversal"),
    pytest.param("ghcr.io/a/./b", "path", id="a dot as an element"),
    pytest.param("../a", "registry_host", id="traversal at the front"),
    pytest.param("ghcr.io//a", "path", id="an empty element"),
    pytest.param("ghcr.io/", "path", id="no path"),
    pytest.param("ghcr.io/a/", "path", id="a slash at the end"),
    pytest.param("/a", "path", id="a slash at the front"),
    pytest.param("ghcr.io/a___b", "path", id="A1 three underscores"),
    pytest.param("ghcr.io/a b", "path", id="a space"),
    pytest.param("ghcr.io/a\n", "path", id="A6 a newline at the end"),
    pytest.param("ghcr.io/" + "a" * 256, "path", id="a path of 256 characters"),
    pytest.param("x:", "tag", id="an empty tag"),
    pytest.param("x:-a", "tag", id="A1 a tag with a dash in front"),
    pytest.param("x:" + "T" * 129, "tag", id="A1 a tag of 129 characters"),
    pytest.param("x:1\n", "tag", id="A6 a newline after the tag"),
    pytest.param("x:\u0661", "tag", id="A6 an Arabic-Indic digit"),
    pytest.param("x@sha256:abc", "digest", id="a short digest"),
    pytest.param("x@sha256:" + "A" * 64, "digest", id="an upper-case digest"),
    pytest.param("x@md5:" + "a" * 32, "digest", id="an unknown algorithm"),
    pytest.param("x@", "digest", id="an empty digest"),
    pytest.param(f"x@{DIGEST}@{DIGEST}", "digest", id="two digests"),
    pytest.param("user:hunter2@ghcr.io/a", "digest", id="a password in front of the host"),
    pytest.param("::1/x", "registry_host.ipv6", id="A1 IPv6 without brackets"),
    pytest.param("[fe80::1%eth0]:5000/x", "registry_host.ipv6", id="A1 an IPv6 zone"),
    pytest.param("127.1/x", "registry_host.numeric", id="an odd numeric host"),
    pytest.param("ghcr.io./x", "registry_host.trailing_dot", id="a host with a dot at the end"),
    pytest.param("ghcr.io:99999/x", "registry_host.port", id="a port out of range"),
    pytest.param("\uff47hcr.io/x", "registry_host.character", id="a fullwidth letter"),
]


@pytest.mark.parametrize("text,canonical", ACCEPTED)
def test_it_is_read_as(text: str, canonical: str) -> None:
    assert str(parse_image_reference(text)) == canonical


@pytest.mark.parametrize("text,code", REFUSED)
def test_it_is_refused_and_not_repeated(text: str, code: str) -> None:
    with pytest.raises(Invalid) as refusal:
        parse_image_reference(text)
    assert code in refusal.value.code
    assert "hunter2" not in refusal.value.message


def test_the_digest_decides_and_the_tag_is_decoration() -> None:
    image = parse_image_reference("ghcr.io/a/b:1")
    pinned = image.pinned(parse_digest(DIGEST))
    assert image.pull_name == "ghcr.io/a/b:1"
    assert image.reference == "1"
    assert pinned.pull_name == f"ghcr.io/a/b@{DIGEST}"
    assert pinned.reference == DIGEST
    assert str(pinned) == f"ghcr.io/a/b:1@{DIGEST}"


def test_a_digest_is_of_its_content() -> None:
    assert str(Digest.of(b"x")) == "sha256:" + hashlib.sha256(b"x").hexdigest()
    assert str(Digest.of(b"x", DigestAlgorithm.SHA512)) == "sha512:" + hashlib.sha512(b"x").hexdigest()


_component = st.from_regex(r"[a-z0-9]+((\.|_|__|-{1,3})[a-z0-9]+){0,2}", fullmatch=True)
_host = st.sampled_from(["ghcr.io", "docker.io", "localhost", "reg.corp:5000", "[::1]:5000", "10.0.0.5:5000"])
_digest = st.none() | st.binary(max_size=4).map(Digest.of) | st.just(Digest.of(b"", DigestAlgorithm.SHA512))
_tag = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)


@given(host=_host, parts=st.lists(_component, min_size=2, max_size=4), tag=_tag, digest=_digest)
def test_what_is_written_is_read_back(host: str, parts: list[str], tag: str, digest: Digest | None) -> None:
    path = "/".join(parts)
    if len(path) <= 255:
        image = ImageReference(host=host, path=path, tag=tag, digest=digest)
        assert parse_image_reference(str(image)) == image


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        image = parse_image_reference(text)
    except Invalid:
        return
    assert parse_image_reference(str(image)) == image
    assert ".." not in image.path.split("/")
