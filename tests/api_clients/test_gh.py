"""gh from Debian, unmodified: secrets, logins, repositories, packages. Source: GITHUB_CLIENTS section 1 of the references."""

import json
import os
import re
from collections.abc import Callable

import pytest
from tests.api_clients.api_world import REPOSITORY, USER, ApiWorld
from tests.api_clients.gh_tool import Gh
from tests.world import ORGANIZATION

pytestmark = [pytest.mark.engine, pytest.mark.registry]

GitHubCLI = Callable[..., Gh]


def new_secret() -> str:
    return f"S{os.urandom(4).hex()}".upper()


async def selected(world: ApiWorld, secrets: str) -> list[int]:
    async with world.api() as api:
        body = (await api.get(f"{secrets}/repositories")).raise_for_status().json()
    return sorted(repository["id"] for repository in body["repositories"])


async def test_a_users_secret(api_world: ApiWorld, gh: Gh) -> None:
    (one, one_id), (two, two_id), name = (
        await api_world.new_repository(),
        await api_world.new_repository(USER),
        new_secret(),
    )
    gh("secret", "set", name.lower(), "--user", "--body", "first", "--repos", f"{one},{two}")
    assert re.search(rf"^{name}\s.*SELECTED$", gh("secret", "list", "--user"), re.MULTILINE)
    assert await selected(api_world, f"/user/codespaces/secrets/{name}") == sorted([one_id, two_id])
    gh("secret", "set", name, "--user", stdin="second")  # says nothing of repositories: they stay
    assert await selected(api_world, f"/user/codespaces/secrets/{name}") == sorted([one_id, two_id])
    number = gh("api", f"repos/{one}", "--jq", ".id").strip()
    gh("api", "-X", "DELETE", f"user/codespaces/secrets/{name}/repositories/{number}")
    assert await selected(api_world, f"/user/codespaces/secrets/{name}") == [two_id]
    gh("secret", "delete", name, "--user")
    assert name not in gh("secret", "list", "--user")
    assert "HTTP 404" in gh.fail("secret", "delete", name, "--user")


@pytest.mark.parametrize(
    "flags, shown",
    [((), "PRIVATE"), (("-v", "all"), "ALL"), (("--repos", "webapp"), "SELECTED")],
    ids=["private", "all", "selected"],
)
async def test_an_organizations_secret(
    api_world: ApiWorld, make_gh: GitHubCLI, flags: tuple[str, ...], shown: str
) -> None:
    gh, name, place = make_gh("TLS"), new_secret(), ("--org", ORGANIZATION, "--app", "codespaces")
    gh("secret", "set", name, *place, "--body", "x", *flags)
    assert re.search(rf"^{name}\s.*{shown}$", gh("secret", "list", *place), re.MULTILINE)
    if shown == "SELECTED":
        number = int(gh("api", f"repos/{REPOSITORY}", "--jq", ".id"))
        assert await selected(api_world, f"/orgs/{ORGANIZATION}/codespaces/secrets/{name}") == [number]
    gh("secret", "delete", name, *place)
    assert name not in gh("secret", "list", *place)


async def test_a_repositorys_secrets_one_and_many(api_world: ApiWorld, gh: Gh) -> None:
    repository, _ = await api_world.new_repository()
    place = ("-R", repository, "--app", "codespaces")
    gh("secret", "set", "one", *place, "--body", "x")
    (gh.folder / ".env").write_text("".join(f"MANY_{number}=value {number}\n" for number in range(12)))
    gh("secret", "set", *place, "-f", ".env")  # in parallel
    names = [line.split()[0] for line in gh("secret", "list", *place).splitlines()]
    assert sorted(names) == sorted(["ONE", *(f"MANY_{number}" for number in range(12))])
    gh("secret", "delete", "one", *place)
    assert "ONE" not in gh("secret", "list", *place)
    text = gh.fail("secret", "set", "GITHUB_X", *place, "--body", "x")
    assert "HTTP 422: Secret names must not start with GITHUB_" in text
    assert "\nCodespaceSecret.secret_name is invalid\n" in text


async def test_a_terminal_shows_how_many_repositories(api_world: ApiWorld, make_gh: GitHubCLI) -> None:
    """gh asks selected_repositories_url, one secret at a time: that address must lead back through the same door."""
    for way in ("TLS", "socket"):
        gh, name, (repository, _) = make_gh(way), new_secret(), await api_world.new_repository()
        gh("secret", "set", name, "--user", "--body", "x", "--repos", f"{repository},{REPOSITORY}")
        assert re.search(rf"{name}.*Visible to 2 selected repositories", gh.on_a_terminal("secret list --user"))


async def test_a_clone(api_world: ApiWorld, make_gh: GitHubCLI) -> None:
    """By GraphQL's fragments, then by git, which has the login from gh and has to know the authority."""
    gh = make_gh("TLS")
    options = (f"http.sslCAInfo={api_world.ca_file}", "credential.helper=!gh auth git-credential")
    gh("repo", "clone", REPOSITORY, "cloned", "--", *(word for option in options for word in ("-c", option)))
    assert (gh.folder / "cloned" / ".devcontainer" / "devcontainer.json").is_file()


async def test_unknown_repositories_are_named(make_gh: GitHubCLI) -> None:
    """By GraphQL; a null alone would crash gh 2.23."""
    text = make_gh("TLS").fail("secret", "set", "X", "--user", "--body", "x", "--repos", f"{REPOSITORY},acme/nothing")
    assert "Could not resolve to a Repository with the name 'acme/nothing'." in text


