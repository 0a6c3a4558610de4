"""Dev container configurations: parsed, reviewed, and turned into what the dev container CLI is given (L3, L4, L5).

1. Only keys in the tables of `dev_container_keys` pass, in the file and in each entry of the image's label
   `devcontainer.metadata`; the message names the source. Nobody else reads the repository's file. What is asked of the host
   `dev_container_options` judges: it passes if it is allowed, and Berth gives it to the container.
2. `${localEnv:…}` finds nothing: it becomes its default or the empty text before anything else reads it (L5).
3. The CLI gets a configuration that is built here, of keys that it needs. It reads the image's label itself, which is why
   the label is reviewed.
4. The CLI runs onCreateCommand and updateContentCommand. Berth runs postCreateCommand and postStartCommand, because the
   CLI would put the secrets into arguments (L7); the label's come before the file's.

Decided: `${localWorkspaceFolder}` means the folder in the container; the server's own path is nobody's business.
Source: containers.dev, "Dev Container metadata reference". Observed with version 0.89.0 of the CLI: it merges the label,
and `up --prebuild` runs no hook after updateContentCommand, also none of the label's.
"""

import posixpath
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Protocol

from berth.domain.allowance import NO_ALLOWANCES, Allowances
from berth.domain.dev_container_build import find_build
from berth.domain.dev_container_keys import (
    IN_COMPOSE_FILE,
    IN_FILE,
    IN_LABEL,
    REFUSED,
    RUN_DIRECTORY,
    WORKSPACES,
    Allowed,
    Hook,
)
from berth.domain.dev_container_options import ARGUMENTS_KEY, OPTION_KEYS, read_asked, review_options
from berth.domain.feature import find_features, find_install_order
from berth.domain.host_option import NO_OPTIONS, HostOptions, merge_options
from berth.domain.jsonc import parse_jsonc, printable, refuse
from berth.domain.machine import Machine
from berth.domain.problem import Invalid

__all__ = [
    "DevContainerConfig",
    "Hook",
    "ImageMetadata",
    "container_name",
    "find_remote_user",
    "lifecycle_commands",
    "mounted_folder",
    "override_configuration",
    "parse_dev_container",
    "remote_environment",
    "review_configuration",
    "review_image_metadata",
]

METADATA_LABEL = "devcontainer.metadata"
RUN_DIRECTORY_OPTIONS = "mode=0755,size=16m"  # more than all secrets that one codespace can have (S2)
_FILE = "devcontainer.json"
_VARIABLE = re.compile(r"\$\{([^{}]*)\}")
_FOLDER_VARIABLES = ("localWorkspaceFolder", "containerWorkspaceFolder")
_PASSED_ON = (
    "containerUser",
    "remoteUser",
    "remoteEnv",
    "userEnvProbe",
    "overrideCommand",
    Hook.ON_CREATE,
    Hook.UPDATE_CONTENT,
)


class PathLike(Protocol):
    """A path; the domain only prints it."""

    def __fspath__(self) -> str: ...


@dataclass(frozen=True, slots=True)
class DevContainerConfig:
    """A configuration, or one entry of a label: parsed, without `${localEnv:…}`, perhaps not reviewed yet."""

    values: Mapping[str, object]
    path: str = ""  # where the repository has it
    options: HostOptions = NO_OPTIONS  # what of the host it gets: nothing before the review

    @property
    def image(self) -> str:
        """The image as the file names it; empty if it does not."""
        return _text(self.values.get("image"))

    @property
    def remote_env(self) -> dict[str, str | None]:
        """What the processes that a user or a hook starts get; None takes a variable away."""
        return dict(_mapping(self.values.get("remoteEnv")))


@dataclass(frozen=True, slots=True)
class ImageMetadata:
    """What an image's label says, reviewed; the oldest entry first."""

    entries: tuple[DevContainerConfig, ...] = ()
    options: HostOptions = NO_OPTIONS  # what of the host all of them get


def parse_dev_container(data: bytes, path: str = "") -> DevContainerConfig:
    """Raises Invalid, code `devcontainer.malformed`, with line and column where there are any."""
    return replace(_config(parse_jsonc(data, _FILE), _FILE), path=path)


def review_configuration(config: DevContainerConfig, allowances: Allowances = NO_ALLOWANCES) -> DevContainerConfig:
    """It, with its options.

    Raises Invalid that names every key of the file that is refused (L3, L4); its code is the first one's.
    """
    has_services = bool(config.values.get("dockerComposeFile"))
    options = review_values(config.values, IN_COMPOSE_FILE if has_services else IN_FILE, _FILE, allowances)
    find_features(config.values, config.path)
    find_install_order(config.values, config.path)
    if has_services:
        return replace(config, options=options)
    if find_build(config.values, config.path) is None and not config.image:
        raise Invalid(
            f"{_FILE} names neither an image nor a Dockerfile nor Compose files.",
            field="devcontainer_path",
            code="devcontainer.no_image",
            remedy="Add 'image', for example \"image\": \"debian:12\", or 'build' with 'dockerfile'.",
        )
    return replace(config, options=options)


