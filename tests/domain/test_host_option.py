"""Tokens of what a container may have of its host: one form each, and nothing that stands for more than it says."""

import pytest

from berth.domain.host_option import (
    CAPABILITIES,
    MAX_TOKEN_LENGTH,
    NAMESPACES,
    NO_OPTIONS,
    HostDevice,
    HostMount,
    HostOption,
    HostOptions,
    Kind,
    find_device,
    find_path,
    merge_options,
    nearest_capability,
    parse_host_option,
    parse_host_options,
)
from berth.domain.problem import Invalid

TOKENS = {
    "privileged": "privileged",
    "capability:SYS_PTRACE": "capability:SYS_PTRACE",
    "capability:sys_ptrace": "capability:SYS_PTRACE",
    "capability:CAP_SYS_PTRACE": "capability:SYS_PTRACE",
    "capability:cap_Sys_Ptrace": "capability:SYS_PTRACE",
    "capability:ALL": "capability:ALL",
    "capability:all": "capability:ALL",
    "security:seccomp=unconfined": "security:seccomp=unconfined",
    "security:seccomp:unconfined": "security:seccomp=unconfined",
    "security:apparmor=docker-custom": "security:apparmor=docker-custom",
    "security:label=disable": "security:label=disable",
    "security:label:disable": "security:label=disable",
    "security:label=type:svirt_lxc_net_t": "security:label=type:svirt_lxc_net_t",
    "security:no-new-privileges": "security:no-new-privileges=true",
    "security:no-new-privileges:false": "security:no-new-privileges=false",
    "device:/dev/kvm": "device:/dev/kvm",
    "device:/dev//dri/./card0/": "device:/dev/dri/card0",
    "mount:/srv/cache": "mount:/srv/cache",
    "mount:/srv//cache/": "mount:/srv/cache",
    "mount://srv/cache": "mount:/srv/cache",
    "mount:/var/run/docker.sock": "mount:/var/run/docker.sock",
    "namespace:network": "namespace:network",
    "namespace:user": "namespace:user",
}


@pytest.mark.parametrize(("text", "form"), TOKENS.items())
def test_a_token_has_one_form(text: str, form: str) -> None:
    found = parse_host_option(text)
    assert str(found) == form
    assert parse_host_option(form) == found


@pytest.mark.parametrize(
    "text",
    [
        "", ":", "*", "all", "ALL", "Privileged", "privileged:x", "capability", "capability:",
        "capability:CAP_", "capability:CAP_CAP_SYS_PTRACE", "capability:SYS_PTRACE ", "capability:SYS_*",
        "capability:\u017fys_ptrace",
        "security:", "security:seccomp", "security:seccomp=", "security:seccomp=/etc/x.json", "security:seccomp={}",
        "security:seccomp=Unconfined", "security:systempaths=unconfined", "security:label=user=x", "security:label=level:s0:c1,c2",
        "security:apparmor=",
        "security:no-new-privileges=yes", "device:", "device:/dev", "device:/dev/", "device:kvm", "device:/dev/../etc/x",
        "device:/sys/x", "device:vendor.com/gpu=0", "mount:", "mount:/", "mount://", "mount:srv", "mount:/srv/..",
        "mount:/srv/../etc",
        "mount:/a,b", 'mount:/a"b', "mount:/a$b", "mount:/a\\b", "mount:/a\nb", "mount:/\u202ea", "mount:~/x", "namespace:",
        "namespace:host", "namespace:Network", "namespace:mount", "volume:x", "mount:/" + "a" * MAX_TOKEN_LENGTH,
    ],
)  # fmt: skip
def test_what_is_no_token(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_host_option(text)
    assert refused.value.code == "codespace.policy_options"
    assert refused.value.message.isascii()
    assert "\n" not in refused.value.message


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("capability:SYS_PTRCE", "capability:SYS_PTRACE"),
        ("SYS_PTRACE", "capability:SYS_PTRACE"),
        ("priviliged", "privileged"),
        ("namespace:net", "namespace:network"),
        ("seccomp=unconfined", "security:seccomp=unconfined"),
        ("devices:/dev/kvm", "device:/dev/…"),
    ],
)
def test_the_nearest_is_named(text: str, near: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_host_option(text)
    assert refused.value.remedy == f"Did you mean {near}?"


def test_where_nothing_is_near_the_kinds_are_named() -> None:
    with pytest.raises(Invalid, match="nothing that a container can be allowed") as refused:
        parse_host_option("\0" * 5)
    assert all(kind in refused.value.remedy for kind in Kind)
    assert nearest_capability("CAP_SYS_PTRCE") == "Did you mean SYS_PTRACE?"
    assert nearest_capability("12345") == ""


def test_there_are_all_capabilities_of_the_kernel() -> None:
    """Those of Linux 5.9 and later, and ALL. Source: capabilities(7)."""
    assert len(CAPABILITIES) == 41 + 1
    assert {"network", "pid", "ipc", "uts", "user"} == NAMESPACES


def test_a_site_s_list_holds_no_mount_in_another() -> None:
    assert parse_host_options([]) == frozenset()
    good = parse_host_options(["mount:/srv/cache", "mount:/srv/cache2", "privileged", "mount:/srv/cache/"])
    assert {str(one) for one in good} == {"mount:/srv/cache", "mount:/srv/cache2", "privileged"}
    with pytest.raises(Invalid, match="mount:/srv/cache/a lies in mount:/srv/cache"):
        parse_host_options(["mount:/srv/cache/a", "mount:/srv/cache"])


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("/dev/kvm", HostDevice(path="/dev/kvm", inside="/dev/kvm")),
        ("/dev/kvm:r", HostDevice(path="/dev/kvm", inside="/dev/kvm", permissions="r")),
        ("/dev/kvm:/dev/x", HostDevice(path="/dev/kvm", inside="/dev/x")),
        ("/dev/kvm:/dev/x:rw", HostDevice(path="/dev/kvm", inside="/dev/x", permissions="rw")),
        ("/dev/../etc/shadow", None),
        ("/dev", None),
        ("/dev/kvm:x", None),
        ("/dev/kvm:/a:/b", None),
        ("/dev/kvm:/a:/b:rw", None),
        ("/dev/kvm:", None),
        ("vendor.com/gpu=0", None),
        ("", None),
    ],
)
def test_devices(text: str, device: HostDevice | None) -> None:
    assert find_device(text) == device


