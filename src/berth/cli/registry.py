"""`berth registry`: the three secrets of a registry login as one thing.

1. PASSWORD and USER are stored before SERVER, and a replaced SERVER is deleted first: at no moment can a codespace see a
   new password beside an old server.
2. If a step fails, what was stored is deleted again: all or none. Nobody can read an old value back, so a failed
   `--replace` ends with none, and says so.
3. A session token, of temporary AWS keys, is a fourth secret. One that is not given anew goes when its keys are replaced.
"""

import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from berth.cli.hosts import connect
from berth.cli.options import (
    AsJSON,
    OfOrganization,
    OfRepository,
    OfUser,
    Repositories,
    SecretVisibility,
    choose_owner,
    read_secret,
    say_if_unusable,
    secret_fields,
)
from berth.cli.terminal import clean, clean_line, out_json, out_table, say
from berth.client import Client, RegistryLogin, SecretOwner
from berth.domain.credential_form import refuse_bad_form
from berth.domain.problem import Conflict, NotFound, Problem
from berth.domain.registry_host import normalise_registry_host
from berth.domain.secret import parse_secret_name
from berth.domain.secret_text import SecretText

app = typer.Typer(help="Logins to image registries for codespaces.", no_args_is_help=True)

Server = Annotated[str, typer.Argument(metavar="SERVER", help="The registry, such as registry.example.com:5000.")]
Prefix = Annotated[
    str | None, typer.Option("--prefix", help="Begins the secrets' names; made from SERVER if not given.")
]


@app.command()
def add(
    server: Server,
    username: Annotated[str, typer.Option("--username", help="The registry's user.")],
    prefix: Prefix = None,
    of_user: OfUser = False,
    repository: OfRepository = None,
    organization: OfOrganization = None,
    visibility: SecretVisibility = None,
    repositories: Repositories = None,
    password_file: Annotated[Path | None, typer.Option("--password-file", help="- is stdin.")] = None,
    session_token_file: Annotated[
        Path | None, typer.Option("--session-token-file", help="Of temporary AWS keys (ASIA…).")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite the secrets if they exist.")] = False,
    as_json: AsJSON = False,
) -> None:
    """Store a registry's login as three secrets. The password comes from stdin, a file or a prompt; it is not tried.

    What cannot be a login there is refused.
    """
    owner = choose_owner(of_user, repository, organization)
    host = normalise_registry_host(server)
    for repair in host.repairs:
        say(repair)
    names = _names(prefix or _prefix_of(host.host))
    with connect() as client:
        fields = secret_fields(client, organization, visibility, repositories, of_user=of_user)
        existing = {each.name for each in client.list_secrets(owner)} & set(names)
        if existing and not replace:
            text = f"There already: {', '.join(sorted(existing))} of {owner.words}."
            raise Conflict(text, code="cli.registry_exists", remedy="Overwrite with --replace, or choose a --prefix.")
        password = read_secret("Password", password_file)
        for note in refuse_bad_form(host.host, username, password):
            say(f"Warning: {note.text}")
        values = dict(zip(names[:3], (SecretText(host.host), SecretText(username), password), strict=True))
        if session_token_file is not None:
            values[names[-1]] = read_secret("Session token", session_token_file)
        _store(client, owner, values, fields, existing)
    if as_json:
        out_json({"server": host.host, "secrets": list(values)})
    say(f"Stored the login to {host.host} at {owner.words}: {', '.join(values)}.")
    say_if_unusable(of_user, fields)


def _store(
    client: Client, owner: SecretOwner, values: dict[str, SecretText], fields: dict[str, Any], existing: set[str]
) -> None:
    """The module's rules 1 to 3."""
    server = next(iter(values))
    try:
        for name in (server, *sorted(existing - set(values))):
            if name in existing:
                client.delete_secret(owner, name)
        for name in reversed(values):
            client.set_secret(owner, name, values[name], **fields)
    except (Problem, KeyboardInterrupt):
        left = _undo(client, owner, [*values, *sorted(existing - set(values))])
        if left:
            say(f"Warning: {', '.join(left)} of {owner.words} may be left; delete with: berth secret delete NAME.")
        else:
            say(
                "Nothing is stored." if not existing else "The login was incomplete and has been removed; add it again."
            )
        raise


def _undo(client: Client, owner: SecretOwner, names: list[str]) -> list[str]:
    """Delete them all, SERVER first; answers the names for which that failed. One whose PUT got no answer may be there."""
    left = []
    for name in names:
        try:
            client.delete_secret(owner, name)
        except NotFound:
            continue
        except Problem:
            left.append(name)
    return left


@app.command("list")
def list_registries(
    repository: Annotated[str, typer.Option("--repo", metavar="OWNER/REPO", help="Whose codespaces.")],
    as_json: AsJSON = False,
) -> None:
    """Show which registries your codespaces of a repository would be logged in to, and why. Never a password."""
    with connect() as client:
        found = client.list_registries(repository)
    if as_json:
        out_json(found)
        return
    rows = [
        (each.server or "?", _state(each), each.level or "", each.prefix or "", each.kind or "")
        for each in found.registries
    ]
    if sys.stdout.isatty():  # sentences below the table: a column would be too narrow for them
        out_table(("server", "login", "level", "prefix", "kind"), rows)
        for each in found.registries:
            for warning in each.warnings:
                say(f"{clean_line(each.server or each.prefix or '?')}: {clean_line(warning)}")
    else:
        out_table((), [(*row, "; ".join(each.warnings)) for row, each in zip(rows, found.registries, strict=True)])
    if found.withheld_reason:
        say(clean(found.withheld_reason))


def _state(login: RegistryLogin) -> str:
    if login.incomplete:
        return "no, incomplete"
    if login.shadowed:
        return "no, shadowed"
    if login.kind is None and login.level is not None:
        return "no"
    return f"yes, until {login.expires_at}" if login.expires_at else "yes"


@app.command()
def remove(
    server: Server,
    prefix: Prefix = None,
    of_user: OfUser = False,
    repository: OfRepository = None,
    organization: OfOrganization = None,
) -> None:
    """Delete the secrets of a registry's login."""
    owner = choose_owner(of_user, repository, organization)
    chosen = prefix or _prefix_of(normalise_registry_host(server).host)
    with connect() as client:
        existing = {each.name for each in client.list_secrets(owner)}
        names = [name for name in _names(chosen) if name in existing]
        if not names:
            text = f"{owner.words} has no login with the prefix {chosen}."
            where = "--user" if of_user else f"--repo {repository}" if repository else f"--org {organization}"
            remedy = f"It may have another one: berth secret list {where}, then --prefix PREFIX."
            raise NotFound(text, code="cli.registry_missing", remedy=remedy)
        for name in names:
            client.delete_secret(owner, name)
    say(f"Deleted {', '.join(names)} of {owner.words}.")


def _prefix_of(host: str) -> str:
    """`registry.example.com:5000` → `REGISTRY_EXAMPLE_COM_5000`; never a reserved or impossible name."""
    text = re.sub(r"[^A-Z0-9]+", "_", host.upper()).strip("_")
    return f"R_{text}" if text[:1].isdigit() or text.startswith("GITHUB_") else text


def _names(prefix: str) -> tuple[str, ...]:
    """Of SERVER, USER and PASSWORD, and of the session token that AWS keys may have."""
    parts = ("SERVER", "USER", "PASSWORD", "SESSION_TOKEN")
    return tuple(parse_secret_name(f"{prefix}_CONTAINER_REGISTRY_{part}") for part in parts)
