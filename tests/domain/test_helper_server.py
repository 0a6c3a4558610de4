"""C4: the registry that a docker client asks a credential helper for, in all forms that clients ask in."""

import pytest

from berth.domain.helper_server import find_asked_host

HUB = "docker.io"


@pytest.mark.parametrize(
    "asked,host",
    [
        ("https://index.docker.io/v1/", HUB),  # docker, buildx, docker-py, go-containerregistry
        ("docker.io", HUB),  # podman, skopeo, buildah, devcontainer
        ("index.docker.io", HUB),
        ("registry-1.docker.io", HUB),
        ("ghcr.io", "ghcr.io"),
        ("https://ghcr.io", "ghcr.io"),
        ("https://ghcr.io/v2/", "ghcr.io"),
        ("GHCR.io", "ghcr.io"),
        ("localhost:5000", "localhost:5000"),
        ("http://localhost:5000", "localhost:5000"),
        ("ghcr.io:443", "ghcr.io"),
        ("[::1]:5000", "[::1]:5000"),
    ],
)
def test_the_host_behind_a_key(asked: str, host: str) -> None:
    assert find_asked_host(asked) == host


@pytest.mark.parametrize(
    "asked",
    [
        "",
        "https://index.docker.io/v1/access-token",  # docker's own tokens: a password is none of them
        "https://index.docker.io/v1/refresh-token",
        "ghcr.io/acme",
        "ghcr.io/acme/app:1",
        "https://u:p@ghcr.io",
        "ghcr.io\\@evil.example",
        "ghcr.io\n.evil.example",
    ],
)
def test_what_is_no_host_of_ours(asked: str) -> None:
    assert find_asked_host(asked) is None


@pytest.mark.parametrize("asked", ["ghcr.io.evil.example", "xghcr.io", "evil.example/ghcr.io", "ghcr.io:8443"])
def test_c4_a_name_that_only_looks_like_it_is_another_host(asked: str) -> None:
    assert find_asked_host(asked) != "ghcr.io"
