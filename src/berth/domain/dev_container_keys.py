"""The keys of a dev container configuration: which pass, what their values must be, which are refused and why (L3, L4).

Deny by default: a key in neither table is refused by name. A refused key passes with a value that asks for nothing, by the key's
own kind: to the CLI `"privileged": []` is as good as `true`. What `dev_container_options` may allow is refused here, for whoever
does not ask there.
Source: containers.dev, "Dev Container metadata reference"; the label's keys: the same site, "Image metadata".
"""

import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

WORKSPACES = "/workspaces"
RUN_DIRECTORY = "/run/codespaces"  # a tmpfs: what lies in it is gone when the container stops


class Hook(StrEnum):
    """The hooks of a container's life, in the order in which they run."""

    ON_CREATE = "onCreateCommand"
    UPDATE_CONTENT = "updateContentCommand"
    POST_CREATE = "postCreateCommand"
    POST_START = "postStartCommand"
    POST_ATTACH = "postAttachCommand"  # for editors: never run by Berth


@dataclass(frozen=True, slots=True)
class Allowed:
    """A key that may be there, and what its value must be."""

    fits: Callable[[object], bool] = lambda _value: True
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """A key that may not be there: why, and what to do instead."""

    code: str
    why: str
    instead: str
    harmless: tuple[object, ...] = (
        None,
    )  # values that ask for nothing, also as the CLI reads them: `[]` is true there


_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_USER = re.compile(r"(?!-)[A-Za-z0-9_.$-]{1,64}(?::[A-Za-z0-9_.$-]{1,64})?")
MAX_SERVICES = 50
_PLACEHOLDER = re.compile(r"\$\{[^{}/]*\}")


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_command(value: object) -> bool:
    commands = value.values() if isinstance(value, dict) else (value,)
    return all(_is_text(item) or (isinstance(item, list) and all(map(_is_text, item))) for item in commands)


def _is_container_env(value: object) -> bool:
    return isinstance(value, dict) and all(
        _VARIABLE_NAME.fullmatch(name) and isinstance(item, str) for name, item in value.items()
    )


def _is_remote_env(value: object) -> bool:
    return isinstance(value, dict) and _is_container_env(
        {name: "" if item is None else item for name, item in value.items()}
    )


def _is_user(value: object) -> bool:
    return isinstance(value, str) and (not value or _USER.fullmatch(value) is not None)


def _is_folder(value: object) -> bool:
    path = posixpath.normpath(_PLACEHOLDER.sub("x", value)) if isinstance(value, str) else ""
    return path == WORKSPACES or path.startswith(f"{WORKSPACES}/")


def _is_absolute(value: object) -> bool:
    return isinstance(value, str) and _PLACEHOLDER.sub("x", value).startswith("/") and value.isprintable()


def _is_text_or_texts(value: object) -> bool:
    return _is_text_or_nothing(value) or _are_texts(value)


def _is_text_or_nothing(value: object) -> bool:
    return value is None or _is_text(value)


def _are_texts(value: object) -> bool:
    return value is None or (isinstance(value, list) and len(value) <= MAX_SERVICES and all(map(_is_text, value)))


def _is_probe(value: object) -> bool:
    return isinstance(value, str) and value in {"none", "loginShell", "loginInteractiveShell", "interactiveShell"}


_ANYTHING = Allowed()
_TEXT = Allowed(_is_text, "a text")
_BOOL = Allowed(lambda value: isinstance(value, bool), "true or false")
_COMMAND = Allowed(_is_command, "a text, a list of texts, or an object of those")
USER_NAME = Allowed(_is_user, "a user's name or number")

