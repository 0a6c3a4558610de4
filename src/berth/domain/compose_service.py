"""One service of a Compose file, reviewed (L4): what its container is made of, and what it waits for.

The container gets no more of the engine than a codespace without Compose gets: see `compose_keys` for what is refused, and
`compose_options` for what of the host may be allowed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from berth.domain.allowance import NO_ALLOWANCES, Allowances
from berth.domain.compose_keys import BUILD, NOT_ALLOWED, SERVICE, UNSUPPORTED, refusal
from berth.domain.compose_mount import Mount, MountKind, MountPlace, parse_mount, parse_tmpfs
from berth.domain.compose_options import has_no_new_privileges, review_service_options
from berth.domain.compose_values import (
    MAX_ENTRIES,
    NAME,
    command,
    duration_s,
    inside_path,
    mapping,
    name,
    repository_path,
    size_bytes,
    text,
    texts,
    truth,
    variables,
    whole,
)
from berth.domain.dev_container_build import DevContainerBuild
from berth.domain.dev_container_keys import USER_NAME
from berth.domain.host_option import NO_OPTIONS, HostOptions
from berth.domain.image_reference import parse_image_reference
from berth.domain.problem import Invalid

MAX_SHM_BYTES = 8 * 2**30
MAX_STOP_S = 60.0
MAX_ENVIRONMENT_FILES = 32
_SIGNAL = re.compile(r"[A-Z0-9+-]{1,16}")
_CAPABILITY = re.compile(r"[A-Za-z_]{1,40}")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}")
_OURS = ("com.docker", "io.docker", "org.dockerproject", "dev.berth", "devcontainer.")
_ADDRESS = re.compile(r"[0-9A-Fa-f.:]{2,45}|host-gateway")
_PORT = re.compile(r"\d{1,5}(?:-\d{1,5})?(?:/(?:tcp|udp|sctp))?")
_RESTART = re.compile(r"(no|always|unless-stopped|on-failure)(?::(\d{1,4}))?")
_HEALTH_KEYS = frozenset({"test", "interval", "timeout", "retries", "start_period", "start_interval", "disable"})


class Condition(StrEnum):
    """What one service waits for of another."""

    STARTED = "service_started"
    HEALTHY = "service_healthy"
    COMPLETED = "service_completed_successfully"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """One service waits for another; not `required`: only if that one runs at all."""

    condition: Condition = Condition.STARTED
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Healthcheck:
    """How the engine asks a container how it is; 0 is the engine's own default."""

    test: tuple[str, ...]  # empty: what the image says
    interval_s: float = 0
    timeout_s: float = 0
    start_period_s: float = 0
    retries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentFile:
    """A file of variables in the repository."""

    path: str
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposeService:
    """A service. None and empty leave it to the image."""

    name: str
    image: str = ""
    build: DevContainerBuild | None = None
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    environment: Mapping[str, str | None] = field(default_factory=dict)
    environment_files: tuple[EnvironmentFile, ...] = ()
    working_dir: str = ""
    user: str = ""
    hostname: str = ""
    domainname: str = ""
    init: bool = False
    tty: bool = False
    stdin_open: bool = False
    read_only: bool = False
    depends_on: Mapping[str, Dependency] = field(default_factory=dict)
    healthcheck: Healthcheck | None = None
    mounts: tuple[Mount, ...] = ()
    tmpfs: Mapping[str, str] = field(default_factory=dict)
    shm_bytes: int = 0
    aliases: tuple[str, ...] = ()
    network_of: str = ""  # the service whose network this one shares
    has_network: bool = True
    labels: Mapping[str, str] = field(default_factory=dict)
    restart: str = "no"
    restart_most: int = 0
    stop_signal: str = ""
    stop_s: float | None = None
    profiles: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    no_new_privileges: bool = False
    options: HostOptions = NO_OPTIONS  # what of the host it gets

    @property
    def is_on_network(self) -> bool:
        """Whether it is in the codespace's own network, by itself."""
        return self.has_network and not self.network_of and "network" not in self.options.namespaces


