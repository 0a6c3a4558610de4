"""Builds on a real Docker engine: what comes out, how a failure is told, and that nothing goes on after its end."""

import asyncio
import io
import json
import os
import tarfile
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tests.fakes.http_server import Asked, HTTPServer, Reply
from tests.world import engine_api, import_image

from berth.adapters.engine_docker import DockerEngine
from berth.domain.codespace import LABEL, SERVER_LABEL
from berth.domain.dockerfile import BuildArguments, parse_dockerfile, render_dockerfile
from berth.domain.image_build import BUILD_LABEL, is_of_build
from berth.domain.problem import UpstreamFailed
from berth.services.engine_build import is_step
from berth.services.ports import Container, ImageBuild, ImageBuilt

pytestmark = [pytest.mark.engine, pytest.mark.timeout(120)]


@pytest.fixture
def engine(docker_host: str) -> DockerEngine:
    return DockerEngine(docker_host)


def request(**values: Any) -> ImageBuild:
    key = os.urandom(4).hex()
    usual: dict[str, Any] = {
        "name": f"berth.invalid/{key}:built",
        "dockerfile": "Dockerfile",
        "arguments": {},
        "labels": {"test": key},
        "cpus": 0,
        "memory_bytes": 0,
    }
    return ImageBuild(**{**usual, **values})


async def context(dockerfile: str, **files: str) -> AsyncIterator[bytes]:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, text in {"Dockerfile": dockerfile, **files}.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    yield raw.getvalue()


async def build(engine: DockerEngine, asked: ImageBuild, dockerfile: str, **files: str) -> tuple[ImageBuilt, str]:
    said = bytearray()

    async def take(chunk: bytes) -> None:
        said.extend(chunk)

    return await engine.build(asked, context(dockerfile, **files), take), said.decode()


async def containers(docker_host: str, key: str) -> list[dict[str, Any]]:
    async with engine_api(docker_host) as api:
        filters = json.dumps({"label": [f"test={key}"]})
        return list((await api.get("/containers/json", params={"all": 1, "filters": filters})).json())


async def test_an_image_with_its_labels_and_arguments(engine: DockerEngine, busybox_image: str) -> None:
    asked = request(arguments={"GREETING": "hello"})
    text = f"FROM {busybox_image}\nARG GREETING\nLABEL test=mine\nRUN echo $GREETING there\nUSER dev\n"
    built, said = await build(engine, asked, text)
    assert built.image_id is not None
    assert "hello there" in said
    found = await engine.find_image(built.image_id)
    assert found is not None
    assert (found.user, found.labels, found.triggers) == ("dev", asked.labels, ()), "the last label is ours"
    assert await engine.list_images(asked.labels) == (asked.name,)
    await engine.remove_image(asked.name)
    await engine.remove_image(asked.name)
    assert await engine.find_image(built.image_id) is None


@pytest.mark.parametrize("mended", [True, False], ids=["as Berth writes it", "the positive control"])
async def test_a_step_s_container_is_no_codespace_s(engine: DockerEngine, busybox_image: str, mended: bool) -> None:
    """A launch of `victim` would take it for its own container, and put the secrets there."""
    labels = {SERVER_LABEL: os.urandom(4).hex(), BUILD_LABEL: "k", LABEL: ""}
    text = f"FROM {busybox_image}\nLABEL {LABEL}=victim\nRUN sleep 100\n"
    read = parse_dockerfile(text.encode(), BuildArguments(values={}, target="", platform="linux/amd64"))
    pinned = {image: image for image in read.images}
    if mended:
        text = render_dockerfile(read, pinned, labels).decode()
    else:
        text = text.replace("RUN", f"LABEL {SERVER_LABEL}={labels[SERVER_LABEL]}\nRUN")
    task = asyncio.create_task(build(engine, request(labels=labels), text))
    try:
        async with asyncio.timeout(60):
            while not (found := await engine.list_containers({SERVER_LABEL: labels[SERVER_LABEL]})):
                await asyncio.sleep(0.05)
        listed = await engine.list_containers({SERVER_LABEL: labels[SERVER_LABEL], LABEL: "victim"})
        taken = [one.container_id for one in listed if not is_step(one)]
        assert taken == ([] if mended else [one.container_id for one in found])
        assert is_of_build({BUILD_LABEL: "", **found[0].labels}, name=found[0].name, has_run=True) is mended
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_a_label_says_until_the_next_step_is_not_believed(engine: DockerEngine, busybox_image: str) -> None:
    """The engine makes a container of each LABEL, too. The control: one that says so is there to be seen."""
    labels = {SERVER_LABEL: os.urandom(4).hex(), BUILD_LABEL: "k", LABEL: ""}
    lies = "".join(f"LABEL n={number} {LABEL}=victim dev.berth.service=db\n" for number in range(100))
    read = parse_dockerfile(
        f"FROM {busybox_image}\n{lies}".encode(), BuildArguments(values={}, target="", platform="linux/amd64")
    )
    text = render_dockerfile(read, {image: image for image in read.images}, labels).decode()
    task = asyncio.create_task(build(engine, request(labels=labels), text))
    seen: list[Container] = []
    try:
        while not (seen or task.done()):
            seen += await engine.list_containers({SERVER_LABEL: labels[SERVER_LABEL], LABEL: "victim"})
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert seen
    assert all(is_step(one) for one in seen)


async def test_steps_for_later_are_told(engine: DockerEngine, docker_host: str) -> None:
    name = await import_image(docker_host, "localhost/onbuild", os.urandom(4).hex(), "ONBUILD RUN true")
    found = await engine.find_image(name)
    assert found is not None
    assert found.triggers == ("RUN true",)


