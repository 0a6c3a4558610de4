"""What passes the filter on the engine's socket, and what it becomes; each refusal beside what is let through."""

import json
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth.domain.engine_request import (
    Answer,
    EngineRequest,
    Known,
    LaunchScope,
    Passed,
    Refused,
    Rule,
    decide_engine_request,
)
from berth.domain.host_option import OPTIONS_LABEL
from berth.domain.machine import UNLIMITED, Machine

IMAGE = "registry.test:5000/team/dev@sha256:" + "1" * 64
OWN, TWIN, FOREIGN = "a" * 64, "a" * 11 + "b" * 53, "f" * 64
PROCESS = "e" * 64
LABELS = {"dev.berth.codespace": "c", "dev.berth.server": "s"}
OWN_LABELS = ["dev.berth.codespace=c", "dev.berth.server=s"]
OWN_CONTAINERS = {"label": OWN_LABELS, "name": [r"^/?berth\-c$"]}
KNOWN = Known(frozenset({OWN, TWIN}), frozenset({PROCESS}))


def scope(machine: Machine = UNLIMITED) -> LaunchScope:
    return LaunchScope(
        container_name="berth-c",
        image=IMAGE,
        labels=LABELS,
        source="/data/codespaces/c/r",
        target="/workspaces/r",
        tmpfs={"/run/codespaces": "mode=0755"},
        machine=machine,
    )


SMALL = Machine(name="m", display_name="m", cpus=2, memory_bytes=2**30)


def decide(method: str, target: str, body: Any = b"", machine: Machine = UNLIMITED) -> Passed | Refused:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return decide_engine_request(EngineRequest(method, target, data), scope(machine), KNOWN)


def passed(method: str, target: str, body: Any = b"", machine: Machine = UNLIMITED) -> Passed:
    decision = decide(method, target, body, machine)
    assert isinstance(decision, Passed), decision
    return decision


def query(**values: Any) -> str:
    return urlencode({name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()})


# -- policies 1 and 2: the table

UNCHANGED = (
    ("HEAD", "/_ping"),
    ("GET", "/_ping"),
    ("GET", "/v1.41/version"),
    ("GET", f"/v1.41/images/{IMAGE}/json"),
    ("GET", f"/v1.52/containers/{OWN}/json"),
    ("POST", f"/v1.40/containers/{OWN}/start"),
    ("POST", f"/v1.41/containers/{OWN}/wait?condition=next-exit"),
    ("GET", f"/v1.41/exec/{PROCESS}/json"),
)


@pytest.mark.parametrize(("method", "target"), UNCHANGED)
def test_what_a_launch_needs_passes_as_it_came(method: str, target: str) -> None:
    assert passed(method, target) == Passed(method=method, target=target)


def test_streams_become_streams() -> None:
    target = f"/v1.41/containers/{OWN}/attach?stderr=1&stdout=1&stream=1"
    assert passed("POST", target) == Passed(method="POST", target=target, answer=Answer.UPGRADE)


OTHER_PATHS = {
    "GET": (
        "/info /_ping /images/json /volumes /networks /swarm /secrets /plugins /configs /nodes /services /tasks /system/df "
        "/containers/OWN/archive?path=/etc /containers/OWN/export /containers/OWN/logs?stdout=1 /containers/OWN/top "
        "/containers/OWN/changes /containers/OWN/attach/ws /images/IMAGE/get /images/IMAGE/history /distribution/IMAGE/json "
        "/debug/pprof/"
    ),
    "HEAD": "/containers/OWN/archive?path=/ /version",
    "PUT": "/containers/OWN/archive?path=/",
    "DELETE": "/containers/OWN /containers/OWN/json /images/IMAGE /volumes/x /networks/x",
    "OPTIONS": "/version",
    "get": "/version",
    "POST": (
        "/version /build /build/prune /session /grpc /auth /commit?container=OWN /images/load /images/create?fromImage=alpine "
        "/images/IMAGE/push /images/IMAGE/tag?repo=x /images/prune /volumes/create /volumes/prune /networks/create "
        "/networks/x/connect /plugins/pull /swarm/init /secrets/create /services/create /containers/prune /containers/OWN/update "
        "/containers/OWN/rename?name=x /containers/OWN/kill /containers/OWN/stop /containers/OWN/restart /containers/OWN/pause "
        "/containers/OWN/copy /containers/OWN/resize?h=1&w=1 /exec/PROCESS/resize?h=1&w=1"
    ),
}
OTHER_ROUTES = tuple(
    (method, "/v1.41" + path.replace("OWN", OWN).replace("IMAGE", IMAGE).replace("PROCESS", PROCESS))
    for method, paths in OTHER_PATHS.items()
    for path in paths.split()
)


