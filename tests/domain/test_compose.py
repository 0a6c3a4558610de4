"""Compose files understood (policies of `domain/compose*.py`): what runs in which order, is merged, is refused (L4, L5)."""

import re
from pathlib import Path
from typing import Any

import pytest

from berth.domain.compose import (
    MAX_RUNNING,
    ComposeProject,
    ComposeRequest,
    checkout_folder,
    find_compose,
    image_configuration,
    main_configuration,
    read_compose,
    service_container_name,
    volume_name,
    with_service_defaults,
)
from berth.domain.compose_keys import BUILD, FILE, NETWORK, SERVICE, VOLUME, KeyTable
from berth.domain.compose_mount import Mount, MountKind
from berth.domain.compose_service import ComposeService, Condition, Dependency, EnvironmentFile, Healthcheck
from berth.domain.dev_container import DevContainerConfig, ImageMetadata
from berth.domain.dev_container_build import DevContainerBuild, find_build
from berth.domain.problem import Invalid

IMAGE = "host.example/dev:1"


def read(
    *files: str, service: str = "app", run: tuple[str, ...] | None = None, variables: dict[str, str] | None = None
) -> ComposeProject:
    names = tuple(f".devcontainer/{one or ''}docker-compose.yml" for one in range(len(files)))
    request = ComposeRequest(files=names, service=service, run_services=run)
    return read_compose(request, [one.encode() for one in files], variables or {}, "shop")


def one(text: str, *more: str) -> ComposeService:
    """The service `app`, which has an image and this besides; more files are its overrides."""
    declared = "volumes: {data: , shared: {}}\nnetworks: {front: , back: {driver: bridge}}\n"
    files = [f"services:\n  app:\n    image: {IMAGE}\n{_indented(text)}\n  db: {{image: {IMAGE}}}\n{declared}"]
    files += [f"services:\n  app:\n{_indented(each)}\n" for each in more]
    return read(*files).main_service


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def refused(*files: str, **how: Any) -> Invalid:
    with pytest.raises(Invalid) as caught:
        read(*files, **how)
    return caught.value


def refused_one(text: str, *more: str) -> Invalid:
    with pytest.raises(Invalid) as caught:
        one(text, *more)
    return caught.value


# -- what runs (policies 2 and 4 of compose.py)

SERVICES = f"""
services:
  app: {{image: {IMAGE}, depends_on: [db]}}
  db: {{image: {IMAGE}, depends_on: {{seed: {{condition: service_completed_successfully}}}}}}
  seed: {{image: {IMAGE}}}
  worker: {{image: {IMAGE}, depends_on: [app], links: ["mail:mail"]}}
  mail: {{image: {IMAGE}}}
  debug: {{image: {IMAGE}, profiles: [debug], depends_on: {{db: {{condition: service_healthy}}}}}}
"""


@pytest.mark.parametrize(
    ("run", "before", "after"),
    [
        (None, ["mail", "seed", "db"], ["worker"]),
        ((), ["seed", "db"], []),
        (("mail",), ["mail", "seed", "db"], []),
        (("worker",), ["mail", "seed", "db"], ["worker"]),
        (("debug", "app"), ["seed", "db", "debug"], []),
    ],
    ids=[
        "all without a profile",
        "what app waits for",
        "one more",
        "what waits for app",
        "one with a profile, by name",
    ],
)
def test_what_runs_in_which_order(run: tuple[str, ...] | None, before: list[str], after: list[str]) -> None:
    project = read(SERVICES, run=run)
    assert ([each.name for each in project.before], [each.name for each in project.after]) == (before, after)
    assert project.main_service.name == "app"


def test_what_is_waited_for_only_if_it_runs() -> None:
    text = f"""
services:
  app: {{image: {IMAGE}, depends_on: {{other: {{condition: service_started, required: false, restart: true}}}}}}
  other: {{image: {IMAGE}, profiles: [x]}}
"""
    assert read(text).before == ()
    assert [each.name for each in read(text, run=("other",)).before] == ["other"]


