"""The token service: what is asked, what is allowed, and what comes of bad credentials.

Source: distribution, "Token Authentication Specification", "OAuth2 Token Authentication", "Token Scope Documentation".
"""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest
from tests.oci.images import image
from tests.oci.registry_api import HOST, LIFETIME_S, OCIClient, Registry, basic, outcome

from berth.domain.repository import Visibility
from berth.domain.resource_scope import MAX_SCOPES

pytestmark = pytest.mark.asyncio(loop_scope="module")
OAUTH = {"client_id": "test", "service": HOST, "access_type": "offline"}


def claims(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


def access(answer: httpx.Response) -> dict[str, set[str]]:
    """What the token lets through: actions by name."""
    assert answer.status_code == 200, answer.text
    return {entry["name"]: set(entry["actions"]) for entry in claims(answer.json()["token"])["access"]}


async def form(client: OCIClient, **fields: str) -> httpx.Response:
    return await client.http.post("/token", data={**OAUTH, **fields})


async def test_an_answer_is_of_the_form_that_clients_read(registry: Registry, octo: OCIClient, name: str) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    answer = await octo.ask_token(f"repository:{name}:pull,push")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    body = answer.json()
    assert set(body) == {"token", "access_token", "expires_in", "issued_at"}
    assert body["token"] == body["access_token"]
    assert body["expires_in"] == LIFETIME_S >= 60
    issued = datetime.strptime(body["issued_at"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert before <= issued <= datetime.now(UTC)
    said = claims(body["token"])
    assert said["sub"] == "octo"
    assert said["exp"] - said["iat"] == LIFETIME_S
    assert len(said["jti"]) == 32
    again = claims((await octo.ask_token(f"repository:{name}:pull,push")).json()["token"])
    assert again["jti"] != said["jti"]
    assert octo.password is not None
    assert octo.password not in answer.text


async def test_the_same_by_get_and_by_post(registry: Registry, octo: OCIClient, name: str) -> None:
    assert octo.password is not None
    await octo.push(name, image())
    scope = f"repository:{name}:pull"
    wanted = {name: {"pull"}}
    assert access(await octo.ask_token(scope)) == wanted
    assert access(await form(octo, grant_type="password", username="x", password=octo.password, scope=scope)) == wanted
    assert access(await form(octo, grant_type="refresh_token", refresh_token=octo.password, scope=scope)) == wanted
    several = f"{scope} repository:{name}/other:push"
    both = {name: {"pull"}, f"{name}/other": {"push"}}
    assert access(await octo.ask_token(several)) == both, "separated by a space"
    assert access(await octo.ask_token(*several.split())) == both, "as several parameters"
    assert access(await form(octo, grant_type="password", password=octo.password, scope=several)) == both


async def test_what_clients_add_is_of_no_consequence(registry: Registry, octo: OCIClient, name: str) -> None:
    """Some name an account, or ask for a token that lasts; the password decides, and there is one kind of token."""
    assert octo.password is not None
    await octo.push(name, image())
    params = {
        "account": "somebody-else", "client_id": "docker", "offline_token": "true", "service": "other.example",
        "scope": f"repository:{name}:pull", "unknown": "x",
    }  # fmt: skip
    answer = await octo.http.get("/token", params=params, headers={"Authorization": basic("nobody", octo.password)})
    assert access(answer) == {name: {"pull"}}
    assert claims(answer.json()["token"])["sub"] == "octo"
    assert "refresh_token" not in answer.json()


SCOPES = {
    "pull": {"pull"},
    "push": {"push"},
    "pull,push": {"pull", "push"},
    "push,pull,pull": {"pull", "push"},
    "delete": {"delete"},
    "*": {"pull", "push", "delete"},
    "pull,*": {"pull", "push", "delete"},
    "": set(),
    "administer": set(),
    "admin,pull": {"pull"},
    "PULL": set(),
    "pull push": {"pull"},
    "pull,unknown,,push": {"pull", "push"},
}


@pytest.mark.parametrize("actions", SCOPES)
async def test_actions(octo: OCIClient, name: str, actions: str) -> None:
    await octo.push(name, image())
    wanted = {name: SCOPES[actions]} if SCOPES[actions] else {}
    assert access(await octo.ask_token(f"repository:{name}:{actions}")) == wanted


@pytest.mark.parametrize(
    "scope",
    [
        "repository", "repository:", "repository::pull", ":::", "", " ", "repository:octo:pull", "repository:OCTO/app:pull",
        "repository:octo/app@sha256:pull", "repository(plugin):octo/app:pull", "image:octo/app:pull", "registry:catalog:pull",
        "registry:other:*", "repository:registry.example:5000/octo/app:pull", "repository:octo/../app:pull", "*:*:*",
        "repository:octo/app\0:pull", "repository:octo/ä:pull", f"repository:octo/{'a' * 300}:pull",
    ],
)  # fmt: skip
async def test_what_is_not_understood_asks_for_nothing(octo: OCIClient, scope: str) -> None:
    """And is no error: token.md wants what is allowed of what was asked."""
    answer = await octo.ask_token(scope)
    if "\0" in scope:
        assert outcome(answer) == (400, "UNSUPPORTED")
    else:
        assert access(answer) == {}


async def test_the_catalog_is_asked_for_by_its_own_scope(octo: OCIClient, name: str) -> None:
    answer = await octo.ask_token("registry:catalog:*", f"repository:{name}:pull")
    entry = claims(answer.json()["token"])["access"][-1]
    assert entry == {"type": "registry", "name": "catalog", "actions": ["*"]}


async def test_a_scope_of_one_package_is_merged(octo: OCIClient, name: str) -> None:
    asked = [
        f"repository:{name}:pull",
        f"repository:{name}/x:pull",
        f"repository:{name}:push",
        f"repository:{name}:pull",
    ]
    answer = await octo.ask_token(*asked)
    assert access(answer) == {name: {"pull", "push"}, f"{name}/x": {"pull"}}


async def test_so_many_scopes_count_and_no_more(octo: OCIClient, name: str) -> None:
    scopes = [f"repository:{name}/{number}:pull" for number in range(MAX_SCOPES + 10)]
    assert len(access(await octo.ask_token(*scopes))) == MAX_SCOPES
    assert octo.password is not None
    answer = await form(octo, grant_type="password", password=octo.password, scope=" ".join(scopes))
    assert len(access(answer)) == MAX_SCOPES
    await octo.log_in(" ".join(scopes))
    answer = await octo.once("POST", f"/v2/{name}/{MAX_SCOPES - 1}/blobs/uploads/")
    assert answer.status_code == 401, "pull only"
    too_many = [f"repository:octo/{'a' * 200}/{number}:pull" for number in range(250)]
    assert outcome(await octo.ask_token(*too_many)) == (400, "UNSUPPORTED")
    answer = await form(octo, grant_type="password", password=octo.password, scope="x" * 70_000)
    assert outcome(answer) == (413, "UNSUPPORTED")


async def test_the_largest_token_is_still_taken(octo: OCIClient, name: str) -> None:
    """64 names of 255 characters each."""
    names = [f"{name}/{number:03}/".ljust(255, "x") for number in range(MAX_SCOPES)]
    await octo.log_in(" ".join(f"repository:{each}:pull,push" for each in names))
    assert octo.token is not None
    assert len(octo.token) > 20_000
    assert (await octo.once("GET", f"/v2/{names[-1]}/tags/list")).status_code == 404
    assert (await octo.once("POST", f"/v2/{names[-1]}/blobs/uploads/")).status_code == 202


async def test_only_what_is_allowed(each_registry: Registry, each_octo: OCIClient, name: str) -> None:
    """The intersection, by the role, the scopes and the kind of the access token."""
    everything = f"repository:{name}:pull,push,delete"
    await each_octo.push(name, image())
    await each_registry.grant(name, "octo", None)
    people = {login: await each_registry.person(login) for login in ("rita", "wes", "ada", "otto")}
    for login, role in (("rita", "read"), ("wes", "write"), ("ada", "admin")):
        await each_registry.grant(name, login, role)
    pull, push, delete = "pull", "push", "delete"
    wanted: list[tuple[OCIClient, set[str]]] = [
        (each_octo, {pull, push, delete}),
        (await each_registry.person("octo", "write:packages"), {pull, push}),
        (await each_registry.person("octo", "read:packages"), {pull}),
        (await each_registry.person("octo", "delete:packages"), set()),
        (await each_registry.person("octo", "delete:packages", "read:packages"), {pull, delete}),
        (await each_registry.person("octo", "repo", "user", "admin:org"), set()),
        (people["rita"], {pull}),
        (people["wes"], {pull, push}),
        (people["ada"], {pull, push, delete}),
        (people["otto"], set()),
        (each_registry.anonymous, set()),
    ]
    for client, actions in wanted:
        assert access(await client.ask_token(everything)) == ({name: actions} if actions else {})
    await each_registry.publish(name, Visibility.PUBLIC)
    for client, actions in wanted:
        assert access(await client.ask_token(everything)) == {name: actions | {pull}}


async def test_a_free_name_may_be_asked_for_by_who_could_take_it(
    registry: Registry, octo: OCIClient, name: str
) -> None:
    otto = await registry.person("otto")
    everything = f"repository:{name}:pull,push,delete"
    assert access(await octo.ask_token(everything)) == {name: {"pull", "push", "delete"}}
    assert access(await (await registry.person("octo", "write:packages")).ask_token(everything)) == {
        name: {"pull", "push"}
    }
    for nobody in (otto, registry.anonymous, await registry.person("octo", "read:packages")):
        assert access(await nobody.ask_token(everything)) == {}
        assert access(await nobody.ask_token("repository:nobody/at-all:pull,push")) == {}


async def test_an_anonymous_token_is_good_for_what_is_public(registry: Registry, octo: OCIClient, name: str) -> None:
    one = image()
    await octo.push(name, one)
    anonymous = registry.anonymous
    assert claims((await anonymous.ask_token("")).json()["token"])["sub"] == ""
    assert outcome(await anonymous.get(f"/v2/{name}/manifests/latest")) == (401, "UNAUTHORIZED")
    await registry.publish(name, Visibility.PUBLIC)
    assert (await anonymous.get(f"/v2/{name}/manifests/latest")).content == one.content
    assert outcome(await anonymous.post(f"/v2/{name}/blobs/uploads/")) == (401, "UNAUTHORIZED")
    assert outcome(await anonymous.delete(f"/v2/{name}/manifests/latest")) == (401, "UNAUTHORIZED")


BAD_PASSWORDS = ["", "wrong", "ghp_" + "0" * 36, "ghx_" + "0" * 36, "ä\N{SNOWMAN}", "a" * 60_000, "x:y", "\0"]


@pytest.mark.parametrize("password", BAD_PASSWORDS, ids=range(len(BAD_PASSWORDS)))
async def test_c11_bad_credentials_are_refused_and_never_anonymous(registry: Registry, password: str) -> None:
    http = registry.http()
    answers = [
        await http.get("/token", headers={"Authorization": basic("octo", password)}),
        await http.post("/token", data={"grant_type": "password", "username": "octo", "password": password}),
        await http.post("/token", data={"grant_type": "refresh_token", "refresh_token": password}),
    ]
    for answer in answers:
        if answer.status_code == 400 and password == "\0":
            continue  # no form that can be read
        assert outcome(answer) == (401, "UNAUTHORIZED")
        assert answer.headers["WWW-Authenticate"].startswith('Basic realm="'), "RFC 9110, section 15.5.2"
        assert len(password) < 8 or password not in answer.text


@pytest.mark.parametrize(
    "header",
    [
        "", "Basic", "Basic ", "Basic !!!", "Basic b2N0bw==", "Basic /w==", "Bearer x", "Basic " + "A" * 60_000,
        "basic\tb2N0bzp4", "Digest username=octo", "\xff", "Basic b2N0bzp4, Basic b2N0bzp4",
    ],
)  # fmt: skip
async def test_a_header_that_cannot_be_read_is_bad_credentials(registry: Registry, header: str) -> None:
    headers = {b"Authorization": header.encode("latin-1")}
    answer = await registry.http().get("/token", headers=headers)
    assert outcome(answer) == (401, "UNAUTHORIZED")


async def test_the_password_may_stand_where_the_name_stands(octo: OCIClient, name: str) -> None:
    """As git and curl users write it: the token alone."""
    assert octo.password is not None
    for text in (f"{octo.password}:", f"{octo.password}:x-oauth-basic", f"a:{octo.password}"):
        header = f"BASIC {base64.b64encode(text.encode()).decode()}"
        answer = await octo.http.get(
            "/token", params={"scope": f"repository:{name}:pull"}, headers={"Authorization": header}
        )
        assert access(answer) == {name: {"pull"}}


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "application/x-www-form-urlencoded"),
        (b"grant_type=client_credentials", "application/x-www-form-urlencoded"),
        (b"grant_type=authorization_code&code=x", "application/x-www-form-urlencoded"),
        (b'{"grant_type": "password"}', "application/json"),
        (b"\xff\xfe", "application/x-www-form-urlencoded"),
        (b"&".join(b"a=b" for _ in range(300)), "application/x-www-form-urlencoded"),
    ],
)
async def test_a_form_that_we_do_not_know(registry: Registry, body: bytes, content_type: str) -> None:
    """400: containerd then tries GET."""
    answer = await registry.http().post("/token", content=body, headers={"Content-Type": content_type})
    assert outcome(answer) == (400, "UNSUPPORTED")


