"""What a container may have of its host beside the walls: one such thing as a token, and all of one container.

A token is `kind` or `kind:value`: `privileged`, `capability:SYS_PTRACE`, `security:seccomp=unconfined`, `device:/dev/kvm`,
`mount:/srv/cache`, `namespace:network`. Each has one form, whatever way it was written, and stands for itself: it implies no other.

Decided:
- A capability is one of the kernel's, or `ALL`, which is a name like the others.
- A security option is in the table below. A seccomp profile in a file is none: the engine's client would read it, and it has no
  files of this host.
- A path is compared as a text, after `.`, `..` and doubled slashes are taken out of it, and is given to the engine in that form.
- The whole host is no mount, and /dev no device. No token holds a comma: lists of them are separated by commas.

Sources: capabilities(7); Docker, "docker container run", options --security-opt, --device, --mount.
"""

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum

from berth.domain.problem import Invalid

OPTIONS_LABEL = "dev.berth.options"  # of a container: the tokens of what it was given
MAX_TOKEN_LENGTH = 300

_CAPABILITIES = (
    "ALL AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER"
    " FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE NET_BROADCAST"
    " NET_RAW PERFMON SETFCAP SETGID SETPCAP SETUID SYSLOG SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE"
    " SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG WAKE_ALARM"
)
CAPABILITIES = frozenset(_CAPABILITIES.split())
NAMESPACES = frozenset({"network", "pid", "ipc", "uts", "user"})
_SECURITY = {
    "seccomp": re.compile(r"unconfined"),
    "apparmor": re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"),
    "label": re.compile(r"disable|(?:user|role|type|level):[A-Za-z0-9_.:-]{1,100}"),
    "no-new-privileges": re.compile(r"true|false"),
}
_PATH = re.compile(r"/[^,\"$\\\x00-\x1f\x7f-\U0010ffff]{0,250}")
_PERMISSIONS = re.compile(r"(?=[rwm])r?w?m?")


class Kind(StrEnum):
    """Of a token: its first word."""

    PRIVILEGED = "privileged"
    CAPABILITY = "capability"
    SECURITY = "security"
    DEVICE = "device"
    MOUNT = "mount"
    NAMESPACE = "namespace"


@dataclass(frozen=True, slots=True, order=True)
class HostOption:
    """One thing, in its one form."""

    kind: Kind
    value: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}" if self.value else str(self.kind)


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class HostMount:
    """A file or folder of the host in the container."""

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class HostDevice:
    """A device of the host in the container."""

    path: str
    inside: str
    permissions: str = "rwm"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostOptions:
    """All that one container has of its host; each part sorted, nothing twice."""

    privileged: bool = False
    capabilities: tuple[str, ...] = ()
    security: tuple[str, ...] = ()
    devices: tuple[HostDevice, ...] = ()
    mounts: tuple[HostMount, ...] = ()
    namespaces: tuple[str, ...] = ()

    @property
    def tokens(self) -> tuple[HostOption, ...]:
        """What has to be allowed for it."""
        privileged = [HostOption(Kind.PRIVILEGED)] if self.privileged else []
        values = (
            (Kind.CAPABILITY, self.capabilities),
            (Kind.SECURITY, self.security),
            (Kind.DEVICE, [device.path for device in self.devices]),
            (Kind.MOUNT, [mount.source for mount in self.mounts]),
            (Kind.NAMESPACE, self.namespaces),
        )
        return tuple(dict.fromkeys([*privileged, *(HostOption(kind, one) for kind, each in values for one in each)]))

    @property
    def label(self) -> str:
        """The value of OPTIONS_LABEL."""
        return ",".join(map(str, self.tokens))


NO_OPTIONS = HostOptions()


def merge_options(several: Iterable[HostOptions]) -> HostOptions:
    """All of them together. Raises Invalid if two have another mount at one place: neither could be right."""
    all_of = tuple(several)
    mounts = sorted({one for each in all_of for one in each.mounts})
    targets = [one.target for one in mounts]
    for mount in mounts:
        if targets.count(mount.target) > 1:
            raise Invalid(
                f"Two different mounts are asked for at {mount.target}, by configuration, image or Feature.",
                field="devcontainer_path",
                code="devcontainer.value",
                remedy="Mount one of them elsewhere.",
            )
    return HostOptions(
        privileged=any(each.privileged for each in all_of),
        capabilities=tuple(sorted({one for each in all_of for one in each.capabilities})),
        security=tuple(sorted({one for each in all_of for one in each.security})),
        devices=tuple(sorted({one for each in all_of for one in each.devices})),
        mounts=tuple(mounts),
        namespaces=tuple(sorted({one for each in all_of for one in each.namespaces})),
    )


