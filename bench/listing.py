"""What a page of 30 items takes beside a page of one: 1 000 codespaces, 10 000 packages, 100 secrets at each level.

`berth serve` on one core, over loopback HTTP, its client on the other: the check of the token, the access decision, the
queries, 30 bodies as JSON. All of a list's four pages (first and last, of one item and of 30) are asked in turn, again and
again; medians are compared. The server's CPU time is shown beside them: it says more where others are at work. Databases:
SQLite, and a PostgreSQL that is started for it (whose CPU is not counted).

Exit status 1 if the bar is not held: a page of 30 takes at most twice as long as a page of one.
"""

import argparse
import base64
import http.client
import json
import os
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from registry_client import Refused
from registry_targets import Berth, log_tail
from rich.console import Console
from rich.table import Table
from sqlalchemy import create_engine, func, insert, make_url, select, text, update

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.adapters.postgres import start_cluster  # noqa: E402 the tests' own PostgreSQL

from berth.adapters.store import package_tables, tables  # noqa: E402
from berth.client import Client, SecretOwner  # noqa: E402
from berth.domain.scope import Scope  # noqa: E402
from berth.domain.secret_text import SecretText  # noqa: E402

DATABASES = ("sqlite", "postgresql")
BAR = 2.0
ITEMS = 30
CODESPACES, PACKAGES, SECRETS = 1_000, 10_000, 100
WARM = 5  # rounds that are not counted
USER, ORGANIZATION, REPOSITORY = "octo", "acme", "acme/web"
AT_REST = {"desired": "stopped", "phase": "shutdown", "next_at": 2**40}  # nothing for the lifecycle loop to do
LISTS = {  # path: how long the list is
    "/user/codespaces": CODESPACES,
    f"/repos/{REPOSITORY}/codespaces": CODESPACES,
    f"/orgs/{ORGANIZATION}/codespaces": CODESPACES,
    f"/orgs/{ORGANIZATION}/packages?package_type=container": PACKAGES,
    "/user/codespaces/secrets": SECRETS,
    f"/repos/{REPOSITORY}/codespaces/secrets": SECRETS,
    f"/orgs/{ORGANIZATION}/codespaces/secrets": SECRETS,
}


class World:
    """A server of its own with the three kinds of things, and the token of the user whose they are."""

    def __init__(self, folder, core, database_url):
        settings = {"DATABASE_URL": database_url} if database_url else {}
        self.target = Berth(folder, core, (None, None), settings=settings, name="postgresql" if settings else "sqlite")
        self.token = None

    def fill(self):
        """People, a repository and secrets by the API; the many rows of the rest are copies, put in while it is stopped."""
        self.target.start()
        admin = Client(self._origin, SecretText((self.target.data / "admin-token").read_text().strip()))
        admin.create_user(USER, f"{USER}@example.com")
        scopes = [str(scope) for scope in Scope if scope is not Scope.SITE_ADMIN]
        self.token = SecretText(admin.create_user_token(USER, scopes).token)
        admin.create_organization(ORGANIZATION, USER)
        with Client(self._origin, self.token) as octo:
            repository = octo.create_repository(REPOSITORY, private=True)
            self._commit()
            for owner, fields in (
                (SecretOwner.user(), {"selected_repository_ids": [repository.id]}),
                (SecretOwner.organization(ORGANIZATION), {"visibility": "all"}),
                (SecretOwner.repository(REPOSITORY), {}),
            ):
                for number in range(SECRETS):
                    octo.set_secret(owner, f"SECRET_{number}", SecretText("value"), **fields)
            octo.create_codespace(REPOSITORY)
        self.target.stop()
        self._copy_rows(repository.id)
        self.target.start()

    def _commit(self):
        body = {"message": "dev container", "content": base64.b64encode(b'{"image": "debian"}').decode()}
        url = f"{self._origin}/api/v3/repos/{REPOSITORY}/contents/.devcontainer/devcontainer.json"
        httpx.put(url, headers=self.headers, json=body, trust_env=False).raise_for_status()

    def _copy_rows(self, repository_id):
        with open_rows(self.target.database_url) as connection:
            connection.execute(update(tables.codespaces).values(**AT_REST, seen=tables.codespaces.c.generation))
            copy_rows(connection, repository_id)

    @property
    def _origin(self):
        return f"http://{self.target.host}"

    @property
    def headers(self):
        return {"Authorization": f"token {self.token.reveal()}"}


