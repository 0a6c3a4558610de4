"""What bench/registry.py measures: each row of its table is a function of one target, and the bars that Berth must hold there."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from registry_client import (
    Content,
    Pulls,
    Refused,
    get_often,
    head_often,
    pull_is_whole,
    push,
    push_bytes,
    push_manifest,
)

NAME = "bench/app"
TAG = "latest"
LAYERS = 9
SMALL_BYTES = 1024
CONNECTIONS = 32
WARM_S = 1
PARALLEL = 8
MIXED_CONNECTIONS = 4
PULLS, PUSHES = 2, 1

REQUESTS, CPU_PER_REQUEST = "requests/s", "CPU us/request"
CPU, WALL = "CPU s/GiB", "wall s/GiB"
P99 = "p99 ms"
PEAK, GROWTH = "peak MB", "peak, 2nd / 1st time"


@dataclass(frozen=True, slots=True)
class Bar:
    """A ratio ours / peer; or, for `absolute`, a figure of ours alone. Better is lower, but for requests."""

    bar: float
    stretch: float
    absolute: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """`run` gives the figures of one round. Those that `bars` names are judged, the others are for the reader."""

    title: str
    run: Callable
    bars: dict
    tls: bool = False
    rounds: int | None = None  # None: as many as were asked for


class Bench:
    """The content that is measured with, and how long and how large."""

    def __init__(self, folder, size, seconds):
        self.folder, self.seconds = folder, seconds
        self.big = Content(folder / "content", size)
        self.seeded = {}  # target name -> Seeded

    @property
    def gib(self):
        return self.big.size / (1 << 30)

    def seed(self, target):
        """Fill an empty registry: an image with one large layer. What is there afterwards stays."""
        door, large = target.door(NAME), self.big.fresh()
        blobs = [push_bytes(door, f"{number:>{SMALL_BYTES}}".encode()) for number in range(LAYERS)]
        push(door, large)
        layer = {"mediaType": blobs[0]["mediaType"], "size": large.size, "digest": large.digest}
        manifest = push_manifest(door, TAG, [*blobs, layer])
        if not pull_is_whole(door, large.digest):
            raise Refused(f"{target.name} gives another content than it was given")
        self.seeded[target.name] = Seeded(manifest, blobs[0]["digest"], large.digest)
        target.keep()


@dataclass(frozen=True, slots=True)
class Seeded:
    """Digests of what a target holds."""

    manifest: str
    small: str
    big: str


def _gets(kind, reference):
    def run(bench, target, seconds=None):
        door = target.door(NAME)
        path = door.path(kind, reference(bench.seeded[target.name]))
        return rate(target, get_often, door, [path], seconds or bench.seconds, CONNECTIONS, bench.folder)

    return run


def _heads(bench, target, seconds=None):
    door = target.door(NAME)
    path = door.path("blobs", bench.seeded[target.name].small)
    return rate(target, head_often, door, path, seconds or bench.seconds, CONNECTIONS)


def rate(target, load, *arguments):
    """Requests a second, and what each costs the server; the second figure depends less on who else runs here."""
    before = target.cpu_s()
    count, seconds = load(*arguments)[:2]
    return {REQUESTS: count / seconds, CPU_PER_REQUEST: (target.cpu_s() - before) / count * 1e6}


def _pull(bench, target):
    door, seeded = target.door(NAME), bench.seeded[target.name]
    before = target.cpu_s()
    seconds = Pulls(door, [seeded.big], target.folder).wait(bench.big.size)
    return {CPU: (target.cpu_s() - before) / bench.gib, WALL: seconds / bench.gib}


def _push(*, as_docker):
    def run(bench, target):
        door, body = target.door(NAME), bench.big.fresh()
        before, started = target.cpu_s(), time.perf_counter()
        push(door, body, as_docker=as_docker)
        seconds = time.perf_counter() - started
        figures = {CPU: (target.cpu_s() - before) / bench.gib, WALL: seconds / bench.gib}
        target.drop(body.size)
        return figures

    return run


def _mixed(bench, target):
    """Small GETs while two pulls and a push of the large layer go on and on."""
    door, seeded = target.door(NAME), bench.seeded[target.name]
    end = threading.Event()

    def again(work):
        while not end.is_set():
            work()

    with ThreadPoolExecutor(PULLS + PUSHES) as pool:
        pulls = [
            pool.submit(again, lambda: Pulls(door, [seeded.big], target.folder).wait(bench.big.size))
            for _ in range(PULLS)
        ]
        pushes = [pool.submit(again, lambda: push(door, bench.big.fresh())) for _ in range(PUSHES)]
        try:
            time.sleep(0.5)
            paths = [door.path("manifests", TAG)]
            count, seconds, p99_s = get_often(door, paths, bench.seconds, MIXED_CONNECTIONS, bench.folder)
        finally:
            end.set()
        for work in (*pulls, *pushes):
            work.result()
    target.drop(bench.big.size)
    return {P99: p99_s * 1000, REQUESTS: count / seconds}


def _memory(bench, target):
    """Pushes at once, then pulls at once, in a process that has done nothing before; then all of it once more."""
    target.start(tls=target.tls)
    peaks = []
    for _ in range(2):
        door, bodies = target.door(NAME), [bench.big.fresh() for _ in range(PARALLEL)]
        with ThreadPoolExecutor(PARALLEL) as pool:
            list(pool.map(lambda body, door=door: push(door, body), bodies))
        door = target.door(NAME)
        Pulls(door, [body.digest for body in bodies], target.folder).wait(bench.big.size)
        peaks.append(target.peak_mb())
        target.drop(bench.big.size)
    return {PEAK: peaks[1], GROWTH: peaks[1] / peaks[0]}


def warm(bench, target, row):
    """Before the first round: what is compiled, opened or cached at a first request is not what is compared."""
    if REQUESTS in row.bars:
        row.run(bench, target, WARM_S)
    elif row.run is _pull:
        row.run(bench, target)


_SMALL = {REQUESTS: Bar(4, 7)}
ROWS = {
    "manifest-tag": Row("GET manifest by tag", _gets("manifests", lambda _: TAG), _SMALL),
    "manifest-digest": Row("GET manifest by digest", _gets("manifests", lambda seeded: seeded.manifest), _SMALL),
    "head-blob": Row("HEAD blob", _heads, _SMALL),
    "blob-1k": Row("GET blob of 1 KiB", _gets("blobs", lambda seeded: seeded.small), {REQUESTS: Bar(15, 35)}),
    "pull": Row("pull", _pull, {CPU: Bar(0.8, 0.67)}),
    "push": Row("push, POST and PUT", _push(as_docker=False), {CPU: Bar(0.8, 0.53), WALL: Bar(0.9, 0.5)}),
    "push-docker": Row("push, chunked PATCH", _push(as_docker=True), {CPU: Bar(0.95, 0.67)}),
    "mixed": Row(f"small GETs beside {PULLS} pulls, {PUSHES} push", _mixed, {P99: Bar(0.5, 0.25)}),
    "memory": Row(
        f"{PARALLEL} pushes, then {PARALLEL} pulls",
        _memory,
        {PEAK: Bar(120, 60, absolute=True), GROWTH: Bar(1.1, 1.02, absolute=True)},
        rounds=1,
    ),
    "tls-pull": Row("pull over TLS", _pull, {CPU: Bar(0.7, 0.5)}, tls=True),
    "tls-push": Row("push over TLS", _push(as_docker=False), {CPU: Bar(1.05, 0.85)}, tls=True),
}
