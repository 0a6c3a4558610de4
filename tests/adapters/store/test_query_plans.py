"""No statement of a push, a pull or a page of garbage collection reads a whole table: not beside 100 000 packages either.

PostgreSQL plans by what the tables hold, so they are filled. SQLite, without statistics, plans by the indexes alone.
"""

import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.adapters.postgres import in_memory
from tests.garbage_world import AFTER_GRACE, MONTH, OWNER, GarbageWorld, Replica, make_garbage_world

from berth.adapters.store import package as package_rows
from berth.domain.image_reference import Digest
from berth.domain.package import PackageName

LARGE = {"packages", "manifests", "manifest_references", "tags", "blobs", "package_blobs", "uploads", "blob_trash"}
# Indexes of few rows, whatever the table holds.
SMALL_INDEXES = {"ix_packages_unpublished", "ix_packages_retention"}

PACKAGES, BLOBS = 20_000, 60_000
_DIGEST = "'sha256:' || lpad(to_hex({}), 64, '0')"
FILL = [
    "SET LOCAL session_replication_role = replica",  # no foreign keys are checked
    f"""INSERT INTO packages (id, owner_id, name, visibility, inherits_access, creator_token_id, created_at, updated_at,
            published_at)
        SELECT n + 1000, {{owner}}, 'many-' || n, 'private', false, 1, '2026-01-01', '2026-01-01', '2026-01-01'
        FROM generate_series(1, {PACKAGES}) n""",
    f"""INSERT INTO manifests (id, package_id, digest, media_type, artifact_type, size, created_at, updated_at, content)
        SELECT n + 1000, n + 1000, {_DIGEST.format("n")}, 't', '', 2, '2026-01-01', '2026-01-01', '{{{{}}}}'
        FROM generate_series(1, {PACKAGES}) n""",
    f"""INSERT INTO tags (package_id, name, manifest_id, updated_at)
        SELECT n + 1000, 'latest', n + 1000, '2026-01-01' FROM generate_series(1, {PACKAGES}) n""",
    f"""INSERT INTO blobs (id, digest, size, location, touched_at)
        SELECT n + 1000, {_DIGEST.format("n")}, 2, 'content/' || n, '2026-01-01' FROM generate_series(1, {BLOBS}) n""",
    f"""INSERT INTO package_blobs (package_id, blob_id, touched_at, deleted)
        SELECT n + 1000, (n * 3 + k) % {BLOBS} + 1001, '2026-01-01', false
        FROM generate_series(1, {PACKAGES}) n, generate_series(1, 10) k""",
    f"""INSERT INTO manifest_references (manifest_id, package_id, kind, digest)
        SELECT n + 1000, n + 1000, 'blob', {_DIGEST.format(f"(n * 3 + k) % {BLOBS} + 1")}
        FROM generate_series(1, {PACKAGES}) n, generate_series(1, 10) k""",
    """INSERT INTO uploads (id, package_id, token_id, size, handle, created_at, touched_at)
        SELECT 'upload ' || n, n + 1000, 1, 0, '', '2026-01-01', '2030-01-01' FROM generate_series(1, 5000) n""",
    """INSERT INTO blob_trash (location, added_at)
        SELECT 'content/trash ' || n, '2030-01-01' FROM generate_series(1, 5000) n""",
    "ANALYZE",
]


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[GarbageWorld]:
    with tempfile.TemporaryDirectory(prefix="berth-blobs-", dir=in_memory()) as folder:
        async with make_garbage_world(database_url, Path(folder)) as made:
            if not made.one.store.is_sqlite:
                async with made.one.store.begin() as connection:
                    for statement in FILL:
                        await connection.execute(text(statement.format(owner=made.one.owner)))
            yield made


