"""The GraphQL that gh needs. Source: GITHUB_API section 6 of the references."""

import json
from typing import Any

import pytest
from tests.rest.berth_api import Berth

MAP = 'query MapRepositoryNames {\nrepo_000: repository(owner: "octo", name: "app") { databaseId }\n'


async def ask(client: Any, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
    answer = await client.post("/graphql", json={"query": query, "variables": variables})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_the_three_queries_of_gh(berth: Berth) -> None:
    octo = await berth.user("octo")
    number = (await octo.post("/user/repos", json={"name": "app", "private": True})).json()["id"]
    assert await ask(octo, "query UserCurrent{viewer{login}}") == {"data": {"viewer": {"login": "octo"}}}
    assert await ask(octo, MAP + "}") == {"data": {"repo_000": {"databaseId": number}}}
    view = "query R($owner: String!, $name: String!) {repository(owner: $owner, name: $name) {name,owner{login},parent{id}}}"
    assert await ask(octo, view, {"owner": "OCTO", "name": "App"}) == {
        "data": {"repository": {"name": "app", "owner": {"login": "octo"}, "parent": None}}
    }


@pytest.mark.parametrize("name", ["secret", "missing", "\0", "x" * 300])
async def test_a13_hidden_and_missing_are_one_answer_beside_what_is_found(berth: Berth, name: str) -> None:
    """Null and an error: gh 2.23 crashes on a null alone."""
    octo, eve = await berth.user("octo"), await berth.user("eve")
    await octo.post("/user/repos", json={"name": "app"})
    await octo.post("/user/repos", json={"name": "secret", "private": True})
    query = f"""{{b: repository(owner: "octo", name: {json.dumps(name)}) {{id}}
        a: repository(owner: "octo", name: "app") {{name}}}}"""
    found = await ask(eve, query)
    assert found["data"] == {"a": {"name": "app"}, "b": None}
    (error,) = found["errors"]
    assert (error["type"], error["path"], error["code"]) == ("NOT_FOUND", ["b"], "repository.not_found")
    assert error["message"] == f"Could not resolve to a Repository with the name 'octo/{name[:100]}'."


@pytest.mark.parametrize(
    "query, path, text",
    [
        ("{viewer{nothing}}", ["viewer"], "Field 'nothing' doesn't exist on type 'User'"),
        ("{viewer}", ["viewer"], "Which fields of 'viewer'?"),
        ("{viewer{login{id}}}", ["viewer"], "'login' has no fields."),
        ("{repository(owner: 1, name: 2) {id}}", ["repository"], "owner and name, both texts"),
        ("{search{id}}", ["search"], "Field 'search' doesn't exist on type 'Query'"),
        ("mutation {a}", [], "There are queries here, but no 'mutation'."),
    ],
)
async def test_what_is_not_understood_says_so(berth: Berth, query: str, path: list[str], text: str) -> None:
    found = await ask(berth.admin, query)
    (error,) = found["errors"]
    assert (error["type"], error["path"], error["code"]) == ("UNSUPPORTED", path, "graphql.unsupported")
    assert text in error["message"]


async def test_a8_a_workflows_token_finds_its_repository_and_nothing_of_the_person(berth: Berth) -> None:
    octo = await berth.user("octo")
    for name in ("app", "other"):
        await octo.post("/user/repos", json={"name": name, "private": True})
    made = await octo.post("/repos/octo/app/workflow-tokens", json={"permissions": {"contents": "read"}})
    inside = berth.client(made.raise_for_status().json()["token"])
    query = """{viewer{login} own: repository(owner: "octo", name: "app") {name,viewerPermission}
        other: repository(owner: "octo", name: "other") {name}}"""
    found = await ask(inside, query)
    assert found["data"] == {"viewer": None, "own": {"name": "app", "viewerPermission": "READ"}, "other": None}
    assert [(error["type"], error["path"], error["code"]) for error in found["errors"]] == [
        ("FORBIDDEN", ["viewer"], "token.workflow"),
        ("NOT_FOUND", ["other"], "repository.not_found"),
    ]


async def test_what_gh_repo_clone_asks_for(berth: Berth) -> None:
    """By a fragment; what is asked for twice is one object. Source: gh, api/queries_repo.go, GitHubRepo."""
    octo, eve = await berth.user("octo"), await berth.user("eve")
    await octo.post("/user/repos", json={"name": "app"})
    await eve.post("/repos/octo/app/forks")
    query = """fragment repo on Repository {
            id name owner { login } hasIssuesEnabled description hasWikiEnabled viewerPermission defaultBranchRef { name } }
        query RepositoryInfo($owner: String!, $name: String!) { repository(owner: $owner, name: $name) {
            owner { __typename } ...repo parent { ...repo } isFork mergeCommitAllowed rebaseMergeAllowed squashMergeAllowed } }"""
    found = (await ask(eve, query, {"owner": "eve", "name": "app"}))["data"]["repository"]
    assert found["owner"] == {"__typename": "User", "login": "eve"}
    assert (found["name"], found["viewerPermission"], found["defaultBranchRef"]) == ("app", "ADMIN", {"name": "main"})
    assert (found["isFork"], found["parent"], found["mergeCommitAllowed"]) == (True, None, True)


async def test_nobody_and_bad_bodies(berth: Berth) -> None:
    assert (await berth.anonymous.post("/graphql", json={"query": "{viewer{login}}"})).status_code == 401
    assert (await berth.admin.post("/graphql", json={})).status_code == 422
    assert (await berth.admin.post("/graphql", content=b"{")).status_code == 400


async def test_all_that_a_repository_has(berth: Berth) -> None:
    octo = await berth.user("octo")
    await octo.post("/user/repos", json={"name": "app"})
    query = """{repository(owner: "octo", name: "app") {
        __typename nameWithOwner visibility isPrivate viewerPermission defaultBranchRef {name}
        owner {__typename id} hasIssuesEnabled url}}"""
    assert (await ask(octo, query))["data"]["repository"] == {
        "__typename": "Repository",
        "nameWithOwner": "octo/app",
        "visibility": "PUBLIC",
        "isPrivate": False,
        "viewerPermission": "ADMIN",
        "defaultBranchRef": {"name": "main"},
        "owner": {"__typename": "User", "id": (await octo.get("/user")).json()["node_id"]},
        "hasIssuesEnabled": False,
        "url": "http://berth.test/octo/app",
    }
    assert await ask(octo, "{__typename}") == {"data": {"__typename": "Query"}}
