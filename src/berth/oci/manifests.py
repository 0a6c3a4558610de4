"""`/v2/<name>/manifests/<tag or digest>`. Source: OCI distribution-spec v1.1, "Pulling manifests", "Pushing Manifests"."""

from dataclasses import dataclass

from berth.domain.entity_tag import format_etag, matches_etag
from berth.domain.image_reference import Digest
from berth.domain.manifest import MAX_MANIFEST_BYTES
from berth.oci.call import OCICall, OCIServices
from berth.oci.exchange import Answer, Headers, OCIRequest
from berth.services.registry_access import Remembered

_MAX_TAGS = 100  # of one push; the specification asks for ten at least


@dataclass(frozen=True, slots=True)
class FoundManifest:
    """A manifest, ready to be sent."""

    digest: Digest
    unchanged: Headers  # of a 304
    headers: Headers
    content: bytes


async def find(call: OCICall) -> Remembered[FoundManifest]:
    """What GET and HEAD are about."""
    stored = await call.services.manifests.get(call.caller, call.name, call.tag_or_digest())
    unchanged: Headers = [
        (b"docker-content-digest", str(stored.digest).encode()),
        (b"etag", format_etag(stored.digest).encode()),
    ]
    headers: Headers = [
        *unchanged,
        (b"content-type", stored.media_type.encode()),
        (b"content-length", b"%d" % len(stored.content)),
    ]
    return Remembered(
        value=FoundManifest(stored.digest, unchanged, headers, stored.content),
        valid_until=call.caller.valid_until,
        size_bytes=len(stored.content),
    )


def answer_at_once(request: OCIRequest, found: FoundManifest) -> Answer:
    if request.has(b"if-none-match") and matches_etag(request.header(b"if-none-match"), found.digest):
        return Answer(304, found.unchanged)
    return Answer(200, found.headers, found.content)


async def answer(_services: OCIServices, request: OCIRequest, found: FoundManifest) -> Answer:
    return answer_at_once(request, found)


async def put(call: OCICall) -> Answer:
    request = call.request
    await call.services.access.check_push(call.caller, call.name)  # before megabytes are read and parsed
    content = await request.body(MAX_MANIFEST_BYTES, code="manifest.too_large")
    pushed = await call.services.manifests.push(
        call.caller,
        call.name,
        call.new_tag_or_digest(),
        content=content,
        content_type=request.header(b"content-type") or "",
        tags=request.parameters("tag")[:_MAX_TAGS],
    )
    headers: Headers = [
        (b"location", call.path("manifests", pushed.digest).encode()),
        (b"docker-content-digest", str(pushed.digest).encode()),
    ]
    if request.parameter("tag") is not None:
        headers.append((b"oci-tag", ", ".join(pushed.tags).encode()))
    if pushed.subject is not None:
        headers.append((b"oci-subject", str(pushed.subject).encode()))
    headers += [(b"warning", f'299 - "{warning}"'.encode()) for warning in pushed.warnings]
    return Answer(201, headers)


async def delete(call: OCICall) -> Answer:
    await call.services.manifests.delete(call.caller, call.name, call.tag_or_digest())
    return Answer(202)