def cpu_s(target):
    """Of a server, which is one process. See Target.cpu_s, which looks for its children: too long for each request."""
    return time.clock_gettime((~target.process.pid << 3) | 2)


@contextmanager
def open_rows(database_url):
    """For many rows at once. Afterwards the database knows how many there are, as with a server that has run for a while."""
    url = make_url(database_url)
    is_sqlite = url.get_backend_name() == "sqlite"
    engine = create_engine(url if is_sqlite else url.set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        yield connection
    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("ANALYZE"))
    engine.dispose()


def copy_rows(connection, repository_id):
    """Its first codespace, until there are CODESPACES; PACKAGES, each with a version, of its owner and linked to it."""
    codespaces, repositories = tables.codespaces, tables.repositories
    query = select(codespaces).where(codespaces.c.repository_id == repository_id).order_by(codespaces.c.id).limit(1)
    row = connection.execute(query).one()._asdict()
    del row["id"]
    missing = CODESPACES - connection.scalar(select(func.count()).select_from(codespaces))
    copies = [{**row, "name": f"many-{n}", "environment_id": f"{n:036}"} for n in range(missing)]
    connection.execute(insert(codespaces), copies)
    owner_id = connection.scalar(select(repositories.c.owner_id).where(repositories.c.id == repository_id))
    _insert_packages(connection, owner_id, repository_id, row["created_at"])


def _insert_packages(connection, owner_id, repository_id, at):
    times = {"created_at": at, "updated_at": at}
    package = {
        **times,
        "owner_id": owner_id,
        "visibility": "private",
        "inherits_access": True,
        "repository_id": repository_id,
        "creator_token_id": 1,
        "published_at": at,
    }
    packages, manifests = package_tables.packages, package_tables.manifests
    connection.execute(insert(packages), [{**package, "name": f"package-{n}"} for n in range(PACKAGES)])
    media = "application/vnd.oci.image.manifest.v1+json"
    version = {**times, "media_type": media, "artifact_type": "", "size": 2, "content": b"{}"}
    ids = connection.execute(select(packages.c.id).where(packages.c.name.startswith("package-"))).scalars()
    rows = [{**version, "package_id": each, "digest": f"sha256:{each:064x}"} for each in ids]
    connection.execute(insert(manifests), rows)


@dataclass(frozen=True, slots=True)
class Pages:
    """One line of the table: a list's first or last page. Seconds by how many items it has: until it came, and of CPU."""

    database: str
    path: str
    which: str
    times: dict
    cpu: dict

    @property
    def ratio(self):
        return _ratio(self.times)

    def cells(self):
        return [
            f"{value:.2f}"
            for times in (self.times, self.cpu)
            for value in (*(statistics.median(times[items]) * 1000 for items in (1, ITEMS)), _ratio(times))
        ]


def _ratio(times):
    return statistics.median(times[ITEMS]) / statistics.median(times[1])


def measure_list(world, connection, path, total, rounds):
    """The first and the last page that is full, of one item and of 30, in turn."""
    asked = [(which, items) for which in ("first", "last") for items in (1, ITEMS)]
    found = {which: Pages(world.target.name, path, which, {1: [], ITEMS: []}, {1: [], ITEMS: []}) for which, _ in asked}
    separator = "&" if "?" in path else "?"
    for number in range(WARM + rounds):
        for which, items in asked:
            page = 1 if which == "first" else total // items
            url = f"/api/v3{path}{separator}per_page={items}&page={page}"
            started, used = time.perf_counter(), cpu_s(world.target)
            connection.request("GET", url, headers=world.headers)
            answer = connection.getresponse()
            body = answer.read()
            seconds, used = time.perf_counter() - started, cpu_s(world.target) - used
            if number == 0:
                check(url, answer, body, items)
            if number >= WARM:
                found[which].times[items].append(seconds)
                found[which].cpu[items].append(used)
    return list(found.values())


