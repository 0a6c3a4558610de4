"""The program `berth`: its commands, one module per noun."""

import importlib.util
from importlib import import_module
from importlib.metadata import version
from typing import Annotated

import typer

from berth.cli import (
    access_token,
    admin,
    codespace,
    doctor,
    login,
    package,
    prebuild,
    registry,
    repository,
    secret,
    serve,
)
from berth.cli.problems import ProblemGroup
from berth.cli.terminal import out


def _show_version(asked: bool) -> None:
    if asked:
        out(f"berth {version('berth')}")
        raise typer.Exit


def _options(
    version_asked: Annotated[
        bool, typer.Option("--version", help="Print this program's version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Self-hosted codespaces that open private images."""


def make_app() -> typer.Typer:
    """All commands. `demo` is there where its module is."""
    app = typer.Typer(
        name="berth",
        cls=ProblemGroup,
        help="Self-hosted codespaces that open private images.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,  # with it a bug would print local variables, and ours hold passwords
        pretty_exceptions_show_locals=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    app.command("serve")(serve.serve)
    if importlib.util.find_spec("berth.cli.demo"):
        app.command("demo")(import_module("berth.cli.demo").run)
    app.command("login")(login.login)
    app.command("logout")(login.logout)
    app.command("doctor")(doctor.doctor)
    for name, module in (
        ("admin", admin),
        ("token", access_token),
        ("repo", repository),
        ("secret", secret),
        ("registry", registry),
        ("package", package),
        ("codespace", codespace),
        ("prebuild", prebuild),
    ):
        app.add_typer(module.app, name=name)
    return app


app = make_app()


def main() -> None:
    """Never returns: the exit code is 0, 1 failed, 2 usage, 4 not logged in, or that of `codespace exec`'s command."""
    app()
