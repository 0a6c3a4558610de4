"""Blobs of the built-in registry, and uploads of them: values only; the rules are where they are read and written."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedBlob:
    """A blob that may be read in a package."""

    blob_id: int
    size_bytes: int
    location: str  # in the blob store
    touched_at: datetime
    needed: bool  # by a version of the package, be it a deleted one that may be restored


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """An upload under way. `handle` is the blob store's own note about it."""

    id: str
    package_id: int
    token_id: int  # of the access token that began it
    size_bytes: int
    handle: str
