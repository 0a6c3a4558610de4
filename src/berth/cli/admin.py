"""`berth admin`: for whoever runs the server. `token` and `rotate-key` work on the local DATA_DIR, the others by the API."""

from importlib import import_module
from typing import Annotated

import typer

from berth.cli.hosts import connect
from berth.cli.options import AsJSON
from berth.cli.terminal import clean_line, out, out_json, say
from berth.domain.problem import NotFound
from berth.settings import Settings, read_settings

app = typer.Typer(help="Administer the server: accounts, token, keys.", no_args_is_help=True)


@app.command()
def token(new: Annotated[bool, typer.Option("--new", help="Make a new one; the old one ends.")] = False) -> None:
    """Print where the administrator's token is."""
    settings = _local_settings()
    if new:
        import_module("berth.server").new_admin_token(settings)
    path = settings.admin_token_file.resolve()
    if not path.is_file():
        remedy = "The first start of berth serve writes it; or make one with: berth admin token --new"
        raise NotFound(f"There is no administrator's token at {path}.", code="cli.admin_token", remedy=remedy)
    out(str(path))
    say("Log in with: berth login URL --token-file " + str(path))


@app.command("rotate-key")
def rotate_key() -> None:
    """Make a new master key. All secrets' keys are wrapped with it."""
    out(clean_line(str(import_module("berth.server").rotate_key(_local_settings()))))


def _local_settings() -> Settings:
    """The server's own settings. Raises NotFound, before anything is made, where no server has ever run."""
    settings = read_settings()
    directory = settings.data_dir.resolve()
    if settings.database_url is None and not (directory / "berth.db").exists():
        remedy = "Set BERTH_DATA_DIR as for berth serve."
        raise NotFound(f"There is no Berth data in {directory}.", code="cli.admin_token", remedy=remedy)
    say(f"Working on {clean_line(str(directory))}.")
    return settings


@app.command("create-user")
def create_user(
    login: str,
    email: Annotated[str, typer.Option("--email", help="The user's address.")],
    scopes: Annotated[
        str | None, typer.Option("--token-scopes", metavar="A,B", help="Make a token for the user too, and print it.")
    ] = None,
    as_json: AsJSON = False,
) -> None:
    """Create a user."""
    with connect() as client:
        user = client.create_user(login, email)
        made = client.create_user_token(login, [word for word in scopes.split(",") if word]) if scopes else None
    if as_json:
        out_json({"user": user, "token": made.token if made else None})
        return
    say(f"Created the user {clean_line(user.login)}.")
    if made is None:
        route = f"admin/users/{clean_line(user.login)}/authorizations"
        say(
            f"Nobody can log in as this user yet. To the web console: berth admin invite {clean_line(user.login)}. "
            f"A token: gh api -X POST {route} -f 'scopes[]=repo' -f 'scopes[]=codespace'"
        )
    out(clean_line(made.token or "") if made else clean_line(user.login))


@app.command()
def invite(login: str, as_json: AsJSON = False) -> None:
    """Print a link for setting a password. With it a user signs in to the web console, for the first time or anew."""
    with connect() as client:
        invitation = client.invite(login)
    if as_json:
        out_json(invitation)
        return
    say(f"Whoever opens this link sets the password of {clean_line(invitation.login)}. It works once, until")
    say(f"{clean_line(invitation.expires_at)}; an older one is void. Setting it ends the user's sessions.")
    out(clean_line(invitation.url))


_Reason = Annotated[str, typer.Option("--reason", help="For the audit log of the account.")]


@app.command()
def suspend(login: str, reason: _Reason = "") -> None:
    """Suspend a user: nobody signs in as them any more."""
    with connect() as client:
        client.suspend(login, reason)
    say(f"Suspended {clean_line(login)}: sessions ended, no password or token is taken, codespaces stop.")
    say(f"Nothing else was deleted. To undo it: berth admin unsuspend {clean_line(login)}")


@app.command()
def unsuspend(login: str, reason: _Reason = "") -> None:
    """Unsuspend a user. Tokens work again at once."""
    with connect() as client:
        client.unsuspend(login, reason)
    say(f"{clean_line(login)} is not suspended any more.")


@app.command("create-organization")
def create_organization(
    login: str,
    admin: Annotated[str, typer.Option("--admin", metavar="LOGIN", help="Its first owner.")],
    as_json: AsJSON = False,
) -> None:
    """Create an organization."""
    with connect() as client:
        organization = client.create_organization(login, admin)
    if as_json:
        out_json(organization)
    else:
        say(f"Created the organization {clean_line(organization.login)}, owned by {admin}.")
        out(clean_line(organization.login))