_IN_BOTH: Mapping[str, Allowed] = {
    **dict.fromkeys(Hook, _COMMAND),
    "name": _TEXT,
    "containerEnv": Allowed(_is_container_env, "an object of variables, each a text"),
    "remoteEnv": Allowed(_is_remote_env, "an object of variables, each a text or null"),
    "containerUser": USER_NAME,
    "remoteUser": USER_NAME,
    "userEnvProbe": Allowed(_is_probe, "none, loginShell, loginInteractiveShell or interactiveShell"),
    "overrideCommand": _BOOL,
    "init": _BOOL,
    "updateRemoteUserUID": _BOOL,
    "waitFor": _TEXT,
    "shutdownAction": _TEXT,
    "forwardPorts": _ANYTHING,
    "portsAttributes": _ANYTHING,
    "otherPortsAttributes": _ANYTHING,
    "hostRequirements": _ANYTHING,
    "customizations": _ANYTHING,
}
IN_FILE: Mapping[str, Allowed] = {
    **_IN_BOTH,
    "image": _TEXT,
    "build": _ANYTHING,  # read by dev_container_build.py
    "dockerFile": _ANYTHING,  # likewise, as is the next
    "context": _ANYTHING,
    "features": _ANYTHING,  # read by feature.py, as is the next
    "overrideFeatureInstallOrder": _ANYTHING,
    "runArgs": _ANYTHING,  # read by dev_container_options.py
    "dockerComposeFile": Allowed(_is_text_or_texts, "a text or a list of texts"),  # read by compose.py
    "service": Allowed(_is_text_or_nothing, "a text"),  # likewise
    "runServices": Allowed(_are_texts, f"a list of at most {MAX_SERVICES} texts"),
    "workspaceFolder": Allowed(_is_folder, f"a folder below {WORKSPACES}"),
    "$schema": _ANYTHING,
    "secrets": _ANYTHING,  # says which secrets would be useful; gives none
    "extensions": _ANYTHING,  # this and the next two are old spellings of what is now in customizations
    "settings": _ANYTHING,
    "devPort": _ANYTHING,
}
IN_COMPOSE_FILE: Mapping[str, Allowed] = {
    **IN_FILE,
    "workspaceFolder": Allowed(_is_absolute, "an absolute path"),  # where the service mounts the checkout, or in there
}
IN_LABEL: Mapping[str, Allowed] = {**_IN_BOTH, "id": _TEXT}
IN_FEATURE: Mapping[str, Allowed] = {
    key: _IN_BOTH[key] for key in (*Hook, "containerEnv", "customizations", "init")
}  # what a Feature adds to a container

_UNSUPPORTED = "devcontainer.unsupported"
_NOT_ALLOWED = "devcontainer.not_allowed"
_COMPOSE = Refused(_UNSUPPORTED, "an image is not made of services", "Use it in devcontainer.json.")
_FEATURES = Refused(
    _UNSUPPORTED,
    "only devcontainer.json says which Features are installed",
    "Name them there; what a Feature needs it names with 'dependsOn'.",
)
_MOUNT = Refused(
    _NOT_ALLOWED,
    "it could mount folders of the server",
    "The checkout is mounted below /workspaces; keep other files in the container.",
)
_PRIVILEGE = Refused(
    _NOT_ALLOWED,
    "it weakens the wall between the container and the server",
    "Remove it, or ask the administrator of this server.",
)
_NONE_OR_LIST: tuple[object, ...] = (None, [])
REFUSED: Mapping[str, Refused] = {
    "initializeCommand": Refused(
        "devcontainer.host_command",
        "it would run on the server, outside the container",
        "Use 'onCreateCommand', which runs in the container.",
    ),
    **dict.fromkeys(("dockerComposeFile", "service", "runServices"), _COMPOSE),
    "features": replace(_FEATURES, harmless=(None, {})),
    "overrideFeatureInstallOrder": replace(_FEATURES, harmless=_NONE_OR_LIST),
    "mounts": replace(_MOUNT, harmless=_NONE_OR_LIST),
    "workspaceMount": _MOUNT,
    "privileged": replace(_PRIVILEGE, harmless=(None, False)),
    **dict.fromkeys(("capAdd", "securityOpt"), replace(_PRIVILEGE, harmless=_NONE_OR_LIST)),
    "runArgs": Refused(
        _NOT_ALLOWED,
        "arguments for the engine could open the server",
        "Use the keys for single purposes: 'init', 'containerEnv', 'containerUser'.",
        harmless=_NONE_OR_LIST,
    ),
    "appPort": Refused(_NOT_ALLOWED, "it would publish a port of the server", "Use 'forwardPorts'.", _NONE_OR_LIST),
    "entrypoint": Refused(
        _NOT_ALLOWED, "start scripts are not run by this version of Berth", "Use 'postStartCommand'."
    ),
}
