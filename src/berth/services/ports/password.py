"""Passwords, hashed slowly."""

from typing import Protocol

from berth.domain.secret_text import SecretText


class PasswordHasher(Protocol):
    """Makes and checks hashes that are slow and want memory. Each call may be repeated; none blocks the loop."""

    async def hash(self, password: SecretText) -> str:
        """With its algorithm, its costs and a salt of its own: everything that `verify` needs."""
        ...

    async def verify(self, password: SecretText, stored: str | None) -> bool:
        """Whether the hash is this password's. None, nobody's hash, takes as long and is False."""
        ...

    def is_outdated(self, stored: str) -> bool:
        """Whether today's costs are others than this hash's."""
        ...
