"""What a container has of its host, in the engine's words; and whether what a client asks for is more than that (L4).

The dev container CLI reads the image's label by itself and asks for what that says, in the label's own spelling and in any order.
So what it asks for is brought into one form and has to be a part of what Berth decided. The engine gets what was decided.
Source: Docker Engine API 1.41, HostConfig.
"""

import json
from collections.abc import Callable, Mapping, Sequence

from berth.domain.host_option import HostDevice, HostMount, HostOptions, find_capability, find_path, find_security

DEFAULT_NETWORK = "default"
_MODES = {"network": "NetworkMode", "pid": "PidMode", "ipc": "IpcMode", "uts": "UTSMode", "user": "UsernsMode"}


def host_entries(options: HostOptions, mounts: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """The keys of HostConfig that say it. `mounts` is what is mounted whatever the options say, such as the checkout."""
    lists: dict[str, list[object]] = {
        "CapAdd": list(options.capabilities),
        "SecurityOpt": list(options.security),
        "Devices": [_device(one) for one in options.devices],
    }
    return {
        "Mounts": [*map(dict, mounts), *(_mount(one) for one in options.mounts)],
        **({"Privileged": True} if options.privileged else {}),
        **{name: value for name, value in lists.items() if value},
        **{_MODES[one]: "host" for one in options.namespaces},
    }


def is_more(name: str, asked: object, decided: object) -> bool:
    """Whether a key of HostConfig asks for more than what was decided, or for something else.

    A list may be a part of what was decided, each entry once. A network that is decided takes the place of the engine's own.
    """
    if name in _FORMS:
        form = _FORMS[name]
        have = [as_json(form(one)) for one in decided] if isinstance(decided, list) else []
        want = [as_json(form(one)) for one in asked] if isinstance(asked, list) else [""]
        return len(set(want)) != len(want) or not set(want) <= set(have)
    if name == "NetworkMode" and asked == DEFAULT_NETWORK:
        return False
    return as_json(asked) != as_json(decided)


def as_json(value: object) -> str:
    """Two values are the same if this is: `true` is not 1."""
    return json.dumps(value, sort_keys=True)


def _mount(mount: HostMount) -> dict[str, object]:
    read_only = {"ReadOnly": True} if mount.read_only else {}
    return {"Type": "bind", "Source": mount.source, "Target": mount.target, **read_only}


def _device(device: HostDevice) -> dict[str, object]:
    return {"PathOnHost": device.path, "PathInContainer": device.inside, "CgroupPermissions": device.permissions}


def _mount_form(value: object) -> object:
    """Without what says nothing, its paths as Berth writes them; how another system would cache it says nothing here."""
    if not isinstance(value, dict):
        return value
    said = {key: one for key, one in value.items() if key != "Consistency" and one not in (None, "", False, {})}
    return {key: _path(one) if key in {"Source", "Target"} else one for key, one in said.items()}


def _as_text(find: Callable[[str], str | None]) -> Callable[[object], object]:
    return lambda value: (find(value) or value) if isinstance(value, str) else value


_path = _as_text(find_path)
_FORMS: Mapping[str, Callable[[object], object]] = {
    "CapAdd": _as_text(find_capability),
    "SecurityOpt": _as_text(find_security),
    "Devices": lambda value: value,
    "Mounts": _mount_form,
}