@dataclass(frozen=True, slots=True)
class ServicePlace:
    """What a service is read within."""

    mounts: MountPlace
    networks: frozenset[str]
    source: str  # what messages call the files
    allowances: Allowances = NO_ALLOWANCES


def parse_service(service: str, value: object, place: ServicePlace, notes: list[str]) -> ComposeService:
    """Raises Invalid that names the service and the key."""
    what = f"service {service[:60]} in {place.source}"
    if not NAME.fullmatch(service):
        raise refusal(f"A service in {place.source} must have a name of letters, digits, '.', '_' and '-'.")
    values = mapping(value, what)
    SERVICE.review(values, what, notes)

    def at(key: str) -> tuple[object, str]:
        return values.get(key), f"'{key}' of {what}"

    build = _build(*at("build"), place, notes)
    image = "" if build is not None else _image(*at("image"))
    if not image and build is None:
        raise refusal(f"The {what}, names neither an image nor a build.", remedy="Add 'image' or 'build'.")
    return ComposeService(
        name=service,
        image=image,
        build=build,
        command=command(*at("command")),
        entrypoint=command(*at("entrypoint")),
        environment=variables(*at("environment")),
        environment_files=_environment_files(*at("env_file"), place),
        working_dir=inside_path(*at("working_dir")) if values.get("working_dir") else "",
        user=_user(*at("user")),
        hostname=name(*at("hostname")) if values.get("hostname") else "",
        domainname=name(*at("domainname")) if values.get("domainname") else "",
        init=truth(*at("init")),
        tty=truth(*at("tty")),
        stdin_open=truth(*at("stdin_open")),
        read_only=truth(*at("read_only")),
        healthcheck=_healthcheck(*at("healthcheck")),
        tmpfs=dict(parse_tmpfs(one, f"'tmpfs' of {what}") for one in _entries(*at("tmpfs"))),
        shm_bytes=size_bytes(*at("shm_size"), most=MAX_SHM_BYTES) if values.get("shm_size") else 0,
        labels=_labels(*at("labels")),
        profiles=texts(*at("profiles")),
        cap_drop=_matching(*at("cap_drop"), _CAPABILITY),
        extra_hosts=_extra_hosts(*at("extra_hosts")),
        no_new_privileges=has_no_new_privileges(*at("security_opt")),
        **_of_host(values, what, place),
        **_stopping(values, what),
        **_relations(values, what, place),
    )


def _of_host(values: Mapping[str, object], what: str, place: ServicePlace) -> dict[str, Any]:
    """What it mounts, and what it gets of the host."""
    mounts = [
        parse_mount(one, f"the volume '{str(one)[:100]}' of {what}", place.mounts)
        for one in _entries(values.get("volumes"), f"'volumes' of {what}")
    ]
    targets = [one.target for one in mounts]
    if twice := next((one for one in targets if targets.count(one) > 1), ""):
        raise refusal(f"'volumes' of {what} mounts two things at {twice}.", remedy="Mount one of them elsewhere.")
    asked = [one for one in mounts if one.kind is MountKind.HOST]
    return {
        "mounts": tuple(one for one in mounts if one.kind is not MountKind.HOST),
        "options": review_service_options(values, asked, what, place.allowances),
    }


def _stopping(values: Mapping[str, object], what: str) -> dict[str, Any]:
    """How it ends, and what follows. `always` would also start what was stopped, after the engine itself was."""
    restart = _RESTART.fullmatch(text(values.get("restart"), f"'restart' of {what}") or "no")
    signal = text(values.get("stop_signal"), f"'stop_signal' of {what}")
    grace = values.get("stop_grace_period")
    if restart is None or (restart[2] and restart[1] != "on-failure"):
        raise refusal(f"'restart' of {what} must be no, always, unless-stopped or on-failure.")
    if signal and not _SIGNAL.fullmatch(signal):
        raise refusal(f"'stop_signal' of {what} must be a signal's name.")
    return {
        "restart": "unless-stopped" if restart[1] == "always" else restart[1],
        "restart_most": int(restart[2] or 0),
        "stop_signal": signal,
        "stop_s": min(duration_s(grace, f"'stop_grace_period' of {what}"), MAX_STOP_S) if grace else None,
    }


