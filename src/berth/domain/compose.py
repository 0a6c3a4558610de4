"""Compose files of a dev container, understood: which services run, in which order, with what of each other (L1, L4).

1. The files are data: Berth reads them, reviews them and asks the engine for what they describe. No program that is called
   compose runs, and no file of the server is read.
2. What runs: `runServices`, or all services without profiles; `service`; and what these wait for.
3. A codespace's services have one network and their volumes for themselves. All of it is called after the codespace, so
   nothing in a file can name what is another codespace's.
4. `service` is the codespace's own container, made as one without Compose is. What waits for it starts after it.

Source: Compose Specification; containers.dev, "Dev Container metadata reference", "Docker Compose specific properties".
"""

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from berth.domain.allowance import NO_ALLOWANCES, Allowances
from berth.domain.compose_keys import FILE, IGNORED_IN_FILE, NETWORK, NOT_ALLOWED, VOLUME, KeyTable, refusal
from berth.domain.compose_merge import merge_files
from berth.domain.compose_mount import MountKind, MountPlace
from berth.domain.compose_service import ComposeService, ServicePlace, parse_service
from berth.domain.compose_values import NAME, mapping, repository_path, text, truth
from berth.domain.compose_variables import Interpolation
from berth.domain.dev_container import DevContainerConfig, ImageMetadata, container_name
from berth.domain.host_option import merge_options
from berth.domain.yaml_document import parse_yaml

MAX_FILES = 10
MAX_RUNNING = 20
SERVICE_LABEL = "dev.berth.service"  # on each container of a codespace with Compose; its value is the service's name
_KEYS = ("dockerComposeFile", "service", "runServices")
_PROJECT_LABELS = ("com.docker.compose.project", "com.docker.compose.service")  # what compose's own lists look at


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposeRequest:
    """What devcontainer.json says of Compose. Paths are the repository's."""

    files: tuple[str, ...]
    service: str
    run_services: tuple[str, ...] | None

    @property
    def folder(self) -> str:
        """Where paths in all of the files begin."""
        return posixpath.dirname(self.files[0])

    @property
    def variables_file(self) -> str:
        return posixpath.join(self.folder, ".env")


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposeProject:
    """What runs. `services` are in the order in which they start, the main one among them."""

    main: str
    services: tuple[ComposeService, ...]
    notes: tuple[str, ...] = ()

    @property
    def main_service(self) -> ComposeService:
        return next(one for one in self.services if one.name == self.main)

    @property
    def before(self) -> tuple[ComposeService, ...]:
        """What starts before the main service."""
        return self.services[: self._at]

    @property
    def after(self) -> tuple[ComposeService, ...]:
        """What waits for the main service, directly or not."""
        return self.services[self._at + 1 :]

    @property
    def _at(self) -> int:
        return self.services.index(self.main_service)

    @property
    def volumes(self) -> tuple[str, ...]:
        """The named volumes that are mounted, by their names in the file."""
        mounts = [mount for service in self.services for mount in service.mounts]
        return tuple(sorted({mount.volume for mount in mounts if mount.kind is MountKind.VOLUME and mount.volume}))


def find_compose(config: DevContainerConfig) -> ComposeRequest | None:
    """What the configuration says of Compose; None if it says nothing. Raises Invalid."""
    values = config.values
    named = values.get("dockerComposeFile")
    if named is None or named == []:
        for key in ("service", "runServices"):
            if values.get(key):
                raise refusal(f"'{key}' in devcontainer.json needs 'dockerComposeFile'.", code="devcontainer.value")
        return None
    files = named if isinstance(named, list) else [named]
    if len(files) > MAX_FILES:
        raise refusal(f"'dockerComposeFile' in devcontainer.json may name {MAX_FILES} files.", "devcontainer.value")
    for key in ("image", "build", "dockerFile"):
        if values.get(key):
            raise refusal(f"devcontainer.json names Compose files and '{key}'. Keep one of them.", "devcontainer.value")
    service = values.get("service")
    if not isinstance(service, str) or not NAME.fullmatch(service):
        raise refusal("'service' in devcontainer.json must name a service of the Compose file.", "devcontainer.value")
    run = values.get("runServices")
    folder = posixpath.dirname(config.path)
    what = "'dockerComposeFile' in devcontainer.json"
    return ComposeRequest(
        files=tuple(repository_path(folder, one, what) for one in files),
        service=service,
        run_services=tuple(run) if isinstance(run, list) else None,
    )


def read_compose(
    request: ComposeRequest,
    contents: Sequence[bytes],
    variables: Mapping[str, str],
    repository_name: str,
    allowances: Allowances = NO_ALLOWANCES,
) -> ComposeProject:
    """`contents`: of each of the request's files. Raises Invalid."""
    unset: set[str] = set()
    parsed = []
    for path, data in zip(request.files, contents, strict=True):
        filling = Interpolation(variables, path)
        parsed.append(mapping(filling.fill(parse_yaml(data, path)), path))
        unset |= filling.unset
    source = " and ".join(posixpath.basename(path) for path in request.files)
    notes: list[str] = []
    if unset:
        notes.append(
            f"{source}: these variables have no value here and are empty: {', '.join(sorted(unset))[:1000]}."
            " Only a file .env of the repository gives them one."
        )
    services = _read(
        merge_files(parsed), MountPlace(request.folder, repository_name, frozenset()), source, allowances, notes
    )
    chosen = _choose(services, request, source)
    return ComposeProject(main=request.service, services=_in_order(chosen, request.service, source), notes=tuple(notes))


