"""What a service mounts: its codespace's own volumes, its checkout, memory. Else of the server what is allowed (L4).

1. The checkout is mounted by the path that is the repository's root, or by the root's parent, in which it then has its own name:
   `..:/workspace` and `../..:/workspaces` in `.devcontainer`.
2. No other path of the repository: the engine, who is root, would follow a link that the repository has in its place. An absolute
   path is one of the server, which `compose_options.py` judges; every other that leads out is refused.
3. A named volume is one of the codespace, whatever another codespace calls its own; the file has to declare it.
4. Nothing is mounted over the folder in which Berth keeps secrets in memory (L7).
"""

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from berth.domain.compose_keys import NOT_ALLOWED, UNSUPPORTED, refusal
from berth.domain.compose_values import NAME, inside_path, mapping, size_bytes, text, truth
from berth.domain.dev_container_keys import RUN_DIRECTORY

MAX_TMPFS_BYTES = 2**34
_HARMLESS_MODES = frozenset({"rw", "ro", "z", "Z", "cached", "delegated", "consistent", "nocopy"})
_LONG_KEYS = frozenset({"type", "source", "target", "read_only", "consistency", "volume", "bind", "tmpfs"})
_TMPFS_OPTIONS = frozenset({"size", "mode", "uid", "gid"})
_TMPFS_FLAGS = frozenset({"rw", "ro", "noexec", "nosuid", "nodev"})


class MountKind(StrEnum):
    """What is mounted."""

    CHECKOUT = "checkout"
    VOLUME = "volume"  # one of the codespace's, by the name in the file; without a name it is the container's own
    TMPFS = "tmpfs"
    HOST = "host"  # a path of the server, and nobody has said yet that it is allowed


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One mount of a service. `target` is a path in its container."""

    kind: MountKind
    target: str
    volume: str = ""
    source: str = ""  # of HOST
    read_only: bool = False
    size_bytes: int = 0  # of TMPFS; 0: no limit of its own


@dataclass(frozen=True, slots=True)
class MountPlace:
    """Where paths of a Compose file begin, and what is declared in it."""

    folder: str  # of the first file, in the repository
    repository_name: str
    volumes: frozenset[str]


def parse_mount(value: object, what: str, place: MountPlace) -> Mount:
    """An entry of `volumes`. Raises Invalid."""
    if isinstance(value, dict):
        return _parse_long(mapping(value, what), what, place)
    source, target, mode = _split(text(value, what), what)
    options = set(mode.split(",")) if mode else set()
    if not options <= _HARMLESS_MODES:
        raise refusal(f"{what} has a mode that Berth does not know.", remedy="Use 'ro' or 'rw'.")
    return _mount(source, target, what, place, read_only="ro" in options)


def parse_tmpfs(value: object, what: str) -> tuple[str, str]:
    """An entry of `tmpfs`, `path` or `path:options`: the path, and the options for the engine. Raises Invalid."""
    path, _, options = text(value, what).partition(":")
    for option in options.split(",") if options else ():
        name, equals, number = option.partition("=")
        if not equals and name in _TMPFS_FLAGS:
            continue
        if name == "size":
            size_bytes(number, f"'size' in {what}", most=MAX_TMPFS_BYTES)
        elif name not in _TMPFS_OPTIONS or not (number.isascii() and number.isdigit() and len(number) <= 10):
            raise refusal(f"{what} has an option that Berth does not know.", remedy="Use size, mode, uid and gid.")
    return _target(path, what), options


def _split(shown: str, what: str) -> tuple[str, str, str]:
    parts = shown.split(":")
    if len(parts) == 1:
        return "", parts[0], ""
    if len(parts) > 3:
        raise refusal(f"{what} must be [source:]target[:mode].")
    return parts[0], parts[1], parts[2] if len(parts) == 3 else ""


def _parse_long(value: Mapping[str, object], what: str, place: MountPlace) -> Mount:
    kind = text(value.get("type"), f"'type' of {what}")
    if unknown := sorted(key for key in value.keys() - _LONG_KEYS if not key.startswith("x-")):
        raise refusal(
            f"Berth does not know '{unknown[0][:60]}' of {what}, so it refuses it.", code="compose.unknown_key"
        )
    inner = mapping(value.get(kind), f"'{kind}' of {what}")
    harmless = {"volume": {"nocopy", "labels"}, "bind": {"create_host_path", "selinux"}, "tmpfs": {"size", "mode"}}
    if kind not in harmless:
        raise refusal(f"'{kind[:60]}' of {what} is no type of mount that a codespace can have.", NOT_ALLOWED)
    if unknown := sorted(inner.keys() - harmless[kind]):
        raise refusal(f"'{unknown[0][:60]}' of {what} is refused.", NOT_ALLOWED, "Remove it.")
    source, target = text(value.get("source"), what), text(value.get("target"), what)
    read_only = truth(value.get("read_only"), f"'read_only' of {what}")
    if kind == "tmpfs":
        size = inner.get("size")
        bound = 0 if size is None else size_bytes(size, f"'size' of {what}", most=MAX_TMPFS_BYTES)
        return Mount(kind=MountKind.TMPFS, target=_target(target, what), size_bytes=bound, read_only=read_only)
    if (kind == "bind") != _is_path(source):
        raise refusal(f"{what} and its 'source' do not go together.")
    return _mount(source, target, what, place, read_only=read_only)


def _mount(source: str, target: str, what: str, place: MountPlace, *, read_only: bool) -> Mount:
    inside = _target(target, what)
    if source.startswith("/"):
        return Mount(kind=MountKind.HOST, target=inside, source=source, read_only=read_only)
    if _is_path(source):
        return Mount(kind=MountKind.CHECKOUT, target=_in_checkout(source, inside, what, place), read_only=read_only)
    if source and (source not in place.volumes or not NAME.fullmatch(source)):
        raise refusal(
            f"{what} names the volume '{source[:60]}', which the Compose file does not declare.",
            remedy="Declare it under 'volumes' at the top level.",
        )
    return Mount(kind=MountKind.VOLUME, target=inside, volume=source, read_only=read_only)


def _is_path(source: str) -> bool:
    return source.startswith((".", "/", "~", "\\")) or "/" in source


def _in_checkout(source: str, target: str, what: str, place: MountPlace) -> str:
    """Policies 1 and 2: where the container sees the checkout."""
    path = posixpath.normpath(posixpath.join(place.folder, source))
    if source.startswith(("~", "\\")) or path.startswith("../"):
        raise refusal(
            f"{what} would mount a folder of the server.",
            NOT_ALLOWED,
            "Use a named volume, or mount the repository's root.",
        )
    if path == "..":
        return f"{target}/{place.repository_name}"
    if path != ".":
        raise refusal(
            f"{what} would mount '{path[:100]}' of the checkout; only all of it can be mounted: the engine would follow a link.",
            UNSUPPORTED,
            "Mount the repository's root and use the path in it, or build an image that has the files (COPY).",
        )
    return target


def _target(value: str, what: str) -> str:
    path = inside_path(value, f"The target of {what}")
    if path == RUN_DIRECTORY or path.startswith(f"{RUN_DIRECTORY}/"):
        raise refusal(f"{what} would hide {RUN_DIRECTORY}, where Berth keeps secrets in memory.", NOT_ALLOWED)
    return path
