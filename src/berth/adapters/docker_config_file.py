"""A docker config file of this machine's user, into which logins are merged. The rules are those of `domain/docker_config.py`.

1. What Berth wrote is known by fingerprints, in a file beside it (`.config.json.berth`). It is written first: a program that
   is killed in between has claimed what is not there, which claims nothing.
2. The file is replaced at once, for its owner only (0600). Where it is a link, what it leads to is.
3. Who writes to it meanwhile (`docker login`) loses nothing: then everything is looked at again.
"""

import fcntl
import os
import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from berth.domain.docker_config import MAX_CONFIG_BYTES, format_entries, merge_docker_config, parse_entries
from berth.domain.problem import Conflict, Invalid
from berth.domain.registry_credential import RegistryCredential
from berth.domain.secret_text import SecretText

_LOOKS = 5


def merge_into_file(
    path: Path, credentials: Iterable[RegistryCredential], not_renewed: Collection[str] = ()
) -> tuple[str, ...]:
    """What the user should know of it. Raises Conflict; then the file is as it was."""
    wanted = tuple(credentials)
    try:
        file = path.expanduser().resolve()
        entries = file.with_name(f".{file.name}.berth")
        if not wanted and not file.exists():
            return ()
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(entries):
            for _ in range(_LOOKS):
                content = _read(file)
                known = parse_entries((_read(entries) or b"").decode(errors="replace"))
                merged = merge_docker_config(content, known, wanted, not_renewed)
                _replace(entries, SecretText(format_entries(merged.entries) + "\n"))
                if _read(file) == content:
                    if merged.text.reveal().encode() != content:
                        _replace(file, merged.text)
                    return merged.notes
    except Invalid as refusal:
        raise Conflict(f"{path} was left alone: {refusal.message}", code="credentials.config") from None
    except OSError as error:
        raise Conflict(f"{path} cannot be written: {error.strerror}.", code="credentials.config") from None
    raise Conflict(f"{path} was left alone: it changes all the time.", code="credentials.config")


@contextmanager
def _locked(entries: Path) -> Iterator[None]:
    """One of us at a time. The lock is the file's that is beside: that one is never replaced."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW  # else a link of a stranger's makes a file elsewhere
    descriptor = os.open(entries.with_name(f"{entries.name}.lock"), flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _read(file: Path) -> bytes | None:
    """None if there is none."""
    try:
        if not file.is_file() and file.exists():
            raise Invalid("It is no file.")
        with file.open("rb") as opened:
            return opened.read(MAX_CONFIG_BYTES + 1)
    except FileNotFoundError:
        return None


def _replace(file: Path, text: SecretText) -> None:
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")  # 0600 by its contract
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            opened.write(text.reveal())
            opened.flush()
            os.fsync(opened.fileno())
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
