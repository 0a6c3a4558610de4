"""What a Compose service may ask to have of the host (L4; policies of `domain/compose_options.py`), beside what is let through."""

from typing import Any

import pytest

from berth.domain.allowance import NO_ALLOWANCES, Allowances, OptionPolicy
from berth.domain.compose import ComposeProject, ComposeRequest, main_configuration, read_compose
from berth.domain.compose_mount import Mount, MountKind
from berth.domain.compose_service import ComposeService
from berth.domain.dev_container import DevContainerConfig
from berth.domain.host_option import NO_OPTIONS, HostDevice, HostMount, HostOptions, parse_host_option
from berth.domain.problem import Invalid

IMAGE = "host.example/dev:1"


def allowing(*tokens: str) -> Allowances:
    return Allowances(site=frozenset(map(parse_host_option, tokens)), organization="acme")


def read(allowances: Allowances, *files: str) -> ComposeProject:
    names = tuple(f".devcontainer/{number or ''}c.yml" for number in range(len(files)))
    request = ComposeRequest(files=names, service="app", run_services=None)
    return read_compose(request, [one.encode() for one in files], {"YES": "true"}, "shop", allowances)


def of(service: str, allowances: Allowances, text: str) -> ComposeService:
    """The service, which says this; there is another one that says nothing."""
    other = {"app": "db", "db": "app"}[service]
    said = f"services:\n  {other}: {{image: {IMAGE}}}\n  {service}:\n    image: {IMAGE}\n    {text}\n"
    found = {one.name: one for one in read(allowances, said).services}
    assert found[other].options == NO_OPTIONS, "nobody has it who did not ask"
    return found[service]


PTRACE = HostOptions(capabilities=("SYS_PTRACE",))
KVM = HostDevice(path="/dev/kvm", inside="/dev/kvm")
CACHE = HostMount(source="/srv/cache", target="/cache")
READ_ONLY = HostMount(source="/srv/cache", target="/cache", read_only=True)
NO_PROFILE = HostOptions(security=("seccomp=unconfined",))

