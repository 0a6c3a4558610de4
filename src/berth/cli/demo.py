"""`berth demo`: the main job for real, on this machine, and everything gone afterwards.

1. A Docker engine: the one that DOCKER_HOST or the usual socket leads to, otherwise one of the demo's own.
2. A third-party registry with a password, and Berth as a process of its own with embedded defaults; from here on only
   its public API is used, and `docker push`.
3. First act (`demo_own_image.py`): a private image in Berth's own registry, and no secret at all.
4. Second act (`demo_story.py`): a private image in the other registry, three secrets; three launches that fail, and why.

The demo asserts what it shows. Whatever happens, it removes what it made, and only that.
"""

import asyncio
import contextlib
import os
import secrets
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated
from urllib.parse import urlsplit

import httpx
import typer

from berth.adapters.engine_private import EngineNotStarted, PrivateEngine, find_engine
from berth.cli.demo_image import DemoEngine, ImageNotMade
from berth.cli.demo_own_image import OwnImageAct
from berth.cli.demo_registry import DemoRegistry, RegistryNotStarted
from berth.cli.demo_screen import Screen, Unexpected, expect
from berth.cli.demo_server import DemoServer, ServerNotStarted
from berth.cli.demo_stage import CONFIGURATION, ORGANIZATION, Stage
from berth.cli.demo_story import REPOSITORY, PrivateImage, Story
from berth.client import Client
from berth.domain.problem import Problem
from berth.domain.secret_text import SecretText

REGISTRY_USER = "robot"
PASSWORD_PREFIX = "demo-password-"  # noqa: S105 what the made-up password begins with, so that tests can look for it
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_GONE_TIMEOUT_S = 30.0
_POLL_INTERVAL_S = 0.1
_CHECKOUT = Path(__file__).resolve().parents[3]
_FAILURES = (Problem, EngineNotStarted, ImageNotMade, RegistryNotStarted, ServerNotStarted, Unexpected, httpx.HTTPError)


def run(
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running until Ctrl-C.")] = False,
) -> None:
    """Show Berth at work with private images. With no secret at all, and with three; who is refused, and why."""
    screen = Screen()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup has it ignored
            signal.signal(number, _end)
    try:
        with ExitStack() as stack:
            try:
                _perform(screen, stack, keep=keep)
            finally:
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                    signal.signal(number, signal.SIG_IGN)  # tidying up takes a few seconds and is not to be cut short
                screen.heading("Removing what the demo made")
        screen.say("Done: nothing is left running.")
    except KeyboardInterrupt:
        screen.say("Interrupted; everything that had been made is gone.")
        raise typer.Exit(130) from None
    except _FAILURES as failure:
        screen.heading(f"The demo failed: {failure}")
        if isinstance(failure, Problem) and failure.remedy:
            screen.say(failure.remedy)
        raise typer.Exit(1) from None


def _end(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _perform(screen: Screen, stack: ExitStack, *, keep: bool) -> None:
    screen.say(
        "Berth opens private images: its own with no secret at all, others with three. Everything below is real."
    )
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="berth-demo-", ignore_cleanup_errors=True)))
    runner = stack.enter_context(asyncio.Runner())
    screen.heading("On stage")
    engine = stack.enter_context(DemoEngine(_start_engine(screen, stack, runner)))
    image = _start_registry(screen, stack, runner)
    server = _start_server(screen, stack, directory, engine, image)
    token = server.read_token()
    stage = Stage(screen, stack.enter_context(Client(server.origin, token)), token)
    own = OwnImageAct(stage, engine)
    for name in (own.name, image.name):
        stack.callback(engine.remove_images, name)
    stack.callback(_delete_codespaces, screen, engine, stage)
    try:
        screen.heading("First act: a private image in Berth's own registry, and no secret at all")
        own.perform()
        screen.heading("Second act: a private image in another registry, and three secrets")
        _push_image(screen, engine, image)
        codespace = _tell(screen, Story(stage, image))
    except _FAILURES:
        screen.heading(f"The end of Berth's log ({server.log_file}, which is about to be removed)")
        screen.verbatim(server.log_tail())
        raise
    screen.table()
    if keep:
        _write_password(directory, image)
    _show_commands(screen, server, (own.reference, image), codespace, kept_in=directory if keep else None)
    if keep:
        _wait_for_interrupt(screen)


