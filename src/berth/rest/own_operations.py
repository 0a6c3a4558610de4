"""Our own operations, which GitHub does not describe: what they take and what they answer (DESIGN section 3.1).

A key is as in docs/api.md: `{package}` stands for each of a package's three paths. Bodies of requests are the types that the
handlers parse. Every answer that a test receives is checked against these schemas (tests/rest/schema.py).
"""

from enum import StrEnum

from berth.domain.access import Effect
from berth.domain.doctor import CheckID, CheckState
from berth.domain.last_check import UNTRIED
from berth.domain.package_access import PackageAction
from berth.domain.package_settings import MAX_RETENTION_DAYS
from berth.domain.registry_credential import CredentialKind
from berth.domain.registry_login import LoginOutcome
from berth.domain.registry_provider import Provider
from berth.domain.repository import Visibility
from berth.domain.scope import Scope
from berth.domain.secret import SecretLevel
from berth.domain.workflow_permissions import WorkflowPermission
from berth.rest.access_token import CreateToken
from berth.rest.codespace import ExecCommand, RebuildCodespace
from berth.rest.codespace_policy import SetCodespacePolicy
from berth.rest.doctor import DiagnoseImage
from berth.rest.graphql import GraphQLRequest
from berth.rest.operation_schema import BASE64 as _BASE64
from berth.rest.operation_schema import FINDING, OwnOperation, Schema, closed, request_schema
from berth.rest.operation_schema import LOG_LINE as _LOG_LINE
from berth.rest.operation_schema import MAYBE_NUMBER as _MAYBE_NUMBER
from berth.rest.operation_schema import MAYBE_TEXT as _MAYBE_TEXT
from berth.rest.operation_schema import MAYBE_TIME as _MAYBE_TIME
from berth.rest.operation_schema import NUMBER as _NUMBER
from berth.rest.operation_schema import PAGES as _PAGES
from berth.rest.operation_schema import TEXT as _TEXT
from berth.rest.operation_schema import TIME as _TIME
from berth.rest.operation_schema import YES as _YES
from berth.rest.operation_schema import github as _github
from berth.rest.operation_schema import list_of as _list
from berth.rest.operation_schema import query as _query
from berth.rest.operation_schema import words as _words
from berth.rest.package_grant import SetRole
from berth.rest.package_settings import ChangePolicy, ChangeSettings
from berth.rest.prebuild_operations import PREBUILD_OPERATIONS
from berth.rest.registry_check import CheckLogin
from berth.rest.workflow_token import CreateWorkflowToken

__all__ = ["FAILED_HOOK", "FINDING", "OWN_OPERATIONS", "OwnOperation", "closed", "request_schema"]


def _with_role(name: str) -> Schema:
    return {"allOf": [_github(name), {"type": "object", "properties": {"role": _ROLE}, "required": ["role"]}]}