def review_image_metadata(labels: Mapping[str, str], allowances: Allowances = NO_ALLOWANCES) -> ImageMetadata:
    """The entries of an image's label, or of a container's, which holds the image's. Raises Invalid (L4)."""
    label = labels.get(METADATA_LABEL)
    if not label:
        return ImageMetadata()
    source = f"The image's label {METADATA_LABEL}"
    value = parse_jsonc(label.encode(errors="surrogatepass"), source)
    entries = value if isinstance(value, list) else [value]
    configs = tuple(_config(entry, source) for entry in entries)
    options = []
    for entry, config in zip(entries, configs, strict=True):
        if entry != config.values or names_local_folder(entry):
            # The CLI fills these in by itself, from its own environment and paths.
            raise Invalid(
                f"{source} uses a variable of the machine that builds, such as ${{localEnv:…}}.",
                field="devcontainer_path",
                code="devcontainer.value",
                remedy="Build the image without it.",
            )
        options.append(review_values(config.values, IN_LABEL, source, allowances))
    return ImageMetadata(configs, merge_options(options))


def find_remote_user(metadata: ImageMetadata, config: DevContainerConfig) -> str | None:
    """Who hooks and terminals run as; None leaves it to the image's USER. The last word counts, as for the CLI."""
    for key in ("remoteUser", "containerUser"):
        for source in (config, *reversed(metadata.entries)):
            if user := _text(source.values.get(key)):
                return user
    return None


def remote_environment(
    metadata: ImageMetadata, config: DevContainerConfig, *, folder: str = ""
) -> dict[str, str | None]:
    """`remoteEnv` of label and file, merged; the file wins. `${containerEnv:X}` is left for the environment file."""
    merged: dict[str, str | None] = {}
    for source in (*metadata.entries, config):
        merged.update(source.remote_env)
    return {name: value if value is None else _in_folder(value, folder) for name, value in merged.items()}


def lifecycle_commands(
    metadata: ImageMetadata, config: DevContainerConfig, hook: Hook, *, folder: str = ""
) -> tuple[tuple[str, ...], ...]:
    """The hook's commands, to be run one after the other until one fails: the label's, then the file's.

    An object's commands run at the same time, as one command here that fails with one of them. `folder` is the remote
    workspace folder, for `${containerWorkspaceFolder}`; `${containerEnv:X}` becomes the shell's `${X}` in a text.
    """
    values = [source.values.get(hook) for source in (*metadata.entries, config)]
    return tuple(command for value in values if (command := _command(value, folder)))


def container_name(codespace: str) -> str:
    """Follows from the codespace's, so that nothing can be made twice."""
    return f"berth-{codespace}"


def mounted_folder(repository_name: str) -> str:
    """Where a container sees the checkout."""
    return f"{WORKSPACES}/{repository_name}"


def override_configuration(
    config: DevContainerConfig,
    *,
    image: str,
    codespace: str,
    workspace: PathLike,
    repository_name: str,
    environment: Mapping[str, str],
    machine: Machine,
    mounted: str = "",
) -> dict[str, object]:
    """What the CLI is given instead of the repository's file. `image` is pinned by digest.

    `mounted` is where the container sees the checkout, if a Compose file says so. Raises Invalid for a folder that will not
    be there.
    """
    mounted = mounted or mounted_folder(repository_name)
    folder = posixpath.normpath(_in_folder(_text(config.values.get("workspaceFolder")) or mounted, mounted))
    if folder not in {posixpath.dirname(mounted), mounted} and not folder.startswith(f"{mounted}/"):
        raise Invalid(
            f"'workspaceFolder' in {_FILE} must be {mounted} or a folder in it.",
            field="devcontainer_path",
            code="devcontainer.value",
        )
    container_env = {**_mapping(config.values.get("containerEnv")), **environment}
    ours: dict[str, object] = {
        "image": image,
        "workspaceMount": f"type=bind,{_field(f'source={workspace.__fspath__()}')},{_field(f'target={mounted}')}",
        "workspaceFolder": folder,
        "runArgs": [
            f"--name={container_name(codespace)}",
            f"--tmpfs={RUN_DIRECTORY}:{RUN_DIRECTORY_OPTIONS}",
            *machine.engine_arguments,
        ],
        "init": config.values.get("init", True) is not False,
        "updateRemoteUserUID": False,
    }
    theirs = {key: config.values[key] for key in _PASSED_ON if not _is_empty(config.values.get(key))}
    if config.values.get("overrideCommand") is False:
        theirs["overrideCommand"] = (
            False  # to the CLI it is the same as nothing only where the file names Compose files
        )
    return {**_fill({**theirs, "containerEnv": container_env}, folder), **ours}


def _config(value: object, source: str) -> DevContainerConfig:
    if not isinstance(value, dict):
        refuse(source, "it holds no object {…}")
    return DevContainerConfig({key: without_local_env(item, source) for key, item in value.items()})


