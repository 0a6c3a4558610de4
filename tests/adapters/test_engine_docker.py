"""The Engine port on a real Docker engine."""

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import socket
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from tests.domain.test_codespace import CODESPACE
from tests.server import free_port
from tests.world import REGISTRY_PASSWORD, REGISTRY_USER, command_lines, engine_api, import_image, push

from berth.adapters import engine_docker_exec
from berth.adapters.engine_docker import DockerEngine
from berth.domain.codespace_environment import INSTALL_SCRIPT, installation_input
from berth.domain.image_reference import ImageReference, parse_digest, parse_image_reference
from berth.domain.problem import Conflict, NotFound, UpstreamFailed
from berth.domain.registry_credential import Anonymous, CredentialSource, RegistryCredential
from berth.domain.secret import SecretLevel
from berth.domain.secret_text import SecretText
from berth.services.codespace_exec import CodespaceExec
from berth.services.codespace_install import CodespaceInstaller
from berth.services.ports import ContainerStatus, ExecOutput, ExecResult, PullProgress

pytestmark = [pytest.mark.engine, pytest.mark.timeout(120)]

CANARY = "canary-engine-5b1f"


@pytest.fixture
def engine(docker_host: str) -> DockerEngine:
    return DockerEngine(docker_host)


async def make(docker_host: str, image: str, *, start: bool = True, tmpfs: bool = True, label: str = "") -> str:
    """A container that does nothing, made past the port: making is the CLI's part."""
    body = {
        "Image": image,
        "Cmd": ["sleep", "600"],
        "Labels": {"test": label or os.urandom(4).hex()},
        "HostConfig": {"Init": True, "Tmpfs": {"/run/codespaces": "mode=0755,size=16m"} if tmpfs else {}},
    }
    async with engine_api(docker_host) as api:
        container_id = str((await api.post("/containers/create", json=body)).raise_for_status().json()["Id"])
        if start:
            (await api.post(f"/containers/{container_id}/start")).raise_for_status()
    return container_id


@pytest.fixture
async def container(docker_host: str, engine: DockerEngine, busybox_image: str) -> AsyncIterator[str]:
    container_id = await make(docker_host, busybox_image)
    yield container_id
    await engine.remove_container(container_id)


async def limits(docker_host: str, container_id: str) -> tuple[int, int, int]:
    async with engine_api(docker_host) as api:
        host = (await api.get(f"/containers/{container_id}/json")).json()["HostConfig"]
    return host["NanoCpus"], host["Memory"], host["MemorySwap"]


async def test_a_containers_limits_are_changed_running_or_stopped(
    docker_host: str, engine: DockerEngine, container: str
) -> None:
    assert await limits(docker_host, container) == (0, 0, 0)
    await engine.limit_container(container, cpus=1, memory_bytes=2**28)
    assert await limits(docker_host, container) == (10**9, 2**28, 2**28)
    await engine.stop_container(container, timeout_s=0)
    for cpus, memory in ((2, 2**29), (1, 2**27)):
        await engine.limit_container(container, cpus=cpus, memory_bytes=memory)
        assert await limits(docker_host, container) == (cpus * 10**9, memory, memory)
    await engine.start_container(container)
    await engine.limit_container(container, cpus=0, memory_bytes=0)
    assert await limits(docker_host, container) == (10**9, 2**27, 2**27), "0 changes nothing"


async def test_limits_that_the_engine_does_not_take(engine: DockerEngine, container: str) -> None:
    with pytest.raises(UpstreamFailed) as refused:
        await engine.limit_container(container, cpus=4096, memory_bytes=0)
    assert refused.value.code == "engine.failed"
    assert "CPUs" in refused.value.message
    with pytest.raises(NotFound):
        await engine.limit_container("0" * 64, cpus=1, memory_bytes=0)


def connections() -> int:
    """How many sockets this process has open."""
    found = 0
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found += str(link.readlink()).startswith("socket:")
    return found


async def until_connections(count: int) -> None:
    async with asyncio.timeout(10):
        while connections() > count:
            await asyncio.sleep(0.02)


