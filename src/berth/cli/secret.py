"""`berth secret`: values for codespaces' environments."""

from pathlib import Path
from typing import Annotated

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
from berth.cli.terminal import out_json, out_table, say
from berth.domain.secret import parse_secret_name

app = typer.Typer(help="Secrets for codespaces.", no_args_is_help=True)


@app.command("set")
def set_secret(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    of_user: OfUser = False,
    repository: OfRepository = None,
    organization: OfOrganization = None,
    visibility: SecretVisibility = None,
    repositories: Repositories = None,
    file: Annotated[Path | None, typer.Option("--file", help="Where the value is; - is stdin.")] = None,
    as_json: AsJSON = False,
) -> None:
    """Set a secret. The value comes from stdin, a file or a prompt; one newline at its end is removed."""
    stored_name = parse_secret_name(name)
    owner = choose_owner(of_user, repository, organization)
    with connect() as client:
        fields = secret_fields(client, organization, visibility, repositories, of_user=of_user)
        created = client.set_secret(owner, stored_name, read_secret(f"Value of {stored_name}", file), **fields)
    if as_json:
        out_json({"name": stored_name, "created": created})
    say(f"{'Created' if created else 'Updated'} {stored_name} of {owner.words}.")
    if created:  # one that is there already keeps its repositories
        say_if_unusable(of_user, fields)


@app.command("list")
def list_secrets(
    of_user: OfUser = False,
    repository: OfRepository = None,
    organization: OfOrganization = None,
    as_json: AsJSON = False,
) -> None:
    """List names, never values."""
    owner = choose_owner(of_user, repository, organization)
    with connect() as client:
        secrets = client.list_secrets(owner)
    if as_json:
        out_json(secrets)
    else:
        rows = [(each.name, each.visibility or "", each.updated_at) for each in secrets]
        out_table(("name", "visibility", "updated"), rows)


@app.command()
def delete(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    of_user: OfUser = False,
    repository: OfRepository = None,
    organization: OfOrganization = None,
) -> None:
    """Delete a secret."""
    owner = choose_owner(of_user, repository, organization)
    stored_name = parse_secret_name(name)
    with connect() as client:
        client.delete_secret(owner, stored_name)
    say(f"Deleted {stored_name} of {owner.words}.")
