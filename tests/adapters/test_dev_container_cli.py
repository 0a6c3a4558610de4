"""The dev container CLI in its sandbox, on a real engine: what it does, what it cannot reach (L3, L4, L5, L7), what it leaves."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.server import free_port
from tests.world import command_lines, engine_api, import_image

from berth.adapters.dev_container_cli import DevContainerCLI, _Owner
from berth.adapters.dev_container_output import DevContainerOutput
from berth.adapters.engine_docker import DockerEngine
from berth.domain.dev_container import DevContainerConfig, override_configuration, parse_dev_container
from berth.domain.host_option import NO_OPTIONS, OPTIONS_LABEL, HostDevice, HostMount, HostOptions
from berth.domain.machine import UNLIMITED, Machine
from berth.domain.problem import UpstreamFailed
from berth.services.ports import UpRequest, UpResult

pytestmark = [pytest.mark.engine, pytest.mark.timeout(120)]

ROOT = Path(__file__).parents[2]
NODE = str(Path(sys.prefix, "bin", "node"))
CANARY = "canary-cli-90c2"
CAP_SYS_PTRACE = 19  # its bit; linux/capability.h


class Launch:
    """A checkout, a scratch directory, and the lines that were shown."""

    def __init__(self, folder: Path, docker_host: str, image: str) -> None:
        self.docker_host = docker_host
        self.image = image
        self.name = f"t-{os.urandom(4).hex()}"
        self.scratch = folder / "scratch"
        self.workspace = folder / "checkouts" / "r"
        self.workspace.mkdir(parents=True)
        self.engine = DockerEngine(docker_host)
        self.lines: list[str] = []
        self.machine = UNLIMITED
        self.options = NO_OPTIONS

    def cli(self, **options: Any) -> DevContainerCLI:
        return DevContainerCLI(self.docker_host, ROOT / "node_modules", self.scratch, node=NODE, **options)

    @property
    def labels(self) -> dict[str, str]:
        return {"test.codespace": self.name}

    def configuration(self, **values: object) -> dict[str, object]:
        return override_configuration(
            parse_dev_container(json.dumps(values).encode()),
            image=self.image,
            codespace=self.name,
            workspace=self.workspace,
            repository_name="r",
            environment={"CODESPACES": "true"},
            machine=self.machine,
        )

    def request(self, configuration: dict[str, object], labels: dict[str, str] | None = None) -> UpRequest:
        return UpRequest(
            codespace=self.name,
            workspace=self.workspace,
            folder="/workspaces/r",
            image=self.image,
            machine=self.machine,
            configuration=configuration,
            labels=labels or self.labels,
            options=self.options,
        )

    async def on_line(self, line: str) -> None:
        self.lines.append(line)

    async def up(self, **values: object) -> UpResult:
        return await self.cli().up(self.request(self.configuration(**values)), self.on_line)

    async def up_unreviewed(self, **values: object) -> UpResult:
        """As if the review had let everything pass: only the sandbox is left."""
        configuration = {**self.configuration(), **values}
        return await self.cli().up(self.request(configuration), self.on_line)

    async def output(self, container_id: str, script: str) -> str:
        return (await self.engine.execute(container_id, ["sh", "-c", script])).output.decode()

    def processes(self) -> list[str]:
        return [line for line in command_lines() if str(self.scratch) in line]

    def leftovers(self) -> list[Path]:
        return list(self.scratch.iterdir()) if self.scratch.exists() else []


@pytest.fixture
async def launch(tmp_path: Path, docker_host: str, busybox_image: str) -> AsyncIterator[Launch]:
    one = Launch(tmp_path, docker_host, busybox_image)
    yield one
    for container in await one.engine.list_containers(one.labels):
        await one.engine.remove_container(container.container_id)
    assert not one.processes()
    assert not one.leftovers()


async def test_it_makes_the_container_and_runs_the_first_two_hooks(launch: Launch) -> None:
    done = await launch.up(
        containerEnv={"A": CANARY},
        remoteEnv={"B": "b-${containerEnv:CODESPACES}"},
        remoteUser="dev",
        onCreateCommand="echo create $B; id -u; pwd; touch ~/created; printf 'no newline'",
        updateContentCommand={"one": ["echo", "update one"], "two": "echo update two >&2"},
        postCreateCommand="touch /tmp/post",
        postStartCommand="touch /tmp/post",
        postAttachCommand="touch /tmp/post",
    )
    assert (done.remote_user, done.remote_workspace_folder) == ("dev", "/workspaces/r")
    shown = [line for line in launch.lines if not line.startswith("Running ")]
    assert shown[:4] == ["create b-true", "1000", "/workspaces/r", "no newline"]
    assert sorted(shown[4:]) == ["update one", "update two"]
    assert CANARY not in "".join(launch.lines), "no command line of the CLI is shown"
    (container,) = await launch.engine.list_containers(launch.labels)
    assert (container.container_id, container.name) == (done.container_id, f"berth-{launch.name}")
    script = "ls /tmp /home/dev; echo $A $CODESPACES; grep ' /run/codespaces ' /proc/mounts | cut -d' ' -f3"
    assert await launch.output(done.container_id, script) == f"/home/dev:\ncreated\n\n/tmp:\n{CANARY} true\ntmpfs\n"


async def test_the_engine_enforces_the_machine(launch: Launch) -> None:
    launch.machine = Machine(name="m", display_name="m", cpus=1, memory_bytes=2**28)
    done = await launch.up()
    async with engine_api(launch.docker_host) as api:
        host = (await api.get(f"/containers/{done.container_id}/json")).json()["HostConfig"]
    assert (host["NanoCpus"], host["Memory"], host["MemorySwap"]) == (10**9, 2**28, 2**28)
    # Both versions of control groups: the kernel's own numbers, in the container.
    script = "cd /sys/fs/cgroup; cat memory.max memory/memory.limit_in_bytes; cat cpu.max; cat cpu/cpu.cfs_quota_us"
    seen = await launch.output(done.container_id, script)
    assert "268435456" in seen
    assert "100000" in seen


async def test_it_can_be_repeated_without_making_a_second_container(launch: Launch) -> None:
    first = await launch.up()
    assert (await launch.up()).container_id == first.container_id


async def test_a_label_hook_after_creation_is_left_to_berth(launch: Launch) -> None:
    label = [{"id": "x", "postCreateCommand": "touch /tmp/post", "onCreateCommand": "touch /tmp/create"}]
    labels = {"devcontainer.metadata": json.dumps(label)}
    launch.image = await import_image(launch.docker_host, "localhost/hooks", "1", labels=labels)
    done = await launch.up()
    assert await launch.output(done.container_id, "ls /tmp") == "create\n"


LIE = "echo updateContentCommand failed with exit code 1.; exit 2"
FAILURES = {
    "a text": ({"onCreateCommand": "echo why; exit 9"}, "onCreateCommand ended with exit code 9."),
    "one of an object": ({"updateContentCommand": {"a": "exit 3", "b": "true"}}, "updateContentCommand ended with exit code 3."),
    "a missing program": ({"onCreateCommand": ["no-such"]}, "onCreateCommand ended with exit code 126."),
    "a lie in its output": ({"onCreateCommand": LIE}, "onCreateCommand ended with exit code 2."),
}  # fmt: skip


@pytest.mark.parametrize(("values", "sentence"), FAILURES.values(), ids=FAILURES.keys())
async def test_a_failed_hook_is_named_with_its_exit_code(
    launch: Launch, values: dict[str, object], sentence: str
) -> None:
    with pytest.raises(UpstreamFailed) as caught:
        await launch.up(**values)
    assert (caught.value.code, caught.value.message) == ("devcontainer.hook_failed", sentence)


async def test_after_a_failed_hook_the_cli_would_report_success(launch: Launch) -> None:
    """Why the caller removes the container when `up` fails; a fact about the CLI, not a wish."""
    with pytest.raises(UpstreamFailed):
        await launch.up(onCreateCommand="exit 1")
    assert (await launch.up(onCreateCommand="exit 1")).container_id


UNMAKEABLE = {
    "an unknown remote user": ({"remoteUser": "nobody-here"}, "no user 'nobody-here'"),
    "an unknown container user": ({"containerUser": "nobody-here"}, "unable to find user nobody-here"),
}


@pytest.mark.parametrize(("values", "why"), UNMAKEABLE.values(), ids=UNMAKEABLE.keys())
async def test_a_container_that_cannot_be_made(launch: Launch, values: dict[str, object], why: str) -> None:
    with pytest.raises(UpstreamFailed, match=why) as caught:
        await launch.up(containerEnv={"A": CANARY}, **values)
    assert (caught.value.code, caught.value.retryable) == ("devcontainer.up_failed", False)
    assert CANARY not in caught.value.message
    assert caught.value.message.endswith(".")


async def test_an_engine_that_goes_is_no_fault_of_the_configuration(launch: Launch) -> None:
    launch.docker_host = f"unix://{launch.scratch.parent}/gone"
    with pytest.raises(UpstreamFailed) as caught:
        await launch.up()
    assert (caught.value.code, caught.value.retryable) == ("engine.unreachable", True)


async def test_the_name_of_another_container_is_not_taken_over(launch: Launch) -> None:
    await launch.up()
    request = launch.request(launch.configuration(), {"test.codespace": f"{launch.name}-other"})
    with pytest.raises(UpstreamFailed, match="already in use"):
        await launch.cli().up(request, launch.on_line)


async def test_it_is_stopped_after_its_time(launch: Launch) -> None:
    request = launch.request(launch.configuration(onCreateCommand="sleep 600"))
    with pytest.raises(UpstreamFailed) as caught:
        await launch.cli(timeout_s=4).up(request, launch.on_line)
    assert caught.value.code == "devcontainer.timeout"


async def test_what_is_not_installed_is_named(launch: Launch, docker_host: str) -> None:
    without_node = DevContainerCLI(docker_host, ROOT / "node_modules", launch.scratch, node="no-such-node")
    with pytest.raises(UpstreamFailed) as caught:
        await without_node.up(launch.request(launch.configuration()), launch.on_line)
    assert caught.value.code == "devcontainer.not_installed"


async def test_an_id_label_for_which_the_cli_would_wait_for_ever_is_refused(launch: Launch) -> None:
    request = launch.request({}, {"a": "b=c"})
    with pytest.raises(ValueError, match="cannot hold '='"):
        await launch.cli().up(request, launch.on_line)


# -- attacks. initializeCommand runs where the CLI runs: it is the attacker's eye and hand in the sandbox.


def bare(launch: Launch, configuration: dict[str, object]) -> subprocess.CompletedProcess[bytes]:
    """The CLI without a sandbox and without a review: the positive control."""
    file = launch.workspace.parent / "devcontainer.json"
    file.write_text(json.dumps(configuration))
    cli = str(ROOT / "node_modules" / "@devcontainers" / "cli" / "devcontainer.js")
    arguments = ["--prebuild", "--no-lockfile", "--update-remote-user-uid-default=off", f"--override-config={file}"]
    arguments += [f"--workspace-folder={launch.workspace}", "--docker-path=/usr/bin/docker"]
    arguments += [f"--id-label={name}={value}" for name, value in launch.labels.items()]
    temporary = launch.workspace.parent / "tmp"
    cache = temporary / "devcontainercli-root"
    cache.mkdir(parents=True, exist_ok=True)
    (cache / "control-manifest.json").write_text('{"disallowedFeatures": [], "featureAdvisories": []}')
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(temporary), "TMPDIR": str(temporary), "CANARY": CANARY}
    environment["DOCKER_HOST"] = launch.docker_host
    return subprocess.run([NODE, cli, "up", *arguments], env=environment, capture_output=True, check=False, timeout=60)


def read_probe(launch: Launch, name: str) -> str:
    return (launch.workspace / name).read_text()


async def test_l3_initialize_command_reaches_nothing_on_the_host(launch: Launch, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    attack = f"touch {marker}; touch ran"
    assert "initializeCommand" not in launch.configuration(initializeCommand=attack), "the first wall"
    assert bare(launch, {**launch.configuration(), "initializeCommand": attack}).returncode == 0
    assert marker.exists(), "the positive control: without walls it runs on the host"
    marker.unlink()
    (launch.workspace / "ran").unlink()
    await launch.up_unreviewed(initializeCommand=attack + " || true")
    assert (launch.workspace / "ran").exists(), "the positive control: it ran, in the sandbox"
    assert not marker.exists(), "the second wall"


async def test_the_sandbox_sees_neither_homes_nor_the_server_s_data(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "master-key").write_text(CANARY)
    script = f"(ls -a /root /home /var /etc {tmp_path}; cat {tmp_path}/master-key /etc/shadow) > seen 2>&1; ls / > root"
    await launch.up_unreviewed(initializeCommand=script)
    seen = read_probe(launch, "seen")
    assert CANARY not in seen
    assert "root:" not in seen
    for path in ("/root", "/home", "/var", f"{tmp_path}/master-key", "/etc/shadow"):
        assert f"{path}: No such file" in seen.replace("'", ""), path
    assert set(read_probe(launch, "root").split()) - {"bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr"} <= {
        "berth", "dev", "etc", "proc", "run", "tmp", tmp_path.parts[1],
    }  # fmt: skip


async def test_the_sandbox_has_no_processes_network_or_capabilities_of_the_host(launch: Launch) -> None:
    probe = "cat /proc/net/dev > net; ls -d /proc/[0-9]* > processes; grep -E 'CapEff|NoNewPrivs' /proc/self/status > rights"
    await launch.up_unreviewed(initializeCommand=probe)
    devices = [line.split(":")[0].strip() for line in read_probe(launch, "net").splitlines()[2:]]
    assert devices == ["lo"]
    assert len(read_probe(launch, "processes").split()) < 15
    rights = dict(line.split(":") for line in read_probe(launch, "rights").splitlines())
    assert int(rights["CapEff"], 16) == 0
    assert int(rights["NoNewPrivs"]) == 1


async def test_programs_and_cli_cannot_be_changed_for_the_next_launch(launch: Launch) -> None:
    script = "for f in /usr/bin /berth /berth/node_modules /etc; do touch $f/berth-was-here && echo $f; done"
    script += " > changed 2>/dev/null; true"
    await launch.up_unreviewed(initializeCommand=script)
    assert set(read_probe(launch, "changed").split()) <= {"/etc", "/berth"}, "which are the sandbox's own"
    for folder in (Path("/usr/bin"), Path("/etc"), ROOT / "node_modules"):
        assert not (folder / "berth-was-here").exists()


async def test_l5_the_environment_is_empty(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BERTH_CANARY", CANARY)
    monkeypatch.setenv("GITHUB_TOKEN", CANARY)
    values = {"A": "a${localEnv:CANARY}${localEnv:BERTH_CANARY}", "B": "b${localEnv:HOME}"}
    control = bare(launch, {**launch.configuration(), "containerEnv": values})
    assert control.returncode == 0, control.stdout
    (container,) = await launch.engine.list_containers(launch.labels)
    assert CANARY in await launch.output(container.container_id, "echo $A"), "the positive control"
    await launch.engine.remove_container(container.container_id)
    done = await launch.up_unreviewed(containerEnv=values, initializeCommand="env > environment")
    assert await launch.output(done.container_id, "echo $A $B") == "a b/tmp\n"
    names = {line.partition("=")[0] for line in read_probe(launch, "environment").splitlines()}
    assert names - {"PWD", "OLDPWD", "SHLVL", "_"} == {"PATH", "HOME", "TMPDIR", "LANG", "DOCKER_HOST", "DOCKER_CONFIG"}
    assert CANARY not in read_probe(launch, "environment")
    await launch.engine.remove_container(done.container_id)
    reviewed = await launch.up(containerEnv=values)
    assert await launch.output(reviewed.container_id, "echo $A $B") == "a b\n"


async def test_the_docker_config_holds_a_login_for_nowhere(launch: Launch) -> None:
    await launch.up_unreviewed(
        initializeCommand="cat $DOCKER_CONFIG/config.json > config; stat -c %a $DOCKER_CONFIG/* > mode"
    )
    assert list(json.loads(read_probe(launch, "config"))["auths"]) == ["berth.invalid"]
    assert read_probe(launch, "mode") == "600\n"


def test_l4_what_opens_the_host_is_not_in_what_the_cli_is_given(launch_less: DevContainerConfig) -> None:
    given = override_configuration(
        launch_less,
        image="i@sha256:1",
        codespace="c",
        workspace=Path("/w"),
        repository_name="r",
        environment={},
        machine=UNLIMITED,
    )
    assert "privileged" not in json.dumps(given)
    assert "/etc" not in json.dumps(given)


@pytest.fixture
def launch_less() -> DevContainerConfig:
    text = b'{"privileged": true, "mounts": ["type=bind,source=/etc,target=/e"], "runArgs": ["--privileged"]}'
    return parse_dev_container(text)


# -- the second wall: `devcontainer up` with what a review that let everything pass would give it


async def host_config(launch: Launch) -> dict[str, Any] | None:
    """What the engine knows of the container; None if there is none."""
    async with engine_api(launch.docker_host) as api:
        answer = await api.get(f"/containers/berth-{launch.name}/json")
    return dict(answer.json()["HostConfig"]) if answer.status_code == 200 else None


HOSTILE: dict[str, tuple[dict[str, Any], Callable[[dict[str, Any]], bool]]] = {
    "privileged": ({"privileged": True}, lambda host: host["Privileged"]),
    "capAdd": ({"capAdd": ["SYS_ADMIN"]}, lambda host: host["CapAdd"] == ["SYS_ADMIN"]),
    "securityOpt": ({"securityOpt": ["seccomp=unconfined"]}, lambda host: "seccomp=unconfined" in host["SecurityOpt"]),
    "mounts": (
        {"mounts": ["type=bind,source=/etc,target=/hostetc"]},
        lambda host: "/etc" in [mount["Source"] for mount in host["Mounts"]],
    ),
    "workspaceMount": (
        {"workspaceMount": "type=bind,source=/etc,target=/workspaces/r"},
        lambda host: host["Mounts"][0]["Source"] == "/etc",
    ),
    "appPort": ({"appPort": [18765]}, lambda host: "18765/tcp" in host["PortBindings"]),
}
ARGUMENTS = {
    "--pid=host": lambda host: host["PidMode"] == "host",
    "--network=host": lambda host: host["NetworkMode"] == "host",
    "--ipc=host": lambda host: host["IpcMode"] == "host",
    "--uts=host": lambda host: host["UTSMode"] == "host",
    "--device=/dev/null:/dev/x": lambda host: bool(host["Devices"]),
    "--volume=/var/run:/hostrun": lambda host: host["Binds"] == ["/var/run:/hostrun"],
    "--memory=64g": lambda host: host["Memory"] == 64 * 2**30,
}


def hostile(launch: Launch, values: dict[str, Any]) -> dict[str, Any]:
    return {**launch.configuration(), **values}


def with_argument(launch: Launch, argument: str) -> dict[str, Any]:
    return {"runArgs": [f"--name=berth-{launch.name}", argument]}


async def assert_only_the_filter_stops(
    launch: Launch, values: dict[str, Any], has_it: Callable[[dict[str, Any]], bool], rule: str = "engine.create"
) -> None:
    with pytest.raises(UpstreamFailed, match=rf"Berth refuses this: .*\({rule}\)") as caught:
        await launch.up_unreviewed(**values)
    assert caught.value.code == "devcontainer.up_failed"
    assert await host_config(launch) is None
    bare(launch, hostile(launch, values))  # it may fail to start, but it was made
    made = await host_config(launch)
    assert made is not None, "the positive control: without the wall the engine makes it"
    assert has_it(made), "and as it was asked for"


@pytest.mark.slow  # the same, without the CLI: test_engine_filter.py
@pytest.mark.parametrize("key", HOSTILE)
async def test_l4_a_hostile_configuration_is_stopped_by_the_filter_alone(launch: Launch, key: str) -> None:
    values, has_it = HOSTILE[key]
    await assert_only_the_filter_stops(launch, values, has_it)


@pytest.mark.slow  # the same, without the CLI: test_engine_filter.py
@pytest.mark.parametrize("argument", ARGUMENTS)
async def test_l4_a_hostile_argument_is_stopped_by_the_filter_alone(launch: Launch, argument: str) -> None:
    await assert_only_the_filter_stops(launch, with_argument(launch, argument), ARGUMENTS[argument])


async def test_l4_a_hostile_label_is_stopped_by_the_filter_alone(launch: Launch) -> None:
    label = [{"privileged": True, "capAdd": ["SYS_ADMIN"], "mounts": ["type=bind,source=/etc,target=/hostetc"]}]
    labels = {"devcontainer.metadata": json.dumps(label)}
    launch.image = await import_image(launch.docker_host, "localhost/hostile", "1", labels=labels)
    await assert_only_the_filter_stops(launch, {}, lambda host: bool(host["Privileged"]))


ALLOWED = HostOptions(
    capabilities=("SYS_PTRACE",),
    security=("seccomp=unconfined",),
    mounts=(HostMount(source="/etc", target="/hostetc"),),
)


async def test_l4_what_a_label_may_have_the_container_gets_whether_the_cli_asks_for_it_or_not(launch: Launch) -> None:
    """The CLI reads the label by itself and asks in the label's words; what only the file asked for it does not know."""
    launch.options = replace(ALLOWED, devices=(HostDevice(path="/dev/null", inside="/dev/x"),))
    label = {
        "capAdd": ["cap_sys_ptrace"], "securityOpt": ["seccomp:unconfined"],
        "mounts": ["type=bind,source=/etc/,target=/hostetc", {"type": "bind", "source": "/etc", "target": "/hostetc"}],
    }  # fmt: skip
    labels = {"devcontainer.metadata": json.dumps([label])}
    launch.image = await import_image(launch.docker_host, "localhost/asking", "1", labels=labels)
    done = await launch.up()
    host = await host_config(launch)
    assert host is not None
    assert (host["CapAdd"], host["SecurityOpt"], host["Privileged"]) == (["SYS_PTRACE"], ["seccomp=unconfined"], False)
    assert [mount["Source"] for mount in host["Mounts"]] == [str(launch.workspace), "/etc"]
    assert [device["PathInContainer"] for device in host["Devices"]] == ["/dev/x"]
    effective = int(await launch.output(done.container_id, "grep CapEff /proc/1/status | cut -f2"), 16)
    assert effective & 1 << CAP_SYS_PTRACE
    assert await launch.output(done.container_id, "test -f /hostetc/passwd && test -c /dev/x && echo yes") == "yes\n"


