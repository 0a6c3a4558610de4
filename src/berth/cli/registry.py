"""`berth registry`: the three secrets of a registry login as one thing.

1. PASSWORD and USER are stored before SERVER, and a replaced SERVER is deleted first: at no moment can a codespace see a
   new password beside an old server.
2. If a step fails, what was stored is deleted again: all or none. Nobody can read an old value back, so a failed
   `--replace` ends with none, and says so.
3. A session token, of temporary AWS keys, is a fourth secret. One that is not given anew goes when its keys are replaced.
4. The server tries the login before anything is stored or deleted: codespaces will reach the registry from there, not from
   here. What is not accepted is not stored. `--unchecked` stores without a try.
"""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from berth.cli.hosts import connect
from berth.cli.launch_progress import show_finding
from berth.cli.options import (
    AsJSON,
    OfOrganization,
    OfRepository,
    OfUser,
    Repositories,
    SecretVisibility,
    Yes,
    choose_owner,
    confirm,
    read_secret,
    say_if_unusable,
    secret_fields,
)
from berth.cli.problems import FAILED
from berth.cli.terminal import clean, clean_line, out, out_json, out_table, say, say_progress
from berth.client import Client, LastCheck, LoginVerdict, RegistryLogin, RegistryLogins, SecretOwner
from berth.domain.credential_form import refuse_bad_form
from berth.domain.image_reference import parse_image_reference
from berth.domain.problem import Conflict, Invalid, NotFound, Problem
from berth.domain.registry_host import normalise_registry_host
from berth.domain.registry_triple import prefix_of, triple_names
from berth.domain.secret_text import SecretText

_KINDS = {
    "basic": "user and password",
    "ecr": "AWS keys",
    "ecr_token": "ready token of AWS",
    "codespace": "codespace's token",
}

app = typer.Typer(help="Logins to image registries for codespaces.", no_args_is_help=True)

Server = Annotated[str, typer.Argument(metavar="SERVER", help="The registry, such as registry.example.com:5000.")]
Prefix = Annotated[
    str | None, typer.Option("--prefix", help="Begins the secrets' names; made from SERVER if not given.")
]


@app.command()
def add(
    server: Server,
    username: Annotated[str, typer.Option("--username", help="The user at the registry.")],
    prefix: Prefix = None,
    of_user: OfUser = False,
    repository: OfRepository = None,
    organization: OfOrganization = None,
    visibility: SecretVisibility = None,
    repositories: Repositories = None,
    password_file: Annotated[
        Path | None, typer.Option("--password-file", help="Where the password is; - is stdin.")
    ] = None,
    session_token_file: Annotated[
        Path | None, typer.Option("--session-token-file", help="The session token of temporary AWS keys (ASIA…).")
    ] = None,
    image: Annotated[str | None, typer.Option("--image", help="Try the login by asking for this image.")] = None,
    unchecked: Annotated[bool, typer.Option("--unchecked", help="Store the login without trying it.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite the secrets if they exist.")] = False,
    as_json: AsJSON = False,
) -> None:
    """Try a registry's login, and store it as three secrets.

    The password comes from stdin, a file or a prompt. The server tries the login once; what the registry refuses is not
    stored, nor what could not be tried, unless --unchecked is given. One of --user, --repo and --org says where.

    Example: berth registry add ghcr.io --username bot --org acme < token.txt
    """
    owner = choose_owner(of_user, repository, organization)
    host = normalise_registry_host(server)
    for repair in host.repairs:
        say(repair)
    names = triple_names(prefix or prefix_of(host.host))
    _check_image(image, host.host, unchecked=unchecked)
    with connect() as client:
        fields = secret_fields(client, organization, visibility, repositories, of_user=of_user)
        existing = {each.name for each in client.list_secrets(owner)} & set(names)
        if existing and not replace:
            text = f"There already: {', '.join(sorted(existing))} of {owner.words}."
            raise Conflict(text, code="cli.registry_exists", remedy="Overwrite with --replace, or choose a --prefix.")
        given = _Given(host.host, username, password_file, session_token_file, unchecked=unchecked)
        verdict = None if unchecked else given.check(client, owner, names[0], image, as_json=as_json)
        values = dict(zip(names, given.values, strict=False))
        _store(client, owner, values, fields, existing)
    if as_json:
        out_json({"server": host.host, "secrets": list(values), "login": verdict})
    how = " without trying it" if unchecked else ""
    say(f"Stored the login to {host.host} at {owner.words}{how}: {', '.join(values)}.")
    say_if_unusable(of_user, fields)


class _Given:
    """The values to store, in the order of their names. Raises Invalid for what cannot be a login there."""

    def __init__(
        self,
        host: str,
        username: str,
        password_file: Path | None,
        session_token_file: Path | None,
        *,
        unchecked: bool,
    ) -> None:
        password = read_secret("Password", password_file)
        form = refuse_bad_form(host, username, password)
        self.warnings = [
            note.text for note in form if unchecked or not note.guess
        ]  # the server guesses when it has tried
        for warning in self.warnings:
            say(f"Warning: {warning}")
        self.values = [SecretText(host), SecretText(username), password]
        if session_token_file is not None:
            self.values.append(read_secret("Session token", session_token_file))
        self._host = host

    def check(
        self, client: Client, owner: SecretOwner, server_name: str, image: str | None, *, as_json: bool
    ) -> LoginVerdict:
        """Have it tried; the program ends here unless it is accepted (rule 4)."""
        prefix = server_name.removesuffix("_CONTAINER_REGISTRY_SERVER")
        say_progress(f"Trying the login at {self._host} ...")
        verdict = client.check_registry(owner, self._host, *self.values[1:], prefix=prefix, image=image or "")
        for warning in verdict.warnings:
            if warning not in self.warnings:
                say(f"Warning: {clean_line(warning)}")
        _require_accepted(verdict, as_json=as_json)
        return verdict