def test_a_network_that_is_shared_is_there() -> None:
    shared = "network_mode: 'service:db', depends_on: {db: {condition: service_healthy, required: false}}"
    text = f"services: {{app: {{image: {IMAGE}, {shared}}}, db: {{image: {IMAGE}, profiles: [x]}}}}"
    assert [each.name for each in read(text).before] == ["db"]


def test_a_service_that_is_not_there() -> None:
    for problem in (refused(SERVICES, service="web"), refused(SERVICES, run=("web",))):
        assert problem.message == "docker-compose.yml has no service 'web'."
        assert problem.remedy == "It has app, db, seed, worker, mail, debug."
    assert "no service 'gone'" in refused_one("depends_on: [gone]").message


def test_services_that_wait_for_each_other() -> None:
    text = (
        f"services: {{app: {{image: {IMAGE}, depends_on: [db]}}, db: {{image: {IMAGE}, network_mode: 'service:app'}}}}"
    )
    assert refused(text).message == "The services db, app in docker-compose.yml wait for each other."


def test_too_many_services() -> None:
    text = "services:\n  app: {image: x}\n" + "".join(f"  s{each}: {{image: x}}\n" for each in range(MAX_RUNNING))
    assert refused(text).message.startswith("A codespace runs 20 services at most;")
    assert len(read(text, run=("s1",)).services) == 2


def test_the_volumes_that_are_mounted() -> None:
    text = f"""
services:
  app: {{image: {IMAGE}, volumes: ["data:/d", "/anonymous", "..:/w"]}}
  db: {{image: {IMAGE}, volumes: ["data:/d", "shared:/s"]}}
volumes: {{data: , shared: {{name: x}}, unused: }}
"""
    project = read(text)
    assert project.volumes == ("data", "shared")
    assert checkout_folder(project) == "/w"
    assert checkout_folder(read(SERVICES)) == ""


def test_names_are_the_codespaces() -> None:
    assert volume_name("ada-shop-x", "data") == "berth-ada-shop-x.data"
    assert service_container_name("ada-shop-x", "db") == "berth-ada-shop-x.db"


# -- what devcontainer.json says


def config(**values: object) -> DevContainerConfig:
    return DevContainerConfig(values, ".devcontainer/devcontainer.json")


def test_what_devcontainer_json_says() -> None:
    assert find_compose(config(image=IMAGE)) is None
    assert find_compose(config(image=IMAGE, dockerComposeFile=[], service="", runServices=[])) is None
    found = find_compose(config(dockerComposeFile="../compose.yml", service="app"))
    assert found == ComposeRequest(files=("compose.yml",), service="app", run_services=None)
    assert (found.folder, found.variables_file) == ("", ".env")
    found = find_compose(config(dockerComposeFile=["a.yml", "../b.yml"], service="app", runServices=["db"]))
    assert found == ComposeRequest(files=(".devcontainer/a.yml", "b.yml"), service="app", run_services=("db",))
    assert (found.folder, found.variables_file) == (".devcontainer", ".devcontainer/.env")


BAD_REQUESTS: dict[str, tuple[dict[str, object], str]] = {
    "a service without files": ({"service": "app"}, "'service' in devcontainer.json needs 'dockerComposeFile'."),
    "services to run without files": ({"runServices": ["x"]}, "needs 'dockerComposeFile'"),
    "no service": ({"dockerComposeFile": "a.yml"}, "'service' in devcontainer.json must name a service"),
    "a service's bad name": ({"dockerComposeFile": "a.yml", "service": "a b"}, "must name a service"),
    "an image too": ({"dockerComposeFile": "a.yml", "service": "app", "image": "x"}, "names Compose files and 'image'"),
    "a build too": ({"dockerComposeFile": "a.yml", "service": "app", "build": {"x": 1}}, "and 'build'"),
    "many files": ({"dockerComposeFile": ["a.yml"] * 11, "service": "app"}, "may name 10 files"),
    "a file elsewhere": ({"dockerComposeFile": "../../a.yml", "service": "app"}, "leads out of the repository"),
    "a file of the server": ({"dockerComposeFile": "/etc/a.yml", "service": "app"}, "leads out of the repository"),
    "no file": ({"dockerComposeFile": [""], "service": "app"}, "must be a path"),
}


