"""The PasswordHasher port."""

from argon2 import PasswordHasher

from berth.adapters.password_argon2 import Argon2Passwords
from berth.domain.secret_text import SecretText


async def test_a_hash_fits_its_password_and_no_other() -> None:
    passwords = Argon2Passwords()
    stored = await passwords.hash(SecretText("right"))
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await passwords.hash(SecretText("right")) != stored  # salted
    assert await passwords.verify(SecretText("right"), stored)
    assert not await passwords.verify(SecretText("wrong"), stored)
    assert not await passwords.verify(SecretText("right"), "no hash")


async def test_nobodys_hash_fits_nothing() -> None:
    passwords = Argon2Passwords()
    assert not await passwords.verify(SecretText("nobody"), None)
    assert not await passwords.verify(SecretText("x"), None)


async def test_a_hash_of_other_costs_is_outdated() -> None:
    passwords = Argon2Passwords()
    assert not passwords.is_outdated(await passwords.hash(SecretText("x")))
    assert passwords.is_outdated(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash("x"))
