"""Every operation has a success and its main failures, whose bodies are as GitHub's description, or ours, says.

The client checks the bodies (tests/rest/schema.py); here is what makes it see them all. A route without a row fails.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from tests.rest.berth_api import Berth
from tests.rest.schema import description
from tests.rest.seeded import Seeded, make_seeded

from berth.domain.lifecycle import Phase
from berth.rest.app import Route
from berth.rest.openapi import path_of
from berth.rest.routes import ROUTES

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
_PACKAGE = re.compile(r"/(orgs/\{org\}|users/\{username\}|user)/packages/container/\{package_name\}")
_PUBLIC = {"message": "m", "content": "Yg=="}


@dataclass(frozen=True, kw_only=True)
class Row:
    """How an operation succeeds: its body, query, values in its path; the state in which its codespace must be.

    `keeps`: the parameter that has its value from the answer from now on.
    """

    body: dict[str, Any] | None = None
    query: str = ""
    values: dict[str, str] = field(default_factory=dict)
    status: int = 204
    phase: Phase | None = None
    keeps: str = ""
    sealed: bool = False
    login: bool = False
    admin: bool = False


# What changes something, in the order in which it is called: what is needed later is taken away later.
# `{package}` is each of its three paths. Rows of GET are there where the path alone is not enough.
ROWS: dict[str, Row] = {
    "GET /search/repositories": Row(query="q=web"),
    **{
        f"GET {base}/packages": Row(query="package_type=container")
        for base in ("/orgs/{org}", "/users/{username}", "/user")
    },
    "GET {package}/access": Row(query="user=ada"),
    "GET /repos/{owner}/{repo}/codespaces/permissions_check": Row(
        query="ref=main&devcontainer_path=.devcontainer/devcontainer.json"
    ),
    "POST /graphql": Row(body={"query": "{ viewer { login } }"}, status=200),
    "POST /user/tokens": Row(body={"scopes": ["repo"]}, status=201),
    "DELETE /user/tokens/{id}": Row(),
    "PUT /users/{username}/suspended": Row(body={"reason": "left"}, values={"username": "eve"}, admin=True),
    "DELETE /users/{username}/suspended": Row(body={"reason": "is back"}, values={"username": "eve"}, admin=True),
    "POST /admin/users": Row(body={"login": "bob", "email": "b@example.com"}, status=201, admin=True),
    "POST /admin/users/{login}/authorizations": Row(body={"scopes": ["repo"]}, status=201, admin=True),
    "POST /admin/users/{login}/invitation": Row(status=201, admin=True),
    "POST /admin/organizations": Row(body={"login": "second", "admin": "octo"}, status=201, admin=True),
    "PUT /orgs/{org}/memberships/{username}": Row(body={"role": "member"}, status=200),
    "POST /orgs/{org}/teams": Row(body={"name": "more"}, status=201),
    "PATCH /orgs/{org}/teams/{team_slug}": Row(body={"description": "d"}, status=200),
    "PUT /orgs/{org}/teams/{team_slug}/memberships/{username}": Row(body={"role": "maintainer"}, status=200),
    "PUT /orgs/{org}/teams/{team_slug}/repos/{owner}/{repo}": Row(body={"permission": "push"}),
    "POST /user/repos": Row(body={"name": "own"}, status=201),
    "POST /orgs/{org}/repos": Row(body={"name": "second"}, status=201),
    "PATCH /repos/{owner}/{repo}": Row(body={"description": "d"}, status=200),
    "PUT /repos/{owner}/{repo}/collaborators/{username}": Row(body={"permission": "pull"}),
    "POST /repos/{owner}/{repo}/workflow-tokens": Row(body={"permissions": {"contents": "read"}}, status=201),
    "PUT /repos/{owner}/{repo}/contents/{path:path}": Row(body=_PUBLIC, values={"path": "d/b"}, status=201),
    "PUT /user/codespaces/secrets/{secret_name}": Row(values={"secret_name": "TWO"}, status=201, sealed=True),
    "PUT /repos/{owner}/{repo}/codespaces/secrets/{secret_name}": Row(
        values={"secret_name": "TWO"}, status=201, sealed=True
    ),
    "PUT /orgs/{org}/codespaces/secrets/{secret_name}": Row(
        body={"visibility": "all"}, values={"secret_name": "TWO"}, status=201, sealed=True
    ),
    **{
        key: row
        for base in ("/user", "/orgs/{org}")
        for key, row in {
            f"PUT {base}/codespaces/secrets/{{secret_name}}/repositories": Row(body={"selected_repository_ids": []}),
            f"PUT {base}/codespaces/secrets/{{secret_name}}/repositories/{{repository_id}}": Row(),
            f"DELETE {base}/codespaces/secrets/{{secret_name}}/repositories/{{repository_id}}": Row(),
            f"DELETE {base}/codespaces/secrets/{{secret_name}}": Row(),
        }.items()
    },
    **{
        f"POST {base}/codespaces/registries/check": Row(body={"server": "r.example.com"}, status=200, login=True)
        for base in ("/user", "/repos/{owner}/{repo}", "/orgs/{org}")
    },
    "POST /repos/{owner}/{repo}/codespaces/doctor": Row(body={"image": "ghcr.io/acme/app"}, status=200),
    "DELETE /repos/{owner}/{repo}/codespaces/secrets/{secret_name}": Row(),
    "POST /user/codespaces/{name}/rebuild": Row(body={"full": True}, status=202, phase=Phase.AVAILABLE),
    "POST /user/codespaces/{name}/exec": Row(body={"command": ["true"]}, status=200, phase=Phase.AVAILABLE),
    "POST /user/codespaces/{name}/exports": Row(body={"branch": "saved"}, status=202, phase=Phase.AVAILABLE),
    "POST /user/codespaces/{name}/stop": Row(status=200, phase=Phase.AVAILABLE),
    "POST /user/codespaces/{name}/start": Row(status=200, phase=Phase.SHUTDOWN),
    "PUT /orgs/{org}/codespaces/policies/{policy_name}": Row(
        body={"allowed_images": ["ghcr.io/**"], "allowed_options": ["capability:SYS_PTRACE"]}, status=200
    ),
    "DELETE /orgs/{org}/codespaces/policies/{policy_name}": Row(),
    "POST /user/codespaces/{name}/heartbeat": Row(phase=Phase.AVAILABLE),
    "PATCH /user/codespaces/{name}": Row(body={"display_name": "mine"}, status=200),
    "PUT /orgs/{org}/codespaces/access": Row(body={"visibility": "selected_members", "selected_usernames": ["octo"]}),
    "POST /orgs/{org}/codespaces/access/selected_users": Row(body={"selected_usernames": ["ada"]}),
    "DELETE /orgs/{org}/codespaces/access/selected_users": Row(body={"selected_usernames": ["ada"]}),
    "POST /orgs/{org}/members/{username}/codespaces/{name}/stop": Row(
        values={"username": "octo"}, status=200, phase=Phase.AVAILABLE
    ),
    "DELETE /orgs/{org}/members/{username}/codespaces/{name}": Row(values={"username": "octo"}, status=202),
    "POST /repos/{owner}/{repo}/codespaces/prebuilds": Row(body={"branch": "main"}, status=201),
    "POST /repos/{owner}/{repo}/codespaces/prebuilds/{prebuild_id}/runs": Row(status=202),
    "DELETE /repos/{owner}/{repo}/codespaces/prebuilds/{prebuild_id}": Row(),
    "POST /repos/{owner}/{repo}/codespaces": Row(body={}, status=201, keeps="name"),
    "DELETE /user/codespaces/{name}": Row(status=202),
    "POST /repos/{owner}/{repo}/pulls/{pull_number}/codespaces": Row(body={}, status=201),
    "PATCH /repos/{owner}/{repo}/pulls/{pull_number}": Row(body={"state": "closed"}, status=200),
    "POST /repos/{owner}/{repo}/pulls": Row(body={"title": "t", "head": "topic", "base": "main"}, status=201),
    "POST /repos/{owner}/{repo}/forks": Row(body={}, values={"owner": "ada", "repo": "open"}, status=202),
    "POST /user/codespaces": Row(body={"repository_id": "{repository_id}"}, status=201),
    "PUT /orgs/{org}/packages/policy": Row(body={"inherit_access_default": False}, status=200),
    "PATCH {package}": Row(body={"untagged_retention_days": 30}, status=200),
    "PUT {package}/collaborators/{collaborator}": Row(body={"role": "read"}),
    "PUT {package}/teams/{team_slug}": Row(body={"role": "read"}),
    "PUT {package}/codespaces/repositories/{repository_id}": Row(),
    "PUT {package}/actions/repositories/{repository_id}": Row(body={"role": "read"}),
    "DELETE {package}/collaborators/{collaborator}": Row(),
    "DELETE {package}/teams/{team_slug}": Row(),
    "DELETE {package}/codespaces/repositories/{repository_id}": Row(),
    "DELETE {package}/actions/repositories/{repository_id}": Row(),
    "DELETE {package}/versions/{package_version_id}": Row(),
    "POST {package}/versions/{package_version_id}/restore": Row(),
    "DELETE {package}": Row(),
    "POST {package}/restore": Row(),
    "DELETE /orgs/{org}/teams/{team_slug}/repos/{owner}/{repo}": Row(),
    "DELETE /orgs/{org}/teams/{team_slug}/memberships/{username}": Row(),
    "DELETE /orgs/{org}/teams/{team_slug}": Row(),
    "DELETE /repos/{owner}/{repo}/collaborators/{username}": Row(),
    "DELETE /orgs/{org}/memberships/{username}": Row(),
    "DELETE /orgs/{org}/members/{username}": Row(values={"username": "eve"}),
    "POST /repos/{owner}/{repo}/transfer": Row(body={"new_owner": "octo"}, status=202),
    "DELETE /repos/{owner}/{repo}": Row(values={"owner": "octo"}),
}
# A team is an organization's, so a user's package has none to give a role to.
NEVER = {
    (method, f"/{base}/packages/container/{{package_name}}/teams/{{team_slug}}")
    for method in ("PUT", "DELETE")
    for base in ("users/{username}", "user")
}


def row_key(route: Route) -> str:
    """An alias by id has the row of its name."""
    path = route.path.replace("/repositories/{repository_number}", "/repos/{owner}/{repo}", 1)
    return _PACKAGE.sub("{package}", f"{route.method} {path}")


def own_routes() -> Iterator[Route]:
    """Without the aliases, whose handlers are the same."""
    yield from (route for route in ROUTES if not route.path.startswith("/repositories/"))


def in_order() -> list[Route]:
    """What reads comes first."""
    order = {key: number for number, key in enumerate(ROWS)}
    reads = [route for route in ROUTES if route.method == "GET"]
    changes = [route for route in own_routes() if route.method != "GET"]
    missing = [row_key(route) for route in changes if row_key(route) not in order]
    assert not missing, f"add a row: {missing}"
    return [*reads, *sorted(changes, key=lambda route: order[row_key(route)])]


def secrets_of(path: str) -> str:
    """Where the secrets are of the level whose login is tried there."""
    return path.replace("/registries/check", "/secrets")


def as_login(sealed: dict[str, str]) -> dict[str, str]:
    """A sealed value as the user and the password of a login."""
    value = sealed["encrypted_value"]
    return {"key_id": sealed["key_id"], "encrypted_username": value, "encrypted_password": value}


async def succeed(seeded: Seeded, route: Route) -> httpx.Response:
    row = ROWS.get(row_key(route), Row(status=200))
    if row.phase is not None:
        await seeded.set_phase(row.phase)
    path = seeded.fill(route.path, **row.values)
    body = row.body
    if row.sealed:
        body = {**(body or {}), **seeded.sealed[path.rpartition("/")[0]]}
    if row.login:
        body = {**(body or {}), **as_login(seeded.sealed[secrets_of(path)])}
    if body == {"repository_id": "{repository_id}"}:
        body = {"repository_id": int(seeded.values["repository_id"])}
    client = seeded.berth.admin if row.admin else seeded.octo
    answer = await client.request(route.method, f"{path}?{row.query}" if row.query else path, json=body)
    if row.keeps:
        seeded.values[row.keeps] = str(answer.json()[row.keeps])
    return answer


async def test_every_operation_succeeds_as_described(berth: Berth) -> None:
    seeded = await make_seeded(berth)
    await berth.user("eve")
    assert (await seeded.octo.put("/orgs/acme/memberships/eve", json={})).status_code == 200
    berth.seen.clear()
    for route in in_order():
        answer = await succeed(seeded, route)
        wanted = {ROWS[row_key(route)].status} if route.method != "GET" and row_key(route) in ROWS else {200, 204}
        if (route.method, route.path) in NEVER:
            wanted = {404}
        assert answer.status_code in wanted, f"{route.method} {answer.request.url}: {answer.text[:300]}"
    succeeded = {operation for operation, status in berth.seen if status < 300}
    reached = {(route.method, path_of(route)) for route in in_order()} - NEVER
    assert not reached - succeeded
    assert not {key for key in ROWS if key not in {row_key(route) for route in ROUTES}}, "rows without a route"


def required_keys(operation: dict[str, Any]) -> list[str]:
    content = operation.get("requestBody", {}).get("content", {})
    return list(content.get("application/json", {}).get("schema", {}).get("required", []))


async def test_every_operation_fails_as_described(berth: Berth) -> None:
    """401 without a credential or with a bad one, 403 without a scope, 404 for what is not there, 400 and 422 for a bad body."""
    seeded = await make_seeded(berth)
    bare, bad = berth.client(await berth.token("octo")), berth.client("ghp_bad")
    for route in ROUTES:
        where = f"{route.method} {route.path}"
        path, reader = seeded.fill(route.path), berth.admin if route.path.startswith("/admin") else seeded.octo
        assert (await bad.request(route.method, path)).status_code == 401, where
        if not route.anonymous:
            assert (await berth.anonymous.request(route.method, path)).status_code == 401, where
        if route.scopes:
            assert (await bare.request(route.method, path)).status_code == 403, where
        operation = description()["paths"][path_of(route)][route.method.lower()]
        if operation.get("requestBody", {}).get("required"):
            assert (await reader.request(route.method, path, content=b"{")).status_code == 400, where
            assert (await reader.request(route.method, path, content=b"[]")).status_code == 400, where
        wrong = dict.fromkeys(required_keys(operation), 3.5)  # which no key is
        if wrong:
            assert (await reader.request(route.method, path, json=wrong)).status_code == 422, where


async def test_what_is_not_there_fails_as_described(berth: Berth) -> None:
    seeded = await make_seeded(berth)
    for route in ROUTES:
        parameters = re.findall(r"\{(\w+)(?::\w+)?\}", route.path)
        row = ROWS.get(row_key(route), Row())
        if not parameters or (row.sealed and parameters == ["secret_name"]):
            continue  # that one would be made
        absent = {name: "999999" if name.endswith(("id", "number")) else "absent" for name in parameters}
        path = seeded.fill(route.path, **absent)
        mine = seeded.sealed["/user/codespaces/secrets"]
        body = {**(row.body or {}), **(mine if row.sealed else as_login(mine) if row.login else {})}
        client = berth.admin if row.admin else seeded.octo
        url = f"{path}?{row.query}" if row.query else path
        answer = await client.request(route.method, url, json=body or None)
        assert answer.status_code == 404, f"{route.method} {url}: {answer.text}"
