"""`/v2/<name>/blobs/<digest>`. Source: OCI distribution-spec v1.1, "Pulling blobs"; RFC 9110, sections 13 and 14."""

from dataclasses import dataclass

from berth.domain.blob import LinkedBlob
from berth.domain.byte_range import ByteRange, format_content_range, format_unsatisfied_range, parse_range
from berth.domain.entity_tag import format_etag, matches_etag, may_send_part
from berth.domain.image_reference import Digest
from berth.domain.problem import Invalid
from berth.oci.call import OCICall, OCIServices
from berth.oci.exchange import Answer, Headers, OCIRequest, Refusal
from berth.services.registry_access import Remembered

_SMALL_BYTES = 256 * 1024
_TINY_BYTES = 16 * 1024
_OCTETS = (b"content-type", b"application/octet-stream")


@dataclass(frozen=True, slots=True)
class FoundBlob:
    """A blob that may be read, and the headers of every answer about it. Of a tiny one also the bytes: they never change."""

    digest: Digest
    blob: LinkedBlob
    headers: Headers
    content: bytes | None


async def find(call: OCICall) -> Remembered[FoundBlob]:
    """What GET and HEAD are about."""
    digest = call.digest()
    blob = await call.services.blobs.find(call.caller, call.name, digest)
    headers: Headers = [
        (b"docker-content-digest", str(digest).encode()),
        (b"etag", format_etag(digest).encode()),
        (b"accept-ranges", b"bytes"),
        (b"cache-control", b"private, max-age=31536000, immutable"),
    ]
    content = None
    if blob.size_bytes <= _TINY_BYTES and await call.services.blobs.find_url(blob) is None:
        content = await call.services.blobs.read_whole(blob)
    return Remembered(
        value=FoundBlob(digest, blob, headers, content),
        valid_until=call.services.blobs.valid_until(blob, call.caller),
        size_bytes=len(content or b""),
    )


def answer_at_once(request: OCIRequest, found: FoundBlob) -> Answer | None:
    """What can be said without asking the blob store; None for the rest."""
    if request.has(b"if-none-match") and matches_etag(request.header(b"if-none-match"), found.digest):
        return Answer(304, found.headers)
    whole = request.method == "HEAD" or (found.content is not None and not request.has(b"range"))
    if not whole:
        return None
    size = (b"content-length", b"%d" % found.blob.size_bytes)
    return Answer(200, [*found.headers, _OCTETS, size], found.content or b"")


async def answer(services: OCIServices, request: OCIRequest, found: FoundBlob) -> Answer:
    """Whole or a range; from the blob store itself where it can serve it."""
    at_once = answer_at_once(request, found)
    if at_once is not None:
        return at_once
    blob = found.blob
    headers: Headers = [*found.headers, _OCTETS]
    url = await services.blobs.find_url(blob)
    if url is not None:
        return Answer(307, [(b"location", url.encode()), (b"docker-content-digest", str(found.digest).encode())])
    part = _part(request, found)
    if part is not None:
        headers += [
            (b"content-range", format_content_range(part, blob.size_bytes).encode()),
            (b"content-length", b"%d" % part.size_bytes),
        ]
        return Answer(206, headers, stream=services.blobs.read(blob, part.start, part.stop))
    headers.append((b"content-length", b"%d" % blob.size_bytes))
    if blob.size_bytes <= _SMALL_BYTES:
        return Answer(200, headers, await services.blobs.read_whole(blob))
    return Answer(200, headers, stream=services.blobs.read(blob, 0, blob.size_bytes))


def _part(request: OCIRequest, found: FoundBlob) -> ByteRange | None:
    """What of it is asked for; None for the whole. Raises Refusal with the size, where there is nothing to send."""
    if not request.has(b"range") or not may_send_part(request.header(b"if-range"), found.digest):
        return None
    size_bytes = found.blob.size_bytes
    try:
        return parse_range(request.header(b"range"), size_bytes)
    except Invalid as problem:
        raise Refusal(problem, [(b"content-range", format_unsatisfied_range(size_bytes).encode())]) from problem


async def delete(call: OCICall) -> Answer:
    await call.services.blobs.delete(call.caller, call.name, call.digest())
    return Answer(202)
