"""Every error that Berth raises on purpose. Each class is an instruction to the caller, not a place in the code.

    Problem
    ├── Invalid           the input is malformed: mend it
    ├── Unauthenticated   no credential, or a bad or expired one: log in
    ├── Denied            known, but not allowed: ask who may
    ├── NotFound          there is no such thing, or it does not exist for this caller (A13)
    ├── Conflict          it exists already, or is in the wrong state: look first
    ├── LimitReached      too big, too many, too fast: wait or make room
    └── UpstreamFailed    the engine, another registry or git failed: retry or call its keeper

A Problem knows no HTTP: its status is decided in `edge/problem_status.py`, its body at each edge.
It never carries a secret: texts are shown to users and written to logs. A bug is not a Problem.
"""


class Problem(Exception):
    """An error with a stable `code` for programs, one sentence for people, and the next step where there is one."""

    code = "problem"

    def __init__(self, message: str, *, code: str | None = None, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        if code is not None:
            self.code = code

    @property
    def text(self) -> str:
        """All that people are told: the sentence, and the next step."""
        return f"{self.message} {self.remedy}".strip()


class Invalid(Problem):
    """The input is malformed. `field` names what to mend; `reason` is GitHub's validation code.

    Source: GitHub REST docs, "Troubleshooting", validation failed (missing, missing_field, invalid, already_exists,
    unprocessable, custom).
    """

    code = "invalid"

    def __init__(
        self, message: str, *, field: str = "", reason: str = "invalid", code: str | None = None, remedy: str = ""
    ) -> None:
        super().__init__(message, code=code, remedy=remedy)
        self.field = field
        self.reason = reason


class Unauthenticated(Problem):
    """No credential, or one that is bad, expired or revoked."""

    code = "unauthenticated"


class Denied(Problem):
    """The caller may know the thing, but not do this with it."""

    code = "denied"


class NotFound(Problem):
    """There is no such thing for this caller; hidden and missing are the same answer (A13)."""

    code = "not_found"


class Conflict(Problem):
    """The thing exists already, or its state forbids this."""

    code = "conflict"


class LimitReached(Problem):
    """A limit of size, number or rate. `retry_after_s` is set where waiting helps."""

    code = "limit_reached"

    def __init__(
        self, message: str, *, retry_after_s: int | None = None, code: str | None = None, remedy: str = ""
    ) -> None:
        super().__init__(message, code=code, remedy=remedy)
        self.retry_after_s = retry_after_s


class UpstreamFailed(Problem):
    """Something outside Berth failed: engine, registry, git. `retryable` says whether the same again may succeed."""

    code = "upstream_failed"

    def __init__(self, message: str, *, retryable: bool = False, code: str | None = None, remedy: str = "") -> None:
        super().__init__(message, code=code, remedy=remedy)
        self.retryable = retryable


def is_passing(problem: Problem) -> bool:
    """Whether the same again may succeed without anybody doing anything."""
    return problem.code == "store.full" or (isinstance(problem, UpstreamFailed) and problem.retryable)
