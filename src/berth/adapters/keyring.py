"""The master key file: a versioned list of keys, newest first, that all servers on one database share.

    berth-keyring 1
    <key id> <made at> <32 bytes in base64>

1. The file is a regular one that only its owner can open; otherwise nothing starts.
2. Every change writes a new file beside it, flushes it to the disk and renames it; two changes take turns. Killed at any
   moment, the old list or the new one is there, whole.
3. A key's id is derived from the key: a damaged line is noticed, and an id never means two keys.
4. From each master key others are derived (HKDF): one wraps data keys, and one per owner of secrets is the X25519 key
   that clients seal to.

Decided: sealing keys are derived, not stored. Servers that share the file agree on them without another secret to
share, back up or rotate; and a retired one stays usable as long as its master key is in the file.
"""

import base64
import binascii
import contextlib
import fcntl
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from berth.domain.problem import Invalid, Problem, UpstreamFailed

KEY_BYTES = 32
KEY_ID_BYTES = 8
_HEADER = "berth-keyring 1"
_MAX_FILE_BYTES = 64 * 1024
_TIME = "%Y-%m-%dT%H:%M:%SZ"


class MasterKey:
    """One key of the file, with what is derived from it. Never printed."""

    __slots__ = ("made_at", "material")

    def __init__(self, material: bytes, made_at: datetime) -> None:
        self.material = material
        self.made_at = made_at

    def __repr__(self) -> str:
        return f"MasterKey({self.id})"

    def derive(self, purpose: str, size_bytes: int = KEY_BYTES) -> bytes:
        """An independent key for one purpose. Source: RFC 5869."""
        info = f"berth {purpose} v1".encode()
        return HKDF(algorithm=SHA256(), length=size_bytes, salt=None, info=info).derive(self.material)

    @property
    def id(self) -> str:
        return self.derive("key id", KEY_ID_BYTES).hex()


@dataclass(frozen=True, slots=True)
class Signature:
    """What changes about a file whenever it is replaced, written or has its mode changed."""

    inode: int
    size_bytes: int
    modified_ns: int
    changed_ns: int


def look_at(path: Path) -> Signature:
    """Raises UpstreamFailed if the file is not there."""
    try:
        return _signature(path.stat())
    except OSError as error:
        raise _unreadable(path, error) from error


def read_keyring(path: Path) -> tuple[tuple[MasterKey, ...], Signature]:
    """The keys, newest first. Raises Invalid for a file that others can open or that is damaged."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:  # noqa: PTH123 a descriptor, so that what is checked is what is read
            status = os.fstat(file.fileno())
            _check_mode(path, status.st_mode)
            raw = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise _unreadable(path, error) from error
    return _parse(path, raw), _signature(status)


def create_keyring(path: Path, now: datetime) -> None:
    """Make the file with one key, unless it is there already (another server may have been quicker)."""
    if not path.exists():
        _change(path, lambda keys: keys or (_new_key(now),))


def add_key(path: Path, now: datetime) -> MasterKey:
    """Put a new newest key into the file."""
    return _change(path, lambda keys: (_new_key(now), *keys))[0]


def drop_keys(path: Path, may_go: Callable[[MasterKey], bool]) -> tuple[str, ...]:
    """Remove the keys that may go, never the newest one; their ids."""
    dropped: list[str] = []

    def keep(keys: tuple[MasterKey, ...]) -> tuple[MasterKey, ...]:
        dropped.extend(key.id for key in keys[1:] if may_go(key))
        return tuple(key for key in keys if key.id not in dropped)

    _change(path, keep)
    return tuple(dropped)


def _new_key(now: datetime) -> MasterKey:
    return MasterKey(secrets.token_bytes(KEY_BYTES), now)


def _change(path: Path, edit: Callable[[tuple[MasterKey, ...]], tuple[MasterKey, ...]]) -> tuple[MasterKey, ...]:
    try:
        with _turn(path):
            old = read_keyring(path)[0] if path.exists() else ()
            new = edit(old)
            if new != old:
                _replace(path, _format(new))
    except OSError as error:
        raise Invalid(
            f"The master key file {path} cannot be written: {error.strerror}.",
            field="MASTER_KEY_FILE",
            code="keyring.unwritable",
            remedy="Its directory must be writable for the server's user, or change the file where it is kept.",
        ) from error
    return new


@contextlib.contextmanager
def _turn(path: Path) -> Iterator[None]:
    """Hold the lock that changes of this file take turns on. The kernel releases it when the process dies."""
    descriptor = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, text: str) -> None:
    """Policy 2. The lock is held, so the file beside it is either ours or left over from a killed process."""
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w") as file:  # noqa: PTH123 see read_keyring
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.rename(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _format(keys: Sequence[MasterKey]) -> str:
    lines = [f"{key.id} {key.made_at.strftime(_TIME)} {base64.b64encode(key.material).decode()}" for key in keys]
    return "\n".join([_HEADER, *lines, ""])


def _parse(path: Path, raw: bytes) -> tuple[MasterKey, ...]:
    lines = raw.decode(errors="replace").splitlines()
    if len(raw) > _MAX_FILE_BYTES or len(lines) < 2 or lines[0] != _HEADER:
        raise _damaged(path, f"it does not begin with '{_HEADER}' and a key")
    keys = tuple(_parse_line(path, number, line) for number, line in enumerate(lines[1:], 2))
    if len({key.id for key in keys}) < len(keys):
        raise _damaged(path, "a key is there twice")
    return keys


def _parse_line(path: Path, number: int, line: str) -> MasterKey:
    try:
        key_id, made_at, encoded = line.split(" ")
        key = MasterKey(base64.b64decode(encoded, validate=True), datetime.strptime(made_at, _TIME).replace(tzinfo=UTC))
    except (ValueError, binascii.Error):
        raise _damaged(path, f"line {number} is not 'id time key'") from None
    if len(key.material) != KEY_BYTES or key.id != key_id:
        raise _damaged(path, f"the key in line {number} does not have the id that stands before it")
    return key


def _check_mode(path: Path, mode: int) -> None:
    """Policy 1."""
    if not stat.S_ISREG(mode):
        raise _damaged(path, "it is not a regular file")
    if mode & 0o077:
        raise Invalid(
            f"The master key file {path} can be opened by others (mode {stat.S_IMODE(mode):04o}).",
            field="MASTER_KEY_FILE",
            code="keyring.permissions",
            remedy=f"Run: chmod 600 {path}",
        )


def _signature(status: os.stat_result) -> Signature:
    return Signature(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _damaged(path: Path, why: str) -> Problem:
    return Invalid(
        f"The master key file {path} is damaged: {why}.",
        field="MASTER_KEY_FILE",
        code="keyring.damaged",
        remedy="Restore it from its backup; without its keys the stored secrets cannot be opened.",
    )


def _unreadable(path: Path, error: OSError) -> Problem:
    return UpstreamFailed(
        f"The master key file {path} cannot be read: {error.strerror}.",
        code="keyring.unreadable",
        remedy="Restore it from its backup, or check MASTER_KEY_FILE and who may read it.",
    )
