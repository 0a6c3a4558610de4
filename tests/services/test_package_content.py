"""What is in versions, for who may look: pushed to a real registry and described, on both databases."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import event
from tests.account_world import outcome
from tests.oci.images import Image, artifact, image, index
from tests.oci.registry_api import OCIClient, Registry, make_registry

from berth.adapters.store import blob as blob_rows
from berth.adapters.store.database import Store
from berth.domain.access import Subject
from berth.domain.image_reference import Digest
from berth.domain.package import parse_package_name
from berth.domain.package_content import ContentKind
from berth.domain.secret_text import SecretText
from berth.domain.source_annotation import MAX_CONFIG_BYTES
from berth.services.package_access import PackagePlace
from berth.services.package_content import PackageContentService, VersionDescription, VersionSummary

NAME = "octo/app"
UNKNOWN = "NotFound package.version_not_found"


@pytest.fixture
async def registry(store: Store, tmp_path: Path) -> AsyncIterator[Registry]:
    async with make_registry(tmp_path, store) as made:
        yield made


@pytest.fixture
async def octo(registry: Registry) -> OCIClient:
    return await registry.person("octo")


def service(registry: Registry) -> PackageContentService:
    return registry.berth.services.package_contents


async def subject(registry: Registry, login: str = "octo") -> Subject:
    found = await registry.berth.services.access_tokens.find_subject(
        SecretText(await registry.berth.token(login, "read:packages"))
    )
    assert found is not None
    return found


def place(name: str = NAME) -> PackagePlace:
    return PackagePlace(parse_package_name(name))


async def listed(registry: Registry, tagged: bool | None = None, name: str = NAME) -> dict[str, VersionSummary]:
    found, total = await service(registry).list_versions(
        await subject(registry), place(name), tagged=tagged, limit=30, offset=0
    )
    assert total == len(found)
    return {summary.version.digest: summary for summary in found}


async def described(registry: Registry, made: Image, name: str = NAME) -> VersionDescription:
    version = (await listed(registry, name=name))[str(made.digest)].version
    return await service(registry).describe(await subject(registry), place(name), version.id)


def blobs_size(*made: Image) -> int:
    """Each blob once."""
    return sum(len(blob) for blob in {blob for each in made for blob in each.blobs})


async def test_an_image(registry: Registry, octo: OCIClient) -> None:
    config = {"os": "linux", "architecture": "arm64", "history": [{"created_by": "RUN make"}]}
    made = image(b"a layer", config=json.dumps({**config, "config": {"Labels": {"a": "<b>"}}}).encode())
    await octo.push(NAME, made, "1")
    await octo.push(NAME, image(b"a layer", b"another"), "2")
    seen = await described(registry, made)
    assert (seen.content.kind, seen.content.platforms) == (ContentKind.IMAGE, ("linux/arm64",))
    assert [layer.command for layer in seen.content.layers] == ["RUN make"]
    assert seen.content.config is not None
    assert seen.content.config.labels == {"a": "<b>"}
    assert (seen.size_bytes, seen.raw_manifest) == (blobs_size(made), made.content)
    assert (seen.children, seen.more_children, seen.part_of, seen.config_unreadable) == ((), 0, None, False)
    assert seen.version.tags == ("1",)


async def test_an_index_and_what_it_lists(registry: Registry, octo: OCIClient) -> None:
    """Each blob counts once; what is not there is told as not there; the children know whose they are."""
    amd, arm, missing = image(b"shared", b"amd"), image(b"shared", b"arm"), image()
    for each in (amd, arm):
        await octo.push(NAME, each, each.digest)
    platforms = {"linux/amd64": amd, "linux/arm64": arm, "linux/riscv64": missing}
    made = index(
        [
            each.descriptor(platform=dict(zip(("os", "architecture"), name.split("/"), strict=True)))
            for name, each in platforms.items()
        ]
    )
    await octo.push(NAME, made, "latest")
    summaries = await listed(registry)
    whole = summaries[str(made.digest)]
    assert (whole.is_index, whole.platforms, whole.part_of) == (True, tuple(platforms), None)
    assert whole.size_bytes == blobs_size(amd, arm)
    assert summaries[str(amd.digest)].part_of == (whole.version.id, whole.version.digest)
    assert summaries[str(amd.digest)].size_bytes == blobs_size(amd)
    assert set(await listed(registry, tagged=True)) == {str(made.digest)}
    assert set(await listed(registry, tagged=False)) == {str(amd.digest), str(arm.digest)}
    seen = await described(registry, made)
    assert [(child.descriptor.platform, child.size_bytes) for child in seen.children] == [
        ("linux/amd64", blobs_size(amd)),
        ("linux/arm64", blobs_size(arm)),
        ("linux/riscv64", 0),
    ]
    assert [child.version_id is None for child in seen.children] == [False, False, True]
    assert (await described(registry, arm)).part_of == (whole.version.id, whole.version.digest)


async def test_of_many_children_some_are_told(registry: Registry, octo: OCIClient) -> None:
    """An index that is too large for a list is told of on its own page."""
    children = [image().descriptor(annotations={"x": "y" * 700}) for _ in range(103)]
    made = index(children)
    await octo.push(NAME, made, "1")
    assert len(made.content) > 64 * 1024
    assert (await listed(registry))[str(made.digest)].platforms == ()
    seen = await described(registry, made)
    assert (len(seen.children), seen.more_children) == (100, 3)


async def test_an_artifact_has_no_configuration_to_read(registry: Registry, octo: OCIClient) -> None:
    made = artifact("application/vnd.example.sbom")
    await octo.push(NAME, made, "1")
    seen = await described(registry, made)
    assert (seen.content.kind, seen.content.config, seen.config_unreadable) == (ContentKind.ARTIFACT, None, False)


async def test_policy_3_a_configuration_that_cannot_be_read_is_not_none(
    registry: Registry, octo: OCIClient, caplog: pytest.LogCaptureFixture
) -> None:
    made = image()
    await octo.push(NAME, made, "1")
    async with registry.store.read() as connection:
        blob = await blob_rows.find_linked(connection, await registry.package_id(NAME), str(Digest.of(made.blobs[0])))
    assert blob is not None
    await registry.blobs.delete(blob.location)
    seen = await described(registry, made)
    assert (seen.content.config, seen.config_unreadable, len(seen.content.layers)) == (None, True, 1)
    assert "package.config_unreadable" in caplog.text


async def test_policy_3_a_configuration_that_is_too_large_is_not_read(registry: Registry, octo: OCIClient) -> None:
    made = image(config=b"{" + b" " * MAX_CONFIG_BYTES + b"}")
    await octo.push(NAME, made, "1")
    seen = await described(registry, made)
    assert (seen.content.config, seen.config_unreadable) == (None, True)


async def test_a_foreign_blob_tells_nothing(registry: Registry, octo: OCIClient) -> None:
    """A manifest can name any digest: the size of what lies in other packages is not told by it (A13)."""
    hidden = b"in another package, and large" * 50
    eve = await registry.person("eve")
    await eve.push("eve/secret", image(hidden), "1")
    made = image(hidden)
    await octo.push_blob(NAME, made.blobs[0])
    assert (await octo.put_manifest(NAME, "1", made.content, made.media_type)).status_code == 201
    assert (await described(registry, made)).size_bytes == len(made.blobs[0])
    assert (await listed(registry))[str(made.digest)].size_bytes == len(made.blobs[0])


async def test_policy_1_only_who_may_pull_looks(registry: Registry, octo: OCIClient) -> None:
    made = image()
    await octo.push(NAME, made, "1")
    version = (await listed(registry))[str(made.digest)].version.id
    await registry.person("eve")
    eve, mine = await subject(registry, "eve"), await subject(registry)
    contents = service(registry)
    lists = contents.list_versions(eve, place(), tagged=None, limit=30, offset=0)
    assert await outcome(lists) == "NotFound package.not_found"
    assert await outcome(contents.describe(eve, place(), version)) == "NotFound package.not_found"
    assert await outcome(contents.describe(mine, place(), version + 1)) == UNKNOWN
    await octo.push("octo/other", image(), "1")
    assert await outcome(contents.describe(mine, place("octo/other"), version)) == UNKNOWN
    assert await outcome(contents.describe(mine, place(), version)) == "ok"


async def test_policy_2_a_page_takes_as_many_queries_for_many_versions_as_for_one(
    registry: Registry, octo: OCIClient
) -> None:
    async def queries() -> int:
        statements: list[object] = []
        who = await subject(registry)

        def count(*arguments: object) -> None:
            statements.append(arguments[2])

        engine = registry.store.engine.sync_engine
        event.listen(engine, "before_cursor_execute", count)
        await service(registry).list_versions(who, place(), tagged=None, limit=30, offset=0)
        event.remove(engine, "before_cursor_execute", count)
        return len(statements)

    await octo.push(NAME, index([image()]), "0")
    few = await queries()
    for number in range(5):
        child = image()
        await octo.push(NAME, child, child.digest)
        await octo.push(NAME, index([child]), f"i{number}")
    assert await queries() == few
