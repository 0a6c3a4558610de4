"""The PasswordHasher port: Argon2id. Source: RFC 9106; costs: OWASP, "Password Storage Cheat Sheet", Argon2id, 19 MiB.

Two at a time: more would be no faster, and their memory is what a server under attack would run out of first.
"""

import asyncio

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from berth.domain.secret_text import SecretText

_MEMORY_KIB = 19 * 1024
_ROUNDS = 2
_LANES = 1
_AT_ONCE = 2


class Argon2Passwords:
    """Hashes in threads, so that the loop goes on; argon2 lets go of the interpreter's lock."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=_ROUNDS, memory_cost=_MEMORY_KIB, parallelism=_LANES)
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._nobodys: str | None = None

    async def hash(self, password: SecretText) -> str:
        async with self._turns:
            return await asyncio.to_thread(self._hasher.hash, password.reveal())

    async def verify(self, password: SecretText, stored: str | None) -> bool:
        if self._nobodys is None:  # whoever asks first waits for it, whether there is a hash or not
            self._nobodys = await self.hash(SecretText("nobody"))
        async with self._turns:
            try:
                fits = await asyncio.to_thread(self._hasher.verify, stored or self._nobodys, password.reveal())
            except (VerificationError, InvalidHashError):
                return False
        return fits if stored is not None else False

    def is_outdated(self, stored: str) -> bool:
        return self._hasher.check_needs_rehash(stored)
