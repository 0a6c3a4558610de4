"""Secrets, sealed before they leave this machine, and the registries that triples of them log in to."""

import base64
from dataclasses import dataclass
from typing import Any, Self

import msgspec
from nacl.public import PublicKey as SealingKey
from nacl.public import SealedBox

from berth.client.connection import Connection, part, repository_path
from berth.domain.problem import UpstreamFailed
from berth.domain.secret_text import SecretText


class Secret(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Never a value. `visibility` is None for a repository's secret."""

    name: str
    created_at: str
    updated_at: str
    visibility: str | None = None


class RegistryLogin(msgspec.Struct, kw_only=True):
    """A registry that a codespace would be logged in to, or why not."""

    server: str | None = None
    level: str | None = None  # None: the codespace's own token, which is for the built-in registry
    prefix: str | None = None
    kind: str | None = None  # None: not logged in with this one
    expires_at: str | None = None
    shadowed: bool = False
    incomplete: bool = False
    warnings: list[str] = []


class RegistryLogins(msgspec.Struct, kw_only=True):
    registries: list[RegistryLogin]
    withheld_reason: str | None = None  # why the caller's codespaces get no secrets


@dataclass(frozen=True, slots=True)
class SecretOwner:
    """Whose secrets: `path` is where they are in the API."""

    path: str
    words: str

    @classmethod
    def user(cls) -> Self:
        return cls("/user/codespaces/secrets", "your account")

    @classmethod
    def repository(cls, full_name: str) -> Self:
        return cls(f"{repository_path(full_name)}/codespaces/secrets", full_name)

    @classmethod
    def organization(cls, login: str) -> Self:
        return cls(f"/orgs/{part(login)}/codespaces/secrets", login)


class SecretCalls(Connection):
    """What the client calls about secrets."""

    def list_secrets(self, owner: SecretOwner) -> list[Secret]:
        return self.list_all(owner.path, Secret, "secrets")

    def set_secret(self, owner: SecretOwner, name: str, value: SecretText, **fields: Any) -> bool:
        """Seal and store; True if it is new. `fields`: visibility, selected_repository_ids."""
        key = self.send("GET", f"{owner.path}/public-key", dict[str, Any])
        try:
            key_id = str(key["key_id"])
            sealed = SealedBox(SealingKey(base64.b64decode(key["key"]))).encrypt(value.reveal().encode())
        except (KeyError, TypeError, ValueError):
            raise UpstreamFailed("The server's public key cannot be used.", code="client.answer") from None
        body = {"encrypted_value": base64.b64encode(sealed).decode(), "key_id": key_id, **fields}
        return self.request("PUT", f"{owner.path}/{part(name)}", body).status_code == 201

    def delete_secret(self, owner: SecretOwner, name: str) -> None:
        self.request("DELETE", f"{owner.path}/{part(name)}")

    def list_registries(self, full_name: str) -> RegistryLogins:
        return self.send("GET", f"{repository_path(full_name)}/codespaces/registries", RegistryLogins)
