"""A directory at a commit, as a list and as a tar: the same bytes as git's, and no further than the bounds."""

import asyncio
import io
import os
import subprocess
import tarfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.world import command_lines

from berth.adapters import git_repositories, git_tree
from berth.adapters.git_repositories import BareGitRepositories
from berth.domain.git_object import TreeFile
from berth.domain.problem import Invalid, LimitReached, UpstreamFailed

AT = datetime(2026, 1, 2, tzinfo=UTC)
EMPTY_BLOB = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"


class Repository:
    """A bare repository that is written to by plumbing, past every check."""

    def __init__(self, folder: Path) -> None:
        self.git = BareGitRepositories(folder)
        self.path = self.git.path(1)
        subprocess.run(["git", "init", "-q", "--bare", str(self.path)], check=True)
        self.blob(b"")

    def run(self, *arguments: str, data: bytes = b"") -> str:
        identity = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        command = ["git", f"--git-dir={self.path}", *arguments]
        done = subprocess.run(command, check=True, capture_output=True, input=data, env={**os.environ, **identity})
        return done.stdout.decode().strip()

    def blob(self, data: bytes) -> str:
        return self.run("hash-object", "-w", "--stdin", data=data)

    def tree(self, *entries: tuple[str, str, str]) -> str:
        """From mode, name, object; written as it is, in this order."""
        raw = b"".join(
            f"{mode} ".encode() + os.fsencode(name) + b"\0" + bytes.fromhex(sha) for mode, name, sha in entries
        )
        return self.run("hash-object", "-w", "-t", "tree", "--stdin", "--literally", data=raw)

    def commit(self, tree: str) -> str:
        return self.run("commit-tree", tree, "-m", "x")

    async def list(self, tree: str, path: str = "") -> tuple[TreeFile, ...]:
        found = await self.git.list_tree(1, self.commit(tree), path)
        assert found is not None
        return found

    async def unpack(self, files: Sequence[TreeFile], added: Mapping[str, bytes] | None = None) -> tarfile.TarFile:
        chunks = [chunk async for chunk in self.git.archive(1, files, added or {}, modified_at=AT)]
        return tarfile.open(fileobj=io.BytesIO(b"".join(chunks)))


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


async def test_files_links_and_modes(repository: Repository) -> None:
    large = bytes(range(256)) * 1000
    inner = repository.tree(
        ("100755", "run", repository.blob(b"#!/bin/sh\n")),
        ("120000", "up", repository.blob(b"../../etc")),
        ("160000", "sub", "1" * 40),
        ("100644", "\udcff", repository.blob(b"odd")),
    )
    tree = repository.tree(
        ("100664", "a", repository.blob(large)), ("40000", "d", inner), ("100644", "n" * 120, EMPTY_BLOB)
    )
    files = await repository.list(tree)
    assert [(file.path, file.kind) for file in files] == [
        ("a", "file"),
        ("d/run", "executable"),
        ("d/up", "symlink"),
        ("d/\udcff", "file"),
        ("n" * 120, "file"),
    ]
    tar = await repository.unpack(files, {".first": b"added"})
    members = {member.name: member for member in tar.getmembers()}
    assert list(members) == [".first", "a", "d", "d/run", "d/up", "d/\udcff", "n" * 120]
    assert [members[name].mode for name in ("a", "d", "d/run")] == [0o644, 0o755, 0o755]
    assert (members["d/up"].issym(), members["d/up"].linkname) == (True, "../../etc")
    assert all((one.uid, one.gid, one.mtime) == (0, 0, AT.timestamp()) for one in members.values())
    contents = {name: tar.extractfile(name).read() for name in (".first", "a", "d/\udcff")}  # type: ignore[union-attr]
    assert contents == {".first": b"added", "a": large, "d/\udcff": b"odd"}


async def test_a_folder_below_the_root(repository: Repository) -> None:
    inner = repository.tree(("100644", "x", EMPTY_BLOB))
    tree = repository.tree(("40000", "a", repository.tree(("40000", "b", inner))), ("100644", "y", EMPTY_BLOB))
    assert [file.path for file in await repository.list(tree, "a/b")] == ["x"]
    commit = repository.commit(tree)
    for path in ("y", "none", "a/../a", "../a"):
        assert await repository.git.list_tree(1, commit, path) is None, path
    assert await repository.list(repository.tree()) == ()
    assert (await repository.unpack(())).getmembers() == []


