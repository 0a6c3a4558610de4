"""Ways out of a codespace, by where they stand: each is refused, and beside each stands what is let through (L3, L4, L5).

This is the review's half of the answer to one question: is every L4 item refused in every place where it can be written, and every
escape that was seen to work with the plain dev container CLI? What git and the launch add is in
`tests/services/test_escapes.py` (links, the order of things), what the engine adds in `tests/main_job` (`test_options.py`,
`test_dockerfile.py`, `test_compose.py`, `test_features.py`). That the walls behind the review hold without it:
`tests/adapters/test_engine_filter.py`, `tests/adapters/test_dev_container_cli.py`.

1. The items that an administrator may allow are all of `Kind`; the places all of `PLACES`; `ITEMS` has a row for each pair.
2. What cannot be allowed is in `ESCAPES`, each beside something as like it as can be that passes.
3. Every key of the tables of refusals has been asked in every place that reads it (`test_dev_container.py`, `test_compose.py`).
"""

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest

from berth.domain.allowance import NO_ALLOWANCES, Allowances, OptionPolicy
from berth.domain.compose import ComposeRequest, find_compose, read_compose
from berth.domain.dev_container import parse_dev_container, review_configuration, review_image_metadata
from berth.domain.dev_container_build import find_build
from berth.domain.dockerfile import BuildArguments, parse_dockerfile
from berth.domain.feature import FeatureRequest
from berth.domain.feature_metadata import FeatureMetadata, read_feature_metadata
from berth.domain.host_option import NO_OPTIONS, HostOptions, Kind, parse_host_option, parse_host_options
from berth.domain.image_reference import parse_image_reference
from berth.domain.problem import Invalid

IMAGE = "host.example/dev:1"
PATH = ".devcontainer/devcontainer.json"
GO = FeatureRequest(name="host.example/go:1", place=parse_image_reference("host.example/go:1"))
Words = dict[str, Any]


# -- the places: what a container gets of its host by what is written there


def in_file(words: Words, allowances: Allowances = NO_ALLOWANCES) -> HostOptions:
    image = {} if words.keys() & {"build", "dockerFile", "dockerComposeFile"} else {"image": IMAGE}
    config = parse_dev_container(json.dumps({**image, **words}).encode(), PATH)
    options = review_configuration(config, allowances).options
    find_build(config.values, config.path)
    find_compose(config)
    return options


def in_label(words: Words, allowances: Allowances = NO_ALLOWANCES) -> HostOptions:
    """In the last of several entries."""
    label = json.dumps([{"remoteUser": "dev"}, words])
    return review_image_metadata({"devcontainer.metadata": label}, allowances).options


def feature(words: Words, allowances: Allowances = NO_ALLOWANCES) -> FeatureMetadata:
    return read_feature_metadata(json.dumps({"id": "go", **words}).encode(), GO, ".devcontainer", allowances)


def in_feature(words: Words, allowances: Allowances = NO_ALLOWANCES) -> HostOptions:
    """What it writes into the image's label, which is read again."""
    found = feature(words, allowances)
    label = json.dumps([dict(found.entry)])
    return review_image_metadata({"devcontainer.metadata": label}, allowances).options


def in_compose(service: str, file: Words, words: Words, allowances: Allowances) -> HostOptions:
    services: Words = {name: {"image": IMAGE} for name in ("app", "db")}
    if words.keys() & {"build"}:
        del services[service]["image"]
    services[service] |= words
    data = json.dumps({"services": services, **file}).encode()
    request = ComposeRequest(files=(".devcontainer/c.yml",), service="app", run_services=None)
    project = read_compose(request, [data], {}, "shop", allowances)
    return next(one.options for one in project.services if one.name == service)


def in_main_service(words: Words, allowances: Allowances = NO_ALLOWANCES) -> HostOptions:
    return in_compose("app", {}, words, allowances)