# what the file says → the key, the token that allows it, one like it that does not, what the container gets
ASKED: dict[str, tuple[str, str, str, HostOptions]] = {
    "privileged: true": ("privileged", "privileged", "capability:ALL", HostOptions(privileged=True)),
    "privileged: 'yes'": ("privileged", "privileged", "capability:ALL", HostOptions(privileged=True)),
    "privileged: $YES": ("privileged", "privileged", "capability:ALL", HostOptions(privileged=True)),
    "cap_add: [SYS_PTRACE]": ("cap_add", "capability:SYS_PTRACE", "privileged", PTRACE),
    "cap_add: [cap_sys_ptrace, SYS_PTRACE]": ("cap_add", "capability:SYS_PTRACE", "capability:ALL", PTRACE),
    "cap_add: SYS_PTRACE": ("cap_add", "capability:SYS_PTRACE", "privileged", PTRACE),
    "security_opt: [seccomp=unconfined]": (
        "security_opt",
        "security:seccomp=unconfined",
        "security:label=disable",
        NO_PROFILE,
    ),
    "security_opt: ['seccomp:unconfined', no-new-privileges]": (
        "security_opt",
        "security:seccomp=unconfined",
        "security:no-new-privileges=true",
        NO_PROFILE,
    ),
    "security_opt: ['no-new-privileges:false']": (
        "security_opt",
        "security:no-new-privileges=false",
        "security:no-new-privileges=true",
        HostOptions(security=("no-new-privileges=false",)),
    ),
    "devices: [/dev/kvm]": ("devices", "device:/dev/kvm", "device:/dev/kvm2", HostOptions(devices=(KVM,))),
    "devices: ['/dev/kvm:/dev/kvm:rwm']": ("devices", "device:/dev/kvm", "privileged", HostOptions(devices=(KVM,))),
    "network_mode: host": ("network_mode", "namespace:network", "privileged", HostOptions(namespaces=("network",))),
    "pid: host": ("pid", "namespace:pid", "namespace:ipc", HostOptions(namespaces=("pid",))),
    "ipc: host": ("ipc", "namespace:ipc", "namespace:pid", HostOptions(namespaces=("ipc",))),
    "uts: host": ("uts", "namespace:uts", "namespace:user", HostOptions(namespaces=("uts",))),
    "userns_mode: host": ("userns_mode", "namespace:user", "namespace:uts", HostOptions(namespaces=("user",))),
    "volumes: ['/srv/cache:/cache']": ("volumes", "mount:/srv/cache", "mount:/srv", HostOptions(mounts=(CACHE,))),
    "volumes: ['//srv/x/../cache:/cache/']": (
        "volumes",
        "mount:/srv/cache",
        "mount:/srv/x",
        HostOptions(mounts=(CACHE,)),
    ),
    "volumes: ['/srv/cache:/cache:ro,z']": ("volumes", "mount:/srv/cache", "mount:/srv/c", HostOptions(mounts=(READ_ONLY,))),
    "volumes: [{type: bind, source: /srv/cache, target: /cache, read_only: true}]": (
        "volumes",
        "mount:/srv/cache",
        "mount:/srv/cache/a",
        HostOptions(mounts=(READ_ONLY,)),
    ),
    "volumes: ['/var/run/docker.sock:/var/run/docker.sock']": (
        "volumes",
        "mount:/var/run/docker.sock",
        "mount:/run/docker.sock",
        HostOptions(mounts=(HostMount(source="/var/run/docker.sock", target="/var/run/docker.sock"),)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("service", ["app", "db"])
@pytest.mark.parametrize("text", ASKED)
def test_l4_policy_1_it_needs_exactly_its_own_allowance(text: str, service: str) -> None:
    key, token, like_it, gets = ASKED[text]
    assert of(service, allowing(token), text).options == gets, "the positive control"
    for allowances in (NO_ALLOWANCES, allowing(like_it)):
        with pytest.raises(Invalid) as refused:
            of(service, allowances, text)
        assert refused.value.code == "compose.not_allowed"
        assert f"'{key}' in service {service} in c.yml asks for {token}" in refused.value.message
        assert "(L4)" in refused.value.message
        assert f"ask the administrator of this server to add {token} to DEV_CONTAINER_ALLOWED" in refused.value.remedy
    site = allowing(token).site
    narrowed = Allowances(site=site, policies=(OptionPolicy("tools", frozenset()),), organization="acme")
    with pytest.raises(Invalid, match="the policy 'tools' of acme leaves it out") as refused:
        of(service, narrowed, text)
    assert refused.value.code == "codespace.policy_option"
    assert f"ask an owner of acme to add {token}" in refused.value.remedy
    stranger = Allowances(site=site, withheld_reason="it shows a fork's pull request (L4, S6)")
    with pytest.raises(Invalid, match="it shows a fork's pull request"):
        of(service, stranger, text)


EVERYTHING = allowing(
    "privileged", "capability:ALL", "security:seccomp=unconfined", "device:/dev/kvm", "mount:/srv/cache", "mount:/etc",
    *(f"namespace:{one}" for one in ("network", "pid", "ipc", "uts", "user")),
)  # fmt: skip
NEVER = {
    "privileged: perhaps": "must be true or false",
    "privileged: [x]": "must be true or false",
    "cap_add: [SYS_PTRCE]": "there is no capability 'SYS_PTRCE'",
    "cap_add: ['ALL,SYS_ADMIN']": "there is no capability",
    "cap_add: {ALL: }": "must be a text",
    "security_opt: ['seccomp:./profile.json']": "no security option that Berth knows",
    "security_opt: ['systempaths=unconfined']": "no security option that Berth knows",
    "devices: [/etc/shadow]": "is no device of the server",
    "devices: ['vendor.com/gpu=all']": "is no device of the server",
    "devices: [{source: /dev/kvm, target: /dev/kvm}]": "must be a text",
    "pid: 'container:theirs'": "it takes host and nothing else here",
    "pid: 'service:db'": "it takes host and nothing else here",
    "ipc: shareable": "it takes host and nothing else here",
    "uts: true": "it takes host and nothing else here",
    "userns_mode: keep-id": "it takes host and nothing else here",
    "userns_mode: [host]": "it takes host and nothing else here",
    "network_mode: [host]": "must be a text",
    "network_mode: 'container:theirs'": "it would join a network",
    "volumes: ['/:/x']": "is refused",
    "volumes: ['/srv/cache:/run/codespaces/env']": "would hide /run/codespaces",
    "volumes: ['/srv/cache:/run']": "has its checkout or its secrets",
    "volumes: ['/srv/cache:/var/run/codespaces']": "has its checkout or its secrets",
    "volumes: ['/srv/cache:/workspaces/shop']": "has its checkout or its secrets",
    "volumes: ['/srv/cache:/cache:rshared']": "a mode that Berth does not know",
    "volumes: ['/srv/cache/sub:/cache']": "asks for mount:/srv/cache/sub",
    "volumes: ['/srv/cache:/x', '/etc:/x']": "mounts two things at /x",
    "volumes: ['~/cache:/cache']": "would mount a folder of the server",
    "volumes: ['../../../../srv/cache:/cache']": "would mount a folder of the server",
    "cgroup_parent: /x": "'cgroup_parent' of service",
    "group_add: [docker]": "'group_add' of service",
    "device_cgroup_rules: ['a *:* rwm']": "'device_cgroup_rules' of service",
    "use_api_socket: true": "whoever has the engine's socket has the server",
    "volumes_from: ['container:theirs']": "'volumes_from' of service",
}


@pytest.mark.parametrize("service", ["app", "db"])
@pytest.mark.parametrize(("text", "why"), NEVER.items(), ids=NEVER.keys())
def test_l4_what_is_not_understood_is_refused_whatever_is_allowed(text: str, why: str, service: str) -> None:
    with pytest.raises(Invalid) as refused:
        of(service, EVERYTHING, text)
    assert why in refused.value.message
    assert of(service, EVERYTHING, "cap_add: [ALL]").options.capabilities == ("ALL",), "the positive control"


@pytest.mark.parametrize("nothing", ["", "false", "[]", "{}", "''"])
@pytest.mark.parametrize(
    "key", ["privileged", "cap_add", "security_opt", "devices", "pid", "ipc", "uts", "userns_mode"]
)
def test_what_asks_for_nothing_needs_no_allowance(key: str, nothing: str) -> None:
    assert of("db", NO_ALLOWANCES, f"{key}: {nothing}").options == NO_OPTIONS
    assert of("db", NO_ALLOWANCES, "privileged: 'no'").options == NO_OPTIONS


@pytest.mark.parametrize("how", ["no-new-privileges", "'no-new-privileges:true'", "no-new-privileges=true"])
def test_policy_4_less_than_everybody_has_needs_no_allowance(how: str) -> None:
    found = of("db", NO_ALLOWANCES, f"security_opt: [{how}]")
    assert (found.no_new_privileges, found.options) == (True, NO_OPTIONS)
    assert not of("db", NO_ALLOWANCES, "tty: true").no_new_privileges, "the control"


def test_all_refusals_of_a_service_come_at_once() -> None:
    with pytest.raises(Invalid) as refused:
        of("db", allowing("capability:BPF"), "cap_add: [BPF, ALL]\n    pid: host")
    assert "capability:ALL" in refused.value.message
    assert "namespace:pid" in refused.value.message
    assert "capability:BPF" not in refused.value.message


def test_what_several_files_ask_for_is_added_up() -> None:
    first = f"services: {{app: {{image: {IMAGE}, cap_add: [BPF], volumes: ['/etc:/cache', '..:/w']}}}}"
    second = "services: {app: {cap_add: [ALL], volumes: ['/srv/cache:/cache']}}"
    allowed = allowing("capability:BPF", "capability:ALL", "mount:/srv/cache")
    found = read(allowed, first, second).main_service
    assert found.options == HostOptions(capabilities=("ALL", "BPF"), mounts=(CACHE,))
    assert found.mounts == (Mount(kind=MountKind.CHECKOUT, target="/w"),), (
        "a mount of the host is none of the codespace's"
    )


def test_a_namespace_of_the_host_takes_the_networks_place() -> None:
    assert not of("db", EVERYTHING, "network_mode: host").is_on_network
    assert not of("db", EVERYTHING, "network_mode: none").is_on_network
    assert not of("db", EVERYTHING, "network_mode: 'service:app'").is_on_network
    assert of("db", EVERYTHING, "pid: host").is_on_network


def config(**options: Any) -> DevContainerConfig:
    return DevContainerConfig(
        {"dockerComposeFile": "c.yml", "service": "app"}, "devcontainer.json", HostOptions(**options)
    )


def test_the_main_service_adds_to_what_the_configuration_gets() -> None:
    text = f"services: {{app: {{image: {IMAGE}, cap_add: [ALL], volumes: ['/srv/cache:/cache']}}, db: {{image: x, pid: host}}}}"
    project = read(EVERYTHING, text)
    got: Any = main_configuration(config(capabilities=("BPF",)), project).options
    assert got == HostOptions(capabilities=("ALL", "BPF"), mounts=(CACHE,))
    with pytest.raises(Invalid, match="Two different mounts are asked for at /cache"):
        main_configuration(config(mounts=(HostMount(source="/etc", target="/cache"),)), project)
