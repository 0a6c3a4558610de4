"""Secrets through the API: every operation, the failures, and what clients trip over (GITHUB_API sections 3 and 9)."""

import base64
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from nacl.public import PublicKey, SealedBox
from tests.fakes.ecr_memory import FakeEcrAPI, make_swaps
from tests.rest.schema import check
from tests.secret_world import MINE, SecretWorld, make_secret_world

from berth.adapters.store import account as account_rows
from berth.adapters.store.database import Store
from berth.domain.access import Subject
from berth.domain.account import AccountType, OrganizationRole
from berth.domain.scope import Scope
from berth.domain.secret import SecretLevel
from berth.domain.secret_text import SecretText
from berth.rest import registry_credential, secret
from berth.rest.app import make_rest_app
from berth.services.registry_credential import RegistryCredentialService
from berth.services.secret_access import SecretPlace
from berth.services.services import Services

CANARY = "canary-3f9a77-value"
BASES = ("/user/codespaces/secrets", "/orgs/acme/codespaces/secrets", "/repos/acme/web/codespaces/secrets")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@dataclass
class API:
    """Requests as one of the world's people: his login is his token. Everything that came back is kept."""

    world: SecretWorld
    client: httpx.AsyncClient
    seen: list[bytes]

    async def __call__(self, method: str, path: str, login: str | None = "olga", **options: Any) -> httpx.Response:
        headers = {"Authorization": f"token {login}"} if login else {}
        answer = await self.client.request(method, path, headers=headers, **options)
        self.seen.append(str(answer.headers).encode() + answer.content)
        return answer

    async def put(self, path: str, value: str = CANARY, login: str = "olga", **body: Any) -> httpx.Response:
        key = (await self("GET", f"{path.rpartition('/')[0]}/public-key", login)).json()
        assert isinstance(key["key_id"], str)
        place = place_of(path)
        key_id, box = self.world.seal(login, place, value)
        assert key == {"key_id": key_id, "key": self.world.sealer.public_key(owner=self.world.owner(login, place))[1]}
        return await self("PUT", path, login, json={"encrypted_value": box, "key_id": key_id, **body})


@dataclass
class Tokens:
    """A login is a token; with `:scope` behind it, a token of that scope only."""

    world: SecretWorld

    async def find_subject(self, token: SecretText) -> Subject | None:
        login, _, scope = token.reveal().partition(":")
        if login not in self.world.accounts:
            return None
        return self.world.subject(login, scopes=frozenset({Scope(scope)})) if scope else self.world.subject(login)


@pytest.fixture
async def api(store: Store, tmp_path: Path) -> AsyncIterator[API]:
    world = await make_secret_world(store, tmp_path)
    registries = RegistryCredentialService(
        store=store, secrets=world.service, swaps=make_swaps(FakeEcrAPI(), world.clock), own_host="berth.test:8080"
    )
    services = cast(
        "Services", SimpleNamespace(secrets=world.service, registry_credentials=registries, access_tokens=Tokens(world))
    )
    app = make_rest_app(services, secret.ROUTES + registry_credential.ROUTES, None)
    transport = httpx.ASGITransport(app)
    hooks = {"response": [check]}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://api.berth.test:8080", event_hooks=hooks
    ) as client:
        yield API(world, client, [])


def place_of(path: str) -> SecretPlace:
    match path.split("/")[1:]:
        case ["orgs", login, *_]:
            return SecretPlace(level=SecretLevel.ORGANIZATION, owner=login)
        case ["repos", owner, repository, *_]:
            return SecretPlace(level=SecretLevel.REPOSITORY, owner=owner, repository=repository)
        case _:
            return MINE


def body_for(base: str, **more: Any) -> dict[str, Any]:
    return {"visibility": "selected", **more} if base.startswith("/orgs") else more


