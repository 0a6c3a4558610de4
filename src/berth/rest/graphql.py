"""The GraphQL that gh needs beside REST: who am I, and a repository by its name, as often as asked.

An answer is 200 also where it holds errors, as GraphQL over HTTP has it. What is hidden and what is missing is one answer (A13).

Source: GitHub GraphQL docs, "User", "Repository"; which queries gh sends: GITHUB_API section 6 of the references.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec
from starlette.responses import Response

from berth.domain.graphql_query import Field, parse_query
from berth.domain.problem import Denied, Invalid, NotFound, Problem
from berth.domain.repository import Visibility
from berth.domain.role import Role
from berth.domain.scope import Scope
from berth.edge.timestamp import timestamp
from berth.rest.app import Route
from berth.rest.call import Call, Links, json_response
from berth.rest.simple_user import node_id
from berth.services.account import AccountView
from berth.services.repository import RepositoryView

# GitHub's words for a role in GraphQL.
_PERMISSIONS: Mapping[Role, str | None] = {
    Role.NONE: None,
    Role.PULL: "READ",
    Role.TRIAGE: "TRIAGE",
    Role.PUSH: "WRITE",
    Role.MAINTAIN: "MAINTAIN",
    Role.ADMIN: "ADMIN",
}


class GraphQLRequest(msgspec.Struct, kw_only=True):
    """The body; gh sends `"variables": null`."""

    query: str
    variables: dict[str, Any] | None = None


async def query(call: Call) -> Response:
    body = await call.json(GraphQLRequest)
    user = call.user
    try:
        fields = parse_query(body.query, body.variables or {})
    except Invalid as problem:
        return json_response({"errors": [_error(problem, "UNSUPPORTED", [])]})
    data: dict[str, Any] = {}
    errors: list[dict[str, Any]] = []
    for field in fields:
        try:
            match field.name:
                case "__typename":
                    data[field.key] = "Query"
                case "viewer":
                    data[field.key] = select(field, viewer(call.links, await call.services.accounts.get_own(user)))
                case "repository":
                    data[field.key] = select(field, repository(call.links, await _find_repository(call, field)))
                case _:
                    raise _unknown(field.name, "Query")
        except (Denied, Invalid, NotFound) as problem:
            data[field.key] = None
            errors.append(_error(problem, _TYPES[type(problem)], [field.key]))
    return json_response({"data": data, "errors": errors} if errors else {"data": data})


_TYPES: Mapping[type[Problem], str] = {Denied: "FORBIDDEN", Invalid: "UNSUPPORTED", NotFound: "NOT_FOUND"}


async def _find_repository(call: Call, field: Field) -> RepositoryView:
    owner, name = field.arguments.get("owner"), field.arguments.get("name")
    if not isinstance(owner, str) or not isinstance(name, str):
        raise Invalid("A repository is asked for by owner and name, both texts.", code="graphql.unsupported")
    if "\0" not in owner + name:  # nothing is called so, and PostgreSQL cannot even be asked
        with suppress(NotFound):
            return await call.services.repositories.view(call.user, owner, name)
        renamed = await call.services.former_names.find(call.user, owner, name)
        if renamed is not None and field.arguments.get("followRenames") is not False:
            return renamed
    text = f"Could not resolve to a Repository with the name '{owner[:40]}/{name[:100]}'."
    raise NotFound(text, code="repository.not_found")


def select(field: Field, value: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked for of an object. Raises Invalid for a field that it does not have."""
    if not field.fields:
        raise Invalid(f"Which fields of '{field.name[:40]}'?", code="graphql.unsupported")
    found: dict[str, Any] = {}
    for wanted in field.fields:
        if wanted.name not in value:
            raise _unknown(wanted.name, value["__typename"])
        inner = value[wanted.name]
        if isinstance(inner, Mapping):
            found[wanted.key] = {
                **(found.get(wanted.key) or {}),
                **select(wanted, inner),
            }  # a fragment may ask for the rest
        elif wanted.fields and inner is not None:
            raise Invalid(f"'{wanted.name}' has no fields.", code="graphql.unsupported")
        else:
            found[wanted.key] = inner
    return found


def _unknown(name: str, kind: str) -> Invalid:
    text = f"Field '{name[:40]}' doesn't exist on type '{kind}'"
    return Invalid(text, code="graphql.unsupported", remedy="Use the REST API for it.")


def _error(problem: Problem, kind: str, path: list[str]) -> dict[str, Any]:
    return {"type": kind, "path": path, "message": problem.text, "code": problem.code}


def viewer(links: Links, view: AccountView) -> dict[str, Any]:
    """The caller as GitHub's `User`."""
    account = view.account
    return {
        "__typename": "User",
        "id": node_id("User", account.id),
        "databaseId": account.id,
        "login": account.login,
        "name": account.login,
        "url": links.web(f"/{account.login}"),
    }


def repository(links: Links, view: RepositoryView) -> dict[str, Any]:
    """GitHub's `Repository`, as far as there is something to say."""
    found = view.repository
    web = links.web(f"/{found.full_name}")
    kind = "Organization" if found.owner_is_organization else "User"
    return {
        "__typename": "Repository",
        "id": node_id("Repository", found.id),
        "databaseId": found.id,
        "name": found.name,
        "nameWithOwner": found.full_name,
        "owner": {"__typename": kind, "id": node_id(kind, found.owner_id), "login": found.owner_login},
        "description": found.description or None,
        "url": web,
        "sshUrl": f"{web}.git",  # there is no SSH here; this one works
        "visibility": found.visibility.upper(),
        "isPrivate": found.visibility is not Visibility.PUBLIC,
        "isInOrganization": found.owner_is_organization,
        "viewerPermission": _PERMISSIONS[view.role],
        "defaultBranchRef": {"__typename": "Ref", "name": found.default_branch},
        "createdAt": timestamp(found.created_at),
        "updatedAt": timestamp(found.updated_at),
        "pushedAt": timestamp(found.pushed_at),
        **dict.fromkeys(("homepageUrl", "parent", "primaryLanguage", "licenseInfo", "templateRepository")),
        "isFork": found.parent_id is not None,
        **dict.fromkeys(("isArchived", "isEmpty", "isMirror", "isTemplate"), False),
        **dict.fromkeys(("hasIssuesEnabled", "hasProjectsEnabled", "hasWikiEnabled", "hasDiscussionsEnabled"), False),
        **dict.fromkeys(
            ("mergeCommitAllowed", "rebaseMergeAllowed", "squashMergeAllowed"), True
        ),  # git does it, either way
        **dict.fromkeys(("forkCount", "stargazerCount"), 0),
    }


ROUTES: tuple[Route, ...] = (Route("POST", "/graphql", query, accepted=frozenset({Scope.REPO})),)
