"""Rows of the table of failures: registries that somebody else runs (`provider_failure.py`)."""

from berth.domain.credential_form import ACCESS_TOKEN_USER, ACR_REFRESH_USER
from berth.domain.failure_row import ANONYMOUS, ANY_REFUSAL, DENIED, LIMITED, MISSING, REJECTED, Row, make_row
from berth.domain.finding import Fixer
from berth.domain.registry_provider import Provider

DOCKER_HUB: tuple[Row, ...] = (
    make_row(
        Provider.DOCKER_HUB,
        REJECTED,
        (
            "The token in {credential} may not pull private images of Docker Hub: its scopes are not enough.",
            None,
            "Make a personal access token with Read-only (not `Public Repo Read-only`) at Docker Hub, and set PASSWORD to it.",
        ),
        code="image.scope_missing",
        said="insufficient scope",
    ),
    make_row(
        Provider.DOCKER_HUB,
        REJECTED,
        (
            "Docker Hub rejected the credential {credential}: its user name is an e-mail address.",
            None,
            "Set USER to the Docker ID; for an organization access token it is the organization's name.",
        ),
        user=r"[^@\s]+@[^@\s]+",
    ),
    make_row(
        Provider.DOCKER_HUB,
        REJECTED,
        (
            "Docker Hub rejected the credential {credential}: the Docker ID or the password is wrong, or the token was revoked.",
            None,
            "Make a personal access token with Read-only at Docker Hub (Account settings), and set USER and PASSWORD again.",
        ),
    ),
    make_row(
        Provider.DOCKER_HUB,
        DENIED,
        (
            (
                "Docker Hub takes the credential {credential}, but does not give it {image}. The image does not exist, or is "
                "private to others, or the token is `Public Repo Read-only`: Docker Hub hides which."
            ),
            None,
            "Check the image's name; give that account read access to it; use a token with Read-only.",
        ),
    ),
    make_row(
        Provider.DOCKER_HUB,
        LIMITED,
        (
            "Docker Hub takes no login from here for a while: too many have failed.",
            Fixer.DEVELOPER,
            "Set a good password first, then wait{wait}; each try with a bad one prolongs it.",
        ),
        code="registry.login_blocked",
        said="too many failed login",
    ),
    make_row(
        Provider.DOCKER_HUB,
        LIMITED,
        (
            (
                "Docker Hub's limit of pulls is reached{limit}. Without a login it is shared by all who come from this server's "
                "address."
            ),
            Fixer.DEVELOPER,
            "Wait{wait}; or log in: `berth registry add docker.io`. A paid account has no such limit.",
        ),
    ),
)

GHCR: tuple[Row, ...] = (
    make_row(
        Provider.GHCR,
        REJECTED,
        (
            "ghcr.io rejected the credential {credential}: it is a fine-grained token, which GitHub's registry does not take.",
            None,
            "Make a classic token with `read:packages` at GitHub, and set PASSWORD to it.",
        ),
        beginning="github_pat_",
    ),
    make_row(
        Provider.GHCR,
        REJECTED,
        (
            "ghcr.io rejected the credential {credential}: the token is wrong, expired or revoked.",
            None,
            "Make a classic token with `read:packages` at GitHub (ghp_…), and set PASSWORD to it.",
        ),
    ),
    make_row(
        Provider.GHCR,
        DENIED,
        (
            (
                "ghcr.io takes the credential {credential}, but does not let it pull {image}: the token lacks `read:packages` or "
                "its SSO authorisation, or its user has no access; or there is no such package: ghcr.io hides which."
            ),
            None,
            "Give the token `read:packages`, authorise it for the organization (Configure SSO), and give its user read access.",
        ),
    ),
)

ACR: tuple[Row, ...] = (
    make_row(
        Provider.ACR,
        ANY_REFUSAL,
        (
            "The firewall of {host} does not let this server in; no credential changes that.",
            Fixer.REGISTRY,
            "Have the address that this server calls from allowed in the registry's network settings (Public access).",
        ),
        code="registry.firewall",
        status=403,
        said=r"client with ip|is not allowed access",
    ),
    make_row(
        Provider.ACR,
        REJECTED,
        (
            "{host} rejected the credential {credential}: a refresh token lives for about 3 hours, so it has probably expired.",
            None,
            "Use a service principal, or a token of the registry (USER its name), which last longer.",
        ),
        code="image.token_expired",
        user=ACR_REFRESH_USER,
    ),
    make_row(
        Provider.ACR,
        REJECTED,
        (
            "{host} rejected the credential {credential}: for a service principal USER has to be its application id.",
            None,
            "Set USER to the application (client) id, 8-4-4-4-12 hexadecimal digits, not to the display name.",
        ),
        said="client id must be",
    ),
    make_row(
        Provider.ACR,
        REJECTED,
        (
            "{host} rejected the credential {credential}: the service principal's secret is wrong or has expired.",
            None,
            "Make a new secret for the service principal (`az ad sp credential reset --id APP_ID`), and set PASSWORD to it.",
        ),
        said="invalid client ?id or client secret",
    ),
    make_row(
        Provider.ACR,
        REJECTED,
        (
            "{host} rejected the credential {credential}.",
            None,
            "Check that USER and PASSWORD belong together; of an admin user, that it is switched on for this registry.",
        ),
    ),
    make_row(
        Provider.ACR,
        DENIED,
        (
            "{host} takes the credential {credential}, but does not let it pull {image}; or the image does not exist.",
            None,
            "Give it the role AcrPull on the registry; to a token, a scope map with content/read on {path}.",
        ),
    ),
)

