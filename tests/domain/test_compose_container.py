"""What the engine is asked to make of services (policies of `domain/compose_container.py`); of the main one, through the filter."""

import json
from typing import Any

import pytest

from berth.domain.allowance import Allowances
from berth.domain.compose_container import (
    MainContainer,
    ServiceContainer,
    ServicePlacement,
    goes_on_with,
    service_container,
)
from berth.domain.compose_mount import MountPlace
from berth.domain.compose_service import ComposeService, ServicePlace, parse_service
from berth.domain.engine_request import EngineRequest, Known, LaunchScope, Passed, Refused, decide_engine_request
from berth.domain.host_option import NO_OPTIONS, OPTIONS_LABEL, HostOptions, parse_host_options
from berth.domain.machine import UNLIMITED, Machine

IMAGE = "host.example/dev@sha256:" + "1" * 64
LABELS = {"dev.berth.codespace": "c", "dev.berth.server": "s"}
CHECKOUT = "/data/codespaces/c/r"
SMALL = Machine(name="m", display_name="m", cpus=2, memory_bytes=2**30)


TOKENS = ("privileged", "capability:BPF", "security:seccomp=unconfined", "device:/dev/kvm", "mount:/srv/cache")
ALLOWED = [*TOKENS, *(f"namespace:{one}" for one in ("ipc", "network", "pid", "user", "uts"))]


def service(**values: Any) -> ComposeService:
    allowances = Allowances(site=parse_host_options(ALLOWED))
    place = ServicePlace(MountPlace("", "r", frozenset({"data"})), frozenset(), "c.yml", allowances)
    return parse_service("db", {"image": "host.example/dev:1", **values}, place, [])


def placement(**values: Any) -> ServicePlacement:
    return ServicePlacement(**{"codespace": "c", "checkout": CHECKOUT, "network": "net-id", **values})


def made(machine: Machine = UNLIMITED, *, place: ServicePlacement | None = None, **values: Any) -> ServiceContainer:
    return service_container(service(**values), place or placement(), image=IMAGE, labels=LABELS, machine=machine)


PLAIN: dict[str, Any] = {
    "Image": IMAGE,
    "Labels": {
        "dev.berth.codespace": "c",
        "dev.berth.server": "s",
        "dev.berth.service": "db",
        "dev.berth.options": "",
        "com.docker.compose.project": "berth-c",
        "com.docker.compose.service": "db",
    },
    "Env": [],
    "User": "",
    "Tty": False,
    "OpenStdin": False,
    "HostConfig": {
        "NetworkMode": "net-id",
        "Mounts": [],
        "Tmpfs": {},
        "Init": False,
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
    },
    "NetworkingConfig": {"EndpointsConfig": {"net-id": {"Aliases": ["db"]}}},
}


def test_a_service_that_says_nothing_has_nothing_of_the_server() -> None:
    assert made() == ServiceContainer(name="berth-c.db", body=PLAIN)


def test_a_service_that_says_all_it_can() -> None:
    container = made(
        SMALL,
        place=placement(environment={"A": "1"}),
        command=["x"],
        entrypoint="e f",
        working_dir="/w",
        user="dev",
        hostname="h",
        domainname="d",
        init=True,
        tty=True,
        read_only=True,
        healthcheck={"test": "true", "interval": "1s", "retries": 2},
        volumes=["data:/d:ro", "/anonymous", ".:/w", {"type": "tmpfs", "target": "/m", "tmpfs": {"size": "1m"}}],
        tmpfs="/t",
        shm_size="64m",
        cap_drop=["ALL"],
        extra_hosts={"x": "1.2.3.4"},
        security_opt=["no-new-privileges"],
        restart="on-failure:2",
        stop_signal="SIGINT",
        stop_grace_period="20s",
        networks={"default": {"aliases": ["database", "db"]}},
        labels={"x": "y"},
    )
    assert container.body == {
        "Image": IMAGE,
        "Labels": {"x": "y", **PLAIN["Labels"]},
        "Env": ["A=1"],
        "User": "dev",
        "Tty": True,
        "OpenStdin": True,
        "Cmd": ["x"],
        "Entrypoint": ["e", "f"],
        "WorkingDir": "/w",
        "Hostname": "h",
        "Domainname": "d",
        "StopSignal": "SIGINT",
        "StopTimeout": 20,
        "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 10**9, "Retries": 2},
        "HostConfig": {
            "NetworkMode": "net-id",
            "Mounts": [
                {"Type": "volume", "Source": "berth-c.data", "Target": "/d", "ReadOnly": True},
                {"Type": "volume", "Target": "/anonymous", "ReadOnly": False},
                {"Type": "bind", "Source": CHECKOUT, "Target": "/w", "ReadOnly": False},
                {"Type": "tmpfs", "Target": "/m", "ReadOnly": False, "TmpfsOptions": {"SizeBytes": 2**20}},
            ],
            "Tmpfs": {"/t": ""},
            "ShmSize": 2**26,
            "CapDrop": ["ALL"],
            "ExtraHosts": ["x:1.2.3.4"],
            "SecurityOpt": ["no-new-privileges:true"],
            "ReadonlyRootfs": True,
            "Init": True,
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2},
            "NanoCpus": 2 * 10**9,
            "Memory": 2**30,
            "MemorySwap": 2**30,
        },
        "NetworkingConfig": {"EndpointsConfig": {"net-id": {"Aliases": ["db", "database"]}}},
    }


