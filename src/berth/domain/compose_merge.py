"""Several Compose files made one, as the Compose Specification says.

1. Mappings are merged key by key, lists are appended, anything else is replaced. Nothing (null) changes nothing.
2. `command`, `entrypoint` and a health check's `test` are replaced, whatever they are.
3. Of `volumes` and `ports`, entries for one target are merged: the later one counts.
4. What may be a list or a mapping is made a mapping before.

Source: Compose Specification, "Merge". `!reset` and `!override` are refused with all other tags.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce

from berth.domain.problem import Invalid

_REPLACED = frozenset({"command", "entrypoint", "test"})


def merge_files(files: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """The files' contents, filled in, the first one first. The result shares nothing that anybody may change."""
    return reduce(_merge_mappings, (_with_normal_services(one) for one in files), dict[str, object]())


def as_list(value: object) -> list[object]:
    """A single value as a list of one; nothing as an empty one."""
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]


def as_mapping(value: object) -> object:
    """`["A=1", "B"]` as `{"A": "1", "B": null}`. What is neither stays for whoever checks it."""
    if not isinstance(value, list) or not all(isinstance(one, str | int) for one in value):
        return value
    pairs = [str(one).partition("=") for one in value]
    return {name: text if equals else None for name, equals, text in pairs}


def _names_as_mapping(value: object) -> object:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        return value
    return dict.fromkeys(value)


def _hosts_as_mapping(value: object) -> object:
    """`["name:address"]` or `["name=address"]` as a mapping."""
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        return value
    pairs = [one.partition("=") if "=" in one else one.partition(":") for one in value]
    return {name: address for name, _, address in pairs}


def _normal_build(value: object) -> object:
    build = {"context": value} if isinstance(value, str) else value
    return {**build, "args": as_mapping(build.get("args"))} if isinstance(build, dict) else build


_NORMAL: Mapping[str, Callable[[object], object]] = {
    "environment": as_mapping,
    "labels": as_mapping,
    "depends_on": _names_as_mapping,
    "networks": _names_as_mapping,
    "extra_hosts": _hosts_as_mapping,
    "build": _normal_build,
    **dict.fromkeys(("env_file", "tmpfs", "profiles", "expose", "cap_drop", "links", "volumes", "ports"), as_list),
}


def _with_normal_services(file: Mapping[str, object]) -> Mapping[str, object]:
    services = file.get("services")
    if not isinstance(services, dict):
        return file
    return {**file, "services": {name: _normal(one) for name, one in services.items()}}


def _normal(service: object) -> object:
    if not isinstance(service, dict):
        return service
    return {key: _NORMAL[key](value) if key in _NORMAL else value for key, value in service.items()}


def _merge_mappings(base: Mapping[str, object], other: Mapping[str, object]) -> dict[str, object]:
    merged = dict(base)
    for key, value in other.items():
        merged[key] = _merge(key, merged[key], value) if key in merged else value
    return merged


def _merge(key: str, base: object, other: object) -> object:
    if other is None:
        return base
    if key in _REPLACED or base is None:
        return other
    if isinstance(base, dict) and isinstance(other, dict):
        return _merge_mappings(base, other)
    if isinstance(base, list) and isinstance(other, list):
        return _unique(key, [*base, *other])
    if isinstance(base, dict | list) or isinstance(other, dict | list):
        raise Invalid(
            f"The Compose files say different kinds of things of '{key[:60]}'.",
            field="devcontainer_path",
            code="compose.malformed",
        )
    return other


def _unique(key: str, entries: list[object]) -> list[object]:
    """For volumes and ports: the last entry for each target, in the first one's place."""
    if key not in {"volumes", "ports"}:
        return entries
    return list({_target(key, entry): entry for entry in entries}.values())


def _target(key: str, entry: object) -> str:
    if isinstance(entry, dict):
        return "/".join(str(entry.get(part, "")) for part in ("target", "published", "protocol", "host_ip"))
    parts = str(entry).split(":")
    if key == "ports":
        return str(entry)
    return f"{parts[0] if len(parts) == 1 else parts[1]}///"