@contextmanager
def recording(replica: Replica) -> Iterator[dict[str, Any]]:
    """Every statement that the block sends, with parameters of one time."""
    sent: dict[str, Any] = {}

    def note(
        _connection: object, _cursor: object, statement: str, parameters: Any, _context: object, many: bool
    ) -> None:
        if (
            not many
            and statement.split(maxsplit=1)[0] in {"SELECT", "UPDATE", "DELETE"}
            and "pg_catalog" not in statement
        ):
            sent[statement] = parameters

    event.listen(replica.store.engine.sync_engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(replica.store.engine.sync_engine, "before_cursor_execute", note)


async def find_scans(replica: Replica, sent: dict[str, Any]) -> list[str]:
    """What of it reads a large table from one end to the other, and the statement."""
    explain = _explain_sqlite if replica.store.is_sqlite else _explain_postgresql
    found = []
    async with replica.store.read() as connection:
        for statement, parameters in sent.items():
            for scan in await connection.run_sync(explain, statement, parameters):
                found.append(f"{scan}: {statement}")
    return found


def _explain_sqlite(connection: Connection, statement: str, parameters: Any) -> list[str]:
    """A scan of an index is one of the table as well."""
    plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
    details = [str(row[3]) for row in plan]
    return [
        detail
        for detail in details
        if detail.startswith("SCAN ") and detail.split()[1] in LARGE and not SMALL_INDEXES & set(detail.split())
    ]


def _explain_postgresql(connection: Connection, statement: str, parameters: Any) -> list[str]:
    (plan,) = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).one()
    found = []

    def walk(node: dict[str, Any]) -> None:
        kind, table = node["Node Type"], node.get("Relation Name")
        whole = kind == "Seq Scan" or ("Index" in kind and "Index Cond" not in node)
        if table in LARGE and whole and node.get("Index Name") not in SMALL_INDEXES:
            found.append(f"{kind} of {table}")
        for child in node.get("Plans", []):
            walk(child)

    walk((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])
    return found


async def push_and_pull(replica: Replica) -> None:
    name, caller = PackageName(OWNER, "app"), replica.caller("app", "source")
    await replica.push_image("source", b"{}", b"layer")
    signed = await replica.push_image("app", b"{}", b"layer", tag="1")
    await replica.push_index("app", signed, tag="index")
    await replica.push_image("app", b"{}", b"signature", subject=signed)
    await replica.push_image("app", b"{}", b"another", tag="1")
    assert await replica.mount("app", Digest.of(b"layer"), "source")
    assert await replica.blobs.mount(caller, name, Digest.of(b"layer"), None)
    await replica.blobs.cancel(await replica.begin("app"))
    upload = await replica.begin("app")
    await replica.blobs.find_upload(caller, name, upload.id)
    assert await replica.read("app", Digest.of(b"layer")) == b"layer"
    await replica.push_blob("app", b"unneeded")
    replica.clock.move(AFTER_GRACE)
    assert await replica.head("app", Digest.of(b"unneeded"))
    for reference in ("1", signed):
        await replica.manifests.get(caller, name, reference)
    await replica.manifests.list_tags(caller, name, after="", limit=10)
    for artifact_type in (None, "a/b"):
        listed = {"artifact_type": artifact_type, "after": 0, "limit": 10}
        await replica.manifests.list_referrers(caller, name, signed, **listed)  # type: ignore[arg-type]
    await replica.blobs.delete(caller, name, Digest.of(b"unneeded"))
    for reference in ("1", signed):
        await replica.manifests.delete(caller, name, reference)


async def leave_garbage(replica: Replica, connection: AsyncConnection) -> None:
    """Something of everything that a collection removes."""
    deleted_at = replica.clock.now()
    for name, values in (("gone", {"deleted_at": deleted_at}), ("app", {"untagged_retention_days": 1})):
        await package_rows.update_package(connection, await replica.package_id(name), dict(values))


async def test_no_push_and_no_pull_reads_a_whole_table(world: GarbageWorld) -> None:
    with recording(world.one) as sent:
        await push_and_pull(world.one)
    assert len(sent) > 35
    assert await find_scans(world.one, sent) == []


async def test_no_page_of_a_collection_reads_a_whole_table(world: GarbageWorld) -> None:
    one = world.one
    await push_and_pull(one)
    await one.push_image("gone", b"{}")
    await one.push_blob("unpublished", b"{}")
    await one.push_image("app", b"{}", b"untagged")
    async with one.store.begin() as connection:
        await leave_garbage(one, connection)
    with recording(one) as sent:
        for _ in range(3):
            world.clock.move(MONTH)
            await one.collect()
    assert len(sent) > 25
    assert await find_scans(one, sent) == []


async def test_a_scan_would_be_seen(world: GarbageWorld) -> None:
    one = world.one
    sent: dict[str, Any] = {
        statement: {} if not one.store.is_sqlite else ()
        for statement in (
            "SELECT id FROM packages WHERE visibility = 'public'",
            "SELECT count(*) FROM tags",
            "UPDATE manifests SET size = 1",
            "DELETE FROM package_blobs WHERE deleted",
            "SELECT id FROM packages WHERE id = 1",
        )
    }
    assert [scan.rpartition(": ")[2] for scan in await find_scans(one, sent)] == list(sent)[:-1]
