"""The Entropy port: the kernel's random number generator."""

import secrets


class SystemEntropy:
    """Unguessable bytes. Source: Python library reference, "secrets"."""

    def token_bytes(self, size_bytes: int) -> bytes:
        return secrets.token_bytes(size_bytes)
