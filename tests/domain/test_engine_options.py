"""A container with something of its host: the filter gives what was decided, asked for or not, and nothing beyond (L4)."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.domain.test_engine_request import CREATE, HOST, IMAGE, KNOWN, LABELS, MOUNT, OURS, VALUES, body, scope

from berth.domain.engine_request import EngineRequest, Passed, Refused, Rule, decide_engine_request
from berth.domain.host_option import NO_OPTIONS, OPTIONS_LABEL, HostDevice, HostMount, HostOptions

DECIDED = HostOptions(
    privileged=True,
    capabilities=("BPF", "SYS_PTRACE"),
    security=("seccomp=unconfined",),
    devices=(HostDevice(path="/dev/kvm", inside="/dev/x", permissions="rw"),),
    mounts=(
        HostMount(source="/srv/cache", target="/cache"),
        HostMount(source="/srv/docs", target="/docs", read_only=True),
    ),
    namespaces=("ipc", "network", "pid", "user", "uts"),
)
DEVICE = {"PathOnHost": "/dev/kvm", "PathInContainer": "/dev/x", "CgroupPermissions": "rw"}
CACHE = {"Type": "bind", "Source": "/srv/cache", "Target": "/cache"}
DOCS = {"Type": "bind", "Source": "/srv/docs", "Target": "/docs", "ReadOnly": True}
GIVEN: dict[str, object] = {
    **OURS,
    "Privileged": True,
    "CapAdd": ["BPF", "SYS_PTRACE"],
    "SecurityOpt": ["seccomp=unconfined"],
    "Devices": [DEVICE],
    "Mounts": [MOUNT, CACHE, DOCS],
    "NetworkMode": "host",
    "PidMode": "host",
    "IpcMode": "host",
    "UTSMode": "host",
    "UsernsMode": "host",
}


def decide(given: object, options: HostOptions) -> Passed | Refused:
    request = EngineRequest("POST", CREATE, json.dumps(given).encode())
    return decide_engine_request(request, replace(scope(), options=options), KNOWN)


def made(given: object, options: HostOptions = DECIDED) -> Any:
    decision = decide(given, options)
    assert isinstance(decision, Passed), decision
    return json.loads(decision.body or b"")


def test_what_was_decided_is_there_whether_it_is_asked_for_or_not() -> None:
    for asked in (body(), {"Image": IMAGE}, body(**GIVEN)):
        container = made(asked)
        assert {key: value for key, value in container["HostConfig"].items() if key != "Init"} == GIVEN
        assert container["Labels"][OPTIONS_LABEL] == DECIDED.label
    assert made(body(), NO_OPTIONS)["HostConfig"] == {"Init": True, **OURS}


SAME: dict[str, dict[str, object]] = {
    "another order": {"CapAdd": ["SYS_PTRACE", "BPF"], "Mounts": [DOCS, MOUNT, CACHE]},
    "a part": {"CapAdd": ["BPF"], "Mounts": [CACHE]},
    "a capability, otherwise": {"CapAdd": ["cap_sys_ptrace", "Bpf"]},
    "a security option, otherwise": {"SecurityOpt": ["seccomp:unconfined"]},
    "a mount, otherwise": {
        "Mounts": [{**CACHE, "Source": "/srv/x/../cache/", "ReadOnly": False, "Consistency": "cached"}]
    },
    "the engine's network": {"NetworkMode": "default"},
}


@pytest.mark.parametrize("host", SAME.values(), ids=SAME.keys())
def test_it_may_be_asked_for_in_other_words(host: dict[str, object]) -> None:
    assert made(body(**host))["HostConfig"] == {"Init": True, **GIVEN}


MORE: dict[str, dict[str, object]] = {
    "another capability": {"CapAdd": ["SYS_PTRACE", "SYS_ADMIN"]},
    "all capabilities": {"CapAdd": ["ALL"]},
    "a capability twice": {"CapAdd": ["BPF", "CAP_BPF"]},
    "an unknown capability": {"CapAdd": ["BPF "]},
    "no list of capabilities": {"CapAdd": "BPF"},
    "a capability that is no text": {"CapAdd": [1]},
    "another security option": {"SecurityOpt": ["apparmor=unconfined"]},
    "a profile": {"SecurityOpt": ["seccomp={}"]},
    "another device": {"Devices": [{**DEVICE, "PathOnHost": "/dev/sda"}]},
    "the device elsewhere": {"Devices": [{**DEVICE, "PathInContainer": "/dev/y"}]},
    "more of the device": {"Devices": [{**DEVICE, "CgroupPermissions": "rwm"}]},
    "the device twice": {"Devices": [DEVICE, DEVICE]},
    "a folder in the mount": {"Mounts": [{**CACHE, "Source": "/srv/cache/a"}]},
    "a folder around the mount": {"Mounts": [{**CACHE, "Source": "/srv/cache/.."}]},
    "the mount elsewhere": {"Mounts": [{**CACHE, "Target": "/etc"}]},
    "the mount twice": {"Mounts": [CACHE, {**CACHE, "Source": "/srv/cache/"}]},
    "to write what is to read": {"Mounts": [{**DOCS, "ReadOnly": False}]},
    "to read what is to write": {"Mounts": [{**CACHE, "ReadOnly": True}]},
    "read-only as a number": {"Mounts": [{**DOCS, "ReadOnly": 1}]},
    "a propagation": {"Mounts": [{**CACHE, "BindOptions": {"Propagation": "shared"}}]},
    "a volume of the name": {"Mounts": [{**CACHE, "Type": "volume"}]},
    "a mount that is no object": {"Mounts": ["/srv/cache"]},
    "a bind": {"Binds": ["/srv/cache:/cache"]},
    "privileged as a text": {"Privileged": "true"},
    "privileged as a number": {"Privileged": 1},
    "another network": {"NetworkMode": "container:x"},
    "another container's processes": {"PidMode": "container:x"},
    "shared memory to share": {"IpcMode": "shareable"},
    "the host's control groups": {"CgroupnsMode": "host"},
    "a device rule": {"DeviceCgroupRules": ["a *:* rwm"]},
    "a graphics card": {"DeviceRequests": [{"Count": -1, "Capabilities": [["gpu"]]}]},
    "no masked paths": {"MaskedPaths": ["/nothing"]},
}


@pytest.mark.parametrize("host", MORE.values(), ids=MORE.keys())
def test_l4_more_than_was_decided_is_refused(host: dict[str, object]) -> None:
    assert isinstance(decide(body(**GIVEN), DECIDED), Passed), "the positive control"
    decision = decide(body(**host), DECIDED)
    assert isinstance(decision, Refused)
    assert decision.rule == Rule.CREATE
    assert "HostConfig." in decision.sentence


PARTS = {
    "Privileged": HostOptions(privileged=True),
    "CapAdd": HostOptions(capabilities=DECIDED.capabilities),
    "SecurityOpt": HostOptions(security=DECIDED.security),
    "Devices": HostOptions(devices=DECIDED.devices),
    "Mounts": HostOptions(mounts=DECIDED.mounts),
    "NetworkMode": HostOptions(namespaces=("network",)),
    "PidMode": HostOptions(namespaces=("pid",)),
    "IpcMode": HostOptions(namespaces=("ipc",)),
    "UTSMode": HostOptions(namespaces=("uts",)),
    "UsernsMode": HostOptions(namespaces=("user",)),
}


@pytest.mark.parametrize("asked", PARTS)
@pytest.mark.parametrize("decided", PARTS)
def test_l4_nothing_implies_another(asked: str, decided: str) -> None:
    """A container that was to get one thing gets that one, and cannot get another by asking."""
    decision = decide(body(**{asked: GIVEN[asked]}), PARTS[decided])
    assert isinstance(decision, Passed) is (asked == decided)
    assert made(body(), PARTS[decided])["HostConfig"] == {"Init": True, **OURS, decided: GIVEN[decided]}


@pytest.mark.parametrize("host", HOST.values(), ids=HOST.keys())
def test_what_is_refused_without_options_is_refused_with_others(host: dict[str, object]) -> None:
    decision = decide(body(**host), HostOptions(capabilities=("BPF",), mounts=(DECIDED.mounts[0],)))
    assert isinstance(decision, Refused)


@pytest.mark.parametrize("value", ["privileged", "capability:BPF"])
def test_a_client_does_not_say_what_was_given(value: str) -> None:
    """The label is what a start asks for: neither the client nor the image writes it."""
    decision = decide({**body(), "Labels": {**LABELS, OPTIONS_LABEL: value}}, NO_OPTIONS)
    assert isinstance(decision, Refused)
    assert made(body(), NO_OPTIONS)["Labels"][OPTIONS_LABEL] == ""
    assert (
        made({**body(), "Labels": {**LABELS, OPTIONS_LABEL: DECIDED.label}})["Labels"][OPTIONS_LABEL] == DECIDED.label
    )


@given(host=st.dictionaries(st.sampled_from([*GIVEN, "Binds", "CapDrop", "privileged"]), VALUES, max_size=4))
def test_whatever_is_asked_the_container_gets_what_was_decided(host: dict[str, object]) -> None:
    decision = decide({"Image": IMAGE, "HostConfig": host}, DECIDED)
    if isinstance(decision, Passed):
        assert json.loads(decision.body or b"")["HostConfig"] == GIVEN