@pytest.mark.parametrize(("method", "target"), OTHER_ROUTES)
def test_everything_else_is_refused(method: str, target: str) -> None:
    decision = decide(method, target)
    assert isinstance(decision, Refused)
    assert decision.rule == Rule.ROUTE


TRICKS = (
    f"/containers/{OWN}/json",  # which version the engine takes is not said
    f"/v1.24/containers/{OWN}/json",
    f"/v1.39/containers/{OWN}/json",
    f"/v1.041/containers/{OWN}/json",
    f"/v2.41/containers/{OWN}/json",
    f"/v1.41/v1.41/containers/{OWN}/json",
    f"//v1.41/containers/{OWN}/json",
    f"/v1.41//containers/{OWN}/json",
    f"/v1.41/containers//{OWN}/json",
    f"/v1.41/containers/{OWN}//json",
    f"/v1.41/containers/{OWN}/json/",
    f"/v1.41/containers/{OWN}/json\n",
    f"/v1.41/containers/{OWN}/../{FOREIGN}/json",
    f"/v1.41/containers/{OWN}%2fjson",
    f"/v1.41/containers/%61{OWN[1:]}/json",
    f"/v1.41/%63ontainers/{OWN}/json",
    f"/v1.41/containers/{OWN}/json#x",
    f"/v1.41/containers/{OWN}/json;x",
    f"/v1.41/containers/{OWN.upper()}/json",
    f"http://docker/v1.41/containers/{OWN}/json",
    f"docker:80/v1.41/containers/{OWN}/json",
    "*",
    "",
    "/",
)


@pytest.mark.parametrize("target", TRICKS)
def test_a_path_that_is_written_otherwise_is_another_path(target: str) -> None:
    assert isinstance(decide("GET", f"/v1.41/containers/{OWN}/json"), Passed), "the positive control"
    decision = decide("GET", target)
    assert isinstance(decision, Refused)
    assert decision.rule == Rule.ROUTE


QUERIES = {
    "an unknown key": ("GET", f"/v1.41/containers/{OWN}/json?size=1"),
    "a key with a strange name": ("GET", "/v1.41/version?%ff=1"),
    "another value": ("POST", f"/v1.41/containers/{OWN}/wait?condition=removed"),
    "standard input": ("POST", f"/v1.41/containers/{OWN}/attach?stream=1&stdin=1"),
    "a key twice": ("POST", f"/v1.41/containers/{OWN}/wait?condition=next-exit&condition=next-exit"),
    "a field without =": ("POST", f"/v1.41/containers/{OWN}/start?checkpoint"),
    "too many fields": ("GET", "/v1.41/containers/json?" + "&".join(["all=1"] * 9)),
    "an empty field": ("GET", "/v1.41/version?&"),
    "a checkpoint": ("POST", f"/v1.41/containers/{OWN}/start?checkpoint=x"),
    "a platform": ("POST", "/v1.41/containers/create?name=berth-c&platform=linux/arm64"),
}


@pytest.mark.parametrize(("method", "target"), QUERIES.values(), ids=QUERIES.keys())
def test_a_query_holds_what_a_launch_needs(method: str, target: str) -> None:
    decision = decide(method, target)
    assert isinstance(decision, Refused)
    assert decision.rule == Rule.QUERY


def test_a_body_where_there_is_none_is_refused() -> None:
    decision = decide("POST", f"/v1.41/containers/{OWN}/start", {"Privileged": True})
    assert decision == Refused(Rule.BODY, "This request has no body.")


# -- policy 3: only what is this launch's

