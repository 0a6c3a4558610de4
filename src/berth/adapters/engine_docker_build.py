"""A build by the Docker engine's own builder, through its HTTP API: a tar in, messages out.

The connection is the build's life: when it closes, the engine ends the build and removes its container. No login is sent,
so the engine can use only what it holds, or what anybody may have.
Source: Docker Engine API 1.41, "Build an image". Observed with engine 20.10: a Dockerfile that it cannot read is an answer
with status 400; a step that fails is a message with `errorDetail` under status 200; the image's id is a message with `aux`.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
from aiodocker import Docker, DockerError

from berth.services.ports import ImageBuild, ImageBuilt

_CPU_PERIOD_US = 100_000
_MAX_MESSAGE_BYTES = 1024 * 1024
_ANSWERS = {400, 500}  # statuses with which the engine says why it does not build
_STEP = "Step "


async def build_image(
    docker: Docker,
    build: ImageBuild,
    context: AsyncIterator[bytes],
    on_output: Callable[[bytes], Awaitable[None]],
) -> ImageBuilt | None:
    """How it ended; None if the engine's words broke off."""
    step, image_id = "", None
    try:
        query = docker._query(  # noqa: SLF001 its own call for this wants a file
            "build",
            "POST",
            params=_parameters(build),
            data=context,
            headers={"Content-Type": "application/x-tar"},
            timeout=aiohttp.ClientTimeout(total=None),
        )
        async with query as answer, answer:  # the second one closes the connection, however this ends
            async for message in _messages(answer.content):
                if "error" in message:
                    return ImageBuilt(image_id=None, step=step, reason=str(message["error"]))
                if isinstance(aux := message.get("aux"), dict) and "ID" in aux:
                    image_id = str(aux["ID"])
                text = str(message.get("stream", ""))
                if text.startswith(_STEP):
                    step = text.strip()
                if text:
                    await on_output(text.encode())
    except DockerError as error:
        if error.status not in _ANSWERS:
            raise
        return ImageBuilt(image_id=None, step=step, reason=error.message)
    return ImageBuilt(image_id=image_id) if image_id else None


def _parameters(build: ImageBuild) -> dict[str, Any]:
    limits = {"cpuperiod": _CPU_PERIOD_US, "cpuquota": build.cpus * _CPU_PERIOD_US} if build.cpus else {}
    limits |= {"memory": build.memory_bytes, "memswap": build.memory_bytes} if build.memory_bytes else {}
    return {
        **({"t": build.name} if build.name else {}),
        "dockerfile": build.dockerfile,
        "buildargs": json.dumps(dict(build.arguments)),
        "labels": json.dumps(dict(build.labels)),
        "rm": 1,
        "forcerm": 1,
        **({} if build.cached else {"nocache": 1}),
        **limits,
    }


async def _messages(content: aiohttp.StreamReader) -> AsyncIterator[dict[str, Any]]:
    """One JSON object per line; a line beyond all measure is passed over."""
    rest, too_long = b"", False
    async for chunk in content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.strip() and not too_long:
                yield json.loads(line)
            too_long = False
        if len(rest) > _MAX_MESSAGE_BYTES:
            rest, too_long = b"", True
