"""A world in which strangers have written what they could into every field that takes their words."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup
from sqlalchemy import Column, insert, select, update
from tests.oci.images import image
from tests.oci.registry_api import make_registry
from tests.package_world import insert_package, insert_version
from tests.rest.grown import make_alike
from tests.rest.seeded import Seeded, make_seeded, seal
from tests.ui.browser import Browser, ConsoleWorld

from berth.adapters.clock_system import SystemClock
from berth.adapters.entropy_system import SystemEntropy
from berth.adapters.store import package_tables, prebuild_tables, tables
from berth.adapters.store.database import Store
from berth.adapters.store.identity import insert_identity
from berth.adapters.store.session_tables import account_identities, sessions
from berth.domain.codespace import FailedHook, failed_hook_to_json, finding_to_json
from berth.domain.finding import Finding, Fixer
from berth.domain.identity import Claims
from berth.domain.lifecycle import Desired, Phase
from berth.domain.repository import Visibility
from berth.front import make_front
from berth.services.services import Services
from berth.ui.app import Route, make_ui_app
from berth.ui.routes import ROUTES, SOCKETS

# Out of an element, an attribute in either kind of quotes, a title, a text area and a script; a browser that takes it for more
# than text makes an element that is not ours, and calls `hit`.
SHORT = '"><svg onload=hit()>'
HOSTILE = (
    "'"
    + SHORT
    + "</title></textarea></script><script>hit()</script><img src=x onerror=hit()>{{7*7}}\u202egnp.exe\x1b[1m"
)
LINK = "javascript:hit()//" + SHORT
REF = 'a"><svg/onload=hit()>'  # what git allows as a branch
_FINDING = finding_to_json(
    Finding(
        code="image.unauthorized",
        sentence=HOSTILE,
        fixer=Fixer.DEVELOPER,
        next_step=HOSTILE,
        evidence={HOSTILE: HOSTILE},
    )
)
_HOOK = failed_hook_to_json(FailedHook(hook=HOSTILE, exit_code=1, at=datetime.now(UTC)))

# Every column of text that takes what somebody typed, pushed or printed, whatever a service would refuse of it.
WRITTEN: dict[Column[Any], str] = {
    tables.accounts.c.name: HOSTILE,
    tables.accounts.c.email: HOSTILE,
    tables.accounts.c.suspension_reason: HOSTILE,
    tables.audit_log.c.actor_login: HOSTILE,
    tables.audit_log.c.action: HOSTILE,
    tables.audit_log.c.target: HOSTILE,
    tables.audit_log.c.detail: HOSTILE,
    tables.codespace_policies.c.allowed_images: json.dumps([HOSTILE]),
    tables.repositories.c.description: HOSTILE,
    tables.repositories.c.default_branch: REF,
    account_identities.c.issuer: HOSTILE,
    account_identities.c.shown: HOSTILE,
    sessions.c.address: HOSTILE,
    sessions.c.user_agent: HOSTILE,
    tables.teams.c.name: HOSTILE,
    tables.teams.c.description: HOSTILE,
    tables.codespaces.c.display_name: HOSTILE,
    tables.codespaces.c.ref: REF,
    tables.codespaces.c.commit_id: HOSTILE,
    tables.codespaces.c.devcontainer_path: HOSTILE,
    tables.codespaces.c.image: HOSTILE,
    tables.codespaces.c.remote_user: HOSTILE,
    tables.codespaces.c.remote_folder: HOSTILE,
    tables.codespaces.c.stop_notice: HOSTILE,
    tables.codespaces.c.failed_hook: _HOOK,
    prebuild_tables.prebuilds.c.branch: REF,
    prebuild_tables.prebuilds.c.devcontainer_path: HOSTILE,
    prebuild_tables.prebuilds.c.finding: _FINDING,
    tables.pull_requests.c.title: HOSTILE,
    tables.pull_requests.c.body: HOSTILE,
    tables.pull_requests.c.base_ref: REF,
    tables.pull_requests.c.head_ref: REF,
    tables.access_tokens.c.note: HOSTILE,
    tables.codespace_exports.c.branch: REF,
    tables.codespace_exports.c.finding: _FINDING,
    tables.codespace_log.c.text: HOSTILE,
    prebuild_tables.prebuild_log.c.text: HOSTILE,
    tables.credential_refreshes.c.said: HOSTILE,
    package_tables.manifests.c.artifact_type: HOSTILE,
}
# Written otherwise: by `make_hostile`.
ALSO = {
    tables.codespaces.c.finding: "of one that failed",
    package_tables.tags.c.name: "one of each package",
    package_tables.manifests.c.annotations: "of an image that is pushed",
}
# What the server chooses or checks to the last sign: words of ours, digests, ids; names of letters, digits and a few signs.
_OURS = """
type visibility role state kind level phase desired trigger machine location scopes permissions creatable_visibilities
allowed_options holder handle hash hint key digest sha base_sha head_sha configuration_hash server_id environment_id
container_id recent_folders id login login_key name_key slug media_type prebuilds.commit_id prebuild_versions.commit_id
manifests.subject account_identities.subject packages.name repositories.name secrets.name codespaces.name
codespace_policies.name chores.name last_checks.versions last_checks.outcome last_checks.code
"""
OURS = frozenset(_OURS.split())


async def _hole(page: Any) -> Any:
    """The positive control: what is taken for markup though a stranger wrote it."""
    return await page.render("problem.html", status=200, title="x", message=Markup(HOSTILE), remedy="")


HOLE = Route("GET", "/hole", _hole)


def make_app(services: Services) -> Any:
    """With a page that is not careful."""
    return make_ui_app(
        services,
        (HOLE, *ROUTES),
        clock=SystemClock(),
        entropy=SystemEntropy(),
        external_url=None,
        sockets=SOCKETS,
        node_modules=Path(__file__).parents[2] / "node_modules",
    )


@asynccontextmanager
async def make_hostile(folder: Path, store: Store) -> AsyncIterator[tuple[Browser, Seeded]]:
    """octo is a site administrator and owns nearly all of it."""
    async with make_registry(folder, store) as registry:
        berth = registry.berth
        seeded = await make_seeded(berth)
        await make_alike(seeded)
        registry.rest["octo"] = seeded.octo
        berth.services.codespace_sessions.executor = berth.services.codespaces._executor  # the terminal has a shell
        text = {HOSTILE: HOSTILE, "org.opencontainers.image.source": LINK, "org.opencontainers.image.url": LINK}
        config = {"os": HOSTILE, "architecture": HOSTILE, "history": [{"created_by": HOSTILE}]}
        content = json.dumps({**config, "config": {"User": HOSTILE, "Cmd": [HOSTILE], "Labels": text}}).encode()
        await (await registry.person("octo")).push("octo/app", image(b"a layer", config=content, annotations=text), "1")
        await _more(seeded)
        await _triples(seeded)
        ui = make_app(berth.services)
        app = make_front(rest=berth.rest, sockets=berth.rest, git=berth.git, oci=berth.rest, checks={}, ui=ui)
        octo = await ConsoleWorld(berth, app).set_password("octo")
        await _write(store)
        yield octo, seeded


async def _more(seeded: Seeded) -> None:
    """A branch and a configuration that are called so, a codespace that failed, one whose log goes on, a deleted package."""
    berth, octo = seeded.berth, seeded.octo
    config = {"name": HOSTILE, "image": HOSTILE}
    for path in (".devcontainer/devcontainer.json", ".devcontainer/'\"><b>x/devcontainer.json"):
        await _commit(octo, path, json.dumps(config))
    repository = int(seeded.values["repository_id"])
    await berth.repositories.fetch(repository, {"refs/heads/main": f"refs/heads/{REF}"}, source_id=repository)
    body = {"name": "described", "description": "x"}
    assert (await octo.post("/orgs/acme/teams", json=body)).is_success
    table = tables.codespaces
    async with berth.store.begin() as connection:
        one = (await connection.execute(select(table))).first()
        assert one is not None
        for name, more in (
            ("failed", {"phase": Phase.FAILED, "container_id": None, "finding": _FINDING}),
            ("busy", {"phase": Phase.PROVISIONING, "container_id": None, "generation": one.generation + 1}),
        ):
            row = {**one._asdict(), "name": name, "environment_id": name, "desired": Desired.RUNNING, **more}
            del row["id"]
            made = (await connection.execute(insert(table).values(row).returning(table.c.id))).scalar_one()
            lines = [{"kind": kind, "text": "x"} for kind in ("phase", "output")]
            log = [{**line, "codespace_id": made, "at": datetime.now(UTC)} for line in lines]
            await connection.execute(insert(tables.codespace_log), log)
            refresh = {"codespace_id": made, "generation": 1, "seen": 1, "epoch": 0, "attempts": 0, "said": "x"}
            await connection.execute(insert(tables.credential_refreshes).values(refresh))
        rows = await connection.execute(select(tables.accounts.c.login, tables.accounts.c.id))
        ids = {str(row.login): int(row.id) for row in rows}
        proved = Claims(issuer="https://id.example.com", subject="s", email="octo@example.com")
        await insert_identity(connection, ids["octo"], proved, datetime.now(UTC))
    for name in ("retired", "tagged"):
        package = await insert_package(berth.store, ids["acme"], name, Visibility.PRIVATE)
        await insert_version(berth.store, package, HOSTILE[:128], LINK)
    async with berth.store.begin() as connection:
        packages = package_tables.packages
        gone = packages.c.name == "retired"
        await connection.execute(update(packages).where(gone).values(deleted_at=datetime.now(UTC)))


async def _commit(octo: Any, path: str, content: str) -> None:
    target = f"/repos/acme/web/contents/{quote(path)}"
    body = {"message": "m", "content": base64.b64encode(content.encode()).decode()}
    known = await octo.get(target)
    if known.status_code == 200:
        body["sha"] = known.json()["sha"]
    answer = await octo.put(target, json=body)
    assert answer.is_success, answer.text


async def _triples(seeded: Seeded) -> None:
    """At each level, one of a server that is none."""
    for path in ("/user/codespaces/secrets", "/orgs/acme/codespaces/secrets", "/repos/acme/web/codespaces/secrets"):
        chosen = {"visibility": "selected", "selected_repository_ids": [int(seeded.values["repository_id"])]}
        for prefix, server in (("GHCR", "ghcr.io"), ("BAD", HOSTILE)):
            for word, value in (("SERVER", server), ("USER", HOSTILE), ("PASSWORD", "x")):
                body = {**await seal(seeded.octo, path, value.encode()), **chosen}
                answer = await seeded.octo.put(f"{path}/{prefix}_CONTAINER_REGISTRY_{word}", json=body)
                assert answer.is_success, answer.text


async def _write(store: Store) -> None:
    async with store.begin() as connection:
        for column, text in WRITTEN.items():
            await connection.execute(update(column.table).values({column: text}))
        await connection.execute(
            update(tables.accounts).where(tables.accounts.c.login == "octo").values(site_admin=True)
        )
        where = tables.accounts.c.login == "ada"
        await connection.execute(update(tables.accounts).where(where).values(suspended_at=datetime.now(UTC)))
