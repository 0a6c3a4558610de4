"""What the console's pages take: 1 000 codespaces, 10 000 packages, 300 rows in the other lists.

The world of the tests' table of pages (tests/ui/pages.py), made in this process, goes on in a `berth serve` on one core; its
client is on the other. Each page is asked as the person who looks at it, one page after the other, again and again. CPU is the
server's: it and the least time say more where others are at work. The page that only a server with an identity provider has is
left out; the last pages of the long lists, a search, and a member who is no owner are added.

Exit status 1 if a page is over the bar: its median time, or its size.
"""

import argparse
import asyncio
import http.client
import os
import re
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from listing import DATABASES, copy_rows, cpu_s, machine, open_rows, start_cluster
from registry_client import Refused
from registry_targets import Berth, log_tail
from rich.console import Console
from rich.table import Table
from sqlalchemy import func, insert, select, update
from tests.rest.grown import grow
from tests.ui.pages import PAGES, Shown
from tests.ui.pictured import make_pictured

from berth.adapters.store import package_tables, tables
from berth.adapters.store.database import Store, upgrade_tables
from berth.adapters.store.session_tables import metadata

ROWS, AUDIT = 300, 20_000
BAR_MS, BAR_KB = 100, 100
WARM = 2  # rounds that are not counted
MEMBER = "ada"
ADDED = (
    Shown("codespaces-last", "/codespaces", query="page=33"),
    Shown("organization-codespaces-last", "/orgs/{org}/codespaces", query="page=33"),
    Shown("packages-of-organization-last", "/orgs/{org}/packages", query="page=333"),
    Shown("packages-found", "/orgs/{org}/packages", query="q=age-99"),
    Shown("packages-of-member", "/packages", viewer=MEMBER),
    Shown("packages-of-organization-member", "/orgs/{org}/packages", viewer=MEMBER),
    Shown("audit-not-found", "/orgs/{org}/audit", query="target=nothing-is-called-this"),
)
ASKED = (*(each for each in PAGES if each.name != "identity-refused"), *ADDED)
NOT_DUE = 2**40  # seconds since 1970: the loops have nothing to do


@dataclass
class Asked:
    """A page, the cookie of who looks at it, and what its requests took: seconds until it came, and of the server's CPU."""

    shown: Shown
    url: str
    cookie: str
    size: int = 0
    times: list = field(default_factory=list)
    cpu: list = field(default_factory=list)

    @property
    def p50(self):
        return statistics.median(self.times) * 1000


async def make_world(folder, database_url):
    """The pages' world with ROWS more of everything. Gives the repository's id, the administrator's token, and what to ask."""
    store = Store(database_url)
    try:
        async with store.begin() as connection:
            await connection.run_sync(upgrade_tables)
        async with make_pictured(folder, store) as pictured:
            await grow(pictured.seeded, ROWS)
            pictured.browsers[MEMBER] = await pictured.console.set_password(MEMBER)
            cookies = {login: f"berth-session={each.session}" for login, each in pictured.browsers.items() if login}
            asked = [
                Asked(each, pictured.url(each.path, each.values, each.query), cookies.get(each.viewer, ""))
                for each in ASKED
            ]
            return int(pictured.seeded.values["repository_id"]), pictured.console.berth.admin_token, asked
    finally:
        await store.close()


def fill(connection, repository_id):
    """The many rows, and nothing for the loops to do. What is in a state stays in it."""
    log = tables.audit_log
    copy_rows(connection, repository_id)
    newest = select(log).where(log.c.account_id.is_not(None)).order_by(log.c.id.desc()).limit(1)
    event = connection.execute(newest).one()._asdict()
    del event["id"]
    organization = select(tables.accounts.c.id).where(tables.accounts.c.login == "acme")
    event["account_id"] = connection.scalar(organization)
    connection.execute(insert(log), [event] * AUDIT)
    for table in metadata.tables.values():
        if "next_at" in table.c:
            rest = {"seen": table.c.generation} if table is not tables.credential_refreshes else {}
            connection.execute(update(table).values(next_at=NOT_DUE, **rest))
    for table, bar in ((tables.codespaces, 1_000), (package_tables.packages, 10_000)):
        found = connection.scalar(select(func.count()).select_from(table))
        if found < bar:
            raise Refused(f"there are {found} {table.name}, not {bar}")


