"""Signs and checks the tokens of the built-in registry."""

from typing import Any, Protocol


class RegistryTokenSigner(Protocol):
    """JWTs, with one asymmetric algorithm, under keys that all servers of the installation share."""

    def sign(self, payload: dict[str, Any]) -> str:
        """A token of this content, which holds `iat` and `exp` (seconds since 1970)."""
        ...

    def verify(self, token: str) -> dict[str, Any]:
        """The content of a token that we signed and that has not expired. Raises Unauthenticated for any other."""
        ...
