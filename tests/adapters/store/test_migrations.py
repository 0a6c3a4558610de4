"""What a migration does with the rows that are there; PostgreSQL changes tables in place, SQLite copies some of them."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, text

from berth.adapters.store import database
from berth.adapters.store.database import upgrade_tables

ACCOUNT = (
    "INSERT INTO accounts (id, login, login_key, type, site_admin, created_at, updated_at) "
    "VALUES (1, 'octo', 'octo', 'User', 0, '2026-01-01', '2026-01-01')"
)
TOKEN = (
    "INSERT INTO access_tokens (kind, account_id, note, scopes, hash, hint, created_at) "
    "VALUES ('ghp', 1, '', 'repo', :hash, 'abcd', '2026-01-01')"
)


def upgrade_to(connection: Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).with_name("migrations")))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def test_0002_keeps_the_tokens_their_indexes_and_their_numbering(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/old.db")
    with engine.begin() as connection:
        upgrade_to(connection, "0001")
        connection.execute(text(ACCOUNT))
        for number in range(3):
            connection.execute(text(TOKEN), {"hash": bytes([number])})
        connection.execute(text("DELETE FROM access_tokens WHERE id = 3"))
        upgrade_tables(connection)
        kept = connection.execute(text("SELECT id, hash, scopes, repository_id, permissions FROM access_tokens")).all()
        assert [tuple(row) for row in kept] == [(1, b"\0", "repo", None, None), (2, b"\1", "repo", None, None)]
        connection.execute(text(TOKEN), {"hash": b"new"})
        assert connection.execute(text("SELECT max(id) FROM access_tokens")).scalar() == 4  # 3 is never used again
        indexes = {row[1] for row in connection.execute(text("PRAGMA index_list(access_tokens)"))}
        assert indexes >= {f"ix_access_tokens_{column}" for column in ("account_id", "codespace_id", "repository_id")}
    engine.dispose()


CODESPACE = (
    "INSERT INTO codespaces (id, name, display_name, environment_id, owner_id, ref, machine, location, "
    "idle_timeout_minutes, retention_period_minutes, created_at, updated_at, last_used_at, desired, phase, generation, "
    "seen, epoch, attempts, next_at) VALUES (:id, :name, '', '', 1, 'main', 'm', 'WestEurope', 30, 60, '2026-01-01', "
    "'2026-01-01', '2026-01-01', :desired, :phase, 1, 1, 1, 0, NULL)"
)


def test_0009_gives_every_codespace_its_whole_time(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/old.db")
    kinds = [("running", "available"), ("stopped", "shutdown"), ("running", "failed"), ("stopped", "queued"),
             ("running", "queued")]  # fmt: skip
    with engine.begin() as connection:
        upgrade_to(connection, "0008")
        connection.execute(text(ACCOUNT))
        for number, (desired, phase) in enumerate(kinds):
            values = {"id": number, "name": f"c{number}", "desired": desired, "phase": phase}
            connection.execute(text(CODESPACE), values)
        upgrade_tables(connection)
        columns = "stopped_at IS NOT NULL, next_at, last_used_at > '2026-02', rebuild_asked, built, expiry_warned"
        found = connection.execute(text(f"SELECT {columns} FROM codespaces ORDER BY id")).all()
    engine.dispose()
    assert [tuple(row)[:3] for row in found] == [(0, None, 1), (1, 0.0, 0), (1, 0.0, 0), (1, 0.0, 0), (0, None, 0)]
    assert {tuple(row)[3:] for row in found} == {(0, 0, 0)}
