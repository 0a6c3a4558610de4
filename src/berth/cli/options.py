"""Options and ways of reading that several commands share."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from berth.cli.terminal import say
from berth.client import Client, SecretOwner
from berth.domain.problem import Invalid
from berth.domain.secret_text import SecretText

CodespaceName = Annotated[str, typer.Argument(metavar="NAME", help="As berth codespace list shows it.")]
AsJSON = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
OfUser = Annotated[bool, typer.Option("--user", help="At your own account.")]
OfRepository = Annotated[str | None, typer.Option("--repo", metavar="OWNER/REPO", help="At this repository.")]
OfOrganization = Annotated[str | None, typer.Option("--org", metavar="ORG", help="At this organization.")]
Repositories = Annotated[
    str | None,
    typer.Option("--repos", metavar="OWNER/REPO,...", help="The repositories that may use it (--user, --org)."),
]
SecretVisibility = Annotated[
    str | None, typer.Option("--visibility", metavar="all|private|selected", help="For --org; private if not given.")
]
_VISIBILITIES = ("all", "private", "selected")


def choose_owner(of_user: bool, repository: str | None, organization: str | None) -> SecretOwner:
    """Exactly one of --user, --repo and --org. Raises Invalid."""
    if of_user + (repository is not None) + (organization is not None) != 1:
        raise Invalid("Give exactly one of --user, --repo OWNER/REPO and --org ORG.", code="cli.level")
    if repository is not None:
        return SecretOwner.repository(repository)
    return SecretOwner.organization(organization) if organization is not None else SecretOwner.user()


def secret_fields(
    client: Client, organization: str | None, visibility: str | None, repositories: str | None, *, of_user: bool
) -> dict[str, str | list[int]]:
    """What goes with a secret's value: who may use it. Raises Invalid."""
    if organization is None and visibility is not None:
        raise Invalid("--visibility belongs to --org.", code="cli.visibility")
    if organization is None and not of_user and repositories is not None:
        raise Invalid("--repos belongs to --user and --org.", code="cli.repositories")
    fields: dict[str, str | list[int]] = {}
    if organization is not None:
        chosen = visibility or ("private" if repositories is None else "selected")
        if chosen not in _VISIBILITIES:
            raise Invalid(f"--visibility is one of {', '.join(_VISIBILITIES)}.", code="cli.visibility")
        if (chosen == "selected") != (repositories is not None):
            raise Invalid("--visibility selected and --repos belong together.", code="cli.visibility")
        fields["visibility"] = chosen
    if repositories is not None:
        names = [name.strip() for name in repositories.split(",") if name.strip()]
        full = [name if "/" in name or organization is None else f"{organization}/{name}" for name in names]
        fields["selected_repository_ids"] = [client.get_repository(name).id for name in full]
    return fields


def say_if_unusable(of_user: bool, fields: Mapping[str, object]) -> None:
    """A secret of an account is for the repositories that it names, and for no other."""
    if of_user and not fields.get("selected_repository_ids"):
        say("No repository may use it yet: add --repos OWNER/NAME.")


def read_secret(words: str, file: Path | None) -> SecretText:
    """A value from a file (`-` is stdin), from stdin if that is no terminal, else asked for unseen.

    One newline at the end is removed: `echo` and editors put it there.
    """
    if file is not None and str(file) != "-":
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise Invalid(f"{file} cannot be read: {reason}.", code="cli.file") from None
    elif file is None and sys.stdin.isatty():
        text = str(typer.prompt(words, hide_input=True, err=True))
    else:
        text = sys.stdin.read()
    value = re.sub(r"\r?\n\Z", "", text)
    if not value:
        remedy = (
            "It is read from standard input (< FILE), from the file that an option names, or asked for at a terminal."
        )
        raise Invalid(f"{words}: nothing was given.", code="cli.empty", remedy=remedy)
    return SecretText(value)


def confirm(question: str, yes: bool) -> None:
    """Ask before what does much harm if it is a slip. Raises Invalid where nobody can answer."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Invalid(f"{question} There is no terminal to ask at.", code="cli.confirm", remedy="Add --yes.")
    typer.confirm(question, abort=True, err=True)