async def test_every_kind_of_access_token_is_taken(registry: Registry, octo: OCIClient, name: str) -> None:
    repository_id = await registry.repository("octo", "octo/code")
    await octo.push(name, image())
    await registry.set_package(name, repository_id=repository_id, inherits_access=True)
    everything = f"repository:{name}:pull,push,delete"
    codespace = await registry.codespace("octo", repository_id)
    assert access(await codespace.ask_token(everything)) == {name: {"pull"}}
    for permission, actions in (("write", {"pull", "push"}), ("read", {"pull"}), ("none", set())):
        workflow = await registry.workflow("octo", "octo/code", permission)
        wanted = {name: actions} if actions else {}
        assert access(await workflow.ask_token(everything)) == wanted, permission
        free = await workflow.ask_token(f"repository:{name}/free:pull,push")
        assert access(free) == ({f"{name}/free": actions} if permission == "write" else {}), permission


async def test_an_expired_access_token_is_a_bad_one(own_registry: Registry) -> None:
    octo = await own_registry.person("octo")
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    body = {"scopes": ["write:packages"], "expires_at": soon}
    made = (await own_registry.rest["octo"].post("/user/tokens", json=body)).json()
    short = own_registry.client(made["token"])
    await short.push("octo/app", image())
    await own_registry.expire(made["id"])
    assert outcome(await short.ask_token("")) == (401, "UNAUTHORIZED")
    refused = await short.once("GET", "/v2/octo/app/manifests/latest")
    assert outcome(refused) == (401, "UNAUTHORIZED"), "and its registry tokens are void at once (A14)"
    assert (await octo.get("/v2/octo/app/manifests/latest")).status_code == 200
