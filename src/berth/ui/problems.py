"""From Problem to a page: one table. Hidden and missing are the same page (A13)."""

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
_STATUS_OF_CODE = {
    "request.too_large": 413,
    "session.too_many_attempts": 429,
    "store.full": 507,
    "store.unavailable": 503,
}
_TITLES = {
    403: "You may not do this",
    404: "There is no such page",
    409: "This does not fit what is there",
    413: "Too large",
    422: "This cannot be done",
    429: "Too many attempts",
    502: "Something that Berth needs did not answer",
    503: "Something that Berth needs did not answer",
    507: "No room is left",
}


def status_of(problem: Problem) -> int:
    """The HTTP status. A test walks all subclasses of Problem and fails where one is missing here."""
    if problem.code in _STATUS_OF_CODE:
        return _STATUS_OF_CODE[problem.code]
    for kind in type(problem).__mro__:
        if kind in STATUSES:
            return STATUSES[kind]
    raise TypeError(f"{type(problem).__name__} has no HTTP status")


def title_of(status: int) -> str:
    """The heading of the page."""
    return _TITLES.get(status, "This did not work")