MORE: dict[str, dict[str, Any]] = {
    "another capability": {"capAdd": ["SYS_PTRACE", "SYS_ADMIN"]},
    "privileged": {"privileged": True},
    "another security option": {"securityOpt": ["apparmor=unconfined"]},
    "another folder": {"mounts": ["type=bind,source=/etc/ssl,target=/hostetc"]},
    "the folder elsewhere": {"mounts": ["type=bind,source=/etc,target=/elsewhere"]},
    "the host's processes": {"runArgs": ["--pid=host"]},
}


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(value, id=key, marks=[] if key == "another capability" else pytest.mark.slow)
        for key, value in MORE.items()
    ],
)
async def test_l4_what_is_more_than_was_decided_is_stopped_by_the_filter_alone(
    launch: Launch, values: dict[str, Any]
) -> None:
    launch.options = ALLOWED
    arguments = [f"--name=berth-{launch.name}", *values.get("runArgs", [])]
    with pytest.raises(UpstreamFailed, match=r"Berth refuses this: .*\(engine\.create\)"):
        await launch.up_unreviewed(**{**values, "runArgs": arguments})
    assert await host_config(launch) is None


async def test_another_s_container_is_not_joined(launch: Launch) -> None:
    labels = {"test.codespace": f"{launch.name}-victim"}
    async with engine_api(launch.docker_host) as api:
        body = {"Image": launch.image, "Cmd": ["sleep", "600"], "Labels": labels, "HostConfig": {"Init": True}}
        victim = (await api.post("/containers/create", json=body)).raise_for_status().json()["Id"]
        try:
            (await api.post(f"/containers/{victim}/start")).raise_for_status()
            await assert_only_the_filter_stops(
                launch,
                with_argument(launch, f"--network=container:{victim}"),
                lambda host: host["NetworkMode"] == f"container:{victim}",
            )
        finally:
            await api.delete(f"/containers/{victim}?force=1")


