"""`POST …/codespaces/registries/check`: a registry's login is tried before it is stored; at each level of secrets."""

from typing import Any

import msgspec
from starlette.responses import Response

from berth.domain.registry_login import LoginVerdict
from berth.domain.secret import SecretLevel
from berth.edge.secret_place import place_of
from berth.edge.timestamp import maybe_timestamp
from berth.rest.app import Route
from berth.rest.call import Call, json_response
from berth.rest.secret import PATHS
from berth.services.registry_check import SealedLogin
from berth.services.secret_access import SCOPES


class CheckLogin(msgspec.Struct, kw_only=True):
    """The body. The values are sealed with the public key of the level's secrets."""

    server: str
    key_id: str
    encrypted_username: str
    encrypted_password: str
    encrypted_session_token: str | None = None
    prefix: str | None = None
    image: str | None = None


def _body(verdict: LoginVerdict) -> dict[str, Any]:
    return {
        "server": verdict.host,
        "provider": verdict.provider,
        "kind": verdict.kind,
        "outcome": verdict.outcome,
        "sentence": verdict.sentence,
        "finding": verdict.finding,
        "warnings": verdict.warnings,
        "expires_at": maybe_timestamp(verdict.expires_at),
        "digest": None if verdict.digest is None else str(verdict.digest),
    }


def _route(level: SecretLevel) -> Route:
    path = f"{PATHS[level].removesuffix('/secrets')}/registries/check"

    async def check(call: Call) -> Response:
        body = await call.json(CheckLogin)
        login = SealedLogin(
            server=body.server,
            key_id=body.key_id,
            encrypted_username=body.encrypted_username,
            encrypted_password=body.encrypted_password,
            encrypted_session_token=body.encrypted_session_token,
            prefix=body.prefix or "",
            image=body.image or "",
        )
        return json_response(_body(await call.services.registry_checks.check(call.user, place_of(call, level), login)))

    return Route("POST", path, check, frozenset({SCOPES[level]}))


ROUTES: tuple[Route, ...] = tuple(_route(level) for level in SecretLevel)
