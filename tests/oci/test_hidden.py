"""A13 at `/v2` and `/token`: what a caller may not read answers like what does not exist, to the last header and byte."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
import jwt
import pytest
import pytest_asyncio
from tests.oci.images import Image, image
from tests.oci.registry_api import OCIClient, Registry, code_of

from berth.adapters.store import package as package_rows
from berth.domain.image_reference import Digest
from berth.domain.package import PackagePolicy
from berth.domain.repository import Visibility
from berth.oci.app import ROUTES

pytestmark = pytest.mark.asyncio(loop_scope="module")

HIDDEN = image()
BLOB, MISSING_DIGEST = Digest.of(HIDDEN.blobs[1]), Digest.of(b"nobody has this")
NEW = image()
# A package in it that nobody but octo sees; the same name free; an account that is none. All of one length.
PLACES = {
    "a user's": ("octo/hidden", "octo/absent"),
    "an organization's": ("acme/hidden", "acme/absent"),
    "one of an organization whose members make none": ("shut/hidden", "shut/absent"),
    "of nobody at all": ("octo/hidden", "nope/absent"),
    "deleted": ("octo/bygone", "octo/absent"),
}
# Whoever could make a package there learns by making it that a name is free. Nothing can hide that.
COULD_MAKE_ONE = {
    ("member", "an organization's"),
    ("member's job", "an organization's"),
    ("owner's other job", "a user's"),
}
A_FEW = ("anonymous", "stranger", "owner without scopes")  # for the places that differ for no other reason


@dataclass(frozen=True)
class Ask:
    """A request; `{name}` is the package's, `{upload}` an upload that octo began in the hidden one."""

    kind: str
    method: str
    path: str
    content: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    may_make: bool = False


def asks() -> list[Ask]:
    """Every route, in each of its forms."""
    typed = {"Content-Type": HIDDEN.media_type}
    found = []
    for reference in ("latest", "other", ".bad", HIDDEN.digest, MISSING_DIGEST, "sha256:bad"):
        found.append(Ask("manifests", "GET", f"/v2/{{name}}/manifests/{reference}"))
    found.append(Ask("manifests", "GET", "/v2/{name}/manifests/latest", headers={"If-None-Match": "*"}))
    for digest in (BLOB, MISSING_DIGEST, "sha256:bad"):
        found.append(Ask("blobs", "GET", f"/v2/{{name}}/blobs/{digest}"))
    found.append(Ask("blobs", "GET", f"/v2/{{name}}/blobs/{BLOB}", headers={"Range": "bytes=9999-"}))
    for query in ("", "?n=0", "?last=a", "?last=%00"):
        found.append(Ask("tags", "GET", f"/v2/{{name}}/tags/list{query}"))
    for query in ("", "?artifactType=a/b", "?after=1"):
        found.append(Ask("referrers", "GET", f"/v2/{{name}}/referrers/{HIDDEN.digest}{query}"))
    for kind, path in (
        ("manifests", "manifests/latest"), ("blobs", f"blobs/{BLOB}"), ("tags", "tags/list"),
        ("referrers", f"referrers/{HIDDEN.digest}"),
    ):  # fmt: skip
        found.append(Ask(kind, "HEAD", f"/v2/{{name}}/{path}"))
    for reference in ("latest", HIDDEN.digest, MISSING_DIGEST, "sha256:bad"):
        found.append(Ask("manifests", "DELETE", f"/v2/{{name}}/manifests/{reference}"))
    for digest in (BLOB, MISSING_DIGEST):
        found.append(Ask("blobs", "DELETE", f"/v2/{{name}}/blobs/{digest}"))
    for one, path in (
        (HIDDEN, "latest"),
        (NEW, str(NEW.digest)),
        (NEW, "latest?tag=x"),
        (Image(b"oh no", "x/y"), "latest"),
    ):
        found.append(Ask("manifests", "PUT", f"/v2/{{name}}/manifests/{path}", one.content, typed, may_make=True))
    for query in (
        "",
        f"?digest={BLOB}",
        "?digest=bad",
        f"?mount={BLOB}",
        f"?mount={BLOB}&from=octo/source",
        "?mount=bad",
    ):
        content = HIDDEN.blobs[1] if "digest" in query else b""
        found.append(Ask("uploads", "POST", f"/v2/{{name}}/blobs/uploads/{query}", content, may_make=True))
    for upload in ("{upload}", "00000000-0000-4000-8000-000000000000", "bad"):
        for method in ("GET", "PATCH", "PUT", "DELETE"):
            content = b"x" if method in {"PATCH", "PUT"} else b""
            path = f"/v2/{{name}}/blobs/uploads/{upload}" + (f"?digest={BLOB}" if method == "PUT" else "")
            found.append(Ask("uploads", method, path, content))
    return found