def _tell(screen: Screen, story: Story) -> str:
    """The scenes; the name of the codespace that runs at the end."""
    story.make_repository()
    story.store_triple()
    codespace = story.launch().name
    story.run_command(codespace)
    story.check_docker_config(codespace)
    screen.heading("Three ways to fail, and what Berth says")
    story.show_failures()
    return codespace


def _start_engine(screen: Screen, stack: ExitStack, runner: asyncio.Runner) -> str:
    """The DOCKER_HOST to use."""
    with screen.step("Docker engine") as step:
        named = os.environ.get("DOCKER_HOST")
        if named and not _is_local(named):
            screen.note(
                f"DOCKER_HOST is {named}: an engine on another machine, which can reach neither a registry on this "
                "machine's 127.0.0.1 nor the checkouts. The demo starts one of its own."
            )
            found = None
        else:
            found = runner.run(find_engine(named))
        if found is not None:
            docker_host, words = found, f"the one at {found}"
        else:
            docker_host, words = _start_private_engine(stack, runner)
        with DemoEngine(docker_host) as engine:
            version = engine.version
        step.done = f"Docker engine {version}: {words}"
        step.in_table = f"Docker {version}"
    return docker_host


def _is_local(docker_host: str) -> bool:
    return docker_host.startswith("unix://") or urlsplit(docker_host).hostname in _LOOPBACK


def _start_private_engine(stack: ExitStack, runner: asyncio.Runner) -> tuple[str, str]:
    """In the checkout's .cache, so that a second start is quick; elsewhere where that is taken or there is none."""
    if (_CHECKOUT / "pyproject.toml").exists():
        try:
            engine = stack.enter_context(_running(runner, PrivateEngine(_CHECKOUT / ".cache" / "engine")))
            return engine.docker_host, "started for the demo, kept in .cache/engine"
        except EngineNotStarted:
            pass  # another demo runs; if it is something else, the next attempt says so
    engine = stack.enter_context(_running(runner, PrivateEngine()))
    return engine.docker_host, "started for the demo"


@contextmanager
def _running(runner: asyncio.Runner, engine: PrivateEngine) -> Iterator[PrivateEngine]:
    runner.run(engine.__aenter__())
    try:
        yield engine
    finally:
        runner.run(engine.__aexit__(None, None, None))


def _start_registry(screen: Screen, stack: ExitStack, runner: asyncio.Runner) -> PrivateImage:
    with screen.step("Another registry") as step:
        password = SecretText(PASSWORD_PREFIX + secrets.token_urlsafe(12))
        registry = DemoRegistry({REGISTRY_USER: password.reveal()})
        runner.run(registry.__aenter__())
        stack.callback(lambda: runner.run(registry.__aexit__(None, None, None)))
        step.done = f"Debian's docker-registry on {registry.host}, with a password"
        step.in_table = registry.host
    name = f"{registry.host}/team/dev-{secrets.token_hex(2)}"
    return PrivateImage(name, "1", registry.host, REGISTRY_USER, password)


def _push_image(screen: Screen, engine: DemoEngine, image: PrivateImage) -> None:
    with screen.step("Image pushed there", f"Pushed {image.reference}") as step:
        engine.make_image(image.reference)
        try:
            engine.push(image.reference, image.user, image.password)
        except ImageNotMade as error:
            raise ImageNotMade(
                f"{error}. If the engine at {engine.docker_host} does not share this machine's 127.0.0.1 (a remote "
                "engine, a virtual machine), let the demo start its own: DOCKER_HOST=unix:///none berth demo"
            ) from error
        engine.remove_images(image.name)
        expect(not engine.has_image(image.reference), f"The engine still has {image.reference}.")
        screen.note("The engine has no copy any more; that registry gives it to nobody without the password.")
        status = httpx.get(f"http://{image.registry}/v2/", trust_env=False).status_code
        expect(status == 401, f"The registry answers {status} to a request without a password.")
        step.in_table = "only in the registry"


