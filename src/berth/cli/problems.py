"""From Problem to exit code and words on stderr: one place."""

import re
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
# Of what a 404 says nothing but "Not Found", because missing and hidden are one answer: the code tells the kind of thing.
_NOT_FOUND = "Not Found"
_THINGS: Mapping[str, str] = {
    "account.not_found": "There is no such user or organization.",
    "codespace.not_found": "There is no such codespace.",
    "package.not_found": "There is no such package.",
    "prebuild.not_found": "There is no such prebuild.",
    "repository.not_found": "There is no such repository.",
    "secret.not_found": "There is no such secret.",
    "team.not_found": "There is no such team.",
}
# Where the server speaks of its API's fields: the same in words of this program.
_IN_OPTIONS: Mapping[str, str] = {
    "package.name_in_use": "With this program: berth package delete NAME, then berth package restore NAME --id ID.",
    "package.not_linked": "With this program: --repo OWNER/REPO.",
    "package.retention": "With this program: --untagged-days DAYS, or --keep-untagged.",
}
# GitHub's words before every lack of a scope, whatever is asked for: what follows says it.
_ANY_DENIAL = "Must have admin rights to Repository. "
_SCOPE = re.compile(r"needs a token with the scope ([a-z_:]+)")
# The server puts its advice behind what it says: ours beside it would name other people.
_ADVISES = re.compile(r"\. (?:Ask|Use|Log in)\b")
# 422 is GitHub's one status for what is malformed, too much, there already, or in the wrong state: our code says which.
_NOT_USAGE = re.compile(r"[._](limit|too_large|too_many|taken|already_exists|not_running)$")


def exit_code_of(problem: Problem) -> int:
    """A test walks all subclasses of Problem and fails where one is missing here."""
    if isinstance(problem, Invalid) and _NOT_USAGE.search(problem.code):
        return FAILED
    for kind in type(problem).__mro__:
        if kind in EXIT_CODES:
            return EXIT_CODES[kind]
    raise TypeError(f"{type(problem).__name__} has no exit code")


def report(problem: Problem) -> None:
    """The problem and the way out of it, on stderr."""
    is_bare = problem.message == _NOT_FOUND
    text = _THINGS.get(problem.code, problem.message) if is_bare else problem.message
    say(f"berth: {clean(text.removeprefix(_ANY_DENIAL) if _SCOPE.search(text) else text)}")
    remedy = problem.remedy or _IN_OPTIONS.get(problem.code, "") or _remedy_by_text(problem)
    if not remedy and (is_bare or not isinstance(problem, NotFound)) and not _ADVISES.search(problem.message):
        remedy = _REMEDIES.get(type(problem), "")
    if remedy:
        say(f"  {clean(remedy)}")


def _remedy_by_text(problem: Problem) -> str:
    """The way out where only the sentence says what is wrong: TLS with a plain server, a scope that the server names."""
    plain = re.match(r"https(://\S+) .*WRONG_VERSION_NUMBER", problem.message)  # OpenSSL: the answer is no TLS
    if plain is not None:
        return f"Is it http{plain[1]}?"
    if "CERTIFICATE_VERIFY_FAILED" in problem.message:  # OpenSSL's word, with the reason behind it
        return "To trust its authority: SSL_CERT_FILE=FILE berth ...; or add it to the system's certificates."
    if " cannot be reached: " in problem.message:
        return "Is the server running, and the address right? Another one: berth login URL."
    found = _SCOPE.search(problem.message)
    if not isinstance(problem, Denied) or found is None:
        return ""
    return (
        f"This token lacks the scope: make one with berth token create NAME --scopes {found[1]},... "
        "while logged in with a token that has it."
    )


class ProblemGroup(TyperGroup):
    """A group of commands in which a Problem ends the program with its exit code and without a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Problem as problem:
            report(problem)
            raise typer.Exit(exit_code_of(problem)) from None
