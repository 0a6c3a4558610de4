"""Secrets, sealed before they leave this machine, and the registries that triples of them log in to."""

import base64
from dataclasses import dataclass
from typing import Any, Self

import msgspec
from nacl.public import PublicKey as SealingKey
from nacl.public import SealedBox

from berth.client.codespace import Finding
from berth.client.connection import Connection, decode, part, repository_path
from berth.domain.problem import UpstreamFailed
from berth.domain.secret_text import SecretText

_CHECK_TIMEOUT_S = 30.0  # the server's own bound is 15 s


class Secret(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Never a value. `visibility` is None for a repository's secret."""

    name: str
    created_at: str
    updated_at: str
    visibility: str | None = None


class LastCheck(msgspec.Struct, kw_only=True):
    """What was learnt last of a stored login: `outcome` is accepted, refused, unknown, or untried since it was stored."""

    outcome: str
    code: str | None = None
    checked_at: str | None = None


class RegistryLogin(msgspec.Struct, kw_only=True):
    """A registry that a codespace would be logged in to, or why not."""

    server: str | None = None
    level: str | None = None  # None: the codespace's own token, which is for the built-in registry
    prefix: str | None = None
    kind: str | None = None  # None: not logged in with this one
    expires_at: str | None = None
    shadowed: bool = False
    incomplete: bool = False
    reason: str = ""  # why it is used, or is not
    warnings: list[str] = []
    last_check: LastCheck | None = None  # None: there is nothing to try, or it is not for the caller to know


class UnsharedLogin(msgspec.Struct, kw_only=True):
    """One that is stored, as far as the caller may know, and does not reach the repository."""

    server: str
    level: str
    prefix: str
    reason: str = ""
    next_step: str = ""


class RegistryLogins(msgspec.Struct, kw_only=True):
    """What reaches a codespace of a repository, and what does not."""

    registries: list[RegistryLogin]
    unshared: list[UnsharedLogin] = []
    withheld_reason: str | None = None  # why the caller's codespaces get no secrets


class LoginVerdict(msgspec.Struct, kw_only=True):
    """What came of a login that was tried: `outcome` is accepted, refused, or unknown."""

    server: str
    outcome: str
    sentence: str
    provider: str = ""
    kind: str | None = None
    finding: Finding | None = None  # why it is not accepted
    warnings: list[str] = []
    expires_at: str | None = None
    digest: str | None = None

    @property
    def accepted(self) -> bool:
        return self.outcome == "accepted"


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
        body = {**self._seal(owner, encrypted_value=value), **fields}
        return self.request("PUT", f"{owner.path}/{part(name)}", body).status_code == 201

    def check_registry(
        self,
        owner: SecretOwner,
        server: str,
        user: SecretText,
        password: SecretText,
        session_token: SecretText | None = None,
        *,
        prefix: str,
        image: str = "",
    ) -> LoginVerdict:
        """Have the server try a login once, before it is stored; with an image, by asking for that one."""
        values = {"encrypted_username": user, "encrypted_password": password}
        if session_token is not None:
            values["encrypted_session_token"] = session_token
        body = {"server": server, "prefix": prefix, "image": image, **self._seal(owner, **values)}
        path = f"{owner.path.removesuffix('/secrets')}/registries/check"
        return decode(self.request("POST", path, body, timeout_s=_CHECK_TIMEOUT_S).content, LoginVerdict)

    def _seal(self, owner: SecretOwner, **values: SecretText) -> dict[str, str]:
        """The values as only the server reads them, as this owner's, and with which key."""
        key = self.send("GET", f"{owner.path}/public-key", dict[str, Any])
        try:
            box = SealedBox(SealingKey(base64.b64decode(key["key"])))
            sealed = {name: box.encrypt(value.reveal().encode()) for name, value in values.items()}
            return {"key_id": str(key["key_id"])} | {
                name: base64.b64encode(value).decode() for name, value in sealed.items()
            }
        except (KeyError, TypeError, ValueError):
            raise UpstreamFailed("The server's public key cannot be used.", code="client.answer") from None

    def delete_secret(self, owner: SecretOwner, name: str) -> None:
        self.request("DELETE", f"{owner.path}/{part(name)}")

    def list_registries(self, full_name: str) -> RegistryLogins:
        return self.send("GET", f"{repository_path(full_name)}/codespaces/registries", RegistryLogins)
