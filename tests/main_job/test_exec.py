"""Getting into a codespace for real: a server, an engine, a container, and commands that somebody talks to (S7)."""

import asyncio
import base64
import fcntl
import hashlib
import os
import pty
import secrets
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from tests.server import free_port, fresh_name
from tests.world import World, command_lines, put_secret

from berth.adapters.engine_docker import DockerEngine
from berth.client import Client
from berth.client.command import RemoteCommand
from berth.domain.exec_frame import Channel, Start, TerminalSize
from berth.domain.problem import Problem, Unauthenticated
from berth.domain.secret_text import SecretText

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180), pytest.mark.asyncio(loop_scope="session")]
SECRET = f"canary-{secrets.token_hex(12)}"
MIB = 1024 * 1024


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def codespace(world: World) -> AsyncIterator[str]:
    """One that runs, with a secret."""
    async with world.server.api() as api:
        answer = await put_secret(api, f"/repos/{world.repository}/codespaces/secrets/EXEC_CANARY", SECRET)
        assert answer.status_code in {201, 204}, answer.text
        name = str((await api.post(f"/repos/{world.repository}/codespaces", json={})).json()["name"])
        body = await world.server.until_at_rest(api, name)
        assert body["state"] == "Available", body
        yield name
        await api.delete(f"/user/codespaces/{name}")


def client(world: World, token: str | None = None) -> Client:
    return Client(world.server.url, SecretText(token or world.server.admin_token))


async def finish(command: RemoteCommand) -> tuple[int, bytes, bytes]:
    """Exit code, standard output, standard error."""
    texts = {Channel.STDOUT: b"", Channel.STDERR: b""}
    while (data := await command.read()) is not None:
        texts[data.channel] += data.content
    return command.exit_code, texts[Channel.STDOUT], texts[Channel.STDERR]


async def run(world: World, name: str, *words: str, stdin: bytes | None = None) -> tuple[int, bytes, bytes]:
    with client(world) as calls:
        async with calls.open_command(name, Start(command=words)) as command:
            if stdin is not None:
                feeding = asyncio.create_task(feed(command, stdin))
                result = await finish(command)
                await feeding
                return result
            return await finish(command)


async def feed(command: RemoteCommand, stdin: bytes) -> None:
    await command.write(stdin)
    await command.end_input()


async def test_output_error_and_exit_code_come_apart(world: World, codespace: str) -> None:
    said = await run(world, codespace, "sh", "-c", "echo out; echo err >&2; exit 7")
    assert said == (7, b"out\n", b"err\n")
    assert (await run(world, codespace, "true"))[0] == 0
    code, _, error = await run(world, codespace, "no-such-program")
    assert (code, b"no-such-program" in error) == (127, True)


@pytest.mark.slow
async def test_user_folder_and_environment_are_the_codespace_s(world: World, codespace: str) -> None:
    script = "id -un; pwd; echo $CODESPACE_NAME; echo $EXEC_CANARY"
    code, out, _ = await run(world, codespace, "sh", "-c", script)
    user, folder, name, value = out.decode().split()
    assert (code, name, value) == (0, codespace, SECRET)
    assert user == "root"
    assert folder == "/workspaces/webapp"


@pytest.mark.slow
async def test_s7_a_secret_is_in_no_argument_list_of_the_host(world: World, codespace: str) -> None:
    with client(world) as calls:
        async with calls.open_command(
            codespace, Start(command=("sh", "-c", "echo $EXEC_CANARY; sleep 731"))
        ) as command:
            said = await command.read()
            lines = command_lines()
            assert said is not None
            assert said.content.decode().strip() == SECRET
            assert any("sleep 731" in line for line in lines)  # we would see it
            assert not [line for line in lines if SECRET in line]


@pytest.mark.slow
async def test_five_megabytes_go_there_and_come_back(world: World, codespace: str) -> None:
    content = os.urandom(5 * MIB)
    code, out, _ = await run(world, codespace, "cat", stdin=content)
    assert code == 0
    assert hashlib.sha256(out).digest() == hashlib.sha256(content).digest()


@pytest.mark.slow
async def test_the_end_of_stdin_arrives(world: World, codespace: str) -> None:
    assert (await run(world, codespace, "wc", "-c", stdin=b""))[1].strip() == b"0"
    assert (await run(world, codespace, "wc", "-c", stdin=b"abc\0\xff"))[1].strip() == b"5"


@pytest.mark.slow
async def test_a_command_that_reads_nothing_ends_all_the_same(world: World, codespace: str) -> None:
    code, out, _ = await run(world, codespace, "echo", "done", stdin=b"")
    assert (code, out) == (0, b"done\n")


