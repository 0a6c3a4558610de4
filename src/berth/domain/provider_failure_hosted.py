"""Rows of the table of failures: registries that people also run themselves (`provider_failure.py`)."""

from berth.domain.failure_row import ANONYMOUS, ANY_REFUSAL, DENIED, MISSING, NO_REGISTRY, REJECTED, Row, make_row
from berth.domain.finding import Fixer
from berth.domain.registry_provider import Provider

GITLAB: tuple[Row, ...] = (
    make_row(
        Provider.GITLAB,
        REJECTED,
        (
            (
                "{host} knows the credential {credential}, but gives it no access to {path}: no right to the project, or its "
                "registry is switched off, or there is no such project."
            ),
            None,
            "Check the image's name; let the token read that project's registry (read_registry, role Reporter).",
        ),
        code=DENIED,
        phase="token",
        status=403,
    ),
    make_row(
        Provider.GITLAB,
        REJECTED,
        (
            (
                "{host} rejected the credential {credential}: the token is wrong, has expired or lacks read_registry; with "
                "two-factor authentication an account's password is never taken."
            ),
            None,
            "Make a personal, project, group or deploy token with read_registry, and set USER and PASSWORD again.",
        ),
    ),
    make_row(
        Provider.GITLAB,
        DENIED,
        (
            "{host} takes the credential {credential}, but does not let it pull {image}; or the image does not exist.",
            None,
            "Check the image's name; let the token read that project's registry (read_registry, role Reporter).",
        ),
    ),
)

QUAY: tuple[Row, ...] = (
    make_row(
        Provider.QUAY,
        REJECTED,
        (
            "{host} has no robot of the name in {credential}.",
            None,
            "Set USER to the robot's full name, NAMESPACE+ROBOT, and PASSWORD to its token.",
        ),
        said="could not find robot",
    ),
    make_row(
        Provider.QUAY,
        REJECTED,
        (
            "{host} rejected the credential {credential}.",
            None,
            "Best use a robot: USER is NAMESPACE+ROBOT, PASSWORD its token. With an OAuth token USER is $oauthtoken.",
        ),
    ),
    make_row(
        Provider.QUAY,
        MISSING,
        (
            "The tag of {image} has expired at {host}: Quay removes tags after a time that was set for them.",
            Fixer.DEVELOPER,
            "Push it again, or name another tag.{tags}",
        ),
        code="image.tag_expired",
        error_code="TAG_EXPIRED",
    ),
    make_row(
        Provider.QUAY,
        ANY_REFUSAL,
        (
            "{host} refuses the name {path}.",
            Fixer.DEVELOPER,
            "Check the image's name; where nested names are not switched on it is NAMESPACE/NAME, with one slash.",
        ),
        code="image.name_refused",
        error_code="NAME_INVALID",
    ),
    make_row(
        Provider.QUAY,
        NO_REGISTRY,
        (
            "The namespace of {path} is disabled at {host}.",
            Fixer.REGISTRY,
            "Ask whoever keeps that namespace at {host}; no credential changes it.",
        ),
        code="registry.namespace_disabled",
        status=405,
    ),
    make_row(
        Provider.QUAY,
        (DENIED, ANONYMOUS),
        (
            "The quota of {path}'s namespace at {host} is used up.",
            Fixer.REGISTRY,
            "Have images deleted there, or the quota raised.",
        ),
        code="registry.quota_exceeded",
        status=403,
        said="quota",
    ),
    make_row(
        Provider.QUAY,
        DENIED,
        (
            (
                "{host} takes the credential {credential}, but does not let it pull {image}; or the image does not exist: Quay "
                "hides which."
            ),
            None,
            "Give that robot or user Read on the repository {path}, and check the image's name.",
        ),
    ),
)

HARBOR: tuple[Row, ...] = (
    make_row(
        Provider.HARBOR,
        REJECTED,
        (
            "{host} takes the credential {credential}, but does not let it pull {image}; or there is no such project.",
            None,
            "Give the robot or user `pull` in that project, and check the image's name.",
        ),
        code=DENIED,
        said="unauthorized to access repository",
    ),
    make_row(
        Provider.HARBOR,
        REJECTED,
        (
            "{host} rejected the credential {credential}: its user looks like a robot's name from which the $ is missing.",
            None,
            "Set USER to the full name, such as 'robot$acme+ci', in single quotes: a shell takes away what follows a $.",
        ),
        user=r"robot[A-Za-z0-9+_-]*",
    ),
    make_row(
        Provider.HARBOR,
        REJECTED,
        (
            "{host} rejected the credential {credential}: the robot's secret is wrong, or it has expired or is disabled.",
            None,
            "Look at the robot in Harbor: refresh its secret or prolong it, and set PASSWORD again.",
        ),
        user=r"robot\$.*",
    ),
    make_row(
        Provider.HARBOR,
        REJECTED,
        (
            "{host} rejected the credential {credential}.",
            None,
            "Best use a robot account. Who logs in to Harbor by OIDC has a CLI secret (User profile) instead of a password.",
        ),
    ),
    make_row(
        Provider.HARBOR,
        DENIED,
        (
            "{host} takes the credential {credential}, but does not let it pull {image}; or there is no such project.",
            None,
            "Give the robot or user `pull` in that project, and check the image's name.",
        ),
    ),
)

JFROG: tuple[Row, ...] = (
    make_row(
        Provider.JFROG,
        REJECTED,
        (
            "{host} takes the credential {credential}, but does not let it pull {image}.",
            None,
            "Give that user Read on the Docker repository in Artifactory, and check the image's name.",
        ),
        code=DENIED,
        said="does not have permission",
    ),
    make_row(
        Provider.JFROG,
        REJECTED,
        (
            "{host} rejected the token in {credential}: it has expired, was revoked, or is not a whole token.",
            None,
            "Make a new identity token in Artifactory, and set PASSWORD to it.",
        ),
        said="props auth token",
    ),
    make_row(
        Provider.JFROG,
        REJECTED,
        (
            "{host} rejected the credential {credential}: the token is wrong, or was made for another user than USER names.",
            None,
            "Set USER to the user that the token was made for, in lower case, and PASSWORD to the token.",
        ),
    ),
    make_row(
        Provider.JFROG,
        DENIED,
        (
            "{host} takes the credential {credential}, but does not let it pull {image}.",
            None,
            "Give that user Read on the Docker repository in Artifactory, and check the image's name.",
        ),
    ),
    make_row(
        Provider.JFROG,
        NO_REGISTRY,
        (
            "{host} is Artifactory, but has no registry at this address: it is reached by a sub-domain, a port, or a path.",
            Fixer.DEVELOPER,
            "Open the repository in Artifactory, choose Set Me Up, and take host and path from the docker pull shown there.",
        ),
        status=404,
    ),
)

GITEA: tuple[Row, ...] = (
    make_row(
        Provider.GITEA,
        REJECTED,
        (
            "{host} rejected the credential {credential}.",
            None,
            "Make an access token with read:package at {host} (Settings, Applications); USER is the login of its owner.",
        ),
    ),
    make_row(
        Provider.GITEA,
        DENIED,
        (
            "{host} takes the credential {credential}, but does not let it pull {image}; or the image does not exist.",
            None,
            "Give the token read:package, let its owner read the package's owner, and check the image's name.",
        ),
    ),
)
