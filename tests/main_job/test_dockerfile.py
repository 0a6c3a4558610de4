"""Dev containers from a Dockerfile, on a real engine: what is built, whose images and layers it may use, what is refused."""

import base64
import io
import json
import os
import subprocess
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.fakes.http_server import Asked, HTTPServer, Reply
from tests.server import fresh_name
from tests.world import (
    REGISTRY_PASSWORD,
    REGISTRY_USER,
    World,
    engine_api,
    import_image,
    make_world,
    push,
    put_secret,
    put_triple,
)

pytestmark = [pytest.mark.engine, pytest.mark.registry, pytest.mark.timeout(240)]

CANARY = "canary-build-3e9a71"
RIGHT = (REGISTRY_USER, REGISTRY_PASSWORD)
WRONG = (REGISTRY_USER, "not-the-password")


@dataclass
class Project:
    """A repository of an organization of its own, so that no secrets reach it but its own."""

    world: World
    api: httpx.AsyncClient
    full_name: str
    repository_id: int
    made: list[str] = field(default_factory=list)

    async def commit(self, **files: str) -> None:
        for path, content in files.items():
            await self.world.commit(self.api, path, content, self.full_name)

    async def give(self, host: str, login: tuple[str, str]) -> None:
        await put_triple(self.api, f"/repos/{self.full_name}/codespaces/secrets", fresh_name("P"), (host, *login))

    async def launch(self) -> dict[str, Any]:
        answer = await self.api.post(f"/repos/{self.full_name}/codespaces", json={})
        assert answer.status_code == 201, answer.text
        name = str(answer.json()["name"])
        self.made.append(name)
        return await self.world.server.until_at_rest(self.api, name, timeout_s=120)

    async def run(self, codespace: dict[str, Any], command: str) -> str:
        """What a command in it prints."""
        body = {"command": ["sh", "-c", command]}
        answer = await self.api.post(f"/user/codespaces/{codespace['name']}/exec", json=body)
        assert answer.status_code == 200, answer.text
        return base64.b64decode(answer.json()["output"]).decode().strip()

    async def log(self, codespace: dict[str, Any]) -> str:
        return (await self.api.get(f"/user/codespaces/{codespace['name']}/logs")).text

    async def delete(self) -> None:
        for name in self.made:
            await self.api.delete(f"/user/codespaces/{name}")
        for name in self.made:
            await self.world.until_gone(name)

    def link(self, path: str, target: str) -> None:
        """Commit a symbolic link, which the API cannot."""
        folder = self.world.server.data / "repositories" / f"{self.repository_id}.git"
        index = {"GIT_INDEX_FILE": str(folder / "test-index"), "PATH": os.environ["PATH"]}

        def git(*arguments: str, text: str = "") -> str:
            command = ["git", "-c", "user.name=t", "-c", "user.email=t@t", f"--git-dir={folder}", *arguments]
            return subprocess.run(
                command, check=True, capture_output=True, input=text, text=True, env=index
            ).stdout.strip()

        git("read-tree", "refs/heads/main")
        blob = git("hash-object", "-w", "--stdin", text=target)
        git("update-index", "--add", "--cacheinfo", f"120000,{blob},{path}")
        commit = git("commit-tree", git("write-tree"), "-p", "refs/heads/main", "-m", "link")
        git("update-ref", "refs/heads/main", commit)


async def make_project(world: World, api: httpx.AsyncClient, dockerfile: str, **build: object) -> Project:
    owner = fresh_name("d")
    assert (await api.post("/admin/organizations", json={"login": owner, "admin": "admin"})).status_code == 201
    created = await api.post(f"/orgs/{owner}/repos", json={"name": "r", "private": True})
    project = Project(world, api, f"{owner}/r", int(created.raise_for_status().json()["id"]))
    config = {"build": {"dockerfile": "Dockerfile", **build}}
    await project.commit(
        **{".devcontainer/devcontainer.json": json.dumps(config), ".devcontainer/Dockerfile": dockerfile}
    )
    return project


