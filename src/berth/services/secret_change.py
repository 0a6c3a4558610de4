"""What a PUT of a secret may say, and what is refused (S2)."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import secret as rows
from berth.domain.problem import Invalid, LimitReached
from berth.domain.secret import MAX_SECRETS_PER_OWNER, MAX_VALUE_BYTES, SecretLevel, SecretVisibility
from berth.domain.secret_text import SecretText
from berth.services.secret_access import SecretOwner


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretChange:
    """What a PUT asks for; None where it says nothing."""

    encrypted_value: str | None = None
    key_id: str | None = None
    visibility: SecretVisibility | None = None
    repository_ids: tuple[int, ...] | None = None


async def check_count(connection: AsyncConnection, owner: SecretOwner) -> None:
    if await rows.count_secrets(connection, owner.level, owner.id) >= MAX_SECRETS_PER_OWNER:
        raise LimitReached(
            f"{owner.label} has {MAX_SECRETS_PER_OWNER} secrets, which is the most there can be.",
            code="secret.limit",
            remedy="Delete one that is not needed.",
        )


def check_value(value: SecretText) -> None:
    """S2, and what no environment variable can hold."""
    text = value.reveal()
    if len(text.encode()) > MAX_VALUE_BYTES:
        raise LimitReached(f"A secret's value has at most {MAX_VALUE_BYTES // 1024} KB.", code="secret.too_large")
    if "\0" in text:
        raise Invalid("A secret's value cannot hold a NUL character.", field="encrypted_value", code="secret.value")


def check_change(owner: SecretOwner, change: SecretChange) -> None:
    """Which fields go together. Source: GitHub REST docs, "Create or update an organization secret"."""
    if owner.level is not SecretLevel.ORGANIZATION:
        return
    if change.visibility is None:
        raise Invalid("An organization's secret needs a visibility.", field="visibility", reason="missing_field")
    if change.repository_ids and change.visibility is not SecretVisibility.SELECTED:
        raise Invalid(
            "selected_repository_ids can only be given when the visibility is selected.",
            field="selected_repository_ids",
            code="secret.selection",
        )
