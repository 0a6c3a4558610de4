"""A world for pictures and counts: every list has something in it, and strangers have written what they could."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import insert, select, update
from tests.package_world import insert_package, insert_version
from tests.rest.grown import make_alike
from tests.rest.seeded import Seeded, make_seeded, seal
from tests.ui.browser import Browser, ConsoleWorld, make_console
from tests.ui.codespaces import pulling

from berth.adapters.store import package_tables, tables
from berth.adapters.store.database import Store
from berth.adapters.store.identity import insert_identity
from berth.adapters.store.session_tables import sessions
from berth.domain.codespace import finding_to_json
from berth.domain.finding import Finding, Fixer
from berth.domain.identity import Answer, Claims, Flow
from berth.domain.lifecycle import Desired, Phase
from berth.domain.machine import parse_machines
from berth.domain.problem import UpstreamFailed
from berth.domain.repository import Visibility
from berth.ui.routes import ROUTES

HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(2)>\u202etxt.exe'
_LONG = "without-a-break-" * 12
_PEOPLE = (
    ("grace", "Grace Hopper"), ("linus", "Linus"), ("margaret", "Margaret Hamilton"), ("dennis", None),
    ("barbara", "Barbara Liskov"), ("mallory", HOSTILE), ("a-login-as-long-as-a-login-may-be-here", _LONG),
)  # fmt: skip
_REPOSITORIES = ("api", "billing", "design-system", "infrastructure", "mobile-app", "handbook")
_TEAMS = ("Backend", "Design", "Platform")
_FAILED = Finding(
    code="image.unauthorized",
    sentence="ghcr.io rejected the credential GHCR_CONTAINER_REGISTRY_… (user): the token is wrong, expired or revoked.",
    fixer=Fixer.DEVELOPER,
    next_step="Make a classic token with `read:packages` at GitHub (ghp_…), and set PASSWORD to it.",
    evidence={"host": "ghcr.io", "status": "401", "level": "user", "prefix": "GHCR"},
)
_LOG = (
    ("phase", "Finding the credentials"),
    ("output", "ghcr.io is asked with GHCR_CONTAINER_REGISTRY_… (user)."),
    ("phase", "Pulling ghcr.io/acme/dev:1"),
    pulling(48_200_000),
    ("output", HOSTILE),
    ("output", _LONG),
)
_PROVED = Claims(issuer="https://id.example.com", subject="s1", email="octo@example.com")
_GIGABYTE = 1_000_000_000
_MACHINES = parse_machines(
    '[{"name": "standardLinux", "cpus": 2, "memory_gb": 8, "storage_gb": 32}, {"name": "largeLinux", "cpus": 8, "memory_gb": 32}]'
)


class _NoProvider:
    """One that is there to be named."""

    issuer, host = _PROVED.issuer, "id.example.com"

    async def begin(self, flow: Flow, redirect_uri: str) -> str:
        raise UpstreamFailed("There is none.")

    async def finish(self, flow: Flow, answer: Answer, redirect_uri: str) -> Claims:
        raise UpstreamFailed("There is none.")


@dataclass
class Pictured:
    """The console, its people's browsers by login, and the values that paths are filled with."""

    console: ConsoleWorld
    seeded: Seeded
    browsers: dict[str, Browser]
    values: dict[str, str]

    def url(self, path: str, values: dict[str, str], query: str = "") -> str:
        filled = {name: text.format_map(self.values) for name, text in values.items()}
        known = {**self.values, **filled}
        parts = re.sub(r"\{(\w+)(:path)?\}", lambda part: quote(known[part[1]], safe="/" if part[2] else ""), path)
        return parts + (f"?{query}" if query else "")


@asynccontextmanager
async def make_pictured(folder: Path, store: Store) -> AsyncIterator[Pictured]:
    """`origin=None`: in this process it is reached by https, and a real browser reaches it by http."""
    async with make_console(folder, store, origin=None, provider=_NoProvider(), machines=_MACHINES) as console:
        seeded = await make_seeded(console.berth)
        await make_alike(seeded)
        await _people_and_places(seeded)
        async with store.begin() as connection:
            rows = await connection.execute(select(tables.accounts.c.login, tables.accounts.c.id))
            accounts = {str(row.login): int(row.id) for row in rows}
        values = {**seeded.values, "version": seeded.versions["/orgs"], **await _codespaces(seeded)}
        await _packages(seeded, accounts)
        await _registries(seeded)
        console.berth.registry.findings[_FAILED.code] = _FAILED
        await _tokens(seeded)
        await _not_renewed(store)
        browsers = {"octo": await console.set_password("octo"), "admin": await console.set_password("admin")}
        browsers[""] = console.browser()
        await _try_logins(console, browsers["octo"])
        await _sessions(store, accounts["octo"])
        async with store.begin() as connection:
            await insert_identity(connection, accounts["octo"], _PROVED, datetime.now(UTC))
        values["invitation"] = (await console.invite("grace")).rpartition("/")[2]
        yield Pictured(console, seeded, browsers, values)


