"""What one commit has over another, counted by git within bounds: a stranger's may name a thousand million files."""

import re
from pathlib import Path

from berth.adapters.git_process import run_git
from berth.domain.pull_request import Comparison

MEMORY_BYTES = 1024**3
_TIMEOUT_S = 10
# No file of more than a few MiB is held by lines, and little of the packs at once.
_SETTINGS = ("core.bigFileThreshold=8m", "core.packedGitWindowSize=16m", "core.packedGitLimit=128m")


async def compare_commits(repository: Path, base: str, head: str) -> Comparison:
    """From where they parted; without such a place, from `base`. Raises UpstreamFailed past a bound."""
    count = int(await _git(repository, "rev-list", "--count", f"{base}..{head}"))
    is_related = count < int(await _git(repository, "rev-list", "--count", head))
    between = [f"{base}...{head}"] if is_related else [base, head]
    said = (await _git(repository, "diff", "--no-ext-diff", "--shortstat", *between)).decode()
    files, additions, deletions = (_number_before(word, said) for word in ("file", "insertion", "deletion"))
    return Comparison(commits=count, additions=additions, deletions=deletions, changed_files=files)


async def _git(repository: Path, *arguments: str) -> bytes:
    options = [word for setting in _SETTINGS for word in ("-c", setting)]
    words = [f"--git-dir={repository}", *options, *arguments]
    return await run_git(words, timeout_s=_TIMEOUT_S, memory_bytes=MEMORY_BYTES)


def _number_before(word: str, text: str) -> int:
    match = re.search(rf"(\d+) {word}", text)
    return int(match[1]) if match else 0
