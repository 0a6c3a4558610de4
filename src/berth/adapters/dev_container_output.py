"""What the dev container CLI says: JSON events on standard error, one JSON answer on standard output.

Shown are the output of hooks and which hook runs. Never shown are the command lines that the CLI prints: they hold the
container's environment. Source: observed with version 0.89.0, `--log-format json`.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

from berth.domain.problem import UpstreamFailed
from berth.services.ports import UpResult

_MAX_LINE_LENGTH = 2000
_MAX_REASON_LENGTH = 300
_HOOKS_CHANNEL = "postCreate"  # of onCreateCommand and updateContentCommand too
_RAW, _TEXT, _PROGRESS = "raw", "text", "progress"
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_HOOK_FAILED = re.compile(r"((?:onCreate|updateContent)Command)\b.* failed with exit code (\d+)")
_HOOK = re.compile(r"\b((?:onCreate|updateContent)Command)\b")
_ENGINE_ERROR = re.compile(r"Error response from daemon: (.+)")
_USER_ERROR = re.compile(r"unable to find user (\S{1,64}): no matching entries in passwd file")


class DevContainerOutput:
    """Follows one run, hands readable lines on, and knows at the end how it went."""

    def __init__(self, on_line: Callable[[str], Awaitable[None]]) -> None:
        self._on_line = on_line
        self._unfinished = ""
        self._hook_failed: tuple[str, str] | None = None
        self._reason = ""

    async def follow(self, stream: asyncio.StreamReader | None) -> None:
        """Read events to the end. What is no event (a stack trace) is not shown."""
        while stream is not None and (line := await _read_line(stream)) is not None:
            try:
                event = json.loads(line)
            except ValueError:
                event = None
            if isinstance(event, dict):
                await self._take(event)
            else:
                self._look_for_reason(line.decode(errors="replace"))
        await self._finish_line()

    def result(self, answer: bytes) -> UpResult:
        """What the answer on standard output says. Raises UpstreamFailed, with a text that is safe to show."""
        fields = _last_object(answer)
        if fields.get("outcome") == "success":
            return UpResult(
                container_id=str(fields["containerId"]),
                remote_user=str(fields["remoteUser"]),
                remote_workspace_folder=str(fields["remoteWorkspaceFolder"]),
            )
        hook = _HOOK.search(str(fields.get("description", "")))
        if self._hook_failed is None and hook is None:
            reason = f": {self._reason.rstrip('.')}" if self._reason else ""
            raise UpstreamFailed(
                f"The dev container CLI could not create the container{reason}.", code="devcontainer.up_failed"
            )
        name, code = self._hook_failed or (hook[1] if hook else "", "")
        how = f"ended with exit code {code}" if code else "failed"
        raise UpstreamFailed(
            f"{name} {how}.",
            code="devcontainer.hook_failed",
            remedy="Read its output in the log, mend the command in devcontainer.json, and create the codespace again.",
        )

    async def _take(self, event: dict[str, Any]) -> None:
        text = _ANSI.sub("", str(event.get("text", "")))
        kind, in_hook = event.get("type"), event.get("channel") == _HOOKS_CHANNEL
        if kind == _RAW and in_hook:
            await self._show_text(text)
        elif kind == _RAW:
            self._look_for_reason(text)
        elif kind == _PROGRESS:  # between two hooks
            await self._finish_line()
        elif kind == _TEXT and in_hook and (failed := _HOOK_FAILED.search(text)):
            self._hook_failed = (failed[1], failed[2])

    def _look_for_reason(self, text: str) -> None:
        if found := _ENGINE_ERROR.search(text):
            self._reason = found[1].strip()[:_MAX_REASON_LENGTH]
        elif found := _USER_ERROR.search(text):
            self._reason = f"the image has no user '{found[1]}'"

    async def _show_text(self, text: str) -> None:
        """Hook output comes in pieces that end anywhere."""
        *lines, self._unfinished = (self._unfinished + text.replace("\r\n", "\n")).split("\n")
        for line in lines:
            await self._show(line)
        if len(self._unfinished) > _MAX_LINE_LENGTH:
            await self._finish_line()

    async def _finish_line(self) -> None:
        line, self._unfinished = self._unfinished, ""
        await self._show(line)

    async def _show(self, line: str) -> None:
        if line.strip():
            await self._on_line(line.rstrip()[:_MAX_LINE_LENGTH])


async def _read_line(stream: asyncio.StreamReader) -> bytes | None:
    """The next line; None at the end. One that is too long for an event is dropped."""
    while True:
        try:
            return await stream.readline() or None
        except ValueError:
            continue  # asyncio has dropped what it had of the line


def _last_object(answer: bytes) -> dict[str, Any]:
    for line in reversed(answer.splitlines()):
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            return value
    return {}
