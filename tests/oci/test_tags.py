"""end-8: listing tags. Source: OCI distribution-spec v1.1, "Listing Tags"."""

import re

import httpx
import pytest
from sqlalchemy import insert, select
from tests.oci.images import image
from tests.oci.registry_api import OCIClient, Registry, outcome

from berth.adapters.store.package_tables import tags

pytestmark = pytest.mark.asyncio(loop_scope="module")
# In the order of their bytes, whatever the database's own order of letters is.
TAGS = ["0", "10", "2", "A", "B", "Z", "_", "a", "a-", "a.", "a_", "aa", "b", "latest", "v1.10", "v1.2"]


async def tagged(octo: OCIClient, name: str, wanted: list[str]) -> None:
    one = image()
    await octo.push(name, one, one.digest)
    params = [("tag", tag) for tag in reversed(wanted)]
    assert (await octo.put_manifest(name, one.digest, one.content, one.media_type, params=params)).status_code == 201


def next_of(answer: httpx.Response) -> str | None:
    """Where the Link leads. Source: RFC 8288; the relation is `next`."""
    link = answer.headers.get("Link")
    if link is None:
        return None
    match = re.fullmatch(r'<([^>]+)>; rel="next"', link)
    assert match, link
    return str(match[1])


async def follow(octo: OCIClient, path: str, key: str) -> list[list[str]]:
    """All pages, as a client gets them that knows nothing but the Link."""
    pages, here = [], path
    while True:
        answer = await octo.get(here)
        assert answer.status_code == 200
        pages.append(answer.json()[key])
        following = next_of(answer)
        if following is None:
            return pages
        here = following


async def test_all_tags_in_the_order_of_their_bytes(each_octo: OCIClient, name: str) -> None:
    await tagged(each_octo, name, TAGS)
    answer = await each_octo.get(f"/v2/{name}/tags/list")
    assert answer.json() == {"name": name, "tags": TAGS}
    assert answer.headers["Content-Type"] == "application/json"
    assert next_of(answer) is None


@pytest.mark.parametrize("size", [1, 5, 16, 17])
async def test_pages_follow_each_other_through_the_link(each_octo: OCIClient, name: str, size: int) -> None:
    await tagged(each_octo, name, TAGS)
    pages = await follow(each_octo, f"/v2/{name}/tags/list?n={size}", "tags")
    assert [tag for page in pages for tag in page] == TAGS
    assert all(len(page) == size for page in pages[:-1])
    assert len(pages) == -(-len(TAGS) // size), "no empty page at the end"


@pytest.mark.parametrize(
    ("query", "wanted", "more"),
    [
        ("n=0", [], False),
        ("n=0&last=B", [], False),
        ("n=2&last=B", ["Z", "_"], True),
        ("last=a_", ["aa", "b", "latest", "v1.10", "v1.2"], False),
        ("n=2&last=between", ["latest", "v1.10"], True),
        ("n=2&last=latest", ["v1.10", "v1.2"], False),
        ("last=v1.2", [], False),
        ("last=zzz", [], False),
        ("n=3&last=", ["0", "10", "2"], True),
        ("n=3&n=1", ["0", "10", "2"], True),
        ("n=-1", TAGS, False),
        ("n=x", TAGS, False),
        ("n=", TAGS, False),
        ("n=1.5", TAGS, False),
        (f"n={'9' * 40}", TAGS, False),
        ("n=99999999999", TAGS, False),
        ("n=%D9%A3", TAGS, False),
        ("other=1", TAGS, False),
    ],
)
async def test_a_part_of_the_tags(octo: OCIClient, name: str, query: str, wanted: list[str], more: bool) -> None:
    await tagged(octo, name, TAGS)
    answer = await octo.get(f"/v2/{name}/tags/list?{query}")
    assert (answer.status_code, answer.json()["tags"]) == (200, wanted)
    assert (next_of(answer) is not None) == more


@pytest.mark.parametrize("last", ["%00", "a%00b", "%ff", "%F0%9F%90%B3", "%ED%A0%80", "'", "%25", "x" * 5000])
async def test_a_last_tag_that_is_none_is_only_a_place_in_the_order(each_octo: OCIClient, name: str, last: str) -> None:
    await tagged(each_octo, name, ["a"])
    answer = await each_octo.get(f"/v2/{name}/tags/list?last={last}")
    if "%00" in last:
        assert outcome(answer) == (400, "UNSUPPORTED"), "no database compares with it"
    else:
        assert answer.status_code == 200


async def test_a_package_without_tags(each_octo: OCIClient, name: str) -> None:
    one = image()
    await each_octo.push(name, one, one.digest)
    assert (await each_octo.get(f"/v2/{name}/tags/list")).json() == {"name": name, "tags": []}


async def test_more_tags_than_fit_into_one_answer(registry: Registry, octo: OCIClient, name: str) -> None:
    await octo.push(name, image(), "t0000")
    wanted = [f"t{number:04}" for number in range(1100)]
    async with registry.store.begin() as connection:
        (first,) = (
            await connection.execute(select(tags).where(tags.c.package_id == await registry.package_id(name)))
        ).all()
        rows = [{**first._mapping, "name": tag} for tag in wanted[1:]]
        await connection.execute(insert(tags), rows)
    pages = await follow(octo, f"/v2/{name}/tags/list", "tags")
    assert [len(page) for page in pages] == [1000, 100]
    assert [tag for page in pages for tag in page] == wanted
