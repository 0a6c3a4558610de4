"""`berth credentials`: the registry logins that the environment holds, as a docker config. Needs no server."""

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from berth.cli.problems import FAILED
from berth.cli.terminal import clean_line, out, out_json, say
from berth.domain.docker_config import NO_ENTRIES, merge_docker_config
from berth.domain.problem import Invalid
from berth.domain.registry_credential import RegistryCredentials

_WORK = "berth.standalone"  # imported where it is needed: --help asks every command what it is for


def credentials(
    path: Annotated[
        Path | None,
        typer.Argument(metavar="PATH", help="For --merge: the file, if not the one that docker reads."),
    ] = None,
    merge: Annotated[
        bool, typer.Option("--merge", help="Write them into a docker config; other logins in it stay.")
    ] = False,
    show: Annotated[bool, typer.Option("--show", help="Print passwords although stdout is a terminal.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what was found, without passwords, as JSON for programs.")
    ] = False,
) -> None:
    """Turn variables of the environment into registry logins.

    The variables are <NAME>_CONTAINER_REGISTRY_SERVER, …_USER and …_PASSWORD, for one registry or several. Prints a docker
    config; needs no server. AWS keys are swapped for a token. Ends with 1 if one of the logins could not be made; the others
    are there all the same.

    Example: berth credentials --merge && docker pull ghcr.io/acme/dev:1
    """
    if path is not None and not merge:
        raise Invalid("PATH belongs to --merge.", code="cli.options")
    if not (merge or as_json or show) and sys.stdout.isatty():
        remedy = "Send it to a file, or --merge it into one; --json tells without passwords; --show shows them."
        raise Invalid("This would print passwords on your terminal.", code="cli.terminal", remedy=remedy)
    found: RegistryCredentials = import_module(_WORK).open_credentials(os.environ)
    for note in found.warnings:
        say(f"Warning: {clean_line(note.text)}")
    if not (found.chosen or found.lost):
        say("No variables <NAME>_CONTAINER_REGISTRY_SERVER, …_USER and …_PASSWORD are set.")
    if merge:
        _merge(path or _usual_file(), found)
    if as_json:
        out_json(_told(found))
    elif not merge:
        out(merge_docker_config(None, NO_ENTRIES, found.chosen.values()).text.reveal().rstrip("\n"))
    if found.lost:
        raise typer.Exit(FAILED)


def _merge(path: Path, found: RegistryCredentials) -> None:
    for note in import_module(_WORK).merge_into_file(path, found.chosen.values(), found.failed):
        say(f"Warning: {clean_line(note)}")
    hosts = ", ".join(sorted(found.chosen)) or "no registry"
    say(f"{clean_line(str(path))}: logged in to {clean_line(hosts)}.")


def _usual_file() -> Path:
    """Source: docker's documentation, "docker CLI", environment variables: DOCKER_CONFIG is the folder."""
    folder = os.environ.get("DOCKER_CONFIG", "")
    return (Path(folder) if folder else Path.home() / ".docker") / "config.json"


def _told(found: RegistryCredentials) -> dict[str, object]:
    return {
        "registries": [
            {
                "server": each.host,
                "prefix": each.source.prefix,
                "kind": each.kind,
                "expires_at": None if each.expires_at is None else f"{each.expires_at:%Y-%m-%dT%H:%M:%SZ}",
            }
            for each in found.chosen.values()
        ],
        "failed": [
            {"server": note.host or None, "prefix": note.source.prefix, "rule": note.rule, "text": note.text}
            for note in found.lost
        ],
        "warnings": [note.text for note in found.warnings],
    }
