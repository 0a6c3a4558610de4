"""Which HTTP status a Problem has: decided here for REST, the console and git.

The registry's specification wants other statuses for what a client did wrong (`oci/problems.py`); what went wrong on the
server's side (5xx) it answers like the others.
"""

from collections.abc import Mapping

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
# Codes with another status than their class. Some have it because GitHub's API answers so.
_STATUS_OF_CODE = {
    "blob.disk_full": 507,
    "blob.lost": 500,
    "blob.unavailable": 503,
    "codespace.access_users": 400,
    "doctor.busy": 429,
    "export.branch_exists": 422,
    "export.in_progress": 422,
    "export.not_running": 422,
    "exec.subprotocol": 400,
    "exec.too_many": 429,
    "git.busy": 429,
    "git.disk_full": 507,
    "package.last_tagged": 400,
    "package.page": 400,
    "package.type": 400,
    "registry_login.busy": 429,
    "request.idle": 408,
    "request.malformed": 400,
    "request.too_large": 413,
    "server.disk_full": 507,
    "session.too_many_attempts": 429,
    "store.full": 507,
    "store.unavailable": 503,
}


def status_of(problem: Problem) -> int:
    """A test walks all subclasses of Problem and fails where one is missing here."""
    if problem.code in _STATUS_OF_CODE:
        return _STATUS_OF_CODE[problem.code]
    for kind in type(problem).__mro__:
        if kind in STATUSES:
            return STATUSES[kind]
    raise TypeError(f"{type(problem).__name__} has no HTTP status")


def bug_text(request_id: str) -> str:
    """What whoever met a bug is told: nothing of it but where the log has it."""
    return f"Server Error. The request id is {request_id}."
