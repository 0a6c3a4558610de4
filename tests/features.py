"""Dev container Features as `devcontainer features publish` writes them (observed with version 0.89.0), and as it never would."""

import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from typing import Any

import httpx

from berth.domain.feature_manifest import CONFIG_TYPE, LAYER_TYPE
from berth.domain.image_reference import Digest
from berth.domain.media_type import OCI_MANIFEST


def feature_files(install: str = "true", **metadata: Any) -> dict[str, bytes]:
    """A Feature's folder; without an id it is `hello`."""
    described = {"id": "hello", "version": "1.0.2", "name": "Hello", **metadata}
    return {
        "devcontainer-feature.json": json.dumps(described).encode(),
        "install.sh": f"#!/bin/sh\nset -e\n{install}\n".encode(),
    }


def tar_of(files: Mapping[str, bytes], more: Iterable[tarfile.TarInfo] = ()) -> bytes:
    """The archive, with entries of any kind behind the files."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        folder = tarfile.TarInfo("./")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for path, content in files.items():
            info = tarfile.TarInfo(f"./{path}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for info in more:
            tar.addfile(info, io.BytesIO(b"x" * info.size))
    return raw.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, *, link: str = "", size: int = 0) -> tarfile.TarInfo:
    """One entry of an archive."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


def feature_manifest(archive: bytes, **changes: Any) -> bytes:
    config = {"mediaType": CONFIG_TYPE, "digest": str(Digest.of(b"{}")), "size": 2}
    layer = {"mediaType": LAYER_TYPE, "digest": str(Digest.of(archive)), "size": len(archive)}
    described = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [layer], **changes}
    return json.dumps(described).encode()


async def push_feature(
    host: str, login: tuple[str, str], name: str, archive: bytes, tag: str = "1", **changes: Any
) -> str:
    """Push to a registry that wants Basic; what devcontainer.json calls it."""
    async with httpx.AsyncClient(base_url=f"http://{host}/v2/{name}", auth=login, trust_env=False) as client:
        for blob in (b"{}", archive):
            begun = await client.post("/blobs/uploads/")
            assert begun.status_code == 202, begun.text
            query = httpx.URL(begun.headers["location"]).copy_merge_params({"digest": str(Digest.of(blob))})
            assert (await client.put(query, content=blob)).status_code == 201
        answer = await client.put(
            f"/manifests/{tag}", content=feature_manifest(archive, **changes), headers={"Content-Type": OCI_MANIFEST}
        )
        assert answer.status_code == 201, answer.text
    return f"{host}/{name}:{tag}"
