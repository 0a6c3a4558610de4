"""PyGithub from PyPI, unmodified. Source: GITHUB_CLIENTS section 3 of the references."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from github import Auth, BadCredentialsException, Github, GithubException, UnknownObjectException
from github.PaginatedList import PaginatedList
from github.PublicKey import encrypt
from github.Repository import Repository
from tests.api_clients.api_world import REPOSITORY, USER, ApiWorld
from tests.world import ORGANIZATION

pytestmark = [pytest.mark.engine, pytest.mark.registry]


@pytest.fixture(params=["plain", "TLS"])
def connect(request: pytest.FixtureRequest, api_world: ApiWorld) -> Callable[[str], Github]:
    """Each way: in plain HTTP on loopback, and with a certificate of an authority of its own."""
    plain = request.param == "plain"
    url = api_world.plain_url if plain else f"https://{api_world.tls_host}"
    verify = True if plain else str(api_world.ca_file)

    def connect(token: str) -> Github:
        return Github(
            base_url=f"{url}/api/v3",
            auth=Auth.Token(token),
            verify=verify,
            retry=None,
            per_page=2,
            seconds_between_requests=None,  # it would wait for github.com's sake, a second at each write
            seconds_between_writes=None,
        )

    return connect


def test_what_it_has_classes_for(api_world: ApiWorld, connect: Callable[[str], Github]) -> None:
    with connect(api_world.token) as github:
        assert github.get_user().login == USER
        assert github.get_user(ORGANIZATION).type == "Organization"
        assert github.get_repo(REPOSITORY).full_name == REPOSITORY
        assert github.get_organization(ORGANIZATION).login == ORGANIZATION
        assert {"repo", "codespace"} <= set(github.oauth_scopes or [])
        assert github.get_rate_limit().rate.remaining > 0
        key = github.get_organization(ORGANIZATION).get_public_key(secret_type="codespaces")
        assert len(key.key) == 44


async def test_a_renamed_repository_is_found_under_its_old_name(
    api_world: ApiWorld, connect: Callable[[str], Github]
) -> None:
    """It follows 301, to the same scheme and host, but no 307: what it gets then says where the repository is."""
    repository, number = await api_world.new_repository()
    await asyncio.to_thread(_rename, connect(api_world.token), repository, number)


def _rename(github: Github, repository: str, number: int) -> None:
    found = github.get_repo(repository)
    found.edit(name=f"{found.name}-2")
    again = github.get_repo(repository)
    assert (again.id, again.full_name) == (number, f"{repository}-2")
    assert [team.name for team in again.get_teams()] == []
    _, body = github.requester.requestJsonAndCheck("PATCH", f"/repos/{repository}", input={"description": "d"})
    assert body["url"].endswith(f"/api/v3/repositories/{number}")
    again.edit(description="d")
    assert github.get_repo(number).description == "d"


def test_its_exceptions(api_world: ApiWorld, connect: Callable[[str], Github]) -> None:
    with connect(api_world.token) as github, pytest.raises(UnknownObjectException):
        github.get_repo("acme/nothing")
    with connect("ghp_nothing") as github, pytest.raises(BadCredentialsException):
        github.get_user().login  # noqa: B018  # it asks now
    with connect(api_world.token) as github, pytest.raises(GithubException) as caught:
        github.requester.requestJsonAndCheck("PUT", "/user/codespaces/secrets/GITHUB_X", input={"key_id": "1"})
    assert caught.value.status == 422


async def test_codespaces_and_secrets_by_its_requester(api_world: ApiWorld, connect: Callable[[str], Github]) -> None:
    ids = [number for _, number in [await api_world.new_repository() for _ in range(3)]]
    await asyncio.to_thread(_secrets_and_codespaces, connect(api_world.token), ids)


def _secrets_and_codespaces(github: Github, ids: list[int]) -> None:
    ask = github.requester.requestJsonAndCheck
    secret = f"/user/codespaces/secrets/P{ids[0]}"
    _, key = ask("GET", "/user/codespaces/secrets/public-key")
    sealed = {"key_id": key["key_id"], "encrypted_value": encrypt(key["key"], "value")}
    assert ask("PUT", secret, input={**sealed, "selected_repository_ids": ids})[1] == {}
    chosen: PaginatedList[Any] = PaginatedList(
        Repository, github.requester, f"{secret}/repositories", None, list_item="repositories"
    )
    assert chosen.totalCount == 3
    assert sorted(repository.id for repository in chosen) == sorted(ids)  # pages of two
    headers, made = ask("POST", f"/repos/{REPOSITORY}/codespaces", input={"display_name": "by PyGithub"})
    assert made["display_name"] == "by PyGithub"
    assert headers["x-github-media-type"] == "github.v3; format=json"
    assert ask("DELETE", f"/user/codespaces/{made['name']}")[1] == {}
    headers, _ = ask("GET", "/user")
    status, _, body = github.requester.requestJson("GET", "/user", headers={"If-None-Match": headers["etag"]})
    assert (status, body) == (304, "")
    ask("DELETE", secret)