ASKS = asks()


async def test_every_route_is_asked() -> None:
    assert {(ask.kind, ask.method) for ask in ASKS} == {(kind, method) for kind in ROUTES for method in ROUTES[kind]}


@dataclass
class Hidden:
    """Everything that is hidden is in place; these clients must not tell it from nothing."""

    registry: Registry
    strangers: dict[str, OCIClient]
    upload: str  # its id

    async def answer(self, client: OCIClient, ask: Ask, name: str) -> tuple[int, dict[str, str], bytes]:
        path = ask.path.format(name=name, upload=self.upload)
        got = await client.once(ask.method, path, content=ask.content, headers=ask.headers)
        headers = {key: value.replace(name, "NAME") for key, value in got.headers.items()}
        length = int(headers.pop("content-length", "0"))
        content = got.content.replace(name.encode(), b"NAME")
        assert ask.method == "HEAD" or length == len(got.content)
        return got.status_code, headers, content


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hidden(registry: Registry) -> AsyncIterator[Hidden]:
    octo, otto = await registry.person("octo"), await registry.person("otto")
    for organization in ("acme", "shut"):
        await registry.organization(organization, "octo", "mia")
    for name in ("octo/hidden", "octo/source", "acme/hidden", "shut/hidden", "octo/bygone"):
        await octo.push(name, HIDDEN)
    upload = (await octo.begin("octo/hidden")).rpartition("/")[2]
    await octo.begin("acme/hidden")
    await registry.delete_package("octo/bygone")
    async with registry.store.begin() as connection:
        nothing = PackagePolicy(creatable_visibilities=frozenset())
        await package_rows.set_policy(connection, await registry.account_id("shut"), nothing)
    inside = await registry.codespace("otto", await registry.repository("otto", "otto/code"))
    own = await registry.repository("octo", "octo/code")
    shared = await registry.repository("octo", "acme/shared", "internal")
    await registry.rest["octo"].put("/repos/acme/shared/collaborators/mia", json={"permission": "push"})
    strangers = {
        "anonymous": registry.anonymous,
        "stranger": otto,
        "stranger without scopes": await registry.person("otto", "read:user"),
        "stranger who reads": await registry.person("otto", "read:packages"),
        "stranger's codespace": inside,
        "stranger's job": await registry.workflow("otto", "otto/code"),
        "stranger's reading job": await registry.workflow("otto", "otto/code", "read"),
        "member": await registry.person("mia"),
        "member who reads": await registry.person("mia", "read:packages"),
        "member's job": await registry.workflow("mia", "acme/shared"),
        "owner without scopes": await registry.person("octo", "repo", "user"),
        "owner's other codespace": await registry.codespace("octo", own),
        "owner's other job": await registry.workflow("octo", "octo/code"),
        "organization's codespace": await registry.codespace("mia", shared),
    }
    yield Hidden(registry, strangers, upload)


@pytest.mark.parametrize("place", PLACES)
async def test_hidden_and_missing_are_one_answer(hidden: Hidden, place: str) -> None:
    """With the token that the caller gets for both names."""
    names, small = PLACES[place], place in {"of nobody at all", "deleted"}
    for who, client in hidden.strangers.items():
        if small and who not in A_FEW:
            continue
        await client.log_in(" ".join(f"repository:{name}:pull,push,delete" for name in names))
        for ask in ASKS:
            if ask.may_make and (who, place) in COULD_MAKE_ONE:
                continue
            seen, missing = [await hidden.answer(client, ask, name) for name in names]
            assert seen == missing, f"{who}: {ask.method} {ask.path}"
            assert seen[0] in {200, 400, 401, 403, 404}
            if seen[0] == 200:
                assert ask.kind == "referrers", "an empty list, of both"
                assert ask.method == "HEAD" or b'"manifests":[]' in seen[2]


async def test_without_a_token_everything_is_one_answer(hidden: Hidden) -> None:
    client = hidden.registry.anonymous
    for ask in ASKS:
        answers = {
            str(await hidden.answer(client, ask, name)) for name in ("octo/hidden", "octo/absent", "nope/absent")
        }
        assert len(answers) == 1, ask
        assert "401" in answers.pop()


