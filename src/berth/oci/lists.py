"""Lists: `/v2/<name>/tags/list`, `/v2/<name>/referrers/<digest>`, `/v2/_catalog`; each in pages, with a Link to the next.

Source: OCI distribution-spec v1.1, "Listing Tags", "Listing Referrers"; distribution, "Listing Repositories".
"""

from urllib.parse import urlencode

import msgspec

from berth.domain.manifest import to_descriptor
from berth.domain.media_type import OCI_INDEX
from berth.domain.whole_number import parse_whole_number
from berth.oci.call import OCICall, OCIServices
from berth.oci.exchange import Answer, Headers, OCIRequest
from berth.services.registry_access import Caller

_DEFAULT = 1000  # of a list whose client names no length; the rest is behind the Link
_MOST = 10_000  # CVE-2023-2253: a client's number is not to be believed
_REFERRERS = 200
_JSON = (b"content-type", b"application/json")


async def tags(call: OCICall) -> Answer:
    limit = _limit(call.request)
    after = call.request.parameter("last") or ""
    found, more = await call.services.manifests.list_tags(call.caller, call.name, after=after, limit=max(limit, 1))
    found = found if limit else []
    headers: Headers = [_JSON]
    if more and found:
        headers.append(_next(call.path("tags", "list"), {"n": str(limit), "last": found[-1]}))
    return Answer(200, headers, msgspec.json.encode({"name": str(call.name), "tags": found}))


async def referrers(call: OCICall) -> Answer:
    artifact_type = call.request.parameter("artifactType")
    after = parse_whole_number(call.request.parameter("after") or "") or 0
    digest = call.digest()
    found, more = await call.services.manifests.list_referrers(
        call.caller, call.name, digest, artifact_type=artifact_type, after=after, limit=_REFERRERS
    )
    headers: Headers = [(b"content-type", OCI_INDEX.encode())]
    parameters = {} if artifact_type is None else {"artifactType": artifact_type}
    if artifact_type is not None:
        headers.append((b"oci-filters-applied", b"artifactType"))
    if more:
        headers.append(_next(call.path("referrers", digest), {**parameters, "after": str(found[-1].id)}))
    descriptors = [to_descriptor(each.manifest, each.digest, each.size_bytes) for each in found]
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": descriptors}
    return Answer(200, headers, msgspec.json.encode(index))


async def catalog(services: OCIServices, request: OCIRequest, caller: Caller) -> Answer:
    """Packages that the caller may pull, by name."""
    limit = _limit(request)
    after = request.parameter("last") or ""
    found, more = await services.catalog.list_names(caller, after=after, limit=max(limit, 1))
    found = found if limit else []
    headers: Headers = [_JSON]
    if more and found:
        headers.append(_next("/v2/_catalog", {"n": str(limit), "last": found[-1]}))
    return Answer(200, headers, msgspec.json.encode({"repositories": found}))


def _limit(request: OCIRequest) -> int:
    """What is no number counts as not given."""
    asked = parse_whole_number(request.parameter("n") or "")
    return _DEFAULT if asked is None else min(asked, _MOST)


def _next(path: str, query: dict[str, str]) -> tuple[bytes, bytes]:
    return b"link", f'<{path}?{urlencode(query)}>; rel="next"'.encode()
