"""Pushes that meet each other, or what undoes them: no answer is a fault, and what was acknowledged is whole or undone."""

import asyncio
import itertools
from collections.abc import Awaitable
from contextlib import suppress

import httpx
import pytest
from sqlalchemy import func, select
from tests.oci.images import Image, fresh, image
from tests.oci.registry_api import OCIClient, Registry, code_of

from berth.adapters.store.package_tables import blobs, manifests, package_collaborators, packages
from berth.domain.image_reference import Digest

pytestmark = pytest.mark.asyncio(loop_scope="module")
_NUMBERS = itertools.count(1)
ROUNDS = 2


async def together(*requests: Awaitable[httpx.Response]) -> list[int]:
    """The statuses; none of them the server's fault."""
    answers = await asyncio.gather(*requests)
    for answer in answers:
        assert answer.status_code < 500, answer.text
    return [answer.status_code for answer in answers]


async def push_blobs(client: OCIClient, name: str, *images: Image) -> None:
    for one in images:
        for blob in one.blobs:
            await client.push_blob(name, blob)


async def check_whole(client: OCIClient, name: str) -> list[str]:
    """Every tag leads to a manifest, and that to its blobs; the tags."""
    listed = await client.get(f"/v2/{name}/tags/list")
    assert listed.status_code == 200
    tags = [str(tag) for tag in listed.json()["tags"] or []]
    for tag in tags:
        manifest = await client.get(f"/v2/{name}/manifests/{tag}")
        assert manifest.status_code == 200, tag
        assert str(Digest.of(manifest.content)) == manifest.headers["Docker-Content-Digest"]
        body = manifest.json()
        for descriptor in (body["config"], *body["layers"]):
            blob = await client.get(f"/v2/{name}/blobs/{descriptor['digest']}")
            assert blob.status_code == 200, descriptor
            assert str(Digest.of(blob.content)) == descriptor["digest"]
    return tags


async def count(registry: Registry, table: str, name: str) -> int:
    """Live rows of a package."""
    async with registry.store.read() as connection:
        owner, _, short = name.partition("/")
        owner_id = await registry.account_id(owner)
        mine = select(packages.c.id).where(
            packages.c.owner_id == owner_id, packages.c.name == short, packages.c.deleted_at.is_(None)
        )
        statement = {
            "packages": select(func.count()).select_from(mine.subquery()),
            "manifests": select(func.count())
            .select_from(manifests)
            .where(manifests.c.package_id.in_(mine), manifests.c.deleted_at.is_(None)),
            "admins": select(func.count())
            .select_from(package_collaborators)
            .where(package_collaborators.c.package_id.in_(mine)),
        }[table]
        return int((await connection.execute(statement)).scalar_one())


async def test_one_manifest_pushed_many_times_at_once_is_one_version(
    each_registry: Registry, each_octo: OCIClient, name: str
) -> None:
    for _ in range(ROUNDS):
        one = image()
        await push_blobs(each_octo, name, one)
        before = await count(each_registry, "manifests", name)
        requests = [
            each_octo.put_manifest(name, reference, one.content, one.media_type)
            for reference in ("a", "b", "a", one.digest, one.digest)
        ]
        assert await together(*requests) == [201] * 5
        assert await count(each_registry, "manifests", name) == before + 1
        for reference in ("a", "b", one.digest):
            assert (await each_octo.get(f"/v2/{name}/manifests/{reference}")).content == one.content


async def test_a_tag_that_is_deleted_while_it_moves(each_octo: OCIClient, name: str) -> None:
    """It is there, as pushed, or it is not; both versions are."""
    for _ in range(ROUNDS):
        old, new = image(), image()
        await each_octo.push(name, old)
        await push_blobs(each_octo, name, new)
        await each_octo.log_in(f"repository:{name}:pull,push,delete")
        pushed, deleted = await together(
            each_octo.put_manifest(name, "latest", new.content, new.media_type),
            each_octo.delete(f"/v2/{name}/manifests/latest"),
        )
        assert (pushed, deleted) == (201, 202)
        left = await each_octo.get(f"/v2/{name}/manifests/latest")
        assert left.status_code == 404 or left.content == new.content
        for one in (old, new):
            assert (await each_octo.get(f"/v2/{name}/manifests/{one.digest}")).status_code == 200
        await check_whole(each_octo, name)