async def test_a_terminal_has_its_size_and_gets_new_ones(world: World, codespace: str) -> None:
    size = TerminalSize(31, 97)
    known = 'until [ -n "$(busybox stty size 2>/dev/null)" ]; do sleep 0.1; done'  # it comes a moment after the start
    script = f"{known}; busybox stty size; echo $TERM; read line; busybox stty size; exit 3"
    with client(world) as calls:
        start = Start(command=("sh", "-c", script), size=size, term="xterm-256color")
        async with calls.open_command(codespace, start) as command:
            said = b""
            while said.count(b"\n") < 2:
                data = await command.read()
                assert data is not None
                said += data.content
            for rows in range(2, 1000):
                await command.resize(TerminalSize(rows, 50))
            await command.resize(TerminalSize(40, 120))
            await asyncio.sleep(1)
            await command.write(b"\n")
            code, rest, _ = await finish(command)
    assert said == b"31 97\r\nxterm-256color\r\n"
    assert (code, rest.strip()) == (3, b"40 120")


async def test_who_is_gone_leaves_no_process(world: World, codespace: str) -> None:
    marks = [f"{number}" for number in (743001, 743002, 743003)]
    script = f"trap '' HUP; sleep {marks[0]} & sleep {marks[1]}"
    plain, terminal = Start(command=("sh", "-c", script)), Start(command=("sleep", marks[2]), size=TerminalSize(24, 80))
    with client(world) as calls:
        async with calls.open_command(codespace, plain), calls.open_command(codespace, terminal):
            await world.until(lambda: seen(marks, 3))
        await world.until(lambda: seen(marks, 0), 60)


async def test_a_client_of_a_request_that_is_gone_leaves_no_process(world: World, codespace: str) -> None:
    """POST …/exec. It does not hear the hang-up, and has a child."""
    marks = [f"{number}" for number in (743011, 743012)]
    script = f"trap '' HUP; sleep {marks[0]} & sleep {marks[1]}"
    async with world.server.api() as api:
        asking = asyncio.create_task(ask(api, codespace, script))
        await world.until(lambda: seen(marks, 2))
        assert (await ask(api, codespace, "echo $$ >&2; exit 3"))[0] == 3, "the server has time for others"
        assert await seen(marks, 2), "and it goes on as long as somebody waits for it"
        asking.cancel()
        await world.until(lambda: seen(marks, 0))


async def ask(api: httpx.AsyncClient, name: str, script: str) -> tuple[int, bytes]:
    """By POST: exit code, and output with errors."""
    answer = await api.post(f"/user/codespaces/{name}/exec", json={"command": ["sh", "-c", script]})
    assert answer.status_code == 200, answer.text
    return answer.json()["exit_code"], base64.b64decode(answer.json()["output"])


async def test_a_request_gets_all_output_in_order_and_an_exit_code_of_what_cannot_start(
    world: World, codespace: str
) -> None:
    async with world.server.api() as api:
        assert await ask(api, codespace, "echo a; sleep 0.1; echo b >&2; sleep 0.1; echo c; exit 7") == (
            7,
            b"a\nb\nc\n",
        )
        assert await ask(api, codespace, "cat; ls -l /proc/self/fd/0 | grep -c /dev/null") == (0, b"1\n"), "no input"
        missing = await api.post(f"/user/codespaces/{codespace}/exec", json={"command": ["no-such-program"]})
        assert missing.json()["exit_code"] == 127
        assert base64.b64decode(missing.json()["output"]) == b"berth: exec: line 0: no-such-program: not found\n"
        assert await ask(api, codespace, "mv /bin/sh /bin/moved-shell") == (0, b"")
        try:
            none = await api.post(f"/user/codespaces/{codespace}/exec", json={"command": ["true"]})
        finally:
            (container,) = [
                one for one in await world.containers() if one["Labels"]["dev.berth.codespace"] == codespace
            ]
            back = ["/bin/busybox", "mv", "/bin/moved-shell", "/bin/sh"]
            assert (await DockerEngine(world.docker_host).execute(container["Id"], back)).exit_code == 0
        assert (none.status_code, none.json()["exit_code"] in {126, 127}) == (200, True)
        assert b"/bin/sh" in base64.b64decode(none.json()["output"])


