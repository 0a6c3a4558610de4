"""Runs of prebuilds: with whose rights and secrets, what is published and where, what is left after faults. On both databases."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select, update
from tests.codespace_world import HOST, PASSWORD
from tests.fakes.ecr_memory import ECR_HOST, KEY_ID, SECRET
from tests.fakes.engine import SAVED, UNREACHABLE
from tests.prebuild_world import DOCKERFILE, PrebuildWorld, open_prebuild_world
from tests.secret_world import MINE, WEB

from berth.adapters.store import codespace_policy as policy_rows
from berth.adapters.store import package as package_rows
from berth.adapters.store import package_grant as grant_rows
from berth.adapters.store import prebuild as rows
from berth.adapters.store.database import Store
from berth.adapters.store.package_tables import packages, uploads
from berth.adapters.store.prebuild_tables import prebuilds
from berth.adapters.store.tables import accounts, collaborators, repositories
from berth.domain.codespace_policy import CodespacePolicy
from berth.domain.image_build import built_image_name
from berth.domain.image_reference import Digest
from berth.domain.lifecycle import State
from berth.domain.package_role import PackageRole
from berth.domain.prebuild import Prebuild, PrebuildState
from berth.domain.problem import LimitReached
from berth.domain.registry_credential import Anonymous
from berth.domain.repository import Visibility
from berth.domain.role import Role
from berth.services.ports import ImageBuilt
from berth.services.prebuild_trigger import request_for_push
from berth.services.prebuild_worker import MAX_ATTEMPTS

ONCE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # it asks the database nothing new


@pytest.fixture
async def world(store: Store, tmp_path: Path) -> AsyncIterator[PrebuildWorld]:
    async with open_prebuild_world(store, tmp_path) as world:
        await world.give_repository_triple()
        yield world


def code(prebuild: Prebuild) -> str:
    assert prebuild.state is PrebuildState.FAILED, prebuild.state
    assert prebuild.finding is not None
    assert prebuild.finding.next_step
    return prebuild.finding.code


async def set_visibility(world: PrebuildWorld, visibility: Visibility) -> None:
    async with world.store.begin() as connection:
        number = world.codespaces.secrets.repositories["acme/web"]
        await connection.execute(update(repositories).where(repositories.c.id == number).values(visibility=visibility))


async def test_a_version_lies_in_a_package_of_the_repository(world: PrebuildWorld) -> None:
    made = await world.make()
    assert (made.state, made.finding) == (PrebuildState.READY, None)
    assert made.finished_at is not None
    (version,) = await world.versions()
    known = await world.package()
    assert known is not None
    package = known.package
    assert package.repository_id == made.repository_id
    assert (package.visibility, package.inherits_access) == (Visibility.PRIVATE, True), "A8"
    assert await world.published() == {version.configuration_hash}
    assert version.commit_id == made.commit_id
    assert built_image_name(made.name) in world.codespaces.engine.images, "an engine that holds it transfers nothing"
    assert await world.count_tokens() == 0
    text = await world.log(made)
    assert f"The configuration's hash is {version.short_hash}." in text
    assert "Publishing the image" in text
    assert PASSWORD not in text
    (build,) = world.codespaces.engine.builds
    assert build.dockerfile[1] == f"FROM {HOST}/team/dev@{Digest.of(b'the image')}"


async def test_what_is_there_already_is_not_built_again_unless_asked(world: PrebuildWorld) -> None:
    made = await world.make()
    await world.step(made)
    assert len(world.codespaces.engine.builds) == 1
    assert "A version of it is there already." in await world.log(made)
    (first,) = await world.versions()
    await world.run(made)
    world.codespaces.engine.exports[2] = ("a/layer.tar", b"another layer", "")
    again = await world.step(made)
    assert (again.state, again.is_forced) == (PrebuildState.READY, False)
    assert not world.codespaces.engine.builds[1].asked.cached
    (second,) = await world.versions()
    assert (second.configuration_hash, second.digest != first.digest) == (first.configuration_hash, True)
    assert await world.published() == {second.configuration_hash}
    assert not await world.packages.holds(first, await world.codespaces.repository("acme/web")), "the old one is gone"
    await world.run(made)
    await world.step(made)
    assert [each.digest for each in await world.versions()] == [second.digest], "the same again is kept"
    assert await world.packages.holds(second, await world.codespaces.repository("acme/web"))


async def test_a_version_that_somebody_deleted_is_made_again(world: PrebuildWorld) -> None:
    made = await world.make()
    (version,) = await world.versions()
    await world.packages.retire(version, await world.codespaces.repository("acme/web"))
    assert await world.published() == set()
    await world.packages.retire(version, await world.codespaces.repository("acme/web"))  # may be repeated
    await world.step(made)
    assert len(world.codespaces.engine.builds) == 2
    assert await world.published() == {version.configuration_hash}


async def test_a_moved_tag_is_another_configuration_and_old_versions_go(world: PrebuildWorld) -> None:
    made = await world.make(trigger="schedule", every_hours=2)
    seen = [(await world.versions())[0].configuration_hash]
    for number in (1, 2):
        world.codespaces.registry.digest = Digest.of(f"{number}".encode())
        world.codespaces.engine.exports[2] = ("a/layer.tar", f"layer {number}".encode(), "")
        await world.step(made)
        seen.append((await world.versions())[0].configuration_hash)
    assert len(set(seen)) == 3
    assert {each.configuration_hash for each in await world.versions()} == set(seen[1:]), "two are kept"
    assert await world.published() == set(seen[1:])
    row = await world.row(made)
    assert row is not None
    assert row.next_at is not None, "it is made anew after two hours"


async def test_an_image_that_two_prebuilds_share_stays_for_the_other(world: PrebuildWorld) -> None:
    first, second = await world.make(), await world.make()
    assert {each.prebuild_id for each in await world.versions()} == {first.id, second.id}
    await world.service.delete(world.codespaces.secrets.subject("olga"), "acme", "web", first.id)
    await world.work(await world.claim(first))
    assert await world.row(first) is None
    (left,) = await world.versions()
    assert await world.published() == {left.configuration_hash}
    assert built_image_name(first.name) not in world.codespaces.engine.images
    await world.service.delete(world.codespaces.secrets.subject("olga"), "acme", "web", second.id)
    await world.work(await world.claim(second))
    assert await world.published() == set()
    assert await world.versions() == []


@ONCE
async def test_only_secrets_of_the_repository_and_the_organization_are_used(world: PrebuildWorld) -> None:
    """S7. The control: with the same secret at the organization's level it is made."""
    for part in ("SERVER", "USER", "PASSWORD"):
        await world.codespaces.secrets.service.delete(
            world.codespaces.secrets.subject("olga"), WEB, f"REPO_CONTAINER_REGISTRY_{part}"
        )
    for part, value in (("SERVER", HOST), ("USER", "robot"), ("PASSWORD", PASSWORD)):
        await world.codespaces.secrets.put(
            "olga", MINE, f"MY_CONTAINER_REGISTRY_{part}", value, repositories=("acme/web",)
        )
    assert (await world.codespaces.launch()).state is State.AVAILABLE, "the secret does open it"
    world.codespaces.registry.asked.clear()
    made = await world.make()
    assert code(made) == "image.credential_missing"
    assert [credential for _, credential in world.codespaces.registry.asked] == [Anonymous()]
    await world.codespaces.give_triple()
    assert (await world.step(made)).state is PrebuildState.READY