async def test_a_manifest_that_is_deleted_while_it_is_pushed_again(each_octo: OCIClient, name: str) -> None:
    for _ in range(ROUNDS):
        one = image()
        await each_octo.push(name, one, "before")
        await each_octo.log_in(f"repository:{name}:pull,push,delete")
        statuses = await together(
            each_octo.put_manifest(name, "after", one.content, one.media_type),
            each_octo.delete(f"/v2/{name}/manifests/{one.digest}"),
        )
        assert statuses == [201, 202]
        by_digest = await each_octo.get(f"/v2/{name}/manifests/{one.digest}")
        tags = await check_whole(each_octo, name)
        assert tags in ([], ["after"]), "it came back without its old tag, or went with both"
        assert by_digest.status_code == (200 if tags else 404)
        if tags:
            assert (await each_octo.delete(f"/v2/{name}/manifests/after")).status_code == 202


async def test_a_blob_that_is_deleted_while_a_manifest_comes_that_needs_it(each_octo: OCIClient, name: str) -> None:
    """The configuration: deleted before, the manifest is refused; behind, it is needed and stays."""
    for _ in range(ROUNDS):
        one = image()
        await push_blobs(each_octo, name, one)
        await each_octo.log_in(f"repository:{name}:pull,push,delete")
        config = Digest.of(one.blobs[0])
        pushed, deleted = await together(
            each_octo.put_manifest(name, "latest", one.content, one.media_type),
            each_octo.delete(f"/v2/{name}/blobs/{config}"),
        )
        assert (pushed, deleted) in {(201, 403), (404, 202)}
        there = await each_octo.get(f"/v2/{name}/blobs/{config}")
        assert there.status_code == (200 if pushed == 201 else 404)
        await check_whole(each_octo, name)


async def test_two_ends_of_one_upload_and_its_cancellation(
    each_registry: Registry, each_octo: OCIClient, name: str
) -> None:
    """At most one of them, and then nothing else happened."""
    for _ in range(ROUNDS):
        content = fresh(5000)
        digest = Digest.of(content)
        location = await each_octo.begin(name)
        assert (await each_octo.patch(location, content=content)).status_code == 202
        url = f"{location}?digest={digest}"
        statuses = await together(each_octo.put(url), each_octo.put(url), each_octo.delete(location))
        assert set(statuses) <= {201, 204, 404, 409}
        assert len([status for status in statuses if status < 300]) <= 1, statuses
        found = await each_octo.get(f"/v2/{name}/blobs/{digest}")
        assert found.status_code == (200 if 201 in statuses else 404), statuses
        assert found.status_code == 404 or found.content == content
        assert code_of(await each_octo.get(location)) == "BLOB_UPLOAD_UNKNOWN"


@pytest.mark.parametrize("end", ["deleted", "hidden"])
async def test_a_mount_from_a_package_that_goes(
    each_registry: Registry, each_octo: OCIClient, name: str, end: str
) -> None:
    """Mounted before it went, or not at all: an ordinary upload, or another token for one that came anew."""
    for number in range(ROUNDS):
        source, target = f"{name}/source-{number}", f"wes/{name.partition('/')[2]}-{number}"
        digest = await each_octo.push_blob(source, fresh())
        wes = await each_registry.person("wes")
        await each_registry.grant(source, "wes", "read")
        await wes.log_in(f"repository:{target}:pull,push repository:{source}:pull")
        mount = wes.once("POST", f"/v2/{target}/blobs/uploads/?mount={digest}&from={source}")
        leave = each_registry.delete_package(source) if end == "deleted" else each_registry.grant(source, "wes", None)
        mounted, _ = await asyncio.gather(mount, leave)
        assert mounted.status_code in {201, 202}, mounted.text
        path = f"/v2/{target}/blobs/{digest}"
        assert (await wes.once("GET", path)).status_code == (200 if mounted.status_code == 201 else 404)
        again = await wes.once("POST", f"/v2/{target}/blobs/uploads/?mount={digest}&from={source}")
        assert again.status_code == 202, "from now on there is nothing to mount from"