def _start_server(
    screen: Screen, stack: ExitStack, directory: Path, engine: DemoEngine, image: PrivateImage
) -> DemoServer:
    with screen.step("Berth started") as step:
        server = stack.enter_context(DemoServer(directory, engine.docker_host, image.registry))
        for name, value in server.settings.items():
            screen.note(f"{name}={value}")
        step.done = f"Berth is ready at {server.origin} (SQLite, one directory)"
        step.in_table = server.origin
    return server


def _delete_codespaces(screen: Screen, engine: DemoEngine, stage: Stage) -> None:
    """By Berth, as a user would; what is left after a while (it may be what failed) is removed from the engine."""
    screen.say("Codespaces, Berth, image, registry ...")
    with contextlib.suppress(Problem):
        stage.delete_codespaces()
        deadline = time.monotonic() + _GONE_TIMEOUT_S
        while engine.count_containers(stage.codespaces) and time.monotonic() < deadline:
            time.sleep(_POLL_INTERVAL_S)
    engine.remove_containers(stage.codespaces)


def _write_password(directory: Path, image: PrivateImage) -> None:
    path = directory / "registry-password"
    path.touch(mode=0o600)
    path.write_text(image.password.reveal(), encoding="utf-8")


def _show_commands(
    screen: Screen, server: DemoServer, images: tuple[str, PrivateImage], codespace: str, *, kept_in: Path | None
) -> None:
    """What to type to go on by hand: on what runs now, or how to get there. `images`: our own's name, and the other."""
    own, image = images
    berth = _berth_program()
    if kept_in is None:
        screen.heading("To go on by hand, keep everything running")
        screen.command(f"{berth} demo --keep")
        screen.say("It prints the commands to log in, run, create and fail yourself.")
        return
    screen.heading("To go on by hand, in another terminal")
    if berth.startswith("."):
        screen.command(f"cd {shlex.quote(str(Path.cwd()))}")
    token_file = shlex.quote(str(server.token_file))
    screen.command(f"{berth} login {server.origin} --token-file {token_file}")
    screen.say("or, for that terminal only:")
    for line in (
        f"export BERTH_HOST={server.origin} BERTH_TOKEN=$(cat {token_file})",
        f"{berth} codespace list",
        f"{berth} codespace exec {codespace} -- cat /etc/passwd",
        f"{berth} codespace create --repo {REPOSITORY}",
        f"{berth} secret list --org {ORGANIZATION}",
        f"{berth} registry list --repo {REPOSITORY}",
        f"{berth} registry add {image.registry} --prefix MINE --username {image.user} --repo {REPOSITORY} \\",
        f"    < {shlex.quote(str(kept_in / 'registry-password'))}",
        f"export DOCKER_HOST={server.settings['BERTH_DOCKER_HOST']}; docker ps",
    ):
        screen.command(line)
    screen.say(
        f"The private images are {own} and {image.reference}; each repository's file is {CONFIGURATION}. "
        f"Berth's log is {server.log_file}. Afterwards forget the login: {berth} logout"
    )


def _berth_program() -> str:
    program = Path(sys.executable).with_name("berth")
    if shutil.which("berth") == str(program) and "VIRTUAL_ENV" not in os.environ:  # another terminal may lack it
        return "berth"
    cwd = Path.cwd()
    if not program.is_relative_to(cwd):
        return shlex.quote(str(program))
    near = str(program.relative_to(cwd))
    return shlex.quote(near if near.startswith(".") else f"./{near}")


def _wait_for_interrupt(screen: Screen) -> None:
    screen.heading("Everything stays up until you press Ctrl-C here.")
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(3600)
