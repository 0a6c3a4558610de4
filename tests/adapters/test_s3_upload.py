"""The sizes of parts, and the state of an upload to S3 as the database keeps it."""

import json

import pytest

from berth.adapters.s3_upload import MAX_PARTS, PartSizes, S3Upload
from berth.domain.problem import UpstreamFailed
from berth.services.ports.blob_store import UploadState

SIZES = PartSizes()


def test_ten_thousand_parts_are_enough_and_none_is_too_small() -> None:
    assert {SIZES.of(number) >> 20 for number in range(1, MAX_PARTS + 1)} == {8, 16, 32, 64}
    assert SIZES.total(MAX_PARTS) >> 30 == 492


@pytest.mark.parametrize("sizes", [SIZES, PartSizes(first_bytes=7, step=3)], ids=["as shipped", "small"])
def test_the_total_is_the_sum(sizes: PartSizes) -> None:
    total = 0
    for number in range(1, 50):
        assert sizes.total(number - 1) == total
        total += sizes.of(number)
    assert SIZES.total(MAX_PARTS) == sum(SIZES.of(number) for number in range(1, MAX_PARTS + 1))


def test_the_state_of_an_upload_that_is_not_begun_is_the_databases_first() -> None:
    assert S3Upload().to_state(SIZES) == UploadState()
    assert S3Upload.of_state(UploadState(), SIZES) == S3Upload()


def test_a_state_comes_back_as_it_was() -> None:
    upload = S3Upload(
        key="content/x", multipart="m", since=5, etags=("a", "b-1"), tail="t", tail_bytes=3, stale_tail="s"
    )
    state = upload.to_state(SIZES)
    assert state.size_bytes == 2 * SIZES.first_bytes + 3
    assert S3Upload.of_state(state, SIZES) == upload


def test_a_huge_uploads_handle_stays_small() -> None:
    etags = ("0123456789abcdef0123456789abcdef",) * 1250  # 12 GiB
    assert len(S3Upload(key="content/x", multipart="m", etags=etags).to_state(SIZES).handle) < 50_000


HOSTILE = {
    "no JSON": "content",
    "another kind": '{"key": "x"}',
    "a number": "7",
    "too few": "[]",
    "a number for a text": '["", 1, 0, [], "", 0, ""]',
    "a text for a number": '["", "", 0, [], "", "0", ""]',
    "a truth for a number": '["", "", 0, [], "", false, ""]',
    "parts that are none": '["", "", 0, 5, "", 0, ""]',
    "a part that is none": '["", "", 0, [[]], "", 0, ""]',
    "deep": "[" * 100_000,
    "another size": '["", "", 0, ["e"], "", 0, ""]',
    "a negative size": '["", "", 0, [], "", -5, ""]',
}


@pytest.mark.parametrize("handle", HOSTILE.values(), ids=HOSTILE)
def test_a_handle_that_is_none(handle: str) -> None:
    """For example when BLOBS was changed while the upload was under way."""
    with pytest.raises(UpstreamFailed) as caught:
        S3Upload.of_state(UploadState(handle=handle, size_bytes=0), SIZES)
    assert caught.value.code == "blob.lost"


def test_the_tail_of_the_state_before_is_named_until_the_next() -> None:
    first = S3Upload().with_tail("one", 3)
    assert (first.tail, first.tail_bytes, first.stale_tail) == ("one", 3, "")
    second = first.with_part("e").with_tail("two", 5)
    assert (second.tail, second.tail_bytes, second.stale_tail) == ("two", 5, "one")
    assert json.loads(second.to_state(SIZES).handle)[3] == ["e"]