async def test_it_answers_with_its_version(engine: DockerEngine) -> None:
    assert (await engine.ping())[0].isdecimal()


@pytest.mark.parametrize("kind", ["no socket", "nobody listens", "it hangs up"])
async def test_an_engine_that_does_not_answer(kind: str) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        path = f"{folder}/s"
        server = None
        if kind == "nobody listens":
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(path)
        if kind == "it hangs up":
            server = await asyncio.start_unix_server(lambda _, writer: writer.close(), path)
        for call in (
            DockerEngine(f"unix://{path}").ping(),
            DockerEngine(f"unix://{path}").find_image("a"),
            DockerEngine(f"unix://{path}").execute("a", ["true"]),
            drain(DockerEngine(f"unix://{path}"), parse_image_reference("h.example/a:1")),
        ):
            with pytest.raises(UpstreamFailed) as caught:
                await call
            assert caught.value.code == "engine.unreachable"
        if server is not None:
            server.close()


@pytest.mark.parametrize(
    ("message", "code", "passing"),
    [
        (f"task {'0' * 64}: already exists", "container.stuck", True),
        ("id already in use", "container.stuck", True),
        ("OCI runtime create failed", "engine.failed", False),
    ],
    ids=["a task is left", "a container is left", "anything else"],
)
async def test_an_engine_that_has_not_cleared_up_after_a_kill(message: str, code: str, passing: bool) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = json.dumps({"message": message}).encode()
        head = f"HTTP/1.1 500 No\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        writer.close()

    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        server = await asyncio.start_unix_server(answer, f"{folder}/s")
        with pytest.raises(UpstreamFailed) as failed:
            await DockerEngine(f"unix://{folder}/s").start_container("a")
        server.close()
    assert (failed.value.code, failed.value.retryable) == (code, passing)


async def test_it_finds_an_image_with_its_labels(engine: DockerEngine, docker_host: str) -> None:
    await import_image(docker_host, "localhost/labelled", "1", labels={"a": "b"})
    found = await engine.find_image("localhost/labelled:1")
    assert found is not None
    assert found.labels == {"a": "b"}
    assert found.image_id.startswith("sha256:")
    assert found.architecture
    assert await engine.find_image("localhost/none:1") is None


async def test_it_lists_by_all_labels_and_tells_the_status(
    engine: DockerEngine, docker_host: str, busybox_image: str
) -> None:
    label = os.urandom(4).hex()
    made = [await make(docker_host, busybox_image, label=label, start=start) for start in (False, True, True)]
    other = await make(docker_host, busybox_image, label=f"{label}x", start=False)
    await engine.stop_container(made[2], timeout_s=1)
    found = await engine.list_containers({"test": label})
    assert sorted(one.container_id for one in found) == sorted(made)
    statuses = {one.container_id: one.status for one in found}
    assert [statuses[one] for one in made] == [ContainerStatus.CREATED, ContainerStatus.RUNNING, ContainerStatus.EXITED]
    assert found[0].labels["test"] == label
    assert not found[0].name.startswith("/")
    assert await engine.list_containers({"test": label, "other": "x"}) == ()
    async with engine_api(docker_host) as api:
        await api.post(f"/containers/{made[1]}/pause")
    (paused,) = [one for one in await engine.list_containers({"test": label}) if one.container_id == made[1]]
    assert paused.status is ContainerStatus.OTHER
    for one in [*made, other]:
        await engine.remove_container(one)
    assert await engine.list_containers({"test": label}) == ()


async def test_every_verb_may_be_repeated(engine: DockerEngine, container: str) -> None:
    for _ in range(2):
        await engine.start_container(container)
    for _ in range(2):
        await engine.stop_container(container, timeout_s=1)
    await engine.start_container(container)
    await asyncio.gather(*(engine.remove_container(container) for _ in range(3)))
    await engine.remove_container(container)
    await engine.stop_container(container, timeout_s=1)
    with pytest.raises(NotFound) as caught:
        await engine.start_container(container)
    assert caught.value.code == "container.gone"