STRANGERS = {
    "another container": ("GET", f"/v1.41/containers/{FOREIGN}/json", Rule.CONTAINER),
    "the start of another": ("POST", f"/v1.41/containers/{FOREIGN}/start", Rule.CONTAINER),
    "the streams of another": ("POST", f"/v1.41/containers/{FOREIGN}/attach?stream=1", Rule.CONTAINER),
    "a process in another": ("POST", f"/v1.41/containers/{FOREIGN}/exec", Rule.CONTAINER),
    "an unknown process": ("GET", f"/v1.41/exec/{FOREIGN}/json", Rule.PROCESS),
    "an unknown process's streams": ("POST", f"/v1.41/exec/{FOREIGN}/start", Rule.PROCESS),
    "another image": ("GET", "/v1.41/images/registry.test:5000/team/dev:1/json", Rule.IMAGE),
    "another image by id": ("GET", f"/v1.41/images/{'1' * 64}/json", Rule.IMAGE),
    "a container by its name": ("GET", "/v1.41/containers/berth-c/json", Rule.ROUTE),
    "a container by too short an id": ("GET", f"/v1.41/containers/{OWN[:11]}/json", Rule.ROUTE),
}


@pytest.mark.parametrize(("method", "target", "rule"), STRANGERS.values(), ids=STRANGERS.keys())
def test_what_is_another_s_is_refused(method: str, target: str, rule: Rule) -> None:
    decision = decide(method, target)
    assert isinstance(decision, Refused)
    assert decision.rule == rule


def test_a_short_id_is_written_out() -> None:
    """Otherwise it could be the name of another's container."""
    assert passed("GET", f"/v1.41/containers/{OWN[:12]}/json").target == f"/v1.41/containers/{OWN}/json"


def test_a_short_id_of_two_is_none() -> None:
    twins = Known(frozenset({OWN, OWN[:63] + "0"}))
    request = EngineRequest("GET", f"/v1.41/containers/{OWN[:12]}/json")
    decision = decide_engine_request(request, scope(), twins)
    assert isinstance(decision, Refused)
    assert decision.rule == Rule.CONTAINER


@pytest.mark.parametrize("labels", [OWN_LABELS, dict.fromkeys(OWN_LABELS, True)], ids=["a list", "a map"])
def test_lists_are_of_this_codespace(labels: object) -> None:
    given = query(all="1", filters={"label": labels})
    path, _, written = passed("GET", f"/v1.41/containers/json?{given}").target.partition("?")
    fields = parse_qs(written)
    assert (path, fields["all"], set(fields)) == ("/v1.41/containers/json", ["1"], {"all", "filters"})
    assert json.loads(fields["filters"][0]) == OWN_CONTAINERS


def test_a_list_without_filters_gets_them() -> None:
    fields = parse_qs(passed("GET", "/v1.41/containers/json").target.partition("?")[2])
    assert json.loads(fields["filters"][0]) == OWN_CONTAINERS


def test_only_starts_of_this_codespace_are_told() -> None:
    target = f"/v1.41/events?{query(filters={'event': {'start': True}})}"
    path, _, written = passed("GET", target).target.partition("?")
    assert (path, set(parse_qs(written))) == ("/v1.41/events", {"filters"})
    assert json.loads(parse_qs(written)["filters"][0]) == {
        "type": ["container"],
        "event": ["start"],
        "label": OWN_LABELS,
    }


FILTERS: dict[str, tuple[str, object]] = {
    "other labels": ("/containers/json", {"label": ["dev.berth.codespace=other"]}),
    "fewer labels": ("/containers/json", {"label": OWN_LABELS[:1]}),
    "labels that are not set": ("/containers/json", {"label": dict.fromkeys(OWN_LABELS, False)}),
    "another filter": ("/containers/json", {"name": ["x"]}),
    "one more filter": ("/containers/json", {"label": OWN_LABELS, "status": ["running"]}),
    "a number": ("/containers/json", {"label": 1}),
    "numbers": ("/containers/json", {"label": [1]}),
    "all events": ("/events", {}),
    "another event": ("/events", {"event": {"exec_start": True}}),
    "events of labels": ("/events", {"event": {"start": True}, "label": ["x"]}),
}


