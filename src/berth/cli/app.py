"""The program `berth`: its commands, one module per noun. A command's module is imported when it is asked for.

`berth --help` asks for all of them: what a command is for stands in its own module only.
"""

import importlib.util
from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.main import get_group

from berth.cli.problems import ProblemGroup
from berth.cli.terminal import out

# In the order of --help. A command is a function, or a group of them.
_COMMANDS: Mapping[str, tuple[str, str]] = {
    "serve": ("berth.cli.serve", "serve"),
    "demo": ("berth.cli.demo", "run"),  # there where its module is
    "login": ("berth.cli.login", "login"),
    "logout": ("berth.cli.login", "logout"),
    "doctor": ("berth.cli.doctor", "doctor"),
    "credentials": ("berth.cli.credentials", "credentials"),
    "admin": ("berth.cli.admin", "app"),
    "token": ("berth.cli.access_token", "app"),
    "repo": ("berth.cli.repository", "app"),
    "secret": ("berth.cli.secret", "app"),
    "registry": ("berth.cli.registry", "app"),
    "package": ("berth.cli.package", "app"),
    "codespace": ("berth.cli.codespace", "app"),
    "prebuild": ("berth.cli.prebuild", "app"),
}


class _Commands(MutableMapping[str, Any]):
    """The commands by name, each made when it is looked up."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}
        self._names = [
            name for name, (module, _) in _COMMANDS.items() if name != "demo" or importlib.util.find_spec(module)
        ]

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            if name not in self._names:
                raise KeyError(name)
            self._made[name] = _make(name)
        return self._made[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        self._names.remove(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _make(name: str) -> Any:
    module, attribute = _COMMANDS[name]
    found = getattr(import_module(module), attribute)
    holder = typer.Typer(rich_markup_mode=None)
    if isinstance(found, typer.Typer):
        holder.add_typer(found, name=name)
    else:
        holder.command(name)(found)
    return get_group(holder).commands[name]


class _Berth(ProblemGroup):
    """The group of all commands."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _Commands()


def _show_version(asked: bool) -> None:
    if asked:
        out(f"berth {import_module('importlib.metadata').version('berth')}")
        raise typer.Exit


def _options(
    version_asked: Annotated[
        bool, typer.Option("--version", help="Print this program's version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Self-hosted codespaces that open private images."""


def make_app() -> typer.Typer:
    """All commands."""
    app = typer.Typer(
        name="berth",
        cls=_Berth,
        help="Self-hosted codespaces that open private images.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,  # with it a bug would print local variables, and ours hold passwords
        pretty_exceptions_show_locals=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    return app


app = make_app()


def main() -> None:
    """Never returns: the exit code is 0, 1 failed, 2 usage, 4 not logged in, or that of `codespace exec`'s command."""
    app()