@pytest.mark.slow
async def test_a_server_that_stops_leaves_no_process(world: World, codespace: str) -> None:
    """It gives a request five seconds, then ends the command before it ends itself."""
    async with world.server.api() as api:
        command = ["sh", "-c", "trap '' HUP; sleep 743021"]
        asking = asyncio.create_task(api.post(f"/user/codespaces/{codespace}/exec", json={"command": command}))
        await world.until(lambda: seen(["743021"], 1))
        await world.server.stop()
        assert await seen(["743021"], 0)
        (answer,) = await asyncio.gather(asking, return_exceptions=True)
        assert isinstance(answer, httpx.HTTPError) or (isinstance(answer, httpx.Response) and answer.is_server_error)
    await world.server.start()
    async with world.server.api() as api:
        await world.server.until_at_rest(api, codespace)
        assert await ask(api, codespace, "echo again") == (0, b"again\n")


async def seen(marks: list[str], number: int) -> bool:
    return sum(any(line.startswith(f"sleep {mark}") for line in command_lines()) for mark in marks) == number


@pytest.mark.slow
async def test_who_reads_nothing_makes_the_command_wait(world: World, codespace: str) -> None:
    """Not the server: its memory stays as it is while 1 GiB waits behind a caller who does not read."""
    with client(world) as calls:
        script = "head -c 1073741824 /dev/zero; echo never"
        async with calls.open_command(codespace, Start(command=("sh", "-c", script))) as command:
            await command.read()
            before = memory_kib(world)
            await asyncio.sleep(3)
            assert memory_kib(world) - before < 4096
            assert len(command._output) <= 256  # a window's worth


def memory_kib(world: World) -> int:
    assert world.server.process is not None
    lines = Path(f"/proc/{world.server.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


@pytest.mark.slow
async def test_a_stop_ends_it_and_says_so(world: World) -> None:
    async with world.server.api() as api:
        name = str((await api.post(f"/repos/{world.repository}/codespaces", json={})).json()["name"])
        await world.server.until_at_rest(api, name)
        with client(world) as calls:
            async with calls.open_command(name, Start(command=("sleep", "747001"))) as command:
                await world.until(lambda: seen(["747001"], 1))
                await api.post(f"/user/codespaces/{name}/stop")
                with pytest.raises(Problem, match="The codespace was stopped") as caught:
                    async with asyncio.timeout(30):
                        await finish(command)
        assert caught.value.code == "exec.stopped"
        with client(world) as calls, pytest.raises(Problem) as refused:
            async with calls.open_command(name, Start(command=("true",))):
                pass
        assert refused.value.code == "codespace.not_running"
        await api.delete(f"/user/codespaces/{name}")


@pytest.mark.slow
async def test_a_revoked_token_ends_it_within_ten_seconds(world: World, codespace: str) -> None:
    async with world.server.api() as api:
        made = (
            await api.post("/user/tokens", json={"note": fresh_name("exec"), "scopes": ["codespace", "repo"]})
        ).json()
        with client(world, made["token"]) as calls:
            async with calls.open_command(codespace, Start(command=("sleep", "744001"))) as command:
                await world.until(lambda: seen(["744001"], 1))
                assert (await api.delete(f"/user/tokens/{made['id']}")).status_code == 204
                with pytest.raises(Unauthenticated, match="revoked"):
                    async with asyncio.timeout(10):
                        await finish(command)
            await world.until(lambda: seen(["744001"], 0), 60)


def cli(world: World, *words: str) -> tuple[list[str], dict[str, str]]:
    """`berth codespace …` and its environment."""
    login = {"BERTH_HOST": world.server.url, "BERTH_TOKEN": world.server.admin_token, "TERM": "xterm-256color"}
    return [sys.executable, "-m", "berth", "codespace", *words], {"PATH": os.environ["PATH"], **login}


async def berth(world: World, *words: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
    command, environment = cli(world, *words)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdin=pipe, stdout=pipe, stderr=pipe)
    out, err = await process.communicate(stdin)
    return process.returncode or 0, out, err


@pytest.mark.slow
async def test_the_command_line_is_a_pipe(world: World, codespace: str) -> None:
    script = "cat; echo err >&2; exit 9"
    content = os.urandom(5 * MIB)
    code, out, err = await berth(world, "exec", "-i", codespace, "--", "sh", "-c", script, stdin=content)
    assert (code, err) == (9, b"err\n")
    assert hashlib.sha256(out).digest() == hashlib.sha256(content).digest()


@pytest.mark.slow
async def test_the_command_line_hands_on_no_stdin_unless_told(world: World, codespace: str) -> None:
    assert await berth(world, "exec", codespace, "--", "wc", "-c", stdin=b"abc") == (0, b"0\n", b"")


@pytest.mark.slow
async def test_the_command_line_in_a_script_has_no_terminal(world: World, codespace: str) -> None:
    code, _, err = await berth(world, "shell", codespace)
    assert (code, b"This is no terminal." in err) == (2, True)


@pytest.mark.slow
async def test_the_command_line_says_why_it_may_not(world: World, codespace: str) -> None:
    code, _, err = await berth(world, "exec", "no-such-codespace", "--", "true")
    assert (code, b"There is no such codespace." in err) == (1, True)


@pytest.mark.slow
async def test_a_command_line_that_is_killed_leaves_no_process(world: World, codespace: str) -> None:
    command, environment = cli(world, "exec", codespace, "--", "sleep", "745001")
    process = await asyncio.create_subprocess_exec(*command, env=environment)
    await world.until(lambda: seen(["745001"], 1))
    process.kill()
    await process.wait()
    await world.until(lambda: seen(["745001"], 0), 60)


@pytest.mark.slow
async def test_a_reader_who_has_enough(world: World, codespace: str) -> None:
    """`berth codespace exec … | head -c 5`"""
    command, environment = cli(world, "exec", codespace, "--", "sh", "-c", "cat /dev/zero; sleep 745002")
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    await process.stdout.readexactly(5)
    process.stdout._transport.close()  # type: ignore[attr-defined]
    async with asyncio.timeout(20):
        assert await process.wait() == 141


@pytest.mark.slow
async def test_a_shell_in_a_terminal(world: World, codespace: str) -> None:
    """On a terminal of ours: raw, with its size, with a new size, and left as it was."""
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))
    before = termios.tcgetattr(side)
    command, environment = cli(world, "shell", codespace)
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdin=side, stdout=side, stderr=side, start_new_session=True
    )
    try:
        await say_and_see(main, b"busybox stty size; echo $TERM\n", b"33 99\r\nxterm-256color")
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 44, 111, 0, 0))
        process.send_signal(signal.SIGWINCH)
        await asyncio.sleep(1)
        await say_and_see(main, b"busybox stty size\n", b"44 111")
        await say_and_see(main, b"sleep 745003\n", b"sleep 745003")
        await world.until(lambda: seen(["745003"], 1))
        await say_and_see(main, b"\x03", b"^C")  # not our end: the command's
        await world.until(lambda: seen(["745003"], 0))
        await say_and_see(main, b"exit 5\n", b"exit 5")
        async with asyncio.timeout(20):
            assert await process.wait() == 5
        assert termios.tcgetattr(side) == before
    finally:
        if process.returncode is None:
            process.kill()
        os.close(main)
        os.close(side)


