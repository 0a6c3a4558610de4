"""A launch from a prebuild beside a launch of the same configuration without one, on the same engine.

Each round makes two repositories with the same Dockerfile, whose two steps take six seconds each and leave a layer of 64 MiB.
One has a prebuild. No layer is shared between repositories, so the other one is built from its first step, as at a first launch.
The prebuild's image is taken out of the engine before the launch, as on a machine that did not build it; a second launch
finds it there. Medians are compared. Exit status 1 if the bar is not held: the first of these is at least twice as fast.
"""

import argparse
import asyncio
import base64
import json
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
from launch import PASSWORD, USER, machine, running
from rich.console import Console
from rich.table import Table

from berth.adapters.engine_private import PrivateEngine
from berth.cli.demo_image import DemoEngine
from berth.cli.demo_registry import DemoRegistry
from berth.cli.demo_server import DemoServer
from berth.client import Client, SecretOwner
from berth.domain.secret_text import SecretText

BAR = 2.0
STEPS = "RUN sleep 6\nRUN sleep 6 && head -c 67108864 /dev/urandom > /tools\n"
WITHOUT, COLD, WARM = "without a prebuild", "from a prebuild, not in the engine", "from a prebuild, in the engine"


class Bench:
    """One server; a repository for each launch that is built."""

    def __init__(self, server, docker_host, image):
        self.server, self.docker_host, self.image = server, docker_host, image
        self.client = Client(server.origin, server.read_token())
        self.client.create_organization("acme", "admin")
        self.made = 0
        for part, value in (("SERVER", image.partition("/")[0]), ("USER", USER), ("PASSWORD", PASSWORD)):
            name = f"CORP_CONTAINER_REGISTRY_{part}"
            self.client.set_secret(SecretOwner.organization("acme"), name, SecretText(value), visibility="all")

    def repository(self):
        self.made += 1
        full_name = f"acme/r{self.made}"
        self.client.create_repository(full_name, private=True)
        config = json.dumps({"build": {"dockerfile": "Dockerfile"}})
        for name, text in (("Dockerfile", f"FROM {self.image}\n{STEPS}"), ("devcontainer.json", config)):
            httpx.put(
                f"{self.server.origin}/api/v3/repos/{full_name}/contents/.devcontainer/{name}",
                headers={"Authorization": f"token {self.server.read_token().reveal()}"},
                json={"message": "dev container", "content": base64.b64encode(text.encode()).decode()},
                trust_env=False,
            ).raise_for_status()
        return full_name

    def launch(self, full_name, *, prebuilt):
        started = time.perf_counter()
        name = self.client.create_codespace(full_name).name
        while (codespace := self.client.get_codespace(name)).state not in {"Available", "Failed"}:
            time.sleep(0.02)
        seconds = time.perf_counter() - started
        if codespace.state != "Available":
            raise SystemExit(f"the codespace is {codespace.state}: {codespace.finding}")
        log = "\n".join(entry.text for entry in self.client.read_log(name))
        if ("Using the prebuild" in log, "Building the image" in log) != (prebuilt, not prebuilt):
            raise SystemExit(f"this was not what should be measured:\n{log}")
        self.client.delete_codespace(name)
        return seconds

    def prebuild(self, full_name):
        made = self.client.create_prebuild(full_name, branch="main", trigger="manual")
        while made.state in {"queued", "in_progress"}:
            time.sleep(0.1)
            made = self.client.get_prebuild(full_name, made.id)
        if made.state != "ready":
            raise SystemExit(f"the prebuild failed: {made.finding}")
        return made

    def forget(self, prebuild):
        """Take its image out of the engine, with its layers."""
        transport = httpx.HTTPTransport(uds=self.docker_host.removeprefix("unix://"))
        with httpx.Client(transport=transport, base_url="http://engine", timeout=60) as engine:
            name = f"berth.invalid/prebuild.{prebuild.id}:built"
            digest = engine.get(f"/images/{name}/json").raise_for_status().json()["Id"]
            engine.delete(f"/images/{name}", params={"force": 1}).raise_for_status()
            if engine.get(f"/images/{digest}/json").status_code != 404:
                raise SystemExit("the engine still holds the prebuild's image")

    def round(self):
        without = self.launch(self.repository(), prebuilt=False)
        full_name = self.repository()
        self.forget(self.prebuild(full_name))
        return {
            WITHOUT: without,
            COLD: self.launch(full_name, prebuilt=True),
            WARM: self.launch(full_name, prebuilt=True),
        }


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
        bench = Bench(server, private.docker_host, image)
        for _ in range(rounds):
            for name, seconds in bench.round().items():
                times.setdefault(name, []).append(seconds)
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    times = measure(parser.parse_args().rounds)
    table = Table(
        "launch", "median s", "least", "most", "times as fast", title=f"A launch of one configuration ({machine()})"
    )
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, values in times.items():
        ratio = medians[WITHOUT] / medians[name]
        table.add_row(name, *(f"{each:.2f}" for each in (medians[name], min(values), max(values))), f"{ratio:.1f}")
    Console().print(table)
    ratio = medians[WITHOUT] / medians[COLD]
    print(f"ratio {ratio:.2f}, bar {BAR:.1f}: {'held' if ratio >= BAR else 'NOT HELD'}")
    raise SystemExit(0 if ratio >= BAR else 1)


if __name__ == "__main__":
    main()
