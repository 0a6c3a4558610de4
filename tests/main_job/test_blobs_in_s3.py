"""The built-in registry with its layers in an S3 store: a private image goes there, and a codespace starts from it."""

from pathlib import Path

import pytest
from tests.adapters.s3_server import IDENTITY, S3Server, at_bucket, url_of
from tests.own_registry import launch_well, make_organization, make_repository, own_host, publish
from tests.world import make_world

from berth.adapters.s3_client import S3Client

pytestmark = [
    pytest.mark.engine,
    pytest.mark.registry,
    pytest.mark.timeout(180),
    pytest.mark.asyncio(loop_scope="module"),
]


@pytest.mark.parametrize(
    "redirect",
    [
        pytest.param("true", id="pulled from the store"),
        # Without an engine: tests/oci/test_s3.py.
        pytest.param("false", id="pulled through the server", marks=pytest.mark.slow),
    ],
)
async def test_a_codespace_from_an_image_in_s3(
    docker_host: str, registry_host: str, s3_server: S3Server, s3_connection: S3Client, tmp_path: Path, redirect: str
) -> None:
    address = s3_server.make_bucket()
    settings = {
        "BERTH_BLOBS": f"{url_of(address)}&redirect={redirect}",
        # Neither our own registry nor its store is listed: what the server asks its own registry for may lead there.
        "BERTH_PRIVATE_ADDRESSES": registry_host,
        "BERTH_INSECURE_REGISTRIES": registry_host,
        **IDENTITY,
    }
    async with make_world(tmp_path, docker_host, registry_host, settings) as world, world.server.api() as api:
        organization = await make_organization(api)
        repository = f"{organization}/webapp"
        await make_repository(world, api, repository, f"{own_host(world)}/{organization}/dev:1")
        await publish(world, api, repository)
        await launch_well(world, api, repository)
        kept = [found.key async for found in at_bucket(s3_connection, address).list("")]
        content = [key for key in kept if key.startswith("content/")]
        assert len(content) == 2, "a configuration and a layer"
        assert set(kept) - set(content) == {"installation"}, "no tail is left"
        assert not (world.server.data / "blobs").exists()
        log = world.server.log_file.read_text()
        for secret in (*IDENTITY.values(), "X-Amz"):
            assert secret not in log or secret == "true"
