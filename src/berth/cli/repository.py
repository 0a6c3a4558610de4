"""`berth repo`."""

from typing import Annotated

import typer

from berth.cli.hosts import connect
from berth.cli.options import AsJSON
from berth.cli.terminal import clean_line, out, out_json, say

app = typer.Typer(help="Repositories.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Repositories."""


@app.command()
def create(
    repository: Annotated[str, typer.Argument(metavar="OWNER/REPO")],
    private: Annotated[bool, typer.Option("--private/--public", help="Who may read it.")] = True,
    as_json: AsJSON = False,
) -> None:
    """Create a repository, private unless you say otherwise."""
    with connect() as client:
        made = client.create_repository(repository, private=private)
    if as_json:
        out_json(made)
    else:
        out(clean_line(made.full_name))
    if isinstance(made.clone_url, str):
        say(f"Clone it, push to it: {clean_line(made.clone_url)}")
        say("  git asks for a user name (any will do) and a password: a token with the scope repo.")


@app.command()
def rename(
    repository: Annotated[str, typer.Argument(metavar="OWNER/REPO")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new one, without the owner.")],
    as_json: AsJSON = False,
) -> None:
    """Rename a repository; it is still found under its old name."""
    with connect() as client:
        renamed = client.rename_repository(repository, name)
    if as_json:
        out_json(renamed)
    else:
        out(clean_line(renamed.full_name))
    if isinstance(renamed.clone_url, str):
        say(
            f"Clones go on to work. To give one the new address: git remote set-url origin {clean_line(renamed.clone_url)}"
        )
