"""Time, chance, and the keys that encrypt what is stored."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from berth.domain.secret_text import SecretText


class Clock(Protocol):
    """The time of day."""

    def now(self) -> datetime:
        """Aware UTC."""
        ...


class Entropy(Protocol):
    """Unguessable bytes."""

    def token_bytes(self, size_bytes: int) -> bytes: ...


class Sealer(Protocol):
    """Opens what clients sealed (S5), and encrypts what the store keeps under a key that the store does not hold."""

    def public_key(self, *, owner: str) -> tuple[str, str]:
        """(master key's id, standard padded base64 of the 32-byte X25519 key) to seal with now. Every owner has his own."""
        ...

    def seal(self, values: Sequence[SecretText], *, owner: str) -> tuple[str, tuple[str, ...]]:
        """(key id, the values) as a client would have sealed them for this owner: for what comes in over our own pages."""
        ...

    def open_sealed(self, key_id: str, sealed_base64: str, *, owner: str) -> SecretText:
        """Raises Invalid for an unknown key, base64 that is none, or a box that does not open: another owner's, too."""
        ...

    def encrypt(self, value: SecretText, *, context: str) -> bytes:
        """Envelope encryption: a fresh data key per value, wrapped by the newest master key. `context` is authenticated."""
        ...

    def decrypt(self, blob: bytes, *, context: str) -> SecretText:
        """Raises UpstreamFailed(code="secret.undecryptable") for a key that is not there, another context, a damaged blob."""
        ...

    def rewrap(self, blob: bytes) -> bytes | None:
        """The same value with its data key wrapped by the newest master key; None if it already is."""
        ...
