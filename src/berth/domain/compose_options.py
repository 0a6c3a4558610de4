"""What a service of a Compose file asks to have of the host, in Compose's words; `dev_container_options` judges it (L4).

1. What the administrator and the organization allow in devcontainer.json they allow here: each service gets what itself asks for.
2. A namespace can be the host's. That of another container cannot be had, but for the network of a service (`compose_service.py`).
3. A mount of the host is an absolute path. One that leads out of the repository in another way would be another folder on each
   server: it is refused whatever is allowed (`compose_mount.py`), as are keys that have no token (`compose_keys.py`).
4. `no-new-privileges` only takes something away: nobody has to allow it.

Source: Compose Specification, "service".
"""

from collections.abc import Iterable, Iterator, Mapping

from berth.domain.allowance import Allowances
from berth.domain.compose_keys import NOT_ALLOWED, asks_for_nothing, refusal
from berth.domain.compose_mount import Mount
from berth.domain.compose_values import texts, truth
from berth.domain.dev_container_options import Asked, NotUnderstood, review_options
from berth.domain.host_option import HostOptions, Kind

_LISTS: Mapping[str, Kind] = {"cap_add": Kind.CAPABILITY, "security_opt": Kind.SECURITY, "devices": Kind.DEVICE}
_NAMESPACES = {"pid": "pid", "ipc": "ipc", "uts": "uts", "userns_mode": "user"}
_NETWORK = "network_mode"
_MOUNTS = "volumes"
_NO_NEW_PRIVILEGES = frozenset({"no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"})


def review_service_options(
    values: Mapping[str, object], mounts: Iterable[Mount], what: str, allowances: Allowances
) -> HostOptions:
    """What of the host the service gets; `mounts` are those of the host. Raises Invalid with all that is refused."""
    asked = [*_read(values, what), *map(_ask_for_mount, mounts)]
    options, refusals = review_options(asked, what, allowances)
    if refusals:
        code = refusals[0].code
        raise refusal(
            " ".join(one.message for one in refusals),
            NOT_ALLOWED if code == "devcontainer.not_allowed" else code,
            " ".join(dict.fromkeys(one.remedy for one in refusals)),
        )
    return options


def has_no_new_privileges(value: object, what: str) -> bool:
    """Whether `security_opt` says so."""
    return not asks_for_nothing(value) and not _NO_NEW_PRIVILEGES.isdisjoint(texts(value, what))


def _read(values: Mapping[str, object], what: str) -> Iterator[Asked | NotUnderstood]:
    for key, value in values.items():
        if asks_for_nothing(value):
            continue
        if key == "privileged":
            if truth(value, f"'{key}' of {what}"):
                yield Asked(key, Kind.PRIVILEGED, True)
        elif key in _LISTS:
            entries = texts(value, f"'{key}' of {what}")
            yield from (Asked(key, _LISTS[key], one) for one in entries if one not in _NO_NEW_PRIVILEGES)
        elif key == _NETWORK:
            if value == "host":
                yield Asked(key, Kind.NAMESPACE, "network")
        elif key in _NAMESPACES:
            if value == "host":
                yield Asked(key, Kind.NAMESPACE, _NAMESPACES[key])
            else:
                yield NotUnderstood(key, "it takes host and nothing else here")


def _ask_for_mount(mount: Mount) -> Asked:
    said = {"type": "bind", "source": mount.source, "target": mount.target}
    return Asked(_MOUNTS, Kind.MOUNT, {**said, "readonly": "true" if mount.read_only else "false"})
