"""Packages: lists, a package's page, its versions, deletion and restoring. Rules: DESIGN section 2, A10, A13."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.counting import counting
from tests.rest.package_api import Packages, make_packages
from tests.ui.browser import Browser, ConsoleWorld, make_console

from berth.adapters.store.database import Store
from berth.domain.repository import Visibility

_HOSTILE = "<script>alert(1)</script>"


@dataclass
class World:
    """octo owns acme, member belongs to it, stranger does not."""

    packages: Packages
    octo: Browser
    member: Browser
    stranger: Browser


@pytest.fixture
async def world(console: ConsoleWorld) -> World:
    packages = await make_packages(console.berth)
    octo, member, stranger = [await console.set_password(login) for login in ("octo", "member", "stranger")]
    return World(packages, octo, member, stranger)


def rows_of(page: str) -> list[str]:
    """The packages in a list."""
    return re.findall(r'<div class="row-main"><a href="/packages/([^"]+)">', page)


async def test_lists_show_what_one_may_pull(world: World) -> None:
    for name, visibility in (
        ("acme/closed", Visibility.PRIVATE),
        ("acme/inside", Visibility.INTERNAL),
        ("acme/open", Visibility.PUBLIC),
        ("octo/own", Visibility.PRIVATE),
        ("octo/tools/open", Visibility.PUBLIC),
    ):
        await world.packages.version(await world.packages.make(name, visibility), "1")
    for browser, path, names in (
        (world.octo, "/packages", ["octo/tools/open", "octo/own", "acme/open", "acme/inside", "acme/closed"]),
        (world.member, "/packages", ["acme/open", "acme/inside"]),
        (world.stranger, "/packages", []),
        (world.octo, "/packages?q=OPEN", ["octo/tools/open", "acme/open"]),
        (world.octo, "/packages?q=_", []),
        (world.octo, "/packages?visibility=internal", ["acme/inside"]),
        (world.octo, "/orgs/acme/packages", ["acme/open", "acme/inside", "acme/closed"]),
        (world.octo, "/orgs/acme/packages?visibility=private", ["acme/closed"]),
        (world.stranger, "/orgs/acme/packages", ["acme/open"]),
        (world.stranger, "/users/octo/packages", ["octo/tools/open"]),
    ):
        answer = await browser.get(path)
        assert answer.status_code == 200
        assert rows_of(answer.text) == names, path
    for path in ("/orgs/octo/packages", "/users/nobody/packages", "/packages?repository=octo/nothing"):
        assert (await world.octo.get(path)).status_code == 404
    for path in ("/packages?visibility=none", f"/packages?repository={_HOSTILE}"):
        assert (await world.octo.get(path)).status_code == 422


async def test_packages_of_a_repository(world: World) -> None:
    """Policy 2 of services/package.py: who may not read the repository sees neither it nor the list."""
    made = await world.packages.octo.post("/user/repos", json={"name": "web", "private": True})
    package = await world.packages.make("octo/app", Visibility.PUBLIC, repository_id=made.json()["id"])
    await world.packages.version(package, "1")
    await world.packages.make("octo/other")
    assert rows_of((await world.octo.get("/packages?repository=octo/web")).text) == ["octo/app"]
    assert (await world.stranger.get("/packages?repository=octo/web")).status_code == 404
    assert 'linked to <a href="/octo/web">' in (await world.octo.get("/packages/octo/app")).text
    hidden = (await world.stranger.get("/packages/octo/app")).text
    assert "linked to a repository that you may not read" in hidden
    assert "octo/web" not in hidden


async def test_a_package_tells_how_it_is_pulled(world: World) -> None:
    package = await world.packages.make("acme/tools/app")
    await world.packages.version(package, "old")
    newest = await world.packages.version(package, "1.2", "latest")
    await world.packages.version(package)
    page = (await world.octo.get("/packages/ACME/tools/app")).text
    assert "docker pull berth.test/acme/tools/app:latest" in page
    assert '"image": "berth.test/acme/tools/app:latest"' in page
    assert '<span class="badge tag">1.2</span>' in page
    assert "3 versions" in page
    assert "no tag" not in page
    assert 'href="/packages/acme/tools/app/-/settings"' in page
    untagged = (await world.octo.get("/packages/acme/tools/app?versions=untagged")).text
    assert untagged.count(">no tag<") == 1
    assert (await world.octo.get("/packages/acme/tools/app?versions=all")).text.count("pushed <time") == 3
    version = (await world.octo.get(f"/packages/acme/tools/app/-/versions/{newest}")).text
    assert "sha256:" in version
    assert "1 layer" in version


@pytest.mark.parametrize(
    "path",
    [
        "/packages/acme/app",
        "/packages/acme/app/-/versions/{version}",
        "/packages/acme/app/-/versions/{version}/delete",
        *(f"/packages/acme/app/-/{word}" for word in ("settings", "settings/visibility/public", "settings/inherit")),
        *(f"/packages/acme/app/-/{word}" for word in ("access", "codespaces", "workflows", "explain", "delete")),
    ],
)
async def test_hidden_and_missing_are_one_page(world: World, path: str) -> None:
    """A13; who only reads is told that he may not."""
    package = await world.packages.make("acme/app", Visibility.INTERNAL)
    version = str(await world.packages.version(package, "1"))
    await world.packages.version(package, "2")
    hidden = await world.stranger.get(path.replace("{version}", version))
    missing = await world.stranger.get(path.replace("{version}", version).replace("acme/app", "acme/none"))
    assert (hidden.status_code, missing.status_code) == (404, 404)
    assert hidden.text == missing.text
    assert (await world.octo.get(path.replace("{version}", version))).status_code == 200
    reads = "versions" in path or path == "/packages/acme/app"
    assert (await world.member.get(path.replace("{version}", version))).status_code == (200 if reads else 403)


async def test_who_only_reads_sees_no_buttons_and_can_do_nothing(world: World) -> None:
    package = await world.packages.make("acme/app", Visibility.INTERNAL)
    version = await world.packages.version(package, "1")
    await world.packages.version(package, "2")
    page = await world.member.get("/packages/acme/app?versions=all")
    assert "/-/settings" not in page.text
    assert "/delete" not in page.text
    path = f"/packages/acme/app/-/versions/{version}/delete"
    assert (await world.member.submit(path, path)).status_code == 403
    assert (await world.octo.get(f"/packages/acme/app/-/versions/{version}")).status_code == 200


async def test_a_version_is_deleted_and_restored(world: World) -> None:
    package = await world.packages.make("acme/app")
    first, last = [await world.packages.version(package, tag) for tag in ("1", "2")]
    path = f"/packages/acme/app/-/versions/{first}/delete"
    gone = await world.octo.submit(path, path)
    assert gone.headers["location"] == "/packages/acme/app"
    assert "It can be restored for 30 days." in (await world.octo.get("/packages/acme/app")).text
    assert (await world.octo.get(f"/packages/acme/app/-/versions/{first}")).status_code == 404
    path = f"/packages/acme/app/-/versions/{last}/delete"
    refused = await world.octo.submit(path, path)
    assert refused.status_code == 400
    assert "You must delete the package instead." in refused.text
    restore = f"/packages/acme/app/-/versions/{first}/restore"
    back = await world.octo.submit("/packages/acme/app?versions=deleted", restore)
    assert (await world.octo.get(back.headers["location"])).status_code == 200


async def test_a_package_is_deleted_by_typing_its_name_and_restored(world: World) -> None:
    package = await world.packages.make("acme/app")
    await world.packages.version(package, "1")
    path = "/packages/acme/app/-/delete"
    for typed in ("", "app", "acme/App"):
        answer = await world.octo.submit(path, path, {"typed": typed})
        assert answer.status_code == 422
        assert "Type acme/app, exactly so." in answer.text
    restore = "/packages/acme/app/-/restore"
    assert (await world.octo.submit(path, path, {"typed": "acme/app"})).headers["location"] == restore
    assert "acme/app was deleted." in (await world.octo.get(restore)).text
    assert (await world.octo.get("/packages/acme/app")).status_code == 404
    assert "acme/app" not in (await world.member.get("/packages/deleted")).text
    assert (await world.member.submit(restore, restore)).status_code == 404
    page = await world.octo.get("/packages/deleted")
    assert (await world.octo.submit(page, restore, {"package_id": "x"})).status_code == 404
    assert (await world.octo.submit(page, restore)).headers["location"] == "/packages/acme/app"
    assert (await world.octo.get("/packages/acme/app")).status_code == 200
    assert "No deleted packages" in (await world.octo.get("/packages/deleted")).text
    await world.octo.submit(path, path, {"typed": "acme/app"})
    assert (await world.octo.submit(restore, restore)).headers["location"] == "/packages/acme/app"


async def test_what_the_api_calls_html_url_is_the_page(world: World) -> None:
    package = await world.packages.make("octo/tools/app")
    version = await world.packages.version(package, "1")
    base = "/users/octo/packages/container/tools%2Fapp"
    for path in (base, f"{base}/versions/{version}"):
        url = (await world.packages.octo.get(path)).json()["html_url"]
        assert (await world.octo.get(re.sub(r"^https?://[^/]+", "", url))).status_code == 200


async def test_pages_take_as_many_queries_for_many_rows_as_for_few(world: World) -> None:
    """And stay below 100 KB with the longest names and tags."""
    paths = ("/packages", "/orgs/acme/packages", "/packages/deleted", "/packages/acme/app?versions=all")

    async def add(number: int) -> int:
        name = f"{number}{'x' * 200}"
        package = await world.packages.make(f"acme/{name}")
        await world.packages.make(f"acme/gone{name}")
        await world.packages.version(package, "1")
        await world.packages.octo.delete(f"/orgs/acme/packages/container/gone{name}")
        return await world.packages.version(app, *(f"{number}-{each}-{'T' * 100}" for each in range(12)))

    app = await world.packages.make("acme/app")
    await add(0)
    few = {}
    for path in paths:
        with counting() as sent:
            assert (await world.octo.get(path)).status_code == 200
        few[path] = len(sent)
    version = 0
    for number in range(1, 31):
        version = await add(number)
    for path in paths:
        with counting() as sent:
            answer = await world.octo.get(path)
        assert "Page 1 of 2" in answer.text
        assert (len(sent), len(answer.content) < 100_000) == (few[path], True), path
    for page in ("/packages/acme/app", f"/packages/acme/app/-/versions/{version}"):
        assert len((await world.octo.get(page)).content) < 100_000


async def test_a_package_without_a_tag_shows_its_versions_elsewhere(world: World) -> None:
    await world.packages.version(await world.packages.make("octo/own"))
    page = (await world.octo.get("/packages/octo/own")).text
    assert "No version has a tag" in page
    assert "docker push berth.test/octo/own:tag" in page
    assert (await world.octo.get("/packages/octo/own?versions=untagged")).text.count(">no tag<") == 1


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("Berth.Example:8443", "berth.example:8443"), ("[::1]:8443", "[::1]:8443"), ("[1]", "[1]"),
        ("[", "localhost"), ("evil.example/x", "localhost"), ("u@evil.example", "localhost"), ('"><script>', "localhost"),
    ],
)  # fmt: skip
async def test_a_host_that_is_none_is_shown_nowhere(store: Store, tmp_path: Path, host: str, shown: str) -> None:
    """Where EXTERNAL_URL is not set the pull command has the Host of the request (domain/host_header.py)."""
    async with make_console(tmp_path, store, origin=None) as console:
        packages = await make_packages(console.berth)
        browser = await console.set_password("octo")
        await packages.version(await packages.make("octo/tool", Visibility.PRIVATE), "1")
        answer = await browser.http.get("/packages/octo/tool", headers={"Host": host})
        assert answer.status_code == 200
        assert f"docker pull {shown}/octo/tool:1" in answer.text
        assert "evil" not in answer.text
