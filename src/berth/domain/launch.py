"""What a launch is made of: the environment of a codespace, and the finding that a failed one ends with (L8, L9)."""

from collections.abc import Mapping
from dataclasses import dataclass

from berth.domain.docker_config_files import FRESH_FILE
from berth.domain.finding import Finding, Fixer
from berth.domain.problem import Problem
from berth.domain.secret_text import SecretText


@dataclass(frozen=True, slots=True, kw_only=True)
class CodespaceIdentity:
    """Who and where a codespace is; what rule L9 tells it about itself."""

    name: str
    user_login: str
    user_name: str
    user_email: str
    repository_full_name: str
    origin: str  # scheme://host[:port] of this server


def container_environment(identity: CodespaceIdentity) -> dict[str, str]:
    """The part of L9 that is no secret: it is in the container's own environment, seen by every process in it."""
    host = identity.origin.partition("://")[2]
    return {
        "CODESPACES": "true",
        "CODESPACE_NAME": identity.name,
        "GITHUB_USER": identity.user_login,
        "GITHUB_REPOSITORY": identity.repository_full_name,
        "GITHUB_API_URL": f"{identity.origin}/api/v3",
        "GITHUB_SERVER_URL": identity.origin,
        "GITHUB_GRAPHQL_URL": f"{identity.origin}/api/graphql",
        "GH_HOST": host,
        "GIT_COMMITTER_NAME": identity.user_name,
        "GIT_COMMITTER_EMAIL": identity.user_email,
    }


# git asks this helper for a password to our own origin and to no other. The file is renewed (C8), the variable is of when
# the shell began.
GIT_HELPER = (
    f'!f() {{ test "$1" = get || return 0; token=; test ! -r {FRESH_FILE} || read -r token < {FRESH_FILE}; '
    'echo username=x-access-token; echo "password=${token:-$GITHUB_TOKEN}"; }; f'
)


def session_environment(
    identity: CodespaceIdentity, secrets: Mapping[str, SecretText], token: SecretText | None
) -> dict[str, str | SecretText]:
    """What terminals, `exec` sessions and the hooks after creation get (S7): the secrets, the token, git's way to it.

    A secret cannot replace what L9 promises: its names begin with GITHUB_, which no secret's does (S1), or come last.
    Without a token git has nothing to show us.
    """
    settings: dict[str, str] = {}
    held: dict[str, str | SecretText] = {}
    if token is not None:
        settings[f"credential.{identity.origin}.helper"] = GIT_HELPER
        held["GITHUB_TOKEN"] = token
    settings["safe.directory"] = "*"  # the checkout belongs to the user, its parent to the engine
    git = {"GIT_CONFIG_COUNT": str(len(settings))}
    for index, (key, value) in enumerate(settings.items()):
        git |= {f"GIT_CONFIG_KEY_{index}": key, f"GIT_CONFIG_VALUE_{index}": value}
    return {**secrets, **git, **container_environment(identity), **held}


# Who can mend a failed launch, by the first words of the problem's code; the longest match wins.
_FIXERS = {
    "codespace": Fixer.DEVELOPER,
    "codespace.policy_option": Fixer.ORGANIZATION_OWNER,
    "credential": Fixer.DEVELOPER,
    "compose": Fixer.DEVELOPER,
    "compose.name_taken": Fixer.SITE_ADMIN,
    "container": Fixer.DEVELOPER,
    "export": Fixer.DEVELOPER,
    "feature": Fixer.DEVELOPER,
    "export.read_only": Fixer.REPOSITORY_ADMIN,
    "devcontainer": Fixer.DEVELOPER,
    "devcontainer.not_installed": Fixer.SITE_ADMIN,
    "engine": Fixer.SITE_ADMIN,
    "git.tree_malformed": Fixer.DEVELOPER,
    "git.tree_too_large": Fixer.DEVELOPER,
    "image": Fixer.DEVELOPER,
    "image.pull_failed": Fixer.SITE_ADMIN,
    "image_reference": Fixer.DEVELOPER,
    "package": Fixer.REPOSITORY_ADMIN,
    "registry": Fixer.REGISTRY,
    "registry_host": Fixer.DEVELOPER,
    "repository": Fixer.REPOSITORY_ADMIN,
    "secret": Fixer.SITE_ADMIN,
    "store": Fixer.SITE_ADMIN,
}
_NEXT_STEPS = {
    Fixer.DEVELOPER: "Mend it, then try again.",
    Fixer.REPOSITORY_ADMIN: "Ask an administrator of the repository.",
    Fixer.ORGANIZATION_OWNER: "Ask an owner of the organization.",
    Fixer.SITE_ADMIN: "Ask the administrator of this server; its log names the codespace.",
    Fixer.REGISTRY: "Ask whoever runs that registry, then start the codespace again.",
}


def finding_of(problem: Problem) -> Finding:
    """The finding for a problem that ended a launch, a start or an export."""
    words = problem.code.split(".")
    fixer = Fixer.SITE_ADMIN
    for length in range(1, len(words) + 1):
        fixer = _FIXERS.get(".".join(words[:length]), fixer)
    return Finding(
        code=problem.code, sentence=problem.message, fixer=fixer, next_step=problem.remedy or _NEXT_STEPS[fixer]
    )


INTERNAL = Finding(
    code="internal",
    sentence="Berth itself failed while it worked on this codespace.",
    fixer=Fixer.SITE_ADMIN,
    next_step="Start the codespace again; if it fails again, the server's log names it.",
)
LOST = Finding(
    code="container.lost",
    sentence="The codespace's container is gone from the engine: somebody removed it, or the engine lost its data.",
    fixer=Fixer.DEVELOPER,
    next_step="Rebuild it: berth codespace rebuild NAME. The checkout lies on the server and is kept.",
)