@pytest.mark.parametrize(("values", "why"), BAD_REQUESTS.values(), ids=BAD_REQUESTS.keys())
def test_devcontainer_json_is_refused(values: dict[str, object], why: str) -> None:
    with pytest.raises(Invalid, match=re.escape(why)):
        find_compose(config(**values))


def test_the_main_service_as_a_configuration_without_compose() -> None:
    said = config(dockerComposeFile="docker-compose.yml", service="app", runServices=[], remoteUser="dev", init=True)
    project = read(f"services: {{app: {{image: {IMAGE}, user: web}}}}")
    plain = main_configuration(said, project)
    assert plain.values == {"remoteUser": "dev", "init": True, "image": IMAGE}
    assert plain.path == said.path
    assert image_configuration(project.main_service).values == {"image": IMAGE}
    build = "{context: .., dockerfile: docker/Dockerfile, target: dev, args: {A: 1, B: , C: true}}"
    project = read(f"services: {{app: {{image: ours, build: {build}}}}}")
    expected = DevContainerBuild(
        dockerfile="docker/Dockerfile", context="", arguments={"A": "1", "C": "true"}, target="dev"
    )
    assert project.main_service.build == expected
    for each in (main_configuration(said, project), image_configuration(project.main_service)):
        assert find_build(each.values, each.path) == expected
    project = read("services: {app: {build: sub}}")
    found = find_build(image_configuration(project.main_service).values, "")
    assert found == DevContainerBuild(dockerfile=".devcontainer/sub/Dockerfile", context=".devcontainer/sub")


def test_what_the_service_says_comes_last() -> None:
    project = read(f"services: {{app: {{image: {IMAGE}, user: web}}}}")
    none = ImageMetadata()
    assert with_service_defaults(config(), none, project).values == {"overrideCommand": False, "containerUser": "web"}
    said = with_service_defaults(config(overrideCommand=True, containerUser="dev"), none, project)
    assert said.values == {"overrideCommand": True, "containerUser": "dev"}
    label = ImageMetadata((config(overrideCommand=True, containerUser="root"),))
    assert with_service_defaults(config(), label, project).values == {"overrideCommand": True}
    nobody = read(f"services: {{app: {{image: {IMAGE}}}}}")
    assert with_service_defaults(config(), none, nobody).values == {"overrideCommand": False}


# -- the files: variables, anchors, merging


def test_l5_variables_are_those_of_the_repository() -> None:
    text = "services: {app: {image: 'host.example/dev:${TAG:-1}', command: 'echo $SAID', hostname: '${NOT}'}}"
    project = read(text, variables={"SAID": "this"})
    assert project.main_service.image == IMAGE
    assert project.main_service.command == ("echo", "this")
    (note,) = project.notes
    assert note.startswith(
        "docker-compose.yml: these variables have no value here and are empty: NOT. Only a file .env"
    )


def test_files_are_merged() -> None:
    merged = one(
        "command: old one\nentrypoint: [old]\nenvironment: [A=1, B=2, C]\nlabels: {x: y}\nuser: a\n"
        "volumes: ['data:/d', 'shared:/s']\ndepends_on: [db]\nhealthcheck: {test: [CMD, a], retries: 3}\nhostname:\n"
        "networks: [front]\nextra_hosts: ['a:1.2.3.4']\nprofiles: [p]\nports: ['1:1', '2:2']",
        "command: [new]\nentrypoint: run it\nenvironment: {B: 3, D: true}\nlabels: [z=1]\nuser:\nvolumes: ['data:/s:ro',"
        " {type: volume, source: shared, target: /d}]\ndepends_on: {db: {condition: service_healthy}}\n"
        "healthcheck: {test: 'b c'}\nhostname: h\nnetworks: {back: {aliases: [other]}}\nextra_hosts: {b: '::1'}\n"
        "env_file: x\nports: ['1:1']\nprofiles: q",
    )
    assert merged.command == ("new",)
    assert merged.entrypoint == ("run", "it")
    assert merged.environment == {"A": "1", "B": "3", "C": None, "D": "true"}
    assert merged.labels == {"x": "y", "z": "1"}
    assert (merged.user, merged.hostname) == ("a", "h")
    assert [(each.target, each.volume, each.read_only) for each in merged.mounts] == [
        ("/d", "shared", False),
        ("/s", "data", True),
    ]
    assert merged.depends_on == {"db": Dependency(condition=Condition.HEALTHY)}
    assert merged.healthcheck == Healthcheck(test=("CMD-SHELL", "b c"), retries=3)
    assert merged.aliases == ("other",)
    assert merged.extra_hosts == ("a:1.2.3.4", "b:::1")
    assert merged.environment_files == (EnvironmentFile(path=".devcontainer/x"),)
    assert merged.profiles == ("p", "q")


