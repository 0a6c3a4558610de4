"""What a built image is called and marked with, so that it is found again and shared with nobody.

1. Each layer of a build carries labels: the installation's, and a key of the codespace's owner and repository, and of the pull
   request if it is a stranger's. The key makes layers of anybody else unusable as a cache, whatever their text.
2. None of them names a codespace, whatever label a base image or a Dockerfile has: a container in which a step runs would be
   taken for that codespace's, and a launch of it would put its owner's secrets there. What a LABEL of a Dockerfile says lasts
   until the next step: the engine makes a container of it that never runs, and is not called as Berth calls a codespace's.
3. The image has a name under a host that nobody can have, by the codespace: it goes when the codespace goes. A launch that
   names it asks that host, and finds nothing (L2).
"""

import hashlib
import re
from collections.abc import Mapping

from berth.domain.codespace import LABEL, SERVER_LABEL, Codespace
from berth.domain.dev_container import container_name

BUILD_LABEL = "dev.berth.build"  # on every layer that is built, and on the containers in which that happens
_NAME = re.compile(r"berth\.invalid/([^:]+):built(?:-[A-Za-z0-9_.-]+)?")  # RFC 6761: no name under .invalid exists


def build_key(server_id: str, codespace: Codespace) -> str:
    """Whose layers they are: 32 hexadecimal digits. A fork's pull request is a stranger's, whoever looks at it."""
    stranger = codespace.pull_request_number if codespace.from_fork else ""
    of = f"{server_id}/{codespace.owner_id:d}/{codespace.repository_id}/{stranger}"
    return hashlib.sha256(of.encode()).hexdigest()[:32]


def build_labels(server_id: str, codespace: Codespace) -> dict[str, str]:
    """What every layer carries, from the first one on (1, 2)."""
    return {SERVER_LABEL: server_id, BUILD_LABEL: build_key(server_id, codespace), LABEL: ""}


def built_image_name(codespace: str, service: str = "") -> str:
    """The engine's name of what was built for a codespace, or for a service beside its main one."""
    return f"berth.invalid/{codespace}:built{'-' if service else ''}{service}"


def is_of_build(labels: Mapping[str, str], *, name: str, has_run: bool) -> bool:
    """Whether a container is one of a step (2); a codespace's own has the labels of its image, too."""
    if BUILD_LABEL not in labels:
        return False
    codespace = labels.get(LABEL)
    return not codespace or not (has_run or f"{name}.".startswith(f"{container_name(codespace)}."))


def codespace_of_image(name: str) -> str | None:
    """The codespace for which an image of that name was built; None for any other image."""
    match = _NAME.fullmatch(name)
    return None if match is None else match[1]
