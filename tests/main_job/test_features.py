"""Dev container Features, on a real engine and from real registries: installed with the user's own right, reviewed, contained."""

import asyncio
import base64
import json
import os
import sys
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.fakes.http_server import HTTPServer, Reply
from tests.features import entry, feature_files, push_feature, tar_of
from tests.main_job.test_dockerfile import CANARY, RIGHT, WRONG, Project, built_images, code, make_project
from tests.own_registry import allow_codespaces, own_host
from tests.server import fresh_name
from tests.world import REGISTRY_PASSWORD, REGISTRY_USER, World, engine_api, put_secret

pytestmark = [pytest.mark.engine, pytest.mark.registry, pytest.mark.timeout(180)]

CONFIGURATION = ".devcontainer/devcontainer.json"
NONCE = "head -c 12 /dev/urandom | base64 > /nonce"
TRICK = "a\"b'c\\d$(id)`id`$$ ${NOTHING:-x} #"


async def publish(world: World, archive: bytes, **changes: Any) -> str:
    """A private Feature of its own name."""
    return await push_feature(world.registry_host, RIGHT, f"team/features/{fresh_name('f')}", archive, **changes)


@asynccontextmanager
async def project_with(
    world: World, api: httpx.AsyncClient, features: dict[str, Any], **config: Any
) -> AsyncIterator[Project]:
    project = await make_project(world, api, "FROM scratch\n")
    await project.commit(
        **{CONFIGURATION: json.dumps({"image": world.image, "remoteUser": "dev", "features": features, **config})}
    )
    yield project
    await project.delete()


@pytest.mark.parametrize(
    ("login", "expected"),
    [(RIGHT, ""), (None, "image.credential_missing"), (WRONG, "image.unauthorized")],
    ids=["the right credential", "none", "a wrong one"],
)
async def test_l1_an_image_with_private_features(world: World, login: tuple[str, str] | None, expected: str) -> None:
    needed = await publish(
        world,
        tar_of(feature_files("echo needed > /order; mkdir -p /opt/hello", id="needed", containerEnv={"ONE": "1"})),
    )
    install = 'echo "$GREETING|$TRICK|$FLAG|$_REMOTE_USER:$_REMOTE_USER_HOME|$_CONTAINER_USER|$ONE|$(id -u)" >> /order'
    files = feature_files(
        f"{install}; cat data >> /order",
        options={"greeting": {"type": "string", "default": "hi"}, "flag": {"type": "boolean", "default": True}},
        dependsOn={needed: {}},
        containerEnv={"PATH": "/opt/hello:${PATH}", "EVIL": TRICK},
        postCreateCommand="echo from-the-feature > ~/hook",
        customizations={"vscode": {"extensions": ["x.y"]}},
    )
    feature = await publish(world, tar_of({**files, "data": b"data\n"}))
    async with world.server.api() as api, project_with(world, api, {feature: {"trick": TRICK}}) as project:
        if login:
            await project.give(world.registry_host, login)
        codespace = await project.launch()
        assert code(codespace) == expected, codespace.get("finding")
        if not expected:
            shown = (
                await project.run(codespace, 'cat /order ~/hook; echo "$PATH"; echo "$EVIL"; id -un; ls /tmp')
            ).splitlines()
            assert shown[:4] == ["needed", f"hi|{TRICK}|true|dev:/home/dev|root|1|0", "data", "from-the-feature"]
            assert shown[4].startswith("/opt/hello:/bin")
            assert shown[5:7] == [TRICK, "dev"]
            assert "berth-features" not in shown, "what was installed from is gone"
            assert "has no option 'trick'" in await project.log(codespace)
    assert not [name for name in await built_images(world) if project.made[0] in name], "it goes with its codespace"


async def test_a_dockerfile_with_a_feature_of_the_repository(world: World) -> None:
    published = await publish(
        world, tar_of(feature_files("echo published >> /order", installsAfter=["./never"])), tag="1"
    )
    local = feature_files(
        'echo "local $VERSION as $(id -un) for $_CONTAINER_USER" >> /order', id="own", postStartCommand="touch ~/s"
    )
    async with world.server.api() as api:
        project = await make_project(world, api, f"FROM {world.image}\nRUN echo base > /order\nUSER dev\n")
        config = {
            "build": {"dockerfile": "Dockerfile"},
            "features": {published: {}, "./own": "7"},
            "overrideFeatureInstallOrder": ["./own"],
        }
        files = {f".devcontainer/own/{path}": content.decode() for path, content in local.items()}
        await project.commit(**{CONFIGURATION: json.dumps(config), **files})
        await project.give(world.registry_host, RIGHT)
        codespace = await project.launch()
        assert code(codespace) == "feature.reference", "a published Feature names no folder"
        again = await publish(world, tar_of(feature_files("echo published >> /order")))
        await project.commit(**{CONFIGURATION: json.dumps(config).replace(published, again)})
        codespace = await project.launch()
        assert code(codespace) == "", codespace.get("finding")
        shown = await project.run(codespace, "cat /order; id -un; ls ~/s")
        assert shown.splitlines() == ["base", "local 7 as root for dev", "published", "dev", "/home/dev/s"]
        await project.delete()


