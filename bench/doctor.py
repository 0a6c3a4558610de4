"""How long a diagnosis takes: of an image that is as it should be, and at worst.

Healthy: a real docker-registry on loopback that wants a login. Worst: everything hangs that can, each in the way that costs most
under the bounds that a server has: the engine does not answer; AWS breaks off shortly before it would be given up, and is asked
again; a registry sends a byte a second for ever, headers or body. All of it through `POST …/codespaces/doctor` of `berth serve`.

Exit status 1 if a bar is not held: the median healthy one takes at most 1 s, and none ever more than 30 s.
"""

import argparse
import asyncio
import hashlib
import json
import ssl
import statistics
import subprocess
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
from launch import PASSWORD, REPOSITORY, USER, machine, running
from rich.console import Console
from rich.table import Table

from berth.cli.demo_registry import DemoRegistry
from berth.cli.demo_server import DemoServer
from berth.client import Client, SecretOwner
from berth.domain.secret_text import SecretText

HEALTHY_BAR_S, WORST_BAR_S = 1.0, 30.0
ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
API = "api.ecr.eu-west-1.amazonaws.com"
KEYS = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
NAMES = ("headers.test", "body.test", ECR, API)
HOLD_S = 7.5  # a swap is given up after 8 s, and all tries after 10 s
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Engine:
    """The two answers of an engine that a server wants, on a socket; or none, once it hangs."""

    hangs = False

    async def serve(self, reader, writer):
        while await reader.readuntil(b"\r\n\r\n"):
            if self.hangs:
                await reader.read()
            body = json.dumps({"Version": "28", "ApiVersion": "1.43", "Arch": "amd64"}).encode()
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)


async def trickle(reader, writer):
    """One name drips headers, the others a body; AWS's API holds on, and then breaks off."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    if f"Host: {API}" in head:
        await asyncio.sleep(HOLD_S)
        return
    writer.write(
        b"HTTP/1.1 200 OK\r\n" + (b"X-Y: " if "Host: headers.test" in head else b"Content-Length: 999\r\n\r\n")
    )
    while not writer.is_closing():
        writer.write(b" ")
        await asyncio.sleep(1)


@contextmanager
def serving(folder, engine):
    """Both, in a thread of their own; the port of what hangs."""
    names = ",".join(f"DNS:{name}" for name in NAMES)
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=bench"]
    files = ["-keyout", folder / "key.pem", "-out", folder / "ca.pem", "-addext", f"subjectAltName={names}"]
    subprocess.run([*command, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    started, ended, ports, loops = threading.Event(), asyncio.Event(), [], []

    def quietly(behaviour):
        async def serve(reader, writer):
            try:
                await behaviour(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
                pass
            finally:
                writer.close()

        return serve

    async def serve_all():
        await asyncio.start_unix_server(quietly(engine.serve), folder / "engine.sock")
        server = await asyncio.start_server(quietly(trickle), "127.0.0.1", 0, ssl=context)
        ports.append(server.sockets[0].getsockname()[1])
        loops.append(asyncio.get_running_loop())
        started.set()
        await ended.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve_all()))
    thread.start()
    started.wait()
    try:
        yield ports[0]
    finally:
        loops[0].call_soon_threadsafe(ended.set)
        thread.join()


def push(registry):
    """A small image `team/dev:1`."""
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}).encode()
    digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
    described = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": len(config)}
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described, "layers": []}
    with httpx.Client(base_url=registry.url, auth=(USER, PASSWORD), trust_env=False) as client:
        upload = client.post("/v2/team/dev/blobs/uploads/").raise_for_status().headers["location"]
        client.put(f"{upload}&digest={digest}", content=config).raise_for_status()
        head = {"Content-Type": MANIFEST}
        client.put("/v2/team/dev/manifests/1", content=json.dumps(manifest), headers=head).raise_for_status()


def login(client, number, host, user, password):
    for part, value in (("SERVER", host), ("USER", user), ("PASSWORD", password)):
        client.set_secret(
            SecretOwner.organization("acme"),
            f"P{number}_CONTAINER_REGISTRY_{part}",
            SecretText(value),
            visibility="all",
        )


def timed(client, image):
    started = time.perf_counter()
    found = client.examine_image(REPOSITORY, image)
    return time.perf_counter() - started, found


def measure(rounds):
    engine = Engine()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="berth-bench-")))
        runner = stack.enter_context(asyncio.Runner())
        port = stack.enter_context(serving(folder, engine))
        registry = stack.enter_context(running(runner, DemoRegistry({USER: PASSWORD})))
        push(registry)
        server = DemoServer(folder, f"unix://{folder}/engine.sock", registry.host)
        server.settings["BERTH_RESOLVE"] = ",".join(f"{name}=127.0.0.1:{port}" for name in NAMES)
        server.settings["BERTH_CA_FILE"] = str(folder / "ca.pem")
        stack.enter_context(server)
        client = Client(server.origin, server.read_token())
        client.create_organization("acme", "admin")
        client.create_repository(REPOSITORY, private=True)
        hosts = ((registry.host, USER, PASSWORD), ("headers.test", USER, "x"), ("body.test", USER, "x"), (ECR, *KEYS))
        for number, host in enumerate(hosts):
            login(client, number, *host)
        healthy = []
        for _ in range(rounds):
            seconds, found = timed(client, f"{registry.host}/team/dev:1")
            if not found.healthy:
                raise SystemExit(f"the image should be good: {found.finding}")
            healthy.append(seconds)
        engine.hangs = True
        worst = {}
        for what, host in (("headers", "headers.test"), ("a body", "body.test"), ("a body, and AWS hangs too", ECR)):
            seconds, found = timed(client, f"{host}/team/dev:1")
            worst[f"a byte a second of {what}: {found.finding.code}"] = [seconds]
    return healthy, worst


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    healthy, worst = measure(parser.parse_args().rounds)
    table = Table("diagnosis", "median s", "least", "most", title=f"A diagnosis ({machine()})")
    for what, times in {"healthy, with a login": healthy, **worst}.items():
        table.add_row(what, *(f"{each:.2f}" for each in (statistics.median(times), min(times), max(times))))
    Console().print(table)
    longest = max(max(times) for times in worst.values())
    held = statistics.median(healthy) <= HEALTHY_BAR_S and max(*healthy, longest) <= WORST_BAR_S
    print(f"bars {HEALTHY_BAR_S:g} s and {WORST_BAR_S:g} s: {'held' if held else 'NOT HELD'}")
    raise SystemExit(0 if held else 1)


if __name__ == "__main__":
    main()