@ONCE
async def test_b3_a_token_that_aws_has_ended_is_replaced_by_another_one(world: PrebuildWorld) -> None:
    """The control is the first test: there the token is taken."""
    image = f"{ECR_HOST}/team/dev"
    await world.codespaces.write("acme/web", DOCKERFILE, f"FROM {image}:1\n".encode())
    for part, value in (("SERVER", ECR_HOST), ("USER", KEY_ID), ("PASSWORD", SECRET)):
        await world.codespaces.secrets.put("olga", WEB, f"AWS_CONTAINER_REGISTRY_{part}", value)
    registry = world.codespaces.registry
    registry.passwords[image], registry.refusal = "token-2", "image.token_expired"
    made = await world.make()
    assert (made.state, made.finding) == (PrebuildState.READY, None)
    text = await world.log(made)
    assert f"{ECR_HOST} does not take its token any more" in text
    assert "token-2" not in text
    registry.passwords[image] = "none of them"
    assert code(await world.step((await world.run(made)).prebuild)) == "image.token_expired"


@ONCE
async def test_a_public_repositorys_prebuild_is_made_without_credentials(world: PrebuildWorld) -> None:
    """What anybody pulls may hold nothing that not anybody may pull."""
    await set_visibility(world, Visibility.PUBLIC)
    made = await world.make()
    assert code(made) == "image.credential_missing"
    assert {type(credential) for _, credential in world.codespaces.registry.asked} == {Anonymous}
    assert await world.package() is None
    world.codespaces.registry.passwords[f"{HOST}/team/dev"] = None
    assert (await world.step(made)).state is PrebuildState.READY, "the control"
    known = await world.package()
    assert known is not None
    assert known.package.visibility is Visibility.PUBLIC


