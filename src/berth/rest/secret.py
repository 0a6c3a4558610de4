"""Codespaces secrets at the three levels. Source: GITHUB_API sections 3.3 to 3.7 of the references, GitHub's OpenAPI."""

from collections.abc import Iterable
from typing import Any

import msgspec
from starlette.responses import Response

from berth.domain.problem import Invalid
from berth.domain.secret import SecretLevel, SecretVisibility
from berth.domain.whole_number import parse_whole_number
from berth.edge.secret_place import place_of
from berth.edge.timestamp import timestamp
from berth.rest.app import Route
from berth.rest.call import Call, Handler, json_response, no_content
from berth.rest.views import minimal_repository
from berth.services.secret import SecretView
from berth.services.secret_access import SCOPES
from berth.services.secret_change import SecretChange

# The path of each level's secrets. What a token needs there: SCOPES.
PATHS: dict[SecretLevel, str] = {
    SecretLevel.USER: "/user/codespaces/secrets",
    SecretLevel.ORGANIZATION: "/orgs/{org}/codespaces/secrets",
    SecretLevel.REPOSITORY: "/repos/{owner}/{repo}/codespaces/secrets",
}


class UserSecret(msgspec.Struct, kw_only=True):
    """Ids come as integers or as strings: gh and go-github differ."""

    key_id: str
    encrypted_value: str | None = None
    selected_repository_ids: list[int | str] | None = None


class RepositorySecret(msgspec.Struct, kw_only=True):
    """The body of a PUT at repository level."""

    encrypted_value: str | None = None
    key_id: str | None = None


class OrganizationSecret(msgspec.Struct, kw_only=True):
    """The body of a PUT at organization level."""

    visibility: SecretVisibility
    encrypted_value: str | None = None
    key_id: str | None = None
    selected_repository_ids: list[int | str] | None = None


class Selection(msgspec.Struct, kw_only=True):
    """The body of a PUT of the selected repositories."""

    selected_repository_ids: list[int | str]


def _ids(given: Iterable[int | str] | None) -> tuple[int, ...] | None:
    if given is None:
        return None
    return tuple(_id(one) for one in given)


def _id(given: int | str) -> int:
    """An id as a number; what is no positive number of 63 bits is an id of nothing."""
    number = parse_whole_number(str(given))
    if number is None:
        raise Invalid(
            "selected_repository_ids holds what is no repository's id.",
            field="selected_repository_ids",
            code="secret.repository_unknown",
        )
    return number


async def _change(call: Call, level: SecretLevel) -> SecretChange:
    """The body as a change. Keys that the level does not know are ignored."""
    match level:
        case SecretLevel.USER:
            user = await call.json(UserSecret)
            return SecretChange(
                encrypted_value=user.encrypted_value,
                key_id=user.key_id,
                repository_ids=_ids(user.selected_repository_ids),
            )
        case SecretLevel.ORGANIZATION:
            organization = await call.json(OrganizationSecret)
            return SecretChange(
                encrypted_value=organization.encrypted_value,
                key_id=organization.key_id,
                visibility=organization.visibility,
                repository_ids=_ids(organization.selected_repository_ids),
            )
        case SecretLevel.REPOSITORY:
            repository = await call.json(RepositorySecret)
            return SecretChange(encrypted_value=repository.encrypted_value, key_id=repository.key_id)


def _body(call: Call, level: SecretLevel, secret: SecretView) -> dict[str, Any]:
    body: dict[str, Any] = {
        "name": secret.name,
        "created_at": timestamp(secret.created_at),
        "updated_at": timestamp(secret.updated_at),
    }
    if secret.visibility is not None:
        body["visibility"] = secret.visibility
    if secret.visibility is SecretVisibility.SELECTED:
        path = PATHS[level].format(**call.request.path_params)
        body["selected_repositories_url"] = call.links.api(f"{path}/{secret.name}/repositories")
    return body


def _routes(level: SecretLevel) -> tuple[Route, ...]:
    """The operations that all levels have."""
    base, scopes = PATHS[level], frozenset({SCOPES[level]})
    one = f"{base}/{{secret_name}}"

    async def list_secrets(call: Call) -> Response:
        page = call.page()
        found, total = await call.services.secrets.list_names(
            call.user, place_of(call, level), limit=page.limit, offset=page.offset
        )
        return call.list_response([_body(call, level, secret) for secret in found], total, page, key="secrets")

    async def public_key(call: Call) -> Response:
        key_id, key = await call.services.secrets.public_key(call.user, place_of(call, level))
        return json_response({"key_id": key_id, "key": key})

    async def get(call: Call) -> Response:
        secret = await call.services.secrets.get(call.user, place_of(call, level), call.path("secret_name"))
        return json_response(_body(call, level, secret))

    async def put(call: Call) -> Response:
        change = await _change(call, level)
        created = await call.services.secrets.put(call.user, place_of(call, level), call.path("secret_name"), change)
        return json_response({}, 201) if created else no_content()

    async def delete(call: Call) -> Response:
        await call.services.secrets.delete(call.user, place_of(call, level), call.path("secret_name"))
        return no_content()

    return (
        Route("GET", base, list_secrets, scopes),
        Route("GET", f"{base}/public-key", public_key, scopes),
        Route("GET", one, get, scopes),
        Route("PUT", one, put, scopes),
        Route("DELETE", one, delete, scopes),
    )


def _selection_routes(level: SecretLevel) -> tuple[Route, ...]:
    """The operations on the selected repositories, which a repository's own secret does not have."""
    base, scopes = PATHS[level], frozenset({SCOPES[level]})
    all_of = f"{base}/{{secret_name}}/repositories"
    one_of = f"{all_of}/{{repository_id}}"

    async def list_repositories(call: Call) -> Response:
        page = call.page()
        found, total = await call.services.secrets.list_repositories(
            call.user, place_of(call, level), call.path("secret_name"), limit=page.limit, offset=page.offset
        )
        bodies = [minimal_repository(call.links, repository) for repository in found]
        return call.list_response(bodies, total, page, key="repositories")

    async def set_repositories(call: Call) -> Response:
        ids = _ids((await call.json(Selection)).selected_repository_ids) or ()
        await call.services.secrets.set_repositories(call.user, place_of(call, level), call.path("secret_name"), ids)
        return no_content()

    async def add_repository(call: Call) -> Response:
        await call.services.secrets.add_repository(
            call.user, place_of(call, level), call.path("secret_name"), call.path_id("repository_id")
        )
        return no_content()

    async def remove_repository(call: Call) -> Response:
        await call.services.secrets.remove_repository(
            call.user, place_of(call, level), call.path("secret_name"), call.path_id("repository_id")
        )
        return no_content()

    handlers: tuple[tuple[str, str, Handler], ...] = (
        ("GET", all_of, list_repositories),
        ("PUT", all_of, set_repositories),
        ("PUT", one_of, add_repository),
        ("DELETE", one_of, remove_repository),
    )
    return tuple(Route(method, path, handler, scopes) for method, path, handler in handlers)


ROUTES: tuple[Route, ...] = (
    *(route for level in SecretLevel for route in _routes(level)),
    *_selection_routes(SecretLevel.USER),
    *_selection_routes(SecretLevel.ORGANIZATION),
)
