"""The values in a Compose file: texts, numbers, durations, sizes, paths. Each is what it must be, or the message says so.

`what` is how a message names the place. Variables were filled in before: a number or a truth may be a text by now.
"""

import posixpath
import re
import shlex
from collections.abc import Mapping

from berth.domain.compose_keys import NOT_ALLOWED, refusal
from berth.domain.compose_merge import as_list, as_mapping

MAX_ENTRIES = 256
MAX_TEXT = 32 * 1024
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,255}")
_DURATION = re.compile(r"(?:(?P<h>\d{1,4})h)?(?:(?P<m>\d{1,6})m)?(?:(?P<s>\d{1,8})s)?(?:(?P<ms>\d{1,9})ms)?")
_SIZE = re.compile(r"(\d{1,15})\s*(?:([kmgt])i?)?b?", re.IGNORECASE)
_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_TRUTHS = {"true": True, "false": False, "yes": True, "no": False, "on": True, "off": False}
MAX_DURATION_S = 86400


def text(value: object, what: str) -> str:
    """A text, or a number as a text; nothing is the empty one."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int) or len(str(value)) > MAX_TEXT:
        raise refusal(f"{what} must be a text.")
    return str(value)


def truth(value: object, what: str) -> bool:
    if value is None or isinstance(value, bool):
        return value is True
    if not isinstance(value, str) or value.lower() not in _TRUTHS:
        raise refusal(f"{what} must be true or false.")
    return _TRUTHS[value.lower()]


def whole(value: object, what: str, *, most: int) -> int:
    shown = text(value, what)
    if not shown.isascii() or not shown.isdigit() or len(shown) > 15 or int(shown) > most:
        raise refusal(f"{what} must be a whole number up to {most}.")
    return int(shown)


def texts(value: object, what: str) -> tuple[str, ...]:
    """A text or a list of them."""
    entries = as_list(value)
    if len(entries) > MAX_ENTRIES:
        raise refusal(f"{what} may have {MAX_ENTRIES} entries.")
    return tuple(text(one, f"each entry of {what}") for one in entries)


def mapping(value: object, what: str) -> Mapping[str, object]:
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) > MAX_ENTRIES:
        raise refusal(f"{what} must be a mapping of at most {MAX_ENTRIES} keys.")
    return value


def variables(value: object, what: str) -> dict[str, str | None]:
    """NAME → value; None is a name without one."""
    found: dict[str, str | None] = {}
    for name, one in mapping(as_mapping(value), what).items():
        if not _VARIABLE.fullmatch(name):
            raise refusal(f"{what} holds a name that is no variable's.")
        shown = str(one).lower() if isinstance(one, bool) else one
        found[name] = None if one is None else text(shown, f"{name} in {what}")
    return found


def command(value: object, what: str) -> tuple[str, ...] | None:
    """A command as its words; None where nothing is said. A text is split as a shell would, without one."""
    if value is None:
        return None
    if isinstance(value, list):
        return texts(value, what)
    try:
        return tuple(shlex.split(text(value, what)))
    except ValueError:
        raise refusal(f"{what} has a quote without an end.") from None


def name(value: object, what: str) -> str:
    """A name of a host, a service, a volume."""
    shown = text(value, what)
    if not NAME.fullmatch(shown):
        raise refusal(f"{what} must be a name of letters, digits, '.', '_' and '-', 63 at most.")
    return shown


def duration_s(value: object, what: str) -> float:
    """Compose's durations: 1h5m30s20ms."""
    shown = text(value, what)
    match = _DURATION.fullmatch(shown)
    if match is None or not shown:
        raise refusal(f"{what} must be a duration, such as 1m30s.")
    hours, minutes, seconds, thousandths = (int(match[unit] or 0) for unit in ("h", "m", "s", "ms"))
    found = hours * 3600 + minutes * 60 + seconds + thousandths / 1000
    if found > MAX_DURATION_S:
        raise refusal(f"{what} may be a day at most.")
    return found


def size_bytes(value: object, what: str, *, most: int) -> int:
    """Compose's sizes: 64m, 1gb, 1024."""
    match = _SIZE.fullmatch(text(value, what))
    found = int(match[1]) * _UNITS[(match[2] or "").lower()] if match is not None else 0
    if not 0 < found <= most:
        raise refusal(f"{what} must be a size up to {most // 2**20} MiB, such as 64m.")
    return found


def inside_path(value: object, what: str) -> str:
    """A folder or file in a container: absolute, in its shortest form, not the root."""
    shown = text(value, what)
    path = posixpath.normpath(shown)
    if not shown.startswith("/") or not shown.isprintable() or len(shown) > 1024 or not path.strip("/"):
        raise refusal(f"{what} must be an absolute path in the container.")
    return "/" + path.strip("/")


def repository_path(folder: str, value: object, what: str) -> str:
    """A path relative to a folder of the repository, as one of the repository; its root is empty. It stays in there."""
    shown = text(value, what)
    if not shown or len(shown) > 1024 or not shown.isprintable():
        raise refusal(f"{what} must be a path.")
    path = posixpath.normpath(posixpath.join(folder, shown))
    if shown.startswith(("/", "~")) or "://" in shown or path == ".." or path.startswith("../"):
        raise refusal(
            f"{what} leads out of the repository.", NOT_ALLOWED, "Name what is in the repository, by a relative path."
        )
    return "" if path == "." else path
