"""Features of a launch (L1, L2, L4, L6, L8): fetched with the user's right, installed by a build that Berth wrote."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from tests.codespace_world import (
    FEATURE_BYTES,
    HOST,
    IMAGE,
    PASSWORD,
    SERVER_ID,
    CodespaceWorld,
    make_codespace_world,
)
from tests.fakes.engine import BUILT, Build
from tests.fakes.registry_client import DIGEST
from tests.features import feature_files, tar_of
from tests.secret_world import ACME

from berth.adapters.store import codespace_policy as policy_rows
from berth.adapters.store.database import Store
from berth.domain.codespace import LABEL, SERVER_LABEL, Codespace, Rebuild
from berth.domain.codespace_policy import CodespacePolicy
from berth.domain.dev_container import METADATA_LABEL
from berth.domain.feature import MAX_FEATURES
from berth.domain.image_build import BUILD_LABEL, build_key, built_image_name
from berth.domain.image_reference import Digest
from berth.domain.lifecycle import State
from berth.domain.registry_credential import Anonymous
from berth.domain.secret import SecretVisibility
from berth.services import feature_fetch
from berth.services.ports import ImageBuilt, LocalImage

pytestmark = pytest.mark.parametrize(
    "database_url", ["sqlite"], indirect=True
)  # nothing here asks the database anything new

GO = f"{HOST}/team/features/go"
BASE = f"{HOST}/team/features/base"


@pytest.fixture
async def world(store: Store, tmp_path: Path) -> CodespaceWorld:
    world = await make_codespace_world(store, tmp_path)
    await world.give_triple()
    return world


def publish(
    world: CodespaceWorld, name: str, install: str = "true", *, password: str | None = PASSWORD, **metadata: Any
) -> str:
    """What devcontainer.json calls it."""
    world.registry.features[name] = tar_of(feature_files(install, **metadata))
    world.registry.passwords[name] = password
    return f"{name}:1"


async def launch_with(world: CodespaceWorld, features: dict[str, Any], **config: Any) -> Codespace:
    await world.configure("acme/web", features=features, **config)
    return await world.launch()


def code(codespace: Codespace) -> str:
    assert codespace.finding is not None, codespace.state
    assert codespace.state is State.FAILED
    assert codespace.finding.next_step
    return codespace.finding.code


def only(world: CodespaceWorld) -> Build:
    (build,) = world.engine.builds
    return build


async def test_upon_an_image(world: CodespaceWorld) -> None:
    feature = publish(world, GO, postCreateCommand="echo go", containerEnv={"A": "1"}, legacyIds=["golang"])
    world.engine.image_labels = {METADATA_LABEL: '[{"remoteUser": "dev"}]'}
    world.engine.image_user = "dev"
    launched = await launch_with(world, {feature: {"x": "y"}}, overrideFeatureInstallOrder=[GO])
    assert launched.state is State.AVAILABLE, launched.finding
    assert (launched.image, launched.image_reference) == (BUILT, None)
    build = only(world)
    key = build_key(SERVER_ID, launched)
    label = build.asked.labels[METADATA_LABEL]
    assert build.asked.labels == {SERVER_LABEL: SERVER_ID, BUILD_LABEL: key, LABEL: "", METADATA_LABEL: label}
    assert json.loads(label) == [{"remoteUser": "dev"}, {"id": feature, "postCreateCommand": "echo go"}]
    assert build.asked.name == built_image_name(launched.name)
    assert (build.asked.cpus, build.asked.memory_bytes, build.asked.cached) == (1, 2**29, True)
    assert build.dockerfile[0] == f"FROM {HOST}/team/dev@{DIGEST}"
    assert build.dockerfile[-1] == "USER dev"
    assert b"_REMOTE_USER=dev" in build.files["0/run.sh"]
    assert PASSWORD not in str(build), "S7"
    assert "echo go" in world.engine.hooks, "its hook runs"
    log = await world.log_text(launched.name)
    assert "has no option 'x'" in log
    assert f"{feature}: {Digest.of(world.registry.features[GO])}" in log
    phases = [entry.text for entry in await world.log(launched.name) if entry.kind == "phase"]
    assert phases[1:5] == ["Finding the credentials", "Fetching Features", f"Pulling {IMAGE}", f"Installing {feature}"]


async def test_upon_a_dockerfile_with_features_of_the_repository(world: CodespaceWorld) -> None:
    publish(world, BASE)
    own = feature_files("echo own", id="own", dependsOn={f"{BASE}:1": {}, "./other": {}})
    for folder, files in (("own", own), ("other", feature_files(id="other"))):
        for path, content in files.items():
            await world.write("acme/web", f".devcontainer/{folder}/{path}", content)
    await world.write("acme/web", ".devcontainer/Dockerfile", f"FROM {IMAGE}\n".encode())
    launched = await launch_with(world, {"./own": {}}, build={"dockerfile": "Dockerfile"})
    assert launched.state is State.AVAILABLE, launched.finding
    first, second = world.engine.builds
    assert (first.asked.name, second.asked.name) == ("", built_image_name(launched.name))
    assert second.dockerfile[0] == f"FROM {BUILT}"
    assert b"echo own" in second.files["2/feature/install.sh"], "after what it depends on"
    assert [json.loads(second.files[f"{number}/feature/devcontainer-feature.json"])["id"] for number in range(3)] == [
        "other",
        "hello",
        "own",
    ]


async def test_a_rebuild_with_everything_anew(world: CodespaceWorld) -> None:
    launched = await launch_with(world, {publish(world, GO): {}})
    await world.service.rebuild(world.secrets.subject("olga"), launched.name, Rebuild.FULL)
    assert (await world.step(launched.name)).state is State.AVAILABLE
    assert [build.asked.cached for build in world.engine.builds] == [True, False]


async def test_what_two_need_is_one(world: CodespaceWorld) -> None:
    base = publish(world, BASE)
    first, second = (publish(world, f"{GO}{number}", f"echo {number}", dependsOn={base: {}}) for number in (1, 2))
    launched = await launch_with(world, {first: {}, second: {}, f"{BASE}:latest": {}, base: {"version": "2"}})
    assert launched.state is State.AVAILABLE, launched.finding
    assert sum(line.startswith("RUN") for line in only(world).dockerfile) == 4, "with its options it is another one"
    asked = [name for name, _ in world.registry.asked if name == BASE]
    assert len(asked) == 2, "each place is asked for once"


@pytest.mark.parametrize(
    ("password", "secret", "expected"),
    [
        (PASSWORD, PASSWORD, ""),
        (PASSWORD, None, "image.credential_missing"),
        (PASSWORD, "wrong", "image.unauthorized"),
        (None, None, ""),
    ],
    ids=["the right credential", "none", "a wrong one", "a public Feature"],
)
async def test_l1_l2_with_the_user_s_credential_or_not_at_all(
    store: Store, tmp_path: Path, password: str | None, secret: str | None, expected: str
) -> None:
    world = await make_codespace_world(store, tmp_path)
    world.registry.passwords[f"{HOST}/team/dev"] = None
    if secret:
        await world.give_triple(secret)
        world.registry.passwords[f"{HOST}/team/dev"] = secret
    features: dict[str, Any] = {publish(world, name, password=password): {} for name in (GO, BASE)}
    launched = await launch_with(world, features)
    if not expected:
        assert launched.state is State.AVAILABLE, launched.finding
        assert (Anonymous() in [one for _, one in world.registry.asked]) is (secret is None)
        return
    assert code(launched) == expected
    logins = [one for _, one in world.registry.asked if one != Anonymous()]
    assert len(logins) == (secret is not None), "no second attempt, at a Feature or at the image"
    assert not world.engine.builds
    assert not world.engine.pulled, "L8"


async def test_a_broken_triple_is_not_anonymous(store: Store, tmp_path: Path) -> None:
    world = await make_codespace_world(store, tmp_path)
    await world.secrets.put("olga", ACME, "A_CONTAINER_REGISTRY_SERVER", HOST, visibility=SecretVisibility.ALL)
    assert code(await launch_with(world, {publish(world, GO, password=None): {}})) == "credential.incomplete"
    assert world.registry.asked == []


async def put_policy(world: CodespaceWorld, *patterns: str) -> None:
    repository = await world.repository("acme/web")
    policy = CodespacePolicy(name="base", allowed_images=patterns)
    async with world.store.begin() as connection:
        await policy_rows.set_policy(connection, repository.owner_id, policy)


async def test_l6_a_feature_is_what_policies_say_of_images(world: CodespaceWorld) -> None:
    feature = publish(world, GO, dependsOn={publish(world, BASE): {}})
    await put_policy(world, f"{HOST}/team/dev")
    refused = await launch_with(world, {feature: {}})
    assert code(refused) == "codespace.policy_image"
    assert world.registry.asked == [], "no registry is asked"
    await put_policy(world, f"{HOST}/team/dev", GO)
    refused = await launch_with(world, {feature: {}})
    assert code(refused) == "codespace.policy_image"
    assert [name for name, _ in world.registry.asked] == [GO], "what it depends on is not asked for"
    await put_policy(world, f"{HOST}/team/**")
    assert (await launch_with(world, {feature: {}})).state is State.AVAILABLE


BAD_ARCHIVES = {
    "no metadata": (tar_of({"install.sh": b""}), "feature.archive"),
    "no install.sh": (tar_of({"devcontainer-feature.json": b'{"id": "a"}'}), "feature.archive"),
    "no tar": (b"x" * 1000, "feature.archive"),
    "a bomb": (gzip.compress(tar_of({"a": bytes(20 * FEATURE_BYTES)})), "feature.too_large"),
    "metadata that is none": (tar_of({"devcontainer-feature.json": b"[", "install.sh": b""}), "devcontainer.malformed"),
}


@pytest.mark.parametrize(("archive", "expected"), BAD_ARCHIVES.values(), ids=BAD_ARCHIVES.keys())
async def test_a_feature_that_cannot_be_used(world: CodespaceWorld, archive: bytes, expected: str) -> None:
    feature = publish(world, GO)
    world.registry.features[GO] = archive
    refused = await launch_with(world, {feature: {}})
    assert code(refused) == expected
    assert refused.finding is not None
    assert feature in refused.finding.sentence
    assert not world.engine.pulled, "L8"


async def test_l4_a_feature_is_reviewed_before_an_image_is_pulled(world: CodespaceWorld) -> None:
    refused = await launch_with(world, {publish(world, GO, privileged=True): {}})
    assert code(refused) == "devcontainer.not_allowed"
    assert not world.engine.pulled


async def test_all_features_together_are_bounded(world: CodespaceWorld) -> None:
    names: dict[str, Any] = {publish(world, f"{GO}{number}", "#" * (FEATURE_BYTES // 3)): {} for number in range(3)}
    assert code(await launch_with(world, names)) == "feature.too_large"
    assert (await launch_with(world, dict(list(names.items())[:2]))).state is State.AVAILABLE


async def test_the_number_of_features_is_bounded(world: CodespaceWorld) -> None:
    chain = {f"{GO}-{number}": f"{GO}-{number + 1}:1" for number in range(MAX_FEATURES)}
    for name, needed in chain.items():
        publish(world, name, dependsOn={needed: {}})
    publish(world, f"{GO}-{MAX_FEATURES}")
    assert code(await launch_with(world, {f"{GO}-0:1": {}})) == "feature.too_many"
    assert (await launch_with(world, {f"{GO}-1:1": {}})).state is State.AVAILABLE


async def test_a_folder_that_cannot_be_used(world: CodespaceWorld) -> None:
    assert code(await launch_with(world, {"./own": {}})) == "feature.missing"
    files = [f"100644 {{}} .devcontainer/own/{name}" for name in ("devcontainer-feature.json", "install.sh")]
    config = json.dumps({"image": IMAGE, "features": {"./own": {}}}, separators=(",", ":"))
    entries = [f"100644 {config} .devcontainer/devcontainer.json", *files]
    await world.commit_tree("acme/web", *entries, "120000 /etc/passwd .devcontainer/own/link")
    assert code(await world.launch()) == "feature.archive"
    await world.commit_tree("acme/web", *entries)
    assert code(await world.launch()) == "feature.metadata", "the control: without the link it is read"


async def test_a_folder_that_holds_too_much(world: CodespaceWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    for path, content in feature_files("#" * FEATURE_BYTES).items():
        await world.write("acme/web", f".devcontainer/own/{path}", content)
    assert code(await launch_with(world, {"./own": {}})) == "feature.too_large"
    monkeypatch.setattr(feature_fetch, "MAX_FILES", 1)
    assert code(await world.launch()) == "feature.archive"


async def test_l8_an_installation_that_fails(world: CodespaceWorld) -> None:
    feature = publish(world, GO)
    world.engine.chunks = (b"the-reason\n",)
    step = 'Step 5/6 : RUN ["/bin/sh", "/tmp/berth-features/0/run.sh"]'
    world.engine.build_result = ImageBuilt(image_id=None, step=step, reason="exit 7")
    failed = await launch_with(world, {feature: {}})
    assert code(failed) == "feature.install_failed"
    assert failed.finding is not None
    assert failed.finding.sentence == f"install.sh of the Feature {feature} failed: exit 7."
    assert failed.finding.evidence["output"] == "the-reason"
    assert not world.engine.containers
    world.engine.build_result = ImageBuilt(image_id=None, step="", reason="no space")
    assert code(await launch_with(world, {feature: {}})) == "image.build_failed"


@pytest.mark.parametrize(
    ("triggers", "loses", "expected"),
    [(("RUN evil",), False, "feature.base_image"), ((), True, "image.pull_failed")],
)
async def test_an_image_that_cannot_have_features(
    world: CodespaceWorld, triggers: tuple[str, ...], loses: bool, expected: str
) -> None:
    world.engine.triggers, world.engine.loses_images = triggers, loses
    assert code(await launch_with(world, {publish(world, GO): {}})) == expected
    assert not world.engine.builds


class Vanishing(dict[str, LocalImage]):
    """Images that are there once."""

    def get(self, key: str, default: Any = None) -> Any:
        return self.pop(key, default)


async def test_an_image_that_vanishes_before_the_features_come(world: CodespaceWorld) -> None:
    world.engine.images = Vanishing()
    assert code(await launch_with(world, {publish(world, GO): {}})) == "engine.failed"
