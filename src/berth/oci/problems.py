"""From Problem to the error bodies of the OCI distribution specification: one table, its 14 codes and no other.

A failure of the server itself (5xx, `edge/problem_status.py`) has none of those codes: its body is plain text, which clients
show or ignore.

Source: OCI distribution-spec v1.1, "Error Codes"; statuses as CNCF distribution sends them where the text names none.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from berth.domain.problem import (
    Conflict,
    Denied,
    Invalid,
    LimitReached,
    NotFound,
    Problem,
    Unauthenticated,
)
from berth.edge.problem_status import status_of
from berth.oci.exchange import Answer
from berth.services.registry_access import PackageDenied, TokenNeeded

CODES = frozenset(
    {
        "BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN",
        "MANIFEST_INVALID", "MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "UNAUTHORIZED", "DENIED",
        "UNSUPPORTED", "TOOMANYREQUESTS",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wire:
    """A status, and the code of its body; none for what is no client's fault."""

    status: int
    code: str | None


_OF_CLASS: Mapping[type[Problem], Wire] = {
    Invalid: Wire(400, "UNSUPPORTED"),
    Unauthenticated: Wire(401, "UNAUTHORIZED"),
    Denied: Wire(403, "DENIED"),
    NotFound: Wire(404, "NAME_UNKNOWN"),
    Conflict: Wire(409, "BLOB_UPLOAD_INVALID"),
    LimitReached: Wire(429, "TOOMANYREQUESTS"),
}
# By the problem's code; a word alone stands for all codes that begin with it.
_OF_CODE: Mapping[str, Wire] = {
    "blob.too_large": Wire(413, "BLOB_UPLOAD_INVALID"),
    "blob.unknown": Wire(404, "BLOB_UNKNOWN"),
    "digest": Wire(400, "DIGEST_INVALID"),
    "image_reference.digest": Wire(400, "DIGEST_INVALID"),
    "manifest": Wire(400, "MANIFEST_INVALID"),
    "manifest.blob_unknown": Wire(404, "MANIFEST_BLOB_UNKNOWN"),
    "manifest.too_large": Wire(413, "MANIFEST_INVALID"),
    "manifest.unknown": Wire(404, "MANIFEST_UNKNOWN"),
    "package.name": Wire(400, "NAME_INVALID"),
    "package.name_taken": Wire(409, "NAME_INVALID"),
    "range": Wire(416, "SIZE_INVALID"),
    "registry_token.too_large": Wire(413, "UNSUPPORTED"),
    "request.idle": Wire(408, "BLOB_UPLOAD_INVALID"),
    "request.method": Wire(405, "UNSUPPORTED"),
    "request.path": Wire(404, "UNSUPPORTED"),
    "upload": Wire(400, "BLOB_UPLOAD_INVALID"),
    "upload.busy": Wire(409, "BLOB_UPLOAD_INVALID"),
    "upload.length": Wire(400, "SIZE_INVALID"),
    "upload.moved": Wire(409, "BLOB_UPLOAD_INVALID"),
    "upload.out_of_order": Wire(416, "BLOB_UPLOAD_INVALID"),
    "upload.range": Wire(400, "BLOB_UPLOAD_INVALID"),
    "upload.unknown": Wire(404, "BLOB_UPLOAD_UNKNOWN"),
}
_JSON = (b"content-type", b"application/json")
_TEXT = (b"content-type", b"text/plain; charset=utf-8")


def wire_of(problem: Problem) -> Wire:
    """A test walks all subclasses of Problem and fails where one is missing here."""
    status = status_of(problem)
    if status >= 500:
        return Wire(status, None)
    known = _OF_CODE.get(problem.code) or _OF_CODE.get(problem.code.partition(".")[0])
    if known is not None and not isinstance(problem, Unauthenticated):
        return known
    return next(_OF_CLASS[kind] for kind in type(problem).__mro__ if kind in _OF_CLASS)


def problem_answer(problem: Problem, realm: str, service: str) -> Answer:
    """The answer for a problem; a 401 names where to fetch a token, and for what.

    So does a 403 about a package: oras for Python shows what a 403 says if there is a challenge with it, and else asks
    again for two minutes. docker and its kin fetch a new token after 401 only.
    """
    wire = wire_of(problem)
    if wire.code is None:
        return Answer(wire.status, [_TEXT], f"{problem.text}\n".encode())
    body = {"errors": [{"code": wire.code, "message": problem.text, "detail": {"code": problem.code}}]}
    answer = Answer(wire.status, [_JSON], msgspec.json.encode(body))
    if isinstance(problem, LimitReached) and problem.retry_after_s is not None:
        answer.headers.append((b"retry-after", b"%d" % problem.retry_after_s))
    if isinstance(problem, TokenNeeded | PackageDenied):
        answer.headers.append((b"www-authenticate", _challenge(problem, realm, service).encode("latin-1", "replace")))
    return answer


def _challenge(problem: TokenNeeded | PackageDenied, realm: str, service: str) -> str:
    """Source: RFC 6750 section 3; distribution, "Token Authentication Specification"."""
    parts = {"realm": realm, "service": service, "scope": problem.scope, "error": problem.error}
    said = ",".join(f'{key}="{value}"' for key, value in parts.items() if value)
    return f"Bearer {said}"
