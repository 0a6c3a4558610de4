"""Bare repositories on disk, handled by git's own programs in an environment that holds nothing of ours."""

import asyncio
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from berth.adapters.disk import translating_disk_full
from berth.adapters.git_comparison import compare_commits
from berth.adapters.git_process import run_git
from berth.adapters.git_tree import MAX_LINK_BYTES, archive, list_tree
from berth.domain.git_object import Commit, Signature, TreeEntry, TreeFile, WrittenFile
from berth.domain.problem import Conflict, LimitReached, NotFound, UpstreamFailed
from berth.domain.pull_request import Comparison

MAX_FILE_BYTES = 1024 * 1024
MAX_ENTRIES = 1000
MAX_TREE_BYTES = 1024 * 1024  # of one directory, some 30 000 names
MAX_COMMIT_BYTES = 2 * 1024 * 1024  # more than a message that comes by the API
_CLONE_TIMEOUT_S = 600
_TO_FETCH = ("-c", "protocol.file.allow=always", "-c", "core.filesRefLockTimeout=10000")  # ms; others fetch the same
_MAX_COMPARISONS = 2  # at once: each may take seconds and a GiB, and whoever may read asks for them
_DISK_FULL = "git.disk_full"
_PARTIAL = ".partial"  # ends the name of a checkout that is being made
_ZERO = "0" * 40
_COMMIT = re.compile(r"[0-9a-f]{4,64}")
_BAD_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^[-/.]|[/.]$")  # git-check-ref-format(1), and options
_KINDS = {
    "100644": "file",
    "100755": "file",
    "100664": "file",
    "120000": "symlink",
    "160000": "submodule",
    "040000": "dir",
}


