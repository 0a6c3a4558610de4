"""What a launch by Berth adds to what the tools alone take, with a warm image, measured side by side.

A: `docker pull` (with a login, image present) + `docker run -d` + `devcontainer up`, each a real command.
B: POST .../codespaces until the state is Available: everything that Berth does, these tools' work included.

Rounds go A B A B ...; medians are compared. Exit status 1 if the bar is not held: B <= A + 1.0 s.
"""

import argparse
import asyncio
import base64
import json
import os
import statistics
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from berth.adapters.engine_private import PrivateEngine
from berth.cli.demo_image import DemoEngine
from berth.cli.demo_registry import DemoRegistry
from berth.cli.demo_server import DemoServer
from berth.client import Client, SecretOwner
from berth.domain.secret_text import SecretText

ROOT = Path(__file__).resolve().parent.parent
CLI = ROOT / "node_modules" / "@devcontainers" / "cli" / "devcontainer.js"
NODE = ROOT / ".venv" / "bin" / "node"
BAR_S = 1.0
USER, PASSWORD = "robot", "a-password-for-measuring"
REPOSITORY = "acme/webapp"


@contextmanager
def running(runner, thing):
    runner.run(thing.__aenter__())
    try:
        yield thing
    finally:
        runner.run(thing.__aexit__(None, None, None))


class Tools:
    """A: the three commands, in an environment that holds a login to the registry."""

    def __init__(self, folder, engine, image):
        self.folder, self.engine, self.image = folder, engine, image
        config = folder / "docker"
        config.mkdir()
        auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        (config / "config.json").write_text(json.dumps({"auths": {image.partition("/")[0]: {"auth": auth}}}))
        # Without this file the CLI asks the internet at each call, which would flatter Berth.
        manifest = folder / "devcontainercli-root" / "control-manifest.json"
        manifest.parent.mkdir()
        manifest.write_text('{"disallowedFeatures":[],"featureAdvisories":[]}')
        os.utime(manifest, (2e9, 2e9))
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "USER": "root",
            "DOCKER_HOST": engine.docker_host,
            "DOCKER_CONFIG": str(config),
        }

    def timed(self, *command):
        started = time.perf_counter()
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - started
        if done.returncode != 0:
            raise SystemExit(f"{command[0]} failed: {done.stdout}{done.stderr}")
        return seconds, done.stdout

    def launch(self):
        workspace = Path(tempfile.mkdtemp(dir=self.folder))
        (workspace / ".devcontainer").mkdir()
        (workspace / ".devcontainer" / "devcontainer.json").write_text(json.dumps({"image": self.image}))
        pull, _ = self.timed("docker", "pull", self.image)
        run, container = self.timed("docker", "run", "-d", "--init", self.image, "sleep", "3600")
        up, answer = self.timed(
            str(NODE), str(CLI), "up", "--workspace-folder", str(workspace), "--id-label", f"bench={workspace.name}",
            "--log-format", "json", "--no-lockfile",
        )  # fmt: skip
        self.timed("docker", "rm", "-f", container.strip(), json.loads(answer)["containerId"])
        return {"docker pull": pull, "docker run -d": run, "devcontainer up": up, "A, the sum": pull + run + up}


class Berth:
    """B: the API alone."""

    def __init__(self, server, engine, image):
        self.client, self.engine = Client(server.origin, server.read_token()), engine
        self.client.create_organization("acme", "admin")
        self.client.create_repository(REPOSITORY, private=True)
        content = base64.b64encode(json.dumps({"image": image}).encode()).decode()
        httpx.put(
            f"{server.origin}/api/v3/repos/{REPOSITORY}/contents/.devcontainer/devcontainer.json",
            headers={"Authorization": f"token {server.read_token().reveal()}"},
            json={"message": "dev container", "content": content},
            trust_env=False,
        ).raise_for_status()
        for part, value in (("SERVER", image.partition("/")[0]), ("USER", USER), ("PASSWORD", PASSWORD)):
            name = f"CORP_CONTAINER_REGISTRY_{part}"
            self.client.set_secret(SecretOwner.organization("acme"), name, SecretText(value), visibility="all")

    def launch(self):
        started = time.perf_counter()
        name = self.client.create_codespace(REPOSITORY).name
        while (codespace := self.client.get_codespace(name)).state not in {"Available", "Failed"}:
            time.sleep(0.01)
        seconds = time.perf_counter() - started
        if codespace.state != "Available":
            raise SystemExit(f"the codespace is {codespace.state}: {codespace.finding}")
        self.client.delete_codespace(name)
        while self.engine.count_containers([name]):
            time.sleep(0.05)
        return {"B, POST to Available": seconds}


def measure(rounds):
    times = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="berth-bench-")))
        runner = stack.enter_context(asyncio.Runner())
        private = stack.enter_context(running(runner, PrivateEngine()))
        registry = stack.enter_context(running(runner, DemoRegistry({USER: PASSWORD})))
        engine = stack.enter_context(DemoEngine(private.docker_host))
        image = f"{registry.host}/team/dev:1"
        engine.make_image(image)
        engine.push(image, USER, SecretText(PASSWORD))
        server = stack.enter_context(DemoServer(folder, private.docker_host, registry.host))
        a, b = Tools(folder, private, image), Berth(server, engine, image)
        a.launch(), b.launch()  # warm
        for _ in range(rounds):
            for name, seconds in (a.launch() | b.launch()).items():
                times.setdefault(name, []).append(seconds)
    return times


def machine():
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), ": unknown")
    return f"{len(os.sched_getaffinity(0))} cores, {model.partition(':')[2].strip()}, load {os.getloadavg()[0]:.1f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="of each; at least 7 for a result that counts")
    rounds = parser.parse_args().rounds
    times = measure(rounds)
    table = Table(title=f"Launch with a warm image: {rounds} rounds each, interleaved", title_justify="left")
    for column in ("what", "median s", "least s", "most s"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for name, values in times.items():
        table.add_row(name, *(f"{value:.3f}" for value in (statistics.median(values), min(values), max(values))))
    console = Console(highlight=False)
    console.print(table)
    a, b = (statistics.median(times[name]) for name in ("A, the sum", "B, POST to Available"))
    console.print(f"Berth adds {b - a:+.3f} s; ratio B/A {b / a:.2f}; bar: at most +{BAR_S:.1f} s")
    up = statistics.median(times["devcontainer up"])
    console.print(f"Over `devcontainer up` alone: {b - up:+.3f} s; ratio {b / up:.2f}")
    console.print(f"Machine: {machine()}")
    raise SystemExit(b - a > BAR_S)


if __name__ == "__main__":
    main()