def find_capability(text: str) -> str | None:
    """Its name: upper case, without `CAP_`. None if the kernel has none of it."""
    name = text.upper().removeprefix("CAP_") if text.isascii() else ""
    return name if name in CAPABILITIES else None


def find_security(text: str) -> str | None:
    """A security option as `key=value`. None if it is not in the table."""
    key, value = re.split("[=:]", text, maxsplit=1) if re.search("[=:]", text) else (text, "")
    value = "true" if text == "no-new-privileges" else value
    return f"{key}={value}" if key in _SECURITY and _SECURITY[key].fullmatch(value) else None


def find_path(text: str) -> str | None:
    """An absolute path in its one form. None if it is none, or holds what a mount's other readers would read otherwise."""
    return posixpath.normpath(f"/{text.lstrip('/')}") if _PATH.fullmatch(text) else None


def find_device(text: str) -> HostDevice | None:
    """`/dev/x`, `/dev/x:rw`, `/dev/x:/dev/y` or `/dev/x:/dev/y:rw`. None if it is no device of the host by its path."""
    first, *rest = text.split(":")
    permissions = rest.pop() if rest and _PERMISSIONS.fullmatch(rest[-1]) else "rwm"
    path = find_path(first)
    inside = find_path(rest[0]) if rest else path
    if len(rest) > 1 or path is None or inside is None or not path.startswith("/dev/"):
        return None
    return HostDevice(path=path, inside=inside, permissions=permissions)


def parse_host_option(text: str) -> HostOption:
    """A token in its one form. Raises Invalid with the nearest one that there is."""
    word, _, value = text.partition(":")
    kind = Kind(word) if word in set(Kind) else None
    if len(text) <= MAX_TOKEN_LENGTH and kind is not None and (found := _find_value(kind, value)) is not None:
        return HostOption(kind, found)
    raise Invalid(
        f"{text[:100]!a} is nothing that a container can be allowed.",
        field="allowed_options",
        code="codespace.policy_options",
        remedy=_nearest(text),
    )


def parse_host_options(entries: Iterable[str]) -> frozenset[HostOption]:
    """What the site allows. Raises Invalid for a mount inside of another.

    Whoever may write to the outer one could put a link in the inner one's place, and the engine would follow it.
    """
    found = frozenset(map(parse_host_option, entries))
    mounts = sorted(one.value for one in found if one.kind is Kind.MOUNT)
    for outer in mounts:
        inner = next((one for one in mounts if one.startswith(f"{outer}/")), None)
        if inner is not None:
            raise Invalid(
                f"mount:{inner} lies in mount:{outer}: whoever has that could put a link to anywhere in its place.",
                field="allowed_options",
                code="codespace.policy_options",
            )
    return found


def nearest_capability(text: str) -> str:
    """A sentence with the name that may be meant; empty if none is near."""
    near = get_close_matches(text.upper().removeprefix("CAP_"), sorted(CAPABILITIES), n=1)
    return f"Did you mean {near[0]}?" if near else ""


def _find_value(kind: Kind, value: str) -> str | None:
    if kind is Kind.PRIVILEGED:
        return None if value else ""
    if kind is Kind.CAPABILITY:
        return find_capability(value)
    if kind is Kind.SECURITY:
        return find_security(value)
    if kind is Kind.NAMESPACE:
        return value if value in NAMESPACES else None
    path = None if ".." in value.split("/") else find_path(value)
    is_part = path is not None and path != "/" and (kind is Kind.MOUNT or path.startswith("/dev/"))
    return path if is_part else None


def _nearest(text: str) -> str:
    known = [
        *sorted(f"{Kind.CAPABILITY}:{name}" for name in CAPABILITIES),
        *sorted(f"{Kind.NAMESPACE}:{name}" for name in NAMESPACES),
        Kind.PRIVILEGED,
        *(f"{Kind.SECURITY}:{one}" for one in ("seccomp=unconfined", "apparmor=unconfined", "label=disable")),
        f"{Kind.DEVICE}:/dev/…",
        f"{Kind.MOUNT}:/…",
    ]
    near = get_close_matches(text, known, n=1, cutoff=0.5)
    return f"Did you mean {near[0]}?" if near else f"There is {', '.join(Kind)}; see codespaces.md."
