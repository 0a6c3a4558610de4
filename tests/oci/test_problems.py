"""Which problem goes out as what: the table is complete, sends the specification's 14 codes and no other, and none for 5xx.

Source: OCI distribution-spec v1.1, "Error Codes"; the statuses are those of its table of endpoints, then CNCF distribution's.
"""

import ast
import json
from collections.abc import Iterator
from itertools import chain

import pytest
from tests.test_architecture import MODULES, imports_of, name_of
from tests.test_documented import all_problems, codes_in

from berth.domain.problem import (
    Conflict,
    Denied,
    Invalid,
    LimitReached,
    NotFound,
    Problem,
    Unauthenticated,
    UpstreamFailed,
)
from berth.oci.exchange import wrong_method
from berth.oci.problems import _OF_CLASS, _OF_CODE, CODES, problem_answer, wire_of
from berth.services.registry_access import PackageDenied, TokenNeeded

SPECIFICATION = {
    "BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN",
    "MANIFEST_INVALID", "MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "UNAUTHORIZED", "DENIED",
    "UNSUPPORTED", "TOOMANYREQUESTS",
}  # fmt: skip

# Every code that the registry can raise, with the class that it is raised with, and what a client sees of it.
WIRES: dict[str, tuple[type[Problem], int, str | None]] = {
    "blob.disk_full": (LimitReached, 507, None),
    "blob.lost": (UpstreamFailed, 500, None),
    "blob.needed": (Denied, 403, "DENIED"),
    "blob.too_large": (LimitReached, 413, "BLOB_UPLOAD_INVALID"),
    "blob.unavailable": (UpstreamFailed, 503, None),
    "blob.unknown": (NotFound, 404, "BLOB_UNKNOWN"),
    "digest.algorithm": (Invalid, 400, "DIGEST_INVALID"),
    "digest.mismatch": (Invalid, 400, "DIGEST_INVALID"),
    "digest.missing": (Invalid, 400, "DIGEST_INVALID"),
    "image_reference.digest": (Invalid, 400, "DIGEST_INVALID"),
    "manifest.ambiguous": (Invalid, 400, "MANIFEST_INVALID"),
    "manifest.annotations": (Invalid, 400, "MANIFEST_INVALID"),
    "manifest.artifact_type": (Invalid, 400, "MANIFEST_INVALID"),
    "manifest.blob_unknown": (Invalid, 404, "MANIFEST_BLOB_UNKNOWN"),
    "manifest.data": (Invalid, 400, "MANIFEST_INVALID"),
    "manifest.descriptor": (Invalid, 400, "MANIFEST_INVALID"),
    "manifest.incomplete": (Invalid, 400, "MANIFEST_INVALID"),
    "manifest.malformed": (Invalid, 400, "MANIFEST_INVALID"),
    "manifest.media_type": (Invalid, 400, "MANIFEST_INVALID"),
    "manifest.media_type_mismatch": (Invalid, 400, "MANIFEST_INVALID"),
    "manifest.schema_1": (Invalid, 400, "MANIFEST_INVALID"),
    "manifest.schema_version": (Invalid, 400, "MANIFEST_INVALID"),
    "manifest.tag": (Invalid, 400, "MANIFEST_INVALID"),
    "manifest.too_large": (LimitReached, 413, "MANIFEST_INVALID"),
    "manifest.too_many": (Invalid, 400, "MANIFEST_INVALID"),
    "manifest.unknown": (NotFound, 404, "MANIFEST_UNKNOWN"),
    "package.denied": (PackageDenied, 403, "DENIED"),
    "package.name": (Invalid, 400, "NAME_INVALID"),
    "package.name_taken": (Conflict, 409, "NAME_INVALID"),
    "package.not_found": (NotFound, 404, "NAME_UNKNOWN"),
    "range.unsatisfiable": (Invalid, 416, "SIZE_INVALID"),
    "registry_token.bad_credentials": (Unauthenticated, 401, "UNAUTHORIZED"),
    "registry_token.expired": (TokenNeeded, 401, "UNAUTHORIZED"),
    "registry_token.form": (Invalid, 400, "UNSUPPORTED"),
    "registry_token.grant_type": (Invalid, 400, "UNSUPPORTED"),
    "registry_token.invalid": (TokenNeeded, 401, "UNAUTHORIZED"),
    "registry_token.revoked": (TokenNeeded, 401, "UNAUTHORIZED"),
    "registry_token.scheme": (TokenNeeded, 401, "UNAUTHORIZED"),
    "registry_token.scope": (TokenNeeded, 401, "UNAUTHORIZED"),
    "registry_token.too_large": (LimitReached, 413, "UNSUPPORTED"),
    "request.idle": (LimitReached, 408, "BLOB_UPLOAD_INVALID"),
    "request.method": (Invalid, 405, "UNSUPPORTED"),
    "request.path": (NotFound, 404, "UNSUPPORTED"),
    "request.query": (Invalid, 400, "UNSUPPORTED"),
    "server.disk_full": (LimitReached, 507, None),
    "store.full": (LimitReached, 507, None),
    "store.unavailable": (UpstreamFailed, 503, None),
    "unauthenticated": (TokenNeeded, 401, "UNAUTHORIZED"),
    "upload.busy": (Conflict, 409, "BLOB_UPLOAD_INVALID"),
    "upload.length": (Invalid, 400, "SIZE_INVALID"),
    "upload.moved": (Conflict, 409, "BLOB_UPLOAD_INVALID"),
    "upload.out_of_order": (Invalid, 416, "BLOB_UPLOAD_INVALID"),
    "upload.range": (Invalid, 400, "BLOB_UPLOAD_INVALID"),
    "upload.unknown": (NotFound, 404, "BLOB_UPLOAD_UNKNOWN"),
}
# Modules that the registry imports for something else than what raises these.
ELSEWHERE = {
    "adapters.store.account", "adapters.store.repository", "adapters.store.team", "domain.account", "domain.registry_host",
    "domain.repository", "domain.scope", "domain.suspension", "domain.workflow_permissions", "services.access_token",
    "services.account",
}  # fmt: skip
# The package of ports is imported whole; the registry asks these of it.
PORTS = {"services.ports", "services.ports.blob_store", "services.ports.clock"}
NOT_RAISED_HERE = {
    *(f"image_reference.{kind}" for kind in ("empty", "id", "length", "path", "scheme", "tag", "upper_case")),
    "package.public_for_ever", "package.visibility",  # its settings, through REST
    "store.in_use", "blob.foreign",  # at the start
    "settings",  # at the start, too
    "audit.day", "secret.name", "secret.name.reserved",  # searching the audit log, storing secrets: through REST and the console
}  # fmt: skip


