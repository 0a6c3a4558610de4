"""The providers as programs: what each answers, by REGISTRY_CREDENTIALS C2 of the references."""

from collections.abc import Mapping

from tests.fakes.http_server import Reply
from tests.fakes.provider_registry import ProviderRegistry, details, error

from berth.domain.registry_provider import Provider

_INSUFFICIENT = 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",error="insufficient_scope"'
_UNKNOWN = error(404, "MANIFEST_UNKNOWN", "manifest unknown")
_UNAUTHORIZED = error(401, "UNAUTHORIZED", "authentication required")
_NOT_AUTHORIZED = error(401, "UNAUTHORIZED", "access to the requested resource is not authorized")
_GOOGLE_DENIED = error(
    403, "DENIED",
    'Permission "artifactregistry.repositories.downloadArtifacts" denied on resource "x" (or it may not exist)',
)  # fmt: skip
_FIREWALL = error(403, "DENIED", "client with IP '192.0.2.1' is not allowed access. Refer https://aka.ms/acr/firewall")


def _aws_denied(because: str = "") -> Reply:
    """As AWS says it since 2021 with the reason, before without."""
    what = "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: ecr:BatchGetImage on resource: x"
    return error(403, "DENIED", f"{what} because {because}" if because else what)


PROGRAMS: Mapping[Provider, ProviderRegistry] = {
    Provider.DOCKER_HUB: ProviderRegistry(
        host="docker.io",
        api="registry-1.docker.io",
        path="acme/app",
        realm="https://auth.docker.io/token",
        service="registry.docker.io",
        rejected=details(401, "incorrect username or password"),
        denied=error(401, "UNAUTHORIZED", "authentication required", WWW_Authenticate=_INSUFFICIENT),
        missing=_UNKNOWN,
        special={
            ("token", "public-only"): details(401, "access token has insufficient scopes"),
            ("token", "again-and-again"): error(
                429, "TOOMANYREQUESTS", "too many failed login attempts", Retry_After="900"
            ),
            ("manifest", "acme/popular"): error(
                429,
                "TOOMANYREQUESTS",
                "You have reached your pull rate limit.",
                RateLimit_Limit="100;w=21600",
                RateLimit_Remaining="0;w=21600",
            ),
        },
    ),
    Provider.GHCR: ProviderRegistry(
        host="ghcr.io",
        path="acme/app",
        realm="https://ghcr.io/token",
        service="ghcr.io",
        rejected=error(403, "DENIED", "denied"),
        denied=error(403, "DENIED", "permission_denied: read_package"),
        missing=_UNKNOWN,
    ),
    Provider.ACR: ProviderRegistry(
        host="acme.azurecr.io",
        path="app",
        realm="https://acme.azurecr.io/oauth2/token",
        service="acme.azurecr.io",
        token_name="access_token",
        rejected=error(401, "UNAUTHORIZED", "authentication required, visit https://aka.ms/acr/authorization"),
        denied=_UNAUTHORIZED,
        missing=_UNKNOWN,
        special={
            ("token", "expired-secret"): error(401, "UNAUTHORIZED", "Invalid clientid or client secret."),
            ("token", "of-a-name"): error(401, "UNAUTHORIZED", "client id must be guid"),
            ("manifest", "fenced"): _FIREWALL,
        },
    ),
    Provider.GOOGLE: ProviderRegistry(
        host="europe-docker.pkg.dev",
        path="acme/dev/app",
        realm="https://europe-docker.pkg.dev/v2/token",
        service="europe-docker.pkg.dev",
        rejected=error(401, "UNAUTHORIZED", "authentication failed"),
        denied=_GOOGLE_DENIED,
        missing=_UNKNOWN,
        anonymous=error(403, "DENIED", "Unauthenticated request. Unauthenticated requests do not have permission"),
    ),
    Provider.ECR: ProviderRegistry(
        host="123456789012.dkr.ecr.eu-west-1.amazonaws.com",
        path="team/app",
        rejected=error(401, "UNAUTHORIZED", "Not Authorized"),
        denied=_aws_denied(),
        missing=_UNKNOWN,
        special={
            ("manifest", "team/nothing"): error(404, "NAME_UNKNOWN", "The repository does not exist in the registry"),
            ("manifest", "team/old"): error(
                403, "DENIED", "Your authorization token has expired. Reauthenticate and try again."
            ),
            ("manifest", "team/older"): Reply(status=403, body=b"Your Authorization Token has expired."),
            ("manifest", "team/elsewhere"): error(403, "DENIED", "Your Authorization Token is invalid."),
            ("manifest", "team/unlisted"): _aws_denied("no identity-based policy allows the ecr:BatchGetImage action"),
            ("manifest", "team/theirs"): _aws_denied("no resource-based policy allows the ecr:BatchGetImage action"),
            ("manifest", "team/forbidden"): _aws_denied("of an explicit deny in an identity-based policy"),
        },
    ),
    Provider.GITLAB: ProviderRegistry(
        host="registry.gitlab.com",
        path="acme/app",
        realm="https://gitlab.com/jwt/auth",
        service="container_registry",
        rejected=error(401, "UNAUTHORIZED", "HTTP Basic: Access denied. The provided password or token is incorrect"),
        denied=_UNAUTHORIZED,
        missing=_UNKNOWN,
        special={("token", "acme/secret"): error(403, "DENIED", "access forbidden")},
    ),
    Provider.QUAY: ProviderRegistry(
        host="quay.io",
        path="acme/app",
        realm="https://quay.io/v2/auth",
        service="quay.io",
        rejected=error(401, "UNAUTHORIZED", "Invalid Username or Password"),
        denied=_NOT_AUTHORIZED,
        missing=_UNKNOWN,
        special={
            ("token", "no-robot"): error(401, "UNAUTHORIZED", "Could not find robot with specified username"),
            ("manifest", "acme/old"): error(404, "TAG_EXPIRED", "Tag 1 was deleted or has expired."),
            ("manifest", "acme/closed"): error(405, "UNSUPPORTED", "namespace disabled"),
            ("manifest", "acme/full"): error(403, "DENIED", "Quota has been exceeded on namespace"),
            ("manifest", "acme/a/b"): error(400, "NAME_INVALID", "invalid repository name"),
        },
    ),
    Provider.HARBOR: ProviderRegistry(
        host="harbor.test",
        path="acme/app",
        realm="https://harbor.test/service/token",
        service="harbor-registry",
        rejected=error(401, "UNAUTHORIZED", "unauthorized"),
        denied=error(401, "UNAUTHORIZED", "unauthorized to access repository: acme/other, action: pull"),
        missing=_UNKNOWN,
    ),
    Provider.JFROG: ProviderRegistry(
        host="acme.jfrog.io",
        path="dev/app",
        realm="https://acme.jfrog.io/artifactory/api/docker/dev/v2/token",
        service="acme.jfrog.io",
        rejected=error(401, "UNAUTHORIZED", "Authentication is required"),
        denied=error(403, "DENIED", "The client does not have permission for manifest"),
        missing=_UNKNOWN,
        special={("token", "half-a-token"): error(401, "UNAUTHORIZED", "Bad props auth token: half")},
    ),
    Provider.GITEA: ProviderRegistry(
        host="git.test",
        path="acme/app",
        realm="https://git.test/v2/token",
        service="container_registry",
        basic_too=True,
        rejected=_UNAUTHORIZED,
        denied=_UNAUTHORIZED,
        missing=_UNKNOWN,
    ),
    Provider.DIGITALOCEAN: ProviderRegistry(
        host="registry.digitalocean.com",
        path="acme/app",
        realm="https://api.digitalocean.com/v2/registry/auth",
        service="registry.digitalocean.com",
        rejected=error(401, "UNAUTHORIZED", "unauthorized"),
        denied=_UNAUTHORIZED,
        missing=_UNKNOWN,
    ),
    Provider.PLAIN: ProviderRegistry(
        host="r.test:8443",
        path="app",
        rejected=_UNAUTHORIZED,
        denied=error(403, "DENIED", "requested access to the resource is denied"),
        missing=_UNKNOWN,
    ),
}
PUBLIC_ECR = ProviderRegistry(  # what it thinks of a token that is too old is 400
    host="public.ecr.aws", path="acme/app", realm="https://public.ecr.aws/token/", service="public.ecr.aws",
    rejected=Reply(status=400), denied=_aws_denied(), missing=_UNKNOWN,
    special={("manifest", "acme/old"): Reply(status=400)},
)  # fmt: skip
BROKEN_HARBOR = ProviderRegistry(  # the ping falls back to Basic
    host="harbor.test", path="acme/app", rejected=_UNAUTHORIZED,
    denied=error(401, "UNAUTHORIZED", "unauthorized to access repository: acme/other, action: pull"), missing=_UNKNOWN,
)  # fmt: skip
WEB_SITE = Reply(headers={"Content-Type": "text/html"}, body=b"<html>")