async def say_and_see(terminal: int, text: bytes, expected: bytes) -> None:
    os.write(terminal, text)
    said = b""
    async with asyncio.timeout(20):
        while expected not in said:
            said += await asyncio.to_thread(os.read, terminal, 4096)


def ssh_options(world: World, home: Path) -> tuple[list[str], dict[str, str]]:
    """A configuration as a person has it, and the environment that OpenSSH's programs run in."""
    login = {"BERTH_HOST": world.server.url, "BERTH_TOKEN": world.server.admin_token, "XDG_CONFIG_HOME": str(home)}
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), **login}
    command = [sys.executable, "-m", "berth", "codespace", "ssh-config"]
    made = subprocess.run(command, env=environment, capture_output=True, check=True)
    (home / "config").write_bytes(made.stdout)
    return ["-F", str(home / "config")], environment


async def openssh(environment: dict[str, str], *command: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdin=pipe, stdout=pipe, stderr=pipe)
    async with asyncio.timeout(60):
        out, err = await process.communicate(stdin)
    return process.returncode or 0, out, err


@pytest.mark.slow
@pytest.mark.timeout(180)  # five clients of two programs each, one after the other
async def test_openssh_runs_commands(world: World, codespace: str, tmp_path: Path) -> None:
    options, environment = ssh_options(world, tmp_path)
    ssh = ["ssh", *options, codespace]
    assert await openssh(environment, *ssh, "echo $CODESPACE_NAME; echo err >&2; exit 7") == (
        7,
        codespace.encode() + b"\n",
        b"err\n",
    )
    code, out, _ = await openssh(environment, *ssh, "sh", "-s", stdin=b"echo from stdin; pwd\n")
    assert (code, out) == (0, b"from stdin\n/workspaces/webapp\n")
    content = os.urandom(MIB)
    assert (await openssh(environment, *ssh, "cat", stdin=content))[:2] == (0, content)
    assert (tmp_path / "berth" / "ssh" / "host_key").stat().st_mode & 0o777 == 0o600
    code, out, _ = await openssh(environment, *ssh, "-tt", "busybox stty size; tty", stdin=b"")
    assert code == 0