GIVEN: dict[str, Any] = {
    "privileged": True,
    "cap_add": ["BPF"],
    "security_opt": ["seccomp=unconfined", "no-new-privileges"],
    "devices": ["/dev/kvm"],
    "volumes": ["/srv/cache:/cache:ro", "data:/d"],
    "pid": "host",
    "ipc": "host",
    "uts": "host",
    "userns_mode": "host",
    "network_mode": "host",
    "hostname": "h",
}


def test_l4_a_service_gets_what_it_asked_for_and_may_have() -> None:
    body: Any = made(SMALL, **GIVEN).body
    assert body["HostConfig"] == {
        **PLAIN["HostConfig"],
        "Privileged": True,
        "CapAdd": ["BPF"],
        "SecurityOpt": ["no-new-privileges:true", "seccomp=unconfined"],
        "Devices": [{"PathOnHost": "/dev/kvm", "PathInContainer": "/dev/kvm", "CgroupPermissions": "rwm"}],
        "Mounts": [
            {"Type": "volume", "Source": "berth-c.data", "Target": "/d", "ReadOnly": False},
            {"Type": "bind", "Source": "/srv/cache", "Target": "/cache", "ReadOnly": True},
        ],
        **dict.fromkeys(("NetworkMode", "PidMode", "IpcMode", "UTSMode", "UsernsMode"), "host"),
        "NanoCpus": 2 * 10**9,
        "Memory": 2**30,
        "MemorySwap": 2**30,
    }
    assert body["Labels"][OPTIONS_LABEL] == ",".join(ALLOWED)
    assert not body.keys() & {"Hostname", "NetworkingConfig"}, "the engine refuses them beside the host's own"


def test_l4_no_image_says_what_a_container_was_given() -> None:
    body: Any = service_container(
        service(), placement(), image=IMAGE, labels={**LABELS, OPTIONS_LABEL: "privileged"}, machine=SMALL
    ).body
    assert body["Labels"][OPTIONS_LABEL] == ""


@pytest.mark.parametrize(
    ("mode", "expected"), [("service:app", "container:main-id"), ("none", "none")], ids=["shared", "none"]
)
def test_a_network_that_is_not_its_own_has_no_names(mode: str, expected: str) -> None:
    body: Any = made(
        place=placement(joined="main-id"), network_mode=mode, hostname="h", volumes=[{"type": "tmpfs", "target": "/m"}]
    ).body
    assert body["HostConfig"]["NetworkMode"] == expected
    assert body["HostConfig"]["Mounts"] == [{"Type": "tmpfs", "Target": "/m", "ReadOnly": False}]
    assert not body.keys() & {"Hostname", "NetworkingConfig"}


def test_what_a_health_check_leaves_out_is_the_images() -> None:
    assert made(healthcheck={"timeout": "2s"}).body["Healthcheck"] == {"Timeout": 2 * 10**9}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, None),
        ({"command": "a b"}, ("entry", "a", "b")),
        ({"command": []}, ("entry",)),
        ({"entrypoint": "e", "command": ["a"]}, ("e", "a")),
        ({"entrypoint": "e"}, ("e",)),
        ({"entrypoint": []}, ()),
    ],
    ids=["nothing", "a command", "an empty command", "both", "an entrypoint", "an empty entrypoint"],
)
def test_what_a_container_goes_on_with(values: dict[str, Any], expected: tuple[str, ...] | None) -> None:
    assert goes_on_with(service(**values), ("entry",)) == expected


# -- the main container: what passed the filter, and what Berth adds to it

SCRIPT = "echo Container started"
ASKED: dict[str, Any] = {
    "Image": IMAGE,
    "Labels": LABELS,
    "Env": ["A=cli"],
    "Entrypoint": ["/bin/sh"],
    "Cmd": ["-c", SCRIPT, "-", "image's"],
    "HostConfig": {
        "Mounts": [{"Type": "bind", "Source": CHECKOUT, "Target": "/w"}],
        "Tmpfs": {"/run/codespaces": "mode=0755"},
    },
}


def ask(added: MainContainer | None, options: HostOptions = NO_OPTIONS, **changed: Any) -> Passed | Refused:
    scope = LaunchScope(
        container_name="berth-c",
        image=IMAGE,
        labels=LABELS,
        source=CHECKOUT,
        target="/w",
        tmpfs={"/run/codespaces": "mode=0755"},
        machine=SMALL,
        options=options,
        added=added,
    )
    body = json.dumps({**ASKED, **changed}).encode()
    return decide_engine_request(EngineRequest("POST", "/v1.41/containers/create?name=berth-c", body), scope, Known())


