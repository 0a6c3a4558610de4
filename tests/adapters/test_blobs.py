"""The store that BLOBS names, and what a server pays for the one that it does not use."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.adapters.s3_server import S3Server

from berth.adapters.blobs import open_blob_store
from berth.adapters.blobs_directory import DirectoryBlobStore
from berth.domain.image_reference import Digest
from berth.domain.problem import UpstreamFailed
from berth.services.ports.blob_store import BlobStore, UploadState

UPLOAD = "00000000-0000-4000-8000-000000000000"


async def put(store: BlobStore) -> str:
    async with store.write(UPLOAD, UploadState()) as writer:
        await writer.write(b"x")
    return (await store.finish(UPLOAD, writer.state, Digest.of(b"x"))).location


async def test_a_folder(tmp_path: Path) -> None:
    async with open_blob_store(tmp_path / "not" / "there") as store:
        assert isinstance(store, DirectoryBlobStore)
        assert await store.find_url(await put(store)) is None


@pytest.mark.usefixtures("s3_identity")
async def test_a_bucket(s3_server: S3Server) -> None:
    address = s3_server.make_bucket()
    async with open_blob_store(address) as store:
        await store.ping()
        location = await put(store)
        assert await store.find_url(location)
    async with open_blob_store(replace(address, redirect=False)) as store:
        assert await store.find_url(location) is None


@pytest.mark.usefixtures("s3_identity")
async def test_a_bucket_that_does_not_answer_is_pings_business(s3_server: S3Server) -> None:
    async with open_blob_store(replace(s3_server.make_bucket(), bucket="no-such-bucket")) as store:
        with pytest.raises(UpstreamFailed) as caught:
            await store.ping()
        assert caught.value.code == "blob.unavailable"


def test_the_aws_library_is_loaded_only_for_s3() -> None:
    """30 MB and a third of a second that a server with a directory does not pay."""
    program = (
        "import sys, berth.adapters.blobs, berth.wiring.server; print([m for m in sys.modules if 'botocore' in m])"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