def ask(target, connection, asked):
    headers = {"Cookie": asked.cookie} if asked.cookie else {}
    started, used = time.perf_counter(), cpu_s(target)
    connection.request("GET", asked.url, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    seconds, used = time.perf_counter() - started, cpu_s(target) - used
    if answer.status != asked.shown.status:
        said = re.sub(rb"(<[^>]*>|\s)+", b" ", body)
        raise Refused(f"GET {asked.url}: {answer.status}, {said[:400]!r}")
    asked.size = max(asked.size, len(body))
    return seconds, used


def measure(database, folder, cores, rounds, wanted):
    """All pages on one database."""
    with ExitStack() as stack:
        url = stack.enter_context(start_cluster()).create_database() if database == "postgresql" else None
        settings = {
            "MASTER_KEY_FILE": str(folder / database / "data" / "key"),
            **({"DATABASE_URL": url} if url else {}),
        }
        target = Berth(folder, cores[0], (None, None), settings=settings, name=database)
        target.data.mkdir(0o700)
        repository_id, token, asked = asyncio.run(make_world(target.data, target.database_url))
        (target.data / "admin-token").write_text(token)
        asked = [each for each in asked if not wanted or each.shown.name in wanted]
        with open_rows(target.database_url) as connection:
            fill(connection, repository_id)
        stack.callback(target.stop)
        try:
            target.start()
            connection = stack.enter_context(closing(http.client.HTTPConnection(target.host, timeout=60)))
            for number in range(WARM + rounds):
                for each in asked:
                    seconds, used = ask(target, connection, each)
                    if number >= WARM:
                        each.times.append(seconds)
                        each.cpu.append(used)
        except Refused as problem:
            raise Refused(f"{problem}\nthe server's log ends:\n{log_tail(target.log)}") from problem
    return asked


def report(console, database, asked, chosen):
    """Prints the table, the slowest page first. Returns the pages that are over the bar."""
    title = f"Pages on {database}: {chosen.rounds} requests each, in turn; bar {chosen.bar_ms:g} ms, {BAR_KB} KB"
    table = Table(title=title, title_justify="left")
    for column in ("page", "path", "p50, ms", "worst", "least", "CPU p50", "KB", "held"):
        table.add_column(column, justify="left" if column in {"page", "path"} else "right")
    over = []
    for each in sorted(asked, key=lambda each: each.p50, reverse=True):
        held = each.p50 <= chosen.bar_ms and each.size < BAR_KB * 1000
        if not held:
            over.append(f"{each.shown.name} ({database})")
        times = (statistics.median(each.times), max(each.times), min(each.times), statistics.median(each.cpu))
        cells = [f"{value:.1f}" for value in (*(value * 1000 for value in times), each.size / 1000)]
        table.add_row(each.shown.name, each.shown.path, *cells, "yes" if held else "NO")
    console.print(table)
    return over


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="of each page")
    parser.add_argument("--bar-ms", type=float, default=BAR_MS, help="the most that a page's median may be")
    parser.add_argument("--databases", default="sqlite", help=f"of {', '.join(DATABASES)}, separated by commas")
    parser.add_argument("--pages", default="", help="names of tests/ui/pages.py, separated by commas; else all")
    parser.add_argument("--folder", help="where the servers' data is while it runs; a real disk")
    chosen = parser.parse_args()
    chosen.databases = chosen.databases.split(",")
    chosen.pages = set(filter(None, chosen.pages.split(",")))
    if unknown := set(chosen.databases) - set(DATABASES):
        parser.error(f"there is no database {', '.join(sorted(unknown))}; there are: {', '.join(DATABASES)}")
    if unknown := chosen.pages - {each.name for each in ASKED}:
        parser.error(f"there is no page {', '.join(sorted(unknown))}")
    return chosen


def main():
    chosen, load = arguments(), os.getloadavg()[0]
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("two cores are needed: one for the server, one for who asks it")
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    over = []
    with tempfile.TemporaryDirectory(prefix="berth-bench-", dir=chosen.folder) as folder:
        os.sched_setaffinity(0, {cores[1]})
        try:
            for database in chosen.databases:
                asked = measure(database, Path(folder), cores, chosen.rounds, chosen.pages)
                over += report(console, database, asked, chosen)
        except Refused as problem:
            raise SystemExit(f"console: {problem}") from problem
    print(f"Machine: {machine()}, load {load:.1f} before, {os.getloadavg()[0]:.1f} after")
    if over:
        raise SystemExit(f"these are over their bar: {', '.join(over)}")


if __name__ == "__main__":
    main()