@pytest.mark.parametrize("base", BASES)
async def test_a_secrets_life(api: API, base: str) -> None:
    created = await api.put(f"{base}/npm_Token", **body_for(base))
    assert (created.status_code, created.content) == (201, b"{}")
    assert created.headers["content-type"] == "application/json; charset=utf-8"
    updated = await api.put(f"{base}/NPM_TOKEN", **body_for(base))
    assert (updated.status_code, updated.content) == (204, b"")
    one = (await api("GET", f"{base}/npm_token")).json()
    listed = (await api("GET", base)).json()
    assert listed == {"total_count": 1, "secrets": [one]}
    assert one["name"] == "NPM_TOKEN"
    assert _TIME.fullmatch(one["created_at"])
    assert _TIME.fullmatch(one["updated_at"])
    common = {"name", "created_at", "updated_at"}
    assert set(one) == (common if base.startswith("/repos") else common | {"visibility", "selected_repositories_url"})
    deleted = await api("DELETE", f"{base}/NPM_TOKEN")
    assert (deleted.status_code, deleted.content) == (204, b"")
    for method in ("GET", "DELETE"):
        assert (await api(method, f"{base}/NPM_TOKEN")).status_code == 404


@pytest.mark.parametrize("base", BASES[:2])
async def test_selected_repositories(api: API, base: str) -> None:
    ids = api.world.repositories
    await api.put(f"{base}/A", **body_for(base, selected_repository_ids=[ids["acme/web"]]))
    before = (await api("GET", f"{base}/A")).json()
    url = before["selected_repositories_url"]
    assert url == f"http://api.berth.test:8080{base}/A/repositories"
    listed = (await api("GET", url)).json()
    assert set(listed) == {"total_count", "repositories"}
    assert [repository["full_name"] for repository in listed["repositories"]] == ["acme/web"]
    assert (await api("PUT", f"{url}/{ids['acme/site']}", content=b"")).status_code == 204
    page = await api("GET", url, params={"per_page": 1, "page": 2})
    assert page.json()["total_count"] == 2
    assert f'<{url}?per_page=1&page=1>; rel="first"' in page.headers["link"]
    assert (await api("DELETE", f"{url}/{ids['acme/site']}")).status_code == 204
    assert (await api("PUT", url, json={"selected_repository_ids": [ids["acme/docs"]]})).status_code == 204
    assert [one["id"] for one in (await api("GET", url)).json()["repositories"]] == [ids["acme/docs"]]
    assert (await api("GET", f"{base}/A")).json() == before
    await api.put(f"{base}/A", **body_for(base))  # gh leaves the selection out of an update
    assert (await api("GET", url)).json()["total_count"] == 1
    await api.put(f"{base}/A", **body_for(base, selected_repository_ids=[]))
    assert (await api("GET", url)).json() == {"total_count": 0, "repositories": []}


async def test_user_ids_may_be_strings(api: API) -> None:
    ids = [str(api.world.repositories["acme/web"]), api.world.repositories["acme/site"]]
    await api.put(f"{BASES[0]}/A", selected_repository_ids=ids)
    assert (await api("GET", f"{BASES[0]}/A/repositories")).json()["total_count"] == 2


@pytest.mark.parametrize("visibility", ["all", "private"])
async def test_other_visibilities_have_no_selection(api: API, visibility: str) -> None:
    path = f"{BASES[1]}/A"
    await api.put(path, visibility=visibility)
    assert "selected_repositories_url" not in (await api("GET", path)).json()
    assert (await api("GET", f"{path}/repositories")).json() == {"total_count": 0, "repositories": []}
    web = api.world.repositories["acme/web"]
    assert (await api("PUT", f"{path}/repositories", json={"selected_repository_ids": [web]})).status_code == 409
    assert (await api("PUT", f"{path}/repositories/{web}")).status_code == 409
    assert (await api("DELETE", f"{path}/repositories/{web}")).status_code == 409
    assert (await api.put(path, visibility=visibility, selected_repository_ids=[web])).status_code == 422


