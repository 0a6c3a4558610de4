"""A process that pushes blobs into a directory until it is killed: `python -m tests.adapters.blob_pushes ROOT SIZE_BYTES`.

One line on standard output for what was acknowledged: `written ID SIZE`, `finished LOCATION`.
"""

import asyncio
import os
import sys
import uuid
from pathlib import Path

from berth.adapters.blobs_directory import DirectoryBlobStore
from berth.domain.image_reference import Digest
from berth.services.ports.blob_store import UploadState

_PIECE_BYTES = 64 * 1024


async def push_for_ever(root: Path, size_bytes: int) -> None:
    store = DirectoryBlobStore(root)
    while True:
        await asyncio.gather(*(push(store, size_bytes) for _ in range(3)))


async def push(store: DirectoryBlobStore, size_bytes: int) -> None:
    upload_id, content, state = str(uuid.uuid4()), os.urandom(size_bytes), UploadState()
    for half in (content[: size_bytes // 2], content[size_bytes // 2 :]):
        async with store.write(upload_id, state) as writer:
            for start in range(0, len(half), _PIECE_BYTES):
                await writer.write(half[start : start + _PIECE_BYTES])
                await asyncio.sleep(0)
        state = writer.state
        print("written", upload_id, state.size_bytes, flush=True)
    blob = await store.finish(upload_id, state, Digest.of(content))
    print("finished", blob.location, flush=True)


if __name__ == "__main__":
    asyncio.run(push_for_ever(Path(sys.argv[1]), int(sys.argv[2])))
