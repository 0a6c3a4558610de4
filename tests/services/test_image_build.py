"""Images that are built (L1, L2, L4, L8): what the engine is given of the repository, and what becomes of it."""

from pathlib import Path

import pytest
from sqlalchemy import update
from tests.codespace_world import (
    BUILD_TIMEOUT_S,
    HOST,
    IMAGE,
    OWN_HOST,
    PASSWORD,
    SERVER_ID,
    CodespaceWorld,
    make_codespace_world,
)
from tests.fakes.engine import BUILT, UNREACHABLE, Build
from tests.fakes.registry_client import DIGEST

from berth.adapters.store.database import Store
from berth.adapters.store.tables import codespaces as codespaces_table
from berth.domain.codespace import LABEL, SERVER_LABEL, Codespace
from berth.domain.dev_container import METADATA_LABEL
from berth.domain.image_build import BUILD_LABEL, build_key, built_image_name
from berth.domain.lifecycle import State
from berth.domain.registry_credential import Anonymous, RegistryCredential
from berth.services import image_build
from berth.services.codespace_watch import CodespaceWatch
from berth.services.ports import ImageBuilt, LocalImage

pytestmark = pytest.mark.parametrize(
    "database_url", ["sqlite"], indirect=True
)  # nothing here asks the database anything new

DOCKERFILE = ".devcontainer/Dockerfile"


@pytest.fixture
async def world(store: Store, tmp_path: Path) -> CodespaceWorld:
    world = await make_codespace_world(store, tmp_path)
    await world.give_triple()
    await world.configure("acme/web", build={"dockerfile": "Dockerfile"})
    await world.write("acme/web", DOCKERFILE, f"FROM {IMAGE}\nCOPY . /x\n".encode())
    return world


def code(codespace: Codespace) -> str:
    assert codespace.finding is not None, codespace.state
    assert codespace.state is State.FAILED
    assert codespace.finding.next_step
    return codespace.finding.code


def only(world: CodespaceWorld) -> Build:
    (build,) = world.engine.builds
    return build


async def test_the_engine_gets_digests_and_the_row_an_id(world: CodespaceWorld) -> None:
    await world.write("acme/web", ".devcontainer/a/b", b"content")
    launched = await world.launch()
    assert launched.state is State.AVAILABLE, launched.finding
    assert launched.image == BUILT
    assert launched.image_reference is None
    build = only(world)
    key = build_key(SERVER_ID, launched)
    assert build.asked.labels == {SERVER_LABEL: SERVER_ID, BUILD_LABEL: key, LABEL: ""}
    assert build.dockerfile == [
        "# escape=\\",
        f"FROM {HOST}/team/dev@{DIGEST}",
        f"LABEL {SERVER_LABEL}={SERVER_ID} {BUILD_LABEL}={key} {LABEL}=",
        "COPY . /x",
    ]
    assert build.asked.name == built_image_name(launched.name)
    assert (build.asked.cpus, build.asked.memory_bytes) == (1, 2**29), "as the machine"
    assert build.files.keys() == {".berth.dockerfile", ".dockerignore", "Dockerfile", "devcontainer.json", "a/b"}
    assert build.files["a/b"] == b"content"
    assert build.files[".dockerignore"].split() == [b".berth.dockerfile", b".dockerignore"]
    (request,) = world.dev_containers.requests
    assert request.configuration["image"] == BUILT
    assert PASSWORD not in str(build), "S7"
    assert [one for _, one in world.registry.asked if isinstance(one, RegistryCredential)] != []
    phases = [entry.text for entry in await world.log(launched.name) if entry.kind == "phase"]
    assert phases[1:5] == [
        f"Reading {DOCKERFILE}",
        "Finding the credentials",
        f"Pulling {IMAGE}",
        "Building the image",
    ]


async def test_a_start_builds_nothing_and_a_removal_removes(world: CodespaceWorld) -> None:
    launched = await world.launch()
    subject = world.secrets.subject("olga")
    await world.service.stop(subject, launched.name)
    await world.step(launched.name)
    await world.service.start(subject, launched.name)
    assert (await world.step(launched.name)).state is State.AVAILABLE
    only(world)
    assert built_image_name(launched.name) in world.engine.images
    await world.service.delete(subject, launched.name)
    await world.run(await world.claim(launched.name))
    assert built_image_name(launched.name) not in world.engine.images