async def test_nothing_was_made_and_nothing_was_lost(hidden: Hidden) -> None:
    """What the strangers sent reached nobody."""
    octo = await hidden.registry.person("octo")
    for name in ("octo/hidden", "acme/hidden", "shut/hidden"):
        assert (await octo.get(f"/v2/{name}/manifests/latest")).content == HIDDEN.content
        assert (await octo.get(f"/v2/{name}/blobs/{BLOB}")).content == HIDDEN.blobs[1]
        assert (await octo.get(f"/v2/{name}/tags/list")).json()["tags"] == ["latest"]


async def test_the_owner_is_told_the_difference(hidden: Hidden) -> None:
    """The same requests, so that the comparison above is not one of nothing with nothing."""
    octo = await hidden.registry.person("octo")
    await octo.log_in("repository:octo/hidden:pull,push,delete repository:octo/absent:pull,push,delete")
    different = set()
    for ask in ASKS:
        if ask.method in {"GET", "HEAD"}:
            seen, missing = [await hidden.answer(octo, ask, name) for name in ("octo/hidden", "octo/absent")]
            if seen != missing:
                different.add((ask.kind, ask.method))
    assert different >= {
        ("manifests", "GET"),
        ("manifests", "HEAD"),
        ("blobs", "GET"),
        ("tags", "GET"),
        ("uploads", "GET"),
    }


async def test_token_answers_tell_nothing(hidden: Hidden) -> None:
    """Neither in what they grant nor in their length."""
    for place, names in PLACES.items():
        for who, client in hidden.strangers.items():
            if (who, place) in COULD_MAKE_ONE or who == "owner's other job":
                continue
            shapes = set()
            for name in names:
                answer = await client.ask_token(f"repository:{name}:pull,push,delete")
                assert answer.status_code == 200
                body = answer.json()
                claims = jwt.decode(body["token"], options={"verify_signature": False})
                assert claims["access"] == [], f"{who}: {name}"
                shapes.add((len(answer.content), len(body["token"]), tuple(claims)))
            assert len(shapes) == 1, f"{who}: {names}"


async def test_mounts_from_what_is_hidden_tell_nothing(hidden: Hidden) -> None:
    """Whoever may push somewhere asks for the hidden package's blob there."""
    for who, target in (("stranger", "otto/mine"), ("stranger's job", "otto/jobs")):
        client = hidden.strangers[who]
        await client.log_in(f"repository:{target}:pull,push repository:octo/hidden:pull repository:octo/absent:pull")
        shown = set()
        for source in ("octo/hidden", "octo/absent", "acme/hidden", "nope/absent", "octo/bygone", None):
            for digest in (BLOB, MISSING_DIGEST):
                query = f"?mount={digest}" + (f"&from={source}" if source else "")
                answer = await client.once("POST", f"/v2/{target}/blobs/uploads/{query}")
                upload_id = answer.headers["Docker-Upload-UUID"]
                assert answer.status_code == 202, f"{who}: {source}"
                shown.add(str(dict(answer.headers)).replace(upload_id, "ID"))
        assert len(shown) == 1, who


async def test_the_catalog_and_its_pages_tell_nothing(hidden: Hidden) -> None:
    for who, client in hidden.strangers.items():
        await client.log_in("registry:catalog:*")
        for query in ("", "?n=1", "?last=octo/a", "?last=octo/hidden"):
            answer = await client.get(f"/v2/_catalog{query}")
            assert "hidden" not in answer.text.replace("otto/", ""), who
            assert "Link" not in answer.headers, who


async def test_a_sentence_about_the_token_is_said_of_both(hidden: Hidden) -> None:
    """It is worth something to the caller, and says nothing of names (policy 3 of registry_access)."""
    sentences = {
        "stranger who reads": "write:packages",
        "stranger's codespace": "A codespace's token pulls only",
        "stranger's reading job": "packages: read",
    }
    for who, sentence in sentences.items():
        client = hidden.strangers[who]
        for name in ("octo/hidden", "octo/absent"):
            await client.log_in(f"repository:{name}:pull,push")
            answer = await client.once("POST", f"/v2/{name}/blobs/uploads/")
            assert (answer.status_code, code_of(answer)) == (403, "DENIED")
            assert sentence in answer.text


async def test_a_public_package_is_seen_by_all_of_them(hidden: Hidden) -> None:
    """The strangers are no strangers to that."""
    octo = await hidden.registry.person("octo")
    await octo.push("octo/public", image())
    await hidden.registry.publish("octo/public", Visibility.PUBLIC)
    answers: dict[str, httpx.Response] = {}
    for who, client in hidden.strangers.items():
        client.token = None
        answers[who] = await client.get("/v2/octo/public/manifests/latest")
    assert {who for who, answer in answers.items() if answer.status_code != 200} == set()
