"""Saving an image: the tar as it comes, whatever is wrong with it; and a real engine's, published and found again by its id."""

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable

import pytest
from tests.fakes.http_server import HTTPServer, Reply
from tests.world import engine_api, import_image

from berth.adapters.engine_docker import DockerEngine
from berth.adapters.engine_docker_export import read_tar
from berth.domain.image_export import INDEX, StoredFile, is_content, link_target, make_manifest
from berth.domain.image_reference import Digest, DigestAlgorithm
from berth.domain.problem import NotFound, UpstreamFailed


class Reader:
    """Gives at most `most` bytes at a time."""

    def __init__(self, data: bytes, most: int = 1000) -> None:
        self._file = io.BytesIO(data)
        self._most = most

    async def read(self, n: int = -1, /) -> bytes:
        return self._file.read(min(n, self._most))


def tar(add: Callable[[tarfile.TarFile], None], tar_format: int = tarfile.USTAR_FORMAT) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tar_format) as archive:
        add(archive)
    return raw.getvalue()


def member(name: str, content: bytes = b"", **fields: object) -> Callable[[tarfile.TarFile], None]:
    def add(archive: tarfile.TarFile) -> None:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        for key, value in fields.items():
            setattr(info, key, value)
        archive.addfile(info, io.BytesIO(content))

    return add


def whole(archive: tarfile.TarFile) -> None:
    member("a", type=tarfile.DIRTYPE)(archive)
    member("a/one", b"x" * 700)(archive)
    member("a/two", b"y" * 512)(archive)
    member("a/empty")(archive)
    member("b/link", type=tarfile.SYMTYPE, linkname="../a/one")(archive)


async def read(data: bytes, most: int = 1000) -> list[tuple[str, str, bytes]]:
    return [
        (file.name, file.link, b"".join([chunk async for chunk in file.chunks]))
        async for file in read_tar(Reader(data, most))
    ]


@pytest.mark.parametrize("most", [1, 511, 4096])
async def test_files_and_links_come_as_they_are_in_the_tar(most: int) -> None:
    expected = [("a/one", "", b"x" * 700), ("a/two", "", b"y" * 512), ("a/empty", "", b""), ("b/link", "../a/one", b"")]
    assert await read(tar(whole), most) == expected


async def test_what_is_not_read_is_passed_over() -> None:
    assert [file.name async for file in read_tar(Reader(tar(whole)))] == ["a/one", "a/two", "a/empty", "b/link"]


async def test_times_may_be_in_a_header_of_their_own() -> None:
    data = tar(member("a/one", b"x", mtime=1.5), tarfile.PAX_FORMAT)
    assert b"mtime=1.5" in data
    assert await read(data) == [("a/one", "", b"x")]


LONG = "a/" * 200 + "b"


@pytest.mark.parametrize(
    "data",
    [
        tar(member(LONG, b"x"), tarfile.PAX_FORMAT),
        tar(member(LONG, b"x"), tarfile.GNU_FORMAT),
        tar(member("a", b"x", pax_headers={"comment": "c"}), tarfile.PAX_FORMAT),
    ],
    ids=["a name in a header of its own", "the same in GNU's way", "what is unknown"],
)
async def test_a_header_that_changes_the_next_one_is_refused(data: bytes) -> None:
    with pytest.raises(UpstreamFailed):
        await read(data)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", EOFError),
        (tar(whole)[:300], EOFError),
        (tar(whole)[:1600], EOFError),
        (tar(member("one", b"x" * 700))[:900], EOFError),
        (tar(member("one", b"x" * 700))[:1300], EOFError),
        (b"\1" * 512, tarfile.HeaderError),
        (tar(member("a", b"x" * 70_000, type=tarfile.XHDTYPE)), tarfile.HeaderError),
    ],
)
async def test_what_is_no_whole_tar_is_an_error(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        await read(data)


@pytest.mark.engine
@pytest.mark.timeout(120)
async def test_an_image_keeps_its_id_on_the_way(docker_host: str) -> None:
    """What is published has the configuration that the engine knows it by: pulled there, nothing is transferred."""
    engine = DockerEngine(docker_host)
    name = f"berth.test/{os.urandom(4).hex()}"
    image = await import_image(docker_host, name, "1")
    found = await engine.find_image(image)
    assert found is not None
    files: dict[str, StoredFile] = {}
    links: dict[str, str] = {}
    index = b""
    async for file in engine.export_image(found.image_id):
        hasher, size = hashlib.sha256(), 0
        data = b""
        async for chunk in file.chunks:
            hasher.update(chunk)
            size += len(chunk)
            data = data + chunk if file.name == INDEX else b""
        if file.link:
            links[file.name] = link_target(file.name, file.link)
        elif file.name == INDEX:
            index = data
        elif is_content(file.name):
            files[file.name] = StoredFile(Digest(DigestAlgorithm.SHA256, hasher.hexdigest()), size)
    manifest = json.loads(make_manifest(index, files, links))
    assert manifest["config"]["digest"] == found.image_id
    async with engine_api(docker_host) as api:
        inspected = (await api.get(f"/images/{image}/json")).json()
    assert [layer["digest"] for layer in manifest["layers"]] == inspected["RootFS"]["Layers"]
    await engine.tag_image(found.image_id, f"{name}:2")
    await engine.remove_image(f"{name}:1")
    again = await engine.find_image(f"{name}:2")
    assert again is not None
    assert again.image_id == found.image_id
    await engine.remove_image(f"{name}:2")
    with pytest.raises(NotFound):
        await engine.tag_image(found.image_id, f"{name}:3")


@pytest.mark.parametrize("body", [b"", tar(whole)[:900], b"\1" * 1024])
async def test_an_engine_that_breaks_off_is_a_failure_that_may_pass(body: bytes) -> None:
    head = {"Content-Type": "application/json"}
    version = Reply(headers=head, body=b'{"ApiVersion": "1.41"}')
    saved = Reply(headers={"Content-Type": "application/x-tar"}, body=body)
    async with HTTPServer.run(lambda asked: version if asked.path.endswith("/version") else saved) as server:
        engine = DockerEngine(f"http://{server.address}")
        with pytest.raises(UpstreamFailed) as failed:
            async for _ in engine.export_image("sha256:1"):
                pass
    assert failed.value.retryable
