"""The protocol of docker's credential helpers, with the triples in the environment as logins. Needs no server.

A program asks by an argument, with a registry on standard input, and reads standard output; so that is where errors go, too.

Source: docker/docker-credential-helpers v0.9, README and `credentials/error.go` (whose words docker and podman look for).
"""

import json
import os
import sys
from importlib import import_module

from berth.domain.environment_triple import assemble_environment
from berth.domain.helper_server import find_asked_host
from berth.domain.problem import Problem
from berth.domain.registry_credential import Failed, Found

_NOT_FOUND = "credentials not found in native keychain"
_NO_SERVER = "no credentials server URL"
_READ_ONLY = (
    "docker-credential-berth keeps no logins: it answers with the variables <NAME>_CONTAINER_REGISTRY_SERVER, …_USER and "
    "…_PASSWORD. Set or unset those."
)
_USAGE = "Usage: docker-credential-berth get|list|store|erase|version"
_HELP = f"""{_USAGE}

Docker, podman and skopeo start this program by themselves, where their configuration names it:
  {{"credsStore": "berth"}} in ~/.docker/config.json, or for one registry {{"credHelpers": {{"ghcr.io": "berth"}}}}
It answers with the logins that the variables <NAME>_CONTAINER_REGISTRY_SERVER, …_USER and …_PASSWORD hold.
By hand: echo ghcr.io | docker-credential-berth get"""


class _Refused(Exception):
    """What the caller is told, and the exit code 1."""


def answer(asked: str) -> None:
    """What the arguments of this program want; `asked` is what was read from standard input for `get`. Never returns."""
    action = sys.argv[1] if len(sys.argv) == 2 else ""
    try:
        _say(_answer(action, asked))
    except _Refused as refusal:
        _say(str(refusal))
        sys.exit(1)
    except Problem as problem:
        _say(problem.text)
        sys.exit(1)
    sys.exit(0)


def _answer(action: str, asked: str) -> str:
    if action == "get":
        return _get(asked)
    if action == "list":
        return _list()
    if action in {"store", "erase"}:
        sys.stdin.read()  # a caller whose writing fails would say that and not why
        raise _Refused(_READ_ONLY)
    if action in {"version", "--version", "-v"}:
        return f"docker-credential-berth (berth) {import_module('importlib.metadata').version('berth')}"
    if action in {"help", "--help", "-h"}:
        return _HELP
    sys.stderr.write(f"{_USAGE}\n")
    sys.exit(2)


def _get(server: str) -> str:
    """The login. What was meant as one and is none is an error of its own, never "not found" (C11)."""
    if not server:
        raise _Refused(_NO_SERVER)
    host = find_asked_host(server)
    if host is None:
        raise _Refused(_NOT_FOUND)
    credentials = assemble_environment(os.environ)
    chosen = credentials.chosen.get(host)
    if host in credentials.unswapped or (chosen is not None and chosen.expires_at is not None):
        credentials = import_module("berth.standalone").open_host(credentials, host, os.environ)
    choice = credentials.for_host(host)
    if isinstance(choice, Found):
        found = choice.credential
        return json.dumps({"ServerURL": server, "Username": found.user, "Secret": found.password.reveal()})
    if isinstance(choice, Failed):
        raise _Refused(f"{choice.finding.sentence} {choice.finding.next_step}")
    raise _Refused(_NOT_FOUND)


def _list() -> str:
    """Who is logged in where. Asks nobody: with AWS keys the user is that of their token."""
    credentials = assemble_environment(os.environ)
    keys, user = (
        import_module("berth.domain.docker_config").config_keys,
        import_module("berth.domain.ecr_key").TOKEN_USER,
    )
    logins = {keys(host)[0]: each.user for host, each in credentials.chosen.items()}
    logins |= dict.fromkeys(credentials.unswapped, user)
    for note in credentials.lost:
        sys.stderr.write(f"{note.text}\n")
    return json.dumps(logins)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