def main_configuration(config: DevContainerConfig, project: ComposeProject) -> DevContainerConfig:
    """The configuration as one without Compose: it names the main service's image, or how to build it.

    It gets of the host what the service gets, too. Raises Invalid if they mount different things at one place.
    """
    values = {key: value for key, value in config.values.items() if key not in _KEYS}
    return replace(
        config,
        values={**values, **_image_of(project.main_service, posixpath.dirname(config.path))},
        options=merge_options((config.options, project.main_service.options)),
    )


def image_configuration(service: ComposeService) -> DevContainerConfig:
    """What a service's image would be called in a dev container configuration at the repository's root."""
    return DevContainerConfig(_image_of(service, ""))


def _image_of(service: ComposeService, folder: str) -> dict[str, object]:
    if service.build is None:
        return {"image": service.image}
    paths = {
        key: posixpath.relpath(f"/{path}", f"/{folder}")
        for key, path in (("dockerfile", service.build.dockerfile), ("context", service.build.context))
    }
    return {"build": {**paths, "args": dict(service.build.arguments), "target": service.build.target}}


def with_service_defaults(
    config: DevContainerConfig, metadata: ImageMetadata, project: ComposeProject
) -> DevContainerConfig:
    """What neither the file nor the image's label says: its user is the service's, and its command goes on."""
    values = dict(config.values)
    sources = (config, *reversed(metadata.entries))
    values.setdefault(
        "overrideCommand", next((one for each in sources if (one := each.values.get("overrideCommand"))), False)
    )
    user = project.main_service.user
    if user and not any(each.values.get("containerUser") for each in sources):
        values["containerUser"] = user
    return replace(config, values=values)


def checkout_folder(project: ComposeProject) -> str:
    """Where the main service mounts the checkout, first of all; empty if it does not."""
    targets = [mount.target for mount in project.main_service.mounts if mount.kind is MountKind.CHECKOUT]
    return targets[0] if targets else ""


def project_name(codespace: str) -> str:
    """What the codespace's network is called, and the first part of all its other names."""
    return container_name(codespace)


def volume_name(codespace: str, volume: str) -> str:
    """A codespace's name holds no dot, so no two of these are the same."""
    return f"{project_name(codespace)}.{volume}"


def service_container_name(codespace: str, service: str) -> str:
    return f"{project_name(codespace)}.{service}"


def service_labels(codespace: str, service: ComposeService) -> dict[str, str]:
    """Of a container beside the main one, without those that every container of the codespace has."""
    compose = zip(_PROJECT_LABELS, (project_name(codespace), service.name), strict=True)
    return {**service.labels, SERVICE_LABEL: service.name, **dict(compose)}


def _read(
    file: Mapping[str, object], root: MountPlace, source: str, allowances: Allowances, notes: list[str]
) -> dict[str, ComposeService]:
    values = {key: value for key, value in file.items() if key not in IGNORED_IN_FILE}
    FILE.review(values, source, notes)
    volumes = _declared(values.get("volumes"), "volume", VOLUME, "local", source, notes)
    networks = _declared(values.get("networks"), "network", NETWORK, "bridge", source, notes)
    place = ServicePlace(replace(root, volumes=volumes), networks, source, allowances)
    services = mapping(values.get("services"), f"'services' in {source}")
    return {name: parse_service(name, value, place, notes) for name, value in services.items()}


def _declared(value: object, kind: str, table: KeyTable, driver: str, source: str, notes: list[str]) -> frozenset[str]:
    """The names under `volumes` or `networks`."""
    found = mapping(value, f"'{kind}s' in {source}")
    for name, settings in found.items():
        what = f"{kind} {name[:60]} in {source}"
        values = mapping(settings, what)
        table.review(values, what, notes)
        external = values.get("external")
        if isinstance(external, dict) or truth(external, f"'external' of {what}"):
            why = f"it would be shared with others: a codespace has its own {kind}s only"
            raise refusal(f"'external' of {what} is refused: {why}.", NOT_ALLOWED, "Remove it.")
        if text(values.get("driver"), f"'driver' of {what}") not in {"", driver}:
            raise refusal(f"'driver' of {what} is refused: only '{driver}' may be there.", NOT_ALLOWED, "Remove it.")
    return frozenset(found)


def _choose(services: Mapping[str, ComposeService], request: ComposeRequest, source: str) -> dict[str, ComposeService]:
    """Policy 2. What is waited for only if it runs anyway is left out of what does not wait for it then."""
    named = [one for one in services.values() if not one.profiles] if request.run_services is None else ()
    wanted = [request.service, *(request.run_services or ()), *(one.name for one in named)]
    chosen: dict[str, ComposeService] = {}
    while wanted:
        name = wanted.pop()
        if name in chosen:
            continue
        if name not in services:
            raise refusal(f"{source} has no service '{name[:60]}'.", remedy=f"It has {', '.join(services)[:500]}.")
        chosen[name] = services[name]
        wanted += [other for other, how in services[name].depends_on.items() if how.required]
    if len(chosen) > MAX_RUNNING:
        raise refusal(f"A codespace runs {MAX_RUNNING} services at most; {source} has {len(chosen)}.")
    return chosen


def _in_order(services: Mapping[str, ComposeService], main: str, source: str) -> tuple[ComposeService, ...]:
    """What is waited for comes first; the main one as late as it can."""
    left = dict(sorted(services.items(), key=lambda item: (item[0] == main, item[0])))
    order: list[ComposeService] = []
    while left:
        ready = next((one for one in left.values() if not (one.depends_on.keys() & left.keys())), None)
        if ready is None:
            raise refusal(f"The services {', '.join(left)} in {source} wait for each other.")
        order.append(left.pop(ready.name))
    return tuple(order)
