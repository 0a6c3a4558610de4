"""From Problem to exit code and words on stderr: one place."""

from collections.abc import Mapping
from typing import Any

import typer
from typer.core import TyperGroup

from berth.cli.terminal import clean, say
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

FAILED, USAGE, NOT_LOGGED_IN = 1, 2, 4

EXIT_CODES: Mapping[type[Problem], int] = {
    Invalid: USAGE,
    Unauthenticated: NOT_LOGGED_IN,
    Denied: FAILED,
    NotFound: FAILED,
    Conflict: FAILED,
    LimitReached: FAILED,
    UpstreamFailed: FAILED,
}
_REMEDIES: Mapping[type[Problem], str] = {
    Unauthenticated: "Log in with: berth login URL",
    Denied: "Ask an administrator of the repository or organization, or use a token with more scopes.",
    NotFound: "Check the spelling; what your account may not see looks the same as what does not exist.",
}


def exit_code_of(problem: Problem) -> int:
    """A test walks all subclasses of Problem and fails where one is missing here."""
    for kind in type(problem).__mro__:
        if kind in EXIT_CODES:
            return EXIT_CODES[kind]
    raise TypeError(f"{type(problem).__name__} has no exit code")


def report(problem: Problem) -> None:
    """The problem and the way out of it, on stderr."""
    say(f"berth: {clean(problem.message)}")
    remedy = problem.remedy or _REMEDIES.get(type(problem), "")
    if remedy:
        say(f"  {clean(remedy)}")


class ProblemGroup(TyperGroup):
    """A group of commands in which a Problem ends the program with its exit code and without a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Problem as problem:
            report(problem)
            raise typer.Exit(exit_code_of(problem)) from None