def passed(added: MainContainer | None, options: HostOptions = NO_OPTIONS, **changed: Any) -> dict[str, Any]:
    decision = ask(added, options, **changed)
    assert isinstance(decision, Passed), decision
    body: dict[str, Any] = json.loads(decision.body or b"")
    return body


def main(command: tuple[str, ...] | None = None, **values: Any) -> MainContainer:
    return MainContainer(
        service=service(**values),
        placement=placement(environment={"A": "compose", "B": "compose"}),
        checkout_target="/w",
        command=command,
    )


def test_the_filter_adds_what_berth_decided() -> None:
    added = main(("new",), volumes=[".:/w", ".:/again:ro", "data:/d"], tmpfs="/t", stdin_open=True, hostname="h")
    body = passed(added)
    assert body["HostConfig"]["NetworkMode"] == "net-id"
    assert body["NetworkingConfig"] == {"EndpointsConfig": {"net-id": {"Aliases": ["db"]}}}
    assert body["HostConfig"]["Mounts"] == [
        {"Type": "bind", "Source": CHECKOUT, "Target": "/w"},
        {"Type": "bind", "Source": CHECKOUT, "Target": "/again", "ReadOnly": True},
        {"Type": "volume", "Source": "berth-c.data", "Target": "/d", "ReadOnly": False},
    ]
    assert body["HostConfig"]["Tmpfs"] == {"/t": "", "/run/codespaces": "mode=0755"}
    assert (body["HostConfig"]["NanoCpus"], body["HostConfig"]["Memory"]) == (2 * 10**9, 2**30)
    assert body["Env"] == ["B=compose", "A=cli"]
    assert (body["Cmd"], body["Entrypoint"]) == (["-c", SCRIPT, "-", "new"], ["/bin/sh"])
    assert (body["OpenStdin"], body["Hostname"], body["Labels"]) == (True, "h", {**LABELS, OPTIONS_LABEL: ""})


def test_l4_what_the_main_service_was_given_stays_beside_what_is_added() -> None:
    added = main(**GIVEN)
    body = passed(added, added.service.options)
    expected: Any = made(SMALL, **GIVEN).body["HostConfig"]
    given = ("Privileged", "CapAdd", "Devices", "NetworkMode", "PidMode", "IpcMode", "UTSMode", "UsernsMode")
    assert {key: body["HostConfig"][key] for key in given} == {key: expected[key] for key in given}
    assert sorted(body["HostConfig"]["SecurityOpt"]) == sorted(expected["SecurityOpt"])
    assert body["HostConfig"]["Mounts"] == [
        {"Type": "bind", "Source": CHECKOUT, "Target": "/w"},
        {"Type": "bind", "Source": "/srv/cache", "Target": "/cache", "ReadOnly": True},
        {"Type": "volume", "Source": "berth-c.data", "Target": "/d", "ReadOnly": False},
    ]
    assert body["Labels"][OPTIONS_LABEL] == ",".join(ALLOWED)
    assert not body.keys() & {"Hostname", "NetworkingConfig"}


def test_without_compose_nothing_is_added() -> None:
    body = passed(None)
    assert body["HostConfig"]["NetworkMode"] == "default"
    assert not body.keys() & {"NetworkingConfig", "OpenStdin", "Hostname"}
    assert (body["Env"], body["Cmd"]) == (["A=cli"], ["-c", SCRIPT, "-", "image's"])


def test_a_start_that_is_not_the_clis_stays_as_it_is() -> None:
    assert passed(main())["Cmd"] == ["-c", SCRIPT, "-", "image's"]
    assert passed(main(("new",)), Entrypoint=["/x"])["Cmd"] == ["-c", SCRIPT, "-", "image's"]
    body = passed(main(("new",)), Cmd=["-c"], Env=None)
    assert (body["Cmd"], body["Env"]) == (["-c"], ["A=compose", "B=compose"])


@pytest.mark.parametrize(
    "host",
    [
        {"NetworkMode": "host"},
        {"NetworkMode": "berth-other"},
        {"NetworkMode": "net-id"},
        {"Mounts": [{"Type": "volume", "Source": "berth-other.data", "Target": "/d"}]},
        {"Mounts": [{"Type": "volume", "Source": "berth-c.data", "Target": "/d"}]},
        {"Binds": ["berth-other.data:/d"]},
        {"VolumesFrom": ["berth-other"]},
        {"Links": ["berth-other.db"]},
    ],
    ids=str,
)
def test_l4_the_cli_itself_may_ask_for_none_of_it(host: dict[str, Any]) -> None:
    """Also not for what is the codespace's: Berth adds that, nobody asks for it."""
    assert isinstance(ask(main(volumes=["data:/d"]), HostConfig={**ASKED["HostConfig"], **host}), Refused)
    networking = {"EndpointsConfig": {"berth-other": {"Aliases": ["db"]}}}
    assert isinstance(ask(main(), NetworkingConfig=networking), Refused)
    assert isinstance(ask(main()), Passed), "the control"