@ONCE
@pytest.mark.parametrize(
    ("was", "becomes"), [(Visibility.PUBLIC, Visibility.PRIVATE), (Visibility.PRIVATE, Visibility.PUBLIC)]
)
async def test_nothing_goes_into_a_package_that_others_see(
    world: PrebuildWorld, was: Visibility, becomes: Visibility
) -> None:
    world.codespaces.registry.passwords[f"{HOST}/team/dev"] = None
    await set_visibility(world, was)
    made = await world.make()
    (version,) = await world.versions()
    await set_visibility(world, becomes)
    await world.codespaces.write("acme/web", ".devcontainer/more", b"x")
    failed = await world.step(made)
    assert code(failed) == "prebuild.package_visibility"
    assert await world.published() == {version.configuration_hash}


async def test_a_package_of_the_name_that_is_not_the_repositorys_is_not_written_to(world: PrebuildWorld) -> None:
    number = world.codespaces.secrets.repositories["acme/web"]
    await world.codespaces.make_package(f"prebuild-{number}")
    assert code(await world.make()) == "package.not_found"
    assert await world.published() == set()


@ONCE
async def test_l6_the_organizations_policy_holds(world: PrebuildWorld) -> None:
    async with world.store.begin() as connection:
        await policy_rows.set_policy(
            connection,
            world.codespaces.secrets.accounts["acme"],
            CodespacePolicy(name="images", allowed_images=("ghcr.io/**",)),
        )
    assert code(await world.make()).startswith("codespace.policy_image")


FAILURES: dict[str, tuple[dict[str, bytes], str]] = {
    "an image": ({".devcontainer/devcontainer.json": b'{"image": "x"}'}, "prebuild.nothing_to_build"),
    "no Dockerfile": (
        {".devcontainer/devcontainer.json": b'{"build": {"dockerfile": "Gone"}}'},
        "devcontainer.build_missing",
    ),
    "what is refused": (
        {".devcontainer/devcontainer.json": b'{"image": "x", "initializeCommand": "x"}'},
        "devcontainer.host_command",
    ),
}


@ONCE
@pytest.mark.parametrize("case", FAILURES)
async def test_a_configuration_that_cannot_be_prebuilt(world: PrebuildWorld, case: str) -> None:
    files, expected = FAILURES[case]
    for path, data in files.items():
        await world.codespaces.write("acme/web", path, data)
    failed = await world.make()
    assert code(failed) == expected
    assert await world.count_tokens() == 0
    await world.codespaces.configure("acme/web", build={"dockerfile": "Dockerfile"})
    assert (await world.step(failed)).state is PrebuildState.READY, "the control"


@ONCE
async def test_a_branch_that_is_gone(world: PrebuildWorld) -> None:
    assert code(await world.make(branch="gone")) == "prebuild.branch_gone"


async def test_it_is_made_by_the_rights_of_who_administers(world: PrebuildWorld) -> None:
    number = world.codespaces.secrets.repositories["acme/web"]
    wim = world.codespaces.secrets.accounts["wim"]
    async with world.store.begin() as connection:
        await connection.execute(collaborators.insert().values(repository_id=number, user_id=wim, role=int(Role.ADMIN)))
    made = await world.make(login="wim")
    assert made.state is PrebuildState.READY
    async with world.store.begin() as connection:
        await connection.execute(collaborators.delete().where(collaborators.c.user_id == wim))
    assert code(await world.step(made)) == "prebuild.no_administrator"


