"""`berth codespace`."""

import time
from collections.abc import Callable
from functools import partial
from typing import Annotated

import typer

from berth.cli import codespace_exec, codespace_ssh, port_forward
from berth.cli.hosts import connect
from berth.cli.launch_progress import plain_text, read_finding, show_finding, show_launch, show_waiting
from berth.cli.options import AsJSON, CodespaceName, Yes, confirm
from berth.cli.problems import FAILED
from berth.cli.terminal import clean_line, out, out_json, out_table, say
from berth.client import Client, Codespace, CodespaceExport, Finding
from berth.domain.problem import NotFound

app = typer.Typer(help="Codespaces.", no_args_is_help=True)

_LOOK_EVERY_S = 0.3
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Show the launch until it is done.")]


@app.command()
def create(
    repository: Annotated[str, typer.Option("--repo", metavar="OWNER/REPO", help="What to open.")],
    ref: Annotated[str | None, typer.Option("--ref", help="A branch; otherwise the repository's own.")] = None,
    devcontainer_path: Annotated[
        str | None, typer.Option("--devcontainer-path", help="Which devcontainer.json, if not the usual one.")
    ] = None,
    idle_timeout: Annotated[
        int | None, typer.Option("--idle-timeout", metavar="MINUTES", help="When it stops if nobody uses it.")
    ] = None,
    retention: Annotated[
        int | None, typer.Option("--retention-period", metavar="MINUTES", help="When it is deleted once it is stopped.")
    ] = None,
    wait: Wait = True,
    as_json: AsJSON = False,
) -> None:
    """Create a codespace, show how it starts, and print its name."""
    texts = {"ref": ref, "devcontainer_path": devcontainer_path}
    minutes = {"idle_timeout_minutes": idle_timeout, "retention_period_minutes": retention}
    fields = {key: value for key, value in texts.items() if value} | {
        key: value for key, value in minutes.items() if value is not None
    }
    with connect() as client:
        made = client.create_codespace(repository, **fields)
        name = clean_line(made.name)
        say(f"Codespace {name} of {clean_line(repository)}")
        failed = False
        if wait:
            made, failed = _watch(client, made.name, again="start", give_up="delete")
    if as_json:
        out_json(made)
    else:
        out(name)
    if failed:
        raise typer.Exit(FAILED)


def _watch(client: Client, name: str, *, again: str, give_up: str, after: int = 0) -> tuple[Codespace, bool]:
    """Show the launch to its end; the codespace then, and whether it failed. Ctrl-C leaves it running.

    `after` is the last line of the log that is of an earlier launch; `again` and `give_up` are commands to name.
    """
    shown = clean_line(name)
    try:
        with show_launch() as progress:
            progress.follow(client.follow_log(name, after=after))
        codespace = client.get_codespace(name)
    except KeyboardInterrupt:
        say(f"The launch goes on without you. See it: berth codespace logs {shown} --follow")
        say(f"Give it up: berth codespace {give_up} {shown}")
        raise typer.Exit(FAILED) from None
    if codespace.state == "Available":
        _show_failed_hook(codespace)
        say(f"Ready. Try: berth codespace exec {shown} -- COMMAND")
        return codespace, False
    say(f"The codespace is {clean_line(codespace.state)}, not Available.")
    finding = codespace.finding or progress.finding
    if finding is not None:
        codespace.finding = finding
        show_finding(finding)
    say(f"When that is mended: berth codespace {again} {shown}")
    say(f"Or remove it: berth codespace delete {shown}")
    return codespace, True


@app.command("list")
def list_codespaces(as_json: AsJSON = False) -> None:
    """List your codespaces."""
    with connect() as client:
        codespaces = client.list_codespaces()
    if as_json:
        out_json(codespaces)
        return
    rows = [
        (each.name, _repository(each), each.git_status.ref or "", each.state, each.retention_expires_at or "")
        for each in codespaces
    ]
    out_table(("name", "repository", "ref", "state", "deleted"), rows)
    for each in codespaces:
        if each.retention_notice:
            say(f"{clean_line(each.name)}: {clean_line(each.retention_notice)}")


@app.command()
def view(name: CodespaceName, as_json: AsJSON = False) -> None:
    """Show a codespace; if it failed, why."""
    with connect() as client:
        codespace = client.get_codespace(name)
    if as_json:
        out_json(codespace)
        return
    rows = (
        ("name", codespace.name),
        ("display name", codespace.display_name or ""),
        ("state", codespace.state),
        ("repository", _repository(codespace)),
        ("ref", codespace.git_status.ref or ""),
        ("created", codespace.created_at),
        ("last used", codespace.last_used_at),
        ("deleted", codespace.retention_expires_at or ""),
    )
    out_table(("", ""), rows)
    _show_failed_hook(codespace)
    for notice in (codespace.last_known_stop_notice, codespace.retention_notice):
        if notice:
            say(clean_line(notice))
    if codespace.finding is not None:
        show_finding(codespace.finding)


def _show_failed_hook(codespace: Codespace) -> None:
    if codespace.failed_hook is not None:
        failed = codespace.failed_hook
        say(f"{clean_line(failed.hook)} ended with exit code {failed.exit_code} at {clean_line(failed.at)}.")
        say(f"Its output: berth codespace logs {clean_line(codespace.name)}")