GOOGLE: tuple[Row, ...] = (
    make_row(
        Provider.GOOGLE,
        REJECTED,
        (
            (
                "{host} rejected the credential {credential}: an access token of Google lives for 60 minutes, so it has probably "
                "expired."
            ),
            None,
            "Use a service account's key: USER _json_key, PASSWORD the JSON.",
        ),
        code="image.token_expired",
        user=ACCESS_TOKEN_USER,
    ),
    make_row(
        Provider.GOOGLE,
        REJECTED,
        (
            "{host} rejected the credential {credential}: the service account's key is damaged, deleted or switched off.",
            None,
            "Make a new key, and set PASSWORD to the whole JSON (USER _json_key) or to its base64 (USER _json_key_base64).",
        ),
    ),
    make_row(
        Provider.GOOGLE,
        DENIED,
        (
            (
                "{host} takes the credential {credential}, but does not let it pull {image}; or there is no such image or "
                "repository: Google hides which."
            ),
            None,
            "Check project, repository and image in the name; give the service account roles/artifactregistry.reader there.",
        ),
    ),
    make_row(
        Provider.GOOGLE,
        ANONYMOUS,
        (
            "{host} does not show {image} to anonymous callers, and there is no credential for exactly {host}.",
            Fixer.DEVELOPER,
            "Set three secrets for {host}; each location (…-docker.pkg.dev) is a host of its own: `berth registry add {host}`.",
        ),
    ),
)

ECR: tuple[Row, ...] = (
    make_row(
        Provider.ECR,
        REJECTED,
        (
            "{host} rejected the token of {credential}: it is none of AWS's, or not a whole one.",
            None,
            "Set USER and PASSWORD to an access key's id and secret, which Berth swaps for a token by itself.",
        ),
    ),
    make_row(
        Provider.ECR,
        "image.token_expired",
        (
            (
                "{host} does not take the token of {credential}: it is one of another region, or AWS has ended it, as it does "
                "with the key's end."
            ),
            None,
            (
                "Look in the AWS console (IAM) whether the key is active. In the place of a ready token set an access key's id and "
                "secret, which Berth swaps for a token of the right region."
            ),
        ),
        said="authorization token is invalid",
    ),
    make_row(
        Provider.ECR,
        DENIED,
        (
            "{host} takes the credential {credential}, but a policy forbids it to pull {image}.",
            None,
            (
                "Have the Deny removed: it stands in the identity's IAM policy, in the policy of the repository {path}, or in one "
                "of the AWS organization."
            ),
        ),
        said="explicit deny|service control policy|permissions boundary",
    ),
    make_row(
        Provider.ECR,
        DENIED,
        (
            (
                "{host} takes the credential {credential}, but the policy of the repository {path} does not let its AWS account "
                "pull {image}."
            ),
            Fixer.REGISTRY,
            (
                "Check the account in the image's host. If it is right, have ecr:BatchGetImage, ecr:GetDownloadUrlForLayer and "
                "ecr:BatchCheckLayerAvailability allowed to your AWS account in the repository's policy there."
            ),
        ),
        said="resource-based policy",
    ),
    make_row(
        Provider.ECR,
        DENIED,
        (
            (
                "{host} takes the credential {credential}, but does not let it pull {image}: its IAM policy does not allow it, or "
                "another account's repository policy."
            ),
            None,
            (
                "Allow ecr:BatchGetImage, ecr:GetDownloadUrlForLayer and ecr:BatchCheckLayerAvailability on the repository {path}; "
                "docs/registries.md has a policy that is enough."
            ),
        ),
    ),
    make_row(
        Provider.ECR,
        MISSING,
        (
            "There is no repository {path} in the account and region of {host}.",
            Fixer.DEVELOPER,
            "Check the repository's name, and account and region in the image's host: a repository is in one region only.",
        ),
        error_code="NAME_UNKNOWN",
    ),
    make_row(
        Provider.ECR,
        MISSING,
        (
            "{host} has no {image}.{tags}",
            Fixer.DEVELOPER,
            "Check the image's name and tag; a lifecycle policy of the repository may have deleted it.",
        ),
    ),
)

DIGITALOCEAN: tuple[Row, ...] = (
    make_row(
        Provider.DIGITALOCEAN,
        REJECTED,
        (
            "{host} rejected the credential {credential}: the token is wrong or has expired.",
            None,
            "Make an API token with registry:read at DigitalOcean, and set both USER and PASSWORD to it.",
        ),
    ),
    make_row(
        Provider.DIGITALOCEAN,
        DENIED,
        (
            "{host} takes the credential {credential}, but does not let it pull {image}; or the image does not exist.",
            None,
            "Use a token of the team that owns the registry, with registry:read, and check the image's name.",
        ),
    ),
)