async def _expect(seeded: Seeded, method: str, path: str, body: dict[str, Any]) -> None:
    answer = await seeded.octo.request(method, path, json=body)
    assert answer.is_success, f"{method} {path}: {answer.text}"


async def _people_and_places(seeded: Seeded) -> None:
    for number, (login, name) in enumerate(_PEOPLE):
        await seeded.berth.user(login, "repo")
        role = "admin" if number == 0 else "member"
        await _expect(seeded, "PUT", f"/orgs/acme/memberships/{login}", {"role": role})
        async with seeded.berth.store.begin() as connection:
            where = tables.accounts.c.login == login
            await connection.execute(update(tables.accounts).where(where).values(name=name))
    for login, reason in (("dennis", "Left the company in June"), ("mallory", HOSTILE)):
        answer = await seeded.berth.admin.put(f"/users/{login}/suspended", json={"reason": reason})
        assert answer.is_success, answer.text
    await seeded.berth.organization("umbrella", "octo")
    policy = {"allowed_images": ["docker.io/**", "ghcr.io/acme/**"], "allowed_options": ["privileged"]}
    await _expect(seeded, "PUT", "/orgs/acme/codespaces/policies/base", policy)
    for number, name in enumerate(_REPOSITORIES):
        body = {"name": name, "private": number % 3 > 0, "description": HOSTILE if number == 2 else f"Our {name}."}
        await _expect(seeded, "POST", "/orgs/acme/repos", body)
    for name in _TEAMS:
        await _expect(seeded, "POST", "/orgs/acme/teams", {"name": name, "description": f"{name} and all around it"})
        for login, _name in _PEOPLE[:3]:
            await _expect(seeded, "PUT", f"/orgs/acme/teams/{name.lower()}/memberships/{login}", {})


async def _codespaces(seeded: Seeded) -> dict[str, str]:
    """In several states, as copies of the one that is there; their names by state."""
    table, now = tables.codespaces, datetime.now(UTC)
    running, stopped = (
        {"desired": Desired.RUNNING},
        {"desired": Desired.STOPPED, "stopped_at": now - timedelta(minutes=25)},
    )
    changes: dict[str, dict[str, Any]] = {
        "stopped": {**stopped, "phase": Phase.SHUTDOWN, "display_name": "Payments spike", "ref": "feature/sepa-payments"},
        "starting": {**running, "phase": Phase.STARTING, "display_name": HOSTILE[:48], "generation": 2, "ref": "main"},
        "provisioning": {
            **running, "phase": Phase.PROVISIONING, "display_name": "Review of #42", "generation": 2,
            "container_id": None, "ref": "a/branch/" + _LONG,
        },
        "failed": {
            **running, "phase": Phase.FAILED, "display_name": "Billing, from a private image", "container_id": None,
            "finding": finding_to_json(_FAILED),
        },
    }  # fmt: skip
    async with seeded.berth.store.begin() as connection:
        one = (await connection.execute(select(table).where(table.c.name == seeded.values["name"]))).one()._asdict()
        del one["id"]
        for number, (state, change) in enumerate(changes.items()):
            used = now - timedelta(hours=5 * number + 1)
            row = {"name": f"octo-{state}", "environment_id": f"e-{state}", "created_at": used, "last_used_at": used}
            made = await connection.execute(insert(table).values(**{**one, **row, **change}).returning(table.c.id))
            codespace_id = made.scalar_one()
            for second, (kind, text) in enumerate(_LOG):
                at = used + timedelta(seconds=second)
                row = {"codespace_id": codespace_id, "at": at, "kind": kind, "text": text}
                await connection.execute(insert(tables.codespace_log).values(row))
        await connection.execute(update(tables.codespace_exports).values(completed_at=now))
    return {state: f"octo-{state}" for state in changes}