async def test_two_people_who_publish_one_name_at_once_make_one_package(each_registry: Registry) -> None:
    """A2: one of them is its admin. For the other it is somebody's package that he may not even read."""
    await each_registry.person("olga")
    organization = f"race-{next(_NUMBERS)}"
    await each_registry.organization(organization, "olga", "mia", "max")
    mia, max_ = await each_registry.person("mia"), await each_registry.person("max")
    name, one = f"{organization}/app", image()
    for client in (mia, max_):
        await client.log_in(f"repository:{name}:pull,push")
    contents = [fresh(), fresh()]
    statuses = await together(
        *(
            client.once("POST", f"/v2/{name}/blobs/uploads/?digest={Digest.of(content)}", content=content)
            for client, content in zip((mia, max_), contents, strict=True)
        )
    )
    assert sorted(statuses) in ([201, 401], [201, 404])
    winner, loser = (mia, max_) if statuses[0] == 201 else (max_, mia)
    assert await count(each_registry, "packages", name) == 1
    assert await count(each_registry, "admins", name) == 1
    assert [action for action, _, _ in await each_registry.audit(name)] == ["package.create"]
    await winner.push(name, one)
    refused = await loser.get(f"/v2/{name}/manifests/latest")
    assert (refused.status_code, code_of(refused)) == (404, "NAME_UNKNOWN")


async def test_a_package_that_is_deleted_while_it_is_pushed_to(each_registry: Registry, name: str) -> None:
    """Whoever was told 201 pushed to the old package, or to a new one that has all of it."""
    octo = await each_registry.person("octo")
    rest = each_registry.rest["octo"]
    for number in range(ROUNDS):
        await octo.push(name, image(), "old")
        one = image()

        async def push(one: Image = one) -> httpx.Response:
            with suppress(AssertionError):  # a blob that was refused: the manifest is the answer that counts
                await push_blobs(octo, name, one)
            return await octo.put_manifest(name, "new", one.content, one.media_type)

        async def delete(wait_s: float = number * 0.004) -> httpx.Response:
            await asyncio.sleep(wait_s)
            return await rest.delete(f"/user/packages/container/{name.partition('/')[2]}")

        pushed, deleted = await together(push(), delete())
        assert deleted == 204
        assert await count(each_registry, "packages", name) <= 1
        there = await octo.get(f"/v2/{name}/manifests/new")
        if pushed == 201 and there.status_code == 200:
            assert there.content == one.content
            assert await check_whole(octo, name) == ["new"], "nothing of the old one"


async def test_everything_at_once(each_registry: Registry, name: str) -> None:
    """Pushes and deletes of a few tags and images by several clients, and at the end every tag is whole."""
    clients = [await each_registry.person("octo") for _ in range(3)]
    images = [image(*shared) for shared in itertools.combinations([fresh(), fresh(), fresh()], 2)]
    await push_blobs(clients[0], name, *images)
    for client in clients:
        await client.log_in(f"repository:{name}:pull,push,delete")

    async def work(number: int, client: OCIClient) -> None:
        for step in range(3):
            one = images[(number + step) % len(images)]
            tag = f"tag-{(number * step) % 3}"
            for blob in one.blobs:
                path = f"/v2/{name}/blobs/uploads/?digest={Digest.of(blob)}"
                assert (await client.post(path, content=blob)).status_code == 201
            pushed = await client.put_manifest(name, tag, one.content, one.media_type)
            assert pushed.status_code in {201, 404}, pushed.text
            gone = (tag, one.digest, None)[step % 3]
            if gone is not None:
                assert (await client.delete(f"/v2/{name}/manifests/{gone}")).status_code in {202, 404}
            for blob in one.blobs if step % 2 else ():
                deleted = await client.delete(f"/v2/{name}/blobs/{Digest.of(blob)}")
                assert deleted.status_code in {202, 403, 404}, deleted.text

    await asyncio.gather(*(work(number, client) for number, client in enumerate(clients)))
    for one in images:
        await clients[0].push(name, one, f"last-{images.index(one)}")
    assert set(await check_whole(clients[0], name)) >= {"last-0", "last-1", "last-2"}
    async with each_registry.store.read() as connection:
        named = select(func.count(), func.count(blobs.c.digest.distinct())).select_from(blobs)
        rows, digests = (await connection.execute(named)).one()
    assert rows == digests