HOSTILE: dict[str, tuple[dict[str, Any], list[tarfile.TarInfo], str]] = {
    "privileged": ({"privileged": True}, [], "devcontainer.not_allowed"),
    "a value that would be a line": ({"containerEnv": {"A": 'x"\nRUN touch /pwned\n'}}, [], "feature.metadata"),
    "a file outside": ({}, [entry("../outside")], "feature.archive"),
    "a link": ({}, [entry("./link", tarfile.SYMTYPE, link="/etc/passwd")], "feature.archive"),
    "the control": ({}, [entry("./inside", size=3)], ""),
}
MORE_HOSTILE: dict[str, tuple[dict[str, Any], list[tarfile.TarInfo], str]] = {
    "a capability": ({"capAdd": ["SYS_ADMIN"]}, [], "devcontainer.not_allowed"),
    "a mount": ({"mounts": ["type=bind,source=/etc,target=/host"]}, [], "devcontainer.not_allowed"),
    "a start script": ({"entrypoint": "/x"}, [], "devcontainer.not_allowed"),
    "what depends on itself": ({"dependsOn": {"SELF": {}}}, [], "feature.order"),
}


@pytest.mark.parametrize(
    ("metadata", "more", "expected"),
    [
        *(pytest.param(*case, id=name) for name, case in HOSTILE.items()),
        *(pytest.param(*case, id=name, marks=pytest.mark.slow) for name, case in MORE_HOSTILE.items()),
    ],
)
async def test_l4_hostile_features(
    world: World, metadata: dict[str, Any], more: list[tarfile.TarInfo], expected: str
) -> None:
    name = f"team/features/{fresh_name('f')}"
    described = json.loads(json.dumps(metadata).replace("SELF", f"{world.registry_host}/{name}:1"))
    feature = await push_feature(world.registry_host, RIGHT, name, tar_of(feature_files(**described), more))
    async with world.server.api() as api, project_with(world, api, {feature: {}}) as project:
        await project.give(world.registry_host, RIGHT)
        codespace = await project.launch()
        assert code(codespace) == expected, codespace.get("finding")
        if expected:
            assert feature in codespace["finding"]["sentence"], "the message names the source"


@pytest.mark.slow
async def test_s7_and_l7_no_secret_is_there_while_a_feature_is_installed(world: World) -> None:
    feature = await publish(
        world, tar_of(feature_files("env > /env; cat /proc/1/environ >> /env; mount >> /env || true"))
    )
    async with world.server.api() as api, project_with(world, api, {feature: {}}) as project:
        await project.give(world.registry_host, RIGHT)
        answer = await put_secret(api, f"/repos/{project.full_name}/codespaces/secrets/PLANTED", CANARY)
        assert answer.status_code == 201
        codespace = await project.launch()
        assert code(codespace) == "", codespace.get("finding")
        pair = base64.b64encode(f"{REGISTRY_USER}:{REGISTRY_PASSWORD}".encode()).decode()
        texts = {"inside": await project.run(codespace, "cat /env"), "log": await project.log(codespace)}
        assert "_REMOTE_USER" in texts["inside"]
        async with engine_api(world.docker_host) as engine:
            for kind in ("json", "history", "get"):
                answer = await engine.get(f"/images/berth.invalid/{codespace['name']}:built/{kind}")
                texts[kind] = answer.raise_for_status().content.decode(errors="replace")
        for where, text in texts.items():
            assert not [needle for needle in (CANARY, REGISTRY_PASSWORD, pair) if needle in text], where
        assert await project.run(codespace, "echo $PLANTED") == CANARY, "the control: afterwards it is there (S7)"


