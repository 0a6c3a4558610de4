"""The archive of a published Feature: a tar, maybe compressed with gzip, read strictly. Pure.

1. It holds regular files and folders. A link, a device, a sparse file or anything else is refused, not left out.
2. Every path stays below the Feature's folder. Nothing is there twice, and nothing is a file and a folder.
3. What it unpacks to is bounded before it is unpacked; so is what its entries say of each other, which is read byte by byte.
4. Owners, modes and times count for nothing.

Decided: no `tarfile`. It reads formats that no Feature needs, and each is a way to make a few bytes large or to leave the
folder. This reads ustar, pax records of `path` and `size`, and GNU's long names, which is what tools write for plain files.
Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Extended Header"; GNU tar manual, "Basic Tar Format".
Observed: version 0.89.0 of the dev container CLI writes a plain tar, with `./` before each name and pax records of all kinds.
"""

import zlib
from dataclasses import dataclass
from typing import NoReturn

from berth.domain.problem import Invalid, LimitReached

MAX_FILES = 5000
_MAX_PATH, _MAX_LEVELS = 512, 20
_BLOCK = 512
_GZIP = b"\x1f\x8b"
_WITH_GZIP_HEADER = 31  # zlib's word for it
_MAX_EXTENSION = 64 * 1024
_MAX_EXTENSIONS = 2 * 1024 * 1024  # of all entries together; tools write a few hundred bytes for one
_LENGTH_DIGITS = 6  # of a record
_POSIX = b"ustar\0"
_FILES, _FOLDER, _RECORDS, _RECORDS_FOR_ALL, _LONG_NAME = (b"0", b"\0"), b"5", b"x", b"g", b"L"
_EXTENSIONS = {_RECORDS, _RECORDS_FOR_ALL, _LONG_NAME}


@dataclass(slots=True)
class _Extension:
    """What an entry says of the next one."""

    path: str | None = None
    size: str | None = None


def read_feature_archive(data: bytes, source: str, max_bytes: int) -> dict[str, bytes]:
    """The files by path. Raises Invalid(code="feature.archive"), LimitReached(code="feature.too_large")."""
    if data.startswith(_GZIP):
        data = _unzip(data, source, max_bytes)
    if len(data) > max_bytes:
        raise too_large(source, max_bytes)
    return _Reading(data, source).run()


def too_large(source: str, max_bytes: int) -> LimitReached:
    """The one bound on what Features hold."""
    return LimitReached(
        f"With {source}, the Features of this launch hold more than {max_bytes // 2**20} MiB.",
        code="feature.too_large",
        remedy="Have install.sh fetch what is large, or put it into the image.",
    )


def _unzip(data: bytes, source: str, max_bytes: int) -> bytes:
    stream = zlib.decompressobj(_WITH_GZIP_HEADER)
    try:
        unpacked = stream.decompress(data, max_bytes + 1)
    except zlib.error:
        refuse_archive(source, "its compression is damaged")
    if len(unpacked) > max_bytes:
        raise too_large(source, max_bytes)
    if not stream.eof or stream.unused_data:
        refuse_archive(source, "its compressed data ends too early, or goes on after its end")
    return unpacked