@ONCE
async def test_nothing_is_made_in_the_name_of_who_is_suspended(world: PrebuildWorld) -> None:
    made = await world.make()
    assert made.state is PrebuildState.READY
    for at, code_of_it in ((world.codespaces.secrets.clock.now(), "prebuild.creator_suspended"), (None, None)):
        async with world.store.begin() as connection:
            olga = accounts.c.id == world.codespaces.secrets.accounts["olga"]
            await connection.execute(accounts.update().where(olga).values(suspended_at=at))
        done = await world.step(made)
        assert (None if done.finding is None else done.finding.code) == code_of_it
        assert len(await world.versions()) == 1, "what is there stays"
        assert await world.count_tokens() == 0


@ONCE
async def test_a_build_that_fails(world: PrebuildWorld) -> None:
    world.codespaces.engine.build_result = ImageBuilt(image_id=None, step="RUN false", reason="no")
    made = await world.make()
    assert code(made) == "image.build_failed"
    assert await world.versions() == []
    assert await world.package() is None


ARCHIVES: dict[str, list[tuple[str, bytes, str]]] = {
    "no index": [each for each in SAVED if each[0] != "manifest.json"],
    "an index without end": [*SAVED[:-2], ("manifest.json", b"x" * 2_000_000, "")],
    "a layer that is not there": [each for each in SAVED if each[0] != "a/layer.tar"],
}


@ONCE
@pytest.mark.parametrize("case", ARCHIVES)
async def test_an_archive_that_is_not_understood(world: PrebuildWorld, case: str) -> None:
    world.codespaces.engine.exports = ARCHIVES[case]
    made = await world.make()
    assert code(made) == "engine.failed"
    assert await world.published() == set()
    world.codespaces.engine.exports = list(SAVED)
    assert (await world.step(made)).state is PrebuildState.READY, "what is left of it is in nobody's way"


@ONCE
async def test_a_failure_that_may_pass_is_tried_again_and_then_told(world: PrebuildWorld) -> None:
    world.codespaces.engine.faults["export_image"] = UNREACHABLE
    made = await world.create()
    for _ in range(MAX_ATTEMPTS - 1):
        assert (await world.step(made)).state is PrebuildState.IN_PROGRESS
        assert await world.count_tokens() == 0
    assert code(await world.step(made)) == "engine.unreachable"
    del world.codespaces.engine.faults["export_image"]
    await world.run(made)
    assert (await world.step(made)).state is PrebuildState.READY


@ONCE
async def test_a_full_disk_is_told(world: PrebuildWorld) -> None:
    world.codespaces.engine.faults["export_image"] = LimitReached("Full.", code="blob.disk_full")
    assert code(await world.make()) == "blob.disk_full"


@ONCE
async def test_a_bug_is_tried_again_and_then_told(world: PrebuildWorld) -> None:
    world.codespaces.engine.faults["export_image"] = RuntimeError()
    made = await world.create()
    for _ in range(MAX_ATTEMPTS - 1):
        assert (await world.step(made)).state is PrebuildState.IN_PROGRESS
    assert code(await world.step(made)) == "internal"


@ONCE
async def test_a_server_that_dies_again_and_again(world: PrebuildWorld) -> None:
    made = await world.create()
    async with world.store.begin() as connection:
        await connection.execute(update(prebuilds).values(deserted=MAX_ATTEMPTS))
    assert code(await world.step(made)) == "prebuild.interrupted"


async def test_what_a_dead_server_left_is_done_again_and_its_write_is_refused(world: PrebuildWorld) -> None:
    made = await world.create()
    dead = await world.claim(made)
    assert (await world.step(made)).state is PrebuildState.READY
    (version,) = await world.versions()
    await world.work(dead)  # it was only slow: its first write is refused
    assert [each.id for each in await world.versions()] == [version.id]


async def test_a_removal_that_was_overtaken_removes_no_row(world: PrebuildWorld) -> None:
    made = await world.make()
    await world.service.delete(world.codespaces.secrets.subject("olga"), "acme", "web", made.id)
    slow, quick = await world.claim(made), await world.claim(made)
    await world.work(slow)
    assert await world.row(made) is not None
    world.codespaces.engine.faults["remove_image"] = UNREACHABLE
    await world.work(quick)
    assert await world.row(made) is not None, "it is tried for ever"
    assert await world.worker.give_up(await world.claim(made), UNREACHABLE) is None
    world.codespaces.engine.faults.clear()
    await world.work(await world.claim(made))
    assert await world.row(made) is None


