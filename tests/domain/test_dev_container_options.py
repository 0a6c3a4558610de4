"""What may be asked of the host, from each source and in each form; each refusal beside what is let through (L4)."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from berth.domain.allowance import NO_ALLOWANCES, Allowances, OptionPolicy
from berth.domain.dev_container import parse_dev_container, review_configuration, review_image_metadata
from berth.domain.dev_container_options import Asked, NotUnderstood, review_options
from berth.domain.host_option import (
    NO_OPTIONS,
    HostDevice,
    HostMount,
    HostOptions,
    Kind,
    parse_host_option,
)
from berth.domain.problem import Invalid


def allowing(*tokens: str) -> Allowances:
    return Allowances(site=frozenset(map(parse_host_option, tokens)), organization="acme")


def of_file(allowances: Allowances, **values: Any) -> HostOptions:
    data = json.dumps({"image": "host/dev:1", **values}).encode()
    return review_configuration(parse_dev_container(data), allowances).options


def of_label(allowances: Allowances, **values: Any) -> HostOptions:
    """As the second of two entries."""
    label = json.dumps([{"remoteUser": "dev"}, values])
    return review_image_metadata({"devcontainer.metadata": label}, allowances).options


SOURCES: dict[str, tuple[Callable[..., HostOptions], str]] = {
    "file": (of_file, "in devcontainer.json"),
    "label": (of_label, "in The image's label devcontainer.metadata"),
}
BIND = {"type": "bind", "source": "/srv/cache", "target": "/cache"}
CACHE = HostOptions(mounts=(HostMount(source="/srv/cache", target="/cache"),))
PTRACE = HostOptions(capabilities=("SYS_PTRACE",))
UNCONFINED = HostOptions(security=("seccomp=unconfined",))
KVM = HostOptions(devices=(HostDevice(path="/dev/kvm", inside="/dev/kvm"),))

# key and value → the token that allows it, one like it that does not, what the container gets
IN_BOTH: dict[str, tuple[dict[str, Any], str, str, HostOptions]] = {
    "privileged": ({"privileged": True}, "privileged", "capability:ALL", HostOptions(privileged=True)),
    "a capability": ({"capAdd": ["SYS_PTRACE"]}, "capability:SYS_PTRACE", "capability:SYS_ADMIN", PTRACE),
    "a capability, otherwise": ({"capAdd": ["cap_sys_ptrace"]}, "capability:SYS_PTRACE", "privileged", PTRACE),
    "a capability twice": (
        {"capAdd": ["SYS_PTRACE", "CAP_SYS_PTRACE"]},
        "capability:SYS_PTRACE",
        "capability:ALL",
        PTRACE,
    ),
    "all capabilities": (
        {"capAdd": ["all"]},
        "capability:ALL",
        "capability:SYS_ADMIN",
        HostOptions(capabilities=("ALL",)),
    ),
    "a security option": (
        {"securityOpt": ["seccomp=unconfined"]},
        "security:seccomp=unconfined",
        "security:apparmor=unconfined",
        UNCONFINED,
    ),
    "a security option, otherwise": (
        {"securityOpt": ["seccomp:unconfined"]},
        "security:seccomp=unconfined",
        "security:label=disable",
        UNCONFINED,
    ),
    "a mount as a text": (
        {"mounts": ["type=bind,source=/srv/cache,target=/cache"]},
        "mount:/srv/cache",
        "mount:/srv/cache/a",
        CACHE,
    ),
    "a mount, otherwise": (
        {"mounts": ["dst=/cache/,src=/srv/./x/..//cache/,type=bind,consistency=cached"]},
        "mount:/srv/cache",
        "mount:/srv/x",
        CACHE,
    ),
    "a mount as an object": ({"mounts": [BIND]}, "mount:/srv/cache", "mount:/srv", CACHE),
    "a mount to read": (
        {"mounts": ["type=bind,source=/srv/cache,target=/cache,readonly"]},
        "mount:/srv/cache",
        "mount:/srv/cache2",
        HostOptions(mounts=(HostMount(source="/srv/cache", target="/cache", read_only=True),)),
    ),
    "the engine's socket": (
        {"mounts": ["type=bind,source=/var/run/docker.sock,target=/var/run/docker.sock"]},
        "mount:/var/run/docker.sock",
        "mount:/run/docker.sock",
        HostOptions(mounts=(HostMount(source="/var/run/docker.sock", target="/var/run/docker.sock"),)),
    ),
}
IN_ARGUMENTS: dict[str, tuple[list[str], str, str, HostOptions]] = {
    "privileged": (["--privileged"], "privileged", "capability:ALL", HostOptions(privileged=True)),
    "privileged=true": (["--privileged=true"], "privileged", "capability:ALL", HostOptions(privileged=True)),
    "a capability": (["--cap-add=SYS_PTRACE"], "capability:SYS_PTRACE", "privileged", PTRACE),
    "a capability in two": (["--cap-add", "cap_sys_ptrace"], "capability:SYS_PTRACE", "privileged", PTRACE),
    "a security option": (
        ["--security-opt", "seccomp=unconfined", "--init"],
        "security:seccomp=unconfined",
        "privileged",
        UNCONFINED,
    ),
    "a device": (["--device=/dev/kvm"], "device:/dev/kvm", "device:/dev/kvm2", KVM),
    "a device elsewhere": (
        ["--device", "/dev/kvm:/dev/x:r"],
        "device:/dev/kvm",
        "device:/dev/x",
        HostOptions(devices=(HostDevice(path="/dev/kvm", inside="/dev/x", permissions="r"),)),
    ),
    "the network": (["--network=host"], "namespace:network", "namespace:pid", HostOptions(namespaces=("network",))),
    "the network, briefly": (
        ["--net", "host"],
        "namespace:network",
        "privileged",
        HostOptions(namespaces=("network",)),
    ),
    "the processes": (["--pid=host"], "namespace:pid", "namespace:ipc", HostOptions(namespaces=("pid",))),
    "shared memory": (["--ipc=host"], "namespace:ipc", "namespace:pid", HostOptions(namespaces=("ipc",))),
    "the name": (["--uts=host"], "namespace:uts", "namespace:network", HostOptions(namespaces=("uts",))),
    "the users": (["--userns=host"], "namespace:user", "namespace:pid", HostOptions(namespaces=("user",))),
}
CASES = [
    *(pytest.param(source, *row, id=f"{name} in the {source}") for name, row in IN_BOTH.items() for source in SOURCES),
    *(
        pytest.param("file", {"runArgs": row[0]}, *row[1:], id=f"{name} as an argument")
        for name, row in IN_ARGUMENTS.items()
    ),
]


@pytest.mark.parametrize(("source", "values", "token", "like_it", "gets"), CASES)
def test_l4_it_needs_exactly_its_own_allowance(
    source: str, values: dict[str, Any], token: str, like_it: str, gets: HostOptions
) -> None:
    review, shown = SOURCES[source]
    key = next(iter(values))
    assert review(allowing(token), **values) == gets, "the positive control"
    for allowances in (NO_ALLOWANCES, allowing(like_it)):
        with pytest.raises(Invalid) as refused:
            review(allowances, **values)
        assert refused.value.code == "devcontainer.not_allowed"
        assert f"'{key}' {shown} asks for {token}" in refused.value.message
        assert f"add {token} to DEV_CONTAINER_ALLOWED" in refused.value.remedy
    allowed = parse_host_option(token)
    narrowed = Allowances(
        site=frozenset({allowed}), policies=(OptionPolicy("tools", frozenset()),), organization="acme"
    )
    with pytest.raises(Invalid, match="the policy 'tools' of acme leaves it out") as refused:
        review(narrowed, **values)
    assert refused.value.code == "codespace.policy_option"
    kept = Allowances(
        site=frozenset({allowed}), policies=(OptionPolicy("tools", frozenset({allowed})),), organization="acme"
    )
    assert review(kept, **values) == gets


EVERYTHING = allowing(
    "privileged", "capability:ALL", "capability:SYS_PTRACE", "security:seccomp=unconfined", "security:label=disable",
    "device:/dev/kvm", "mount:/srv/cache", "mount:/etc", *(f"namespace:{one}" for one in ("network", "pid", "ipc", "uts", "user")),
)  # fmt: skip
NEVER: dict[str, dict[str, Any]] = {
    "privileged, an empty list": {"privileged": []},
    "privileged, an empty object": {"privileged": {}},
    "privileged, an empty text": {"privileged": ""},
    "privileged, a text": {"privileged": "true"},
    "privileged, 0": {"privileged": 0},
    "privileged, 1": {"privileged": 1},
    "one capability": {"capAdd": "SYS_PTRACE"},
    "an object of capabilities": {"capAdd": {}},
    "no capability": {"capAdd": ["SYS_PTRCE"]},
    "several in one": {"capAdd": ["SYS_PTRACE,ALL"]},
    "a number": {"capAdd": [1]},
    "a profile in a file": {"securityOpt": ["seccomp=/srv/profile.json"]},
    "a profile in the text": {"securityOpt": ["seccomp={}"]},
    "another security option": {"securityOpt": ["systempaths=unconfined"]},
    "no list of mounts": {"mounts": "type=bind,source=/srv/cache,target=/cache"},
    "a volume": {"mounts": ["type=volume,source=v,target=/cache"]},
    "a volume by leaving the type out": {"mounts": ["source=/srv/cache,target=/cache"]},
    "a tmpfs": {"mounts": ["type=tmpfs,target=/cache"]},
    "a type that holds more": {"mounts": [{**BIND, "type": "bind,source=/etc"}]},
    "a source that holds more": {"mounts": [{**BIND, "source": "/srv/cache,readonly"}]},
    "a target that holds more": {"mounts": [{**BIND, "target": "/cache,bind-propagation=shared"}]},
    "a source twice": {"mounts": ["type=bind,source=/srv/cache,src=/etc,target=/cache"]},
    "quotes": {"mounts": ['type=bind,"source=/srv/cache",target=/cache']},
    "a propagation": {"mounts": ["type=bind,source=/srv/cache,target=/cache,bind-propagation=rshared"]},
    "another key": {"mounts": [{**BIND, "external": True}]},
    "no text": {"mounts": [{**BIND, "source": 1}]},
    "neither text nor object": {"mounts": [1]},
    "no source": {"mounts": ["type=bind,target=/cache"]},
    "no target": {"mounts": ["type=bind,source=/srv/cache"]},
    "a relative source": {"mounts": ["type=bind,source=srv/cache,target=/cache"]},
    "a variable": {"mounts": ["type=bind,source=/srv/cache,target=/cache/${devcontainerId}"]},
    "a switch that is none": {"mounts": ["type=bind,source=/srv/cache,target=/cache,readonly=maybe"]},
    "everything": {"mounts": ["type=bind,source=/srv/cache,target=/"]},
    "the checkout": {"mounts": ["type=bind,source=/srv/cache,target=/workspaces/r"]},
    "above the checkout": {"mounts": ["type=bind,source=/srv/cache,target=/workspaces"]},
    "the secrets": {"mounts": ["type=bind,source=/srv/cache,target=/run/codespaces"]},
    "in the secrets": {"mounts": ["type=bind,source=/srv/cache,target=/run/codespaces/env"]},
    "above the secrets": {"mounts": ["type=bind,source=/srv/cache,target=/run/"]},
    "the secrets, otherwise": {"mounts": ["type=bind,source=/srv/cache,target=/x/../var/run/codespaces"]},
    "what holds the secrets, otherwise": {"mounts": ["type=bind,source=/srv/cache,target=/var/run"]},
    "two mounts at one place": {"mounts": [BIND, {**BIND, "source": "/etc"}]},
}
NEVER_ARGUMENTS: dict[str, Any] = {
    "no list": "--privileged",
    "a number": [1],
    "nothing": [""],
    "an unknown one": ["--cgroupns=host"],
    "a volume": ["--volume=/etc:/etc"],
    "a volume, briefly": ["-v", "/etc:/etc"],
    "a mount": ["--mount=type=bind,source=/srv/cache,target=/cache"],
    "a beginning": ["--priv"],
    "a privileged maybe": ["--privileged=maybe"],
    "init with a value": ["--init=false"],
    "another container's network": ["--network=container:other"],
    "no network's value": ["--network"],
    "no capability's value": ["--cap-add"],
    "several capabilities": ["--cap-add=SYS_PTRACE,ALL"],
    "a value that is an argument": ["--cap-add", "--privileged"],
    "a device that is none": ["--device=/etc/shadow"],
    "a device by its class": ["--device=vendor.com/gpu=all"],
    "the end of arguments": ["--", "--privileged"],
    "only a value": ["host"],
}
REFUSED = [
    *(
        pytest.param(source, values, id=f"{name} in the {source}")
        for name, values in NEVER.items()
        for source in SOURCES
    ),
    *(
        pytest.param("file", {"runArgs": arguments}, id=f"arguments: {name}")
        for name, arguments in NEVER_ARGUMENTS.items()
    ),
    pytest.param("label", {"runArgs": ["--privileged"]}, id="arguments in the label"),
]


@pytest.mark.parametrize(("source", "values"), REFUSED)
def test_l4_what_is_not_understood_is_refused_whatever_is_allowed(source: str, values: dict[str, Any]) -> None:
    review, shown = SOURCES[source]
    with pytest.raises(Invalid) as refused:
        review(EVERYTHING, **values)
    assert refused.value.code in {"devcontainer.not_allowed", "devcontainer.value"}
    assert shown in refused.value.message or "Two different mounts" in refused.value.message
    assert refused.value.remedy
    assert review(EVERYTHING, capAdd=["SYS_PTRACE"], privileged=True, mounts=[BIND]).privileged, "the positive control"


@pytest.mark.parametrize(
    "values",
    [
        {"privileged": False},
        {"privileged": None},
        {"capAdd": []},
        {"capAdd": None},
        {"securityOpt": []},
        {"mounts": []},
    ],
)
@pytest.mark.parametrize("source", SOURCES)
def test_what_asks_for_nothing_needs_no_allowance(source: str, values: dict[str, Any]) -> None:
    assert SOURCES[source][0](NO_ALLOWANCES, **values) == NO_OPTIONS


@pytest.mark.parametrize("arguments", [[], None, ["--init"], ["--privileged=false", "--privileged=0"]])
def test_arguments_that_ask_for_nothing_need_no_allowance(arguments: object) -> None:
    assert of_file(NO_ALLOWANCES, runArgs=arguments) == NO_OPTIONS


def test_all_refusals_come_at_once_and_with_one_nothing_is_granted() -> None:
    with pytest.raises(Invalid) as refused:
        of_file(
            allowing("capability:SYS_PTRACE"),
            capAdd=["SYS_PTRACE", "BPF"],
            runArgs=["--pid=host", "-v=/:/x"],
            nonsense=1,
        )
    said = refused.value.message
    assert all(one in said for one in ("capability:BPF", "namespace:pid", "'-v'", "'nonsense'"))
    assert "SYS_PTRACE" not in said
    assert "Use 'mounts'." in refused.value.remedy


def test_the_nearest_capability_is_named() -> None:
    with pytest.raises(Invalid, match="there is no capability 'SYS_PTRCE'") as refused:
        of_file(NO_ALLOWANCES, capAdd=["SYS_PTRCE"])
    assert "Did you mean SYS_PTRACE?" in refused.value.remedy


def test_entries_of_a_label_are_merged() -> None:
    label = json.dumps([{"capAdd": ["SYS_PTRACE"]}, {"capAdd": ["SYS_PTRACE"], "mounts": [BIND]}])
    found = review_image_metadata({"devcontainer.metadata": label}, EVERYTHING)
    assert found.options == HostOptions(capabilities=("SYS_PTRACE",), mounts=CACHE.mounts)


def test_another_source_has_its_own_words() -> None:
    """A Compose service, say."""
    asked = [
        Asked("cap_add", Kind.CAPABILITY, "SYS_PTRACE"),
        Asked("network_mode", Kind.NAMESPACE, "network"),
        Asked("devices", Kind.DEVICE, "/dev/kvm"),
    ]
    found, refusals = review_options(asked, "service db", EVERYTHING)
    assert not refusals
    assert found == HostOptions(capabilities=("SYS_PTRACE",), namespaces=("network",), devices=KVM.devices)
    bad: list[Asked | NotUnderstood] = [
        *asked,
        Asked("pid", Kind.NAMESPACE, "mount"),
        NotUnderstood("gpus", "no gpus are here"),
    ]
    found, refusals = review_options(bad, "service db", EVERYTHING)
    assert found == NO_OPTIONS
    assert [one.message for one in refusals] == [
        "'pid' in service db is refused: 'mount' is no namespace.",
        "'gpus' in service db is refused: no gpus are here.",
    ]
