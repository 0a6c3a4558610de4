"""`/v2/<name>/blobs/<digest>`. Source: OCI distribution-spec v1.1, "Pulling blobs"; RFC 9110, sections 13 and 14."""

from dataclasses import dataclass

from berth.domain.blob import LinkedBlob
from berth.domain.byte_range import ByteRange, format_content_range, parse_range
from berth.domain.entity_tag import format_etag, matches_etag, may_send_part
from berth.domain.image_reference import Digest
from berth.oci.call import OCICall, OCIServices
from berth.oci.exchange import Answer, Headers, OCIRequest
from berth.services.registry_access import Remembered

_SMALL_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class FoundBlob:
    """A blob that may be read, and the headers of every answer about it."""

    digest: Digest
    blob: LinkedBlob
    headers: Headers


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
    valid_until = call.services.blobs.valid_until(blob, call.caller)
    return Remembered(value=FoundBlob(digest, blob, headers), valid_until=valid_until)


async def answer(services: OCIServices, request: OCIRequest, found: FoundBlob) -> Answer:
    """Whole or a range; from the blob store itself where it can serve it."""
    blob = found.blob
    if request.has(b"if-none-match") and matches_etag(request.header(b"if-none-match"), found.digest):
        return Answer(304, found.headers)
    headers: Headers = [*found.headers, (b"content-type", b"application/octet-stream")]
    if request.method == "HEAD":
        return Answer(200, [*headers, (b"content-length", b"%d" % blob.size_bytes)])
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
    """What of it is asked for; None for the whole."""
    if not request.has(b"range") or not may_send_part(request.header(b"if-range"), found.digest):
        return None
    return parse_range(request.header(b"range"), found.blob.size_bytes)


async def delete(call: OCICall) -> Answer:
    await call.services.blobs.delete(call.caller, call.name, call.digest())
    return Answer(202)