def test_builds_are_merged_and_more_services_come() -> None:
    base = "services: {app: {build: ., volumes: }, x: }"
    more = f"services: {{app: {{build: {{target: t, args: [A=1]}}}}, x: {{image: {IMAGE}}}, y: {{image: {IMAGE}}}}}"
    project = read(base, more)
    assert project.main_service.build is not None
    assert (project.main_service.build.context, project.main_service.build.target) == (".devcontainer", "t")
    assert [each.name for each in project.before] == ["x", "y"]


def test_kinds_that_do_not_go_together() -> None:
    problem = refused_one("labels: {a: b}", "labels: text")
    assert problem.code == "compose.malformed"
    assert problem.message == "The Compose files say different kinds of things of 'labels'."


def test_anchors_and_the_authors_own_keys() -> None:
    text = f"""
x-base: &base {{image: {IMAGE}, init: true, x-mine: anything}}
version: "3.8"
name: ignored
services:
  app: {{<<: *base, tty: "true"}}
"""
    service = read(text).main_service
    assert (service.init, service.tty, service.stdin_open) == (True, True, False)


# -- keys: every one of the specification's has an answer

SPECIFICATION = """
 annotations attach blkio_config build cap_add cap_drop cgroup cgroup_parent command configs container_name
 cpu_count cpu_percent
 cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpus cpuset credential_spec depends_on deploy develop
 device_cgroup_rules devices dns dns_opt dns_search domainname entrypoint env_file environment expose extends external_links
 extra_hosts gpus group_add healthcheck hostname image init ipc isolation label_file labels links logging mac_address mem_limit
 mem_reservation mem_swappiness memswap_limit models network_mode networks oom_kill_disable oom_score_adj pid pids_limit platform
 ports post_start pre_start pre_stop privileged profiles provider pull_policy pull_refresh_after read_only restart runtime scale
 secrets security_opt shm_size stdin_open stop_grace_period stop_signal storage_opt sysctls tmpfs tty ulimits use_api_socket user
 userns_mode uts volumes volumes_from working_dir driver_opts
"""


def test_l4_no_key_of_the_specification_is_forgotten() -> None:
    known = SERVICE.understood | SERVICE.passed_over.keys() | SERVICE.refused.keys()
    assert known == set(SPECIFICATION.split())


@pytest.mark.parametrize("key", SERVICE.refused)
def test_l4_a_key_is_refused_with_its_source(key: str) -> None:
    problem = refused_one(f"{key}: [x]")
    assert problem.code in {"compose.not_allowed", "compose.unsupported"}
    assert problem.message.startswith(f"'{key}' of service app in docker-compose.yml is refused: ")
    assert problem.remedy
    for harmless in ("false", "[]", "{}", ""):
        assert one(f"{key}: {harmless}").image == IMAGE, "the control"


@pytest.mark.parametrize("key", SERVICE.passed_over)
def test_a_key_is_passed_over_with_a_note(key: str) -> None:
    project = read(f"services: {{app: {{image: {IMAGE}, {key}: x}}}}")
    (note,) = project.notes
    assert note.startswith(f"'{key}' of service app in docker-compose.yml is passed over: ")
    assert project.main_service == read(f"services: {{app: {{image: {IMAGE}}}}}").main_service


