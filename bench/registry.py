"""The built-in registry beside its peers, CNCF distribution with token authentication: speed and memory, as the bars ask.

Each server has one core, the client another. Rounds are interleaved (A B C A B C ...), medians are compared. CPU seconds are
those of the server's processes. Pushes go to disk with fsync, pulls come from the page cache. The whole product is measured:
routing, token check, access decision, store. Exit status 1 if Berth does not hold a bar.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from registry_client import FRESH_BYTES, MIB, Refused
from registry_packages import LEAST, SIZES, STRETCH, database_beside, measure_packages, slope
from registry_rows import REQUESTS, ROWS, Bar, Bench, warm
from registry_targets import Berth, Distribution, log_tail, make_certificate
from rich.console import Console
from rich.table import Table

PACKAGES = "packages"
DEBIAN_HANDICAP = 3  # distribution 3 answers about three times as many requests as Debian's 2.8.2
PROGRAMS = {"curl": "curl", "wrk": "wrk"}  # program -> Debian package
WIDTH = 150  # of the table, where the output is no terminal
QUIET_LOAD = 0.5


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words = ", ".join([*ROWS, PACKAGES])
    parser.add_argument("--rows", type=lambda text: text.split(","), help=f"names joined by commas; all are: {words}")
    parser.add_argument("--rounds", type=int, default=5, help="of each; at least 5 for a result that counts")
    parser.add_argument("--size", type=int, default=1024, help="of a large blob, MiB; 1024 for a result that counts")
    parser.add_argument("--seconds", type=int, default=5, help="of small requests in a round")
    parser.add_argument("--targets", type=lambda text: text.split(","), help="default: berth,debian and d3 if given")
    parser.add_argument("--d3", metavar="PATH", help="distribution 3's program; then the bars are against it")
    parser.add_argument(
        "--database-url",
        help="Berth on this PostgreSQL (whose CPU is not counted), in databases that are made and dropped",
    )
    parser.add_argument(
        "--blobs",
        help="Berth's BERTH_BLOBS: a folder or s3://bucket/prefix; from the latter pushed blobs are not removed",
    )
    parser.add_argument("--setting", action="append", default=[], metavar="NAME=VALUE", help="a further BERTH_ setting")
    parser.add_argument("--folder", type=Path, help="where servers keep their data: a real disk, for fsync to count")
    parser.add_argument("--cores", default="0,1", help="the server's, the client's")
    chosen = parser.parse_args()
    chosen.rows = chosen.rows or [*ROWS, PACKAGES]
    chosen.targets = chosen.targets or ["berth", "debian", *(["d3"] if chosen.d3 else [])]
    for name in chosen.rows:
        if name not in ROWS and name != PACKAGES:
            parser.error(f"there is no row {name}; there are: {words}")
    if unknown := [name for name in chosen.targets if name not in {"berth", "debian", "d3"}]:
        parser.error(f"there is no target {', '.join(unknown)}; there are: berth, debian, d3")
    if "d3" in chosen.targets and not chosen.d3:
        parser.error("the target d3 needs --d3 PATH")
    if chosen.size * MIB <= FRESH_BYTES or chosen.rounds < 1 or chosen.seconds < 1:
        parser.error("--size, --rounds and --seconds are at least 1")
    return chosen


def check_machine(chosen):
    """Programs and cores. Returns (server's core, client's core)."""
    if missing := [package for program, package in PROGRAMS.items() if shutil.which(program) is None]:
        raise SystemExit(f"please install, as root: apt-get install --no-install-recommends {' '.join(missing)}")
    cores = [int(word) for word in chosen.cores.split(",")]
    if len(set(cores)) != 2 or not set(cores) <= os.sched_getaffinity(0):
        raise SystemExit(f"two cores are needed; here are {sorted(os.sched_getaffinity(0))}, and --cores says {cores}")
    return cores


class Makers:
    """Makes targets by name, and ends them."""

    def __init__(self, stack, chosen, folder, core):
        self._stack, self._chosen, self._folder, self._core = stack, chosen, folder, core
        self._certificate = make_certificate(folder)

    @contextmanager
    def logs_shown(self):
        """Their logs go with the folder; what they say last is what explains a failure."""
        try:
            yield
        except Refused as problem:
            logs = "".join(f"\n{path.parent.name}'s log ends:\n{log_tail(path)}" for path in self._folder.glob("*/log"))
            raise Refused(f"{problem}{logs}") from problem

    def make(self, name, instance=None):
        """`instance`: another name, where there are several."""
        if name == "berth":
            settings = dict(pair.split("=", 1) for pair in self._chosen.setting)
            if self._chosen.blobs:
                settings["BLOBS"] = self._chosen.blobs
            if self._chosen.database_url:
                settings["DATABASE_URL"] = self._stack.enter_context(database_beside(self._chosen.database_url))
            target = Berth(self._folder, self._core, self._certificate, settings=settings, name=instance or name)
        else:
            program = self._chosen.d3 if name == "d3" else "docker-registry"
            target = Distribution(self._folder, self._core, self._certificate, name=name, program=program)
        self._stack.callback(target.stop)
        return target


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the table: a figure's rounds by target, and what is asked of ours."""

    title: str
    unit: str
    figures: dict
    bar: Bar | None

    def median(self, name):
        return statistics.median(self.figures[name])

    def ratio(self, ours, peer):
        return self.median(ours) / self.median(peer) if peer in self.figures else None

    def judge(self, ours, peer, handicap):
        """What the bar, the stretch and the verdict say; a bar against a peer that is not there is not judged."""
        higher = self.unit == REQUESTS
        value = self.ratio(ours, peer) if self.bar is None or not self.bar.absolute else self.median(ours)
        if self.bar is None or value is None:
            return "-", "-", "-"
        times = handicap if higher else 1
        bar, stretch = self.bar.bar * times, self.bar.stretch * times
        held = value >= bar if higher else value <= bar
        sign, whose = ">=" if higher else "<=", " (ours)" if self.bar.absolute else ""
        return f"{sign} {bar:.3g}{whose}", f"{sign} {stretch:.3g}", "yes" if held else "NO"