async def publish(world: World, *instructions: str) -> str:
    """A private image of its own."""
    image = await import_image(
        world.docker_host, f"{world.registry_host}/team/base-{os.urandom(3).hex()}", "1", *instructions
    )
    await push(world.docker_host, image, REGISTRY_USER, REGISTRY_PASSWORD)
    return image


def code(codespace: dict[str, Any]) -> str:
    return "" if codespace["state"] == "Available" else str(codespace["finding"]["code"])


async def built_images(world: World) -> set[str]:
    async with engine_api(world.docker_host) as engine:
        images = (await engine.get("/images/json")).raise_for_status().json()
    return {tag for image in images for tag in image["RepoTags"] or () if tag.startswith("berth.invalid/")}


async def build_containers(world: World) -> list[dict[str, Any]]:
    async with engine_api(world.docker_host) as engine:
        filters = json.dumps({"label": ["dev.berth.build"]})
        found = (await engine.get("/containers/json", params={"all": 1, "filters": filters})).raise_for_status().json()
    return [one for one in found if not one["Labels"].get("dev.berth.codespace")]


STAGES = """# syntax=docker/dockerfile:1
ARG BASE
ARG VERSION=1
FROM ${BASE}:${VERSION} AS tools
RUN echo from-tools > /tool

FROM ${BASE}:1 as final
ARG GREETING
ARG TARGETARCH
ENV WHO=world
COPY --from=tools /tool /tools/one
COPY --from=OTHER /etc/passwd /tools/two
COPY greeting.txt /
# a comment
RUN echo "$GREETING $WHO $TARGETARCH" \\
    # and one within
    >> /greeting.txt
LABEL devcontainer.metadata='[{"remoteUser": "dev"}]'

FROM nowhere.invalid/never/asked
RUN false
"""


@pytest.mark.parametrize(
    ("login", "expected"),
    [(RIGHT, ""), (None, "image.credential_missing"), (WRONG, "image.unauthorized")],
    ids=["the right credential", "none", "a wrong one"],
)
async def test_l2_stages_and_images_need_the_right_to_each(
    world: World, login: tuple[str, str] | None, expected: str
) -> None:
    base, other = world.image.removesuffix(":1"), await publish(world)
    async with world.server.api() as api:
        project = await make_project(
            world,
            api,
            STAGES.replace("OTHER", other),
            context="../context",
            target="final",
            args={"BASE": base, "GREETING": "hello${localEnv:HOME}"},
        )
        await project.commit(
            **{"context/greeting.txt": "first\n", "context/.dockerignore": "*.log\n", "context/a.log": "x"}
        )
        if login:
            await project.give(world.registry_host, login)
        codespace = await project.launch()
        assert code(codespace) == expected, codespace.get("finding")
        if not expected:
            shown = await project.run(
                codespace, "id -un; cat /tools/one /greeting.txt; grep -c root /tools/two; ls -a /"
            )
            assert shown.splitlines()[:5] == ["dev", "from-tools", "first", f"hello world {arch()}", "1"]
            assert not {".berth.dockerfile", ".dockerignore", "a.log"} & set(shown.splitlines())
            log = await project.log(codespace)
            assert "Building the image" in log
            assert "Step " in log
            assert "is passed over" in log
        await project.delete()
        assert not [name for name in await built_images(world) if project.made[0] in name], "it goes with its codespace"


def arch() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]


def is_berth(request: Asked) -> bool:
    return request.headers.get("user-agent") == "berth"


