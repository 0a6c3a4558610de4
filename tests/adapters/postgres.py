"""A PostgreSQL cluster of the tests' own: on a socket in a directory of its own, without durability, gone afterwards."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg
from sqlalchemy import create_engine

from berth.adapters.store.database import upgrade_tables

_OPTIONS = (
    "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c listen_addresses='' -c max_connections=200"
)
_USER = "postgres"
_TEMPLATE = "migrated"
_FILLED = "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND oid >= 16384 AND pg_relation_size(oid) > 0"
_SHAPE = """
SELECT (SELECT string_agg(relname, ',' ORDER BY oid) FROM pg_class WHERE oid >= 16384 AND relkind <> 't'),
  (SELECT string_agg(attname, ',' ORDER BY attrelid, attnum) FROM pg_attribute WHERE attrelid >= 16384 AND attnum > 0),
  (SELECT string_agg(conname, ',' ORDER BY oid) FROM pg_constraint WHERE oid >= 16384), (SELECT count(*) FROM pg_trigger),
  (SELECT count(*) FROM pg_proc WHERE oid >= 16384), (SELECT count(*) FROM pg_db_role_setting),
  (SELECT count(*) FROM pg_statistic WHERE starelid >= 16384), (SELECT min(version_num) FROM alembic_version)
"""
_END_OTHERS = """
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


def in_memory(otherwise: str | None = None) -> str | None:
    """Where temporary files cost no disk: what is synchronised there is synchronised at once."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else otherwise


@dataclass
class Cluster:
    """A running cluster; each test has a database of its own, a copy of one that was migrated once.

    `lend` gives one that `give_back` emptied, if there is one: making one takes several times as long.
    """

    folder: Path
    programs: Path
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _connection: psycopg.Connection | None = None
    _given_back: list[str] = field(default_factory=list)
    _shape: tuple[object, ...] | None = None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        options = f"{_OPTIONS} -k {self.folder}"
        _run(self.programs / "pg_ctl", "-D", self.data, "-w", "-l", self.folder / "log", "-o", options, "start")

    def end(self) -> None:
        """At once, as when its processes are killed: what was committed is there after the next start."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        _run(self.programs / "pg_ctl", "-D", self.data, "-w", "-m", "immediate", "stop")

    def make_template(self) -> None:
        """The migrated database that `create_database` copies."""
        self._execute(f"CREATE DATABASE {_TEMPLATE}")
        engine = create_engine(f"postgresql+psycopg://{_USER}@/{_TEMPLATE}?host={self.folder}")
        with engine.begin() as connection:
            upgrade_tables(connection)
        engine.dispose()
        with psycopg.connect(self._url(_TEMPLATE)) as connection:
            self._shape = connection.execute(_SHAPE).fetchone()
            filled = connection.execute(_FILLED).fetchall()
        assert filled == [("alembic_version",)], "what else a migration writes, `give_back` has to keep, too"

    def create_database(self, *, icu_locale: str | None = None) -> str:
        """The URL of a new database: migrated, or empty and in the alphabet of this locale."""
        name = f"test_{next(self._numbers)}"
        template = _TEMPLATE
        if icu_locale is not None:
            template = f"template0 LOCALE_PROVIDER icu ICU_LOCALE '{icu_locale}' LOCALE 'C.UTF-8'"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self._url(name)

    def lend(self) -> str:
        """The URL of a migrated, empty database, until `give_back`."""
        return self._given_back.pop() if self._given_back else self.create_database()

    def give_back(self, url: str) -> None:
        """Empty it for the next one. One of which more than its rows was changed, or that was analysed, is dropped."""
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(_END_OTHERS)
            is_as_it_was = connection.execute(_SHAPE).fetchone() == self._shape
            filled = [name for (name,) in connection.execute(_FILLED) if name != "alembic_version"]
            if is_as_it_was and filled:
                connection.execute(f"TRUNCATE {', '.join(filled)} RESTART IDENTITY CASCADE".encode())
        if is_as_it_was:
            self._given_back.append(url)
        else:
            self.drop_database(url)

    def drop_database(self, url: str) -> None:
        """Keeps the cluster small: it lies in memory."""
        name = url.partition("@/")[2].partition("?")[0]
        self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _url(self, name: str) -> str:
        return f"postgresql://{_USER}@/{name}?host={self.folder}"

    def _execute(self, statement: str) -> None:
        if self._connection is None:
            self._connection = psycopg.connect(host=str(self.folder), user=_USER, dbname="postgres", autocommit=True)
        self._connection.execute(statement)


def find_programs() -> Path | None:
    """Where Debian keeps the newest server's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


def _run(*command: str | Path) -> None:
    """As another user where we are root: the server refuses to run as root."""
    words = [str(word) for word in command]
    if os.geteuid() == 0:
        words = ["runuser", "-u", _USER, "--", *words]
    done = subprocess.run(words, check=False, capture_output=True, text=True, cwd="/", timeout=60)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"


@contextmanager
def start_cluster() -> Iterator[Cluster]:
    """Runs as long as the block."""
    programs = find_programs()
    assert programs is not None, "PostgreSQL's server programs are not installed"
    folder = Path(
        tempfile.mkdtemp(prefix="berth-pg-", dir=in_memory("/tmp"))
    )  # short: a socket's path has 107 bytes at most
    if os.geteuid() == 0:
        user = pwd.getpwnam(_USER)
        os.chown(folder, user.pw_uid, user.pw_gid)
    cluster = Cluster(folder, programs)
    try:
        _run(
            programs / "initdb",
            "-D",
            cluster.data,
            "-U",
            _USER,
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-sync",
            "--locale=C.UTF-8",
        )
        cluster.start()
        try:
            cluster.make_template()
            yield cluster
        finally:
            cluster.end()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