def review_values(
    values: Mapping[str, object], allowed: Mapping[str, Allowed], source: str, allowances: Allowances = NO_ALLOWANCES
) -> HostOptions:
    """Policy 1: what of the host they get. Raises Invalid with all that is wrong, in one message."""
    keys = {*OPTION_KEYS, *({ARGUMENTS_KEY} & allowed.keys())}
    options, refusals = review_options(read_asked(values, [key for key in values if key in keys]), source, allowances)
    refusals += [
        refusal
        for key, value in values.items()
        if key not in keys and (refusal := _judge(key, value, allowed.get(key), source)) is not None
    ]
    if refusals:
        raise Invalid(
            " ".join(refusal.message for refusal in refusals),
            field="devcontainer_path",
            code=refusals[0].code,
            remedy=" ".join(dict.fromkeys(refusal.remedy for refusal in refusals if refusal.remedy)),
        )
    return options


def _judge(key: str, value: object, allowed: Allowed | None, source: str) -> Invalid | None:
    if allowed is not None:
        if allowed.fits(value):
            return None
        return Invalid(f"'{key}' in {source} must be {allowed.kind}.", code="devcontainer.value")
    refused = REFUSED.get(key)
    if refused is None:
        sentence = f"Berth does not know the key {printable(key)} in {source}, so it refuses it."
        near = get_close_matches(key, IN_FILE, n=1)
        remedy = f"Did you mean '{near[0]}'? Otherwise remove it." if near and near[0] != key else "Remove the key."
        return Invalid(sentence, code="devcontainer.unknown_key", remedy=remedy)
    if value in refused.harmless and type(value) in {type(one) for one in refused.harmless}:
        return None
    return Invalid(f"'{key}' in {source} is refused: {refused.why}.", code=refused.code, remedy=refused.instead)


def _is_empty(value: object) -> bool:
    return value is None or value is False or (isinstance(value, str | list | dict) and not value)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _mapping(value: object) -> Mapping[str, str | None]:
    return value if isinstance(value, dict) else {}


def without_local_env(value: object, source: str) -> object:
    """Policy 2, in every text. What one pass leaves was nested to get past it. Raises Invalid."""
    filled = _substitute(value, _local_env)
    if filled != _substitute(filled, _local_env):
        refuse(source, "a variable ${localEnv:…} is nested in another")
    return filled


def names_local_folder(value: object) -> bool:
    """Whether a text in it holds a variable that the CLI would fill in with a path of this server."""
    return _substitute(value, _local_folder) != value


def _local_folder(variable: str) -> str | None:
    return "" if variable.startswith("local") else None


def _local_env(variable: str) -> str | None:
    name, *rest = variable.split(":")
    return "".join(rest[1:2]) if name in {"localEnv", "env"} else None


def _fill(values: Mapping[str, object], folder: str) -> dict[str, object]:
    return {
        key: _substitute(value, lambda variable: _folder_variable(variable, folder)) for key, value in values.items()
    }


def _in_folder(text: str, folder: str) -> str:
    return _text(_substitute(text, lambda variable: _folder_variable(variable, folder)))


def _folder_variable(variable: str, folder: str) -> str | None:
    if variable in _FOLDER_VARIABLES:
        return folder
    return posixpath.basename(folder) if variable.removesuffix("Basename") in _FOLDER_VARIABLES else None


def _substitute(value: object, look_up: Callable[[str], str | None]) -> object:
    """The value with each `${variable}` in its texts looked up; None leaves it as it is."""
    if isinstance(value, dict):
        return {key: _substitute(item, look_up) for key, item in value.items()}
    if isinstance(value, list):
        return [_substitute(item, look_up) for item in value]
    if not isinstance(value, str):
        return value
    return _VARIABLE.sub(lambda match: match[0] if (found := look_up(match[1])) is None else found, value)


def _command(value: object, folder: str) -> tuple[str, ...]:
    """One hook's value as one command; empty if there is nothing to run."""
    if isinstance(value, dict):
        return _group([command for item in value.values() if (command := _command(item, folder))])
    if isinstance(value, list):
        return tuple(_in_folder(_text(item), folder) for item in value)
    text = _in_folder(_text(value), folder)
    return ("/bin/sh", "-c", _text(_substitute(text, _shell_variable))) if text else ()


def _shell_variable(variable: str) -> str | None:
    kind, _, rest = variable.partition(":")
    name, _, default = rest.partition(":")
    return f"${{{name}-{default}}}" if kind == "containerEnv" else None


def _group(commands: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """All at once; when all have ended, the exit code of one that failed."""
    if len(commands) < 2:
        return commands[0] if commands else ()
    started = "\n".join(f'{shlex.join(command)} & pids="$pids $!"' for command in commands)
    waited = "for pid in $pids; do wait $pid || status=$?; done; exit $status"
    return ("/bin/sh", "-c", f"pids= status=0\n{started}\n{waited}")


def _field(text: str) -> str:
    """A field of the engine's mount option, which is CSV."""
    return f'"{text.replace(chr(34), chr(34) * 2)}"' if "," in text or '"' in text else text
