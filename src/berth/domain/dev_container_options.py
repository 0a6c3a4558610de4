"""What somebody asks to have of the host, read in each way in which it can be written, and judged (L4).

Each source has its words for it: devcontainer.json, an image's label, a Feature (keys below), its `runArgs` (arguments below), a
Compose service. All of them become a list of `Asked`, and `review_options` says what of it the container gets, or refuses.

1. What is not understood is refused: a key's other kinds of value, an argument that is not in the table, an unknown capability.
2. What is understood has to be allowed, each thing for itself (`allowance.py`). The message names source, key, thing, and who can.
3. A mount is a bind of one path of the host, to a place in the container that is neither the checkout's nor the secrets', by its
   name: links that an image has there are not known here, and whoever made the image could copy the secrets anyway.
   Volumes would be shared by whoever knows their names.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from berth.domain.allowance import Allowances
from berth.domain.dev_container_keys import RUN_DIRECTORY, WORKSPACES
from berth.domain.host_option import (
    NAMESPACES,
    NO_OPTIONS,
    HostMount,
    HostOptions,
    Kind,
    find_capability,
    find_device,
    find_path,
    find_security,
    merge_options,
    nearest_capability,
)
from berth.domain.jsonc import printable
from berth.domain.problem import Invalid

OPTION_KEYS: Mapping[str, Kind] = {
    "privileged": Kind.PRIVILEGED,
    "capAdd": Kind.CAPABILITY,
    "securityOpt": Kind.SECURITY,
    "mounts": Kind.MOUNT,
}
ARGUMENTS_KEY = "runArgs"  # only the file has it
_VALUES = {"--cap-add": Kind.CAPABILITY, "--security-opt": Kind.SECURITY, "--device": Kind.DEVICE}
_HOST = {
    "--network": "network",
    "--net": "network",
    "--pid": "pid",
    "--ipc": "ipc",
    "--uts": "uts",
    "--userns": "user",
}
_INSTEAD = {
    "--mount": "Use 'mounts'.",
    "--volume": "Use 'mounts'.",
    "-v": "Use 'mounts'.",
    "--env": "Use 'containerEnv'.",
    "-e": "Use 'containerEnv'.",
    "--user": "Use 'containerUser'.",
    "-u": "Use 'containerUser'.",
    "--publish": "Use 'forwardPorts'.",
    "-p": "Use 'forwardPorts'.",
}
_FIELDS = {
    "type": "type",
    "source": "source",
    "src": "source",
    "target": "target",
    "dst": "target",
    "destination": "target",
    "readonly": "readonly",
    "ro": "readonly",
    "consistency": "consistency",  # of other systems than Linux: nothing here
}
_VAR_RUN = re.compile(r"^/var/run(?=/|\Z)")  # another name of /run
_SWITCH = {"": True, "true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class Asked:
    """One thing that a source asks for, under its own key; `value` as it stands there."""

    key: str
    kind: Kind
    value: object


@dataclass(frozen=True, slots=True)
class NotUnderstood:
    """Something under a key that is refused for what it is (policy 1). `why` is the end of a sentence."""

    key: str
    why: str
    instead: str = "Remove it."


def review_options(
    asked: Iterable[Asked | NotUnderstood], source: str, allowances: Allowances
) -> tuple[HostOptions, list[Invalid]]:
    """What a container gets of what is asked, and all refusals: with any of those it gets nothing.

    `source` is what the message calls it: devcontainer.json, the image's label, a Feature, a service.
    """
    found, refusals = [], []
    for one in asked:
        options = _understand(one)
        if isinstance(options, NotUnderstood):
            refusals.append(_refuse(f"'{one.key}' in {source} is refused: {options.why}.", options.instead))
            continue
        found.append(options)
        for option in options.tokens:
            refusal = allowances.refusal_of(option)
            if refusal is not None:
                sentence = f"'{one.key}' in {source} asks for {option}, which is refused: {refusal.why}."
                refusals.append(_refuse(sentence, refusal.remedy, refusal.code))
    return (NO_OPTIONS if refusals else merge_options(found)), refusals


def read_asked(values: Mapping[str, object], keys: Collection[str]) -> Iterator[Asked | NotUnderstood]:
    """What a dev container configuration, a label's entry or a Feature asks for under these keys.

    None, false and an empty list ask for nothing, each where it is of the key's own kind.
    """
    for key in keys:
        value = values.get(key)
        if value is None or (value is False and key == "privileged"):
            continue
        if key == "privileged":
            yield Asked(key, Kind.PRIVILEGED, value)
        elif not isinstance(value, list):
            yield NotUnderstood(key, "it must be a list")
        elif key == ARGUMENTS_KEY:
            yield from _read_arguments(value)
        else:
            yield from (Asked(key, OPTION_KEYS[key], one) for one in value)


def _refuse(sentence: str, remedy: str, code: str = "devcontainer.not_allowed") -> Invalid:
    return Invalid(sentence, field="devcontainer_path", code=code, remedy=remedy)


def _read_arguments(arguments: Sequence[object]) -> Iterator[Asked | NotUnderstood]:
    """`--name=value`, or `--name` and the value as the next argument."""
    rest = iter(arguments)
    for argument in rest:
        name, has_value, value = argument.partition("=") if isinstance(argument, str) else ("", "", "")
        if name == "--privileged" and _SWITCH.get(value) is not None:
            if _SWITCH[value]:
                yield Asked(ARGUMENTS_KEY, Kind.PRIVILEGED, True)
        elif name in _VALUES or name in _HOST:
            given = value if has_value else next(rest, None)
            if name in _VALUES:
                yield Asked(ARGUMENTS_KEY, _VALUES[name], given)
            elif given == "host":
                yield Asked(ARGUMENTS_KEY, Kind.NAMESPACE, _HOST[name])
            else:
                yield NotUnderstood(ARGUMENTS_KEY, f"{name} takes host and nothing else here")
        elif argument != "--init":  # a codespace has it unless 'init' says false
            shown = printable(name or str(argument))
            yield NotUnderstood(
                ARGUMENTS_KEY,
                f"the argument {shown} is not one of those that Berth knows",
                _INSTEAD.get(name, "Use the keys for single purposes, or the arguments that codespaces.md names."),
            )


def _understand(one: Asked | NotUnderstood) -> HostOptions | NotUnderstood:
    if isinstance(one, NotUnderstood):
        return one
    text, instead = one.value if isinstance(one.value, str) else "", "Remove it."
    if one.kind is Kind.MOUNT:
        return _understand_mount(one)
    if one.kind is Kind.PRIVILEGED:
        if one.value is True:
            return HostOptions(privileged=True)
        why = "it must be true or false"
    elif one.kind is Kind.CAPABILITY:
        if capability := find_capability(text):
            return HostOptions(capabilities=(capability,))
        why, instead = f"there is no capability {printable(text)}", nearest_capability(text) or instead
    elif one.kind is Kind.SECURITY:
        if security := find_security(text):
            return HostOptions(security=(security,))
        why = f"{printable(text)} is no security option that Berth knows"
    elif one.kind is Kind.NAMESPACE:
        if text in NAMESPACES:
            return HostOptions(namespaces=(text,))
        why = f"{printable(text)} is no namespace"
    else:
        if device := find_device(text):
            return HostOptions(devices=(device,))
        why = f"{printable(text)} is no device of the server, by its path below /dev"
    return NotUnderstood(one.key, why, instead)


def _understand_mount(one: Asked) -> HostOptions | NotUnderstood:
    """In either form, `type=bind,source=/a,target=/b` or an object (policy 3)."""
    fields = _mount_fields(one.value)
    if fields is None:
        why = "a mount holds something that Berth does not know, or something twice"
        return NotUnderstood(one.key, why, "It has type, source, target and readonly.")
    if fields.get("type") != "bind":
        why = "only mounts of the type bind are here: whoever knows a volume's name would share it"
        return NotUnderstood(
            one.key, why, "Keep files in the checkout below /workspaces, or elsewhere in the container."
        )
    source, target = find_path(fields.get("source", "")), find_path(fields.get("target", ""))
    read_only = _SWITCH.get(fields.get("readonly", "false"))
    if source is None or target is None or read_only is None:
        return NotUnderstood(one.key, "a mount needs source and target, absolute paths without variables")
    if any(_overlaps(_VAR_RUN.sub("/run", target), taken) for taken in (RUN_DIRECTORY, WORKSPACES)):
        return NotUnderstood(
            one.key, f"{target} is where the codespace has its checkout or its secrets", "Mount it elsewhere."
        )
    return HostOptions(mounts=(HostMount(source=source, target=target, read_only=read_only),))


def _mount_fields(value: object) -> dict[str, str] | None:
    if isinstance(value, dict):
        pairs = [(key, one) for key, one in value.items() if one is not None]
    else:
        parts = [part.partition("=") for part in value.split(",")] if isinstance(value, str) else []
        pairs = [(name, one) for name, _, one in parts]
    names = [_FIELDS.get(name) for name, _ in pairs]
    fields = {known: one for known, (_, one) in zip(names, pairs, strict=True) if known and isinstance(one, str)}
    return fields if len(fields) == len(pairs) else None


def _overlaps(path: str, other: str) -> bool:
    return path == "/" or f"{path}/".startswith(f"{other}/") or f"{other}/".startswith(f"{path}/")
