"""Ranges of blobs and of uploaded chunks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth.domain.byte_range import (
    ByteRange,
    format_content_range,
    format_unsatisfied_range,
    format_upload_range,
    parse_chunk_range,
    parse_range,
)
from berth.domain.problem import Invalid

SIZE = 2048  # as in the conformance program
ENDLESS = "9" * 60_000


@pytest.mark.parametrize(
    "header,start,end",
    [
        pytest.param("bytes=500-1499", 500, 1499, id="conformance: two ends"),
        pytest.param("bytes=500-", 500, 2047, id="conformance: no end"),
        pytest.param("bytes=-500", 1548, 2047, id="conformance: the last bytes"),
        pytest.param("bytes=2000-5000", 2000, 2047, id="conformance: an end beyond the blob"),
        pytest.param("bytes=0-0", 0, 0, id="the first byte"),
        pytest.param("bytes=2047-2047", 2047, 2047, id="the last byte"),
        pytest.param("bytes=-1", 2047, 2047, id="the last byte, from behind"),
        pytest.param("bytes=-5000", 0, 2047, id="more last bytes than there are"),
        pytest.param("BYTES=0-1", 0, 1, id="RFC 9110 the unit has no case"),
        pytest.param("bytes= 0-1 ", 0, 1, id="RFC 9110 white space around it"),
        pytest.param("bytes=000-001", 0, 1, id="zeros in front"),
        pytest.param(f"bytes={'0' * 60_000}1-{ENDLESS}", 1, 2047, id="digits without end"),
        pytest.param(f"bytes=-{ENDLESS}", 0, 2047, id="last bytes without end"),
    ],
)
def test_a_part_of_a_blob(header: str, start: int, end: int) -> None:
    part = parse_range(header, SIZE)
    assert part == ByteRange(start=start, end=end)
    assert (part.stop, part.size_bytes) == (end + 1, end + 1 - start)
    assert format_content_range(part, SIZE) == f"bytes {start}-{end}/{SIZE}"


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(None, id="no header"),
        pytest.param("", id="an empty header"),
        pytest.param("bytes", id="no range"),
        pytest.param("bytes=", id="an empty range"),
        pytest.param("bytes=-", id="a range without ends"),
        pytest.param("bytes=0-1,5-6", id="1 two ranges"),
        pytest.param("items=0-1", id="1 another unit"),
        pytest.param("0-1", id="no unit"),
        pytest.param("bytes 0-1", id="a Content-Range"),
        pytest.param("bytes=a-b", id="letters"),
        pytest.param("bytes=0x1-2", id="hexadecimal"),
        pytest.param("bytes=--5", id="two signs"),
        pytest.param("bytes=+1-2", id="a plus"),
        pytest.param("bytes=1 - 2", id="white space inside"),
        pytest.param("bytes=1-2\n", id="a line feed"),
        pytest.param("bytes=\u0661-\u0662", id="Arabic-Indic digits"),
        pytest.param("byte\u017f=0-1", id="the long s"),
    ],
)
def test_1_otherwise_the_whole_is_sent(header: str | None) -> None:
    assert parse_range(header, SIZE) is None


@pytest.mark.parametrize(
    "header,size_bytes",
    [
        pytest.param("bytes=500-0", SIZE, id="conformance: the end before the start"),
        pytest.param("bytes=5000-10000", SIZE, id="conformance: beyond the blob"),
        pytest.param("bytes=2048-", SIZE, id="just beyond the blob"),
        pytest.param("bytes=-0", SIZE, id="no last bytes"),
        pytest.param(f"bytes={ENDLESS}-", SIZE, id="a start without end"),
        pytest.param("bytes=0-", 0, id="all of an empty blob"),
        pytest.param("bytes=0-0", 0, id="the first byte of an empty blob"),
        pytest.param("bytes=-1", 0, id="the last byte of an empty blob"),
    ],
)
def test_2_nothing_is_refused(header: str, size_bytes: int) -> None:
    with pytest.raises(Invalid) as refusal:
        parse_range(header, size_bytes)
    assert refusal.value.code == "range.unsatisfiable"


def test_a_refused_range_tells_the_size() -> None:
    assert format_unsatisfied_range(SIZE) == "bytes */2048"


@pytest.mark.parametrize(
    "header,start,end",
    [
        pytest.param("0-0", 0, 0, id="one byte"),
        pytest.param("0-1023", 0, 1023, id="the first chunk"),
        pytest.param("1024-2047", 1024, 2047, id="the next"),
        pytest.param(f"0-{2**63 - 1}", 0, 2**63 - 1, id="the largest"),
    ],
)
def test_3_a_chunk(header: str, start: int, end: int) -> None:
    assert parse_chunk_range(header) == ByteRange(start=start, end=end)


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("", id="nothing"),
        pytest.param("5-4", id="the end before the start"),
        pytest.param("-5", id="no start"),
        pytest.param("5-", id="no end"),
        pytest.param("0-5/6", id="a total"),
        pytest.param("bytes 0-5/6", id="decided: the form of RFC 9110"),
        pytest.param("bytes=0-5", id="a Range"),
        pytest.param(" 0-5", id="white space"),
        pytest.param("0-5\n", id="a line feed"),
        pytest.param("0-5-6", id="three numbers"),
        pytest.param("\u0660-\u0665", id="Arabic-Indic digits"),
        pytest.param(f"0-{2**63}", id="beyond every size"),
        pytest.param(f"0-{ENDLESS}", id="digits without end"),
    ],
)
def test_3_it_is_no_chunk(header: str) -> None:
    with pytest.raises(Invalid) as refusal:
        parse_chunk_range(header)
    assert refusal.value.code == "upload.range"


@pytest.mark.parametrize("size_bytes,header", [(0, "0-0"), (1, "0-0"), (2, "0-1"), (SIZE, "0-2047")])
def test_how_far_an_upload_is(size_bytes: int, header: str) -> None:
    assert format_upload_range(size_bytes) == header


_numbers = st.integers(0, 3000).map(str) | st.just("") | st.just(ENDLESS)


@given(st.builds("bytes={}-{}".format, _numbers, _numbers) | st.text(), st.integers(0, 3000))
def test_a_range_lies_within_the_blob(header: str, size_bytes: int) -> None:
    try:
        part = parse_range(header, size_bytes)
    except Invalid:
        return
    assert part is None or 0 <= part.start <= part.end < size_bytes


@given(st.builds("{}-{}".format, _numbers, _numbers) | st.text(alphabet="0123456789-/ bytes"))
def test_a_chunk_is_not_empty(header: str) -> None:
    try:
        chunk = parse_chunk_range(header)
    except Invalid:
        return
    assert 0 <= chunk.start < chunk.stop <= 2**63
    assert [chunk.start, chunk.end] == [int(number) for number in header.split("-")]


@given(st.integers(1, 2**40))
def test_what_an_upload_says_is_a_range_of_its_bytes(size_bytes: int) -> None:
    assert parse_chunk_range(format_upload_range(size_bytes)).size_bytes == size_bytes