def in_service(words: Words, allowances: Allowances = NO_ALLOWANCES) -> HostOptions:
    return in_compose("db", {}, words, allowances)


def in_compose_file(words: Words, allowances: Allowances = NO_ALLOWANCES) -> HostOptions:
    """At the file's top level."""
    return in_compose("db", words, {}, allowances)


def in_dockerfile(words: Words, _allowances: Allowances = NO_ALLOWANCES) -> HostOptions:
    """A line after FROM, or the whole file."""
    text = words.get("whole", f"FROM {IMAGE}\n{words.get('line', '')}\n")
    parse_dockerfile(text.encode(), BuildArguments(values={}, target="", platform="linux/amd64"))
    return NO_OPTIONS


# place → the review, and what its messages call it
PLACES: dict[str, tuple[Callable[..., HostOptions], str]] = {
    "devcontainer.json": (in_file, "devcontainer.json"),
    "runArgs": (in_file, "'runArgs' in devcontainer.json"),
    "the image's label": (in_label, "The image's label devcontainer.metadata"),
    "a Feature": (in_feature, "the Feature host.example/go:1"),
    "the main service": (in_main_service, "service app in c.yml"),
    "another service": (in_service, "service db in c.yml"),
}


# -- what an administrator may allow: every kind in every place (policy 1)

BIND = "type=bind,source=/srv/cache,target=/cache"
KEYS: dict[Kind, Words] = {
    Kind.PRIVILEGED: {"privileged": True},
    Kind.CAPABILITY: {"capAdd": ["SYS_ADMIN"]},
    Kind.SECURITY: {"securityOpt": ["seccomp=unconfined"]},
    Kind.DEVICE: {"runArgs": ["--device=/dev/kvm"]},
    Kind.MOUNT: {"mounts": [BIND]},
    Kind.NAMESPACE: {"runArgs": ["--network=host"]},
}
ARGUMENTS: dict[Kind, Words] = {
    Kind.PRIVILEGED: {"runArgs": ["--privileged"]},
    Kind.CAPABILITY: {"runArgs": ["--cap-add=SYS_ADMIN"]},
    Kind.SECURITY: {"runArgs": ["--security-opt", "seccomp=unconfined"]},
    Kind.DEVICE: {"runArgs": ["--device", "/dev/kvm"]},
    Kind.MOUNT: {"runArgs": ["--volume=/srv/cache:/cache"]},
    Kind.NAMESPACE: {"runArgs": ["--net", "host"]},
}
SERVICE: dict[Kind, Words] = {
    Kind.PRIVILEGED: {"privileged": True},
    Kind.CAPABILITY: {"cap_add": ["SYS_ADMIN"]},
    Kind.SECURITY: {"security_opt": ["seccomp:unconfined"]},
    Kind.DEVICE: {"devices": ["/dev/kvm:/dev/kvm"]},
    Kind.MOUNT: {"volumes": ["/srv/cache:/cache"]},
    Kind.NAMESPACE: {"network_mode": "host"},
}
TOKENS: dict[Kind, str] = {
    Kind.PRIVILEGED: "privileged",
    Kind.CAPABILITY: "capability:SYS_ADMIN",
    Kind.SECURITY: "security:seccomp=unconfined",
    Kind.DEVICE: "device:/dev/kvm",
    Kind.MOUNT: "mount:/srv/cache",
    Kind.NAMESPACE: "namespace:network",
}
LANGUAGES = {
    "devcontainer.json": KEYS,
    "runArgs": ARGUMENTS,
    "the image's label": KEYS,
    "a Feature": KEYS,
    "the main service": SERVICE,
    "another service": SERVICE,
}
ITEMS = {(place, kind): words for place, spoken in LANGUAGES.items() for kind, words in spoken.items()}
NO_WORDS = {  # pairs that nobody can allow: the place has no word for it, and what comes nearest is refused
    ("runArgs", Kind.MOUNT),
    *itertools.product(("the image's label", "a Feature"), (Kind.DEVICE, Kind.NAMESPACE)),
}
ALL = parse_host_options(TOKENS.values())