def test_a_path_is_compared_as_a_text() -> None:
    assert find_path("/srv/x/../cache/") == find_path("///srv/./cache") == "/srv/cache"
    assert find_path("srv") is find_path("") is find_path("/a\0") is None


EVERYTHING = HostOptions(
    privileged=True,
    capabilities=("SYS_PTRACE",),
    security=("seccomp=unconfined",),
    devices=(
        HostDevice(path="/dev/kvm", inside="/dev/kvm"),
        HostDevice(path="/dev/kvm", inside="/dev/x", permissions="r"),
    ),
    mounts=(HostMount(source="/srv/cache", target="/cache"),),
    namespaces=("network",),
)


def test_the_label_says_what_has_to_be_allowed() -> None:
    assert NO_OPTIONS.label == ""
    assert EVERYTHING.label == (
        "privileged,capability:SYS_PTRACE,security:seccomp=unconfined,device:/dev/kvm,mount:/srv/cache,namespace:network"
    )
    assert tuple(map(parse_host_option, EVERYTHING.label.split(","))) == EVERYTHING.tokens
    assert HostOption(Kind.PRIVILEGED) not in HostOptions(capabilities=("ALL",)).tokens


def test_they_are_merged() -> None:
    assert merge_options([]) == NO_OPTIONS
    assert merge_options([EVERYTHING, NO_OPTIONS, EVERYTHING]) == EVERYTHING
    two = merge_options([HostOptions(capabilities=("SYS_PTRACE",)), HostOptions(capabilities=("BPF", "SYS_PTRACE"))])
    assert two == HostOptions(capabilities=("BPF", "SYS_PTRACE"))


@pytest.mark.parametrize(
    "other",
    [
        HostMount(source="/srv/other", target="/cache"),
        HostMount(source="/srv/cache", target="/cache", read_only=True),
    ],
)
def test_two_mounts_at_one_place_are_refused(other: HostMount) -> None:
    with pytest.raises(Invalid, match="Two different mounts are asked for at /cache") as refused:
        merge_options([EVERYTHING, HostOptions(mounts=(other,))])
    assert refused.value.code == "devcontainer.value"
    elsewhere = HostMount(source="/srv/other", target="/other")
    assert len(merge_options([EVERYTHING, HostOptions(mounts=(elsewhere,))]).mounts) == 2
