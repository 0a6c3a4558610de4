"""An export, for real: git in the container, over the container's network, to the server's git edge; and a container that lies."""

import asyncio
import base64
import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.git_image import git_layer
from tests.own_registry import CONFIGURATION, launch_well, make_organization, own_host, publish, run_inside
from tests.world import World, command_lines

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180)]


async def make_codespace(world: World, api: httpx.AsyncClient, **config: object) -> tuple[str, str]:
    """owner/name of a private repository, and a codespace of it, whose image has git."""
    organization = await make_organization(api)
    full_name = f"{organization}/webapp"
    made = await api.post(f"/orgs/{organization}/repos", json={"name": "webapp", "private": True})
    assert made.status_code == 201, made.text
    image = f"{own_host(world)}/{organization}/dev:1"
    await world.commit(api, CONFIGURATION, json.dumps({"image": image, **config}), full_name)
    await publish(world, api, full_name, layer=await asyncio.to_thread(git_layer))
    return full_name, await launch_well(world, api, full_name)


async def ended(api: httpx.AsyncClient, name: str, export_id: str = "latest") -> dict[str, Any]:
    async with asyncio.timeout(60):
        while True:
            answer = await api.get(f"/user/codespaces/{name}/exports/{export_id}")
            assert answer.status_code == 200, answer.text
            export: dict[str, Any] = answer.json()
            if export["state"] != "in_progress":
                return export
            await asyncio.sleep(0.1)


async def export(api: httpx.AsyncClient, name: str, **body: str) -> dict[str, Any]:
    answer = await api.post(f"/user/codespaces/{name}/exports", json=body)
    assert answer.status_code == 202, answer.text
    return await ended(api, name, answer.json()["id"])


async def inside(api: httpx.AsyncClient, name: str, script: str) -> str:
    code, said = await run_inside(api, name, script)
    assert code == 0, said
    return said.strip()


async def test_what_was_changed_inside_is_on_the_branch(networked: World) -> None:
    async with networked.server.api() as api:
        full_name, name = await make_codespace(networked, api, remoteUser="dev")
        await inside(api, name, "echo changed > new; echo '*.log' > .gitignore; echo x > a.log; mkdir d; echo y > d/e")
        before = await inside(api, name, "git status --porcelain --branch; git rev-parse HEAD")
        answer = await api.post(f"/user/codespaces/{name}/exports")
        assert (answer.status_code, answer.json()["state"]) == (202, "in_progress")
        done = await ended(api, name)
        assert (done["state"], done["branch"]) == ("succeeded", f"codespace-{name}"), done
        branch = (await api.get(f"/repos/{full_name}/branches/{done['branch']}")).json()
        assert branch["commit"]["sha"] == done["sha"]
        assert branch["commit"]["commit"]["author"]["name"] == "admin"
        shown = await api.get(f"/repos/{full_name}/contents/", params={"ref": done["branch"]})
        assert {entry["name"] for entry in shown.json()} == {".devcontainer", ".gitignore", "d", "new"}
        assert await inside(api, name, "git status --porcelain --branch; git rev-parse HEAD") == before
        assert (await api.get(f"/user/codespaces/{name}")).json()["state"] == "Available"
        again = await export(api, name, branch="second/try")
        assert (again["state"], again["branch"]) == ("succeeded", "second/try"), again
        main = (await api.get(f"/repos/{full_name}/branches/main")).json()["commit"]["sha"]
        assert before.endswith(main)
        await inside(api, name, "rm -r new d a.log .gitignore")
        nothing = await export(api, name)
        assert (nothing["state"], nothing["branch"], nothing["sha"]) == ("succeeded", f"codespace-{name}-2", main)
        await api.delete(f"/user/codespaces/{name}")
        assert (await api.get(f"/user/codespaces/{name}/exports/latest")).status_code == 404