async def test_l2_another_image_is_stopped_by_the_filter_alone(launch: Launch) -> None:
    """The image that Berth proved the user's right to is the only one there is."""
    other = await import_image(launch.docker_host, "localhost/other", "1")
    with pytest.raises(UpstreamFailed):
        await launch.up_unreviewed(image=other)
    assert await host_config(launch) is None
    assert bare(launch, hostile(launch, {"image": other})).returncode == 0, "the positive control"


async def test_a_build_is_stopped_by_the_filter_alone(launch: Launch) -> None:
    (launch.workspace / "Dockerfile").write_text(f"FROM {launch.image}\nRUN true\n")
    values = {"build": {"dockerfile": str(launch.workspace / "Dockerfile"), "context": str(launch.workspace)}}
    configuration = {key: value for key, value in launch.configuration().items() if key != "image"} | values
    with pytest.raises(UpstreamFailed):
        await launch.cli().up(launch.request(configuration), launch.on_line)
    assert await host_config(launch) is None
    assert bare(launch, configuration).returncode == 0, "the positive control"


CLIENTS = sorted({path for folder in ("/usr/bin", None) if (path := shutil.which("docker", path=folder))})


@pytest.mark.parametrize("docker_path", CLIENTS)
async def test_the_filter_changes_nothing_about_a_harmless_container(launch: Launch, docker_path: str) -> None:
    launch.machine = Machine(name="m", display_name="m", cpus=1, memory_bytes=2**28)
    configuration = launch.configuration(containerEnv={"A": "x"}, containerUser="dev", onCreateCommand="touch ~/made")

    async def made() -> Any:
        async with engine_api(launch.docker_host) as api:
            found = (await api.get(f"/containers/berth-{launch.name}/json")).json()
            (await api.delete(f"/containers/{found['Id']}?force=1")).raise_for_status()
        del found["Config"]["Hostname"]  # the container's own id
        found["Config"]["Env"].sort()  # the client's order differs from run to run
        return found["Config"], found["HostConfig"], found["Path"], found["Args"]

    done = bare(launch, configuration)
    assert done.returncode == 0, done.stdout
    without = await made()
    await launch.cli(docker_path=docker_path).up(launch.request(configuration), launch.on_line)
    config, host, *command = await made()
    assert config["Labels"].pop(OPTIONS_LABEL) == "", "the one thing that is Berth's own: it was given nothing"
    assert (config, command) == (without[0], list(without[2:]))
    for one in (host, without[1]):  # here the client names the engine's own choice
        assert one.pop("MemorySwappiness") in {-1, None}
        assert one.pop("RestartPolicy") in ({"Name": name, "MaximumRetryCount": 0} for name in ("no", ""))
    asked, asked_without = ({key: one[key] for key in one if one[key]} for one in (host, without[1]))
    assert asked == asked_without


