"""The audit log's rows: who did what, to what, by which rules."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """A row. The actor is named as he was then; he may be gone, or be the server itself (None and empty). `detail` holds
    rule names and names, never inputs.
    """

    id: int
    at: datetime
    actor_id: int | None
    actor_login: str
    action: str
    target: str
    detail: str
