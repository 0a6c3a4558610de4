"""`berth token`: personal access tokens."""

from typing import Annotated

import typer

from berth.cli.hosts import connect
from berth.cli.options import AsJSON
from berth.cli.terminal import clean_line, out, out_json, out_table, say

app = typer.Typer(help="Personal access tokens.", no_args_is_help=True)


@app.command()
def create(
    note: Annotated[str, typer.Argument(help="What it is for.")],
    scopes: Annotated[
        str, typer.Option("--scopes", metavar="A,B", help="What it may do, such as repo,codespace,write:packages.")
    ],
    as_json: AsJSON = False,
) -> None:
    """Make a token and print it: this is the only time."""
    with connect() as client:
        made = client.create_token(note, [word.strip() for word in scopes.split(",") if word.strip()])
    if as_json:
        out_json(made)
    else:
        say(f"Made the token {made.id}. It is not shown again.")
        out(clean_line(made.token or ""))


@app.command("list")
def list_tokens(as_json: AsJSON = False) -> None:
    """List your tokens, never their values."""
    with connect() as client:
        tokens = client.list_tokens()
    if as_json:
        out_json(tokens)
    else:
        rows = [(str(each.id), each.note, ",".join(each.scopes), each.expires_at or "never") for each in tokens]
        out_table(("id", "note", "scopes", "expires"), rows)


@app.command()
def revoke(token_id: Annotated[int, typer.Argument(metavar="ID", help="As berth token list shows it.")]) -> None:
    """End a token at once."""
    with connect() as client:
        client.revoke_token(token_id)
    say(f"Revoked the token {token_id}.")
