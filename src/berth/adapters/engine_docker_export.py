"""What the Docker engine gives as a tar, through its HTTP API: a saved image, read as it comes and never kept whole; one file.

Source: Docker Engine API 1.41, "Export an image", "Tag an image"; POSIX.1-2017, pax, "ustar Interchange Format".
"""

import tarfile
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Protocol

import aiohttp
from aiodocker import Docker

from berth.domain.problem import UpstreamFailed
from berth.services.ports import ExportedFile

_BLOCK = tarfile.BLOCKSIZE
_CHUNK_BYTES = 256 * 1024
_MAX_EXTENSION_BYTES = 64 * 1024
_REGULAR = {tarfile.REGTYPE, tarfile.AREGTYPE}
_LINKS = {tarfile.SYMTYPE, tarfile.LNKTYPE}


class Readable(Protocol):
    """What a tar is read from; no bytes are its end."""

    async def read(self, n: int = -1, /) -> bytes: ...


async def tag(docker: Docker, reference: str, name: str) -> None:
    repository, _, word = name.rpartition(":")
    await docker.images.tag(reference, repository, tag=word)


def only_file(archive: tarfile.TarFile, most_bytes: int) -> bytes | None:
    """The content of an archive's one regular file; a link is not followed."""
    for member in archive.getmembers():
        file = archive.extractfile(member) if member.isreg() and member.size <= most_bytes else None
        if file is not None:
            return file.read()
    return None


async def export_files(docker: Docker, image_id: str) -> AsyncGenerator[ExportedFile, None]:
    """Raises UpstreamFailed, also for a tar that ends too early."""
    query = docker._query(  # noqa: SLF001 its own call for this has the usual time limit
        f"images/{image_id}/get", "GET", timeout=aiohttp.ClientTimeout(total=None, sock_read=900)
    )
    async with query as answer, answer:  # the second one closes the connection, however this ends
        try:
            async for file in read_tar(answer.content):
                yield file
        except (EOFError, tarfile.HeaderError) as error:
            raise UpstreamFailed(
                "The engine broke off while it saved the image.", code="engine.failed", retryable=True
            ) from error


async def read_tar(content: Readable) -> AsyncIterator[ExportedFile]:
    """The regular files and links of a tar. Raises EOFError, tarfile.HeaderError."""
    while True:
        block = await _exactly(content, _BLOCK)
        if not any(block):
            return
        member = tarfile.TarInfo.frombuf(block, tarfile.ENCODING, "surrogateescape")
        body = _Body(content, 0 if member.type in _LINKS else member.size)
        if member.type in {tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK}:
            await _check_extension(body)
        elif member.type in _REGULAR or member.type in _LINKS:
            yield ExportedFile(name=member.name, link=member.linkname, chunks=body.chunks())
        await body.skip()


async def _check_extension(body: "_Body") -> None:
    """A header that changes what the next one says is not understood here, unless it is about times only."""
    if body.left > _MAX_EXTENSION_BYTES:
        raise tarfile.HeaderError
    text = b"".join([chunk async for chunk in body.chunks()])
    records = [line.partition(b" ")[2].partition(b"=")[0] for line in text.splitlines()]
    if not records or any(name not in {b"mtime", b"atime", b"ctime"} for name in records):
        raise UpstreamFailed("The engine saved the image in a way unknown to Berth.", code="engine.failed")


class _Body:
    """The bytes of one member, and the zeros that fill its last block."""

    def __init__(self, content: Readable, size: int) -> None:
        self._content = content
        self._padding = -size % _BLOCK
        self.left = size

    async def chunks(self) -> AsyncIterator[bytes]:
        while self.left:
            chunk = await self._content.read(min(self.left, _CHUNK_BYTES))
            if not chunk:
                raise EOFError
            self.left -= len(chunk)
            yield chunk

    async def skip(self) -> None:
        """Past the member, whatever was read of it."""
        async for _ in self.chunks():
            pass
        await _exactly(self._content, self._padding)


async def _exactly(content: Readable, size: int) -> bytes:
    block = bytearray()
    while len(block) < size:
        chunk = await content.read(size - len(block))
        if not chunk:
            raise EOFError
        block += chunk
    return bytes(block)
