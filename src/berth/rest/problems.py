"""From Problem to GitHub's error bodies.

Source: GitHub REST docs, "Troubleshooting"; which texts clients react to: GITHUB_API sections 2.1 to 2.4 of the references.
"""

from typing import Any

from berth.domain.problem import Invalid, Problem
from berth.edge.problem_status import status_of

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


def error_body(problem: Problem, documentation_url: str) -> dict[str, Any]:
    """GitHub's `basic-error`, or `validation-error` for a field, with our stable `code` and the `remedy` added."""
    status = status_of(problem)
    body: dict[str, Any] = {"message": problem.text, "documentation_url": documentation_url, "status": str(status)}
    body["code"] = problem.code
    if isinstance(problem, Invalid) and status == 422 and problem.field:
        resource = _RESOURCES.get(problem.code.partition(".")[0], _OTHER_RESOURCE)
        entry = {"resource": resource, "field": problem.field, "code": problem.reason, "message": problem.message}
        body["errors"] = [entry]
    return body