def _relations(values: Mapping[str, object], what: str, place: ServicePlace) -> dict[str, Any]:
    """Other services, and the network."""
    depends_on = {
        name(one, f"'depends_on' of {what}"): _dependency(how, f"'depends_on' of {what}")
        for one, how in mapping(values.get("depends_on"), f"'depends_on' of {what}").items()
    }
    for link in texts(values.get("links"), f"'links' of {what}"):
        other, _, alias = link.partition(":")
        if alias not in {"", other}:
            raise refusal(
                f"'links' of {what} gives another name; use 'aliases' of that service's network.", UNSUPPORTED
            )
        depends_on.setdefault(name(other, f"'links' of {what}"), Dependency())
    for port in texts(values.get("expose"), f"'expose' of {what}"):
        if not _PORT.fullmatch(port):
            raise refusal(f"'expose' of {what} must be ports.")
    mode = text(values.get("network_mode"), f"'network_mode' of {what}")
    kind, _, other = mode.partition(":")
    if mode not in {"", "none", "host"} and (kind != "service" or not NAME.fullmatch(other)):
        raise refusal(
            f"'network_mode' of {what} is refused: it would join a network of the server's, or of another container's.",
            NOT_ALLOWED,
            "Leave it out, or share the network of a service: 'service:NAME'.",
        )
    if kind == "service":
        depends_on[other] = replace(depends_on.get(other, Dependency()), required=True)
    return {
        "depends_on": depends_on,
        "network_of": other,
        "has_network": mode not in {"none", "host"},
        "aliases": _aliases(mapping(values.get("networks"), f"'networks' of {what}"), what, place),
    }


def _dependency(value: object, what: str) -> Dependency:
    values = mapping(value, what)
    condition = text(values.get("condition"), what) or Condition.STARTED
    if condition not in set(Condition) or not values.keys() <= {"condition", "restart", "required"}:
        raise refusal(f"{what} must have a condition: {', '.join(Condition)}.")
    required = values.get("required")
    return Dependency(condition=Condition(condition), required=required is None or truth(required, what))


def _aliases(networks: Mapping[str, object], what: str, place: ServicePlace) -> tuple[str, ...]:
    found: list[str] = []
    for network, value in networks.items():
        if network != "default" and network not in place.networks:
            raise refusal(f"'networks' of {what} names '{network[:60]}', which the Compose file does not declare.")
        settings = mapping(value, f"network {network[:60]} of {what}")
        if settings.keys() - {"aliases", "priority", "gw_priority"}:
            raise refusal(
                f"'networks' of {what} asks for more than aliases: addresses are the engine's to give.", UNSUPPORTED
            )
        shown = f"'aliases' of {what}"
        found += [name(alias, shown) for alias in texts(settings.get("aliases"), shown)]
    return tuple(dict.fromkeys(found))


def _image(value: object, what: str) -> str:
    """What is built has its own name; else a registry has it."""
    image = text(value, what)
    if image:
        try:
            parse_image_reference(image)
        except Invalid as problem:
            shown = f"{what} is '{image[:100]}'. {problem.message}"
            raise Invalid(shown, field=problem.field, code=problem.code, remedy=problem.remedy) from None
    return image


