"""`berth repo`."""

from typing import Annotated

import typer

from berth.cli.hosts import connect
from berth.cli.options import AsJSON
from berth.cli.terminal import clean_line, out, out_json

app = typer.Typer(help="Repositories.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Repositories."""


@app.command()
def create(
    repository: Annotated[str, typer.Argument(metavar="O/R")],
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
