"""Users, organizations and personal access tokens."""

from collections.abc import Sequence

import msgspec

from berth.client.connection import Connection, part


class User(msgspec.Struct, kw_only=True):
    login: str
    id: int
    type: str = "User"
    email: str | None = None
    site_admin: bool = False


class AccessToken(msgspec.Struct, kw_only=True, omit_defaults=True):
    """`token` is there only in the answer that made it."""

    id: int = 0
    note: str = ""
    scopes: list[str] = []
    created_at: str | None = None
    expires_at: str | None = None
    token: str | None = None


class Invitation(msgspec.Struct, kw_only=True):
    """A link by which somebody sets a password."""

    login: str
    url: str
    expires_at: str


class AccountCalls(Connection):
    """What the client calls about accounts."""

    def get_user(self) -> User:
        return self.send("GET", "/user", User)

    def create_user(self, login: str, email: str) -> User:
        return self.send("POST", "/admin/users", User, {"login": login, "email": email})

    def create_user_token(self, login: str, scopes: Sequence[str]) -> AccessToken:
        path = f"/admin/users/{part(login)}/authorizations"
        return self.send("POST", path, AccessToken, {"scopes": list(scopes)})

    def invite(self, login: str) -> Invitation:
        return self.send("POST", f"/admin/users/{part(login)}/invitation", Invitation)

    def suspend(self, login: str, reason: str) -> None:
        self.request("PUT", f"/users/{part(login)}/suspended", {"reason": reason})

    def unsuspend(self, login: str, reason: str) -> None:
        self.request("DELETE", f"/users/{part(login)}/suspended", {"reason": reason})

    def create_organization(self, login: str, admin: str) -> User:
        return self.send("POST", "/admin/organizations", User, {"login": login, "admin": admin})

    def list_tokens(self) -> list[AccessToken]:
        return self.list_all("/user/tokens", AccessToken)

    def create_token(self, note: str, scopes: Sequence[str]) -> AccessToken:
        return self.send("POST", "/user/tokens", AccessToken, {"note": note, "scopes": list(scopes)})

    def revoke_token(self, token_id: int) -> None:
        self.request("DELETE", f"/user/tokens/{token_id}")