async def test_exit_code_and_output(engine: DockerEngine, container: str) -> None:
    heard: list[ExecOutput] = []

    async def on_output(output: ExecOutput) -> None:
        heard.append(output)

    command = ["sh", "-c", "echo out; sleep 0.1; echo err >&2; exit 7"]
    result = await engine.execute(container, command, on_output=on_output)
    assert (result.exit_code, result.output) == (7, b"out\nerr\n")
    assert heard == [ExecOutput(is_stderr=False, data=b"out\n"), ExecOutput(is_stderr=True, data=b"err\n")]


async def test_standard_input_ends(engine: DockerEngine, container: str) -> None:
    assert (await engine.execute(container, ["cat"], stdin=b"to the end")).output == b"to the end"
    assert (await engine.execute(container, ["cat"], stdin=SecretText("secret"))).output == b"secret"
    assert (await engine.execute(container, ["cat"])).output == b""


async def test_much_input_and_output_at_once_is_cut_at_a_mebibyte(engine: DockerEngine, container: str) -> None:
    data = os.urandom(5_000_000)
    seen = hashlib.sha256()

    async def on_output(output: ExecOutput) -> None:
        seen.update(output.data)

    result = await engine.execute(container, ["cat"], stdin=data, on_output=on_output)
    assert result.exit_code == 0
    assert result.output == data[: 1024 * 1024]
    assert seen.digest() == hashlib.sha256(data).digest(), "on_output gets all of it"


async def test_a_command_that_reads_nothing_of_its_input(engine: DockerEngine, container: str) -> None:
    before = connections()
    assert (await engine.execute(container, ["true"], stdin=b"x" * 3_000_000)).exit_code == 0
    await until_connections(before)


async def test_a_command_that_leaves_another_one_running(engine: DockerEngine, container: str) -> None:
    async with asyncio.timeout(15):
        result = await engine.execute(container, ["sh", "-c", "sleep 60 & echo started"])
    assert (result.exit_code, result.output) == (0, b"started\n")


async def test_output_comes_while_the_command_runs(engine: DockerEngine, container: str) -> None:
    first = asyncio.Event()

    async def on_output(_output: ExecOutput) -> None:
        first.set()

    running = asyncio.create_task(engine.execute(container, ["sh", "-c", "echo a; sleep 2"], on_output=on_output))
    await asyncio.wait_for(first.wait(), 1.9)
    assert not running.done()
    assert (await running).exit_code == 0


async def test_an_error_of_the_listener_is_the_caller_s(engine: DockerEngine, container: str, docker_host: str) -> None:
    async def on_output(_output: ExecOutput) -> None:
        raise KeyError("mine")

    before = connections()
    with pytest.raises(KeyError, match="mine"):
        await engine.execute(container, ["cat"], stdin=b"x" * 500_000, on_output=on_output)
    await until_connections(before)