def say(what, target, figures):
    words = ", ".join(f"{value:.4g} {unit}" for unit, value in figures.items())
    print(f"{what}: {target.name}: {words}", file=sys.stderr, flush=True)


def measure_row(name, targets, bench, rounds):
    row, figures = ROWS[name], {}
    for target in targets:
        if target.process is None or target.tls != row.tls:
            target.start(tls=row.tls)
        warm(bench, target, row)
    for _ in range(row.rounds or rounds):
        for target in targets:
            os.sync()  # what others wrote is not this one's business
            found = row.run(bench, target)
            say(name, target, found)
            for unit, value in found.items():
                figures.setdefault(unit, {}).setdefault(target.name, []).append(value)
    return [Result(row.title, unit, by_target, row.bars.get(unit)) for unit, by_target in figures.items()]


def measure_growth(makers, bench, rounds):
    """Requests/s with few and with many packages, and how they fall."""
    targets = {size: makers.make("berth", f"berth-{size}") for size in SIZES}
    for target in targets.values():
        target.start()
    by_size = measure_packages(targets, bench, rounds, say)
    for target in targets.values():
        target.stop()
    medians = {size: statistics.median(round_[REQUESTS] for round_ in found) for size, found in by_size.items()}
    few, many = min(SIZES), max(SIZES)
    title = "GET manifest, packages: "
    rates = [
        Result(f"{title}{size}", REQUESTS, {"berth": [found[REQUESTS] for found in by_size[size]]}, None)
        for size in SIZES
    ]
    lost = Result(title + "ten times as many", "% fewer requests/s", {"berth": [slope(medians)]}, None)
    kept = Result(
        f"{title}{many} / {few}", "time a request", {"berth": [medians[few] / medians[many]]},
        Bar(1 / LEAST, 1 / STRETCH, absolute=True),
    )  # fmt: skip
    return [*rates, lost, kept]


