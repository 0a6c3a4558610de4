"""A process that pushes blobs until it is killed: `python -m tests.adapters.blob_pushes PLACE SIZE_BYTES`.

One line on standard output for what was acknowledged: `written ID SIZE`, `finishing ID DIGEST`, `finished ID LOCATION`.
"""

import asyncio
import os
import sys
import uuid
from pathlib import Path

from tests.adapters.s3_server import SIZES

from berth.adapters.blobs_directory import DirectoryBlobStore
from berth.adapters.blobs_s3 import S3BlobStore
from berth.adapters.s3_client import S3Client
from berth.domain.image_reference import Digest
from berth.domain.s3_address import SCHEME, parse_s3_address
from berth.services.ports.blob_store import BlobStore, UploadState

_PIECE_BYTES = 64 * 1024


async def push_for_ever(place: str, size_bytes: int) -> None:
    if not place.startswith(SCHEME):
        await _push_for_ever(DirectoryBlobStore(Path(place)), size_bytes)
    async with S3Client.open(parse_s3_address(place)) as client:
        await _push_for_ever(S3BlobStore(client, sizes=SIZES), size_bytes)


async def _push_for_ever(store: BlobStore, size_bytes: int) -> None:
    while True:
        await asyncio.gather(*(_push(store, size_bytes) for _ in range(3)))


async def _push(store: BlobStore, size_bytes: int) -> None:
    upload_id, content, state = str(uuid.uuid4()), os.urandom(size_bytes), UploadState()
    for half in (content[: size_bytes // 2], content[size_bytes // 2 :]):
        async with store.write(upload_id, state) as writer:
            for start in range(0, len(half), _PIECE_BYTES):
                await writer.write(half[start : start + _PIECE_BYTES])
                await asyncio.sleep(0)
        state = writer.state
        print("written", upload_id, state.size_bytes, flush=True)
    digest = Digest.of(content)
    print("finishing", upload_id, digest, flush=True)
    blob = await store.finish(upload_id, state, digest)
    print("finished", upload_id, blob.location, flush=True)


if __name__ == "__main__":
    asyncio.run(push_for_ever(sys.argv[1], int(sys.argv[2])))