def modules_of_the_registry() -> Iterator[tuple[str, ast.Module]]:
    """The edge, the blob stores, and all of our own modules that they import."""
    paths = {name_of(path): path for path in MODULES}
    found = {name for name in paths if name.startswith(("oci.", "adapters.blob", "adapters.disk"))}
    ahead = list(found)
    while ahead:
        for imported in imports_of(paths[ahead.pop()]):
            name = imported.removeprefix("berth.")
            is_other_port = name.startswith("services.ports") and name not in PORTS
            if name in paths and name not in found and not is_other_port:
                found.add(name)
                ahead.append(name)
    return ((name, ast.parse(paths[name].read_text())) for name in sorted(found))


def made(kind: type[Problem], code: str) -> Problem:
    if issubclass(kind, TokenNeeded):
        return kind("A sentence.", scope="repository:a/b:pull", code=code)
    if issubclass(kind, PackageDenied):
        return kind("A sentence.", remedy="", scope="repository:a/b:push")
    return kind("A sentence.", code=code)


def test_every_code_that_the_registry_can_raise_has_a_row() -> None:
    found = {code for name, tree in modules_of_the_registry() if name not in ELSEWHERE for code in codes_in(tree)}
    assert found - NOT_RAISED_HERE == set(WIRES)


def test_no_row_of_the_edges_table_is_without_a_use() -> None:
    for row in _OF_CODE:
        assert row in WIRES or any(code.startswith(f"{row}.") for code in WIRES), row


@pytest.mark.parametrize("code", WIRES)
def test_what_a_client_sees_of_it(code: str) -> None:
    kind, status, wire_code = WIRES[code]
    problem = made(kind, code)
    wire = wire_of(problem)
    assert (wire.status, wire.code) == (status, wire_code)
    answer = problem_answer(problem, "http://host/token", "host")
    assert answer.status == status
    headers = dict(answer.headers)
    assert (b"www-authenticate" in headers) == (kind in {TokenNeeded, PackageDenied})
    if wire_code is None:
        assert headers[b"content-type"] == b"text/plain; charset=utf-8"
        assert answer.body == b"A sentence.\n"
        return
    assert headers[b"content-type"] == b"application/json"
    error = {"code": wire_code, "message": "A sentence.", "detail": {"code": code}}
    assert json.loads(answer.body) == {"errors": [error]}


def test_the_14_codes_and_no_other() -> None:
    assert CODES == SPECIFICATION
    for wire in chain(_OF_CLASS.values(), _OF_CODE.values()):
        assert (wire.code is None) == (wire.status >= 500), wire
        assert wire.code is None or wire.code in SPECIFICATION, wire


@pytest.mark.parametrize(
    "kind", [kind for kind in all_problems() if kind is not Problem], ids=lambda kind: kind.__name__
)
def test_every_problem_goes_out_somehow(kind: type[Problem]) -> None:
    """Also with a code that nobody has thought of: a client is told whose fault it is (A14)."""
    wire = wire_of(made(kind, "nobody.knows"))
    assert 400 <= wire.status < 600
    assert (wire.code is None) == (wire.status >= 500)
    if issubclass(kind, Unauthenticated):
        assert wire.status == 401


def test_a_problem_of_no_class_is_a_bug() -> None:
    with pytest.raises(TypeError):
        wire_of(Problem("A sentence."))


def test_a_remedy_follows_the_sentence_and_waiting_has_a_header() -> None:
    """Source: OCI distribution-spec v1.1: a 429 "SHOULD include a Retry-After header"."""
    answer = problem_answer(LimitReached("Too many.", retry_after_s=7, remedy="Wait."), "r", "s")
    assert answer.status == 429
    assert (b"retry-after", b"7") in answer.headers
    assert json.loads(answer.body)["errors"][0]["message"] == "Too many. Wait."


def test_a_challenge_names_what_is_wanted_and_nothing_that_is_empty() -> None:
    """Source: RFC 6750 section 3; distribution, "Token Authentication Specification"."""
    for scope, error, wanted in (
        ("", "", 'Bearer realm="r",service="s"'),
        ("a:b:c d:e:f", "", 'Bearer realm="r",service="s",scope="a:b:c d:e:f"'),
        ("a:b:c", "invalid_token", 'Bearer realm="r",service="s",scope="a:b:c",error="invalid_token"'),
    ):
        answer = problem_answer(TokenNeeded("x", scope=scope, error=error, code="unauthenticated"), "r", "s")
        assert dict(answer.headers)[b"www-authenticate"].decode() == wanted


def test_a_wrong_method_names_the_right_ones() -> None:
    refusal = wrong_method("BREW", ("GET", "HEAD"))
    assert refusal.headers == [(b"allow", b"GET, HEAD")]
    assert wire_of(refusal.problem).status == 405