@contextmanager
def data_folder(folder):
    with tempfile.TemporaryDirectory(prefix="berth-bench-", dir=folder) as made:
        yield Path(made)


def measure(chosen):
    """All rows: the results, what each target is, the file system. Raises Refused."""
    server_core, client_core = check_machine(chosen)
    os.sched_setaffinity(0, {client_core})
    results = []
    with ExitStack() as stack:
        folder = stack.enter_context(data_folder(chosen.folder))
        makers = Makers(stack, chosen, folder, server_core)
        stack.enter_context(makers.logs_shown())
        bench = Bench(folder, chosen.size * MIB, chosen.seconds)
        targets = [makers.make(name) for name in chosen.targets]
        rows = [name for name in chosen.rows if name != PACKAGES]
        for target in targets if rows else []:
            target.start()
            bench.seed(target)
        for name in sorted(rows, key=lambda name: ROWS[name].tls):
            results += measure_row(name, targets, bench, chosen.rounds)
        for target in targets:
            target.stop()
        if PACKAGES in chosen.rows and "berth" in chosen.targets:
            results += measure_growth(makers, bench, chosen.rounds)
        return results, {target.name: target.what for target in targets}, file_system(folder)


def file_system(folder):
    done = subprocess.run(["df", "--output=fstype", str(folder)], capture_output=True, text=True, check=True)
    return done.stdout.split()[-1]


def machine():
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), ": unknown")
    return f"{os.cpu_count()} cores, {model.partition(':')[2].strip()}"


def report(chosen, results, programs, disk, load):
    """Prints the table. Returns the lines that do not hold their bar."""
    ours, *others = chosen.targets
    peer = "d3" if "d3" in others else next(iter(others), None)
    handicap = DEBIAN_HANDICAP if peer == "debian" else 1
    judged = ours == "berth"
    table = Table(title=f"Registry: medians of {chosen.rounds} rounds, interleaved", title_justify="left")
    compared = f"{ours} / {peer}" if peer else "ratio"
    for column in ("what", "unit", *chosen.targets, compared, *(("bar", "stretch", "held") if judged else ())):
        table.add_column(column, justify="left" if column in {"what", "unit"} else "right")
    missed, above = [], None
    for result in results:
        cells = [f"{result.median(name):.4g}" if name in result.figures else "-" for name in chosen.targets]
        ratio = result.ratio(ours, peer)
        cells.append("-" if ratio is None else f"{ratio:.3g}")
        if judged:
            cells += result.judge(ours, peer, handicap)
            if cells[-1] == "NO":
                missed.append(f"{result.title}, {result.unit}")
        table.add_row("" if result.title == above else result.title, result.unit, *cells)
        above = result.title
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    console.print(table)
    for name, what in programs.items():
        console.print(f"{name}: {what}")
    if judged and handicap != 1:
        console.print(
            f"Without distribution 3 (--d3) the bars for {REQUESTS} are {handicap} times as high, against Debian's."
        )
    console.print(f"Large blobs: {chosen.size} MiB on {disk}. Machine: {machine()}, load {load:.1f} before")
    if load > QUIET_LOAD:
        console.print("Others were at work here: even CPU seconds can double then, and the verdicts do not count.")
    return missed


def main():
    chosen, load = arguments(), os.getloadavg()[0]
    try:
        results, programs, disk = measure(chosen)
    except Refused as problem:
        raise SystemExit(f"registry: {problem}") from problem
    missed = report(chosen, results, programs, disk, load)
    if missed:
        raise SystemExit(f"these did not hold their bar: {'; '.join(missed)}")


if __name__ == "__main__":
    main()