@pytest.mark.parametrize(
    ("table", "template", "what"),
    [
        (FILE, f"{{KEY: [x], services: {{app: {{image: {IMAGE}}}}}}}", "docker-compose.yml"),
        (
            VOLUME,
            f"{{volumes: {{v: {{KEY: x}}}}, services: {{app: {{image: {IMAGE}}}}}}}",
            "volume v in docker-compose.yml",
        ),
        (
            NETWORK,
            f"{{networks: {{n: {{KEY: x}}}}, services: {{app: {{image: {IMAGE}}}}}}}",
            "network n in docker-compose.yml",
        ),
        (BUILD, "{services: {app: {build: {KEY: [x]}}}}", "'build' of service app in docker-compose.yml"),
    ],
    ids=["file", "volume", "network", "build"],
)
def test_l4_keys_of_other_places(table: KeyTable, template: str, what: str) -> None:
    for key in table.refused:
        assert refused(template.replace("KEY", key)).message.startswith(f"'{key}' of {what} is refused: ")
    for key in table.passed_over:
        assert read(template.replace("KEY", key)).notes[0].startswith(f"'{key}' of {what} is passed over: ")
    assert read(template.replace("KEY", "x-mine")).main == "app", "the control"


def test_an_unknown_key_is_refused_with_the_nearest_one() -> None:
    problem = refused_one("volume: [x]")
    assert (
        problem.message
        == "Berth does not know the key 'volume' of service app in docker-compose.yml, so it refuses it."
    )
    assert problem.remedy == "Did you mean 'volumes'? Otherwise remove it."
    assert refused_one("zzz: 1").remedy == "Remove the key."


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("volumes: {v: {external: true}}", "compose.not_allowed"),
        ("volumes: {v: {external: {name: theirs}}}", "compose.not_allowed"),
        ("volumes: {v: {driver: nfs}}", "compose.not_allowed"),
        ("networks: {n: {external: 'true'}}", "compose.not_allowed"),
        ("networks: {n: {driver: host}}", "compose.not_allowed"),
        ("volumes: [v]", "compose.value"),
        ("networks: {n: text}", "compose.value"),
    ],
    ids=[
        "another's volume",
        "by name",
        "a driver",
        "another's network",
        "a driver of networks",
        "no mapping",
        "no settings",
    ],
)
def test_l4_volumes_and_networks_are_the_codespaces(text: str, code: str) -> None:
    base = f"services: {{app: {{image: {IMAGE}}}}}\n"
    assert refused(base + text).code == code
    assert read(base + "volumes: {v: {external: false, driver: local}}\nnetworks: {n: {driver: bridge}}").main == "app"


# -- values

