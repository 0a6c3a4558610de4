"""`berth codespace ssh` and `ssh-config`: OpenSSH, scp, rsync and editors reach a codespace by its name.

The host key is one per user of this machine, made at the first use: `ssh/host_key` beside hosts.toml, 0600, with its public half
in `ssh/known_hosts`. It proves nothing but that the program at the other end of a pipe is ours.
"""

import os
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)

from berth.cli.hosts import connect, hosts_file
from berth.cli.options import CodespaceName
from berth.cli.terminal import out
from berth.domain.problem import Invalid

_ALIAS = "berth-codespace"  # what the host key is known by
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?")


def ssh(
    name: CodespaceName,
    command: Annotated[list[str] | None, typer.Argument(metavar="[-- ARGUMENT...]", help="For ssh.")] = None,
    stdio: Annotated[bool, typer.Option("--stdio", help="Speak SSH on stdin and stdout: a ProxyCommand.")] = False,
) -> None:
    """Run ssh to a codespace. `ssh`, `scp` and `rsync` themselves find it with berth codespace ssh-config."""
    _check_name(name)
    if not stdio:
        options = [word for option in _options(name) for word in ("-o", option)]
        raise typer.Exit(subprocess.run(["ssh", *options, name, *(command or [])], check=False).returncode)
    with connect() as client:
        client.get_codespace(name)  # said at once, and not as a broken handshake
        # Loaded here: it takes as long as the rest of this program.
        import_module("berth.cli.ssh_server").serve_stdio(client, name, ensure_host_key())


def ssh_config() -> None:
    """Print what ssh has to know of your codespaces. For example: berth codespace ssh-config > ~/.ssh/codespaces"""
    with connect() as client:
        names = [each.name for each in client.list_codespaces()]
    for name in names:
        _check_name(name)
        out(f"Host {name}")
        for option in _options(name):
            out(f"  {option.replace('=', ' ', 1)}")
        out("")


def _options(name: str) -> tuple[str, ...]:
    """For one codespace, in the words of ssh_config(5)."""
    program = " ".join(shlex.quote(word).replace("%", "%%") for word in (sys.executable, "-m", "berth"))
    ensure_host_key()
    known = str(_folder() / "known_hosts").replace("%", "%%")
    return (
        f"ProxyCommand={program} codespace ssh --stdio {name}",
        f"HostKeyAlias={_ALIAS}",
        f'UserKnownHostsFile="{known}"',
        "StrictHostKeyChecking=yes",
        "PreferredAuthentications=none",
        "ServerAliveInterval=30",
    )


def _check_name(name: str) -> None:
    """A name goes into a shell's line and into ssh's configuration. Raises Invalid."""
    if not _NAME.fullmatch(name):
        raise Invalid(f"'{name[:40]}' is not the name of a codespace.", field="name", code="cli.codespace_name")


def _folder() -> Path:
    return hosts_file().with_name("ssh")


def ensure_host_key() -> Path:
    """The host key's file. Two programs that make it at once agree on one of the two."""
    folder = _folder()
    path = folder / "host_key"
    if path.exists() and (folder / "known_hosts").exists():
        return path
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        made = folder / f".host_key.{os.getpid()}"
        private = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        made.touch(mode=0o600)
        made.write_bytes(private)
        try:
            os.link(made, path)
        except FileExistsError:
            pass
        finally:
            made.unlink()
    _write_known_hosts(folder, path)
    return path


def _write_known_hosts(folder: Path, path: Path) -> None:
    key = load_ssh_private_key(path.read_bytes(), None)
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    made = folder / f".known_hosts.{os.getpid()}"
    made.write_text(f"{_ALIAS} {public}\n")
    made.replace(folder / "known_hosts")