async def test_the_sandbox_reaches_one_socket_and_it_is_the_filter(launch: Launch) -> None:
    """The third wall: names in the file system, abstract names, and ports of this machine."""
    abstract, port, probe = f"\0berth-{launch.name}", free_port(), launch.workspace / "probe.js"
    servers = [socket.socket(family) for family in (socket.AF_UNIX, socket.AF_INET)]
    addresses: tuple[Any, ...] = (abstract, ("127.0.0.1", port))
    try:
        for server, address in zip(servers, addresses, strict=True):
            server.bind(address)
            server.listen()
        probe.write_text(
            f"const net = require('net'); const at = [{json.dumps(abstract)}, {{port: {port}, host: '127.0.0.1'}}];\n"
            "at.forEach((a, i) => { const s = net.connect(typeof a === 'string' ? {path: a} : a);\n"
            "s.on('connect', () => { console.log('reached', i); s.destroy() }); s.on('error', () => {}) })\n"
        )
        control = subprocess.run([NODE, probe], capture_output=True, text=True, check=True, timeout=20)  # noqa: ASYNC221 it is short
        assert sorted(control.stdout.split("\n")) == ["", "reached 0", "reached 1"], "the positive control"
        # What is mounted has a type of its own, so each file is asked; standard input is a socket of node's.
        others = r"\( -path /usr -o -path /proc -o -path /dev -o -path /berth/node_modules \) -prune"
        script = f"/berth/node {probe} > reached 2>&1; find / {others} -o -exec test -S {{}} \\; -print > sockets 2>/dev/null; true"
        await launch.up_unreviewed(initializeCommand=script)
    finally:
        for server in servers:
            server.close()
    assert read_probe(launch, "reached") == ""
    assert read_probe(launch, "sockets").split() == ["/run/docker.sock"]


