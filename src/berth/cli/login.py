"""`berth login` and `berth logout`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from berth.cli.hosts import Hosts, Login, hosts_file, parse_origin, read_hosts, write_hosts
from berth.cli.options import AsJSON, read_secret
from berth.cli.terminal import clean_line, out_json, say
from berth.client import Client, User
from berth.domain.problem import Unauthenticated

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def login(
    url: Annotated[str, typer.Argument(metavar="URL", help="The server, such as https://berth.example.com.")],
    token_file: Annotated[Path | None, typer.Option("--token-file", help="Where the token is; - is stdin.")] = None,
    as_json: AsJSON = False,
) -> None:
    """Save a token for a server, after checking it. The token comes from stdin, a file or a prompt."""
    origin = parse_origin(url)
    if origin.startswith("http://") and urlsplit(origin).hostname not in _LOOPBACK:
        say("Warning: over plain http everybody on the way can read the token.")
    token = read_secret("Token", token_file)
    with Client(origin, token) as client:
        user = _find_user(client, origin)
    hosts = read_hosts()
    write_hosts(Hosts(origin, hosts.logins | {origin: Login(origin, user.login, token)}))
    if as_json:
        out_json({"host": origin, "user": user.login})
    say(f"Logged in to {origin} as {clean_line(user.login)}; saved in {hosts_file()}.")


def _find_user(client: Client, origin: str) -> User:
    try:
        return client.get_user()
    except Unauthenticated as problem:
        problem.remedy = (
            f"{origin} does not know this token, or not any more. Its administrator can make one: "
            "berth admin create-user, or berth admin token for himself."
        )
        raise


def logout(
    url: Annotated[str | None, typer.Argument(metavar="[URL]", help="The server; otherwise the current one.")] = None,
) -> None:
    """Forget the token of a server. It stays valid: revoke it with berth token revoke."""
    hosts = read_hosts()
    origin = parse_origin(url) if url else hosts.current
    if origin not in hosts.logins:
        raise Unauthenticated(f"You are not logged in to {origin or 'any server'}.", code="cli.not_logged_in")
    rest = {key: each for key, each in hosts.logins.items() if key != origin}
    current = hosts.current if hosts.current in rest else next(iter(rest), "")
    write_hosts(replace(hosts, current=current, logins=rest))
    say(f"Logged out from {origin}.")
