"""A text that must never be seen: its every printed form is masked, its value is taken out by name only."""

import hmac
from typing import NoReturn


class SecretText:
    """A secret value. `repr`, `str` and `format` show a mask; pickling is refused; comparison takes constant time.

    `reveal()` is the only way to the value, so that `git grep reveal` lists every place that handles one.
    """

    __slots__ = ("_value",)

    MASK = "********"

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself. Only adapters that hand it to its one addressee call this."""
        return self._value

    def __repr__(self) -> str:
        return f"SecretText({self.MASK!r})"

    def __str__(self) -> str:
        return self.MASK

    def __format__(self, spec: str) -> str:
        return self.MASK

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SecretText):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((SecretText, self._value))

    def __bool__(self) -> bool:
        return bool(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a SecretText is never serialised")
