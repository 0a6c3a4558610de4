"""What a Docker engine's errors mean: which are passing, and what of their words may be shown."""

import base64
import re
from collections.abc import Mapping

from aiodocker import DockerError

from berth.domain.image_reference import ImageReference
from berth.domain.problem import Conflict, NotFound, Problem, UpstreamFailed
from berth.domain.secret_text import SecretText

CONNECTION_FAILED = 900  # aiodocker's own status
_REMAINS = ("already exists", "id already in use")  # how the engine's words end
_MAX_REASON_LENGTH = 300
_MIN_MASKED_LENGTH = 4  # masking shorter ones would only garble the text


def pull_failed(image: ImageReference, reason: str, auth: Mapping[str, str] | None) -> UpstreamFailed:
    why = readable(reason, auth)
    if "no space left on device" in reason:
        return UpstreamFailed(
            f"The engine's disk is full, so {image} cannot be pulled.",
            code="engine.disk_full",
            remedy="Ask the administrator of this server to make room, for example with docker image prune.",
        )
    return UpstreamFailed(f"The engine could not pull {image}: {why}.", retryable=True, code="image.pull_failed")


def readable(reason: str, auth: Mapping[str, str] | None = None) -> str:
    """The engine's reason without what an address or a login may hold."""
    if auth is not None:
        secret_of = auth.get("registrytoken") or auth["password"]
        pair = base64.b64encode(f"{auth.get('username', '')}:{secret_of}".encode()).decode()
        for secret in (secret_of, pair):
            if len(secret) >= _MIN_MASKED_LENGTH:
                reason = reason.replace(secret, SecretText.MASK)
    reason = re.sub(r"://[^/\s@]*@", "://", reason)
    reason = re.sub(r"(https?://[^\s?\"']+)\?[^\s\"']*", r"\1", reason)
    return " ".join(reason.split())[:_MAX_REASON_LENGTH].rstrip(".")


def unreachable() -> UpstreamFailed:
    return UpstreamFailed("The container engine does not answer.", retryable=True, code="engine.unreachable")


def problem_of(error: DockerError) -> Problem:
    if error.status == CONNECTION_FAILED:
        return unreachable()
    if error.status == 404:
        return NotFound("The container is gone.", code="container.gone")
    if error.status == 409:
        return Conflict("The container is not running.", code="container.not_running")
    if "no space left on device" in error.message:
        return UpstreamFailed("The engine's disk is full.", code="engine.disk_full")
    if error.status >= 500 and error.message.rstrip().endswith(_REMAINS):
        return _stuck()
    return UpstreamFailed(f"The container engine failed: {readable(error.message)}.", code="engine.failed")


def _stuck() -> UpstreamFailed:
    """Observed with engine 20.10 that was killed while it started a container: containerd has what the engine forgot.

    Mostly it clears up a moment later. If not, nothing in its API helps but another container in this one's place.
    """
    return UpstreamFailed(
        "The engine cannot start the container: it holds remains of an earlier run, as after a crash.",
        code="container.stuck",
        retryable=True,
        remedy="Rebuild it: berth codespace rebuild NAME. The checkout lies on the server and is kept.",
    )