@pytest.mark.parametrize("default_image", ["", IMAGE])
async def test_a_commit_without_configuration_does_not_fall_back_to_an_id(
    store: Store, tmp_path: Path, default_image: str
) -> None:
    """The id of what was built names no image that a launch could ask a registry for."""
    world = await make_codespace_world(store, tmp_path, default_image=default_image)
    await world.give_triple()
    name = await world.create("olga", "acme/web")
    async with world.store.begin() as connection:
        await connection.execute(update(codespaces_table).values(image=BUILT))
    await world.commit_tree("acme/web")
    launched = await world.step(name)
    if default_image:
        assert launched.image == f"{HOST}/team/dev@{DIGEST}"
    else:
        assert code(launched) == "devcontainer.missing"


async def test_what_was_launched_from_a_registry_keeps_its_image(world: CodespaceWorld) -> None:
    await world.configure("acme/web", image=IMAGE)
    launched = await world.launch()
    assert launched.image_reference == launched.image == f"{HOST}/team/dev@{DIGEST}"


async def test_l2_every_image_is_proven_and_the_first_refusal_ends_it(world: CodespaceWorld) -> None:
    text = f"FROM {IMAGE}\nCOPY --from={HOST}/team/other:1 /a /b\nCOPY --from={HOST}/team/third:1 /a /b\n"
    await world.write("acme/web", DOCKERFILE, text.encode())
    failed = await world.launch()
    assert code(failed) == "image.unauthorized"
    asked = [name for name, credential in world.registry.asked if credential != Anonymous()]
    assert asked == [f"{HOST}/team/dev", f"{HOST}/team/other"], (
        "the one more is without the credential that was refused"
    )
    assert world.engine.builds == []
    world.registry.passwords |= {f"{HOST}/team/other": PASSWORD, f"{HOST}/team/third": None}
    assert (await world.launch()).state is State.AVAILABLE, "the control"
    assert len([line for line in only(world).dockerfile if f"@{DIGEST}" in line]) == 3


async def test_l2_what_the_engine_holds_proves_nothing(world: CodespaceWorld) -> None:
    world.engine.images[f"{HOST}/team/other:1"] = LocalImage(image_id="i", labels={}, architecture="amd64", user="")
    await world.write("acme/web", DOCKERFILE, f"FROM {HOST}/team/other:1\n".encode())
    assert code(await world.launch()) == "image.unauthorized"


async def test_c6_an_image_of_our_own_is_asked_for_with_the_codespaces_token(world: CodespaceWorld) -> None:
    world.registry.passwords = {f"{OWN_HOST}/acme/base": "x"}
    await world.write("acme/web", DOCKERFILE, f"FROM {OWN_HOST}/acme/base:1\n".encode())
    await world.launch()
    ((name, credential),) = world.registry.asked
    assert name == f"{OWN_HOST}/acme/base"
    assert isinstance(credential, RegistryCredential)
    assert credential.user == "olga"


async def test_arguments_and_target(world: CodespaceWorld) -> None:
    build = {"dockerfile": "../Dev", "context": "..", "target": "one", "args": {"A": "1"}, "cacheFrom": "x"}
    await world.configure("acme/web", build=build)
    text = f"# syntax=docker/dockerfile:1\nFROM {IMAGE} AS one\nARG A\nARG TARGETARCH\nFROM never.example/x\n"
    await world.write("acme/web", "Dev", text.encode())
    launched = await world.launch()
    assert launched.state is State.AVAILABLE, launched.finding
    assert only(world).asked.arguments == {"A": "1", "TARGETARCH": "amd64"}
    assert ".devcontainer/devcontainer.json" in only(world).files
    assert "cacheFrom" in await world.log_text(launched.name)
    assert "docker/dockerfile:1" in await world.log_text(launched.name)


IGNORE = ".devcontainer/.dockerignore"
USUAL = {".berth.dockerfile", ".dockerignore"}