async def test_l2_what_was_built_with_a_feature_is_nobody_elses(world: World) -> None:
    feature = await publish(world, tar_of(feature_files(NONCE)))
    async with (
        world.server.api() as api,
        project_with(world, api, {feature: {}}) as alice,
        project_with(world, api, {feature: {}}) as bob,
    ):
        await alice.give(world.registry_host, RIGHT)
        hers = await alice.launch()
        assert code(hers) == ""
        assert code(await bob.launch()) == "image.credential_missing", "the engine's cache gives him nothing"
        nonces = [await alice.run(hers, "cat /nonce"), await alice.run(await alice.launch(), "cat /nonce")]
        await bob.give(world.registry_host, RIGHT)
        nonces.append(await bob.run(await bob.launch(), "cat /nonce"))
        assert nonces[0] == nonces[1], "the control: the same Feature in the same repository is cached"
        assert nonces[2] != nonces[0], "the same Feature and image elsewhere is installed anew"


async def test_a_registry_that_refuses_is_asked_to_log_in_once(world: World) -> None:
    host = world.other_host
    refuse = Reply(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'}, body=b"{}")
    async with (
        world.server.api() as api,
        HTTPServer.run(lambda _: refuse, port=int(host.rpartition(":")[2])) as registry,
        project_with(world, api, {f"{host}/f/a:1": {}, f"{host}/f/b:1": {}}, image=f"{host}/i/c:1") as project,
    ):
        await project.give(host, WRONG)
        codespace = await project.launch()
        assert code(codespace) == "image.unauthorized"
        assert host in codespace["finding"]["sentence"]
        assert len(registry.authorizations) == 1


async def test_l8_an_installation_that_fails_says_whose_and_leaves_nothing(world: World) -> None:
    feature = await publish(world, tar_of(feature_files("echo the-reason; exit 7")))
    async with world.server.api() as api, project_with(world, api, {feature: {}}) as project:
        await project.give(world.registry_host, RIGHT)
        codespace = await project.launch()
        finding = codespace["finding"]
        assert finding["code"] == "feature.install_failed"
        assert feature in finding["sentence"]
        assert "the-reason" in finding["evidence"]["output"]
        assert not [
            one for one in await world.containers() if one["Labels"]["dev.berth.codespace"] == codespace["name"]
        ]
        assert not [name for name in await built_images(world) if codespace["name"] in name]


async def test_the_devcontainer_cli_publishes_to_the_built_in_registry(world: World, tmp_path: Path) -> None:
    """Unmodified, with a personal access token; a codespace gets it by its own token, once its repository may (A7)."""
    owner, host = fresh_name("o"), own_host(world)
    folder = tmp_path / "src" / "hello"
    folder.mkdir(parents=True)
    options = {"greeting": {"type": "string", "default": "hi", "enum": ["hi", "ho"]}}
    for path, content in feature_files('echo "$GREETING" > /greeting', options=options).items():
        (folder / path).write_bytes(content)
    async with world.server.api() as api:
        assert (await api.post("/admin/organizations", json={"login": owner, "admin": "admin"})).status_code == 201
        made = await api.post("/admin/users/admin/authorizations", json={"scopes": ["write:packages"]})
        await publish_with_cli(tmp_path, host, f"{owner}/features", made.json()["token"])
        feature = f"{host}/{owner}/features/hello:1"
        async with project_with(world, api, {feature: {"greeting": "ho"}}) as project:
            await project.give(world.registry_host, RIGHT)
            assert code(await project.launch()) == "package.codespace_denied"
            await allow_codespaces(world, feature, project.repository_id)
            codespace = await project.launch()
            assert code(codespace) == "", codespace.get("finding")
            assert await project.run(codespace, "cat /greeting") == "ho"
            async with engine_api(world.docker_host) as engine:
                built = await engine.get(f"/images/berth.invalid/{codespace['name']}:built/json")
            label = json.loads(built.json()["Config"]["Labels"]["devcontainer.metadata"])
            assert label == [{"id": feature}]
            await project.commit(
                **{CONFIGURATION: json.dumps({"image": world.image, "features": {feature: {"greeting": "he"}}})}
            )
            assert code(await project.launch()) == "feature.option"


async def publish_with_cli(folder: Path, host: str, namespace: str, token: str) -> None:
    """The CLI speaks plain HTTP to the name `localhost` only."""
    port = host.rpartition(":")[2]
    auth = httpx.BasicAuth("admin", token)._auth_header.removeprefix("Basic ")
    (folder / "docker").mkdir()
    (folder / "docker" / "config.json").write_text(json.dumps({"auths": {f"localhost:{port}": {"auth": auth}}}))
    cli = Path(__file__).parents[2] / "node_modules/@devcontainers/cli/devcontainer.js"
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.prefix) / "bin/node"), str(cli), "features", "publish",
        "-r", f"localhost:{port}", "-n", namespace, str(folder / "src"),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "DOCKER_CONFIG": str(folder / "docker"), "TMPDIR": str(folder)},
    )  # fmt: skip
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    assert '"publishedTags"' in said.decode()