async def test_a_registry_that_refuses_is_asked_to_log_in_once(world: World) -> None:
    """Two images at a second registry, whose password is wrong: one attempt, and the engine makes none."""
    host = world.other_host
    refuse = Reply(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'}, body=b"{}")
    async with (
        world.server.api() as api,
        HTTPServer.run(lambda _: refuse, port=int(host.rpartition(":")[2])) as registry,
    ):
        dockerfile = f"FROM {host}/a/one:1 AS one\nFROM {host}/a/two:1\nCOPY --from=one / /one\n"
        project = await make_project(world, api, dockerfile)
        await project.give(host, WRONG)
        assert code(await project.launch()) == "image.unauthorized"
        assert len(registry.authorizations) == 1
        assert all(is_berth(request) for request in registry.asked)
        await project.delete()


NONCE = "RUN head -c 12 /dev/urandom | base64 > /nonce\n"


async def test_l2_what_the_engine_holds_is_nobodys_by_that(world: World) -> None:
    async with world.server.api() as api:
        base = await publish(world)
        alice = await make_project(world, api, f"FROM {base}\n{NONCE}")
        await alice.give(world.registry_host, RIGHT)
        hers = await alice.launch()
        assert code(hers) == ""
        async with engine_api(world.docker_host) as engine:
            found = (await engine.get(f"/images/berth.invalid/{hers['name']}:built/json")).raise_for_status().json()
            layers = (await engine.get(f"/images/{found['Id']}/history")).raise_for_status().json()
        digest = next(one for one in await digests(world) if one.startswith(base.removesuffix(":1")))
        stolen = [base, digest, found["Id"], found["Id"][7:19], f"berth.invalid/{hers['name']}:built"]
        stolen += [layer["Id"] for layer in layers if layer["Id"].startswith("sha256:")][:1]
        for image in stolen:
            for dockerfile in (f"FROM {image}\n", f"FROM scratch\nCOPY --from={image} /nonce /\n"):
                bob = await make_project(world, api, dockerfile)
                codespace = await bob.launch()
                assert codespace["state"] == "Failed", image
                assert code(codespace).startswith(("image.", "image_reference.", "registry.")), codespace["finding"]
                await bob.delete()
        control = await build_past_us(world, f"FROM {digest}\nCOPY --from={found['Id']} /nonce /\n")
        assert "Successfully built" in control, "the control: the engine alone gives it away"
        await alice.delete()


async def digests(world: World) -> list[str]:
    async with engine_api(world.docker_host) as engine:
        images = (await engine.get("/images/json")).raise_for_status().json()
    return [digest for image in images for digest in image["RepoDigests"] or ()]


async def build_past_us(world: World, dockerfile: str) -> str:
    """What the engine says of a build that it is asked for directly."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        info = tarfile.TarInfo("Dockerfile")
        info.size = len(dockerfile)
        tar.addfile(info, io.BytesIO(dockerfile.encode()))
    async with engine_api(world.docker_host) as engine:
        answer = await engine.post("/build", content=raw.getvalue(), headers={"Content-Type": "application/x-tar"})
    return answer.text


async def test_layers_are_shared_within_a_repository_and_not_beyond(world: World) -> None:
    async with world.server.api() as api:
        base = await publish(world)
        alice = await make_project(world, api, f"FROM {base}\n{NONCE}")
        bob = await make_project(world, api, f"FROM {base}\n{NONCE}")
        nonces = []
        for project in (alice, alice, bob):
            if not project.made:
                await project.give(world.registry_host, RIGHT)
            codespace = await project.launch()
            assert code(codespace) == ""
            nonces.append(await project.run(codespace, "cat /nonce"))
        assert nonces[0] == nonces[1], "the control: the same text in the same repository is cached"
        assert nonces[2] != nonces[0], "the same text and base elsewhere is built anew"
        stopped = await api.post(f"/user/codespaces/{alice.made[0]}/stop")
        assert stopped.status_code == 200
        await world.server.until_at_rest(api, alice.made[0])
        assert (await api.post(f"/user/codespaces/{alice.made[0]}/start")).status_code == 200
        started = await world.server.until_at_rest(api, alice.made[0])
        assert started["state"] == "Available", started
        assert await alice.run(started, "cat /nonce") == nonces[0], "a start builds nothing"
        for project in (alice, bob):
            await project.delete()


async def test_a_link_in_the_context_leads_nowhere(world: World) -> None:
    async with world.server.api() as api:
        project = await make_project(world, api, f"FROM {world.image}\nCOPY taken /taken\n", context="..")
        await project.give(world.registry_host, RIGHT)
        await project.commit(taken="mine")
        control = await project.launch()
        assert await project.run(control, "cat /taken") == "mine", "the control: a file is copied"
        for target in ("/etc/hostname", "../../../../../../etc/hostname", str(world.server.data / "admin-token")):
            project.link("taken", target)
            assert code(await project.launch()) == "image.build_failed", target
        project.link("taken", "/etc")
        await project.commit(**{".devcontainer/Dockerfile": f"FROM {world.image}\nCOPY taken/hostname /taken\n"})
        assert code(await project.launch()) == "image.build_failed"
        project.link(".devcontainer/Dockerfile", str(Path(__file__)))
        assert code(await project.launch()) == "devcontainer.build_missing"
        await project.delete()


HOSTILE = {
    "huge": ("FROM {image}\n" + "#" * 300_000, "devcontainer.dockerfile"),
    "a NUL": ("FROM {image}\nRUN \0\n", "devcontainer.dockerfile"),
    "arguments that grow without end": (
        "ARG A=xxxxxxxx\n" + "".join("ARG A=$A$A\n" for _ in range(60)) + "FROM {image}\n",
        "devcontainer.dockerfile",
    ),
    "variables that grow without end": (
        "FROM {image}\nENV A=xxxxxxxx\n" + "ENV A=$A$A\n" * 60,
        "devcontainer.dockerfile",
    ),
    "an address that the engine would fetch": (
        "FROM {image}\nADD http://127.0.0.1:1/x /x\n",
        "devcontainer.dockerfile_refused",
    ),
    "what only BuildKit builds": (
        "FROM {image}\nRUN --mount=type=bind,from={image} true\n",
        "devcontainer.dockerfile_refused",
    ),
    "the control": ("FROM {image}\nARG A=x\nENV A=$A$A\nRUN true\n", ""),
}


@pytest.mark.parametrize(("text", "expected"), HOSTILE.values(), ids=HOSTILE.keys())
async def test_hostile_dockerfiles(world: World, text: str, expected: str) -> None:
    async with world.server.api() as api:
        project = await make_project(world, api, text.replace("{image}", world.image))
        await project.give(world.registry_host, RIGHT)
        codespace = await project.launch()
        assert code(codespace) == expected, codespace.get("finding")
        await project.delete()


@pytest.mark.slow
async def test_onbuild_steps_of_a_base_image_are_refused(world: World) -> None:
    image = await publish(world, f"ONBUILD COPY --from={world.image} /etc/passwd /taken")
    async with world.server.api() as api:
        project = await make_project(world, api, f"FROM {image}\n")
        await project.give(world.registry_host, RIGHT)
        codespace = await project.launch()
        assert code(codespace) == "devcontainer.dockerfile_refused"
        assert "ONBUILD" in codespace["finding"]["sentence"]
        await project.delete()


@pytest.mark.slow
async def test_l4_a_built_image_is_reviewed(world: World) -> None:
    label = """LABEL devcontainer.metadata='[{"privileged": true}]'"""
    async with world.server.api() as api:
        project = await make_project(world, api, f"FROM {world.image}\n{label}\n")
        await project.give(world.registry_host, RIGHT)
        assert code(await project.launch()) == "devcontainer.not_allowed"
        await project.delete()


@pytest.mark.slow
async def test_l7_no_secret_enters_a_build(world: World) -> None:
    look = "RUN env > /env; cat /proc/1/environ >> /env; mount >> /env || true"
    dockerfile = f"FROM {world.image}\nARG PLANTED\n{look}\nCOPY . /context\n"
    async with world.server.api() as api:
        project = await make_project(world, api, dockerfile, args={"PLANTED": "${localEnv:PLANTED}"})
        await project.give(world.registry_host, RIGHT)
        answer = await put_secret(api, f"/repos/{project.full_name}/codespaces/secrets/PLANTED", CANARY)
        assert answer.status_code == 201
        codespace = await project.launch()
        assert code(codespace) == "", codespace.get("finding")
        needles = (
            CANARY,
            REGISTRY_PASSWORD,
            base64.b64encode(f"{REGISTRY_USER}:{REGISTRY_PASSWORD}".encode()).decode(),
        )
        inside = await project.run(codespace, "cat /env; find /context -type f | while read f; do cat $f; done")
        assert "PATH" in inside
        assert not any(needle in inside for needle in needles)
        async with engine_api(world.docker_host) as engine:
            name = f"berth.invalid/{codespace['name']}:built"
            for url in (f"/images/{name}/json", f"/images/{name}/history"):
                text = (await engine.get(url)).raise_for_status().text
                assert not any(needle in text for needle in needles), url
            exported = (await engine.get(f"/images/{name}/get")).raise_for_status().content
            assert not any(needle.encode() in exported for needle in needles)
        log = await project.log(codespace)
        assert not any(needle in log for needle in needles)
        assert await project.run(codespace, "echo $PLANTED") == CANARY, "the control: afterwards it is there (S7)"
        await project.delete()


@pytest.mark.slow
async def test_a_failed_build_says_where_and_leaves_nothing(world: World) -> None:
    async with world.server.api() as api:
        project = await make_project(world, api, f"FROM {world.image}\nRUN echo the-reason; exit 7\nRUN true\n")
        await project.give(world.registry_host, RIGHT)
        codespace = await project.launch()
        finding = codespace["finding"]
        assert code(codespace) == "image.build_failed"
        assert "exit 7" in finding["sentence"]
        assert "exit 7" in finding["evidence"]["step"]
        assert "the-reason" in finding["evidence"]["output"]
        assert "the-reason" in await project.log(codespace)
        assert not [name for name in await built_images(world) if codespace["name"] in name]
        assert await build_containers(world) == []
        assert not (world.server.data / "codespaces" / codespace["name"]).exists()
        await project.delete()


@pytest.mark.slow
async def test_a_server_that_is_killed_while_it_builds(docker_host: str, registry_host: str, tmp_path: Path) -> None:
    async with make_world(tmp_path, docker_host, registry_host) as world, world.server.api() as api:
        project = await make_project(world, api, f"FROM {world.image}\n{NONCE}RUN sleep 8\n")
        await project.give(registry_host, RIGHT)
        name = (await api.post(f"/repos/{project.full_name}/codespaces", json={})).json()["name"]
        project.made.append(name)

        async def sleeps() -> bool:
            return any("sleep 8" in one["Command"] for one in await build_containers(world))

        async def ended() -> bool:
            return not await build_containers(world)

        await world.until(sleeps)
        world.server.kill()
        await world.until(ended)
        await world.server.start()
        codespace = await world.server.until_at_rest(api, name, timeout_s=90)
        assert codespace["state"] == "Available", codespace
        assert len(await build_containers(world)) == 0
        await project.delete()
        assert not [tag for tag in await built_images(world) if name in tag]


@pytest.mark.slow
async def test_a_build_that_is_not_wanted_any_more_ends(world: World) -> None:
    async with world.server.api() as api:
        project = await make_project(world, api, f"FROM {world.image}\nRUN sleep 100\n")
        await project.give(world.registry_host, RIGHT)
        name = (await api.post(f"/repos/{project.full_name}/codespaces", json={})).json()["name"]
        project.made.append(name)

        async def sleeps() -> bool:
            return any("sleep 100" in one["Command"] for one in await build_containers(world))

        await world.until(sleeps)
        await project.delete()

        async def ended() -> bool:
            return not await sleeps()

        await world.until(ended, timeout_s=20)
