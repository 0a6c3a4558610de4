"""`_catalog`: the packages that one may pull. Source: distribution, "Listing Repositories"."""

import pytest
from tests.oci.images import image
from tests.oci.registry_api import OCIClient, Registry, challenge_of, outcome
from tests.oci.test_tags import follow, next_of

from berth.domain.repository import Visibility

NAMES = ["acme/a", "acme/b/c", "octo/10", "octo/2", "octo/a", "octo/a-b", "octo/a.b", "octo/ab"]


async def filled(registry: Registry) -> OCIClient:
    octo = await registry.person("octo")
    await registry.organization("acme", "octo")
    for name in reversed(NAMES):
        await octo.push(name, image())
    return octo


async def test_names_in_pages_and_in_order(own_registry: Registry) -> None:
    octo = await filled(own_registry)
    answer = await octo.get("/v2/_catalog")
    assert answer.json() == {"repositories": NAMES}
    assert answer.headers["Content-Type"] == "application/json"
    for size in (1, 3, 7, 8, 9):
        pages = await follow(octo, f"/v2/_catalog?n={size}", "repositories")
        assert [name for page in pages for name in page] == NAMES
        assert len(pages) == -(-len(NAMES) // size)
    empty = await octo.get("/v2/_catalog?n=0")
    assert (empty.json(), next_of(empty)) == ({"repositories": []}, None)
    for query in ("n=-1", "n=x", f"n={'9' * 40}", "n=10000000000"):
        assert (await octo.get(f"/v2/_catalog?{query}")).json()["repositories"] == NAMES, "CVE-2023-2253"
    for last, wanted in (("acme/b/c", NAMES[2:]), ("octo", NAMES[2:]), ("octo/a", NAMES[5:]), ("zz", []), ("%F0", [])):
        assert (await octo.get(f"/v2/_catalog?last={last}")).json()["repositories"] == wanted
    assert outcome(await octo.get("/v2/_catalog?last=%00")) == (400, "UNSUPPORTED")


async def test_a14_the_list_needs_a_token_for_the_list(own_registry: Registry) -> None:
    octo = await filled(own_registry)
    refused = await own_registry.anonymous.once("GET", "/v2/_catalog")
    assert outcome(refused) == (401, "UNAUTHORIZED")
    assert challenge_of(refused).parameters["scope"] == "registry:catalog:*"
    await octo.log_in("repository:octo/a:pull")
    refused = await octo.once("GET", "/v2/_catalog")
    assert outcome(refused) == (401, "UNAUTHORIZED")
    assert challenge_of(refused).parameters["error"] == "insufficient_scope"
    assert challenge_of(refused).parameters["scope"] == "registry:catalog:*"


async def test_a13_everybody_sees_his_own(own_registry: Registry) -> None:
    """CVE-2026-27771; the number of pages tells nothing either."""
    octo = await filled(own_registry)
    otto, mia = await own_registry.person("otto"), await own_registry.person("mia")
    await own_registry.organization("other", "octo", "mia")
    await octo.push("other/inside", image())
    await own_registry.publish("other/inside", Visibility.INTERNAL)
    await own_registry.publish("octo/a", Visibility.PUBLIC)
    await own_registry.grant("octo/ab", "otto", "read")
    await octo.begin("octo/unpublished")
    await octo.begin("octo/a-public-one")
    await own_registry.publish("octo/a-public-one", Visibility.PUBLIC)
    narrow = await own_registry.person("octo", "repo")
    seen = {
        "anonymous": (own_registry.anonymous, ["octo/a"]),
        "otto": (otto, ["octo/a", "octo/ab"]),
        "mia": (mia, ["octo/a", "other/inside"]),
        "octo without read:packages": (narrow, ["octo/a"]),
        "octo": (octo, sorted([*NAMES, "other/inside"])),
    }
    for who, (client, names) in seen.items():
        pages = await follow(client, "/v2/_catalog?n=1", "repositories")
        assert [name for page in pages for name in page] == names, who
        assert len(pages) == len(names), who
    await own_registry.delete_package("octo/a")
    assert (await own_registry.anonymous.get("/v2/_catalog")).json() == {"repositories": []}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_an_empty_registry(own_registry: Registry, method: str) -> None:
    answer = await own_registry.anonymous.request(method, "/v2/_catalog")
    assert answer.status_code == 200
    assert answer.content == (b'{"repositories":[]}' if method == "GET" else b"")