class _Reading:
    """One pass over the blocks."""

    def __init__(self, data: bytes, source: str) -> None:
        self._data = data
        self._source = source
        self._at = 0
        self._entries = 0
        self._extensions = 0  # bytes
        self._files: dict[str, bytes] = {}
        self._folders: set[str] = set()

    def run(self) -> dict[str, bytes]:
        said = _Extension()
        while header := self._next_header():
            kind, size = header[156:157], self._number(header[124:136])
            content = self._take_extension(size) if kind in _EXTENSIONS else self._take(size)
            if kind in {_RECORDS, _RECORDS_FOR_ALL}:
                self._read_records(content, _Extension() if kind == _RECORDS_FOR_ALL else said, kind)
            elif kind == _LONG_NAME:
                said.path = self._text(content.rstrip(b"\0"))
            else:
                if said.size not in {None, str(size)}:
                    self._refuse("it says two sizes of one file")
                self._add(kind, self._name(header) if said.path is None else said.path, content)
                said = _Extension()
        for path in self._files:
            self._add_parents(path)
        if not self._folders.isdisjoint(self._files):
            self._refuse("it holds a file and a folder of the same name")
        return self._files

    def _next_header(self) -> bytes:
        """The next entry's; empty at the end."""
        header = self._data[self._at : self._at + _BLOCK]
        if not header.strip(b"\0"):
            return b""
        if len(header) < _BLOCK:
            self._refuse("it ends too early")
        blanked = header[:148] + b" " * 8 + header[156:]
        if sum(blanked) != self._number(header[148:156]):
            self._refuse("it is no tar")
        self._at += _BLOCK
        self._entries += 1
        if self._entries > 2 * MAX_FILES:
            self._refuse(f"it holds more than {MAX_FILES} files")
        return header

    def _take_extension(self, size: int) -> bytes:
        self._extensions += size
        if size > _MAX_EXTENSION or self._extensions > _MAX_EXTENSIONS:
            self._refuse("it has too long names")
        return self._take(size)

    def _take(self, size: int) -> bytes:
        content = self._data[self._at : self._at + size]
        if len(content) < size:
            self._refuse("it ends too early")
        self._at += -(-size // _BLOCK) * _BLOCK
        return content

    def _number(self, field: bytes) -> int:
        digits = field.strip(b" \0")
        if not digits.isdigit() or digits.strip(b"01234567"):
            self._refuse("it is no tar")
        return int(digits, 8)

    def _name(self, header: bytes) -> str:
        name = header[:100].partition(b"\0")[0]
        prefix = header[345:500].partition(b"\0")[0] if header[257:263] == _POSIX else b""
        return self._text(prefix + b"/" + name if prefix else name)

    def _read_records(self, content: bytes, said: _Extension, kind: bytes) -> None:
        at = 0
        while at < len(content):
            length = content[at : at + _LENGTH_DIGITS + 1].partition(b" ")[0]
            end = at + int(length) if length.isdigit() and len(length) <= _LENGTH_DIGITS else at
            record = content[at + len(length) + 1 : end]
            key, equals, value = record.removesuffix(b"\n").partition(b"=")
            if not equals or not record.endswith(b"\n") or at + len(length) + 1 + len(record) != end:
                self._refuse("one of its records is damaged")
            at = end
            if key.startswith(b"GNU.sparse") or (kind == _RECORDS_FOR_ALL and key in {b"path", b"size"}):
                self._refuse("it holds what is no plain file")
            if key == b"path":
                said.path = self._text(value)
            elif key == b"size":
                said.size = self._text(value)

    def _add(self, kind: bytes, name: str, content: bytes) -> None:
        parts = [part for part in name.split("/") if part not in {"", "."}]
        path = "/".join(parts)
        if name.startswith("/") or ".." in parts or not name.isprintable():
            self._refuse("one of its names leads out of its folder, or cannot be shown")
        if len(name) > _MAX_PATH or len(parts) > _MAX_LEVELS:
            self._refuse("it has too long names")
        if kind == _FOLDER or (kind in _FILES and name.endswith("/")):
            self._add_parents(f"{path}/")
        elif kind not in _FILES or not path:
            self._refuse("it holds a link, a device or something else that is no file")
        elif path in self._files:
            self._refuse("it holds a file twice")
        else:
            self._files[path] = content
            if len(self._files) > MAX_FILES:
                self._refuse(f"it holds more than {MAX_FILES} files")

    def _add_parents(self, path: str) -> None:
        folder = path.rpartition("/")[0]
        while folder and folder not in self._folders:
            self._folders.add(folder)
            folder = folder.rpartition("/")[0]

    def _text(self, value: bytes) -> str:
        try:
            return value.decode()
        except UnicodeDecodeError:
            self._refuse("one of its names is not UTF-8")

    def _refuse(self, why: str) -> NoReturn:
        refuse_archive(self._source, why)


def refuse_archive(source: str, why: str) -> NoReturn:
    """The one way in which a Feature's files are called unusable."""
    raise Invalid(
        f"The files of {source} cannot be used: {why}.",
        field="devcontainer_path",
        code="feature.archive",
        remedy="Mend the Feature; devcontainer features publish packs one as it has to be.",
    )
