"""The build that installs Features upon an image: the Dockerfile, the scripts beside it, the image's label. Pure.

1. Nothing of a stranger becomes part of a line: Features lie in numbered folders, options stand in a script, each as one
   quoted word of the shell. What is a value in the Dockerfile, `containerEnv`, is quoted, and has no line break.
2. In `containerEnv`, `$NAME` and `${NAME}` stand for a variable of the image, as real Features use them
   (`/opt/x/bin:${PATH}`). Every other `$` is a dollar sign. How large values can grow that way is bounded.
3. The label after FROM makes whose build it is part of the engine's cache key, as in `dockerfile.py`.
4. install.sh runs as root, with the options, and with who uses the container. Then the image's user is as it was.
5. The image's label gets an entry a Feature, after those that it had. What `containerEnv` says is in the image, not in the label.

Source: containers.dev, "Dev Container Features reference", "Invoking install.sh", "User environment variables"; "Image Metadata".
"""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from berth.domain.dev_container import DevContainerConfig, ImageMetadata, find_remote_user
from berth.domain.dockerfile_words import Growth, WordError
from berth.domain.feature_metadata import resolve_options
from berth.domain.feature_order import Feature
from berth.domain.jsonc import printable
from berth.domain.problem import Invalid, LimitReached

DOCKERFILE = "Dockerfile"
INSTALL_SCRIPT = "install.sh"
MAX_VARIABLE = 4096
MAX_LABEL = 96 * 1024  # the dev container CLI repeats it in an argument, which Linux bounds to 128 KiB
_FOLDER = "/tmp/berth-features"  # noqa: S108 in the image that is built
_RUN = "run.sh"
_STEP = re.compile(rf"{_FOLDER}/([0-9]{{1,3}})/{_RUN}")
_USER = re.compile(r"(?![-:])[A-Za-z0-9_.$-]{0,64}(?::[A-Za-z0-9_.$-]{1,64})?")
_VARIABLE = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})")
_SPECIAL = re.compile(r'(["\\$])')
_SCRIPT = """#!/bin/sh
set -e
home_of() {
  [ -r /etc/passwd ] || return 0
  while IFS=: read -r name password id group comment home shell; do
    if [ "$name" = "$1" ] || [ "$id" = "$1" ]; then printf '%s' "$home"; return; fi
  done < /etc/passwd
}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureUsers:
    """Who uses the container; names or numbers, without a group."""

    container: str
    remote: str


def find_users(metadata: ImageMetadata, config: DevContainerConfig, image_user: str) -> FeatureUsers:
    """What install.sh is told. No user is root, as for the engine."""
    entries = (config, *reversed(metadata.entries))
    named = [user for entry in entries if isinstance(user := entry.values.get("containerUser"), str) and user]
    container = (named or [image_user])[0].partition(":")[0] or "root"
    remote = (find_remote_user(metadata, config) or "").partition(":")[0]
    return FeatureUsers(container=container, remote=remote or container)


def feature_context(
    base: str, image_user: str, features: Sequence[Feature], users: FeatureUsers, labels: Mapping[str, str]
) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """The files of the build, and what is to be said. `base` is a digest or an id. Raises Invalid."""
    if not _USER.fullmatch(image_user):
        raise Invalid(
            f"The image's user is {printable(image_user)}, which is none.",
            field="devcontainer_path",
            code="feature.base_image",
            remedy="Set USER in the image to a name or a number.",
        )
    label = " ".join(f"{name}={value}" for name, value in labels.items())
    lines, growth = [f"FROM {base}", f"LABEL {label}", "USER root"], Growth()
    files: dict[str, bytes] = {}
    notes: list[str] = []
    for number, feature in enumerate(features):
        variables, said = resolve_options(feature.metadata, feature.request)
        notes += [*feature.metadata.notes, *said]
        lines.append(f"COPY {number}/ {_FOLDER}/{number}/")
        lines += [_env(name, value, feature, growth) for name, value in feature.metadata.container_env.items()]
        lines.append(f'RUN ["/bin/sh", "{_FOLDER}/{number}/{_RUN}"]')
        files |= {f"{number}/feature/{path}": content for path, content in feature.files.items()}
        files[f"{number}/{_RUN}"] = _script(number, feature, variables, users)
    lines.append(f"USER {_escaped(image_user) or 'root'}")
    files[DOCKERFILE] = "".join(f"{line}\n" for line in lines).encode()
    return files, tuple(notes)


def metadata_label(metadata: ImageMetadata, features: Sequence[Feature]) -> str:
    """The image's label, with the Features (policy 5). Raises Invalid, LimitReached."""
    entries = [*(entry.values for entry in metadata.entries), *(feature.metadata.entry for feature in features)]
    try:
        text = json.dumps(entries, allow_nan=False)
    except ValueError:
        raise Invalid(
            "What the image or a Feature says of itself holds a number that is too large.",
            field="devcontainer_path",
            code="feature.metadata",
            remedy="Look into 'customizations' of the image's label and of the Features.",
        ) from None
    if len(text) > MAX_LABEL:
        raise LimitReached(
            f"What image and Features say of themselves is longer than {MAX_LABEL // 1024} KiB.",
            code="feature.too_large",
            remedy="Use fewer Features, or such as have less in 'customizations'.",
        )
    return text


def find_failed(step: str, features: Sequence[Feature]) -> Feature | None:
    """The Feature whose installation a step of the build was, by the engine's words."""
    match = _STEP.search(step)
    return features[int(match[1])] if match and int(match[1]) < len(features) else None


def _script(number: int, feature: Feature, variables: Mapping[str, str], users: FeatureUsers) -> bytes:
    """What runs install.sh. Its folder is gone afterwards."""
    title = shlex.quote(f"Feature {feature.request.name} {feature.metadata.version}".rstrip())
    told = {**variables, "_CONTAINER_USER": users.container, "_REMOTE_USER": users.remote}
    lines = [f"echo {title}"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in told.items()]
    for name in ("_CONTAINER_USER", "_REMOTE_USER"):
        lines.append(f'{name}_HOME="$(home_of "${name}")"; export {name}_HOME')
    lines += [
        f"cd {_FOLDER}/{number}/feature",
        "chmod -R 0755 .",
        f"./{INSTALL_SCRIPT}",
        f"cd / && rm -rf {_FOLDER}",
    ]
    return (_SCRIPT + "".join(f"{line}\n" for line in lines)).encode()


def _env(name: str, value: str, feature: Feature, growth: Growth) -> str:
    """An ENV of one variable (policy 2)."""
    why = ""
    if len(value) > MAX_VARIABLE or any(ord(char) < 32 or ord(char) == 127 for char in value):
        why = f"it holds a control character, or more than {MAX_VARIABLE} characters"
    text, at = "", 0
    for match in _VARIABLE.finditer(value):
        text += f"{_escaped(value[at : match.start()])}${{{match[1] or match[2]}}}"
        at = match.end()
    line = f'{name}="{text}{_escaped(value[at:])}"'
    try:
        growth.take(line, assigns=True)
    except WordError as error:
        why = why or str(error)
    if why:
        raise Invalid(
            f"'containerEnv' of {feature.request.source} gives {name} a value that it cannot have: {why}.",
            field="devcontainer_path",
            code="feature.metadata",
            remedy="Tell whoever publishes the Feature, or name another version.",
        )
    return f"ENV {line}"


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)