@pytest.mark.slow
async def test_openssh_that_is_killed_leaves_no_process(world: World, codespace: str, tmp_path: Path) -> None:
    options, environment = ssh_options(world, tmp_path)
    process = await asyncio.create_subprocess_exec("ssh", *options, codespace, "sleep 746001", env=environment)
    await world.until(lambda: seen(["746001"], 1))
    process.kill()
    await process.wait()
    await world.until(lambda: seen(["746001"], 0), 60)


@pytest.mark.slow
async def test_openssh_forwards_only_to_the_codespace(world: World, codespace: str, tmp_path: Path) -> None:
    """With -L: busybox nc serves one connection in the codespace."""
    options, environment = ssh_options(world, tmp_path)
    here, elsewhere, there = free_port(), free_port(), 8123
    serve = f"printf 'HTTP/1.0 200 OK\\r\\n\\r\\nhello' | busybox nc -l -p {there}"
    forwards = ["-L", f"127.0.0.1:{here}:localhost:{there}", "-L", f"127.0.0.1:{elsewhere}:10.0.0.1:80"]
    process = await asyncio.create_subprocess_exec(
        "ssh", *options, *forwards, codespace, serve, env=environment, stderr=asyncio.subprocess.PIPE
    )
    try:
        assert (await until_answered(here)).endswith(b"hello")
        with suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", elsewhere)
            assert await reader.read() == b""
            writer.close()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def until_answered(port: int) -> bytes:
    async with asyncio.timeout(30):
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"GET / HTTP/1.0\r\n\r\n")
                said = await reader.read()
                writer.close()
            except OSError:
                said = b""
            if said:
                return said
            await asyncio.sleep(0.2)


@pytest.mark.slow
async def test_a_port_of_the_codespace_is_one_of_ours(world: World, codespace: str) -> None:
    here, there = free_port(), 8124
    command, environment = cli(world, "ports", "forward", codespace, f"{here}:{there}")
    forwarding = await asyncio.create_subprocess_exec(*command, env=environment, stderr=asyncio.subprocess.PIPE)
    serve = f"while true; do printf 'HTTP/1.0 200 OK\\r\\n\\r\\nhello' | busybox nc -l -p {there}; done"
    try:
        with client(world) as calls:
            async with calls.open_command(codespace, Start(command=("sh", "-c", serve))):
                for _ in range(3):
                    assert (await until_answered(here)).endswith(b"hello")
    finally:
        forwarding.kill()
        await forwarding.wait()


@pytest.mark.slow
@pytest.mark.parametrize("way", [(), ("-O",)], ids=["sftp", "scp's old protocol"])
async def test_scp_copies_both_ways(world: World, codespace: str, tmp_path: Path, way: tuple[str, ...]) -> None:
    """An unmodified scp; this image has neither sftp-server nor scp, so only the first can work."""
    options, environment = ssh_options(world, tmp_path)
    scp = ["scp", *options, *way]
    content = os.urandom(MIB + 17)
    (tmp_path / "there").write_bytes(content)
    (tmp_path / "there").chmod(0o750)
    code, _, err = await openssh(environment, *scp, "-p", str(tmp_path / "there"), f"{codespace}:/tmp/copied file")
    if way:
        assert (code, b"not found" in err) == (1, True)
        return
    assert (code, err) == (0, b"")
    _, said, _ = await run(world, codespace, "stat", "-c", "%a %s", "/tmp/copied file")
    assert said == f"750 {len(content)}\n".encode()
    code, _, err = await openssh(environment, *scp, f"{codespace}:/tmp/copied file", str(tmp_path / "back"))
    assert (code, err) == (0, b"")
    assert (tmp_path / "back").read_bytes() == content
    code, _, err = await openssh(environment, *scp, f"{codespace}:/no/such/file", str(tmp_path / "none"))
    assert (code, b"No such file" in err) == (1, True)


@pytest.mark.slow
async def test_scp_copies_folders(world: World, codespace: str, tmp_path: Path) -> None:
    options, environment = ssh_options(world, tmp_path)
    tree = {"a": b"1", "b c/d": b"2" * 70000, "b c/.hidden": b""}
    for name, content in tree.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    scp = ["scp", *options, "-r"]
    assert (await openssh(environment, *scp, str(tmp_path / "tree"), f"{codespace}:tree"))[0] == 0
    assert (await openssh(environment, *scp, f"{codespace}:tree", str(tmp_path / "again")))[0] == 0
    assert {name: (tmp_path / "again" / name).read_bytes() for name in tree} == tree
