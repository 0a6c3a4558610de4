"""Entity tags of blobs and manifests: the digest in quotes, strong, since the bytes behind a digest never change.

Source: RFC 9110 §8.8.3 (ETag), §13.1.2 (If-None-Match), §13.1.5 (If-Range).
"""

import re

from berth.domain.image_reference import Digest

_TAG = r'(?:W/)?"[!#-~\x80-\xff]*"'
_TAGS = re.compile(_TAG)
_LIST = re.compile(rf"[ \t,]*{_TAG}(?:[ \t]*,[ \t,]*{_TAG})*+[ \t,]*")


def format_etag(digest: Digest) -> str:
    return f'"{digest}"'


def matches_etag(header: str | None, digest: Digest) -> bool:
    """Whether If-None-Match names that content, so that the answer is 304. What is malformed names nothing.

    A digest without quotes counts too, as it does for CNCF distribution: who sends it can mean nothing else.
    """
    text = (header or "").strip(" \t")
    if text in {"*", str(digest)}:
        return True
    tags = _TAGS.findall(text) if _LIST.fullmatch(text) else []
    return any(tag.removeprefix("W/") == format_etag(digest) for tag in tags)


def may_send_part(if_range: str | None, digest: Digest) -> bool:
    """Whether Range counts: there is no If-Range, or it names that content. A date names none of ours."""
    return if_range is None or if_range.strip(" \t") == format_etag(digest)