async def test_l7_nothing_of_it_runs_here_and_no_command_line_holds_the_token(networked: World) -> None:
    marker = Path("/tmp") / f"berth-export-{os.urandom(6).hex()}"
    async with networked.server.api() as api:
        _, name = await make_codespace(networked, api)
        token = await inside(api, name, "printf %s $GITHUB_TOKEN")
        await inside(
            api,
            name,
            f"""git config filter.slow.clean 'echo ran >> {marker}; sleep 4; cat'
            echo 'slow filter=slow' > .gitattributes; echo x > slow
            mkdir -p .git/hooks
            for hook in pre-commit pre-push post-index-change reference-transaction; do
              printf '#!/bin/sh\\necho hook >> {marker}\\nexit 1\\n' > .git/hooks/$hook; chmod +x .git/hooks/$hook
            done""",
        )
        assert (await api.post(f"/user/codespaces/{name}/exports")).status_code == 202
        seen: set[str] = set()
        while (await api.get(f"/user/codespaces/{name}")).json()["state"] == "Exporting":
            seen |= set(command_lines())
            await asyncio.sleep(0.02)
        assert [line for line in seen if line.startswith("sleep 4")], "the positive control: it was seen at work"
        assert [line for line in seen if "git-remote-http" in line or "git remote-http" in line]
        assert not [line for line in seen if token in line]
        done = await ended(api, name)
        assert done["state"] == "succeeded", done
        assert await inside(api, name, f"cat {marker}") == "ran", "no hook ran"
        assert not marker.exists(), "the filter ran in the container, not here"


# In place of git: it answers what the script asks for, and pushes nothing. LIE and NOISE are the test's.
FAKE_GIT = """#!/bin/sh
case "$*" in
  *--show-toplevel*) pwd ;;
  *--absolute-git-dir*) mkdir -p /tmp/fake; echo /tmp/fake ;;
  *--verify*) exit 1 ;;
  *commit-tree*) LIE ;;
  *push*) NOISE ;;
  *) echo something ;;
esac
"""
LIES = {
    "a commit that was never pushed": ("printf '%040d' 7", "true", "export.not_arrived"),
    "the commit of another branch": ("cat /tmp/main", "true", "export.not_arrived"),
    "the token": ("echo $GITHUB_TOKEN", "echo $GITHUB_TOKEN", "export.not_arrived"),
    "output without end": (
        "cat /tmp/main",
        "sleep 2; while :; do echo xxxxxxxxxxxxxxxx$GITHUB_TOKEN; done",
        "export.output",
    ),
    "a refused push": ("cat /tmp/main", "exit 1", "export.push_failed"),
}


async def at_work(name: str, program: str = "") -> bool:
    """Whether anything of this codespace's export runs."""
    return any(f"codespace-{name}" in line and line.startswith(program) for line in command_lines())


async def at_rest(name: str) -> bool:
    return not await at_work(name)


async def test_a_git_that_lies(networked: World) -> None:
    async with networked.server.api() as api:
        full_name, name = await make_codespace(networked, api)
        token = await inside(
            api, name, "git rev-parse HEAD > /tmp/main; mv /bin/git /bin/real-git; printf %s $GITHUB_TOKEN"
        )
        for lie, noise, code in LIES.values():
            fake = base64.b64encode(FAKE_GIT.replace("LIE", lie).replace("NOISE", noise).encode()).decode()
            await inside(api, name, f"echo {fake} | base64 -d > /bin/git; chmod +x /bin/git")
            exporting = asyncio.create_task(export(api, name))
            if code == "export.output":
                await networked.until(lambda: at_work(name, "/bin/sh /bin/git"))
            done = await exporting
            assert (done["state"], done["sha"], done["finding"]["code"]) == ("failed", None, code), (lie, done)
            assert token not in json.dumps(done)
            await networked.until(lambda: at_rest(name))
        assert (await api.get(f"/repos/{full_name}/branches/codespace-{name}")).status_code == 404
        await inside(api, name, "mv /bin/real-git /bin/git")
        assert (await export(api, name))["state"] == "succeeded", "the positive control"
        await inside(api, name, "rm /bin/git")
        assert (await export(api, name))["finding"]["code"] == "export.no_git"
        data = networked.server.data
        kept = b"".join(path.read_bytes() for path in data.glob("berth.db*"))
        assert token.encode() not in kept


async def test_killed_in_the_middle_it_is_done_again(networked: World) -> None:
    async with networked.server.api() as api:
        _, name = await make_codespace(networked, api)
        await inside(
            api,
            name,
            """git config filter.slow.clean 'sleep 3; cat'
            echo 'slow filter=slow' > .gitattributes; echo x > slow""",
        )
        assert (await api.post(f"/user/codespaces/{name}/exports")).status_code == 202
        await asyncio.sleep(1)
        networked.server.kill()
        await networked.server.start()
    async with networked.server.api() as api:
        done = await ended(api, name)
        assert (done["state"], done["branch"]) == ("succeeded", f"codespace-{name}"), done
        assert (await api.get(f"/user/codespaces/{name}")).json()["state"] == "Available"