async def test_what_a_repository_left_with_its_former_owner_stays_there(world: PrebuildWorld) -> None:
    """A12."""
    made = await world.make()
    (version,) = await world.versions()
    async with world.store.begin() as connection:
        number = world.codespaces.secrets.repositories["acme/web"]
        otto = world.codespaces.secrets.accounts["otto"]
        await connection.execute(update(repositories).where(repositories.c.id == number).values(owner_id=otto))
    moved = await world.codespaces.repository("acme/web")
    assert not await world.packages.holds(version, moved)
    await world.packages.retire(version, moved)
    assert await world.published() == {version.configuration_hash}
    async with world.store.begin() as connection:
        await connection.execute(update(prebuilds).values(deleted=True))
    await world.work(await world.claim(made))
    assert await world.row(made) is None


async def test_a_push_asks_for_the_prebuilds_of_its_branch(world: PrebuildWorld) -> None:
    made, by_hand = await world.make(), await world.make(trigger="manual")
    other = await world.make(branch="other")
    git, number = world.codespaces.git, made.repository_id
    before = [await world.row(each) for each in (made, by_hand, other)]
    await request_for_push(world.store, git, number)
    assert [await world.row(each) for each in (made, by_hand, other)] == before, "no branch moved"
    await world.codespaces.write("acme/web", ".devcontainer/more", b"x")
    await request_for_push(world.store, git, number)
    assert [rows.to_prebuild(row).state for each in (made, by_hand, other) if (row := await world.row(each))] == [
        PrebuildState.QUEUED,
        PrebuildState.READY,
        PrebuildState.FAILED,
    ]
    assert (await world.step(made)).state is PrebuildState.READY
    assert len({each.configuration_hash for each in await world.versions()}) == 2


@ONCE
async def test_the_sweep_spares_its_image(world: PrebuildWorld) -> None:
    made = await world.make()
    await world.codespaces.worker.sweep()
    assert built_image_name(made.name) in world.codespaces.engine.images
    async with world.store.begin() as connection:
        await connection.execute(prebuilds.delete())
    await world.codespaces.worker.sweep()
    assert built_image_name(made.name) not in world.codespaces.engine.images


@ONCE
async def test_a_layer_that_breaks_off_leaves_no_upload(world: PrebuildWorld) -> None:
    world.codespaces.engine.export_breaks = UNREACHABLE
    made = await world.create()
    assert (await world.step(made)).state is PrebuildState.IN_PROGRESS
    async with world.store.read() as connection:
        assert (await connection.execute(select(uploads.c.id))).all() == []
    world.codespaces.engine.export_breaks = None
    assert (await world.step(made)).state is PrebuildState.READY, "the control"


@ONCE
async def test_a_package_that_was_deleted_is_in_nobodys_way(world: PrebuildWorld) -> None:
    made = await world.make()
    (version,) = await world.versions()
    known = await world.package()
    assert known is not None
    async with world.store.begin() as connection:
        await package_rows.update_package(connection, known.package.id, {"deleted_at": made.created_at})
    repository = await world.codespaces.repository("acme/web")
    await world.packages.retire(version, repository)
    assert not await world.packages.holds(version, repository)
    assert (await world.step(made)).state is PrebuildState.READY
    assert await world.packages.holds(version, repository), "it is published again, in a new one"


@ONCE
async def test_a_repository_that_goes_takes_its_prebuilds_along(world: PrebuildWorld) -> None:
    made = await world.make()
    await world.service.delete(world.codespaces.secrets.subject("olga"), "acme", "web", made.id)
    claim = await world.claim(made)
    async with world.store.begin() as connection:
        await connection.execute(repositories.delete().where(repositories.c.id == made.repository_id))
    await world.work(claim)
    assert await world.row(made) is None
    assert await world.versions() == []


@ONCE
async def test_nothing_goes_into_a_package_that_somebody_made_before(world: PrebuildWorld) -> None:
    """The name can be foreseen. Whoever reads the repository could make the package, stay its administrator, and let jobs push."""
    made = await world.make()
    package = await world.package()
    assert package is not None
    async with world.store.begin() as connection:
        await connection.execute(update(packages).where(packages.c.id == package.package.id).values(repository_id=None))
        await grant_rows.set_workflow_repository(connection, package.package.id, made.repository_id, PackageRole.WRITE)
    await world.codespaces.write("acme/web", ".devcontainer/more", b"x")
    failed = await world.step(made)
    assert code(failed) == "prebuild.package_taken"
    assert len(await world.versions()) == 1
