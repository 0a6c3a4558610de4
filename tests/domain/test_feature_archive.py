"""The archive of a Feature: what tools write is read, everything else is refused."""

import gzip
import io
import tarfile
from collections.abc import Callable

import pytest
from tests.features import entry, tar_of

from berth.domain import feature_archive
from berth.domain.feature_archive import read_feature_archive
from berth.domain.problem import Invalid, LimitReached

MAX = 1024 * 1024
FILES = {"install.sh": b"#!/bin/sh\n", "devcontainer-feature.json": b"{}", "sub/deep/data": b"x" * 700, "empty": b""}
LONG = "n" * 90 + "/" + "m" * 90


def read(data: bytes, max_bytes: int = MAX) -> dict[str, bytes]:
    return read_feature_archive(data, "the Feature x", max_bytes)


def written(format_: int, files: dict[str, bytes]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=format_) as tar:
        for path, content in files.items():
            info = tarfile.TarInfo(path)
            info.size, info.mtime = len(content), 1.5  # a record of its own in pax
            tar.addfile(info, io.BytesIO(content))
    return raw.getvalue()


@pytest.mark.parametrize("format_", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("zipped", [False, True])
def test_what_tools_write_is_read(format_: int, zipped: bool) -> None:
    files = {**FILES, LONG: b"long", "ü/ä": b"not ASCII"}
    if format_ == tarfile.USTAR_FORMAT:
        del files["ü/ä"]
    data = written(format_, files)
    assert read(gzip.compress(data) if zipped else data) == files


def test_what_the_cli_writes_is_read() -> None:
    assert read(tar_of(FILES, [entry("./sub/", tarfile.DIRTYPE), entry("./more/", tarfile.DIRTYPE)])) == FILES


def test_an_old_tar_s_folder_is_one_by_its_name() -> None:
    assert read(tar_of({}, [entry("old/", tarfile.AREGTYPE)])) == {}


def test_nothing_is_no_file() -> None:
    assert read(b"") == read(bytes(1024)) == {}


def test_what_follows_the_end_counts_for_nothing() -> None:
    assert read(tar_of(FILES) + b"trailing") == FILES


def test_records_for_all_may_say_what_does_not_matter() -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "abc"}) as tar:
        tar.addfile(entry("a"))
    assert read(raw.getvalue()) == {"a": b""}


def records(*pairs: tuple[str, str], kind: bytes = b"x", name: str = "a", size: int = 2) -> bytes:
    """An archive of one file whose records say this."""
    body = b""
    for key, value in pairs:
        text = f" {key}={value}\n".encode()
        length = len(text) + 1
        while len(str(length)) + len(text) != length:
            length += 1
        body += str(length).encode() + text
    return raw_records(body, kind=kind, name=name, size=size)


def raw_records(body: bytes, *, kind: bytes = b"x", name: str = "a", size: int = 2) -> bytes:
    head = entry("records", kind, size=len(body)).tobuf(tarfile.USTAR_FORMAT)
    file = entry(name, size=size).tobuf(tarfile.USTAR_FORMAT)
    return head + body + bytes(-len(body) % 512) + file + b"hi".ljust(512, b"\0") + bytes(1024)


def long_name(name: bytes) -> bytes:
    head = entry("././@LongLink", tarfile.GNUTYPE_LONGNAME, size=len(name)).tobuf(tarfile.USTAR_FORMAT)
    return head + name + bytes(-len(name) % 512) + ONE


def broken(data: bytes, at: int, new: bytes) -> bytes:
    """With some bytes of the first header replaced, and its checksum right again."""
    head = data[:at] + new + data[at + len(new) : 512]
    checksum = sum(head[:148] + b" " * 8 + head[156:])
    return head[:148] + f"{checksum:06o}\0 ".encode() + head[156:] + data[512:]


