"""Pushes and pulls a blob, prints by how many KiB the process grew: `python -m tests.adapters.blob_memory S3_ADDRESS MIB`."""

import asyncio
import hashlib
import sys
import uuid
from pathlib import Path

from berth.adapters.blobs_s3 import S3BlobStore
from berth.adapters.s3_client import S3Client
from berth.domain.image_reference import Digest, DigestAlgorithm
from berth.domain.s3_address import parse_s3_address
from berth.services.ports.blob_store import BlobStore, UploadState

_PIECE = bytes(64 * 1024)


def _peak_kib() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


async def _push_and_pull(store: BlobStore, pieces: int) -> None:
    upload_id, computed = str(uuid.uuid4()), hashlib.sha256()
    async with store.write(upload_id, UploadState()) as writer:
        for _ in range(pieces):
            await writer.write(_PIECE)
            computed.update(_PIECE)
    digest = Digest(DigestAlgorithm.SHA256, computed.hexdigest())
    blob = await store.finish(upload_id, writer.state, digest)
    async for _ in store.read(blob.location, 0, blob.size_bytes):
        pass


async def _measure(place: str, mebibytes: int) -> None:
    async with S3Client.open(parse_s3_address(place)) as client:
        store = S3BlobStore(client)  # parts as shipped
        await _push_and_pull(store, 1)
        before = _peak_kib()
        await _push_and_pull(store, mebibytes * 16)
        print(_peak_kib() - before)


if __name__ == "__main__":
    asyncio.run(_measure(sys.argv[1], int(sys.argv[2])))