@pytest.mark.parametrize(("path", "filters"), FILTERS.values(), ids=FILTERS.keys())
def test_other_filters_are_refused(path: str, filters: object) -> None:
    decision = decide("GET", f"/v1.41{path}?{query(filters=filters)}")
    assert isinstance(decision, Refused)
    assert decision.rule == Rule.QUERY


@pytest.mark.parametrize("text", ["", "[]", "x", '{"label": [], "LABEL": [], "label": []}', "\ud800"])
def test_filters_that_are_no_json_are_refused(text: str) -> None:
    assert isinstance(decide("GET", f"/v1.41/containers/json?filters={text}"), Refused)


# -- policies 4 and 5: a container

CREATE = "/v1.41/containers/create?name=berth-c"
MOUNT = {"Type": "bind", "Source": "/data/codespaces/c/r", "Target": "/workspaces/r"}
OURS: dict[str, object] = {
    "Mounts": [MOUNT],
    "Tmpfs": {"/run/codespaces": "mode=0755"},
    "NetworkMode": "default",
}


def body(**host: object) -> dict[str, Any]:
    """As a client sends it, with all that it says to ask for nothing."""
    return {
        "Hostname": "", "User": "dev", "AttachStdin": False, "AttachStdout": True, "AttachStderr": True, "Tty": False,
        "Env": ["A=x"], "Cmd": ["-c", "sleep"], "Entrypoint": ["/bin/sh"], "Image": IMAGE, "Volumes": {}, "OnBuild": None,
        "Labels": {**LABELS, "devcontainer.metadata": "[]"},
        "HostConfig": {
            "Binds": None, "LogConfig": {"Type": "", "Config": {}}, "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
            "CapAdd": None, "Privileged": False, "SecurityOpt": None, "ConsoleSize": [0, 0], "MemorySwappiness": -1, "Devices": [],
            "PidMode": "", "MaskedPaths": None, "Init": True, "NewerThanThisFilter": None, **OURS, **host,
        },
        "NetworkingConfig": {"EndpointsConfig": {"default": {"IPAMConfig": None, "MacAddress": "", "GwPriority": 0}}},
    }  # fmt: skip


def created(given: Any, machine: Machine = UNLIMITED) -> Any:
    decision = passed("POST", CREATE, given, machine)
    assert (decision.target, decision.answer) == (CREATE, Answer.RELAY)
    assert decision.body is not None
    return json.loads(decision.body)


def test_a_container_is_written_anew() -> None:
    assert created(body()) == {
        "User": "dev",
        "AttachStdout": True,
        "AttachStderr": True,
        "Env": ["A=x"],
        "Cmd": ["-c", "sleep"],
        "Entrypoint": ["/bin/sh"],
        "Image": IMAGE,
        "Labels": {**LABELS, "devcontainer.metadata": "[]", OPTIONS_LABEL: ""},
        "HostConfig": {"Init": True, **OURS},
    }


def test_what_berth_decides_is_there_even_if_it_was_left_out() -> None:
    assert created({"Image": IMAGE}, SMALL) == {
        "Image": IMAGE,
        "Labels": {**LABELS, OPTIONS_LABEL: ""},
        "HostConfig": {**OURS, "NanoCpus": 2 * 10**9, "Memory": 2**30, "MemorySwap": 2**30},
    }


def test_the_machine_s_limits_may_be_repeated() -> None:
    limits = {"NanoCpus": 2 * 10**9, "Memory": 2**30, "MemorySwap": 2**30}
    assert created(body(**limits), SMALL)["HostConfig"] == {"Init": True, **OURS, **limits}