async def test_the_ignore_file_of_the_context(world: CodespaceWorld) -> None:
    await world.write("acme/web", IGNORE, b"*.log\nDockerfile\n")
    await world.write("acme/web", ".devcontainer/a.log", b"x")
    await world.launch()
    assert only(world).files.keys() == USUAL | {"devcontainer.json"}
    assert only(world).files[".dockerignore"] == b"*.log\nDockerfile\n\n.berth.dockerfile\n", (
        "it is sent, like any file"
    )


async def test_the_ignore_file_of_the_dockerfile_counts_before_it(world: CodespaceWorld) -> None:
    await world.write("acme/web", IGNORE, b"devcontainer.json\n")
    await world.write("acme/web", f"{DOCKERFILE}.dockerignore", b".dockerignore\n*.dockerignore\n")
    await world.launch()
    assert only(world).files.keys() == USUAL | {"devcontainer.json", "Dockerfile"}
    assert only(world).files[".dockerignore"].split() == [b".berth.dockerfile", b".dockerignore"]


async def test_the_rewritten_dockerfile_replaces_no_file(world: CodespaceWorld) -> None:
    await world.write("acme/web", ".devcontainer/.berth.dockerfile", b"mine")
    await world.write("acme/web", ".devcontainer/.berth.dockerfile1/x", b"mine")
    await world.launch()
    assert only(world).asked.dockerfile == ".berth.dockerfile2"
    assert only(world).files[".berth.dockerfile"] == b"mine"


async def test_an_ignore_file_that_is_a_link_is_none(world: CodespaceWorld) -> None:
    config = '{"build":{"dockerfile":"Dockerfile"}}'
    await world.commit_tree(
        "acme/web",
        f"100644 {config} .devcontainer/devcontainer.json",
        f"100644 FROM\t{IMAGE} {DOCKERFILE}",
        f"120000 /etc/passwd {IGNORE}",
    )
    assert (await world.launch()).state is State.AVAILABLE
    assert only(world).files[".dockerignore"].split() == [b".berth.dockerfile", b".dockerignore"]


MISSING = {
    "no Dockerfile": ({"dockerfile": "None"}, "no file .devcontainer/None"),
    "a folder as the Dockerfile": ({"dockerfile": "../.devcontainer"}, "no file .devcontainer"),
    "no context": ({"dockerfile": "Dockerfile", "context": "none"}, "no folder .devcontainer/none"),
    "a file as the context": ({"dockerfile": "Dockerfile", "context": "Dockerfile"}, f"no folder {DOCKERFILE}"),
}


@pytest.mark.parametrize(("build", "what"), MISSING.values(), ids=MISSING.keys())
async def test_what_is_not_there(world: CodespaceWorld, build: dict[str, str], what: str) -> None:
    await world.configure("acme/web", build=build)
    failed = await world.launch()
    assert code(failed) == "devcontainer.build_missing"
    assert failed.finding is not None
    assert what in failed.finding.sentence


