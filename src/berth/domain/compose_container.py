"""What the engine is asked to make of a service, in its own words (L4): of one beside the main one, and what that gets more.

1. Both come from the same functions, so a service has no more in one place than in the other.
2. Each container has the limits of the codespace's machine, and of the server the checkout and what its options say: without any it
   has no capability that the engine does not give by itself, no device, no namespace of the server's. None has a port of it.
3. The main one's options are in the body that the filter let through; the others' are written here, and each container's label
   says what it was given, also that it is nothing: the image could have a label of that name.

Source: Docker Engine API 1.41, "Create a container".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from berth.domain.compose import service_container_name, service_labels, volume_name
from berth.domain.compose_mount import Mount, MountKind
from berth.domain.compose_service import ComposeService, Healthcheck
from berth.domain.engine_options import host_entries
from berth.domain.host_option import OPTIONS_LABEL
from berth.domain.machine import Machine

_JOINED = ("Mounts", "SecurityOpt")  # lists that both may say something of
_SHELL = ["/bin/sh"]
_WRAPPER_WORDS = 3  # `-c`, the dev container CLI's script, `-`: what follows is the command that it goes on with


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePlacement:
    """Where a service's container belongs. `network` is the engine's id of it; `joined` the container whose network it shares."""

    codespace: str
    checkout: str  # on this host
    network: str
    joined: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceContainer:
    """A container beside the main one."""

    name: str
    body: Mapping[str, object]  # of the engine's request


@dataclass(frozen=True, slots=True, kw_only=True)
class MainContainer:
    """What Compose files add to the container that the dev container CLI asks for; all of it decided by Berth.

    `checkout_target` is where the CLI mounts the checkout itself.
    """

    service: ComposeService
    placement: ServicePlacement
    checkout_target: str
    command: tuple[str, ...] | None = None  # what the CLI's own start goes on with; None: as the CLI says

    def add_to(self, body: Mapping[str, object]) -> dict[str, object]:
        """The body of a creation that was let through, with it."""
        host = _inner(body, "HostConfig")
        mounts = [mount for mount in self.service.mounts if mount.target != self.checkout_target]
        added = _host(self.service, self.placement, mounts)
        given = [str(one) for one in _list(body.get("Env"))]
        named = {one.partition("=")[0] for one in given}
        env = [f"{name}={value}" for name, value in self.placement.environment.items() if name not in named]
        return {
            **body,
            **_config(self.service),
            **self._process(body),
            "Env": [*env, *given],
            "HostConfig": {
                **_joined(host, added),
                "Tmpfs": {**_inner(added, "Tmpfs"), **_inner(host, "Tmpfs")},
            },
            **_networking(self.service, self.placement),
        }

    def _process(self, body: Mapping[str, object]) -> dict[str, object]:
        given = _list(body.get("Cmd"))
        held: dict[str, object] = {"OpenStdin": True} if self.service.tty or self.service.stdin_open else {}
        if self.command is None or body.get("Entrypoint") != _SHELL or len(given) < _WRAPPER_WORDS:
            return held
        return {**held, "Cmd": [*given[:_WRAPPER_WORDS], *self.command]}


def service_container(
    service: ComposeService, placement: ServicePlacement, *, image: str, labels: Mapping[str, str], machine: Machine
) -> ServiceContainer:
    """`image` by digest or id; `labels` are those of every container of the codespace."""
    words: dict[str, object] = {}
    if service.entrypoint is not None:
        words["Entrypoint"] = list(service.entrypoint)
    if service.command is not None:
        words["Cmd"] = list(service.command)
    host = _host(service, placement, service.mounts)
    restart = {"Name": service.restart, "MaximumRetryCount": service.restart_most}
    body = {
        **_config(service),
        **words,
        "Image": image,
        "Labels": {**service_labels(placement.codespace, service), **labels, OPTIONS_LABEL: service.options.label},
        "Env": [f"{name}={value}" for name, value in placement.environment.items()],
        "User": service.user,
        "Tty": service.tty,
        "OpenStdin": service.tty or service.stdin_open,
        "HostConfig": {
            **_joined(host, host_entries(service.options, ())),
            **machine.engine_limits,
            "Init": service.init,
            "RestartPolicy": restart,
        },
        **_networking(service, placement),
    }
    return ServiceContainer(name=service_container_name(placement.codespace, service.name), body=body)


def goes_on_with(service: ComposeService, image_entrypoint: tuple[str, ...]) -> tuple[str, ...] | None:
    """The whole command line that the file gives a service; None where it says nothing."""
    if service.entrypoint is not None:
        return (*service.entrypoint, *(service.command or ()))
    return None if service.command is None else (*image_entrypoint, *service.command)


def _config(service: ComposeService) -> dict[str, object]:
    said: dict[str, object] = {
        "WorkingDir": service.working_dir,
        "StopSignal": service.stop_signal,
        "StopTimeout": None if service.stop_s is None else int(service.stop_s),
        "Healthcheck": None if service.healthcheck is None else _healthcheck(service.healthcheck),
    }
    if service.is_on_network and "uts" not in service.options.namespaces:  # else the engine refuses names of its own
        said |= {"Hostname": service.hostname, "Domainname": service.domainname}
    return {key: value for key, value in said.items() if value is not None and value != ""}


def _host(
    service: ComposeService, placement: ServicePlacement, mounts: tuple[Mount, ...] | list[Mount]
) -> dict[str, object]:
    said: dict[str, object] = {
        "NetworkMode": _network_mode(service, placement),
        "Mounts": [_mount(mount, placement) for mount in mounts],
        "Tmpfs": dict(service.tmpfs),
    }
    if service.shm_bytes:
        said["ShmSize"] = service.shm_bytes
    if service.cap_drop:
        said["CapDrop"] = list(service.cap_drop)
    if service.no_new_privileges:
        said["SecurityOpt"] = ["no-new-privileges:true"]
    if service.read_only:
        said["ReadonlyRootfs"] = True
    if service.extra_hosts and not service.network_of:
        said["ExtraHosts"] = list(service.extra_hosts)
    return said


def _network_mode(service: ComposeService, placement: ServicePlacement) -> str:
    if "network" in service.options.namespaces:
        return "host"
    if service.network_of:
        return f"container:{placement.joined}"
    return placement.network if service.has_network else "none"


def _networking(service: ComposeService, placement: ServicePlacement) -> dict[str, object]:
    if not service.is_on_network:
        return {}
    aliases = list(dict.fromkeys((service.name, *service.aliases)))
    return {"NetworkingConfig": {"EndpointsConfig": {placement.network: {"Aliases": aliases}}}}


def _mount(mount: Mount, placement: ServicePlacement) -> dict[str, object]:
    said: dict[str, object] = {"Target": mount.target, "ReadOnly": mount.read_only}
    if mount.kind is MountKind.TMPFS:
        size = {"TmpfsOptions": {"SizeBytes": mount.size_bytes}} if mount.size_bytes else {}
        return {**said, "Type": "tmpfs", **size}
    if mount.kind is MountKind.VOLUME:
        source = {"Source": volume_name(placement.codespace, mount.volume)} if mount.volume else {}
        return {**said, "Type": "volume", **source}
    return {**said, "Type": "bind", "Source": placement.checkout}


def _healthcheck(check: Healthcheck) -> dict[str, object]:
    times = {"Interval": check.interval_s, "Timeout": check.timeout_s, "StartPeriod": check.start_period_s}
    said = {name: int(seconds * 10**9) for name, seconds in times.items() if seconds}
    return {
        **said,
        **({"Retries": check.retries} if check.retries else {}),
        **({"Test": list(check.test)} if check.test else {}),
    }


def _joined(first: Mapping[str, object], second: Mapping[str, object]) -> dict[str, object]:
    """Two parts of a HostConfig as one: lists that both may have are added up, else the second one's word counts."""
    lists = {name: both for name in _JOINED if (both := [*_list(first.get(name)), *_list(second.get(name))])}
    return {**first, **second, **lists}


def _inner(body: Mapping[str, object], key: str) -> dict[str, object]:
    value = body.get(key)
    return dict(value) if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else []