HOST: dict[str, dict[str, object]] = {
    "privileged": {"Privileged": True},
    "privileged, as a number": {"Privileged": 1},
    "privileged, as a text": {"Privileged": "true"},
    "a key in other letters": {"RUNTIME": "x"},
    "a capability": {"CapAdd": ["SYS_ADMIN"]},
    "a capability less": {"CapDrop": ["CHOWN"]},
    "a device": {"Devices": [{"PathOnHost": "/dev/sda", "PathInContainer": "/dev/sda", "CgroupPermissions": "rwm"}]},
    "an empty device": {"Devices": [{}]},
    "a device rule": {"DeviceCgroupRules": ["a *:* rwm"]},
    "a graphics card": {"DeviceRequests": [{"Count": -1, "Capabilities": [["gpu"]]}]},
    "a bind": {"Binds": ["/etc:/hostetc"]},
    "the engine's socket": {"Binds": ["/var/run/docker.sock:/var/run/docker.sock"]},
    "another mount": {"Mounts": [{"Type": "bind", "Source": "/etc", "Target": "/hostetc"}]},
    "one more mount": {"Mounts": [MOUNT, {"Type": "volume", "Source": "other", "Target": "/v"}]},
    "the mount twice": {"Mounts": [MOUNT, MOUNT]},
    "a folder above the checkout": {"Mounts": [{**MOUNT, "Source": f"{MOUNT['Source']}/.."}]},
    "a folder in the checkout": {"Mounts": [{**MOUNT, "Source": f"{MOUNT['Source']}/link"}]},
    "the checkout elsewhere": {"Mounts": [{**MOUNT, "Target": "/etc"}]},
    "another propagation": {"Mounts": [{**MOUNT, "BindOptions": {"Propagation": "shared"}}]},
    "a volume of another": {"VolumesFrom": [FOREIGN]},
    "a volume driver": {"VolumeDriver": "local"},
    "the host's network": {"NetworkMode": "host"},
    "another container's network": {"NetworkMode": f"container:{FOREIGN}"},
    "the host's processes": {"PidMode": "host"},
    "the host's shared memory": {"IpcMode": "host"},
    "the host's name": {"UTSMode": "host"},
    "the host's users": {"UsernsMode": "host"},
    "the host's control groups": {"CgroupnsMode": "host"},
    "a control group": {"CgroupParent": "/"},
    "a security option": {"SecurityOpt": ["seccomp=unconfined"]},
    "no masked paths": {"MaskedPaths": ["/nothing"]},
    "no read-only paths": {"ReadonlyPaths": ["/nothing"]},
    "another runtime": {"Runtime": "runc-evil"},
    "a port": {"PortBindings": {"80/tcp": [{"HostPort": "80"}]}},
    "any port": {"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": ""}]}},
    "all ports": {"PublishAllPorts": True},
    "a kernel setting": {"Sysctls": {"kernel.shm_rmid_forced": "1"}},
    "another tmpfs": {"Tmpfs": {"/run/codespaces": "size=100g"}},
    "one more tmpfs": {"Tmpfs": {"/run/codespaces": "mode=0755", "/x": ""}},
    "memory": {"Memory": 2**40},
    "unlimited swap": {"MemorySwap": -1},
    "processors": {"NanoCpus": 64 * 10**9},
    "processors by another name": {"CpuQuota": -1},
    "no killing": {"OomKillDisable": True},
    "first to live": {"OomScoreAdj": -1000},
    "restarts": {"RestartPolicy": {"Name": "always", "MaximumRetryCount": 0}},
    "a log driver": {"LogConfig": {"Type": "syslog", "Config": {}}},
    "log options": {"LogConfig": {"Type": "", "Config": {"syslog-address": "tcp://x"}}},
    "its own removal": {"AutoRemove": True},
    "a host name": {"ExtraHosts": ["registry:10.0.0.1"]},
    "a name server": {"Dns": ["10.0.0.1"]},
    "a link": {"Links": ["other"]},
    "a group": {"GroupAdd": ["docker"]},
    "unlimited files": {"Ulimits": [{"Name": "nofile", "Soft": -1, "Hard": -1}]},
    "an id file": {"ContainerIDFile": "/etc/x"},
    "init, as a text": {"Init": "docker-init"},
    "a key that is not known": {"NewerThanThisFilter": True},
    "a key that is not even a word": {"\nX": 1},
}  # fmt: skip


@pytest.mark.parametrize("machine", [UNLIMITED, SMALL], ids=["unlimited", "small"])
@pytest.mark.parametrize("host", HOST.values(), ids=HOST.keys())
def test_l4_nothing_reaches_out_of_the_container(host: dict[str, object], machine: Machine) -> None:
    assert isinstance(decide("POST", CREATE, body(), machine), Passed), "the positive control"
    decision = decide("POST", CREATE, body(**host), machine)
    assert isinstance(decision, Refused)
    assert decision.rule == Rule.CREATE
    assert "HostConfig." in decision.sentence
    assert "\n" not in decision.sentence