def test_every_kind_has_a_row_in_every_place() -> None:
    assert set(ITEMS) == set(itertools.product(PLACES, Kind))
    assert set(TOKENS) == set(Kind)
    assert set(ITEMS) > NO_WORDS


@pytest.mark.parametrize(("place", "kind"), ITEMS, ids=str)
def test_l4_an_item_is_refused_where_it_is_not_allowed(place: str, kind: Kind) -> None:
    review, shown = PLACES[place]
    words, token = ITEMS[place, kind], parse_host_option(TOKENS[kind])
    policy = OptionPolicy("tools", ALL - {token})
    against = {
        "nobody allows anything": NO_ALLOWANCES,
        "all else is allowed": Allowances(site=ALL - {token}),
        "the organization leaves it out": Allowances(site=ALL, policies=(policy,), organization="acme"),
        "a stranger's code": Allowances(site=ALL, withheld_reason="a stranger's code gets nothing (L4, S6)"),
    }
    for name, allowances in against.items():
        with pytest.raises(Invalid) as refused:
            review(words, allowances)
        assert shown in refused.value.message, name
        assert refused.value.code.endswith((".not_allowed", ".policy_option")), name
        assert refused.value.remedy, name
        if (place, kind) not in NO_WORDS:
            assert f"asks for {token}, which is refused" in refused.value.message, name
            assert "(L4" in refused.value.message, name


@pytest.mark.parametrize(("place", "kind"), ITEMS, ids=str)
def test_the_control_an_item_is_given_where_it_is_allowed(place: str, kind: Kind) -> None:
    review, _ = PLACES[place]
    words, token = ITEMS[place, kind], parse_host_option(TOKENS[kind])
    allowed = Allowances(site=frozenset({token}))
    if (place, kind) not in NO_WORDS:
        assert review(words, allowed).tokens == (token,)
        return
    with pytest.raises(Invalid):
        review(words, Allowances(site=ALL))
    assert review({}, Allowances(site=ALL)) == NO_OPTIONS, "nobody gets what he did not ask for"


# -- what nobody can allow: place, the escape, what passes beside it (policy 2)