async def test_many_files_fill_no_pipe(repository: Repository) -> None:
    tree = repository.tree(*(("100644", f"{number:05}", EMPTY_BLOB) for number in range(5000)))
    files = await repository.list(tree)
    assert len((await repository.unpack(files)).getmembers()) == 5000


async def test_a_tree_that_unfolds_without_end_is_not_followed(repository: Repository) -> None:
    tree = repository.tree(("100644", "x", EMPTY_BLOB))
    for _ in range(10):
        tree = repository.tree(*(("40000", f"{number}", tree) for number in range(10)))
    with pytest.raises(LimitReached, match="more than 100000 files") as caught:
        await repository.list(tree)
    assert caught.value.code == "git.tree_too_large"


async def test_a_tree_that_is_too_deep(repository: Repository) -> None:
    tree = repository.tree(("100644", "x", EMPTY_BLOB))
    for _ in range(git_tree.MAX_LEVELS - 1):
        tree = repository.tree(("40000", "d", tree))
    assert len(await repository.list(tree)) == 1
    with pytest.raises(LimitReached, match="100 levels"):
        await repository.list(repository.tree(("40000", "d", tree)))


async def test_trees_that_no_checkout_could_hold(repository: Repository) -> None:
    link, long_link = repository.blob(b"/etc"), repository.blob(b"a" * 5000)
    inner = repository.tree(("100644", "passwd", EMPTY_BLOB))
    for entries in (
        (("100644", "..", EMPTY_BLOB),),
        (("40000", "..", inner),),
        (("100644", ".", EMPTY_BLOB),),
        (("100644", "a/../../b", EMPTY_BLOB),),
        (("120000", "etc", link), ("40000", "etc", inner)),
        (("100644", "a", EMPTY_BLOB), ("100644", "a", EMPTY_BLOB)),
        (("120000", "long", long_link),),
    ):
        with pytest.raises(Invalid) as caught:
            await repository.list(repository.tree(*entries))
        assert caught.value.code == "git.tree_malformed", entries
    assert await repository.list(repository.tree(("120000", "etc", link))), "the control"


async def test_what_is_missing_or_changed_is_a_fault(repository: Repository) -> None:
    missing = repository.tree(("100644", "x", "1" * 40))
    with pytest.raises(UpstreamFailed):
        await repository.list(missing)
    for file in (
        TreeFile(path="x", kind="file", sha="1" * 40, size_bytes=1),
        TreeFile(path="x", kind="file", sha=EMPTY_BLOB, size_bytes=1),
    ):
        with pytest.raises(UpstreamFailed) as caught:
            await repository.unpack((file,))
        assert caught.value.code == "git.failed"


@pytest.mark.parametrize(("size", "count"), [(0, 5000), (8 * 1024 * 1024, 2)], ids=["many", "large"])
async def test_leaving_early_leaves_no_process(repository: Repository, size: int, count: int) -> None:
    """Also while git's output fills its pipe: a process that nobody reads would be waited for without end."""
    blob = repository.blob(os.urandom(size))
    files = await repository.list(repository.tree(*(("100644", f"{number:05}", blob) for number in range(count))))
    chunks = repository.git.archive(1, files, {}, modified_at=AT)
    async with asyncio.timeout(20):
        async for _ in chunks:
            await asyncio.sleep(0.2)
            break
        assert isinstance(chunks, AsyncGenerator)
        await chunks.aclose()
    assert not [line for line in command_lines() if str(repository.path) in line]


async def test_a_large_blob_among_thousands_is_copied_once(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was copied once for each of them, which stopped the server for minutes: this test would not end in time."""
    large = "f" * 40
    small = [f"{number:040x}" for number in range(30_000)]
    answer = b"".join(f"{sha} blob 1\n".encode() + b"x\n" for sha in small)
    whole = answer + f"{large} blob {32 * 1024 * 1024}\n".encode() + bytes(32 * 1024 * 1024) + b"\n"

    async def said(*_arguments: object, **_more: object) -> bytes:
        return whole

    monkeypatch.setattr(git_repositories, "run_git", said)
    blobs = await repository.git.read_blobs(1, [*small, large])
    assert (len(blobs), blobs[small[0]], len(blobs[large])) == (30_001, b"x", 32 * 1024 * 1024)


async def test_blobs_are_what_git_has(repository: Repository) -> None:
    contents = [b"", b"\n", b"a\nb", b"0" * 100]
    blobs = await repository.git.read_blobs(1, {repository.blob(content) for content in contents})
    assert sorted(blobs.values()) == sorted(contents)
    assert await repository.git.read_blobs(1, []) == {}