FAILURES = {
    "a step": ("RUN echo why; exit 3", "Step 2/3 : RUN echo why; exit 3", "non-zero code: 3"),
    "a missing file": ("COPY none /", "Step 2/3 : COPY none /", "none"),
    "a Dockerfile that it cannot read": ("NONSENSE x", "", "NONSENSE"),
    "an image that it does not hold": ("FROM berth.invalid/none:built", "Step 2/3 : FROM berth.invalid/none:built", ""),
}


@pytest.mark.parametrize(("line", "step", "reason"), FAILURES.values(), ids=FAILURES.keys())
async def test_how_a_failure_is_told(
    engine: DockerEngine, docker_host: str, busybox_image: str, line: str, step: str, reason: str
) -> None:
    asked = request()
    built, _ = await build(engine, asked, f"FROM {busybox_image}\n{line}\n")
    assert built.image_id is None
    assert built.step == step
    assert reason in built.reason
    assert built.reason
    assert await engine.list_images(asked.labels) == ()
    assert await containers(docker_host, asked.labels["test"]) == []


async def test_limits(engine: DockerEngine, docker_host: str, busybox_image: str) -> None:
    asked = request(cpus=1, memory_bytes=2**27)
    key = asked.labels["test"]
    text = f"FROM {busybox_image}\nLABEL test={key}\nRUN sleep 100\n"
    task = asyncio.create_task(build(engine, asked, text))
    try:
        async with asyncio.timeout(60):
            while not (found := await containers(docker_host, key)) or found[0]["State"] != "running":
                await asyncio.sleep(0.05)
        async with engine_api(docker_host) as api:
            limits = (await api.get(f"/containers/{found[0]['Id']}/json")).json()["HostConfig"]
        assert (limits["CpuQuota"], limits["CpuPeriod"]) == (100_000, 100_000)
        assert (limits["Memory"], limits["MemorySwap"]) == (2**27, 2**27)
    finally:
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(20):
        while await containers(docker_host, key):  # a cancelled build ends, and its container goes
            await asyncio.sleep(0.05)


async def test_layers_of_failed_builds_are_pruned_when_they_are_old(engine: DockerEngine, busybox_image: str) -> None:
    asked = request()
    label = f"LABEL test={asked.labels['test']}"
    await build(engine, asked, f"FROM {busybox_image}\n{label}\nRUN head -c 9 /dev/urandom | base64\nRUN false\n")
    repeated = await build(
        engine, asked, f"FROM {busybox_image}\n{label}\nRUN head -c 9 /dev/urandom | base64\nRUN false\n"
    )
    assert "Using cache" in repeated[1]
    await engine.prune_images(asked.labels, older_than_s=3600)
    assert "Using cache" in (await build(engine, asked, f"FROM {busybox_image}\n{label}\nRUN false\n"))[1]
    await asyncio.sleep(1.1)
    await engine.prune_images(asked.labels, older_than_s=0)
    assert "Using cache" not in (await build(engine, asked, f"FROM {busybox_image}\n{label}\nRUN false\n"))[1]


async def test_an_image_that_a_container_needs_stays(
    engine: DockerEngine, docker_host: str, busybox_image: str
) -> None:
    asked = request()
    built, _ = await build(engine, asked, f"FROM {busybox_image}\nRUN true\n")
    assert built.image_id
    async with engine_api(docker_host) as api:
        body = {"Image": built.image_id, "Cmd": ["true"]}
        container = (await api.post("/containers/create", json=body)).raise_for_status().json()["Id"]
    await engine.remove_image(asked.name)
    assert await engine.find_image(built.image_id) is not None
    await engine.remove_container(container)
    await engine.remove_image(asked.name)
    assert await engine.find_image(built.image_id) is None


def words(*messages: dict[str, Any]) -> Reply:
    return Reply(body=b"".join(json.dumps(message).encode() + b"\r\n" for message in messages))


SAYS_TOO_MUCH = {"stream": "x" * (2 * 1024 * 1024)}
HEAD = {"Content-Type": "application/json"}
ANSWERS: dict[str, tuple[Reply, str]] = {
    "it breaks off": (words({"stream": "Step 1/1 : FROM x"}, {"stream": "more"}), "engine.unreachable"),
    "its disk is full": (words({"error": "write /x: no space left on device"}), "engine.disk_full"),
    "its disk is full at once": (
        Reply(status=500, headers=HEAD, body=b'{"message": "no space left on device"}'),
        "engine.disk_full",
    ),
    "it refuses": (Reply(status=403, headers=HEAD, body=b'{"message": "no"}'), "engine.failed"),
}


def engine_that_says(reply: Reply) -> Callable[[Asked], Reply]:
    version = Reply(headers=HEAD, body=b'{"ApiVersion": "1.41"}')
    return lambda asked: version if asked.path.endswith("/version") else reply


@pytest.mark.parametrize(("reply", "code"), ANSWERS.values(), ids=ANSWERS.keys())
async def test_an_engine_that_fails(reply: Reply, code: str) -> None:
    async with HTTPServer.run(engine_that_says(reply)) as server:
        with pytest.raises(UpstreamFailed) as caught:
            await build(DockerEngine(f"http://{server.address}"), request(), "FROM x\n")
    assert caught.value.code == code


async def test_a_message_beyond_all_measure_is_passed_over() -> None:
    reply = words(SAYS_TOO_MUCH, {"aux": {"ID": "sha256:1"}}, {"aux": None}, {"stream": "end"})
    async with HTTPServer.run(engine_that_says(reply)) as server:
        built, said = await build(DockerEngine(f"http://{server.address}"), request(), "FROM x\n")
    assert (built.image_id, said) == ("sha256:1", "end")
