"""A network bridge of the tests' own: containers on it reach this machine, and nothing else."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


class NoBridge(RuntimeError):
    """This machine lets us make none; the text is the kernel's reason."""


@dataclass(frozen=True, slots=True)
class Bridge:
    """`address` is this machine's on it."""

    name: str
    address: str
    network: str


@contextmanager
def make_bridge() -> Iterator[Bridge]:
    """Raises NoBridge where that is not allowed."""
    number = os.getpid() % 250 + 1
    bridge = Bridge(f"berth{os.getpid()}", f"10.213.{number}.1", f"10.213.{number}.0/24")
    _ip("link", "add", bridge.name, "type", "bridge")
    try:
        _ip("addr", "add", f"{bridge.address}/24", "dev", bridge.name)
        _ip("link", "set", bridge.name, "up")
        yield bridge
    finally:
        _ip("link", "del", bridge.name)


def _ip(*arguments: str) -> None:
    program = shutil.which("ip", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if program is None:
        raise NoBridge("there is no program ip (Debian: iproute2)")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoBridge(done.stderr.strip())