async def test_a_question_that_gets_no_answer_is_asked_again(
    docker_host: str, container: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a relay that loses the first question about the command."""
    monkeypatch.setattr(engine_docker_exec, "_INSPECT_TIMEOUT_S", 0.5)
    lost: list[bytes] = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        engine_reader, engine_writer = await asyncio.open_unix_connection(docker_host.removeprefix("unix://"))

        async def back() -> None:
            while data := await engine_reader.read(65536):
                writer.write(data)
            writer.close()

        backward = asyncio.create_task(back())
        while data := await reader.read(65536):
            if data.startswith(b"GET ") and b"/exec/" in data and not lost:
                lost.append(data)
            else:
                engine_writer.write(data)
        engine_writer.close()
        await backward

    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        server = await asyncio.start_unix_server(relay, f"{folder}/s")
        result = await DockerEngine(f"unix://{folder}/s").execute(container, ["sh", "-c", "exit 7"])
        server.close()
    assert (result.exit_code, len(lost)) == (7, 1)


async def test_user_folder_and_environment(engine: DockerEngine, container: str) -> None:
    script = "id -u; pwd; echo $A $B"
    result = await engine.execute(
        container,
        ["sh", "-c", script],
        user="dev",
        working_directory="/home/dev",
        environment={"A": "a b", "B": SecretText("secret")},
    )
    assert result.output == b"1000\n/home/dev\na b secret\n"


async def test_a_command_that_cannot_start_says_why(engine: DockerEngine, container: str) -> None:
    missing = await engine.execute(container, ["no-such-program"])
    assert missing.exit_code in {126, 127}
    assert b"no-such-program" in missing.output
    assert (await engine.execute(container, ["true"], working_directory="/no-such-folder")).exit_code in {126, 127}


async def test_no_container_to_run_in(engine: DockerEngine, container: str) -> None:
    with pytest.raises(NotFound) as gone:
        await engine.execute("no-such-container", ["true"])
    assert gone.value.code == "container.gone"
    await engine.stop_container(container, timeout_s=1)
    with pytest.raises(Conflict) as stopped:
        await engine.execute(container, ["true"])
    assert stopped.value.code == "container.not_running"


async def test_a_command_ends_with_its_container(engine: DockerEngine, container: str) -> None:
    started = asyncio.Event()

    async def on_output(_output: ExecOutput) -> None:
        started.set()

    call = asyncio.create_task(engine.execute(container, ["sh", "-c", "echo; sleep 600"], on_output=on_output))
    await started.wait()
    await engine.stop_container(container, timeout_s=0)
    assert (await call).exit_code == 137, "what CodespaceInstaller knows it by"


async def test_a_command_whose_container_is_removed(
    engine: DockerEngine, container: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It ended; there is nothing to be ended, and nothing to be said of that."""
    started = asyncio.Event()

    async def on_output(_output: bytes) -> None:
        started.set()

    codespace = replace(CODESPACE, container_id=container, remote_user="root")
    call = asyncio.create_task(
        CodespaceExec(engine).run(codespace, ["sh", "-c", "echo; sleep 600"], on_output=on_output)
    )
    await started.wait()
    await engine.remove_container(container)
    async with asyncio.timeout(30):
        [outcome] = await asyncio.gather(call, return_exceptions=True)
    # The engine forgets a command with its container, perhaps before it was asked for the exit code.
    assert outcome.exit_code == 137 if isinstance(outcome, ExecResult) else isinstance(outcome, NotFound)
    assert caplog.records == []


async def test_a_cancelled_call_leaves_no_connection(engine: DockerEngine, container: str, docker_host: str) -> None:
    before = connections()
    calls = [asyncio.create_task(engine.execute(container, ["sleep", "600"], stdin=b"x")) for _ in range(5)]
    async with asyncio.timeout(10):
        while connections() < before + 5:
            await asyncio.sleep(0.02)
    for call in calls:
        call.cancel()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    await until_connections(before)


async def test_l7_secrets_are_in_no_argument_list_and_no_inspection(
    engine: DockerEngine, container: str, docker_host: str
) -> None:
    lines: list[str] = []

    async def watch() -> None:
        while True:
            lines.extend(await asyncio.to_thread(command_lines))
            await asyncio.sleep(0.005)

    watching = asyncio.create_task(watch())
    marker = f"sleep 0.7; echo marker-{container[:8]}"
    environment = {"A": SecretText(CANARY)}
    result = await engine.execute(
        container, ["sh", "-c", f"{marker}; echo $A; cat"], environment=environment, stdin=CANARY.encode()
    )
    watching.cancel()
    assert result.output.decode().count(CANARY) == 2
    assert any(marker in line for line in lines), "the positive control: the command itself was seen"
    assert not any(CANARY in line for line in lines)
    async with engine_api(docker_host) as api:
        assert CANARY not in (await api.get(f"/containers/{container}/json")).text


# -- installing a codespace's environment, with the script of domain/codespace_environment.py


async def install(engine: DockerEngine, container: str, user: str, secret: str = CANARY) -> tuple[int, str]:
    stream = installation_input({"A": SecretText(secret)}, {"P": "${containerEnv:PATH}:/x"})
    command = ["/bin/sh", "-c", INSTALL_SCRIPT, "berth", user]
    result = await engine.execute(container, command, user="0", stdin=stream)
    return result.exit_code, result.output.decode()


async def log_in(engine: DockerEngine, container: str, user: str, password: str = CANARY) -> str:
    """What a start and a refresh do; what was said."""
    own = credential("berth.example", password)
    return " ".join(await CodespaceInstaller(engine).log_in(container, user, [own], own.password))


LOGIN = base64.b64encode(f"{REGISTRY_USER}:{CANARY}".encode()).decode()


async def run(engine: DockerEngine, container: str, script: str, user: str = "root") -> str:
    codespace = replace(CODESPACE, container_id=container, remote_user=user)
    return (await CodespaceExec(engine).run(codespace, ["sh", "-c", script])).output.decode()


@pytest.mark.parametrize(
    ("user", "home", "number"),
    [
        ("root", "/root", "0"),
        ("dev", "/home/dev", "1000"),
        ("1000", "/home/dev", "1000"),
        ("dev:dev", "/home/dev", "1000"),
    ],
)
async def test_l7_the_environment_is_there_for_its_user(
    engine: DockerEngine, container: str, user: str, home: str, number: str
) -> None:
    for secret in ("first", CANARY):  # as at the next start
        assert await install(engine, container, user, secret) == (0, "")
        assert await log_in(engine, container, user, secret) == ""
    said = await run(engine, container, "echo $A $P; cat ~/.docker/config.json", user)
    assert said.startswith(f"{CANARY} /bin:/x\n")
    assert json.loads(said.partition("\n")[2]) == {"auths": {"berth.example": {"auth": LOGIN}}}
    stat = "stat -c '%u %a' env docker docker/config.json fresh fresh/token"
    modes = [f"{number} {mode}" for mode in (400, 700, 600, 700, 600)]
    assert (await run(engine, container, f"cd /run/codespaces; {stat}")).splitlines() == modes
    assert await run(engine, container, f"readlink {home}/.docker; stat -c %u {home}/.docker") == (
        f"/run/codespaces/docker\n{number}\n"
    )
    profile = await engine.execute(container, ["sh", "-c", ". /etc/profile.d/zz-codespaces.sh; echo $A"], user=user)
    assert profile.output.decode() == f"{CANARY}\n"


async def test_another_user_reads_nothing(engine: DockerEngine, container: str) -> None:
    await install(engine, container, "root")
    await log_in(engine, container, "root")
    assert CANARY not in await run(engine, container, "cat /run/codespaces/*; echo $A; cat /etc/profile.d/*", "dev")
    assert CANARY not in await run(engine, container, "cd /run/codespaces; cat docker/* fresh/*", "dev")


async def test_c8_a_docker_config_of_the_user_s_own_is_merged(engine: DockerEngine, container: str) -> None:
    await run(engine, container, """mkdir ~/.docker; echo '{"proxies": {}}' > ~/.docker/config.json""", "dev")
    await install(engine, container, "dev")
    assert await log_in(engine, container, "dev") == ""
    merged = json.loads(await run(engine, container, "cat ~/.docker/config.json", "dev"))
    assert merged == {"proxies": {}, "auths": {"berth.example": {"auth": LOGIN}}}
    assert LOGIN not in await run(engine, container, "cat ~/.docker-own.json", "dev")


@pytest.mark.parametrize("planted", ["~/.docker", "~/.docker/config.json", "/run/codespaces/docker/config.json"])
async def test_c8_nobody_but_the_user_follows_links_that_he_made(
    engine: DockerEngine, container: str, planted: str
) -> None:
    await run(
        engine, container, "mkdir /secret; echo '{\"s\": 1}' > /secret/config.json; chmod 0600 /secret/config.json"
    )
    await install(engine, container, "dev")
    target = "/secret" if planted == "~/.docker" else "/secret/config.json"
    script = f"[ {planted} = ~/.docker ] || mkdir -p ~/.docker; ln -s {target} {planted}"
    await run(engine, container, script, "dev")
    assert await log_in(engine, container, "dev") != ""
    listed = "stat -c '%u %a %F' /secret /secret/config.json; ls -A /secret; cat /secret/config.json"
    assert await run(engine, container, listed) == ('0 755 directory\n0 600 regular file\nconfig.json\n{"s": 1}\n')
    assert '"s"' not in await run(engine, container, "cat /run/codespaces/docker/* ~/.docker/*", "dev"), (
        "nothing is read for him"
    )


async def test_secrets_are_gone_when_the_container_stops(engine: DockerEngine, container: str) -> None:
    await install(engine, container, "dev")
    await log_in(engine, container, "dev")
    await engine.stop_container(container, timeout_s=1)
    await engine.start_container(container)
    assert CANARY not in await run(engine, container, "echo $A; cat /run/codespaces/env ~/.docker/config.json", "dev")
    assert (await install(engine, container, "dev"))[0] == 0
    assert CANARY in await run(engine, container, "echo $A", "dev")


async def test_the_script_refuses(engine: DockerEngine, container: str, docker_host: str, busybox_image: str) -> None:
    assert (await install(engine, container, "nobody-here"))[0] == 4
    command = ["/bin/sh", "-c", INSTALL_SCRIPT, "berth", "dev"]
    cut = await engine.execute(container, command, user="0", stdin=b"----\nexport A=1\n")
    assert cut.exit_code == 5
    without = await make(docker_host, busybox_image, tmpfs=False)
    code, said = await install(engine, without, "dev")
    assert (code, CANARY in said) == (3, False)
    assert await run(engine, without, "ls /run/codespaces 2>/dev/null") == ""
    await engine.remove_container(without)


async def test_a_user_without_entry_gets_the_environment_only(engine: DockerEngine, container: str) -> None:
    assert (await install(engine, container, "77"))[0] == 0
    assert "no home" in await log_in(engine, container, "77")
    assert await run(engine, container, "echo $A", "77") == f"{CANARY}\n"


# -- pulling


async def drain(
    engine: DockerEngine,
    image: ImageReference,
    credential: RegistryCredential | Anonymous | None = None,
    token: SecretText | None = None,
) -> list[PullProgress]:
    return [progress async for progress in engine.pull(image, credential or Anonymous(), token)]


def credential(host: str, password: str = REGISTRY_PASSWORD) -> RegistryCredential:
    return RegistryCredential(
        host=host, user=REGISTRY_USER, password=SecretText(password), source=CredentialSource(SecretLevel.USER, "A")
    )


@pytest.fixture
async def pinned(docker_host: str, registry_host: str) -> ImageReference:
    """A private image that the registry has and the engine has not."""
    name = f"{registry_host}/team/pull-{os.urandom(3).hex()}"
    await import_image(docker_host, name, "1")
    await push(docker_host, f"{name}:1", REGISTRY_USER, REGISTRY_PASSWORD)
    digest = await manifest_digest(name, registry_host)
    return parse_image_reference(f"{name}:1").pinned(parse_digest(digest))


async def manifest_digest(name: str, registry_host: str) -> str:
    path = name.removeprefix(f"{registry_host}/")
    async with httpx.AsyncClient(auth=(REGISTRY_USER, REGISTRY_PASSWORD), trust_env=False) as client:
        headers = {"Accept": "application/vnd.docker.distribution.manifest.v2+json"}
        answer = await client.head(f"http://{registry_host}/v2/{path}/manifests/1", headers=headers)
    return str(answer.headers["Docker-Content-Digest"])


@pytest.mark.registry
async def test_it_pulls_by_digest_with_this_credential_only(engine: DockerEngine, pinned: ImageReference) -> None:
    with pytest.raises(UpstreamFailed) as anonymous:
        await drain(engine, pinned)
    assert anonymous.value.code == "image.pull_failed"
    steps = await drain(engine, pinned, credential(pinned.host))
    last = steps[-1]
    assert last.layers_done == last.layers_total == 1
    assert last.bytes_done == last.bytes_total
    assert [step.bytes_done for step in steps] == sorted(step.bytes_done for step in steps)
    assert await engine.find_image(pinned.pull_name) is not None
    again = await drain(engine, pinned, credential(pinned.host))
    assert len(again) >= 1
    for _ in range(2):  # the second time there is nothing to forget
        await engine.remove_image(pinned.pull_name)
        assert await engine.find_image(pinned.pull_name) is None


async def test_an_image_that_a_container_uses_is_not_forgotten(
    engine: DockerEngine, container: str, busybox_image: str
) -> None:
    await engine.remove_image(busybox_image)
    assert await engine.find_image(busybox_image) is not None
    await engine.start_container(container)


@pytest.mark.registry
async def test_a_failed_pull_says_why_and_no_secret(engine: DockerEngine, pinned: ImageReference) -> None:
    with pytest.raises(UpstreamFailed) as wrong:
        await drain(engine, pinned, credential(pinned.host, CANARY))
    assert CANARY not in wrong.value.message
    assert wrong.value.message.endswith(".")
    down = parse_image_reference(f"127.0.0.1:{free_port()}/a/b:1")
    with pytest.raises(UpstreamFailed, match="connection refused") as refused:
        await drain(engine, down)
    assert refused.value.retryable


ANSWERS = {
    "an error inside the stream": (b'{"status":"a"}\n{"errorDetail":{"message":"denied: x"}}\n', "image.pull_failed", "denied: x"),
    "a full disk": (b'{"error":"write /var/lib/x: no space left on device"}\n', "engine.disk_full", "disk is full"),
    "an early end": (b'{"status":"Pulling fs layer","id":"a"}\n', "image.pull_failed", "too early"),
    "an address with a login": (b'{"error":"Get https://u:canary-x@h.example/v2/?sig=canary-y: EOF"}\n', "image.pull_failed", "https://h.example/v2/"),
    "the password itself": (f'{{"error":"{REGISTRY_PASSWORD} is wrong"}}\n'.encode(), "image.pull_failed", "\\*{8} is wrong"),
}  # fmt: skip


@pytest.mark.parametrize(("stream", "code", "text"), ANSWERS.values(), ids=ANSWERS.keys())
async def test_what_an_engine_may_answer_to_a_pull(stream: bytes, code: str, text: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        body = b'{"ApiVersion": "1.41"}' if b"/version" in request else stream
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        async with await asyncio.start_unix_server(answer, f"{folder}/s"):
            with pytest.raises(UpstreamFailed, match=text) as caught:
                await drain(
                    DockerEngine(f"unix://{folder}/s"), parse_image_reference("h.example/a:1"), credential("h.example")
                )
    assert caught.value.code == code
    assert "canary" not in caught.value.message
    assert REGISTRY_PASSWORD not in caught.value.message


async def test_an_anonymous_pull_sends_no_login() -> None:
    requests: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        body = b'{"ApiVersion": "1.41", "status": "Status: done"}'
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
            % (len(body), body)
        )
        await writer.drain()
        writer.close()

    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        async with await asyncio.start_unix_server(answer, f"{folder}/s"):
            engine = DockerEngine(f"unix://{folder}/s")
            await drain(engine, parse_image_reference("h.example/a:1"))
            assert not any(b"registry-auth" in request.lower() for request in requests)
            await drain(engine, parse_image_reference("h.example/a:1"), credential("h.example"))
            assert any(b"registry-auth" in request.lower() for request in requests), "the positive control"


async def test_c7_with_a_token_the_engine_is_told_no_password() -> None:
    told: list[dict[str, str]] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        told.extend(
            json.loads(base64.urlsafe_b64decode(line.partition(":")[2]))
            for line in request.split("\r\n")
            if line.lower().startswith("x-registry-auth:")
        )
        body = b'{"ApiVersion": "1.41", "Arch": "aarch64", "error": "t0k-canary is too old"}'
        head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        async with await asyncio.start_unix_server(answer, f"{folder}/s"):
            engine, image = DockerEngine(f"unix://{folder}/s"), parse_image_reference("h.example/a:1")
            assert await engine.architecture() == "arm64"
            with pytest.raises(UpstreamFailed) as caught:
                await drain(engine, image, credential("h.example"), SecretText("t0k-canary"))
            with pytest.raises(UpstreamFailed):
                await drain(engine, image, credential("h.example"))
    assert "canary" not in caught.value.message
    with_token, control = told
    assert with_token["registrytoken"] == "t0k-canary"
    assert not {"username", "password", "auth"} & with_token.keys()
    assert control["password"] == REGISTRY_PASSWORD
