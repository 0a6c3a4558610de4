"""`berth doctor`: why a codespace does not get its image, and who can mend it."""

import os
from typing import Annotated

import typer

from berth.cli.hosts import connect
from berth.cli.launch_progress import show_finding
from berth.cli.options import AsJSON
from berth.cli.problems import FAILED
from berth.cli.terminal import clean_line, out, out_json, say
from berth.client import Diagnosis
from berth.domain.image_reference import parse_image_reference
from berth.domain.problem import Invalid

_MARKS = {"passed": "ok", "warning": "warning", "failed": "FAILED", "skipped": "-"}


def doctor(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="As in devcontainer.json.")],
    repository: Annotated[
        str | None,
        typer.Option("--repo", metavar="OWNER/REPO", help="Whose codespaces; inside of one, its own if not given."),
    ] = None,
    as_json: AsJSON = False,
) -> None:
    """Say whether your codespaces of a repository get an image, and if not, why, and what to do.

    Ends with 0 if they do, 1 if not.
    """
    parse_image_reference(image)
    name = repository or os.environ.get("GITHUB_REPOSITORY", "")
    if not name:
        remedy = "Add --repo OWNER/REPO: the repository whose codespaces start from the image."
        raise Invalid("Whose codespaces?", code="cli.no_repository", remedy=remedy)
    with connect() as client:
        found = client.examine_image(name, image)
    if as_json:
        out_json(found)
    else:
        _show(found)
    if not found.healthy:
        raise typer.Exit(FAILED)


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
