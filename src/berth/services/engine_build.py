"""A build by the engine, as a launch sees it: its output in the log, an end in time, the image or the reason."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from berth.domain.finding import Finding, Fixer
from berth.domain.image_build import is_of_build
from berth.domain.problem import UpstreamFailed
from berth.services.creation_log import CreationLog, OutputLines
from berth.services.launch_failure import LaunchFailed
from berth.services.ports import Container, ContainerStatus, Engine, ImageBuild, LocalImage

BUILD_TIMEOUT_S = 3600.0
_TAIL_LINES = 10
_MAX_TAIL = 2000
_MAX_STEP = 200
_HAS_RUN = frozenset({ContainerStatus.RUNNING, ContainerStatus.EXITED})


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildFailed:
    """A build that came to no image: the step, the reason, the last lines of its output."""

    step: str
    reason: str
    tail: str

    @property
    def evidence(self) -> dict[str, str]:
        """What a finding says of it."""
        return {"step": self.step[:_MAX_STEP], "output": self.tail}

    def finding(self) -> Finding:
        """What to say of a Dockerfile that does not build."""
        where = f" at '{self.step[:_MAX_STEP]}'" if self.step else ""
        return Finding(
            code="image.build_failed",
            sentence=f"Building the image failed{where}: {self.reason}.",
            fixer=Fixer.DEVELOPER,
            next_step="Read its output above, mend the Dockerfile, push that, and rebuild the codespace.",
            evidence=self.evidence,
        )


def is_step(container: Container) -> bool:
    """Whether a step of a build made it, whatever codespace it says to be of."""
    return is_of_build(container.labels, name=container.name, has_run=container.status in _HAS_RUN)


async def run_build(
    engine: Engine, request: ImageBuild, context: AsyncIterator[bytes], log: CreationLog, *, timeout_s: float
) -> LocalImage | BuildFailed:
    """The image, as the engine holds it. Raises LaunchFailed for one that takes too long, or a Problem."""
    lines, tail = OutputLines(log), bytearray()

    async def show(chunk: bytes) -> None:
        tail.extend(chunk)
        del tail[:-_MAX_TAIL]
        await lines.feed(chunk)

    try:
        async with asyncio.timeout(timeout_s):
            built = await engine.build(request, context, show)
    except TimeoutError:
        raise LaunchFailed(_too_slow(timeout_s)) from None
    await lines.end()
    if built.image_id is None:
        last = tail.decode(errors="replace").splitlines()[-_TAIL_LINES:]
        return BuildFailed(step=built.step, reason=built.reason, tail="\n".join(last))
    local = await engine.find_image(built.image_id)
    if local is None:
        raise UpstreamFailed("The engine built the image but does not hold it.", code="engine.failed")
    return local


def _too_slow(timeout_s: float) -> Finding:
    return Finding(
        code="image.build_timeout",
        sentence=f"Building the image took longer than {timeout_s:.0f} seconds and was stopped.",
        fixer=Fixer.DEVELOPER,
        next_step="Look in the log for the step that does not end.",
    )