class _Role(StrEnum):
    """Roles on packages."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


_ROLE = _words(_Role)
_GRAPHQL_ERROR = closed(type=_TEXT, path=_list(_TEXT), message=_TEXT, code=_TEXT)
_GRAPHQL: Schema = {
    "type": "object",
    "properties": {"data": {"type": "object"}, "errors": _list(_GRAPHQL_ERROR)},
    "additionalProperties": False,
}
_SCOPES = _words(scope for scope in Scope if scope is not Scope.SITE_ADMIN)
_RETENTION: Schema = {"type": ["integer", "null"], "minimum": 1, "maximum": MAX_RETENTION_DAYS}

FAILED_HOOK = closed(hook=_TEXT, exit_code=_NUMBER, at=_TIME)
_TOKEN: dict[str, Schema] = {
    "id": _NUMBER,
    "note": _TEXT,
    "scopes": _list(_words(Scope)),
    "hint": _TEXT,
    "created_at": _TIME,
    "expires_at": _MAYBE_TIME,
    "last_used_at": _MAYBE_TIME,
}
_SETTINGS = closed(
    id=_NUMBER,
    name=_TEXT,
    owner=_TEXT,
    url=_TEXT,
    visibility=_words(Visibility),
    inherit_access=_YES,
    linked=_YES,
    repository=_MAYBE_TEXT,
    untagged_retention_days=_RETENTION,
)
_POLICY = closed(inherit_access_default=_YES, creatable_visibilities=_list(_words(Visibility)))
_CODESPACE_POLICY = closed(
    name=_TEXT,
    allowed_images={"anyOf": [_list(_TEXT), {"type": "null"}]},
    allowed_options={"anyOf": [_list(_TEXT), {"type": "null"}]},
    idle_timeout_max_minutes=_MAYBE_NUMBER,
    retention_max_minutes=_MAYBE_NUMBER,
    max_codespaces_per_user=_MAYBE_NUMBER,
    max_codespaces=_MAYBE_NUMBER,
)
_REGISTRY = closed(
    server=_MAYBE_TEXT,
    level=_words(SecretLevel, null=True),
    prefix=_MAYBE_TEXT,
    kind=_words(CredentialKind, null=True),
    expires_at=_MAYBE_TIME,
    shadowed=_YES,
    incomplete=_YES,
    reason=_TEXT,
    warnings=_list(_TEXT),
    last_check={
        "anyOf": [
            closed(outcome=_words([*LoginOutcome, UNTRIED.word]), code=_MAYBE_TEXT, checked_at=_MAYBE_TIME),
            {"type": "null"},
        ]
    },
)
_UNSHARED = closed(server=_TEXT, level=_words(SecretLevel), prefix=_TEXT, reason=_TEXT, next_step=_TEXT)
_LOGIN = closed(
    server=_TEXT,
    provider=_words(Provider),
    kind=_words(CredentialKind, null=True),
    outcome=_words(LoginOutcome),
    sentence=_TEXT,
    finding={"anyOf": [FINDING, {"type": "null"}]},
    warnings=_list(_TEXT),
    expires_at=_MAYBE_TIME,
    digest=_MAYBE_TEXT,
)
_DIAGNOSIS = closed(
    image=_TEXT,
    provider=_words(Provider),
    healthy=_YES,
    digest=_MAYBE_TEXT,
    finding={"anyOf": [FINDING, {"type": "null"}]},
    credential={"anyOf": [closed(level=_words(SecretLevel, null=True), prefix=_MAYBE_TEXT), {"type": "null"}]},
    with_credential=_MAYBE_TEXT,
    without_credential=_TEXT,
    checks=_list(
        closed(id=_words(CheckID), state=_words(CheckState), sentence=_TEXT, because=_words(CheckID, null=True))
    ),
)
_EXPLANATION = closed(
    package=_TEXT,
    action=_words(PackageAction),
    asked_of=_TEXT,
    allowed=_YES,
    trail=_list(closed(rule=_TEXT, effect=_words(Effect), text=_TEXT)),
)
_EVENT: Schema = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("@timestamp", "created_at", "user_id"), _NUMBER),
        **dict.fromkeys(("_document_id", "action", "target", "detail", "user"), _TEXT),
        "actor": _MAYBE_TEXT,
        "actor_id": {"type": ["integer", "null"]},
    },
    "required": ["@timestamp", "_document_id", "action", "actor", "created_at", "target", "detail"],
}


def _repositories(item: Schema) -> Schema:
    return closed(total_count=_NUMBER, repositories=_list(item))


OWN_OPERATIONS: dict[str, OwnOperation] = {
    "GET /openapi.json": OwnOperation(
        id="berth/get-description",
        summary="This description",
        answer={"type": "object", "required": ["openapi", "info", "paths"]},
    ),
    "GET /user/tokens": OwnOperation(
        id="berth/list-tokens", summary="List your tokens", answer=_list(closed(**_TOKEN)), query=_PAGES
    ),
    "POST /user/tokens": OwnOperation(
        id="berth/create-token",
        summary="Create a token",
        status=201,
        answer=closed(**_TOKEN, token=_TEXT),
        request=CreateToken,
        narrowed={"scopes": {"items": _SCOPES}},
    ),
    "POST /graphql": OwnOperation(
        id="berth/graphql",
        summary="Answer the queries that gh sends beside REST",
        answer=_GRAPHQL,
        request=GraphQLRequest,
    ),
    "DELETE /user/tokens/{id}": OwnOperation(id="berth/revoke-token", summary="Revoke a token", status=204),
    "POST /admin/users/{login}/invitation": OwnOperation(
        id="berth/create-invitation",
        summary="Make a link by which a user sets a password",
        status=201,
        answer=closed(login=_TEXT, url=_TEXT, expires_at=_TIME),
    ),
    "POST /repos/{owner}/{repo}/workflow-tokens": OwnOperation(
        id="berth/create-workflow-token",
        summary="Create a token for a job of this repository",
        status=201,
        answer=closed(token=_TEXT, expires_at=_TIME),
        request=CreateWorkflowToken,
        narrowed={
            "permissions": {
                "properties": {"contents": _words(WorkflowPermission), "packages": _words(WorkflowPermission)},
                "additionalProperties": False,
            }
        },
    ),
    "GET /repos/{owner}/{repo}/codespaces/registries": OwnOperation(
        id="berth/list-registries",
        summary="List the registries that your codespace would be logged in to",
        answer=closed(
            total_count=_NUMBER, registries=_list(_REGISTRY), unshared=_list(_UNSHARED), withheld_reason=_MAYBE_TEXT
        ),
    ),
    **{
        f"POST {base}/codespaces/registries/check": OwnOperation(
            id=f"berth/check-registry-login-of-{level}",
            summary=f"Try a registry's login before it is stored as secrets of {words}",
            answer=_LOGIN,
            request=CheckLogin,
        )
        for base, level, words in (
            ("/user", "user", "your account"),
            ("/repos/{owner}/{repo}", "repository", "a repository"),
            ("/orgs/{org}", "organization", "an organization"),
        )
    },
    "POST /repos/{owner}/{repo}/codespaces/doctor": OwnOperation(
        id="berth/diagnose-image",
        summary="Say why your codespaces do not get an image",
        answer=_DIAGNOSIS,
        request=DiagnoseImage,
    ),
    "GET /user/codespaces/{name}/logs": OwnOperation(
        id="berth/read-log",
        summary="Read a codespace's log",
        answer=_list(_LOG_LINE),
        query=(_query("follow", _words(("0", "1"))),),
        streams=True,
    ),
    "POST /user/codespaces/{name}/rebuild": OwnOperation(
        id="berth/rebuild-codespace",
        summary="Make a codespace's container anew",
        status=202,
        answer=_github("codespace"),
        request=RebuildCodespace,
    ),
    "POST /user/codespaces/{name}/heartbeat": OwnOperation(
        id="berth/keep-codespace-running", summary="Say that a codespace is in use", status=204
    ),
    "POST /user/codespaces/{name}/exec": OwnOperation(
        id="berth/execute",
        summary="Run a command in a codespace",
        answer=closed(exit_code=_NUMBER, output=_BASE64, encoding=_words(("base64",))),
        request=ExecCommand,
        narrowed={"command": {"minItems": 1}},
    ),
    "GET {package}/settings": OwnOperation(
        id="berth/get-package-settings", summary="Get a package's settings", answer=_SETTINGS
    ),
    "PATCH {package}": OwnOperation(
        id="berth/change-package-settings",
        summary="Change a package's settings",
        answer=_SETTINGS,
        request=ChangeSettings,
        narrowed={
            "visibility": _words(Visibility, null=True),
            "untagged_retention_days": {"anyOf": [{**_RETENTION, "type": "integer"}, {"type": "null"}]},
        },
    ),
    "GET {package}/access": OwnOperation(
        id="berth/explain-package-access",
        summary="Explain who may do what with a package",
        answer=_EXPLANATION,
        query=(_query("action", _words(PackageAction)), _query("user", _TEXT), _query("repository", _TEXT)),
    ),
    "GET {package}/collaborators": OwnOperation(
        id="berth/list-package-collaborators",
        summary="List users with a role on a package",
        answer=_list(_with_role("simple-user")),
        query=_PAGES,
    ),
    "PUT {package}/collaborators/{collaborator}": OwnOperation(
        id="berth/set-package-collaborator",
        summary="Give a user a role on a package",
        status=204,
        request=SetRole,
        narrowed={"role": _ROLE},
    ),
    "DELETE {package}/collaborators/{collaborator}": OwnOperation(
        id="berth/remove-package-collaborator", summary="Take a user's role on a package", status=204
    ),
    "GET {package}/teams": OwnOperation(
        id="berth/list-package-teams",
        summary="List teams with a role on a package",
        answer=_list(_with_role("team")),
        query=_PAGES,
    ),
    "PUT {package}/teams/{team_slug}": OwnOperation(
        id="berth/set-package-team",
        summary="Give a team a role on a package",
        status=204,
        request=SetRole,
        narrowed={"role": _ROLE},
    ),
    "DELETE {package}/teams/{team_slug}": OwnOperation(
        id="berth/remove-package-team", summary="Take a team's role on a package", status=204
    ),
    "GET {package}/codespaces/repositories": OwnOperation(
        id="berth/list-package-codespaces-repositories",
        summary="List repositories whose codespaces may pull a package",
        answer=_repositories(_github("minimal-repository")),
        query=_PAGES,
    ),
    "PUT {package}/codespaces/repositories/{repository_id}": OwnOperation(
        id="berth/add-package-codespaces-repository",
        summary="Let a repository's codespaces pull a package",
        status=204,
    ),
    "DELETE {package}/codespaces/repositories/{repository_id}": OwnOperation(
        id="berth/remove-package-codespaces-repository",
        summary="Stop letting a repository's codespaces pull a package",
        status=204,
    ),
    "GET {package}/actions/repositories": OwnOperation(
        id="berth/list-package-workflow-repositories",
        summary="List repositories whose workflows have a role on a package",
        answer=_repositories(_with_role("minimal-repository")),
        query=_PAGES,
    ),
    "PUT {package}/actions/repositories/{repository_id}": OwnOperation(
        id="berth/set-package-workflow-repository",
        summary="Give a repository's workflows a role on a package",
        status=204,
        request=SetRole,
        narrowed={"role": _ROLE},
    ),
    "DELETE {package}/actions/repositories/{repository_id}": OwnOperation(
        id="berth/remove-package-workflow-repository",
        summary="Take the role of a repository's workflows on a package",
        status=204,
    ),
    "GET /orgs/{org}/packages/policy": OwnOperation(
        id="berth/get-package-policy", summary="Get an organization's policy for packages", answer=_POLICY
    ),
    "PUT /orgs/{org}/packages/policy": OwnOperation(
        id="berth/change-package-policy",
        summary="Change an organization's policy for packages",
        answer=_POLICY,
        request=ChangePolicy,
    ),
    "GET /orgs/{org}/codespaces/policies": OwnOperation(
        id="berth/list-codespace-policies",
        summary="List an organization's policies for codespaces",
        answer=closed(total_count=_NUMBER, policies=_list(_CODESPACE_POLICY)),
    ),
    "GET /orgs/{org}/codespaces/policies/{policy_name}": OwnOperation(
        id="berth/get-codespace-policy",
        summary="Get a policy for codespaces",
        answer=_CODESPACE_POLICY,
    ),
    "PUT /orgs/{org}/codespaces/policies/{policy_name}": OwnOperation(
        id="berth/set-codespace-policy",
        summary="Make or replace a policy for codespaces",
        answer=_CODESPACE_POLICY,
        request=SetCodespacePolicy,
    ),
    "DELETE /orgs/{org}/codespaces/policies/{policy_name}": OwnOperation(
        id="berth/delete-codespace-policy", summary="Delete a policy for codespaces", status=204
    ),
    "GET /user/audit-log": OwnOperation(
        id="berth/list-own-audit-log", summary="List the events of your account", answer=_list(_EVENT), query=_PAGES
    ),
    **PREBUILD_OPERATIONS,
}