def _build(value: object, what: str, place: ServicePlace, notes: list[str]) -> DevContainerBuild | None:
    """`build`, with paths from the repository's root."""
    if value is None:
        return None
    values = mapping(value, what)
    BUILD.review(values, what, notes)
    context = repository_path(place.mounts.folder, values.get("context") or ".", f"'context' in {what}")
    file = repository_path(context, values.get("dockerfile") or "Dockerfile", f"'dockerfile' in {what}")
    given = variables(values.get("args"), f"'args' in {what}")
    return DevContainerBuild(
        dockerfile=file,
        context=context,
        arguments={one: value for one, value in given.items() if value is not None},
        target=text(values.get("target"), f"'target' in {what}"),
    )


def _environment_files(value: object, what: str, place: ServicePlace) -> tuple[EnvironmentFile, ...]:
    found = []
    entries = _entries(value, what)
    if len(entries) > MAX_ENVIRONMENT_FILES:
        raise refusal(f"{what} may have {MAX_ENVIRONMENT_FILES} entries.")
    for one in entries:
        values = mapping(one, what) if isinstance(one, dict) else {"path": one}
        if not values.keys() <= {"path", "required", "format"} or values.get("format") is not None:
            raise refusal(f"{what} asks for more than 'path' and 'required'.", UNSUPPORTED)
        path = repository_path(place.mounts.folder, values.get("path"), what)
        required = values.get("required")
        found.append(EnvironmentFile(path=path, required=required is None or truth(required, what)))
    return tuple(found)


def _entries(value: object, what: str) -> list[object]:
    entries = value if isinstance(value, list) else [] if value is None else [value]
    if len(entries) > MAX_ENTRIES:
        raise refusal(f"{what} may have {MAX_ENTRIES} entries.")
    return entries


def _user(value: object, what: str) -> str:
    user = text(value, what)
    if not USER_NAME.fits(user):
        raise refusal(f"{what} must be {USER_NAME.kind}.")
    return user


def _labels(value: object, what: str) -> dict[str, str]:
    found = {}
    for label, content in mapping(value, what).items():
        if label.lower().startswith(_OURS):
            raise refusal(f"{what} holds '{label[:60]}', which is the engine's or Berth's to give.", NOT_ALLOWED)
        if not _LABEL.fullmatch(label):
            raise refusal(f"{what} holds a name that is no label's.")
        found[label] = str(content).lower() if isinstance(content, bool) else text(content, what)
    return found


def _matching(value: object, what: str, pattern: re.Pattern[str]) -> tuple[str, ...]:
    found = texts(value, what)
    if not all(pattern.fullmatch(one) for one in found):
        raise refusal(f"{what} has an entry of another kind.")
    return found


def _extra_hosts(value: object, what: str) -> tuple[str, ...]:
    found = []
    for host, address in mapping(value, what).items():
        for one in texts(address, what):
            if not _ADDRESS.fullmatch(one.strip("[]")):
                raise refusal(f"{what} must give each name an address.")
            found.append(f"{name(host, what)}:{one}")
    return tuple(found)


def _healthcheck(value: object, what: str) -> Healthcheck | None:
    if value is None:
        return None
    values = mapping(value, what)
    if unknown := sorted(key for key in values.keys() - _HEALTH_KEYS if not key.startswith("x-")):
        raise refusal(
            f"Berth does not know '{unknown[0][:60]}' of {what}, so it refuses it.", code="compose.unknown_key"
        )
    test = values.get("test")
    words = texts(test, what) if isinstance(test, list) else ("CMD-SHELL", text(test, what)) if test else ()
    if words and words[0] not in {"NONE", "CMD", "CMD-SHELL"}:
        raise refusal(f"'test' in {what} must begin with CMD, CMD-SHELL or NONE.")
    if truth(values.get("disable"), f"'disable' in {what}"):
        words = ("NONE",)
    times = {
        f"{key}_s": duration_s(values[key], f"'{key}' in {what}")
        for key in ("interval", "timeout", "start_period")
        if values.get(key) is not None
    }
    retries = values.get("retries")
    return Healthcheck(
        test=words, **times, retries=0 if retries is None else whole(retries, f"'retries' in {what}", most=1000)
    )
