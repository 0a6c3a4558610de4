"""The registries that people use: how one is recognised, what logs in to it, the least permission for a pull.

1. A provider is known by its host, matched as a whole, or by the challenge that the registry sends: a self-hosted one has
   any name. It decides about words only: what a person is told, and which forms of credentials are looked at. Where a
   password goes is decided by `registry_challenge.py` alone, whatever a registry says that it is.
2. What nothing is known of is a plain registry (distribution, zot, or any other): its answers mean what the
   specification says.

Which hosts are AWS's is said by `ecr_host.py` (C5). Source: REGISTRY_CREDENTIALS C1 of the references, from the vendors'
documentation.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from berth.domain.docker_hub import DOCKER_HUB
from berth.domain.ecr_host import find_ecr_registry
from berth.domain.problem import Invalid
from berth.domain.registry_challenge import Challenge
from berth.domain.registry_host import parse_web_address


class Provider(StrEnum):
    """The values are stable."""

    DOCKER_HUB = "docker_hub"
    GHCR = "ghcr"
    ACR = "acr"
    GOOGLE = "google"
    ECR = "ecr"
    GITLAB = "gitlab"
    QUAY = "quay"
    HARBOR = "harbor"
    JFROG = "jfrog"
    GITEA = "gitea"
    DIGITALOCEAN = "digitalocean"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Login:
    """One way to fill USER and PASSWORD."""

    user: str
    password: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderFacts:
    """What is known of one provider. `hosts` is matched as a whole against a normal host.

    A challenge shows it by `services` or by `realm_paths`, matched as a whole against the path of the token service.
    """

    title: str
    server: str  # an example
    logins: tuple[Login, ...]
    permission: str  # the least that pulls
    hosts: re.Pattern[str] | None = None
    services: frozenset[str] = frozenset()
    realm_paths: re.Pattern[str] | None = None
    parts: int = 1  # the least number that an image's path has


PROVIDERS: Mapping[Provider, ProviderFacts] = {
    Provider.DOCKER_HUB: ProviderFacts(
        title="Docker Hub",
        server="docker.io",
        logins=(
            Login("the Docker ID, not the e-mail address", "a personal access token"),
            Login("the organization's name", "an organization access token"),
        ),
        permission="Read-only (with `Public Repo Read-only` no private image can be pulled)",
        hosts=re.compile(re.escape(DOCKER_HUB)),
        services=frozenset({"registry.docker.io"}),
        parts=2,
    ),
    Provider.GHCR: ProviderFacts(
        title="GitHub Container Registry",
        server="ghcr.io",
        logins=(Login("any name", "a classic personal access token"),),
        permission="`read:packages`, and SSO authorised where the organization wants it",
        hosts=re.compile(r"ghcr\.io"),
        services=frozenset({"ghcr.io"}),
        parts=2,
    ),
    Provider.ACR: ProviderFacts(
        title="Azure Container Registry",
        server="acme.azurecr.io",
        logins=(
            Login("a service principal's application id", "its secret"),
            Login("a token's name", "one of the token's two passwords"),
            Login("the registry's name", "the admin user's password, if that user is switched on"),
            Login("`00000000-0000-0000-0000-000000000000`", "a refresh token, which lives for about 3 hours"),
        ),
        permission="the role `AcrPull`; for a token a scope map with `content/read`",
        hosts=re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*\.azurecr\.(?:io|cn|us)"),
    ),
    Provider.GOOGLE: ProviderFacts(
        title="Google Artifact Registry",
        server="europe-docker.pkg.dev",
        logins=(
            Login("`_json_key`", "the JSON key of a service account, as it is"),
            Login("`_json_key_base64`", "the same key in base64, on one line"),
            Login("`oauth2accesstoken`", "an access token, which lives for 60 minutes"),
        ),
        permission="the role `roles/artifactregistry.reader` on the repository",
        hosts=re.compile(r"(?:[a-z0-9]+(?:-[a-z0-9]+)*-)?docker\.pkg\.dev|(?:[a-z]+(?:-[a-z]+)*\.)?gcr\.io"),
        parts=2,
    ),
    Provider.ECR: ProviderFacts(
        title="AWS (Amazon ECR)",
        server="123456789012.dkr.ecr.eu-west-1.amazonaws.com",
        logins=(
            Login("an IAM user's access key id", "its secret access key"),
            Login("`AWS`", "a ready token, which lives for 12 hours"),
        ),
        permission="`ecr:GetAuthorizationToken` on `*`, and `ecr:BatchGetImage`, `ecr:GetDownloadUrlForLayer` and "
        "`ecr:BatchCheckLayerAvailability` on the repository",
    ),
    Provider.GITLAB: ProviderFacts(
        title="GitLab",
        server="registry.gitlab.com",
        logins=(
            Login("any name", "a personal, project or group access token"),
            Login("the deploy token's own name, such as `gitlab+deploy-token-7`", "the deploy token"),
        ),
        permission="`read_registry`; for a project or group token also the role Reporter",
        hosts=re.compile(r"registry\.gitlab\.com"),
        realm_paths=re.compile(r"(?:/[A-Za-z0-9._-]+)?/jwt/auth"),
        parts=2,
    ),
    Provider.QUAY: ProviderFacts(
        title="Quay",
        server="quay.io",
        logins=(
            Login("the robot's full name, such as `acme+robot`", "the robot's token"),
            Login("`$oauthtoken`", "an OAuth access token"),
            Login("`$app`", "an application token"),
        ),
        permission="Read on the repository",
        hosts=re.compile(r"quay\.io"),
        realm_paths=re.compile(r"/v2/auth"),
        parts=2,
    ),
    Provider.HARBOR: ProviderFacts(
        title="Harbor",
        server="harbor.example.com",
        logins=(
            Login("the robot's full name, such as `robot$acme+ci`", "the robot's secret"),
            Login("your user name", "your password; who logs in by OIDC has a CLI secret instead"),
        ),
        permission="`pull` on the project's repositories",
        services=frozenset({"harbor-registry"}),
        realm_paths=re.compile(r"/service/token"),
        parts=2,
    ),
    Provider.JFROG: ProviderFacts(
        title="JFrog Artifactory",
        server="acme.jfrog.io",
        logins=(Login("the user that the token was made for", "an identity, access or reference token"),),
        permission="Read on the Docker repository",
        hosts=re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*\.jfrog\.io"),
        realm_paths=re.compile(r"(?:/[A-Za-z0-9._-]+)*/api/docker/(?:[A-Za-z0-9._-]+/)?v2/token"),
    ),
    Provider.GITEA: ProviderFacts(
        title="Gitea and Forgejo",
        server="gitea.example.com",
        logins=(Login("your user name", "an access token"),),
        permission="`read:package`",
        hosts=re.compile(r"codeberg\.org|gitea\.com"),
        services=frozenset({"container_registry"}),
        parts=2,
    ),
    Provider.DIGITALOCEAN: ProviderFacts(
        title="DigitalOcean",
        server="registry.digitalocean.com",
        logins=(Login("the API token", "the same API token"),),
        permission="`registry:read`",
        hosts=re.compile(r"registry\.digitalocean\.com"),
        parts=2,
    ),
    Provider.PLAIN: ProviderFacts(
        title="Any other registry (distribution, zot)",
        server="registry.example.com:5000",
        logins=(Login("your user name", "your password, or a token of its token service"),),
        permission="pull on the repository",
    ),
}


def provider_of_host(host: str) -> Provider:
    """By the normal host (policy 1 and 2)."""
    if find_ecr_registry(host) is not None:
        return Provider.ECR
    for provider, facts in PROVIDERS.items():
        if facts.hosts is not None and facts.hosts.fullmatch(host):
            return provider
    return Provider.PLAIN


def recognise_provider(host: str, challenges: Iterable[Challenge]) -> Provider:
    """By the host, else by what the registry asks for (policy 1 and 2)."""
    known = provider_of_host(host)
    if known is not Provider.PLAIN:
        return known
    for challenge in challenges:
        path = _realm_path(challenge.parameters.get("realm", ""))
        for provider, facts in PROVIDERS.items():
            if facts.realm_paths is not None and facts.realm_paths.fullmatch(path):
                return provider
        for provider, facts in PROVIDERS.items():
            if challenge.parameters.get("service") in facts.services:
                return provider
    return Provider.PLAIN


def least_parts(host: str, provider: Provider) -> int:
    """How many parts an image's path has there at least. Artifact Registry's have one more than its predecessor's."""
    return 3 if provider is Provider.GOOGLE and host.endswith("docker.pkg.dev") else PROVIDERS[provider].parts


def _realm_path(realm: str) -> str:
    try:
        return parse_web_address(realm).target.partition("?")[0]
    except Invalid:
        return ""
