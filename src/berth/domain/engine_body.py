"""What the dev container CLI may have made of a container or a process: policies 4 and 5 of `engine_request.py`.

Only what stands here reaches the engine: the body is written anew from what was understood. A client names each of a hundred
keys, most of them with the value that asks for nothing, and newer clients name more: such a value is left out, whatever its key.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NoReturn

from berth.domain.compose_container import MainContainer
from berth.domain.dev_container import METADATA_LABEL
from berth.domain.engine_options import DEFAULT_NETWORK, as_json, host_entries, is_more
from berth.domain.host_option import NO_OPTIONS, OPTIONS_LABEL, HostOptions
from berth.domain.jsonc import printable
from berth.domain.machine import Machine
from berth.domain.strict_json import parse_json_object

_KEY = re.compile(r"[A-Za-z]{1,40}")


class Rule(StrEnum):
    """Why a request was refused; shown to the user and logged."""

    ROUTE = "engine.route"
    QUERY = "engine.query"
    BODY = "engine.body"
    IMAGE = "engine.image"
    CONTAINER = "engine.container"
    PROCESS = "engine.process"
    CREATE = "engine.create"
    EXECUTE = "engine.execute"


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchScope:
    """What Berth decided about the container of one launch."""

    container_name: str
    image: str  # as the container runs it: by digest or id
    labels: Mapping[str, str]  # that make a container this codespace's
    source: str  # the checkout on this host
    target: str  # where the container sees it
    tmpfs: Mapping[str, str]  # path → options
    machine: Machine
    options: HostOptions = NO_OPTIONS  # what of the host it gets
    added: MainContainer | None = None  # what Compose files give it besides


@dataclass(frozen=True, slots=True)
class Refused:
    """The request is not passed on. The sentence may be shown to the user of the codespace."""

    rule: Rule
    sentence: str


class NotAllowed(Exception):
    """How a part of the decision ends it; `decide_engine_request` returns what it holds."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.sentence)
        self.refused = refused


def refuse(rule: Rule, sentence: str) -> NoReturn:
    raise NotAllowed(Refused(rule, sentence))


def container_body(body: bytes, scope: LaunchScope) -> dict[str, object]:
    """The body of a container's creation. Raises NotAllowed, Invalid."""
    given = parse_json_object(body, ignore_case=True)
    if given.pop("Image", None) != scope.image:
        refuse(Rule.IMAGE, "The image is not this launch's.")
    labels = _labels(_object_at("Labels", given), scope)
    host = _host_config(_object_at("HostConfig", given), scope)
    taken = _taken(given, _OF_CONTAINER, Rule.CREATE)
    decided = {**taken, "Image": scope.image, "Labels": labels, "HostConfig": host}
    return decided if scope.added is None else scope.added.add_to(decided)


def process_body(body: bytes) -> dict[str, object]:
    """The body of a process's creation in a container. Raises NotAllowed, Invalid."""
    given = parse_json_object(body, ignore_case=True)
    return {**_taken(given, _OF_PROCESS, Rule.EXECUTE), "Privileged": False, "Tty": False}


def start_body(body: bytes) -> dict[str, object]:
    """The body of a process's start: attached, without a terminal. Raises NotAllowed, Invalid."""
    _taken(parse_json_object(body, ignore_case=True), {}, Rule.EXECUTE)
    return {"Detach": False, "Tty": False}


def _object_at(name: str, given: dict[str, object]) -> dict[str, object]:
    value = given.pop(name, None) or {}
    if not isinstance(value, dict):
        refuse(Rule.CREATE, f"The container's {name} is not an object.")
    return value


def _labels(given: Mapping[str, object], scope: LaunchScope) -> dict[str, object]:
    """The codespace's own, and the description that the CLI makes: whoever reads that reviews it."""
    metadata = {name: value for name, value in given.items() if name == METADATA_LABEL and _is_text(value)}
    # Written also where it is empty: the image could have a label of this name.
    allowed = {**metadata, **scope.labels, OPTIONS_LABEL: scope.options.label}
    for name, value in given.items():
        if allowed.get(name) != value:
            refuse(Rule.CREATE, f"The container's label {printable(name)} is not what Berth gives it.")
    return allowed


def _host_config(given: Mapping[str, object], scope: LaunchScope) -> dict[str, object]:
    decided: dict[str, object] = {
        "Tmpfs": dict(scope.tmpfs),
        "NetworkMode": DEFAULT_NETWORK,
        **scope.machine.engine_limits,
        **host_entries(scope.options, [{"Type": "bind", "Source": scope.source, "Target": scope.target}]),
    }
    rest = dict(given)
    for name, value in decided.items():
        asked = rest.pop(name, None)
        if not _is_nothing(asked) and is_more(name, asked, value):
            refuse(Rule.CREATE, f"HostConfig.{name} is not what Berth gives the container.")
    return {**_taken(rest, _OF_HOST, Rule.CREATE, "HostConfig."), **decided}


def _taken(
    given: Mapping[str, object], allowed: Mapping[str, Callable[[object], bool]], rule: Rule, prefix: str = ""
) -> dict[str, object]:
    """The allowed keys with fitting values. What asks for nothing is left out. Raises NotAllowed for all else."""
    taken = {}
    for name, value in given.items():
        if _SAME_AS_NOTHING.get(name, _is_nothing)(value):
            continue
        if name not in allowed or not allowed[name](value):
            refuse(rule, f"{prefix}{_shown(name)} asks for what a codespace does not get.")
        taken[name] = value
    return taken


def _shown(name: str) -> str:
    return name if _KEY.fullmatch(name) else printable(name)


def _is_nothing(value: object) -> bool:
    return value is None or value is False or value == 0 or value in ("", [], {})


def _is_nothing_inside(value: object) -> bool:
    """Nothing, or made of nothing."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return _is_nothing(value) if inner is None else all(_is_nothing_inside(one) for one in inner)


def _is_same(asked: object, value: object) -> bool:
    return as_json(asked) == as_json(value)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(_is_text(one) for one in value)


def _is_yes(value: object) -> bool:
    return value is True


def _one_of(*values: object) -> Callable[[object], bool]:
    return lambda value: any(_is_same(value, one) for one in values)


_OF_PROCESS: Mapping[str, Callable[[object], bool]] = {
    "User": _is_text,
    "WorkingDir": _is_text,
    "Env": _are_texts,
    "Cmd": _are_texts,
    "AttachStdin": _is_yes,
    "AttachStdout": _is_yes,
    "AttachStderr": _is_yes,
}
_OF_CONTAINER: Mapping[str, Callable[[object], bool]] = {
    "User": _is_text,
    "Env": _are_texts,
    "Cmd": _are_texts,
    "Entrypoint": _are_texts,
    "AttachStdout": _is_yes,
    "AttachStderr": _is_yes,
}
_OF_HOST: Mapping[str, Callable[[object], bool]] = {"Init": _is_yes}
# The clients' own ways to ask for nothing, beside null, false, 0 and what is empty.
_SAME_AS_NOTHING: Mapping[str, Callable[[object], bool]] = {
    "ConsoleSize": _is_nothing_inside,
    "LogConfig": _is_nothing_inside,
    "NetworkingConfig": _is_nothing_inside,
    "MemorySwappiness": _one_of(None, 0, -1),
    "RestartPolicy": _one_of(None, {}, {"Name": "no", "MaximumRetryCount": 0}, {"Name": "no"}),
}