# -- what is left


async def until_hook_runs(launch: Launch) -> None:
    async with asyncio.timeout(30):
        while not (launch.workspace / "hook-runs").exists():
            await asyncio.sleep(0.05)


HANGING = "touch hook-runs; sleep 600"


async def test_a_cancelled_launch_leaves_no_process_and_no_file(launch: Launch) -> None:
    request = launch.request(launch.configuration(onCreateCommand=HANGING))
    running = asyncio.create_task(launch.cli().up(request, launch.on_line))
    await until_hook_runs(launch)
    assert launch.processes(), "the positive control"
    assert launch.leftovers()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not launch.processes()
    assert not launch.leftovers()


SERVER = """
    import asyncio, json, sys
    from pathlib import Path
    from berth.adapters.dev_container_cli import DevContainerCLI
    from berth.domain.machine import UNLIMITED
    from berth.services.ports import UpRequest

    async def main():
        docker_host, modules, scratch, node, workspace, configuration, name = sys.argv[1:]
        values, labels = json.loads(configuration), {"test.codespace": name}
        request = UpRequest(
            codespace=name, workspace=Path(workspace), folder="/workspaces/r", image=values["image"], machine=UNLIMITED,
            configuration=values, labels=labels,
        )
        async def on_line(line): pass
        await DevContainerCLI(docker_host, Path(modules), Path(scratch), node=node).up(request, on_line)

    asyncio.run(main())
"""


