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


def in_memory(otherwise: str | None = None) -> str | None:
    """Where temporary files cost no disk: what is synchronised there is synchronised at once."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else otherwise


@dataclass
class Cluster:
    """A running cluster; `create_database` gives each test its own, a copy of one that was migrated once."""

    folder: Path
    programs: Path
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _connection: psycopg.Connection | None = None

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

    def create_database(self, *, icu_locale: str | None = None) -> str:
        """The URL of a new database: migrated, or empty and in the alphabet of this locale."""
        name = f"test_{next(self._numbers)}"
        template = _TEMPLATE
        if icu_locale is not None:
            template = f"template0 LOCALE_PROVIDER icu ICU_LOCALE '{icu_locale}' LOCALE 'C.UTF-8'"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return f"postgresql://{_USER}@/{name}?host={self.folder}"

    def drop_database(self, url: str) -> None:
        """Keeps the cluster small: it lies in memory."""
        name = url.partition("@/")[2].partition("?")[0]
        self._execute(f"DROP DATABASE {name} WITH (FORCE)")

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