HEALTH = "healthcheck: {interval: 1m30s, timeout: 500ms, start_period: 2h, retries: '3', x-why: this}"
UNDERSTOOD: dict[str, tuple[str, dict[str, object]]] = {
    "a command as a text": ("command: sh -c 'echo hi'", {"command": ("sh", "-c", "echo hi")}),
    "an empty command": ("command: []", {"command": ()}),
    "an entrypoint": ("entrypoint: [a, 5]", {"entrypoint": ("a", "5")}),
    "a folder": ("working_dir: /srv/../app/", {"working_dir": "/app"}),
    "names": ("hostname: h\ndomainname: d.example", {"hostname": "h", "domainname": "d.example"}),
    "truths": ("init: yes\nread_only: 'true'", {"init": True, "read_only": True}),
    "a user": ("user: 1000:1000", {"user": "1000:1000"}),
    "a health check": (
        HEALTH,
        {"healthcheck": Healthcheck(test=(), interval_s=90, timeout_s=0.5, start_period_s=7200, retries=3)},
    ),
    "no health check": ("healthcheck: {disable: true}", {"healthcheck": Healthcheck(test=("NONE",))}),
    "shared memory": ("shm_size: 64m", {"shm_bytes": 2**26}),
    "shared memory in bytes": ("shm_size: 1024", {"shm_bytes": 1024}),
    "memory": ("tmpfs: ['/a', '/b:size=1g,mode=1777,noexec']", {"tmpfs": {"/a": "", "/b": "size=1g,mode=1777,noexec"}}),
    "one tmpfs": ("tmpfs: /a", {"tmpfs": {"/a": ""}}),
    "restart always": ("restart: always", {"restart": "unless-stopped"}),
    "restart some times": ("restart: on-failure:3", {"restart": "on-failure", "restart_most": 3}),
    "an end": ("stop_signal: SIGINT\nstop_grace_period: 5m", {"stop_signal": "SIGINT", "stop_s": 60.0}),
    "capabilities less": ("cap_drop: [ALL]", {"cap_drop": ("ALL",)}),
    "no new privileges": ("security_opt: ['no-new-privileges:true']", {"no_new_privileges": True}),
    "hosts": ("extra_hosts: ['me=host-gateway', 'six:[::1]']", {"extra_hosts": ("me:host-gateway", "six:[::1]")}),
    "ports for others": ("expose: [80, '90-99/udp']", {}),
    "no network": ("network_mode: none", {"has_network": False}),
    "another's network": ("network_mode: service:db", {"network_of": "db", "depends_on": {"db": Dependency()}}),
    "aliases": (
        "networks: {front: {aliases: [a, b], priority: 1}, back: {aliases: a}, default: }",
        {"aliases": ("a", "b")},
    ),
    "a link": ("links: [db]", {"depends_on": {"db": Dependency()}}),
    "files of variables": (
        "env_file: [a.env, {path: ../b.env, required: false}]",
        {
            "environment_files": (
                EnvironmentFile(path=".devcontainer/a.env"),
                EnvironmentFile(path="b.env", required=False),
            )
        },
    ),
    "the checkout": ("volumes: ['..:/w:cached']", {"mounts": (Mount(kind=MountKind.CHECKOUT, target="/w"),)}),
    "the checkout below its parent": (
        "volumes: ['../..:/workspaces']",
        {"mounts": (Mount(kind=MountKind.CHECKOUT, target="/workspaces/shop"),)},
    ),
    "the checkout, long": (
        "volumes: [{type: bind, source: .., target: /w, read_only: true, bind: {create_host_path: true}, x-a: b}]",
        {"mounts": (Mount(kind=MountKind.CHECKOUT, target="/w", read_only=True),)},
    ),
    "a volume": (
        "volumes: ['data:/d/:ro,z']",
        {"mounts": (Mount(kind=MountKind.VOLUME, target="/d", volume="data", read_only=True),)},
    ),
    "a volume, long": (
        "volumes: [{type: volume, source: data, target: /d, volume: {nocopy: true}}]",
        {"mounts": (Mount(kind=MountKind.VOLUME, target="/d", volume="data"),)},
    ),
    "a volume without a name": ("volumes: [/d]", {"mounts": (Mount(kind=MountKind.VOLUME, target="/d"),)}),
    "memory, long": (
        "volumes: [{type: tmpfs, target: /m, tmpfs: {size: 1m}}, {type: tmpfs, target: /n}]",
        {
            "mounts": (
                Mount(kind=MountKind.TMPFS, target="/m", size_bytes=2**20),
                Mount(kind=MountKind.TMPFS, target="/n"),
            )
        },
    ),
}


@pytest.mark.parametrize(("text", "values"), UNDERSTOOD.values(), ids=UNDERSTOOD.keys())
def test_a_value_is_understood(text: str, values: dict[str, object]) -> None:
    plain, found = one(""), one(text)
    changed = {
        name: getattr(found, name) for name in ComposeService.__slots__ if getattr(found, name) != getattr(plain, name)
    }
    assert changed == values


