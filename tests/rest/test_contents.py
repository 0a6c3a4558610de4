import base64

import pytest
from tests.rest.berth_api import Berth
from tests.rest.schema import check_body


def encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def test_bodies_have_every_key_that_github_requires(berth: Berth) -> None:
    octo = await berth.user("octo")
    await octo.post("/user/repos", json={"name": "r"})
    put = await octo.put("/repos/octo/r/contents/d/a.txt", json={"message": "m", "content": encode("a")})
    check_body(put.json(), "file-commit")
    check_body((await octo.get("/repos/octo/r/contents/d/a.txt")).json(), "content-file")
    check_body((await octo.get("/repos/octo/r/contents/d")).json(), "content-directory")
    check_body((await octo.get("/repos/octo/r/branches/main")).json(), "branch-with-protection")


async def test_a_file_is_created_read_and_updated(berth: Berth) -> None:
    octo = await berth.user("octo")
    await octo.post("/user/repos", json={"name": "r"})
    url = "/repos/octo/r/contents/.devcontainer/devcontainer.json"
    assert (await octo.get("/repos/octo/r/contents/")).status_code == 404
    made = await octo.put(url, json={"message": "one", "content": encode("one")})
    assert made.status_code == 201
    sha = made.json()["content"]["sha"]
    again = await octo.put(url, json={"message": "two", "content": encode("two")})
    assert again.status_code == 409
    wrong = await octo.put(url, json={"message": "two", "content": encode("two"), "sha": "0" * 40})
    assert wrong.status_code == 409
    changed = await octo.put(url, json={"message": "two", "content": encode("two"), "sha": sha})
    assert changed.status_code == 200
    assert changed.json()["commit"]["parents"][0]["sha"] == made.json()["commit"]["sha"]
    read = (await octo.get(url)).json()
    assert base64.b64decode(read["content"]) == b"two"
    old = (await octo.get(url, params={"ref": made.json()["commit"]["sha"]})).json()
    assert base64.b64decode(old["content"]) == b"one"
    assert [entry["name"] for entry in (await octo.get("/repos/octo/r/contents")).json()] == [".devcontainer"]


@pytest.mark.parametrize(
    "path", ["a/%2e%2e/b", "%2e%2e/b", "a/%2E/b", ".git/config", "a/.GIT/x", "a//b", "a%00b", "a%0ab"]
)
async def test_a_path_that_git_would_refuse_is_refused(berth: Berth, path: str) -> None:
    octo = await berth.user("octo")
    await octo.post("/user/repos", json={"name": "r"})
    answer = await octo.put(f"/repos/octo/r/contents/{path}", json={"message": "m", "content": ""})
    assert answer.status_code in {404, 422}
    assert (await octo.get("/repos/octo/r/branches/main")).status_code == 404


@pytest.mark.parametrize("ref", ["--output=/tmp/x", "-h", "a..b", "main^{tree}", "@{-1}", "HEAD:a", "a b", "x" * 600])
async def test_a_hostile_ref_names_nothing(berth: Berth, ref: str) -> None:
    octo = await berth.user("octo")
    made = (await octo.post("/user/repos", json={"name": "r"})).json()
    await octo.put("/repos/octo/r/contents/a", json={"message": "m", "content": "YQ=="})
    assert (await octo.get("/repos/octo/r/contents/a", params={"ref": ref})).status_code == 404
    assert await berth.repositories.find_commit(made["id"], ref) is None
    assert await berth.repositories.find_commit(made["id"], "main") is not None


async def test_a_file_cannot_take_the_place_of_a_directory(berth: Berth) -> None:
    octo = await berth.user("octo")
    await octo.post("/user/repos", json={"name": "r"})
    await octo.put("/repos/octo/r/contents/d/a", json={"message": "m", "content": "YQ=="})
    assert (await octo.put("/repos/octo/r/contents/d", json={"message": "m", "content": "YQ=="})).status_code == 409
    assert (await octo.put("/repos/octo/r/contents/d/a/b", json={"message": "m", "content": ""})).status_code == 409