ONE = written(tarfile.USTAR_FORMAT, {"a": b"hi"})
REFUSED: dict[str, Callable[[], bytes]] = {
    "a link": lambda: tar_of(FILES, [entry("a", tarfile.SYMTYPE, link="/etc/passwd")]),
    "a hard link": lambda: tar_of(FILES, [entry("a", tarfile.LNKTYPE, link="install.sh")]),
    "a device": lambda: tar_of(FILES, [entry("a", tarfile.CHRTYPE)]),
    "a pipe": lambda: tar_of(FILES, [entry("a", tarfile.FIFOTYPE)]),
    "a link with a folder's name": lambda: tar_of(FILES, [entry("a/", tarfile.SYMTYPE, link="/")]),
    "a long link's name": lambda: tar_of(FILES, [entry("a", b"K", size=3)]),
    "a sparse file of GNU": lambda: tar_of(FILES, [entry("a", tarfile.GNUTYPE_SPARSE)]),
    "a sparse file of pax": lambda: records(("GNU.sparse.major", "1"), ("GNU.sparse.realsize", "99999999999")),
    "a way out": lambda: tar_of({"../a": b""}),
    "a way out in the middle": lambda: tar_of({"a/../../b": b""}),
    "a way out in a record": lambda: records(("path", "../../etc/passwd")),
    "an absolute path": lambda: tar_of(FILES, [entry("/etc/passwd")]),
    "no name": lambda: tar_of(FILES, [entry(".")]),
    "a control character": lambda: tar_of({"a\nb": b""}),
    "a name that is not UTF-8": lambda: broken(ONE, 0, b"\xff"),
    "a name that is too long": lambda: tar_of({"a/" * 15 + "b" * 500: b""}),
    "too many levels": lambda: tar_of({"a/" * 30 + "b": b""}),
    "a file twice": lambda: tar_of({"a": b"", "./a": b""}),
    "a file and a folder": lambda: tar_of({"a": b"", "a/b": b""}),
    "a folder and a file": lambda: tar_of({"a": b""}, [entry("a/", tarfile.DIRTYPE)]),
    "a name for all": lambda: records(("path", "b"), kind=b"g"),
    "a size for all": lambda: records(("size", "2"), kind=b"g"),
    "two sizes": lambda: records(("size", "1")),
    "a record without end": lambda: raw_records(b"99 path=b\n"),
    "a record without length": lambda: raw_records(b"path=b\n"),
    "a record of no length": lambda: raw_records(b"0 a=b\n"),
    "a record without a value": lambda: raw_records(b"5 ab\n"),
    "too many records": lambda: raw_records(b"x" * 70_000),
    "a name that is longer than any": lambda: long_name(b"/" * 70_000),
    "a record of too many digits": lambda: raw_records(b"0000005 a=\n"),
    "no tar": lambda: b"PK\x03\x04".ljust(2048, b"x"),
    "a size that is no number": lambda: broken(ONE, 124, b"zz"),
    "a size of eight": lambda: broken(ONE, 124, b"8"),
    "a size below zero": lambda: broken(ONE, 124, b"\xff" * 12),
    "a size beyond the end": lambda: broken(ONE, 124, b"77777777777"),
    "a wrong checksum": lambda: b"b" + ONE[1:],
    "an end in a header": lambda: ONE[:300],
    "an end in a file": lambda: ONE[:513],
    "a damaged compression": lambda: gzip.compress(ONE)[:10] + b"\xff" * 20,
    "a compression without end": lambda: gzip.compress(ONE)[:-4],
    "a compression with more behind it": lambda: gzip.compress(ONE) + b"more",
}


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused(make: Callable[[], bytes]) -> None:
    with pytest.raises(Invalid) as caught:
        read(make())
    assert caught.value.code == "feature.archive"
    assert caught.value.message.startswith("The files of the Feature x cannot be used: ")
    assert caught.value.remedy


def test_the_controls_of_what_is_refused() -> None:
    assert read(ONE) == read(broken(ONE, 0, b"a")) == read(records(("size", "2"), ("mtime", "1.5"))) == {"a": b"hi"}
    assert read(records(("path", "./b"))) == {"b": b"hi"}
    assert read(records(("comment", "x"), kind=b"g")) == {"a": b"hi"}
    assert read(long_name(b"./b")) == {"b": b"hi"}
    assert read(raw_records(b"5 a=\n" * 13_000)) == {"a": b"hi"}


@pytest.mark.parametrize("zipped", [False, True])
def test_nothing_unpacks_beyond_the_bound(zipped: bool) -> None:
    data = tar_of({"a": bytes(200_000)})
    data = gzip.compress(data) if zipped else data
    with pytest.raises(LimitReached) as caught:
        read(data, 100_000)
    assert caught.value.code == "feature.too_large"
    assert read(data, 300_000) == {"a": bytes(200_000)}


def test_what_entries_say_of_each_other_is_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """A KiB of gzip came to minutes: tens of thousands of records in each of a thousand entries."""
    monkeypatch.setattr(feature_archive, "_MAX_EXTENSIONS", 1000)
    said = raw_records(b"5 a=\n" * 100)[:1024]  # without the file that it is said of
    with pytest.raises(Invalid, match="too long names"):
        read(said * 3 + ONE)
    assert read(said * 2 + ONE) == {"a": b"hi"}


def test_files_and_entries_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_archive, "MAX_FILES", 3)
    with pytest.raises(Invalid, match="more than 3 files"):
        read(tar_of({str(number): b"" for number in range(4)}))
    with pytest.raises(Invalid, match="more than 3 files"):
        read(tar_of({}, [entry(f"{number}/", tarfile.DIRTYPE) for number in range(7)]))
    assert len(read(tar_of({str(number): b"" for number in range(3)}))) == 3