NOT_ALLOWED, UNSUPPORTED, VALUE = "compose.not_allowed", "compose.unsupported", "compose.value"
BAD_VALUES: dict[str, tuple[str, str]] = {
    # L4: the server's files
    "volumes: ['/etc:/x']": (NOT_ALLOWED, "asks for mount:/etc, which is refused"),
    "volumes: ['~/x:/x']": (NOT_ALLOWED, "would mount a folder of the server"),
    "volumes: ['../../..:/x']": (NOT_ALLOWED, "would mount a folder of the server"),
    "volumes: ['../../other:/x']": (NOT_ALLOWED, "would mount a folder of the server"),
    "volumes: ['/var/run/docker.sock:/var/run/docker.sock']": (NOT_ALLOWED, "asks for mount:/var/run/docker.sock"),
    "volumes: ['C:\\x:/x']": (VALUE, "a mode that"),
    "volumes: ['\\x:/x']": (NOT_ALLOWED, "would mount a folder of the server"),
    "volumes: [{type: bind, source: /etc, target: /x}]": (NOT_ALLOWED, "asks for mount:/etc, which is refused"),
    "volumes: ['./init.sql:/x']": (UNSUPPORTED, "only all of it can be mounted"),
    "volumes: ['../src:/x']": (UNSUPPORTED, "'src' of the checkout"),
    "volumes: ['sub/dir:/x']": (UNSUPPORTED, "only all of it can be mounted"),
    "volumes: [{type: npipe, source: x, target: /x}]": (NOT_ALLOWED, "no type of mount"),
    "volumes: [{type: cluster, source: x, target: /x}]": (NOT_ALLOWED, "no type of mount"),
    "volumes: [{type: volume, source: data, target: /x, volume: {subpath: a}}]": (NOT_ALLOWED, "'subpath'"),
    "volumes: [{type: bind, source: .., target: /x, bind: {propagation: shared}}]": (NOT_ALLOWED, "'propagation'"),
    "volumes: ['..:/x:rshared']": (VALUE, "a mode that Berth does not know"),
    "volumes: ['theirs:/x']": (VALUE, "does not declare"),
    "volumes: [{type: bind, source: data, target: /x}]": (VALUE, "do not go together"),
    "volumes: [{type: volume, source: /etc, target: /x}]": (VALUE, "do not go together"),
    "volumes: [{type: volume, src: data, target: /x}]": ("compose.unknown_key", "'src'"),
    "volumes: ['data:/x', '..:/x/']": (VALUE, "'volumes' of service app in docker-compose.yml mounts two things at /x."),
    "volumes: ['data:/run/codespaces']": (NOT_ALLOWED, "would hide /run/codespaces"),
    "volumes: ['data:/run/codespaces/env']": (NOT_ALLOWED, "would hide /run/codespaces"),
    "volumes: ['data:/']": (VALUE, "must be an absolute path"),
    "volumes: ['data:x']": (VALUE, "must be an absolute path"),
    "volumes: ['a:b:c:d']": (VALUE, "must be [source:]target[:mode]"),
    "tmpfs: /run/codespaces": (NOT_ALLOWED, "would hide /run/codespaces"),
    "tmpfs: /x:exec": (VALUE, "an option that Berth does not know"),
    "tmpfs: /x:mode=a": (VALUE, "an option that Berth does not know"),
    "tmpfs: /x:size=1t": (VALUE, "must be a size"),
    "env_file: /etc/shadow": (NOT_ALLOWED, "leads out of the repository"),
    "env_file: ../../x": (NOT_ALLOWED, "leads out of the repository"),
    f"env_file: [{','.join('x' * 33)}]": (VALUE, "may have 32 entries"),
    "env_file: [{path: a, format: raw}]": (UNSUPPORTED, "more than 'path'"),
    "build: ../..": (NOT_ALLOWED, "leads out of the repository"),
    "build: 'https://example.com/x.git'": (NOT_ALLOWED, "leads out of the repository"),
    "build: {dockerfile: ../../x}": (NOT_ALLOWED, "leads out of the repository"),
    # L4: other namespaces
    "network_mode: host": (NOT_ALLOWED, "'network_mode' in service app"),
    "network_mode: bridge": (NOT_ALLOWED, "'network_mode' of service app"),
    "network_mode: container:theirs": (NOT_ALLOWED, "'network_mode' of service app"),
    "network_mode: 'service:'": (NOT_ALLOWED, "'network_mode' of service app"),
    "networks: [theirs]": (VALUE, "does not declare"),
    "networks: {front: {ipv4_address: 10.0.0.1}}": (UNSUPPORTED, "more than aliases"),
    "security_opt: ['seccomp:unconfined']": (NOT_ALLOWED, "'security_opt' in service app"),
    "labels: {com.docker.compose.project: x}": (NOT_ALLOWED, "the engine's or Berth's to give"),
    "labels: [dev.berth.server=x]": (NOT_ALLOWED, "the engine's or Berth's to give"),
    "labels: {devcontainer.metadata: '[]'}": (NOT_ALLOWED, "the engine's or Berth's to give"),
    # kinds
    "labels: {'a b': x}": (VALUE, "no label's"),
    "links: ['db:other']": (UNSUPPORTED, "'links'"),
    "depends_on: {db: {condition: soon}}": (VALUE, "must have a condition"),
    "depends_on: {db: {condition: service_started, more: x}}": (VALUE, "must have a condition"),
    "depends_on: ['a b']": (VALUE, "must be a name"),
    "image: UPPER/x": ("", "'image' of service app in docker-compose.yml is 'UPPER/x'"),
    "command: \"it's\"": (VALUE, "a quote without an end"),
    "command: {a: b}": (VALUE, "must be a text"),
    "environment: {'a b': x}": (VALUE, "no variable's"),
    "environment: {A: [x]}": (VALUE, "must be a text"),
    "environment: text": (VALUE, "must be a mapping"),
    "working_dir: here": (VALUE, "must be an absolute path"),
    "user: '-x'": (VALUE, "'user' of service app"),
    "hostname: 'a b'": (VALUE, "must be a name"),
    "init: perhaps": (VALUE, "must be true or false"),
    "restart: sometimes": (VALUE, "'restart' of service app"),
    "restart: 'always:3'": (VALUE, "'restart' of service app"),
    "stop_signal: 'a b'": (VALUE, "'stop_signal' of service app"),
    "stop_grace_period: soon": (VALUE, "must be a duration"),
    "stop_grace_period: 25h": (VALUE, "may be a day at most"),
    "shm_size: 9g": (VALUE, "must be a size up to 8192 MiB"),
    "shm_size: much": (VALUE, "must be a size"),
    "cap_drop: ['a b']": (VALUE, "'cap_drop'"),
    "extra_hosts: {a: nowhere}": (VALUE, "'extra_hosts'"),
    "expose: [http]": (VALUE, "'expose'"),
    "healthcheck: {test: [RUN, x]}": (VALUE, "must begin with CMD"),
    "healthcheck: {retries: many}": (VALUE, "must be a whole number"),
    "healthcheck: {every: 5s}": ("compose.unknown_key", "'every'"),
    f"profiles: [{','.join('x' * 300)}]": (VALUE, "may have 256 entries"),
    f"volumes: [{','.join('x' * 300)}]": (VALUE, "may have 256 entries"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), BAD_VALUES.items(), ids=range(len(BAD_VALUES)))
