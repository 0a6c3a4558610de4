"""How a dev container configuration says to build its image: `build`, or the older keys `dockerFile` and `context`.

1. Paths are relative to the configuration's folder and stay in the repository. They name objects of the commit, never files
   of the server.
2. `options` would be arguments for the engine: refused. `cacheFrom` is only a hint, and is passed over.
3. `args` are texts; secrets are none of them (S7): `${localEnv:…}` found nothing before they came here (L5).

Source: containers.dev, "Dev Container metadata reference", "Image or Dockerfile specific properties".
"""

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from berth.domain.jsonc import printable
from berth.domain.problem import Invalid

MAX_ARGUMENTS = 100
MAX_ARGUMENT = 4096
_KEYS = frozenset({"dockerfile", "context", "args", "target", "cacheFrom", "options"})
_ARGUMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DevContainerBuild:
    """What to build. Paths are the repository's; `context` may be empty: its root."""

    dockerfile: str
    context: str
    arguments: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    notes: tuple[str, ...] = ()


def find_build(values: Mapping[str, object], path: str) -> DevContainerBuild | None:
    """What the configuration at `path` wants built; None if it names an image. Raises Invalid."""
    build = values.get("build")
    old_file = values.get("dockerFile")
    if build is None and old_file is None:
        if values.get("context") is not None:
            raise _refusal("'context' in devcontainer.json needs 'dockerFile'.")
        return None
    if not isinstance(build, dict | None):
        raise _refusal("'build' in devcontainer.json must be an object with 'dockerfile'.")
    build = build or {}
    if values.get("image"):
        raise _refusal("devcontainer.json names an image and a Dockerfile.", remedy="Keep one of them.")
    if unknown := sorted(build.keys() - _KEYS):
        raise Invalid(
            f"Berth does not know the key {printable(unknown[0])} in 'build' of devcontainer.json, so it refuses it.",
            field="devcontainer_path",
            code="devcontainer.unknown_key",
            remedy="Remove the key.",
        )
    if build.get("options"):
        raise Invalid(
            "'build.options' in devcontainer.json is refused: arguments for the engine could open the server.",
            field="devcontainer_path",
            code="devcontainer.not_allowed",
            remedy="Use 'args' and 'target'.",
        )
    folder = posixpath.dirname(path)
    file = old_file if old_file is not None else build.get("dockerfile")
    context = values.get("context") if old_file is not None else build.get("context")
    target = build.get("target")
    if not isinstance(target, str | None):
        raise _refusal("'build.target' in devcontainer.json must be a text.")
    return DevContainerBuild(
        dockerfile=_inside(folder, file, "the Dockerfile's path"),
        context=_inside(folder, "." if context is None else context, "'context'"),
        arguments=_arguments(build.get("args")),
        target=target or "",
        notes=("'build.cacheFrom' is passed over: no image from elsewhere is a cache here.",)
        if build.get("cacheFrom")
        else (),
    )


def _inside(folder: str, value: object, what: str) -> str:
    """The path in the repository; the root is empty."""
    if not isinstance(value, str) or not value or len(value) > 1024 or not value.isprintable():
        raise _refusal(f"{what} in devcontainer.json must be a text, relative to the file's folder.")
    path = posixpath.normpath(posixpath.join(folder, value))
    if value.startswith("/") or path == ".." or path.startswith("../"):
        raise _refusal(f"{what} in devcontainer.json leads out of the repository.", code="devcontainer.not_allowed")
    return "" if path == "." else path


def _arguments(value: object) -> dict[str, str]:
    if value is None:
        return {}
    if (
        not isinstance(value, dict)
        or len(value) > MAX_ARGUMENTS
        or not all(
            _ARGUMENT.fullmatch(name) and isinstance(item, str) and len(item) <= MAX_ARGUMENT
            for name, item in value.items()
        )
    ):
        raise _refusal(
            f"'build.args' in devcontainer.json must be an object of at most {MAX_ARGUMENTS} texts"
            f" of at most {MAX_ARGUMENT} characters."
        )
    return dict(value)


def _refusal(sentence: str, *, code: str = "devcontainer.value", remedy: str = "") -> Invalid:
    return Invalid(sentence, field="devcontainer_path", code=code, remedy=remedy)
