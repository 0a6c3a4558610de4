"""Programs that cannot be started: what is missing is told from what passes."""

import asyncio
import errno
import os
from typing import Any

import pytest

from berth.adapters.git_process import run_git
from berth.domain.problem import UpstreamFailed


@pytest.mark.parametrize(
    ("number", "code", "passing"),
    [
        (errno.ENOENT, "git.missing", False),
        (errno.EACCES, "git.missing", False),
        (errno.EAGAIN, "git.not_started", True),
        (errno.EMFILE, "git.not_started", True),
        (errno.ENOMEM, "git.not_started", True),
    ],
    ids=["no such program", "it may not be run", "no process left", "no file left", "no memory left"],
)
async def test_a_git_that_cannot_be_started(
    monkeypatch: pytest.MonkeyPatch, number: int, code: str, passing: bool
) -> None:
    async def fail(*_arguments: Any, **_options: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(asyncio, "create_subprocess_exec", fail)
    with pytest.raises(UpstreamFailed) as failed:
        await run_git(["version"])
    assert (failed.value.code, failed.value.retryable) == (code, passing)