def test_a_value_is_refused(text: str, expected: tuple[str, str]) -> None:
    base = "" if text.startswith(("image:", "build:")) else f"    image: {IMAGE}\n"
    problem = refused(
        f"services:\n  app:\n{base}    {text}\n  db: {{image: x}}\nvolumes: {{data: }}\nnetworks: {{front: }}\n"
    )
    assert problem.code == (expected[0] or problem.code)
    assert expected[1] in problem.message
    assert "docker-compose.yml" in problem.message


def test_a_service_of_nothing() -> None:
    assert "names neither an image nor a build" in refused("services: {app: {}}").message
    assert "names neither an image nor a build" in refused("services: {app: }").message
    assert "must have a name" in refused(f"services: {{app: {{image: {IMAGE}}}, 'a b': {{image: {IMAGE}}}}}").message
    assert "must be a mapping" in refused("services: [app]").message
    assert "must be a mapping" in refused("services: {app: text}").message
    assert "must be a mapping" in refused("just a text").message
    assert "no service 'app'" in refused("").message


def test_l5_no_file_of_the_server_is_read(tmp_path: Path) -> None:
    """The files are data: what they name is the repository's, or refused."""
    (tmp_path / "x").write_text("canary")
    problem = refused(f"include: [{tmp_path}/x]\nservices: {{app: {{image: {IMAGE}}}}}")
    assert problem.code == UNSUPPORTED