@pytest.mark.parametrize(
    "base, body",
    [
        (BASES[0], {}),
        (BASES[0], {"key_id": "1"}),
        (BASES[0], {"key_id": 1, "encrypted_value": "AAAA"}),
        (BASES[0], {"key_id": "1", "encrypted_value": "AAAA"}),
        (BASES[0], {"key_id": "1", "selected_repository_ids": ["x"]}),
        (BASES[0], {"key_id": "1", "selected_repository_ids": [-1]}),
        (BASES[0], {"key_id": "1", "selected_repository_ids": [10**30]}),
        (BASES[0], {"key_id": "1", "selected_repository_ids": [True]}),
        (BASES[1], {}),
        (BASES[1], {"visibility": "public"}),
        (BASES[1], {"visibility": "all"}),
        (BASES[2], {}),
        (BASES[2], {"encrypted_value": "AAAA"}),
        (BASES[2], {"encrypted_value": "AAAA", "key_id": "1"}),
    ],
    ids=range(14),
)
async def test_bad_bodies_are_422_in_json(api: API, base: str, body: dict[str, Any]) -> None:
    answer = await api("PUT", f"{base}/A", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.json()["message"]
    assert (await api("GET", base)).json()["total_count"] == 0


OTTOS_BASES = (BASES[0], "/repos/otto/own/codespaces/secrets", "/orgs/ottos/codespaces/secrets")


async def give_otto_an_organization(world: SecretWorld) -> None:
    async with world.store.begin() as connection:
        made = await account_rows.insert_account(
            connection, login="ottos", kind=AccountType.ORGANIZATION, now=world.clock.now()
        )
        world.accounts["ottos"] = made.id
        await account_rows.set_membership(connection, made.id, world.accounts["otto"], OrganizationRole.ADMIN)


async def sealed_for(api: API, base: str, login: str) -> dict[str, Any]:
    """The body that a client sends, and that a Terraform state keeps. Sealed to what the API says is the key."""
    key = (await api("GET", f"{base}/public-key", login)).json()
    box = SealedBox(PublicKey(base64.b64decode(key["key"]))).encrypt(CANARY.encode())
    return {"encrypted_value": base64.b64encode(box).decode(), "key_id": key["key_id"]}


@pytest.mark.parametrize("victims", BASES)
@pytest.mark.parametrize("attackers", OTTOS_BASES, ids=["his own", "his repository", "his organization"])
async def test_a_sealed_value_that_another_got_hold_of_is_worthless(api: API, victims: str, attackers: str) -> None:
    """Attack on S5: otto has what olga's client sent, stores it as his secret and would read it in his codespace."""
    await give_otto_an_organization(api.world)
    stolen = await sealed_for(api, victims, "olga")
    his = await sealed_for(api, attackers, "otto")
    for _ in ("create", "update"):
        refused = await api("PUT", f"{attackers}/A", "otto", json=body_for(attackers, **stolen))
        assert (refused.status_code, refused.json()["code"]) == (422, "secret.seal_broken")
        assert CANARY not in refused.text
        stored = await api("PUT", f"{attackers}/A", "otto", json=body_for(attackers, **his))  # what he sealed himself
        assert stored.status_code in {201, 204}
    assert his["key_id"] == stolen["key_id"]  # refused for the owner, not for an unknown key
    rightful = await api("PUT", f"{victims}/A", "olga", json=body_for(victims, **stolen))
    assert rightful.status_code == 201


async def test_a_sealed_value_does_not_move_between_the_levels_of_one_person(api: API) -> None:
    for source in BASES:
        sealed = await sealed_for(api, source, "olga")
        answers = [(await api("PUT", f"{one}/A", json=body_for(one, **sealed))).status_code for one in BASES]
        assert answers == [201 if one == source else 422 for one in BASES]


async def test_other_failures_have_githubs_statuses(api: API) -> None:
    assert (await api("PUT", f"{BASES[2]}/A", content=b"{")).status_code == 400
    assert (await api("PUT", f"{BASES[2]}/A", content=b"[]")).status_code == 400
    assert (await api.put(f"{BASES[2]}/1A")).json()["message"].startswith("Secret names can only contain alphanumeric")
    assert (await api.put(f"{BASES[2]}/GITHUB_A")).json()["message"] == "Secret names must not start with GITHUB_."
    assert (await api.put(f"{BASES[2]}/A", "x" * 49_153)).status_code == 422
    assert (await api("PUT", f"{BASES[0]}/public-key", json={"key_id": "1"})).status_code in {404, 422}
    assert (await api("PUT", f"{BASES[0]}/A/repositories", json={})).status_code == 422
    await api.put(f"{BASES[0]}/A")
    hidden = await api("PUT", f"{BASES[0]}/A/repositories/{api.world.repositories['otto/own']}")
    missing = await api("PUT", f"{BASES[0]}/A/repositories/999999")
    wrong = await api("PUT", f"{BASES[0]}/A/repositories/x")
    assert hidden.status_code == missing.status_code == wrong.status_code == 422
    assert hidden.json() == missing.json() == wrong.json()


@pytest.mark.parametrize(
    "login, path, status",
    [
        (None, BASES[0], 401),
        ("nobody", BASES[0], 401),
        ("olga:repo", BASES[0], 403),
        ("olga:codespace:secrets", BASES[0], 200),
        ("olga:codespace", BASES[0], 200),
        ("olga:repo", BASES[1], 403),
        ("olga:admin:org", BASES[1], 200),
        ("mia", BASES[1], 403),
        ("otto", BASES[1], 404),
        ("olga:codespace", BASES[2], 403),
        ("olga:repo", BASES[2], 200),
        ("wim", BASES[2], 200),
        ("mia", BASES[2], 403),
        ("otto", BASES[2], 404),
    ],
)
async def test_who_sees_what(api: API, login: str | None, path: str, status: int) -> None:
    answer = await api("GET", path, login)
    assert answer.status_code == status
    if status == 401:
        assert answer.json()["message"] == ("Bad credentials" if login else "Requires authentication")
    if status == 404:
        missing = await api("GET", path.replace("acme", "missing"), login)
        assert (missing.status_code, missing.json()) == (404, answer.json())


async def test_lists_are_paged(api: API) -> None:
    for name in ("C", "A", "B"):
        await api.put(f"{BASES[2]}/{name}")
    page = await api("GET", BASES[2], params={"per_page": 2})
    assert ([one["name"] for one in page.json()["secrets"]], page.json()["total_count"]) == (["A", "B"], 3)
    assert 'rel="next"' in page.headers["link"]


async def test_registries(api: API) -> None:
    for part, value in (("SERVER", "reg.example.com"), ("USER", CANARY), ("PASSWORD", CANARY)):
        await api.put(f"{BASES[2]}/X_CONTAINER_REGISTRY_{part}", value)
    await api.put(f"{BASES[1]}/Y_CONTAINER_REGISTRY_USER", visibility="all")
    answer = (await api("GET", "/repos/acme/web/codespaces/registries", "wim")).json()
    assert list(answer)[:2] == ["total_count", "registries"]
    first, second, built_in = answer["registries"]
    assert first == {
        "server": "reg.example.com", "level": "repository", "prefix": "X", "kind": "basic",
        "expires_at": None, "shadowed": False, "incomplete": False, "warnings": [],
        "reason": "reg.example.com is served by X_CONTAINER_REGISTRY_… (repository).",
        "last_check": {"outcome": "untried", "code": None, "checked_at": None},
    }  # fmt: skip
    assert (second["server"], second["level"], second["kind"], second["incomplete"]) == (
        None, "organization", None, True,
    )  # fmt: skip
    assert built_in == {
        "server": "berth.test:8080", "level": None, "prefix": None, "kind": "codespace",
        "expires_at": None, "shadowed": False, "incomplete": False, "warnings": [],
        "reason": "berth.test:8080 is this server's own registry; it is opened by the codespace's own token.",
        "last_check": None,
    }  # fmt: skip
    assert second["reason"].startswith("Y_CONTAINER_REGISTRY_SERVER")
    assert (answer["unshared"], answer["withheld_reason"]) == ([], None)
    withheld = (await api("GET", "/repos/acme/web/codespaces/registries", "rita")).json()
    assert (withheld["registries"], bool(withheld["withheld_reason"])) == ([built_in], True)
    assert (await api("GET", "/repos/acme/web/codespaces/registries", "otto")).status_code == 404
    assert CANARY.encode() not in b"".join(api.seen)


def files_with(folder: Path, text: bytes) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file() and text in path.read_bytes()]


async def test_a_value_is_nowhere(api: API, tmp_path: Path) -> None:
    """In no answer, failing ones too, and in no file of the database or beside it."""
    for base in BASES:
        await api.put(f"{base}/A", **body_for(base))
        await api.put(f"{base}/A", f"{CANARY}\0", **body_for(base))
        await api.put(f"{base}/1A", **body_for(base))
        await api("GET", base)
        await api("GET", f"{base}/A")
        await api("DELETE", f"{base}/A")
        await api.put(f"{base}/B", **body_for(base))
    assert CANARY.encode() not in b"".join(api.seen)
    assert files_with(tmp_path, b"berth-keyring") == ["master-key"]  # the search finds what is there
    assert files_with(tmp_path, CANARY.encode()) == []
    values = await api.world.opened("olga", "acme/web")
    assert values == {("repository", "B"): CANARY}  # it was there to be found
