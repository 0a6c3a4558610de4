"""How a provider is recognised: by its host, as a whole, or by what it asks for (C4)."""

import pytest

from berth.domain.registry_challenge import TOKEN_REALMS, Challenge, parse_challenges
from berth.domain.registry_host import api_host, normalise_registry_host
from berth.domain.registry_provider import PROVIDERS, Provider, least_parts, provider_of_host, recognise_provider


@pytest.mark.parametrize(
    "host,provider,strangers",
    [
        ("docker.io", Provider.DOCKER_HUB, ["docker.io.evil.example", "xdocker.io", "docker.io:5000"]),
        ("ghcr.io", Provider.GHCR, ["ghcr.io.evil.example", "xghcr.io", "ghcrxio", "a.ghcr.io"]),
        ("acme.azurecr.io", Provider.ACR, ["acme.azurecr.io.evil.example", "azurecr.io", "acme.azurecrxio", "a.b.azurecr.io"]),
        ("acme-x1.azurecr.cn", Provider.ACR, ["acme.azurecr.de", "-.azurecr.io"]),
        ("europe-west1-docker.pkg.dev", Provider.GOOGLE, ["x.docker.pkg.dev", "europe-docker.pkg.dev.evil.example"]),
        ("docker.pkg.dev", Provider.GOOGLE, ["docker.pkg.dev:8443", "evildocker.pkg.dev"]),
        ("gcr.io", Provider.GOOGLE, ["xgcr.io", "gcr.io.evil.example"]),
        ("us.gcr.io", Provider.GOOGLE, ["us.evil.gcr.io.example", "u.s.gcr.io"]),
        (
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com", Provider.ECR,
            ["123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example", "dkr.ecr.eu-west-1.amazonaws.com"],
        ),
        ("registry.gitlab.com", Provider.GITLAB, ["gitlab.com", "registry.gitlab.com.evil.example"]),
        ("quay.io", Provider.QUAY, ["cdn.quay.io", "xquay.io"]),
        ("acme.jfrog.io", Provider.JFROG, ["acme.jfrog.io.evil.example", "jfrog.io"]),
        ("codeberg.org", Provider.GITEA, ["x.codeberg.org"]),
        ("registry.digitalocean.com", Provider.DIGITALOCEAN, ["digitalocean.com", "evil.registry.digitalocean.com"]),
    ],
)  # fmt: skip
def test_c4_a_host_is_matched_as_a_whole(host: str, provider: Provider, strangers: list[str]) -> None:
    assert provider_of_host(host) is provider
    assert [provider_of_host(stranger) for stranger in strangers] == [Provider.PLAIN] * len(strangers)


@pytest.mark.parametrize(
    "header,provider",
    [
        ('Bearer realm="https://h.test/service/token",service="harbor-registry"', Provider.HARBOR),
        ('Bearer realm="https://other.test/t",service="harbor-registry"', Provider.HARBOR),
        ('Bearer realm="https://git.test/jwt/auth",service="container_registry"', Provider.GITLAB),
        ('Bearer realm="https://git.test/gitlab/jwt/auth?x=1",service="container_registry"', Provider.GITLAB),
        ('Bearer realm="https://q.test/v2/auth",service="q.test"', Provider.QUAY),
        ('Bearer realm="https://a.test/artifactory/api/docker/dev/v2/token",service="a.test"', Provider.JFROG),
        ('Bearer realm="https://a.test/api/docker/v2/token"', Provider.JFROG),
        ('Bearer realm="https://g.test/v2/token",service="container_registry", Basic realm="Gitea"', Provider.GITEA),
        ('Basic realm="Registry Realm"', Provider.PLAIN),
        ('Bearer realm="not an address"', Provider.PLAIN),
        ('Bearer realm="https://r.test/token",service="r.test"', Provider.PLAIN),
        ("", Provider.PLAIN),
    ],
)
def test_a_self_hosted_one_is_known_by_its_challenge(header: str, provider: Provider) -> None:
    assert recognise_provider("r.test", parse_challenges(header)) is provider


def test_a_known_host_stays_what_it_is_whatever_it_asks_for() -> None:
    challenge = Challenge("bearer", {"service": "harbor-registry"})
    assert recognise_provider("ghcr.io", [challenge]) is Provider.GHCR
    assert recognise_provider("h.test", [challenge]) is Provider.HARBOR


def test_the_table_is_whole() -> None:
    assert list(PROVIDERS) == list(Provider)
    for provider, facts in PROVIDERS.items():
        normal = normalise_registry_host(facts.server)
        assert not normal.repairs
        found = provider_of_host(normal.host)
        assert found is provider or (facts.hosts is None and found is Provider.PLAIN) or provider is Provider.GITEA, (
            provider
        )
        assert facts.logins
        assert facts.permission


def test_c7_every_registry_with_a_token_service_elsewhere_is_a_provider_of_the_table() -> None:
    hosts = [facts.server for facts in PROVIDERS.values()]
    assert set(TOKEN_REALMS) <= {api_host(host) for host in hosts}


@pytest.mark.parametrize(
    "host,provider,parts",
    [
        ("europe-docker.pkg.dev", Provider.GOOGLE, 3),
        ("gcr.io", Provider.GOOGLE, 2),
        ("ghcr.io", Provider.GHCR, 2),
        ("r.test", Provider.PLAIN, 1),
    ],
)
def test_how_many_parts_a_name_has(host: str, provider: Provider, parts: int) -> None:
    assert least_parts(host, provider) == parts