def _check_image(image: str | None, host: str, *, unchecked: bool) -> None:
    """Before a password is asked for. Raises Invalid."""
    if image is None:
        return
    if unchecked:
        raise Invalid("--image says how the login is tried, --unchecked that it is not.", code="cli.options")
    if normalise_registry_host(parse_image_reference(image).host).host != host:
        raise Invalid(
            f"{image} is not at {host}.", code="registry_login.other_host", remedy="Name an image of that registry."
        )


def _require_accepted(verdict: LoginVerdict, *, as_json: bool) -> None:
    """Tell what was found; the program ends here unless the login was accepted (rule 4)."""
    if verdict.accepted:
        say(clean_line(verdict.sentence))
        return
    if as_json:
        out_json({"server": verdict.server, "secrets": [], "login": verdict})
    if verdict.finding is not None:
        show_finding(verdict.finding)
    if verdict.outcome == "refused":
        say("Nothing was stored or changed.")
    else:
        say(
            "Nothing was stored or changed: it is not known whether the login is right. --unchecked stores it all the same."
        )
    raise typer.Exit(FAILED)


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
    repository: Annotated[
        str | None,
        typer.Option("--repo", metavar="OWNER/REPO", help="Whose codespaces; inside of one, its own if not given."),
    ] = None,
    as_json: AsJSON = False,
) -> None:
    """Show which logins a repository's codespaces use, and why.

    Yours, of that repository: which registries they would be logged in to, and what is stored and not for them. Never a
    password.
    """
    name = repository or os.environ.get("GITHUB_REPOSITORY", "")
    if not name:
        text = "Which logins are used depends on the repository: on its own secrets, its organization's, and those of yours"
        remedy = "Add --repo OWNER/REPO. What is stored, used or not: berth secret list --user, --repo or --org."
        raise Invalid(f"{text} that select it.", code="cli.no_repository", remedy=remedy)
    with connect() as client:
        found = client.list_registries(name)
    if as_json:
        out_json(found)
    elif sys.stdout.isatty():
        show_registries(found)
    else:
        rows = [(*_row(each), "; ".join(_reasons(each))) for each in found.registries]
        rows += [(each.server, "no, not shared", each.level, each.prefix, "", each.reason) for each in found.unshared]
        out_table((), rows)
    if found.withheld_reason:
        say(clean(found.withheld_reason))


def show_registries(found: RegistryLogins) -> None:
    """A table, and the reasons below it: a column would be too narrow for them."""
    rows = [(*_row(each)[:-1], _KINDS.get(each.kind or "", each.kind or "")) for each in found.registries]
    rows += [(each.server, "no, not shared", each.level, each.prefix, "") for each in found.unshared]
    out_table(("server", "logged in", "level", "prefix", "kind"), rows)
    for each in found.registries:
        out(f"\n{clean_line(each.server or each.prefix or '?')}: {clean_line(_state(each))}")
        for reason in _reasons(each):
            out(f"  {clean_line(reason)}")
    for other in found.unshared:
        out(
            f"\n{clean_line(other.server)}: no, not shared\n  {clean_line(other.reason)}\n  {clean_line(other.next_step)}"
        )


def _row(login: RegistryLogin) -> tuple[str, ...]:
    return login.server or "?", _state(login), login.level or "", login.prefix or "", login.kind or ""


def _reasons(login: RegistryLogin) -> list[str]:
    """Why it is used, or is not; and what else is to be known of it."""
    texts = (login.reason, *(each for each in login.warnings if each != login.reason), _last_check(login.last_check))
    return [text for text in texts if text]


def _last_check(check: LastCheck | None) -> str:
    if check is None:
        return ""
    if check.checked_at is None:
        return "Not tried since it was stored."
    return f"Last check: {check.outcome}{f' ({check.code})' if check.code else ''}, {check.checked_at}."


def _state(login: RegistryLogin) -> str:
    if login.incomplete:
        return "no, incomplete"
    if login.shadowed:
        return "no, another one is used"
    if login.kind is None and login.level is not None:
        return "no, not usable"
    return f"yes, until {login.expires_at}" if login.expires_at else "yes"


@app.command()
def remove(
    server: Server,
    prefix: Prefix = None,
    of_user: OfUser = False,
    repository: OfRepository = None,
    organization: OfOrganization = None,
    yes: Yes = False,
) -> None:
    """Delete the secrets of a registry's login. Nobody can read them back, so it asks before."""
    owner = choose_owner(of_user, repository, organization)
    chosen = prefix or prefix_of(normalise_registry_host(server).host)
    with connect() as client:
        existing = {each.name for each in client.list_secrets(owner)}
        names = [name for name in triple_names(chosen) if name in existing]
        if not names:
            text = f"{owner.words} has no login with the prefix {chosen}."
            where = "--user" if of_user else f"--repo {repository}" if repository else f"--org {organization}"
            remedy = f"It may have another one: berth secret list {where}, then --prefix PREFIX."
            raise NotFound(text, code="cli.registry_missing", remedy=remedy)
        confirm(f"Delete {', '.join(names)} of {owner.words}?", yes)
        for name in names:
            client.delete_secret(owner, name)
    say(f"Deleted {', '.join(names)} of {owner.words}.")