DEV, LABEL, FEATURE = in_file, in_label, in_feature
MAIN, OTHER, FILE, BUILD = in_main_service, in_service, in_compose_file, in_dockerfile
VOLUME = {"type": "volume", "source": "v", "target": "/v"}
ESCAPES: dict[str, tuple[Callable[..., HostOptions], Words, Words]] = {
    # L3: something that runs on the server
    "a host command in the file": (DEV, {"initializeCommand": "id"}, {"onCreateCommand": "id"}),
    "a host command as a list": (DEV, {"initializeCommand": ["id"]}, {"onCreateCommand": ["id"]}),
    "several host commands": (DEV, {"initializeCommand": {"a": "id"}}, {"onCreateCommand": {"a": "id"}}),
    "a host command in the label": (LABEL, {"initializeCommand": "id"}, {"onCreateCommand": "id"}),
    "a host command of a Feature": (FEATURE, {"initializeCommand": "id"}, {"onCreateCommand": "id"}),
    "a program of the server for a service": (OTHER, {"provider": {"type": "id"}}, {"command": "id"}),
    "a command that Compose would run": (OTHER, {"post_start": [{"command": "id"}]}, {"healthcheck": {"test": "id"}}),
    "a start script of a Feature": (FEATURE, {"entrypoint": "/x"}, {"postStartCommand": "/x"}),
    # L4: paths that lead out of the repository
    "a context far out": (
        DEV,
        {"build": {"dockerfile": "D", "context": "../../../../../etc"}},
        {"build": {"dockerfile": "D", "context": ".."}},
    ),
    "a context of the server": (DEV, {"dockerFile": "D", "context": "/etc"}, {"dockerFile": "D", "context": ".."}),
    "a Dockerfile of the server": (DEV, {"build": {"dockerfile": "/etc/D"}}, {"build": {"dockerfile": "../D"}}),
    "a Dockerfile out of the repository": (DEV, {"dockerFile": "../../D"}, {"dockerFile": "../D"}),
    "options for the builder": (
        DEV,
        {"build": {"dockerfile": "D", "options": ["--network=host"]}},
        {"build": {"dockerfile": "D", "options": []}},
    ),
    "a Compose file of the server": (
        DEV,
        {"dockerComposeFile": "/etc/c.yml", "service": "app"},
        {"dockerComposeFile": "../c.yml", "service": "app"},
    ),
    "a Compose file out of the repository": (
        DEV,
        {"dockerComposeFile": ["c.yml", "../../c.yml"], "service": "app"},
        {"dockerComposeFile": ["c.yml", "../c.yml"], "service": "app"},
    ),
    "a Feature of the server": (DEV, {"features": {"/etc": {}}}, {"features": {"./own": {}}}),
    "a Feature out of the repository": (DEV, {"features": {"./../../own": {}}}, {"features": {"./own": {}}}),
    "a Feature that needs one out there": (
        FEATURE,
        {"dependsOn": {"./own": {}}},
        {"dependsOn": {"host.example/own:1": {}}},
    ),
    "another place for the checkout": (
        DEV,
        {"workspaceMount": "type=bind,source=/,target=/workspaces"},
        {"workspaceMount": None},
    ),
    "a folder that is the server's to the CLI": (
        LABEL,
        {"containerEnv": {"A": "${localWorkspaceFolder}"}},
        {"containerEnv": {"A": "${containerWorkspaceFolder}"}},
    ),
    "a context of a service far out": (OTHER, {"build": "../../../etc"}, {"build": ".."}),
    "a context of the main service far out": (MAIN, {"build": {"context": "/etc"}}, {"build": {"context": ".."}}),
    "a Dockerfile of a service out there": (
        OTHER,
        {"build": {"context": "..", "dockerfile": "../D"}},
        {"build": {"context": "..", "dockerfile": "D"}},
    ),
    "a context that is fetched": (OTHER, {"build": "https://127.0.0.1/x.git"}, {"build": "."}),
    "another context": (OTHER, {"build": {"additional_contexts": {"x": "/etc"}}}, {"build": {"context": "."}}),
    "variables from a file of the server": (OTHER, {"env_file": "/etc/environment"}, {"env_file": "x.env"}),
    "variables from out of the repository": (MAIN, {"env_file": ["../../x.env"]}, {"env_file": ["../x.env"]}),
    "a folder out of the repository": (OTHER, {"volumes": ["../../..:/x"]}, {"volumes": ["..:/x"]}),
    "somebody's home": (OTHER, {"volumes": ["~/.docker:/x"]}, {"volumes": ["/x"]}),
    "a folder of the checkout, which may be a link": (MAIN, {"volumes": ["../src:/x"]}, {"volumes": ["..:/x"]}),
    "a part of a volume": (
        OTHER,
        {"volumes": [{**VOLUME, "source": "", "volume": {"subpath": ".."}}]},
        {"volumes": [{**VOLUME, "source": "", "volume": {"nocopy": True}}]},
    ),
    "a configuration of the server": (FILE, {"configs": {"x": {"file": "/etc/shadow"}}}, {"configs": {}}),
    "a secret of the server": (FILE, {"secrets": {"x": {"file": "/etc/shadow"}}}, {"secrets": {}}),
    "an environment of the server": (FILE, {"secrets": {"x": {"environment": "HOME"}}}, {"x-secrets": {}}),
    "a file that is included": (FILE, {"include": ["/etc/c.yml"]}, {"include": []}),
    "a service of another file": (
        OTHER,
        {"extends": {"file": "/etc/c.yml", "service": "x"}},
        {"x-extends": {"file": "x"}},
    ),
    # L4: what is the engine's, or another container's
    "the engine's socket": (OTHER, {"use_api_socket": True}, {"use_api_socket": False}),
    "another's volumes": (OTHER, {"volumes_from": ["container:x"]}, {"volumes_from": []}),
    "another's volume": (FILE, {"volumes": {"v": {"external": True}}}, {"volumes": {"v": {"external": False}}}),
    "a volume that is a folder": (
        FILE,
        {"volumes": {"v": {"driver_opts": {"type": "none", "o": "bind", "device": "/etc"}}}},
        {"volumes": {"v": {"driver": "local"}}},
    ),
    "another's network": (FILE, {"networks": {"n": {"external": True}}}, {"networks": {"n": {}}}),
    "the server's network": (FILE, {"networks": {"n": {"driver": "host"}}}, {"networks": {"n": {"driver": "bridge"}}}),
    "a container's network": (OTHER, {"network_mode": "container:x"}, {"network_mode": "service:app"}),
    "a container's processes": (OTHER, {"pid": "container:x"}, {"pid": ""}),
    "a container's memory": (OTHER, {"ipc": "container:x"}, {"ipc": None}),
    "a container's network, as an argument": (DEV, {"runArgs": ["--network=container:x"]}, {"runArgs": ["--init"]}),
    "another control group": (MAIN, {"cgroup_parent": "/"}, {"cgroup_parent": ""}),
    "the server's control groups": (OTHER, {"cgroup": "host"}, {"cgroup": ""}),
    "any device": (OTHER, {"device_cgroup_rules": ["a *:* rwm"]}, {"device_cgroup_rules": []}),
    "another runtime": (OTHER, {"runtime": "x"}, {"runtime": ""}),
    "settings of the kernel": (OTHER, {"sysctls": {"kernel.x": 1}}, {"sysctls": {}}),
    "a group of the server": (OTHER, {"group_add": ["docker"]}, {"group_add": []}),
    "the label of another codespace": (OTHER, {"labels": {"dev.berth.codespace": "x"}}, {"labels": {"codespace": "x"}}),
    "a privileged build": (OTHER, {"build": {"privileged": True}}, {"build": {"privileged": False}}),
    "a build in the server's network": (OTHER, {"build": {"network": "host"}}, {"build": {"args": {"network": "host"}}}),
    "a build with a secret": (OTHER, {"build": {"secrets": ["x"]}}, {"build": {"secrets": []}}),
    "a port of the server": (DEV, {"appPort": 80}, {"forwardPorts": [80]}),
    "an unknown argument": (DEV, {"runArgs": ["--cgroupns=host"]}, {"runArgs": ["--privileged=false"]}),
    "services in the label": (LABEL, {"dockerComposeFile": "c.yml"}, {"name": "c.yml"}),
    "arguments in the label": (LABEL, {"runArgs": ["--privileged"]}, {"runArgs": []}),
    "arguments of a Feature": (FEATURE, {"runArgs": ["--privileged"]}, {"init": True}),
    "true to the CLI only": (LABEL, {"privileged": []}, {"privileged": False}),
    "true to the CLI only, in a Feature": (FEATURE, {"privileged": []}, {"privileged": False}),
    "a volume by its name": (DEV, {"mounts": ["type=volume,source=v,target=/v"]}, {"mounts": []}),
    "an unknown key in the file": (DEV, {"hostCommand": "id"}, {"name": "id"}),
    "an unknown key of a service": (OTHER, {"host_command": "id"}, {"command": "id"}),
    # L4: what a build would do for a Dockerfile
    "a file that the engine would fetch": (BUILD, {"line": "ADD http://127.0.0.1/x /x"}, {"line": "ADD x /x"}),
    "a repository that the engine would fetch": (
        BUILD,
        {"line": "ADD git@127.0.0.1:x.git /x"},
        {"line": "COPY x.git /x"},
    ),
    "a step in the server's network": (BUILD, {"line": "RUN --network=host id"}, {"line": "RUN id --network=host"}),
    "a step without a wall": (BUILD, {"line": "RUN --security=insecure id"}, {"line": "RUN id"}),
    "a step with a mount": (
        BUILD,
        {"line": f"RUN --mount=type=bind,from={IMAGE},target=/x id"},
        {"line": f"COPY --from={IMAGE} /x /x"},
    ),
    "a frontend of a stranger": (
        BUILD,
        {"whole": f"# syntax=host.example/evil:1\nFROM {IMAGE}\n"},
        {"whole": f"# syntax=docker/dockerfile:1\nFROM {IMAGE}\n"},
    ),
    "a step that waits": (BUILD, {"line": "ONBUILD COPY / /x"}, {"line": "COPY / /x"}),
}  # fmt: skip