@asynccontextmanager
async def server(launch: Launch) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of its own that launches, so that it can be killed."""
    configuration = json.dumps(launch.configuration(onCreateCommand=HANGING))
    paths = (launch.docker_host, str(ROOT / "node_modules"), str(launch.scratch), NODE, str(launch.workspace))
    arguments = ("-c", textwrap.dedent(SERVER), *paths, configuration, launch.name)
    environment = {"PYTHONPATH": str(ROOT / "src"), "PATH": os.environ["PATH"]}
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, env=environment)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_after_kill_9_the_sweep_leaves_no_process_and_no_file(launch: Launch) -> None:
    async with server(launch) as process:
        await until_hook_runs(launch)
        assert any("bwrap" in line for line in launch.processes()), "the positive control"
        process.kill()
        await process.wait()
    assert launch.leftovers(), "the positive control: a killed server cannot tidy up"
    assert [path.name for path in launch.scratch.glob("*/engine") if path.is_socket()] == ["engine"]
    await launch.cli().sweep()
    assert not launch.processes()
    assert not launch.leftovers()


async def test_the_sweep_ends_a_group_that_outlived_its_server_and_no_stranger(launch: Launch) -> None:
    ours, stranger = (
        subprocess.Popen(["sh", "-c", "sleep 600 & sleep 600"], start_new_session=True)  # noqa: ASYNC220 they only sleep
        for _ in range(2)
    )
    try:
        for name, owner in (
            ("up-ours", _Owner.of(ours.pid)),
            ("up-reused", _Owner(stranger.pid, "1")),
            ("up-gone", _Owner(2**22 + 1, "1")),
        ):
            (launch.scratch / name / "tmp").mkdir(parents=True)
            owner.save(launch.scratch / name)
        (launch.scratch / "up-unknown").mkdir()
        await launch.cli().sweep()
        assert ours.wait(5) == -signal.SIGKILL
        assert stranger.poll() is None
        assert not launch.leftovers()
    finally:
        for process in (ours, stranger):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


async def test_the_sweep_of_a_replica_that_starts_leaves_the_launches_of_others_alone(launch: Launch) -> None:
    async with server(launch) as process:
        await until_hook_runs(launch)
        await launch.cli().sweep()
        assert any("bwrap" in line for line in launch.processes())
        assert process.returncode is None
        process.kill()
        await process.wait()
        await launch.cli().sweep()
    assert not launch.leftovers(), "the positive control"


async def test_sweeping_nothing_is_fine(launch: Launch) -> None:
    await launch.cli().sweep()


# -- the reader of the CLI's output


async def follow(*events: object, raw: bytes = b"") -> tuple[list[str], DevContainerOutput]:
    lines: list[str] = []

    async def on_line(line: str) -> None:
        lines.append(line)

    stream = asyncio.StreamReader(limit=4096)
    stream.feed_data(raw + b"".join(json.dumps(event).encode() + b"\n" for event in events))
    stream.feed_eof()
    output = DevContainerOutput(on_line)
    await output.follow(stream)
    return lines, output


def hook(text: str, kind: str = "raw") -> dict[str, str]:
    return {"type": kind, "channel": "postCreate", "text": text}


async def test_pieces_become_lines_without_colours() -> None:
    lines, _ = await follow(hook("a\x1b[1mb"), hook("c\r\nd\n\n"), hook("e"))
    assert lines == ["abc", "d", "e"]


async def test_command_lines_and_traces_are_not_shown() -> None:
    command = f"Run: docker run -e A={CANARY}"
    lines, _ = await follow(
        {"type": "start", "level": 3, "text": command}, {"type": "text", "text": command}, hook(command, "text"), 1,
        raw=b"Error: x\n    at y\n\xff\n" + b"x" * 10_000 + b"\n",
    )  # fmt: skip
    assert lines == []


async def test_a_line_without_end_does_not_fill_the_memory() -> None:
    lines, _ = await follow(*(hook("x" * 1500) for _ in range(4)))
    assert [len(line) for line in lines] == [2000, 2000]


ANSWERS = {
    "nothing": b"",
    "no JSON": b"Killed\n",
    "an error without reason": b'{"outcome": "error", "message": "Command failed: docker run -e A=canary-cli-90c2"}\n',
    "a list": b"[]\n",
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
async def test_an_answer_that_explains_nothing_shows_nothing(answer: bytes) -> None:
    _, output = await follow()
    with pytest.raises(UpstreamFailed) as caught:
        output.result(answer)
    assert caught.value.code == "devcontainer.up_failed"
    assert CANARY not in caught.value.message


async def test_a_failed_hook_without_exit_code_is_still_named() -> None:
    _, output = await follow()
    answer = b'{"outcome": "error", "description": "onCreateCommand from devcontainer.json failed."}\n'
    with pytest.raises(UpstreamFailed, match=r"^onCreateCommand failed\.$"):
        output.result(answer)
