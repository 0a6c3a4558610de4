"""A user as images name him: `name`, `uid`, `name:group`, `uid:gid`; what an image's /etc/passwd makes of that."""

from dataclasses import dataclass

from berth.domain.whole_number import parse_whole_number

ROOT = 0
_MAX_ID = 2**31 - 1


@dataclass(frozen=True, slots=True)
class UnixUser:
    """Numeric ids, as the kernel knows them."""

    uid: int
    gid: int


def is_root(user: str) -> bool:
    """Whether this surely is root, without asking the image; no user means root."""
    return user.partition(":")[0] in {"", "root", "0"}


def find_unix_user(user: str, passwd: bytes) -> UnixUser | None:
    """The ids of `user` by the text of /etc/passwd (passwd(5)); None for a name that it does not hold.

    A number needs no entry; without one its group is root's, as Docker has it. A group after a colon is left out: the
    owner of the files is what matters here.
    """
    name = user.partition(":")[0]
    number = _number(name)
    for line in passwd.decode(errors="replace").splitlines():
        fields = line.split(":")
        if len(fields) < 4:
            continue
        uid, gid = _number(fields[2]), _number(fields[3])
        if uid is not None and gid is not None and (fields[0] == name or uid == number):
            return UnixUser(uid, gid)
    return None if number is None else UnixUser(number, ROOT)


def _number(text: str) -> int | None:
    number = parse_whole_number(text)
    return number if number is not None and number <= _MAX_ID else None
