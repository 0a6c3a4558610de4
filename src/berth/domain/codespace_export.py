"""An export: everything that a codespace's checkout holds, as a commit on a new branch of its repository.

Policy:
1. Git runs inside the container only, as the codespace's user and with his rights: the server never runs git in a checkout that
   a container writes to. What it pushes comes through our own git edge, which decides as for any other push.
2. The checkout stays as it is: HEAD, index and files. The commit is made of a copy of the index, to which everything is added
   that is not ignored. Where nothing is uncommitted, the export is HEAD itself.
3. The branch is new. One that is there is never moved, also if somebody makes it meanwhile.
4. The same export of the same files is the same commit: author, date and message are the export's. So it may be repeated.
5. No hook of the checkout runs (Decided: an export saves work that is unfinished, which a hook might refuse).
6. What the container answers proves nothing. An export has succeeded when our repository holds, under its branch, the commit
   that the container named.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from berth.domain.codespace import Codespace
from berth.domain.finding import Finding
from berth.domain.launch import GIT_HELPER
from berth.domain.problem import Conflict, Denied, Problem, UpstreamFailed

MAX_NAMES = 20
MAX_KEPT = 20  # exports of one codespace that can be looked up
PUSH_FAILED = 13
_ANSWER = re.compile(rb"(?:.*\n)?berth-export ([0-9a-f]{40}|[0-9a-f]{64})\n?", re.DOTALL)


class ExportState(StrEnum):
    """GitHub's words. Source: GitHub's OpenAPI description, schema `codespace-export-details`."""

    IN_PROGRESS = "in_progress"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class CodespaceExport:
    """An export's row. `branch` is the one that it goes to; `sha` and `completed_at` come at its end."""

    id: int
    codespace_id: int
    state: ExportState
    branch: str
    branch_is_wanted: bool  # its owner named the branch: no other will do
    sha: str | None
    finding: Finding | None
    created_at: datetime
    completed_at: datetime | None


def branch_names(codespace_name: str) -> Iterator[str]:
    """Names for the branch, the best first. Source: GitHub's OpenAPI description, `codespace-export-details`, example."""
    first = f"codespace-{codespace_name}"
    yield first
    yield from (f"{first}-{number}" for number in range(2, MAX_NAMES + 1))


# Called as: sh -c EXPORT_SCRIPT berth URL ORIGIN HELPER BRANCH NAME EMAIL DATE MESSAGE. Exit codes: 10 no git, 11 no repository,
# 12 no commit could be made, 13 the push failed. The last line says what was pushed. It needs no program but git, cp and rm.
EXPORT_SCRIPT = r"""set -u
url=$1 origin=$2 helper=$3 branch=$4 name=$5 email=$6 date=$7 message=$8
command -v git > /dev/null 2>&1 || exit 10
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_ASKPASS SSH_ASKPASS
export GIT_TERMINAL_PROMPT=0
top=$(git rev-parse --show-toplevel) && cd "$top" || exit 11
folder=$(git rev-parse --absolute-git-dir) || exit 11
real=$(git rev-parse --git-path index) || exit 11
index=$folder/berth-export.$$
trap 'rm -f "$index" "$index.lock"' EXIT
export GIT_INDEX_FILE="$index"
bare() { git -c core.hooksPath=/dev/null "$@"; }
head=$(bare rev-parse --quiet --verify 'HEAD^{commit}') || head=
if [ -f "$real" ]; then cp "$real" "$index" || exit 12
elif [ -n "$head" ]; then bare read-tree "$head" || exit 12
fi
bare add --all || exit 12
tree=$(bare write-tree) || exit 12
if [ -n "$head" ] && [ "$tree" = "$(bare rev-parse "$head^{tree}")" ]; then sha=$head
else
  export GIT_AUTHOR_NAME="$name" GIT_AUTHOR_EMAIL="$email" GIT_AUTHOR_DATE="$date"
  export GIT_COMMITTER_NAME="$name" GIT_COMMITTER_EMAIL="$email" GIT_COMMITTER_DATE="$date"
  sha=$(bare commit-tree "$tree" ${head:+-p "$head"} -m "$message") || exit 12
fi
bare -c credential.helper= -c "credential.$origin.helper=$helper" push --no-verify --no-follow-tags --quiet \
  --force-with-lease="refs/heads/$branch:" "$url" "$sha:refs/heads/$branch" || exit 13
printf '\nberth-export %s\n' "$sha"
"""


