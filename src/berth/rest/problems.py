"""From Problem to GitHub's error bodies: one table.

Source: GitHub REST docs, "Troubleshooting"; which texts clients react to: GITHUB_API sections 2.1 to 2.4 of the references.
"""

from collections.abc import Mapping
from typing import Any

from berth.domain.problem import (
    Conflict,
    Denied,
    Invalid,
    LimitReached,
    NotFound,
    Problem,
    Unauthenticated,
    UpstreamFailed,
)

STATUSES: Mapping[type[Problem], int] = {
    Invalid: 422,
    Unauthenticated: 401,
    Denied: 403,
    NotFound: 404,
    Conflict: 409,
    LimitReached: 422,
    UpstreamFailed: 502,
}

# Codes that GitHub answers with another status than their class.
_STATUS_OF_CODE = {
    "blob.disk_full": 507,
    "blob.unavailable": 503,
    "codespace.access_users": 400,
    "doctor.busy": 429,
    "export.branch_exists": 422,
    "export.in_progress": 422,
    "export.not_running": 422,
    "exec.subprotocol": 400,
    "exec.too_many": 429,
    "git.disk_full": 507,
    "package.last_tagged": 400,
    "package.page": 400,
    "package.type": 400,
    "registry_login.busy": 429,
    "request.malformed": 400,
    "request.too_large": 413,
    "request.too_many": 429,
    "server.disk_full": 507,
    "store.full": 507,
    "store.unavailable": 503,
}

# What a field belongs to, by the first word of the code, in GitHub's words where it has one. gh prints `RESOURCE.FIELD is invalid`.
_RESOURCES = {
    "account": "User",
    "codespace": "Codespace",
    "contents": "Commit",
    "devcontainer": "Codespace",
    "fork": "Repository",
    "image_reference": "Codespace",
    "package": "Package",
    "pull_request": "PullRequest",
    "repository": "Repository",
    "role": "Repository",
    "scope": "PersonalAccessToken",
    "secret": "CodespaceSecret",
    "team": "Team",
    "token": "PersonalAccessToken",
    "workflow_token": "WorkflowToken",
}
_OTHER_RESOURCE = "Request"


def status_of(problem: Problem) -> int:
    """The HTTP status. A test walks all subclasses of Problem and fails where one is missing here."""
    if problem.code in _STATUS_OF_CODE:
        return _STATUS_OF_CODE[problem.code]
    for kind in type(problem).__mro__:
        if kind in STATUSES:
            return STATUSES[kind]
    raise TypeError(f"{type(problem).__name__} has no HTTP status")


def error_body(problem: Problem, documentation_url: str) -> dict[str, Any]:
    """GitHub's `basic-error`, or `validation-error` for a field, with our stable `code` and the `remedy` added."""
    status = status_of(problem)
    message = f"{problem.message} {problem.remedy}".strip()
    body: dict[str, Any] = {"message": message, "documentation_url": documentation_url, "status": str(status)}
    body["code"] = problem.code
    if isinstance(problem, Invalid) and status == 422 and problem.field:
        resource = _RESOURCES.get(problem.code.partition(".")[0], _OTHER_RESOURCE)
        entry = {"resource": resource, "field": problem.field, "code": problem.reason, "message": problem.message}
        body["errors"] = [entry]
    return body