class BareGitRepositories:
    """The port GitRepositories: `<folder>/<id>.git`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._comparing = asyncio.Semaphore(_MAX_COMPARISONS)

    def path(self, repository_id: int) -> Path:
        return self._folder / f"{repository_id:d}.git"

    async def create(self, repository_id: int, *, default_branch: str) -> None:
        target = self.path(repository_id)
        try:
            partial = await asyncio.to_thread(_make_partial, target)
        except OSError as error:
            raise _cannot_make(error) from error
        try:
            await run_git(
                ["init", "--quiet", "--bare", "--template=", f"--initial-branch={default_branch}", str(partial)]
            )
            await asyncio.to_thread(_put_in_place, partial, target)
        except OSError as error:
            raise _cannot_make(error) from error
        finally:
            await asyncio.to_thread(shutil.rmtree, partial, ignore_errors=True)

    async def delete(self, repository_id: int) -> None:
        target = self.path(repository_id)
        gone = self._folder / f".gone-{repository_id:d}"
        try:
            target.rename(gone)
        except FileNotFoundError:
            return
        except OSError as error:
            raise UpstreamFailed("The repository's directory cannot be removed.", code="git.failed") from error
        await asyncio.to_thread(shutil.rmtree, gone, ignore_errors=True)

    async def _git(
        self, repository_id: int, *arguments: str, stdin: bytes = b"", extra: Mapping[str, str] | None = None
    ) -> bytes:
        return await run_git([f"--git-dir={self.path(repository_id)}", *arguments], stdin=stdin, extra=extra)

    async def find_commit(self, repository_id: int, ref: str) -> str | None:
        return await self._find_commit(repository_id, [*_ref_names(ref), *_ids(ref)])

    async def _find_commit(self, repository_id: int, names: Sequence[str]) -> str | None:
        if not names:
            return None
        lines = "".join(f"{name}^{{commit}}\n" for name in names)
        output = await self._git(repository_id, "cat-file", "--batch-check", stdin=lines.encode())
        for line in output.decode(errors="replace").splitlines():
            words = line.split(" ")
            if len(words) == 3 and words[1] == "commit":
                return words[0]
        return None

    async def find_own_commit(self, repository_id: int, ref: str) -> str | None:
        commit = await self._find_commit(repository_id, _short_names(ref))
        if commit is not None:
            return commit
        commit = await self._find_commit(repository_id, _ids(ref))
        if commit is None:
            return None
        leads = ["--count=1", f"--contains={commit}", "--format=%(refname)", "refs/heads/", "refs/tags/"]
        return commit if await self._git(repository_id, "for-each-ref", *leads) else None

    async def fetch(self, repository_id: int, refs: Mapping[str, str], *, source_id: int) -> None:
        arguments = [f"--git-dir={self.path(repository_id)}", *_TO_FETCH, "fetch", "--quiet"]
        options = ["--no-tags", "--no-write-fetch-head", "--no-auto-gc", "--no-recurse-submodules"]
        specifications = [f"+{theirs}:{ours}" for theirs, ours in refs.items()]
        source = str(self.path(source_id))
        await run_git([*arguments, *options, "--", source, *specifications], timeout_s=_CLONE_TIMEOUT_S)

    async def compare(self, repository_id: int, base: str, head: str) -> Comparison:
        async with self._comparing:
            return await compare_commits(self.path(repository_id), base, head)

    async def find_entry(self, repository_id: int, commit: str, path: str) -> TreeEntry | None:
        entries = await self._list(repository_id, commit, path.strip("/"))
        return next((entry for entry in entries if entry.path == path.strip("/")), None)

    async def list_directory(self, repository_id: int, commit: str, path: str) -> tuple[TreeEntry, ...] | None:
        path, tree = path.strip("/"), f"{commit}^{{tree}}"
        if path:
            entry = await self.find_entry(repository_id, commit, path)
            if entry is None or entry.kind != "dir":
                return None
            tree = entry.sha
        await self._check_size(repository_id, tree, MAX_TREE_BYTES)
        return tuple((await self._list(repository_id, commit, f"{path}/" if path else ""))[:MAX_ENTRIES])

    async def _check_size(self, repository_id: int, name: str, most_bytes: int) -> None:
        """Before an object is read into memory: whoever pushes says how large it is. Raises LimitReached."""
        said = await self._git(repository_id, "cat-file", "--batch-check=%(objectsize)", stdin=f"{name}\n".encode())
        if said.strip().isdigit() and int(said) > most_bytes:
            raise LimitReached(
                f"The commit or the directory is larger than {most_bytes // 1024**2} MiB.",
                code="contents.too_large",
                remedy="Clone it instead.",
            )

    async def find_entries(self, repository_id: int, commit: str, paths: Sequence[str]) -> tuple[TreeEntry, ...]:
        return tuple(await self._list(repository_id, commit, *paths)) if paths else ()

    async def read_blobs(self, repository_id: int, shas: Collection[str]) -> dict[str, bytes]:
        lines = "".join(f"{sha}\n" for sha in shas)
        output = await self._git(repository_id, "cat-file", "--batch", stdin=lines.encode()) if shas else b""
        found: dict[str, bytes] = {}
        at = 0  # nothing but the blobs is copied: a stranger may have put a large one among thousands
        while at < len(output):
            end = output.index(b"\n", at)
            sha, _kind, size = output[at:end].decode().split(" ")
            at = end + 1 + int(size) + 1
            found[sha] = output[end + 1 : at - 1]
        return found

    async def _list(self, repository_id: int, commit: str, *paths: str) -> list[TreeEntry]:
        wanted = ["--", *(path for path in paths if _can_name(path))] if any(paths) else []
        if wanted == ["--"]:
            return []
        output = await self._git(
            repository_id, "--literal-pathspecs", "ls-tree", "-z", "-l", "--full-tree", f"{commit}^{{tree}}", *wanted
        )
        entries = []
        for record in output.decode(errors="surrogateescape").split("\0")[:-1]:
            facts, _, full = record.partition("\t")
            mode, _kind, sha, size = facts.split()
            entries.append(
                TreeEntry(
                    name=full.rpartition("/")[2].encode(errors="replace").decode(),
                    path=full.encode(errors="replace").decode(),
                    kind=_KINDS.get(mode, "file"),
                    sha=sha,
                    size_bytes=0 if size == "-" else int(size),
                )
            )
        return entries

    async def read_file(self, repository_id: int, commit: str, path: str) -> bytes | None:
        entry = await self.find_entry(repository_id, commit, path)
        if entry is None or entry.kind != "file":
            return None
        if entry.size_bytes > MAX_FILE_BYTES:
            raise LimitReached("The file is larger than 1 MiB.", code="contents.too_large", remedy="Clone it instead.")
        return await self._git(repository_id, "cat-file", "blob", entry.sha)

    async def read_link(self, repository_id: int, commit: str, path: str) -> str | None:
        entry = await self.find_entry(repository_id, commit, path)
        if entry is None or entry.kind != "symlink" or entry.size_bytes > MAX_LINK_BYTES:
            return None
        return (await self._git(repository_id, "cat-file", "blob", entry.sha)).decode(errors="replace")

    async def list_tree(self, repository_id: int, commit: str, path: str) -> tuple[TreeFile, ...] | None:
        tree = f"{commit}^{{tree}}"
        if path:
            entry = await self.find_entry(repository_id, commit, path)
            if entry is None or entry.kind != "dir":
                return None
            tree = entry.sha
        return await list_tree(self.path(repository_id), tree)

    def archive(
        self, repository_id: int, files: Sequence[TreeFile], added: Mapping[str, bytes], *, modified_at: datetime
    ) -> AsyncIterator[bytes]:
        return archive(self.path(repository_id), files, added, modified_at)

    async def get_commit(self, repository_id: int, commit: str) -> Commit:
        if not _COMMIT.fullmatch(commit):
            raise NotFound("Not Found", code="contents.no_commit")
        await self._check_size(repository_id, commit, MAX_COMMIT_BYTES)
        raw = (await self._git(repository_id, "cat-file", "commit", commit)).decode(errors="replace")
        return _parse_commit(commit, raw)

    async def list_branches(self, repository_id: int) -> tuple[str, ...]:
        output = await self._git(
            repository_id, "for-each-ref", f"--count={MAX_ENTRIES}", "--format=%(refname:lstrip=2)", "refs/heads/"
        )
        return tuple(output.decode(errors="replace").splitlines())

    async def set_default_branch(self, repository_id: int, branch: str) -> None:
        await self._git(repository_id, "symbolic-ref", "HEAD", f"refs/heads/{branch}")

    async def write_file(
        self,
        repository_id: int,
        *,
        branch: str,
        path: str,
        data: bytes,
        expected: str | None,
        message: str,
        author: Signature,
    ) -> WrittenFile:
        parent = await self.find_commit(repository_id, f"refs/heads/{branch}")
        if parent is None and await self.list_branches(repository_id):
            raise NotFound(f"Branch {branch} not found", code="contents.no_branch")
        entry = None if parent is None else await self.find_entry(repository_id, parent, path)
        _check_expected(path, entry, expected)
        blob = (await self._git(repository_id, "hash-object", "-w", "--stdin", stdin=data)).decode().strip()
        mode = "100644"
        if entry is not None and parent is not None and await self._is_executable(repository_id, parent, path):
            mode = "100755"
        tree = await self._write_tree(repository_id, parent, f"{mode},{blob},{path}")
        at = f"{int(author.at.timestamp())} +0000"
        extra = {
            f"GIT_{who}_{what}": value
            for who in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", author.name), ("EMAIL", author.email), ("DATE", at))
        }
        parents = [] if parent is None else ["-p", parent]
        commit = await self._git(repository_id, "commit-tree", tree, *parents, stdin=message.encode(), extra=extra)
        sha = commit.decode().strip()
        try:
            await self._git(repository_id, "update-ref", f"refs/heads/{branch}", sha, parent or _ZERO)
        except UpstreamFailed as error:
            raise Conflict(
                f"The branch {branch} moved meanwhile.", code="contents.moved", remedy="Look again."
            ) from error
        return WrittenFile(blob=blob, commit=await self.get_commit(repository_id, sha), created=entry is None)

    async def _is_executable(self, repository_id: int, commit: str, path: str) -> bool:
        output = await self._git(
            repository_id, "--literal-pathspecs", "ls-tree", "-z", "--full-tree", f"{commit}^{{tree}}", "--", path
        )
        return output.startswith(b"100755 ")

    async def _write_tree(self, repository_id: int, parent: str | None, info: str) -> str:
        with translating_disk_full(_DISK_FULL):
            folder = await asyncio.to_thread(tempfile.mkdtemp)
        extra = {"GIT_INDEX_FILE": f"{folder}/index"}
        try:
            if parent is not None:
                await self._git(repository_id, "read-tree", f"{parent}^{{tree}}", extra=extra)
            try:
                await self._git(repository_id, "update-index", "--add", "--cacheinfo", info, extra=extra)
            except UpstreamFailed as error:
                raise Conflict(
                    "A file and a directory of this name cannot both be there.", code="contents.path_taken"
                ) from error
            return (await self._git(repository_id, "write-tree", extra=extra)).decode().strip()
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def check_out(
        self, repository_id: int, commit: str, *, branch: str | None, target: Path, origin: str
    ) -> None:
        partial = target.with_name(f".{target.name}{_PARTIAL}")
        if not await asyncio.to_thread(_make_room, partial, target):
            return
        allow = ["-c", "protocol.file.allow=always"]
        source = str(self.path(repository_id))
        # Not --local: hard links would give whoever owns the clone the bare repository's own files.
        clone = ["clone", "--quiet", "--no-checkout", "--no-local", "--template=", "--", source, str(partial)]
        await run_git([*allow, *clone], timeout_s=_CLONE_TIMEOUT_S)
        inside = ["-C", str(partial)]
        if branch is not None and branch.startswith("refs/"):  # what a clone does not bring
            fetch = ["fetch", "--quiet", "--no-tags", "origin", f"+{branch}:{branch}"]
            await run_git([*allow, *inside, *fetch], timeout_s=_CLONE_TIMEOUT_S)
        known = branch is not None and await self.find_commit(repository_id, f"refs/heads/{branch}") is not None
        where = ["-B", str(branch)] if known else ["--detach"]
        await run_git([*inside, "checkout", "--quiet", "--force", *where, commit, "--"], timeout_s=_CLONE_TIMEOUT_S)
        if known:
            await run_git([*inside, "branch", "--quiet", f"--set-upstream-to=origin/{branch}", str(branch)])
        await run_git([*inside, "config", "remote.origin.url", origin])
        partial.rename(target)  # also onto an empty directory


def _ref_names(ref: str) -> list[str]:
    """The refs that clients may mean; none for what can be none."""
    return [ref] if ref.startswith("refs/") and _short_names(ref) else _short_names(ref)


def _short_names(name: str) -> list[str]:
    """A branch or a tag of this name, whatever it looks like."""
    if not name or len(name) > 500 or _BAD_REF.search(name):
        return []
    return [f"refs/heads/{name}", f"refs/tags/{name}"]


def _ids(text: str) -> list[str]:
    return [text] if _COMMIT.fullmatch(text) else []


def _can_name(path: str) -> bool:
    """Whether git would look for it in a tree: it refuses what leads out of one."""
    parts = path.removesuffix("/").split("/")
    return "\0" not in path and len(path) <= 4096 and not {"", ".", ".."} & set(parts)


def _cannot_make(error: OSError) -> UpstreamFailed:
    return UpstreamFailed(
        "The repository's directory cannot be made.",
        code="git.failed",
        remedy=f"The site administrator looks at the server's disk ({error.strerror}).",
    )


def _put_in_place(partial: Path, target: Path) -> None:
    """Give the new directory its name. What has it keeps its contents, for whoever looks after the disk."""
    if target.exists():
        target.rename(Path(tempfile.mkdtemp(prefix=f".found-{target.name}-", dir=target.parent)))
    partial.rename(target)


def _make_partial(target: Path) -> Path:
    """A directory beside the target to make it in."""
    with translating_disk_full(_DISK_FULL):
        target.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))


def is_partial(path: Path) -> bool:
    """Whether it is what an interrupted checkout left."""
    return path.name.startswith(".") and path.name.endswith(_PARTIAL)


def _make_room(partial: Path, target: Path) -> bool:
    """Remove what an interrupted call left. False: the target is whole, for it got its name at the very end."""
    if target.is_dir() and any(target.iterdir()):
        return False
    shutil.rmtree(partial, ignore_errors=True)
    with translating_disk_full(_DISK_FULL):
        partial.parent.mkdir(parents=True, exist_ok=True)
    return True


def _check_expected(path: str, entry: TreeEntry | None, expected: str | None) -> None:
    """Optimistic locking, with GitHub's texts and statuses."""
    if entry is not None and entry.kind != "file":
        raise Conflict(f"{path} is a {entry.kind}.", code="contents.not_a_file")
    found = None if entry is None else entry.sha
    if expected != found:
        raise Conflict(f"{path} does not match {expected or 'a new file'}", code="contents.sha_mismatch")


def _parse_commit(sha: str, raw: str) -> Commit:
    head, _, message = raw.partition("\n\n")
    fields: dict[str, list[str]] = {}
    for line in head.splitlines():
        name, _, value = line.partition(" ")
        fields.setdefault(name, []).append(value)
    return Commit(
        sha=sha,
        tree=fields["tree"][0],
        parents=tuple(fields.get("parent", ())),
        author=_parse_signature(fields.get("author", [""])[0]),
        committer=_parse_signature(fields.get("committer", [""])[0]),
        message=message.rstrip("\n"),
    )


def _parse_signature(text: str) -> Signature:
    match = re.fullmatch(r"(.*?) ?<(.*?)> (\d{1,11}) [+-]\d{4}", text)
    if match is None:
        return Signature(name="", email="", at=datetime.fromtimestamp(0, UTC))
    return Signature(name=match[1], email=match[2], at=datetime.fromtimestamp(int(match[3]), UTC))
