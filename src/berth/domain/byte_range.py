"""Ranges of bytes: of a blob that is read (RFC 9110), and of a chunk that is uploaded (the distribution spec's own form).

1. One range of a blob is served. Other units, several ranges and what is not a range are ignored, and the whole is sent.
2. A range of which there is nothing is refused (416), also `500-0`, which RFC 9110 lets a server ignore or refuse.
3. A chunk's range is `start-end` and nothing else. Decided: RFC 9110's `bytes start-end/total` is refused; CNCF distribution
   never read it either, so no client sends it, and a server that guesses where bytes belong corrupts what it stores.

Source: RFC 9110 §14.1.2, §14.2, §14.4, §15.5.17; OCI distribution-spec v1.1, "Pulling blobs", "Pushing a blob in chunks".
"""

import re
from dataclasses import dataclass

from berth.domain.problem import Invalid

_RANGE = re.compile(r"bytes=[ \t]*([0-9]*)-([0-9]*)[ \t]*", re.IGNORECASE | re.ASCII)
_CHUNK = re.compile(r"([0-9]{1,19})-([0-9]{1,19})")
_BEYOND = 2**63


@dataclass(frozen=True, slots=True, kw_only=True)
class ByteRange:
    """From `start` to `end`, both inclusive, as headers have it; never empty."""

    start: int
    end: int

    @property
    def stop(self) -> int:
        """The first byte after it."""
        return self.end + 1

    @property
    def size_bytes(self) -> int:
        return self.stop - self.start


def parse_range(header: str | None, size_bytes: int) -> ByteRange | None:
    """What of a blob of that size a Range header asks for; None for the whole of it (policy 1).

    Raises Invalid(code="range.unsatisfiable") (policy 2).
    """
    match = _RANGE.fullmatch(header) if header else None
    first, last = (match[1], match[2]) if match else ("", "")
    if not first and not last:
        return None
    if first:
        start, end = _number(first), min(_number(last), size_bytes - 1) if last else size_bytes - 1
    else:
        start, end = max(size_bytes - _number(last), 0), size_bytes - 1
    if start > end:
        raise Invalid(f"The range asks for nothing of {size_bytes} bytes.", code="range.unsatisfiable")
    return ByteRange(start=start, end=end)


def format_content_range(part: ByteRange, size_bytes: int) -> str:
    """Content-Range of a partial answer (206)."""
    return f"bytes {part.start}-{part.end}/{size_bytes}"


def format_unsatisfied_range(size_bytes: int) -> str:
    """Content-Range of a refused range (416)."""
    return f"bytes */{size_bytes}"


def parse_chunk_range(header: str) -> ByteRange:
    """The Content-Range of an uploaded chunk (policy 3). Raises Invalid(code="upload.range")."""
    match = _CHUNK.fullmatch(header)
    start, end = (int(match[1]), int(match[2])) if match else (0, -1)
    if not start <= end < _BEYOND:
        raise Invalid(
            "A chunk's Content-Range is start-end, two numbers of bytes, both inclusive.", code="upload.range"
        )
    return ByteRange(start=start, end=end)


def format_upload_range(size_bytes: int) -> str:
    """The Range of an upload that has come so far. An empty one has `0-0`: the form has nothing for none.

    Observed: CNCF distribution 2.8 and 3 answer the same.
    """
    return f"0-{max(size_bytes - 1, 0)}"


def _number(digits: str) -> int:
    """The number, or one beyond every size: a header may hold more digits than Python converts."""
    significant = digits.lstrip("0")
    return int(significant or "0") if len(significant) <= 19 else _BEYOND
