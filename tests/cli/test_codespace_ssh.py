"""What ssh is told of codespaces, and what a hostile server cannot make of it. Real sessions: tests/main_job/test_exec.py."""

import inspect
from pathlib import Path

import asyncssh
import pytest
from tests.cli.conftest import Berth
from tests.fakes.github_like import CODESPACE, GitHubLike

from berth.cli.sftp_files import CodespaceFiles

# Of asyncssh's own, which concern no file.
_NO_FILES = {
    "channel",
    "connection",
    "env",
    "logger",
    "convert_attrs",
    "format_longname",
    "map_path",
    "reverse_map_path",
}


def test_ssh_config_names_each_codespace(berth: Berth, tmp_path: Path) -> None:
    result = berth("codespace", "ssh-config")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert f"Host {CODESPACE}" in lines
    assert any(line.endswith(f"codespace ssh --stdio {CODESPACE}") for line in lines)
    assert "  StrictHostKeyChecking yes" in lines
    folder = tmp_path / "config" / "berth" / "ssh"
    assert f'  UserKnownHostsFile "{folder}/known_hosts"' in lines
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "host_key").stat().st_mode & 0o777 == 0o600
    assert (folder / "known_hosts").read_text().startswith("berth-codespace ssh-ed25519 ")
    key = (folder / "host_key").read_bytes()
    assert berth("codespace", "ssh-config").stdout == result.stdout
    assert (folder / "host_key").read_bytes() == key
    assert sorted(path.name for path in folder.iterdir()) == ["host_key", "known_hosts"]


@pytest.mark.parametrize(
    "name", ["a\nProxyCommand=evil", "a b", "-oProxyCommand=evil", "a;evil", "$(evil)", "*", "a%h", "", "é"]
)
def test_attack_a_name_that_would_be_more_than_a_name(berth: Berth, server: GitHubLike, name: str) -> None:
    assert berth("codespace", "ssh", "--stdio", "--", name).exit_code == 2
    assert berth("codespace", "ssh", "--", name).exit_code == 2


def test_no_request_of_sftp_reaches_the_files_of_this_machine() -> None:
    base = {name for name, _ in inspect.getmembers(asyncssh.SFTPServer) if not name.startswith("_")}
    assert len(base) > 25
    assert base - _NO_FILES - set(vars(CodespaceFiles)) == set()
