"""What both blob stores say in the same words."""

import re

from berth.domain.image_reference import Digest
from berth.domain.problem import Conflict, Invalid, UpstreamFailed

_UPLOAD_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def is_upload_id(text: str) -> bool:
    """A UUID as it is usually written. Everything else could be a path."""
    return _UPLOAD_ID.fullmatch(text) is not None


def check_upload_id(text: str) -> str:
    """The same text. Raises UpstreamFailed: no store ever had an upload of another name."""
    if not is_upload_id(text):
        raise upload_lost()
    return text


def check_claim(found: str | None, installation: str, marker: str) -> None:
    """Raises Invalid unless the store belongs to this installation; `found` is what its marker says."""
    if found != installation:
        raise Invalid(
            "The blob store holds what is not this database's: "
            + ("nothing says whose it is." if found is None else f"it belongs to the installation {found[:64]!r}."),
            field="BLOBS",
            code="blob.foreign",
            remedy="Correct BERTH_BLOBS or BERTH_DATABASE_URL (not set: BERTH_DATA_DIR). Or, if all that this database does "
            f"not know may go, write {installation} into {marker}.",
        )


def upload_busy() -> Conflict:
    return Conflict(
        "Another request writes to this upload.",
        code="upload.busy",
        remedy="Wait until it has ended, and ask how far the upload is.",
    )


def upload_lost() -> UpstreamFailed:
    return UpstreamFailed(
        "What was uploaded is not there any more, or not all of it.", code="blob.lost", remedy="Push again."
    )


def blob_lost() -> UpstreamFailed:
    return UpstreamFailed(
        "The blob store does not hold this blob any more, or not all of it.",
        code="blob.lost",
        remedy="Push it again; the site administrator looks for what removed it.",
    )


def digest_mismatch(digest: Digest) -> Invalid:
    return Invalid(
        f"What was uploaded has another digest than {digest}.",
        field="digest",
        code="digest.mismatch",
        remedy="Push again.",
    )
