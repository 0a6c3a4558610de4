"""Registry tokens: what a client of `/v2` shows at each request, minutes long, made at `/token`.

A registry token names the access token that it was made with and caps what may be done with it: the packages and actions
that were asked for and allowed then. Whether they are allowed *now* is decided anew at every request (A14).

A grant names the package's id. A package that was deleted and made again has another id, and old tokens are void for it
(A12). A grant for a name that was free has none: it is good for the package that its own access token then makes.

Source: distribution, "Token Authentication Implementation" (the JWT's claims); `package_id` is ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from berth.domain.package import PackageName, find_package_name
from berth.domain.package_access import PackageAction
from berth.domain.problem import Unauthenticated

_CATALOG = {"type": "registry", "name": "catalog", "actions": ["*"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryGrant:
    """What the token lets through for one package."""

    actions: frozenset[PackageAction]
    package_id: int | None  # None: the name was free when the token was made


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryClaims:
    """What a registry token says."""

    token_id: int | None  # the access token behind it; None: anonymous
    login: str  # for people who read it; the id decides
    grants: Mapping[PackageName, RegistryGrant]
    catalog: bool
    issued_at: datetime
    expires_at: datetime

    def lets_through(self, name: PackageName, action: PackageAction, *, package_id: int, made_by: int) -> bool:
        """Whether the token's grants cover it; `made_by` is the access token that made the package."""
        grant = self.grants.get(name)
        if grant is None or action not in grant.actions:
            return False
        return grant.package_id == package_id or (grant.package_id is None and made_by == self.token_id)

    def lets_create(self, name: PackageName) -> bool:
        """Whether it was made for pushing to this name while it was free."""
        grant = self.grants.get(name)
        return grant is not None and grant.package_id is None and PackageAction.PUSH in grant.actions


def to_payload(claims: RegistryClaims) -> dict[str, Any]:
    """The JWT's own claims; issuer, audience and the token's id are the signer's."""
    access: list[dict[str, Any]] = []
    for name, grant in claims.grants.items():
        entry: dict[str, Any] = {"type": "repository", "name": str(name), "actions": sorted(grant.actions)}
        access.append(entry if grant.package_id is None else {**entry, "package_id": grant.package_id})
    if claims.catalog:
        access.append(_CATALOG)
    payload: dict[str, Any] = {
        "sub": claims.login,
        "iat": int(claims.issued_at.timestamp()),
        "exp": int(claims.expires_at.timestamp()),
        "access": access,
    }
    return payload if claims.token_id is None else {**payload, "access_token_id": claims.token_id}


def from_payload(payload: Mapping[str, Any]) -> RegistryClaims:
    """The claims of a token whose signature was checked. Raises Unauthenticated for anything that we never wrote."""
    try:
        grants: dict[PackageName, RegistryGrant] = {}
        catalog = False
        for entry in payload["access"]:
            if entry == _CATALOG:
                catalog = True
            else:
                grants[_name_of(entry)] = RegistryGrant(
                    actions=frozenset(PackageAction(word) for word in entry["actions"]),
                    package_id=_maybe_id(entry.get("package_id")),
                )
        return RegistryClaims(
            token_id=_maybe_id(payload.get("access_token_id")),
            login=str(payload["sub"]),
            grants=grants,
            catalog=catalog,
            issued_at=datetime.fromtimestamp(payload["iat"], UTC),
            expires_at=datetime.fromtimestamp(payload["exp"], UTC),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, OSError) as error:
        raise Unauthenticated("This is no registry token of this server.", code="registry_token.invalid") from error


def _name_of(entry: Mapping[str, Any]) -> PackageName:
    name = find_package_name(entry["name"]) if entry["type"] == "repository" else None
    if name is None:
        raise ValueError
    return name


def _maybe_id(value: object) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise ValueError
