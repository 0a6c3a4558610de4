"""`berth prebuild`."""

import time
from typing import Annotated

import typer

from berth.cli.hosts import connect
from berth.cli.launch_progress import plain_text, show_finding, show_waiting
from berth.cli.options import AsJSON, Yes, confirm
from berth.cli.problems import FAILED
from berth.cli.terminal import clean_line, out, out_json, out_table, say
from berth.client import Client, Prebuild

app = typer.Typer(help="Images of dev containers, built before somebody launches.", no_args_is_help=True)

_LOOK_EVERY_S = 0.5
_GOES_ON = {"queued", "in_progress"}
OfRepository = Annotated[str, typer.Option("--repo", metavar="OWNER/REPO", help="Whose.")]
Number = Annotated[int, typer.Argument(metavar="NUMBER", help="As berth prebuild list shows it.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it is made.")]


@app.command()
def create(
    repository: OfRepository,
    branch: Annotated[str, typer.Option("--branch", help="Whose configuration.")] = "main",
    devcontainer_path: Annotated[
        str | None, typer.Option("--devcontainer-path", help="Which devcontainer.json, if not the usual one.")
    ] = None,
    trigger: Annotated[str, typer.Option("--trigger", help="push, schedule or manual.")] = "push",
    every_hours: Annotated[int | None, typer.Option("--every-hours", help="With --trigger schedule.")] = None,
    keep: Annotated[int, typer.Option("--keep", help="How many versions stay.")] = 2,
    wait: Wait = True,
    as_json: AsJSON = False,
) -> None:
    """Keep a branch's dev container prebuilt. The first image is made now."""
    fields: dict[str, str | int] = {"branch": branch, "trigger": trigger, "kept_versions": keep}
    if devcontainer_path:
        fields["devcontainer_path"] = devcontainer_path
    if every_hours is not None:
        fields["every_hours"] = every_hours
    with connect() as client:
        made = client.create_prebuild(repository, **fields)
        say(f"Prebuild {made.id} of {clean_line(repository)}, {clean_line(branch)}")
        _show(_until_made(client, repository, made) if wait else made, repository, as_json=as_json)


@app.command(name="list")
def list_(repository: OfRepository, as_json: AsJSON = False) -> None:
    """List a repository's prebuilds."""
    with connect() as client:
        found = client.list_prebuilds(repository)
    if as_json:
        out_json(found)
        return
    rows = [[str(each.id), each.branch, each.state, each.trigger, each.finished_at or ""] for each in found]
    out_table(("NUMBER", "BRANCH", "STATE", "TRIGGER", "FINISHED"), rows)


@app.command()
def run(repository: OfRepository, number: Number, wait: Wait = True, as_json: AsJSON = False) -> None:
    """Make one anew, from nothing."""
    with connect() as client:
        asked = client.run_prebuild(repository, number)
        _show(_until_made(client, repository, asked) if wait else asked, repository, as_json=as_json)


@app.command()
def logs(repository: OfRepository, number: Number) -> None:
    """Print the log of the last run."""
    with connect() as client:
        for entry in client.read_prebuild_log(repository, number):
            if text := plain_text(entry):
                out(text)


@app.command()
def delete(repository: OfRepository, number: Number, yes: Yes = False) -> None:
    """Delete one and its versions; launches build again."""
    confirm(f"Delete prebuild {number} of {clean_line(repository)} and its versions?", yes)
    with connect() as client:
        client.delete_prebuild(repository, number)
    say(f"Deleted prebuild {number}.")


def _until_made(client: Client, repository: str, prebuild: Prebuild) -> Prebuild:
    """The prebuild at the end of its run. Ctrl-C leaves that running."""
    try:
        with show_waiting("Building"):
            while prebuild.state in _GOES_ON:
                time.sleep(_LOOK_EVERY_S)
                prebuild = client.get_prebuild(repository, prebuild.id)
    except KeyboardInterrupt:
        say("The run goes on without you. See it: berth prebuild list")
        raise typer.Exit(FAILED) from None
    return prebuild


def _show(prebuild: Prebuild, repository: str, *, as_json: bool) -> None:
    if as_json:
        out_json(prebuild)
    else:
        out(str(prebuild.id))
    if prebuild.state == "ready":
        say("Ready: launches of this configuration use it.")
    if prebuild.state == "failed":
        say(f"It failed. Its log: berth prebuild logs --repo {clean_line(repository)} {prebuild.id}")
        if prebuild.finding is not None:
            show_finding(prebuild.finding)
        raise typer.Exit(FAILED)