@app.command()
def logs(
    name: CodespaceName,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the launch is done.")] = False,
    as_json: AsJSON = False,
) -> None:
    """Print the creation log. With --json: a list; with --follow too."""
    with connect() as client:
        entries = client.follow_log(name) if follow else iter(client.read_log(name))
        if as_json:
            out_json(list(entries))
            return
        finding: Finding | None = None
        for entry in entries:
            text = plain_text(entry)
            if text:
                out(text)
            if entry.kind in {"phase", "finding"}:  # a phase after a finding is a new launch
                finding = read_finding(entry)
        if finding is not None:
            show_finding(finding)


app.command("exec")(codespace_exec.execute)
app.command("shell")(codespace_exec.shell)
app.command("ssh")(codespace_ssh.ssh)
app.command("ssh-config")(codespace_ssh.ssh_config)
app.add_typer(port_forward.app, name="ports")


@app.command()
def stop(name: CodespaceName, as_json: AsJSON = False) -> None:
    """Stop a codespace; its files stay."""
    with connect() as client:
        _show_change(client.stop_codespace(name), as_json)


@app.command()
def start(name: CodespaceName, wait: Wait = True, as_json: AsJSON = False) -> None:
    """Start a stopped or failed codespace, and show how it starts."""
    with connect() as client:
        _relaunch(client, name, partial(client.start_codespace, name), again="start", wait=wait, as_json=as_json)


@app.command()
def rebuild(
    name: CodespaceName,
    full: Annotated[bool, typer.Option("--full", help="Use nothing that the server has of it already.")] = False,
    wait: Wait = True,
    as_json: AsJSON = False,
) -> None:
    """Make the container anew; the checkout stays. It is made from the configuration as it is pushed now."""
    with connect() as client:
        ask = partial(client.rebuild_codespace, name, full=full)
        _relaunch(client, name, ask, again="rebuild", wait=wait, as_json=as_json)


def _relaunch(
    client: Client, name: str, ask: Callable[[], Codespace], *, again: str, wait: bool, as_json: bool
) -> None:
    """Ask for it; unless nobody waits, show what the log gets from now on, and fail as the launch does."""
    if not wait:
        _show_change(ask(), as_json)
        return
    seen = max((entry.id for entry in client.read_log(name)), default=0)
    say(f"Codespace {clean_line(name)} is {clean_line(ask().state)}.")
    codespace, failed = _watch(client, name, again=again, give_up="stop", after=seen)
    if as_json:
        out_json(codespace)
    if failed:
        raise typer.Exit(FAILED)


def _show_change(codespace: Codespace, as_json: bool) -> None:
    name = clean_line(codespace.name)
    if as_json:
        out_json(codespace)
    else:
        say(f"Codespace {name} is {clean_line(codespace.state)}.")
    say(f"See how it goes on: berth codespace logs --follow {name}")


@app.command()
def export(
    name: CodespaceName,
    branch: Annotated[str | None, typer.Option("--branch", help="A new branch; otherwise codespace-NAME.")] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it is pushed.")] = True,
    as_json: AsJSON = False,
) -> None:
    """Save a codespace's work to a new branch. All of its checkout is committed and pushed; prints the branch."""
    with connect() as client:
        made = client.export_codespace(name, branch)
        say(f"Exporting {clean_line(name)} to {clean_line(made.branch or '')}")
        if wait:
            made = _until_exported(client, name, made.id)
    if as_json:
        out_json(made)
    elif made.state != "failed":
        out(clean_line(made.branch or ""))
    if made.state == "succeeded":
        say(f"Pushed {clean_line(made.sha or '')}.")
    if made.state == "failed":
        say("The export failed; the codespace is as it was.")
        if made.finding is not None:
            show_finding(made.finding)
        raise typer.Exit(FAILED)


def _until_exported(client: Client, name: str, export_id: str) -> CodespaceExport:
    """The export at its end. Ctrl-C leaves it running."""
    try:
        with show_waiting("Committing and pushing"):
            while (made := client.get_export(name, export_id)).state == "in_progress":
                time.sleep(_LOOK_EVERY_S)
    except KeyboardInterrupt:
        say(f"The export goes on without you. Its state: berth codespace view {clean_line(name)}")
        raise typer.Exit(FAILED) from None
    return made


@app.command()
def delete(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="As berth codespace list shows them.")],
    yes: Yes = False,
) -> None:
    """Delete codespaces and everything in them."""
    confirm(f"Delete {clean_line(', '.join(names))} and everything in {'it' if len(names) == 1 else 'them'}?", yes)
    missing = False
    with connect() as client:
        for name in names:
            try:
                client.delete_codespace(name)
            except NotFound as problem:
                if len(names) == 1:
                    raise
                missing = True
                say(f"berth: {clean_line(name)}: {clean_line(problem.message)}")
            else:
                say(f"Deleted {clean_line(name)}.")
    if missing:
        raise typer.Exit(FAILED)


def _repository(codespace: Codespace) -> str:
    return codespace.repository.full_name if codespace.repository else ""