CONTAINER: dict[str, tuple[dict[str, object], Rule]] = {
    "another image": ({"Image": "registry.test:5000/team/dev:1"}, Rule.IMAGE),
    "an image's id": ({"Image": "sha256:" + "1" * 64}, Rule.IMAGE),
    "no image": ({"Image": None}, Rule.IMAGE),
    "a volume": ({"Volumes": {"/v": {}}}, Rule.CREATE),
    "a port": ({"ExposedPorts": {"80/tcp": {}}}, Rule.CREATE),
    "a network": ({"NetworkingConfig": {"EndpointsConfig": {"default": {"NetworkID": "x"}}}}, Rule.CREATE),
    "aliases": ({"NetworkingConfig": {"EndpointsConfig": {"default": {"Aliases": ["x"]}}}}, Rule.CREATE),
    "a health check": ({"Healthcheck": {"Test": ["CMD", "x"]}}, Rule.CREATE),
    "a host name": ({"Hostname": "x"}, Rule.CREATE),
    "standard input": ({"OpenStdin": True}, Rule.CREATE),
    "no environment": ({"Env": "A=x"}, Rule.CREATE),
    "numbers": ({"Cmd": [1]}, Rule.CREATE),
    "a NUL": ({"User": "dev\0"}, Rule.CREATE),
    "a true text": ({"AttachStdout": "yes"}, Rule.CREATE),
    "another codespace's label": ({"Labels": {"dev.berth.codespace": "other"}}, Rule.CREATE),
    "one more label": ({"Labels": {**LABELS, "x": "y"}}, Rule.CREATE),
    "metadata that is no text": ({"Labels": {"devcontainer.metadata": []}}, Rule.CREATE),
    "labels that are no object": ({"Labels": [1]}, Rule.CREATE),
    "a host configuration that is no object": ({"HostConfig": "x"}, Rule.CREATE),
    "a second host configuration": ({"hostConfig": {"Privileged": True}}, Rule.BODY),
    "a host configuration in other letters": ({"hostconfig": {"Privileged": True}}, Rule.BODY),
}


@pytest.mark.parametrize(("values", "rule"), CONTAINER.values(), ids=CONTAINER.keys())
def test_a_container_is_the_launch_s(values: dict[str, object], rule: Rule) -> None:
    decision = decide("POST", CREATE, {**body(), **values})
    assert isinstance(decision, Refused)
    assert decision.rule == rule


def test_a_host_configuration_in_other_letters_alone_is_no_key_of_ours() -> None:
    decision = decide("POST", CREATE, {"Image": IMAGE, "hostconfig": {"Privileged": True}})
    assert decision == Refused(Rule.CREATE, "hostconfig asks for what a codespace does not get.")


BODIES = {
    "nothing": b"",
    "no object": b"[]",
    "an image twice": b'{"Image": "%b", "Image": "x"}' % IMAGE.encode(),
    "a key twice, in other letters": b'{"Image": "%b", "HostConfig": {"Privileged": false, "PRIVILEGED": true}}'
    % IMAGE.encode(),
    "a key twice, in letters that Go folds": b'{"Image": "x", "PidMode": "", "\\u017fecurityOpt": 1, "SecurityOpt": 2}',
    "two objects": b'{"Image": "%b"}{"Image": "x"}' % IMAGE.encode(),
    "UTF-16": '{"Image": "x"}'.encode("utf-16"),
    "depth": b'{"Image":' + b"[" * 100 + b"]" * 100 + b"}",
}


@pytest.mark.parametrize("data", BODIES.values(), ids=BODIES.keys())
def test_a_body_that_others_could_read_otherwise_is_refused(data: bytes) -> None:
    decision = decide("POST", CREATE, data)
    assert isinstance(decision, Refused)
    assert decision.rule == Rule.BODY


