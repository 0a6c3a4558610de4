"""The script that exports, run by a shell with the real git in a clone (policy of domain/codespace_export.py)."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from berth.domain.codespace_export import export_command, read_answer

HOOKS = ("pre-commit", "commit-msg", "post-commit", "pre-push", "post-index-change", "reference-transaction")


@dataclass
class Clone:
    """`server` is the bare repository, `folder` a clone of it whose main has `a` and `.gitignore`."""

    server: Path
    folder: Path
    home: Path

    def git(self, *words: str, cwd: Path | None = None) -> str:
        done = subprocess.run(
            ["git", *words], cwd=cwd or self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    @property
    def environment(self) -> dict[str, str]:
        who = {f"GIT_{one}_{what}": "setup" for one in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        return {"PATH": os.environ["PATH"], "HOME": str(self.home), "GIT_CONFIG_NOSYSTEM": "1", **who}

    def export(
        self,
        branch: str = "saved",
        *,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
        at: datetime = datetime(2026, 11, 23, tzinfo=UTC),
    ) -> tuple[int, bytes]:
        command = export_command(
            origin=f"file://{self.server.parent.parent}",
            repository_full_name=f"acme/{self.server.stem}",
            branch=branch,
            name="Olga O'Neil",
            email="olga@example.com",
            codespace="c",
            at=at,
        )
        done = subprocess.run(
            command,
            cwd=cwd or self.folder,
            env=self.environment | dict(environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        return done.returncode, done.stdout

    def exported(self, branch: str = "saved", **more: object) -> str:
        """The commit, which the server has under this name."""
        code, said = self.export(branch, **more)  # type: ignore[arg-type]
        assert code == 0, said
        sha = read_answer(code, said, codespace="c")
        assert self.git("rev-parse", f"refs/heads/{branch}", cwd=self.server) == sha
        return sha

    def files(self, branch: str = "saved") -> set[str]:
        return set(self.git("ls-tree", "-r", "--name-only", branch, cwd=self.server).splitlines())

    def read(self, path: str, branch: str = "saved") -> str:
        return self.git("cat-file", "blob", f"{branch}:{path}", cwd=self.server)

    def state(self) -> tuple[str, ...]:
        """What an export leaves as it is."""
        index = (self.folder / ".git/index").read_bytes().hex()
        return self.git("symbolic-ref", "HEAD"), self.git("status", "--porcelain=2", "--branch"), index


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    made = Clone(tmp_path / "acme/web.git", tmp_path / "web", tmp_path / "home")
    made.home.mkdir()
    made.server.parent.mkdir()
    made.git("init", "--quiet", "--bare", "--initial-branch=main", str(made.server), cwd=tmp_path)
    made.git("clone", "--quiet", str(made.server), str(made.folder), cwd=tmp_path)
    (made.folder / "a").write_text("one\n")
    (made.folder / ".gitignore").write_text("*.log\n")
    made.git("add", ".")
    made.git("commit", "--quiet", "-m", "first")
    made.git("push", "--quiet", "origin", "HEAD:main")
    return made


def change(clone: Clone) -> None:
    """Something of each kind."""
    (clone.folder / "a").write_text("two\n")
    (clone.folder / "staged").write_text("staged\n")
    clone.git("add", "staged")
    (clone.folder / "d").mkdir()
    (clone.folder / "d/new file\tü").write_text("untracked\n")
    (clone.folder / "d/x.log").write_text("ignored\n")


def test_2_everything_but_what_is_ignored_and_the_checkout_stays(clone: Clone) -> None:
    change(clone)
    before = clone.state()
    sha = clone.exported()
    assert clone.state() == before
    assert clone.files() == {".gitignore", "a", "staged", '"d/new file\\t\\303\\274"'}
    assert clone.read("a") == "two"
    assert clone.git("rev-parse", f"{sha}^") == clone.git("rev-parse", "HEAD")
    told = clone.git("log", "-1", "--format=%an|%ae|%cn|%ce|%at|%ct|%s", sha, cwd=clone.server)
    at = int(datetime(2026, 11, 23, tzinfo=UTC).timestamp())
    who = "Olga O'Neil|olga@example.com"
    assert told == f"{who}|{who}|{at}|{at}|Export of the codespace c"
    assert not list((clone.folder / ".git").glob("berth-export*")), "the copy of the index is gone"


def test_2_a_deleted_file_is_deleted(clone: Clone) -> None:
    (clone.folder / "a").unlink()
    clone.exported()
    assert clone.files() == {".gitignore"}


def test_2_nothing_to_commit_exports_head(clone: Clone) -> None:
    assert clone.exported() == clone.git("rev-parse", "HEAD")


def test_2_commits_that_were_never_pushed_come_along(clone: Clone) -> None:
    (clone.folder / "b").write_text("b\n")
    clone.git("add", "b")
    clone.git("commit", "--quiet", "-m", "mine")
    assert clone.exported() == clone.git("rev-parse", "HEAD")
    assert "b" in clone.files()


def test_from_a_folder_below_all_of_the_checkout_is_exported(clone: Clone) -> None:
    change(clone)
    clone.exported(cwd=clone.folder / "d")
    assert clone.read("a") == "two"


def test_a_detached_head_and_one_without_a_commit(clone: Clone) -> None:
    clone.git("checkout", "--quiet", "--detach")
    change(clone)
    clone.exported("detached")
    clone.git("checkout", "--quiet", "--orphan", "fresh")
    sha = clone.exported("orphan")
    assert clone.git("log", "--format=%H", sha, cwd=clone.server) == sha, "it has no parent"
    (clone.folder / ".git/index").unlink()
    assert clone.exported("no-index") == sha


def test_without_an_index_it_begins_with_head(clone: Clone) -> None:
    (clone.folder / ".git/index").unlink()
    assert clone.exported() == clone.git("rev-parse", "HEAD")


def test_in_the_middle_of_a_merge_with_conflicts(clone: Clone) -> None:
    clone.git("checkout", "--quiet", "-b", "other")
    (clone.folder / "a").write_text("theirs\n")
    clone.git("commit", "--quiet", "-am", "theirs")
    clone.git("checkout", "--quiet", "-")
    (clone.folder / "a").write_text("ours\n")
    clone.git("commit", "--quiet", "-am", "ours")
    subprocess.run(["git", "merge", "other"], cwd=clone.folder, env=clone.environment, check=False, capture_output=True)
    assert "<<<<<<<" in (clone.folder / "a").read_text()
    clone.exported()
    assert "<<<<<<<" in clone.read("a")
    assert (clone.folder / ".git/MERGE_HEAD").exists()


def test_3_a_branch_that_is_there_is_not_moved(clone: Clone) -> None:
    (clone.folder / "b").write_text("b\n")
    before = clone.git("rev-parse", "main", cwd=clone.server)
    code, _ = clone.export("main")
    assert code == 13
    assert clone.git("rev-parse", "main", cwd=clone.server) == before
    clone.exported("other")


def test_4_again_is_the_same_commit_and_no_error(clone: Clone) -> None:
    change(clone)
    assert clone.exported() == clone.exported()
    (clone.folder / "a").write_text("three\n")
    assert clone.export()[0] == 13, "the branch holds another commit by now"


def test_5_no_hook_runs_and_none_can_refuse(clone: Clone) -> None:
    marker = clone.home / "ran"
    change(clone)
    for name in HOOKS:
        path = clone.folder / ".git/hooks" / name
        path.write_text(f"#!/bin/sh\necho {name} >> {marker}\nexit 1\n")
        path.chmod(0o755)
    clone.exported()
    assert not marker.exists()
    subprocess.run(
        ["git", "commit", "-am", "x"], cwd=clone.folder, env=clone.environment, check=False, capture_output=True
    )
    assert marker.exists(), "the positive control: git would run them"


def test_settings_and_variables_of_the_user_do_not_lead_elsewhere(clone: Clone) -> None:
    change(clone)
    for name, value in (
        ("remote.origin.url", "https://evil.invalid/x.git"),
        ("push.default", "nothing"),
        ("push.followTags", "true"),
        ("commit.gpgSign", "true"),
        ("remote.pushDefault", "elsewhere"),
    ):
        clone.git("config", name, value)
    clone.git("tag", "-a", "-m", "x", "private-tag")
    variables = {"GIT_DIR": "/nowhere", "GIT_INDEX_FILE": "/nowhere", "GIT_ASKPASS": "/bin/false"}
    clone.exported(environment=variables)
    assert clone.git("for-each-ref", "--format=%(refname)", cwd=clone.server).split() == [
        "refs/heads/main",
        "refs/heads/saved",
    ]


def test_without_git_without_a_repository_without_the_right(clone: Clone, tmp_path: Path) -> None:
    empty = tmp_path / "bin"
    empty.mkdir()
    assert clone.export(environment={"PATH": str(empty)})[0] == 10
    assert clone.export(cwd=clone.home)[0] == 11
    clone.git("config", "receive.denyCurrentBranch", "ignore", cwd=clone.server)
    hook = clone.server / "hooks/update"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    assert clone.export()[0] == 13


def test_what_git_cannot_add_is_a_failure_not_a_gap(clone: Clone) -> None:
    (clone.folder / "b").write_text("b\n")
    (clone.folder / ".gitattributes").write_text("b filter=broken\n")
    clone.git("config", "filter.broken.clean", "false")
    clone.git("config", "filter.broken.required", "true")
    assert clone.export()[0] == 12
    assert clone.git("for-each-ref", "refs/heads/saved", cwd=clone.server) == ""


def test_a_file_whose_name_is_an_option(clone: Clone) -> None:
    (clone.folder / "--all").write_text("x\n")
    clone.exported()
    assert "--all" in clone.files()
