"""Machines: how much of the engine a codespace may use, as the administrator offers it.

1. Without the setting MACHINES there is one, without limits. With it there are exactly those that it names; the first is
   what a codespace gets that does not ask.
2. The engine enforces processors and memory (swap counts as memory). Storage is what is shown: no engine limits it.
3. A codespace whose machine is not offered any more runs as the first one: a limit that the administrator made holds for
   those that were there before, too.
"""

import re
from dataclasses import dataclass

from berth.domain.problem import Invalid
from berth.domain.strict_json import parse_json_object

MAX_MACHINES = 50
MAX_CPUS = 4096
MAX_GB = 1024 * 1024
MIN_MEMORY_GB = 0.0625  # engines refuse less than a few megabytes, and a shell needs more
_GB = 1024**3
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_KEYS = frozenset({"name", "display_name", "cpus", "memory_gb", "storage_gb"})
_MAX_DISPLAY_NAME = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One kind of machine. 0 is "no limit of its own"."""

    name: str
    display_name: str
    cpus: int = 0
    memory_bytes: int = 0
    storage_bytes: int = 0

    @property
    def engine_arguments(self) -> tuple[str, ...]:
        """For `docker run`. Swap is not extra: without that argument there would be as much again."""
        cpus = (f"--cpus={self.cpus}",) if self.cpus else ()
        memory = (f"--memory={self.memory_bytes}", f"--memory-swap={self.memory_bytes}") if self.memory_bytes else ()
        return (*cpus, *memory)

    @property
    def engine_limits(self) -> dict[str, int]:
        """The same in the engine's own words. Source: Docker Engine API 1.41, HostConfig."""
        cpus = {"NanoCpus": self.cpus * 10**9} if self.cpus else {}
        memory = {"Memory": self.memory_bytes, "MemorySwap": self.memory_bytes} if self.memory_bytes else {}
        return {**cpus, **memory}


UNLIMITED = Machine(name="standardLinux", display_name="Whole server, no limits")


@dataclass(frozen=True, slots=True)
class Machines:
    """What is offered, at least one; the first is the default."""

    offered: tuple[Machine, ...] = (UNLIMITED,)

    @property
    def default(self) -> Machine:
        return self.offered[0]

    def find(self, name: str) -> Machine | None:
        """The one of this name, in its own case."""
        return next((machine for machine in self.offered if machine.name == name), None)

    def resolve(self, name: str) -> Machine:
        """What a codespace of this machine runs as (policy 3)."""
        return self.find(name) or self.default

    def choose(self, name: str | None) -> Machine:
        """What somebody asks for; nothing or the empty text is the default. Raises Invalid."""
        if not name:
            return self.default
        found = self.find(name)
        if found is None:
            names = ", ".join(machine.name for machine in self.offered)
            raise Invalid(
                f"There is no machine '{name[:40]}'; there is {names}.", field="machine", code="codespace.machine"
            )
        return found


def parse_machines(text: str) -> Machines:
    """The setting: a JSON array of objects. Raises ValueError with a sentence about "it"."""
    if not text.strip():
        return Machines()
    try:
        entries = parse_json_object(b'{"machines": %b}' % text.encode())["machines"]
    except Invalid as problem:
        raise ValueError("it is not a JSON array of machines") from problem
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_MACHINES:
        raise ValueError(f"it is an array of 1 to {MAX_MACHINES} machines")
    offered = tuple(_parse_machine(entry) for entry in entries)
    if len({machine.name.lower() for machine in offered}) != len(offered):
        raise ValueError("it names a machine twice")
    return Machines(offered)


def _parse_machine(entry: object) -> Machine:
    if not isinstance(entry, dict) or not entry.keys() <= _KEYS:
        raise ValueError(f"each machine is an object with {', '.join(sorted(_KEYS))}")
    name = entry.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError("a machine's name has 1 to 64 letters, digits, - and _, and begins with a letter")
    cpus = entry.get("cpus")
    if type(cpus) is not int or not 1 <= cpus <= MAX_CPUS:
        raise ValueError(f"the cpus of {name} are a whole number from 1 to {MAX_CPUS}")
    memory_gb = _parse_gb(name, "memory_gb", entry.get("memory_gb"), least=MIN_MEMORY_GB)
    storage_gb = _parse_gb(name, "storage_gb", entry.get("storage_gb", 0), least=0)
    storage = f", {storage_gb:g} GB storage" if storage_gb else ""
    shown = entry.get("display_name", f"{cpus} core{'s' * (cpus > 1)}, {memory_gb:g} GB RAM{storage}")
    if not isinstance(shown, str) or not shown.isprintable() or not 1 <= len(shown) <= _MAX_DISPLAY_NAME:
        raise ValueError(f"the display_name of {name} is a text of at most {_MAX_DISPLAY_NAME} characters")
    return Machine(
        name=name,
        display_name=shown,
        cpus=cpus,
        memory_bytes=int(memory_gb * _GB),
        storage_bytes=int(storage_gb * _GB),
    )


def _parse_gb(name: str, key: str, value: object, *, least: float) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= MAX_GB:
        raise ValueError(f"the {key} of {name} is a number from {least:g} to {MAX_GB}")
    return value