@pytest.mark.parametrize("way", ["TLS", "proxy"])
def test_login_and_status(api_world: ApiWorld, make_gh: GitHubCLI, way: str) -> None:
    gh = make_gh(way, token=None)
    assert "HTTP 401: Bad credentials" in gh.fail("auth", "login", "--with-token", stdin="ghp_nothing\n")
    gh("auth", "login", "--with-token", stdin=f"{api_world.token}\n")
    said = gh("auth", "status")
    assert f"as {USER}" in said
    assert "Token scopes: admin:org, codespace," in said
    assert api_world.token not in said
    assert gh("api", "user", "--jq", ".login").strip() == USER
    assert gh("repo", "view", REPOSITORY, "--json", "name", "--jq", ".name").strip() == "webapp"


async def test_a_token_that_gh_needs_more_of_is_refused_by_name(api_world: ApiWorld, make_gh: GitHubCLI) -> None:
    async with api_world.world.server.api() as admin:
        made = await admin.post(f"/admin/users/{USER}/authorizations", json={"scopes": ["repo"]})
    token = made.raise_for_status().json()["token"]
    login = make_gh("TLS", token=None).fail("auth", "login", "--with-token", stdin=token)
    assert "missing required scope 'read:org'" in login
    hint = make_gh("TLS", token=token).fail("api", "user/codespaces")
    assert 'This API operation needs the "codespace" scope' in hint


def test_a_repository(gh: Gh) -> None:
    """By GraphQL, and its readme by REST: there is none."""
    assert gh("repo", "view", REPOSITORY).startswith(f"name:\t{REPOSITORY}\n")
    found = json.loads(gh("repo", "view", REPOSITORY, "--json", "name,owner,id,isPrivate,defaultBranchRef"))
    assert (found["name"], found["owner"]["login"], found["isPrivate"]) == ("webapp", ORGANIZATION, True)
    assert "Could not resolve to a Repository" in gh.fail("repo", "view", "acme/nothing")


async def test_pages_are_followed(api_world: ApiWorld, gh: Gh) -> None:
    """Links lead through the same door, and gh sends its token there."""
    made = {(await api_world.new_repository())[0] for _ in range(3)}
    names = gh("api", "--paginate", "user/repos?per_page=1", "--jq", ".[].full_name").split()
    assert made <= set(names)
    assert len(names) == len(set(names))
    secrets = gh("api", "--paginate", f"orgs/{ORGANIZATION}/codespaces/secrets?per_page=2", "--jq", ".secrets[].name")
    assert {"CORP_CONTAINER_REGISTRY_SERVER", "CORP_CONTAINER_REGISTRY_USER"} <= set(secrets.split())


def test_bodies_of_all_kinds(gh: Gh) -> None:
    body = json.dumps({"description": "by gh"})
    assert (
        gh("api", "-X", "PATCH", f"repos/{REPOSITORY}", "-f", "description=typed", "--jq", ".description") == "typed\n"
    )
    chunked = gh("api", "-X", "PATCH", f"repos/{REPOSITORY}", "--input", "-", "--jq", ".description", stdin=body)
    assert chunked == "by gh\n"
    assert "Not Found (HTTP 404)" in gh.fail("api", "repos/acme/nothing")


async def test_a_renamed_repository_is_found_under_its_old_name(api_world: ApiWorld, gh: Gh) -> None:
    """By REST, where Go follows with the body and the token, and by GraphQL."""
    repository, number = await api_world.new_repository()
    gh("repo", "rename", f"{repository[5:]}-2", "-R", repository, "--yes")
    assert gh("api", f"repos/{repository}", "--jq", ".full_name").strip() == f"{repository}-2"
    gh("api", "-X", "PATCH", f"repos/{repository}", "-f", "description=typed")
    assert gh("api", f"repositories/{number}", "--jq", ".description").strip() == "typed"
    gh("secret", "set", "one", "-R", repository, "--app", "codespaces", "--body", "x")
    assert "ONE" in gh("secret", "list", "-R", repository, "--app", "codespaces")
    assert gh("repo", "view", repository, "--json", "name", "--jq", ".name").strip() == f"{repository[5:]}-2"


async def test_packages(api_world: ApiWorld, gh: Gh) -> None:
    name = await api_world.new_package()
    package = f"orgs/{ORGANIZATION}/packages/container/{name.replace('/', '%2F')}"
    listed = gh(
        "api", "--paginate", f"orgs/{ORGANIZATION}/packages?package_type=container&per_page=1", "--jq", ".[].name"
    )
    assert name in listed.split()
    assert gh("api", package, "--jq", ".version_count").strip() == "2"
    listed = gh("api", f"{package}/versions", "--jq", '.[]|"\\(.metadata.container.tags|length) \\(.id)"')
    versions = {tags: f"{package}/versions/{number}" for tags, number in map(str.split, listed.splitlines())}
    assert set(versions) == {"0", "1"}
    gh("api", "-X", "DELETE", versions["0"])
    assert "cannot delete the last tagged version" in gh.fail("api", "-X", "DELETE", versions["1"])
    gh("api", "-X", "POST", f"{versions['0']}/restore")
    gh("api", "-X", "DELETE", package)
    assert "HTTP 404" in gh.fail("api", package)
    gh("api", "-X", "POST", f"{package}/restore")
    assert gh("api", package, "--jq", ".version_count").strip() == "2"