async def _packages(seeded: Seeded, accounts: dict[str, int]) -> None:
    store, linked = seeded.berth.store, int(seeded.values["repository_id"])
    for owner, name, visibility, linked_to in (
        ("acme", "api", Visibility.INTERNAL, linked),
        ("acme", "tools/builder", Visibility.PRIVATE, linked),
        ("acme", "base", Visibility.PUBLIC, None),
        ("acme", "images/" + "a-long-name-" * 8 + "end", Visibility.PRIVATE, None),
        ("octo", "dotfiles", Visibility.PUBLIC, None),
    ):
        package = await insert_package(store, accounts[owner], name, visibility, repository_id=linked_to)
        await insert_version(store, package, "1", layer=name.encode())
        await insert_version(store, package, "2", "latest", "v" + "0" * 100, layer=name.encode() * 3)
    gone = await insert_package(store, accounts["acme"], "retired", Visibility.PRIVATE)
    await insert_version(store, gone, "1")
    async with store.begin() as connection:
        packages = package_tables.packages
        await connection.execute(update(packages).where(packages.c.id == gone).values(deleted_at=datetime.now(UTC)))
        blobs = package_tables.blobs
        for blob in (await connection.execute(select(blobs.c.id))).scalars().all():
            size = 3_200_000 * (blob % 7 + 1) + _GIGABYTE * (blob % 2)
            await connection.execute(update(blobs).where(blobs.c.id == blob).values(size=size))


async def _registries(seeded: Seeded) -> None:
    """Triples at each level, one without its password."""
    for path, prefix, host, words in (
        ("/user/codespaces/secrets", "GHCR", b"ghcr.io", ("SERVER", "USER", "PASSWORD")),
        ("/user/codespaces/secrets", "HUB", b"docker.io", ("SERVER", "USER")),
        ("/orgs/acme/codespaces/secrets", "ACR", b"acme.azurecr.io", ("SERVER", "USER", "PASSWORD")),
        ("/repos/acme/web/codespaces/secrets", "QUAY", b"quay.io", ("SERVER", "USER", "PASSWORD")),
    ):
        repositories = [int(seeded.values["repository_id"])]
        more: dict[str, Any] = {"visibility": "selected", "selected_repository_ids": repositories}
        for word in words:
            value = host if word == "SERVER" else b"a-robot-account"
            body = {**await seal(seeded.octo, path, value), **more}
            await _expect(seeded, "PUT", f"{path}/{prefix}_CONTAINER_REGISTRY_{word}", body)


async def _try_logins(console: ConsoleWorld, octo: Browser) -> None:
    """One is taken, one is refused; the others nobody has tried."""
    registry, base = console.berth.registry, "/acme/web/settings/registries"
    await octo.submit("/registries", "/registries/GHCR/check")
    registry.refusal = "image.unauthorized"
    await octo.submit(base, f"{base}/QUAY/check")
    registry.refusal = ""


async def _tokens(seeded: Seeded) -> None:
    now = datetime.now(UTC)
    notes: tuple[tuple[str, timedelta | None], ...] = (
        ("CI of the handbook", timedelta(days=3)), (HOSTILE, timedelta(days=200)), ("an old laptop", -timedelta(days=2)),
        (_LONG[:200], None),
    )  # fmt: skip
    for note, life in notes:
        body = {"scopes": ["repo", "read:packages", "codespace"], "note": note}
        await _expect(seeded, "POST", "/user/tokens", body)
        async with seeded.berth.store.begin() as connection:
            where = tables.access_tokens.c.note == note
            end = None if life is None else now + life
            await connection.execute(update(tables.access_tokens).where(where).values(expires_at=end))


async def _not_renewed(store: Store) -> None:
    """Running codespaces whose credentials are not fresh."""
    refreshes = tables.credential_refreshes
    async with store.begin() as connection:
        where = tables.codespaces.c.desired == Desired.RUNNING
        ids = (await connection.execute(select(tables.codespaces.c.id).where(where))).scalars().all()
        for number, codespace in enumerate(ids[:2]):
            row = {"generation": 1, "seen": 1, "epoch": 0, "attempts": 0, "codespace_id": codespace}
            said = "failed" if number else f"AWS refuses the keys of ECR_CONTAINER_REGISTRY_*.\n{HOSTILE}"
            await connection.execute(insert(refreshes).values(**row, said=said))


async def _sessions(store: Store, account: int) -> None:
    """Other browsers of one person."""
    now = datetime.now(UTC)
    agents = (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1 Version/18.0 Mobile Safari/604.1",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0",
        HOSTILE,
    )
    async with store.begin() as connection:
        for number, agent in enumerate(agents):
            at = now - timedelta(hours=7 * (number + 1))
            row = {"account_id": account, "hash": bytes([number]) * 32, "created_at": at, "last_seen_at": at}
            await connection.execute(insert(sessions).values(**row, address="2001:db8::1f", user_agent=agent))


def paths_of_pages() -> set[str]:
    """What the console shows: the paths of all GET routes."""
    return {route.path for route in ROUTES if route.method == "GET"}