@pytest.mark.parametrize(("review", "escape", "control"), ESCAPES.values(), ids=ESCAPES.keys())
def test_an_escape_is_refused_whatever_is_allowed(
    review: Callable[..., HostOptions], escape: Words, control: Words
) -> None:
    for allowances in (NO_ALLOWANCES, Allowances(site=ALL)):
        with pytest.raises(Invalid) as refused:
            review(escape, allowances)
        assert refused.value.message
        assert review(control, allowances) == NO_OPTIONS, "the control"


# -- L5: what would be the server's environment is not there; nothing is refused, and nothing is found


def of_file(text: str) -> object:
    return parse_dev_container(json.dumps({"image": IMAGE, "containerEnv": {"A": text}}).encode()).values[
        "containerEnv"
    ]


def of_feature(text: str) -> object:
    return feature({"containerEnv": {"A": text}}).container_env


def of_build(text: str) -> object:
    config = parse_dev_container(json.dumps({"build": {"dockerfile": "D", "args": {"A": text}}}).encode(), PATH)
    found = find_build(config.values, config.path)
    assert found is not None
    return found.arguments


def of_service(text: str) -> object:
    data = json.dumps({"services": {"app": {"image": IMAGE, "environment": {"A": text}}}}).encode()
    request = ComposeRequest(files=("c.yml",), service="app", run_services=None)
    return read_compose(request, [data], {"MINE": "mine"}, "shop").main_service.environment


