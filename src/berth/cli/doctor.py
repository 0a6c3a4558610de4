"""`berth doctor`: why a codespace does not get its image, and who can mend it.

Without a server the image is looked at from this machine, with the logins that its environment holds: with --local, and where
no repository is named and nobody is logged in.
"""

import os
from importlib import import_module
from typing import Annotated

import msgspec
import typer

from berth.cli.hosts import connect, is_logged_in
from berth.cli.launch_progress import show_finding
from berth.cli.options import AsJSON
from berth.cli.problems import FAILED
from berth.cli.terminal import clean_line, out, out_json, say, say_progress
from berth.client import Diagnosis
from berth.domain.doctor import diagnosis_fields
from berth.domain.image_reference import ImageReference, parse_image_reference
from berth.domain.problem import Invalid

_MARKS = {"passed": "ok", "warning": "warning", "failed": "FAILED", "skipped": "-"}


def doctor(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="As devcontainer.json names it.")],
    repository: Annotated[
        str | None,
        typer.Option("--repo", metavar="OWNER/REPO", help="Whose codespaces; inside of one, its own if not given."),
    ] = None,
    user: Annotated[
        str | None, typer.Option("--user", metavar="USER", help="As whose codespaces; for site administrators.")
    ] = None,
    local: Annotated[
        bool, typer.Option("--local", help="From this machine, with the logins in its environment; asks no server.")
    ] = False,
    as_json: AsJSON = False,
) -> None:
    """Say why an image cannot be pulled, and who can mend it.

    Asks the server, as a codespace of yours of that repository would; with --local this machine asks the registry itself.
    Ends with 0 if the image can be pulled, 1 if not.

    Example: berth doctor ghcr.io/acme/dev:1 --repo acme/shop
    """
    reference = parse_image_reference(image)
    if local and (repository or user):
        raise Invalid("--local asks no server: --repo and --user do not belong to it.", code="cli.options")
    if local or not (repository or user or is_logged_in()):
        found = _examine_alone(reference)
    else:
        found = _ask_server(image, repository or os.environ.get("GITHUB_REPOSITORY", ""), user)
    if as_json:
        out_json(found)
    else:
        _show(found)
    if not found.healthy:
        raise typer.Exit(FAILED)


def _ask_server(image: str, repository: str, user: str | None) -> Diagnosis:
    if not repository:
        remedy = "Add --repo OWNER/REPO: the repository whose codespaces start from the image; or --local."
        raise Invalid("Whose codespaces?", code="cli.no_repository", remedy=remedy)
    with connect() as client:
        say_progress(f"Looking at {clean_line(image)} ...")
        return client.examine_image(repository, image, user)


def _examine_alone(image: ImageReference) -> Diagnosis:
    say("No server is asked: this machine looks at the image, with the logins in its environment.")
    diagnosis = import_module("berth.standalone").examine(image, os.environ)
    return msgspec.convert(msgspec.to_builtins(diagnosis_fields(diagnosis)), Diagnosis)


def _show(found: Diagnosis) -> None:
    for check in found.checks:
        mark = _MARKS.get(check.state, check.state)
        out(f"{clean_line(mark):8} {clean_line(check.id):16} {clean_line(check.sentence)}")
    for label, outcome in (("with the credential", found.with_credential), ("without", found.without_credential)):
        if outcome:
            out(f"{label}: {clean_line(outcome)}")
    if found.finding is not None:
        show_finding(found.finding)
    elif found.healthy:
        say(f"{clean_line(found.image)} can be pulled: {clean_line(found.digest or '')}")
