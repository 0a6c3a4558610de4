"""`/v2/<name>/blobs/uploads/…`: uploads in one request or many, their state, their end; mounts.

Source: OCI distribution-spec v1.1, "Pushing blobs", "Mounting a blob from another repository", "Cancel a blob upload".
"""

from collections.abc import AsyncIterator
from uuid import UUID

from berth.domain.blob import Upload
from berth.domain.byte_range import format_upload_range, parse_chunk_range
from berth.domain.image_reference import Digest, DigestAlgorithm
from berth.domain.package import find_package_name
from berth.domain.package_access import PackageAction
from berth.domain.problem import Invalid, Problem
from berth.domain.resource_scope import format_scope
from berth.oci.call import OCICall
from berth.oci.exchange import Answer, Headers, OCIRequest
from berth.services.registry_blob import ClientGone


def source_scope(request: OCIRequest) -> str:
    """What a mount needs beside the right to push: to pull from where the blob is."""
    if b"mount=" not in request.raw_query or request.method != "POST":
        return ""
    source = find_package_name(request.parameter("from") or "")
    return "" if source is None else format_scope(source, {PackageAction.PULL})


async def post(call: OCICall) -> Answer:
    """Begin an upload; with `digest`, the whole of it; with `mount`, none at all if the blob can be had that way."""
    request, blobs = call.request, call.services.blobs
    _check_algorithm(request.parameter("digest-algorithm"))
    mounted = request.digest_parameter("mount")
    if mounted is not None:
        source = request.parameter("from")
        name = None if source is None else find_package_name(source)
        from_nowhere = source is not None and name is None
        if not from_nowhere and await blobs.mount(call.caller, call.name, mounted, name):
            return _created(call, mounted)
    digest = request.digest_parameter()
    upload = await blobs.begin_upload(call.caller, call.name)
    if digest is None or mounted is not None:
        return _accepted(call, upload)
    try:
        return await _finish(call, upload, digest)
    except (Problem, ClientGone):
        await blobs.abandon(upload)  # nobody was told its id
        raise


async def get(call: OCICall) -> Answer:
    """How far it is."""
    answer = _accepted(call, await _find(call))
    answer.status = 204
    return answer


async def patch(call: OCICall) -> Answer:
    """One chunk, with a range or, as a stream, without."""
    upload = await _find(call)
    return _accepted(call, await _append(call, upload))


async def put(call: OCICall) -> Answer:
    """The end, with the last chunk or without one."""
    digest = call.request.digest_parameter()
    if digest is None:
        raise Invalid("The closing request needs the blob's digest.", code="digest.missing")
    return await _finish(call, await _find(call), digest)


async def delete(call: OCICall) -> Answer:
    await call.services.blobs.cancel(await _find(call))
    return Answer(204)


async def _find(call: OCICall) -> Upload:
    try:
        upload_id = str(UUID(call.reference))
    except ValueError:
        upload_id = ""
    return await call.services.blobs.find_upload(call.caller, call.name, upload_id)


async def _append(call: OCICall, upload: Upload) -> Upload:
    request = call.request
    header = request.header(b"content-range")
    if header is None:
        return await call.services.blobs.append(upload, request.chunks(), None)
    part = parse_chunk_range(header)
    if request.content_length not in {None, part.size_bytes}:
        raise Invalid("Content-Range and Content-Length contradict each other.", code="upload.length")
    return await call.services.blobs.append(upload, _exactly(request.chunks(), part.size_bytes), part.start)


async def _exactly(chunks: AsyncIterator[bytes | memoryview], length: int) -> AsyncIterator[bytes | memoryview]:
    """The chunks, which must come to that many bytes. Raises Invalid(code="upload.length")."""
    left = length
    async for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            break
        yield chunk
    if left:
        raise Invalid("The chunk is not as long as its Content-Range says.", code="upload.length")


async def _finish(call: OCICall, upload: Upload, digest: Digest) -> Answer:
    if call.request.content_length != 0:
        upload = await _append(call, upload)
    await call.services.blobs.finish(upload, digest)
    return _created(call, digest)


def _accepted(call: OCICall, upload: Upload) -> Answer:
    headers: Headers = [
        (b"location", call.path("blobs/uploads", upload.id).encode()),
        (b"range", format_upload_range(upload.size_bytes).encode()),
        (b"docker-upload-uuid", upload.id.encode()),
    ]
    return Answer(202, headers)


def _created(call: OCICall, digest: Digest) -> Answer:
    return Answer(
        201,
        [(b"location", call.path("blobs", digest).encode()), (b"docker-content-digest", str(digest).encode())],
    )


def _check_algorithm(word: str | None) -> None:
    """The hint is not needed here, but one that cannot be met is refused at once. Raises Invalid."""
    if word is not None and word not in set(DigestAlgorithm):
        raise Invalid("A digest is made with sha256 or sha512.", code="digest.algorithm")