@pytest.mark.parametrize("name", ["", "?name=", "?name=berth-other", "?name=/berth-c"])
def test_the_name_is_the_one_that_berth_gives(name: str) -> None:
    decision = decide("POST", f"/v1.41/containers/create{name}", body())
    assert decision == Refused(Rule.CREATE, "The container must have the name that Berth gives it.")


# -- policies 4 and 5: a process

EXECUTE = f"/v1.41/containers/{OWN}/exec"
EXEC_BODY = {
    "User": "root", "Privileged": False, "Tty": False, "ConsoleSize": None,
    "AttachStdin": True, "AttachStderr": True, "AttachStdout": True, "Detach": False, "DetachKeys": "",
    "Env": ["A=x"], "WorkingDir": "/w", "Cmd": ["/bin/sh"],
}  # fmt: skip


def test_a_process_is_written_anew_and_never_privileged() -> None:
    decision = passed("POST", EXECUTE, EXEC_BODY)
    assert (decision.target, decision.answer) == (EXECUTE, Answer.NEW_PROCESS)
    assert json.loads(decision.body or b"") == {
        "User": "root",
        "WorkingDir": "/w",
        "Env": ["A=x"],
        "Cmd": ["/bin/sh"],
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "Privileged": False,
        "Tty": False,
    }


PROCESSES: dict[str, dict[str, object]] = {
    "privileged": {"Privileged": True},
    "in other letters": {"PRIVILEGED": True},
    "with a terminal": {"Tty": True},
    "detached": {"Detach": True},
    "with keys": {"DetachKeys": "ctrl-x"},
    "with a number for a command": {"Cmd": [1]},
    "with an unknown key": {"Container": FOREIGN},
}


@pytest.mark.parametrize("values", PROCESSES.values(), ids=PROCESSES.keys())
def test_another_kind_of_process_is_refused(values: dict[str, object]) -> None:
    given = {**{key: value for key, value in EXEC_BODY.items() if key.upper() not in values}, **values}
    decision = decide("POST", EXECUTE, given)
    assert isinstance(decision, Refused)
    assert decision.rule == Rule.EXECUTE


def test_a_process_starts_attached_and_without_a_terminal() -> None:
    target = f"/v1.41/exec/{PROCESS}/start"
    decision = passed("POST", target, {"Detach": False, "Tty": False})
    assert (decision.target, decision.answer) == (target, Answer.UPGRADE)
    assert json.loads(decision.body or b"") == {"Detach": False, "Tty": False}
    for values in ({"Detach": True}, {"Tty": True}, {"ConsoleSize": [24, 80]}):
        refused = decide("POST", target, values)
        assert isinstance(refused, Refused)
        assert refused.rule == Rule.EXECUTE


# -- whatever comes

NAMES = st.sampled_from(
    [*body(), *body()["HostConfig"], "Privileged", "Binds", "CapAdd", "Runtime", "Healthcheck", "binds", "PRIVILEGED"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "host", "default", IMAGE, "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)


@given(given_values=st.dictionaries(NAMES, VALUES, max_size=4), host=st.dictionaries(NAMES, VALUES, max_size=4))
def test_whatever_is_asked_a_container_holds_nothing_but_what_is_allowed(
    given_values: dict[str, object], host: dict[str, object]
) -> None:
    decision = decide("POST", CREATE, {"Image": IMAGE, "HostConfig": host, **given_values}, SMALL)
    if isinstance(decision, Passed):
        made = json.loads(decision.body or b"")
        decided = {key: value for key, value in made["HostConfig"].items() if key != "Init"}
        assert decided == {**OURS, **SMALL.engine_limits}
        assert made["Image"] == IMAGE
        assert made["Labels"].items() >= LABELS.items()
        allowed = {"User", "Env", "Cmd", "Entrypoint", "AttachStdout", "AttachStderr", "Image", "Labels", "HostConfig"}
        assert set(made) <= allowed


@given(method=st.sampled_from(["GET", "POST", "HEAD"]), target=st.text(), data=st.binary(max_size=200))
def test_whatever_comes_there_is_a_decision(method: str, target: str, data: bytes) -> None:
    decide(method, target, data)
    decide("GET", f"/v1.41/containers/json?filters={target}")
    decide("POST", EXECUTE, data)
    decide("POST", CREATE, data)