async def test_files_that_are_too_large(world: CodespaceWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.write("acme/web", IGNORE, b"x" * (1024 * 1024 + 1))
    assert code(await world.launch()) == "devcontainer.dockerignore"
    await world.write("acme/web", IGNORE, b"")
    monkeypatch.setattr(image_build, "MAX_CONTEXT_BYTES", 10)
    failed = await world.launch()
    assert code(failed) == "devcontainer.context_too_large"
    assert failed.finding is not None
    assert ".dockerignore" in failed.finding.next_step
    await world.write("acme/web", DOCKERFILE, b"x" * (1024 * 1024 + 1))
    assert code(await world.launch()) == "devcontainer.dockerfile"
    assert world.engine.builds == []


async def test_a_base_image_with_onbuild_steps_is_refused(world: CodespaceWorld) -> None:
    world.engine.triggers = (f"COPY --from={HOST}/team/other:1 / /",)
    assert code(await world.launch()) == "devcontainer.dockerfile_refused"
    await world.configure("acme/web", image=IMAGE)
    assert (await world.launch()).state is State.AVAILABLE, "the control: without a build they do nothing"


async def test_l4_the_built_images_label_is_reviewed(world: CodespaceWorld) -> None:
    world.engine.image_labels = {METADATA_LABEL: '[{"privileged": true}]'}
    assert code(await world.launch()) == "devcontainer.not_allowed"
    assert len(world.engine.builds) == 1, "a base image's label is not: the Dockerfile may replace it"
    world.engine.image_labels = {METADATA_LABEL: '[{"postCreateCommand": "from-label"}]'}
    assert (await world.launch()).state is State.AVAILABLE
    assert world.engine.hooks == ["from-label"]


async def test_l8_a_failed_build_says_where_and_why(world: CodespaceWorld) -> None:
    world.engine.chunks = (b"".join(b"line %d\n" % number for number in range(30)), b"the last ", b"words")
    world.engine.build_result = ImageBuilt(image_id=None, step="Step 3/3 : COPY . /x", reason="no such file")
    failed = await world.launch()
    assert code(failed) == "image.build_failed"
    assert failed.finding is not None
    assert failed.finding.sentence == "Building the image failed at 'Step 3/3 : COPY . /x': no such file."
    assert failed.finding.evidence["output"].splitlines()[-2:] == ["line 29", "the last words"]
    assert len(failed.finding.evidence["output"].splitlines()) == 10
    assert "the last words" in await world.log_text(failed.name)
    assert world.nothing_left(failed.name)
    world.engine.build_result = ImageBuilt(image_id=None, reason="bad")
    failed = await world.launch()
    assert failed.finding is not None
    assert failed.finding.sentence == "Building the image failed: bad."


async def test_l7_a_secret_that_a_build_prints_is_masked(world: CodespaceWorld) -> None:
    """It has none; but what one prints may be one all the same."""
    world.engine.chunks = (b"pass ", PASSWORD[:9].encode(), PASSWORD[9:].encode(), b"\n")
    world.engine.build_result = ImageBuilt(image_id=None, step="Step", reason=f"no {PASSWORD}")
    failed = await world.launch()
    assert PASSWORD not in str(failed.finding) + await world.log_text(failed.name)
    assert "pass ********" in await world.log_text(failed.name)


async def test_a_build_that_does_not_end_is_stopped(world: CodespaceWorld) -> None:
    world.engine.build_takes_s = BUILD_TIMEOUT_S * 10
    assert code(await world.launch()) == "image.build_timeout"


async def test_an_engine_that_is_not_there_is_tried_again(world: CodespaceWorld) -> None:
    world.engine.faults["build"] = UNREACHABLE
    waiting = await world.launch()
    assert waiting.state is State.PROVISIONING
    del world.engine.faults["build"]
    assert (await world.step(waiting.name)).state is State.AVAILABLE


async def test_an_engine_that_loses_what_it_built(world: CodespaceWorld) -> None:
    await world.write("acme/web", DOCKERFILE, b"FROM scratch\n")
    world.engine.loses_images = True
    assert code(await world.launch()) == "engine.failed"


async def test_the_sweep_removes_what_builds_left_and_no_more(world: CodespaceWorld) -> None:
    launched = await world.launch()
    engine = world.engine
    of_build = {SERVER_LABEL: SERVER_ID, BUILD_LABEL: "k"}
    left = engine.make(of_build)
    of_codespace = engine.make({**of_build, LABEL: launched.name})
    of_nobody = engine.make({**of_build, LABEL: "gone"})
    of_other = engine.make({SERVER_LABEL: "other", BUILD_LABEL: "k"})
    orphan = LocalImage(image_id="x", labels=of_build, architecture="amd64", user="")
    engine.images |= {built_image_name("gone"): orphan, "registry.example/x:1": orphan}
    await world.worker.sweep()
    await CodespaceWatch(store=world.store, launcher=world.launcher, wake=lambda: None).look()
    assert {left.container_id, of_nobody.container_id}.isdisjoint(engine.containers)
    assert {of_codespace.container_id, of_other.container_id} <= engine.containers.keys()
    assert built_image_name("gone") not in engine.images
    assert {built_image_name(launched.name), "registry.example/x:1"} <= engine.images.keys()
    assert engine.pruned == [({SERVER_LABEL: SERVER_ID}, 7 * 86400)]