@pytest.mark.parametrize(
    ("read", "variable", "default", "control"),
    [
        (of_file, "${localEnv:PATH}", "${localEnv:PATH:x}", ("${containerEnv:PATH}", "${containerEnv:PATH}")),
        (of_feature, "${env:PATH}", "${localEnv:PATH:x}", ("${PATH}", "${PATH}")),
        (of_build, "${localEnv:PATH}", "${env:PATH:x}", ("plain", "plain")),
        (of_service, "${PATH}", "${PATH:-x}", ("$MINE", "mine")),
    ],
    ids=["devcontainer.json", "a Feature", "arguments of a build", "a Compose file"],
)
def test_l5_nothing_of_the_servers_environment_is_found(
    read: Callable[[str], object], variable: str, default: str, control: tuple[str, str]
) -> None:
    assert read(variable) == {"A": ""}
    assert read(default) == {"A": "x"}
    assert read(control[0]) == {"A": control[1]}, "the control"


@pytest.mark.parametrize("variable", ["${localEnv:PATH}", "${env:PATH}", "${localWorkspaceFolder}"])
def test_l5_a_label_that_asks_is_refused_for_the_cli_would_answer(variable: str) -> None:
    with pytest.raises(Invalid, match="uses a variable of the machine that builds"):
        in_label({"containerEnv": {"A": variable}})
    assert in_label({"containerEnv": {"A": "${containerEnv:PATH}"}}) == NO_OPTIONS, "the control"