def check(url, answer, body, items):
    """What is measured is a page with that many items. Raises Refused."""
    found = json.loads(body)
    if answer.status == 200:
        found = found if isinstance(found, list) else next(each for each in found.values() if isinstance(each, list))
    if answer.status != 200 or len(found) != items:
        raise Refused(f"GET {url}: {answer.status}, {body[:200]!r}")


def measure(database, folder, cores, rounds):
    """All lists on one database."""
    with ExitStack() as stack:
        url = stack.enter_context(start_cluster()).create_database() if database == "postgresql" else None
        world = World(folder, cores[0], url)
        stack.callback(world.target.stop)
        try:
            world.fill()
            connection = http.client.HTTPConnection(world.target.host, timeout=60)
            stack.callback(connection.close)
            return [
                pages for path, total in LISTS.items() for pages in measure_list(world, connection, path, total, rounds)
            ]
        except Refused as problem:
            raise Refused(f"{problem}\nthe server's log ends:\n{log_tail(world.target.log)}") from problem


def report(results, rounds):
    """Prints the table. Returns the lines that do not hold the bar."""
    table = Table(title=f"Lists: medians of {rounds} requests each, interleaved", title_justify="left")
    figures = ("1 item, ms", f"{ITEMS} items, ms", "ratio", "CPU: 1, ms", f"{ITEMS}, ms", "ratio")
    for column in ("database", "list", "page", *figures, "bar", "held"):
        table.add_column(column, justify="left" if column in {"database", "list", "page"} else "right")
    missed = []
    for each in results:
        held = each.ratio <= BAR
        where = each.path.partition("?")[0]
        table.add_row(each.database, where, each.which, *each.cells(), f"<= {BAR:.1f}", "yes" if held else "NO")
        if not held:
            missed.append(f"{each.database} {where}, {each.which} page")
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    console.print(table)
    worst = max(results, key=lambda each: each.ratio)
    console.print(f"The worst ratio is {worst.ratio:.2f}: {worst.path.partition('?')[0]}, {worst.database}")
    console.print(f"{CODESPACES} codespaces, {PACKAGES} packages, {SECRETS} secrets at each of three levels")
    return missed


def machine():
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), ": unknown")
    return f"{os.cpu_count()} cores, {model.partition(':')[2].strip()}"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100, help="of each page; at least 50 for a result that counts")
    parser.add_argument("--databases", default=",".join(DATABASES), help="which of them, separated by commas")
    parser.add_argument("--folder", help="where the servers' data is while it runs; a real disk")
    chosen = parser.parse_args()
    chosen.databases = chosen.databases.split(",")
    if unknown := set(chosen.databases) - set(DATABASES):
        parser.error(f"there is no database {', '.join(sorted(unknown))}; there are: {', '.join(DATABASES)}")
    return chosen


def main():
    chosen, load = arguments(), os.getloadavg()[0]
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("two cores are needed: one for the server, one for who asks it")
    results = []
    with tempfile.TemporaryDirectory(prefix="berth-bench-", dir=chosen.folder) as folder:
        os.sched_setaffinity(0, {cores[1]})
        try:
            for database in chosen.databases:
                results += measure(database, Path(folder), cores, chosen.rounds)
        except Refused as problem:
            raise SystemExit(f"listing: {problem}") from problem
    missed = report(results, chosen.rounds)
    print(f"Machine: {machine()}, load {load:.1f} before")
    if missed:
        raise SystemExit(f"these did not hold their bar: {'; '.join(missed)}")


if __name__ == "__main__":
    main()