def export_command(
    *, origin: str, repository_full_name: str, branch: str, name: str, email: str, codespace: str, at: datetime
) -> tuple[str, ...]:
    """What to run in the container. None of its words is secret: git asks the helper, which reads the environment.

    `origin` is scheme://host[:port] of this server; `name` and `email` are the committer's.
    """
    return (
        *("/bin/sh", "-c", EXPORT_SCRIPT, "berth"),
        f"{origin}/{repository_full_name}.git",
        origin,
        GIT_HELPER,
        branch,
        name,
        email,
        f"{int(at.timestamp())} +0000",
        f"Export of the codespace {codespace}",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    """What an exit code of the script means. In `remedy`, RUN is the command that runs another one in the codespace."""

    code: str
    sentence: str
    remedy: str


_FAILURES = {
    10: _Failure(
        code="export.no_git",
        sentence="The codespace has no git to export with.",
        remedy="Use an image that has git. To save the files now: RUN tar -c . > files.tar",
    ),
    11: _Failure(
        code="export.no_repository",
        sentence="The codespace's folder is no git repository.",
        remedy="See what git says: RUN git status",
    ),
    12: _Failure(
        code="export.no_commit",
        sentence="Git could not make a commit of the codespace's files.",
        remedy="See what git says: RUN git add --all --dry-run",
    ),
    PUSH_FAILED: _Failure(
        code="export.push_failed",
        sentence="Git in the codespace could not push to the repository.",
        remedy=(
            "The codespace must reach this server; on 127.0.0.1 (BERTH_LISTEN) no container does. "
            "See what git says: RUN git push --dry-run origin HEAD"
        ),
    ),
}
_ENDED = _Failure(
    code="export.ended",
    sentence="The export was ended in the codespace.",
    remedy="Export again. See what else runs there: RUN ps",
)


def read_answer(exit_code: int, output: bytes, *, codespace: str) -> str:
    """The commit that the container says it has pushed, which nothing proves yet (policy 6). Raises a Problem if it failed.

    No word of the output is in a Problem: it may hold what is in the codespace's environment.
    """
    if exit_code:
        failure = _FAILURES.get(exit_code, _ENDED)
        remedy = failure.remedy.replace("RUN", f"berth codespace exec {codespace} --")
        raise Conflict(failure.sentence, code=failure.code, remedy=remedy)
    match = _ANSWER.fullmatch(output)
    if match is None:
        raise not_arrived()
    return match[1].decode()


def not_arrived() -> Problem:
    """What was said and what there is are two things (policy 6)."""
    return Conflict(
        "The repository does not hold what the codespace says it has pushed.",
        code="export.not_arrived",
        remedy="Look at what `git` is in the codespace, and whether somebody moved or deleted the branch; then export again.",
    )


def branch_exists(branch: str) -> Problem:
    """Policy 3."""
    return Conflict(
        f"The repository has a branch {branch}.", code="export.branch_exists", remedy="Name another with `branch`."
    )


def no_free_branch() -> Problem:
    """Policy 3."""
    return Conflict(
        f"The repository has {MAX_NAMES} branches of this codespace's exports.",
        code="export.branch_exists",
        remedy="Delete some, or name a branch.",
    )


def may_not_push(full_name: str) -> Problem:
    """Policy 1. GitHub would push to a fork; Decided: nothing is made in an account that was not named."""
    return Denied(
        f"You may not push to {full_name}, so nothing can be exported to it.",
        code="export.read_only",
        remedy="Ask an administrator of the repository for write access, and use a token with the scope repo.",
    )


def check_may_begin(codespace: Codespace) -> None:
    """Raises Denied or Conflict where no export can begin: it needs a token and a running container; there is one at a time."""
    if codespace.from_fork:
        raise Denied(
            "The codespace shows a fork's pull request, so it holds no token to push with (S6).",
            code="export.from_fork",
            remedy="Make a codespace of your own fork, or save the files with berth codespace exec.",
        )
    if codespace.exporting:
        raise in_progress()
    check_may_go_on(codespace)


def check_may_go_on(codespace: Codespace) -> None:
    """Raises Conflict where no export can begin or go on."""
    if not codespace.is_running:
        raise Conflict(
            f"The codespace is {codespace.state}; an export needs it Available.",
            code="export.not_running",
            remedy="Start it, wait until it is, and export then.",
        )


def in_progress() -> Problem:
    return Conflict(
        "An export of this codespace is in progress.", code="export.in_progress", remedy="Wait until it has ended."
    )


def codespace_gone() -> Problem:
    return Conflict(
        "The codespace, its repository or its owner is gone.",
        code="export.codespace_gone",
        remedy="Nothing can be done.",
    )


def interrupted() -> Problem:
    return UpstreamFailed(
        "The server ended several times while it worked on this export.",
        code="export.interrupted",
        remedy="Export again; if it fails again, ask the administrator of this server.",
    )


def too_long(seconds: float) -> Problem:
    return UpstreamFailed(
        f"Git in the codespace was not done after {seconds / 60:.0f} minutes. What it pushes may still arrive.",
        code="export.timeout",
        remedy="Look at what it waits for; whether the branch came says git ls-remote.",
    )


def too_much_output(most_bytes: int) -> Problem:
    return Conflict(
        f"Git in the codespace said more than {most_bytes // 1024} KiB.",
        code="export.output",
        remedy="Look at what `git` is in the codespace, and what its filters print.",
    )
