"""`berth codespace exec` and `shell`."""

import os
import sys
from typing import Annotated

import typer

from berth.cli.conversation import own_size, run
from berth.cli.hosts import connect
from berth.cli.options import AsJSON, CodespaceName
from berth.cli.terminal import out_json
from berth.domain.exec_frame import Start, is_term
from berth.domain.exec_process import login_shell
from berth.domain.problem import Invalid


def execute(
    name: CodespaceName,
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND [ARGUMENT]...", help="What to run.")],
    stdin: Annotated[bool, typer.Option("--stdin", "-i", help="Hand stdin to the command.")] = False,
    tty: Annotated[bool, typer.Option("--tty", "-t", help="Give it this terminal, and stdin with it.")] = False,
    as_json: AsJSON = False,
) -> None:
    """Run a command in a codespace. Its output, errors and exit code are this program's."""
    if as_json and tty:
        raise Invalid("--json and --tty do not go together.", code="cli.tty")
    if as_json:
        data = sys.stdin.buffer.read() if stdin else None
        with connect() as client:
            result = client.execute(name, command, data)
        out_json({"exit_code": result.exit_code, "output": result.data.decode(errors="replace")})
        raise typer.Exit(result.exit_code)
    _talk(name, tuple(command), stdin=stdin or tty, tty=tty)


def shell(name: CodespaceName) -> None:
    """Open a shell in a codespace: the user's own, as a login shell."""
    _talk(name, login_shell(), stdin=True, tty=True)


def _talk(name: str, command: tuple[str, ...], *, stdin: bool, tty: bool) -> None:
    if tty and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Invalid(
            "This is no terminal.", code="cli.tty", remedy="Without one: berth codespace exec -i NAME -- COMMAND"
        )
    term = os.environ.get("TERM", "")
    start = Start(command=command, size=own_size() if tty else None, term=term if tty and is_term(term) else "")
    with connect() as client:
        code = run(client, name, start, stdin=stdin)
    raise typer.Exit(code)
