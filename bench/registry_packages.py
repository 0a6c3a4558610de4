"""How the cost of a manifest depends on how many packages there are: the same few are read, the others only lie in the database.

Berth alone: three servers, each with a store of its own, filled while it was stopped, measured in turn.
"""

import math
import secrets
from contextlib import contextmanager

import psycopg
from registry_client import Refused, get_often, push_bytes, push_manifest
from registry_rows import CONNECTIONS, TAG, WARM_S, rate
from registry_targets import USER
from sqlalchemy import MetaData, create_engine, func, make_url, select, text

READ = 10  # packages that are made by pushes, and that are read
SIZES = (READ, 1_000, 100_000)
LEAST = 0.9  # requests/s with the most packages, divided by those with the fewest
STRETCH = 0.98
BATCH = 1_000
FILLED = ("packages", "manifests", "manifest_references", "tags", "blobs", "package_blobs")


def names():
    return [f"{USER}/package-{number}" for number in range(READ)]


def push_packages(target):
    for name in names():
        door = target.door(name)
        blob = push_bytes(door, f"{name:>1024}".encode())
        push_manifest(door, TAG, [blob])


def fill(database_url, count):
    """Give a stopped server `count` packages more: copies of the last one, each with its own names, digests and blob.

    The tables are looked up in the database, so that a new column is copied like the others.
    """
    url = make_url(database_url)
    engine = create_engine(url.set(drivername="postgresql+psycopg") if url.get_backend_name() == "postgresql" else url)
    tables = MetaData()
    with engine.begin() as connection:
        tables.reflect(connection, only=FILLED)
        template = _Template(connection, tables.tables)
        for start in range(0, count, BATCH):
            numbers = range(start + 1, min(start + BATCH, count) + 1)
            for name in FILLED:
                rows = [row for number in numbers for row in template.rows(name, number)]
                connection.execute(tables.tables[name].insert(), rows)
        if url.get_backend_name() == "postgresql":
            for name in ("packages", "manifests", "blobs"):  # the ids that were written here shall not be given again
                query = f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), (SELECT max(id) FROM {name}))"
                connection.execute(text(query))
    with engine.connect() as connection:  # as a server that has run for a while has done
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("ANALYZE"))
    engine.dispose()


class _Template:
    """The newest package with all its rows, as they are; a copy moves their ids up, past those that are there."""

    def __init__(self, connection, tables):
        package = connection.scalar(select(func.max(tables["packages"].c.id)))
        self._own = {"packages": _read(connection, tables["packages"], id=package)}
        for name in ("manifests", "tags", "package_blobs"):
            self._own[name] = _read(connection, tables[name], package_id=package)
        manifest, blob = self._own["manifests"][0]["id"], self._own["package_blobs"][0]["blob_id"]
        self._own["manifest_references"] = _read(connection, tables["manifest_references"], manifest_id=manifest)
        self._own["blobs"] = _read(connection, tables["blobs"], id=blob)
        if any(len(self._own[name]) != 1 for name in FILLED):
            raise Refused(
                f"the template is not one row a table: { {name: len(rows) for name, rows in self._own.items()} }"
            )
        self._most = {
            key: connection.scalar(select(func.max(tables[name].c.id)))
            for key, name in (("package_id", "packages"), ("manifest_id", "manifests"), ("blob_id", "blobs"))
        }

    def rows(self, table, number):
        """Copies of this table's rows for the number-th copy of the package."""
        moved = {key: most + number for key, most in self._most.items()}
        own = {"packages": "package_id", "manifests": "manifest_id", "blobs": "blob_id"}.get(table)
        changed = {
            "packages": {"name": f"filler-{number}"},
            "manifests": {"digest": f"sha256:{number:064x}"},
            "manifest_references": {"digest": f"sha256:f{number:063x}"},
            "blobs": {"digest": f"sha256:f{number:063x}", "location": f"filler-{number}"},
        }
        for row in self._own[table]:
            ids = {key: value for key, value in moved.items() if key in row}
            yield {**row, **ids, **({"id": moved[own]} if own else {}), **changed.get(table, {})}


def _read(connection, table, **where):
    query = select(table).filter_by(**where)
    return [dict(row) for row in connection.execute(query).mappings()]


@contextmanager
def database_beside(database_url):
    """A new database on the same PostgreSQL, for one server; dropped at the end."""
    url, name = make_url(database_url), f"berth_bench_{secrets.token_hex(4)}"
    if url.get_backend_name() != "postgresql":
        raise SystemExit("--database-url is for PostgreSQL; SQLite is what is measured without it")
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    try:
        yield url.set(drivername="postgresql", database=name).render_as_string(hide_password=False)
    finally:
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def measure_packages(targets, bench, rounds, say):
    """`targets`: by size, running and empty. Gives requests/s by size, a list of rounds each."""
    figures = {size: [] for size in targets}
    for size, target in targets.items():
        push_packages(target)
        if size > READ:
            target.stop()
            fill(target.database_url, size - READ)
            target.start()
        _once(target, bench, WARM_S)
    for _ in range(rounds):
        for size, target in targets.items():
            found = _once(target, bench, bench.seconds)
            figures[size].append(found)
            say(f"packages, {size}", target, found)
    return figures


def _once(target, bench, seconds):
    door = target.door(*names())
    paths = [f"/v2/{name}/manifests/{TAG}" for name in names()]
    return rate(target, get_often, door, paths, seconds, CONNECTIONS, bench.folder)


def slope(by_size):
    """Per cent of the requests/s that are lost with ten times as many packages: least squares on the logarithm."""
    points = [(math.log10(size), figure / by_size[min(by_size)]) for size, figure in by_size.items()]
    middle = [sum(values) / len(points) for values in zip(*points, strict=True)]
    across = sum((x - middle[0]) ** 2 for x, _ in points)
    return -100 * sum((x - middle[0]) * (y - middle[1]) for x, y in points) / across
