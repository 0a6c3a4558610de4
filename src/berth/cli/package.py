"""`berth package`: images in the built-in registry, who may use them, and why."""

from typing import Annotated, Any

import typer

from berth.cli.hosts import connect
from berth.cli.options import AsJSON, Yes, confirm
from berth.cli.terminal import clean_line, out_json, out_table, say
from berth.client import (
    Package,
    PackageAccess,
    PackageDecision,
    PackageGrantee,
    PackageRepository,
    PackageSettings,
    PackageVersion,
)
from berth.domain.problem import Invalid, NotFound

app = typer.Typer(
    help="Packages: images in the built-in registry. To make one: docker push SERVER/OWNER/NAME:TAG.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(metavar="OWNER/NAME", help="As berth package list shows it.")]
User = Annotated[str | None, typer.Option("--user", metavar="LOGIN", help="A user.")]
Team = Annotated[str | None, typer.Option("--team", metavar="SLUG", help="A team of the owning organization.")]
Codespaces = Annotated[
    str | None, typer.Option("--codespaces", metavar="OWNER/REPO", help="The codespaces of a repository.")
]
Workflows = Annotated[
    str | None, typer.Option("--workflows", metavar="OWNER/REPO", help="The workflows of a repository.")
]
_ROLES = ("read", "write", "admin")
_EFFECTS = {"abstain": "fact"}  # a rule that only says what there is


@app.command("list")
def list_packages(
    owner: Annotated[str | None, typer.Argument(metavar="OWNER", help="An account; yours if not given.")] = None,
    as_json: AsJSON = False,
) -> None:
    """List the packages of an account that you may pull."""
    with connect() as client:
        found = client.list_packages(owner)
    if as_json:
        out_json(found)
        return
    if not found:
        say(
            "You have no packages of your own. An organization's: berth package list ORGANIZATION"
            if owner is None
            else f"{clean_line(owner)} has no packages that you may pull."
        )
        return
    rows = [
        (each.full_name, each.exact_visibility, str(each.version_count), _repository(each), each.updated_at)
        for each in found
    ]
    out_table(("package", "visibility", "versions", "repository", "updated"), rows)


@app.command()
def view(name: Name, as_json: AsJSON = False) -> None:
    """Show a package and its newest versions."""
    with connect() as client:
        package, versions = client.get_package(name), client.list_newest_versions(name)
        host = client.origin.partition("://")[2]
    if as_json:
        out_json({"package": package, "versions": versions})
        return
    rows = [
        ("package", package.full_name),
        ("image", f"{host}/{package.full_name.lower()}"),
        ("id", str(package.id)),
        ("visibility", package.exact_visibility),
        ("repository", _repository(package)),
        ("created", package.created_at),
        ("updated", package.updated_at),
        ("versions", str(package.version_count)),
        *(("version", _version(each)) for each in versions),
    ]
    out_table(("", ""), rows)
    if len(versions) < package.version_count:
        say(f"These are the newest {len(versions)} versions.")
    if package.repository is None:
        say(
            f"It is linked to no repository that you may read. To let a repository's people and codespaces in: berth package "
            f"edit {clean_line(package.full_name)} --repo OWNER/REPO --inherit"
        )


@app.command()
def edit(
    name: Name,
    visibility: Annotated[
        str | None, typer.Option("--visibility", metavar="private|internal|public", help="Public is for ever.")
    ] = None,
    inherit: Annotated[
        bool | None,
        typer.Option("--inherit/--no-inherit", help="Let the repository's people in; ends what users and teams have."),
    ] = None,
    repository: Annotated[
        str | None, typer.Option("--repo", metavar="OWNER/REPO", help="Link it to this repository.")
    ] = None,
    unlink: Annotated[bool, typer.Option("--no-repo", help="Link it to none.")] = False,
    untagged_days: Annotated[
        int | None, typer.Option("--untagged-days", metavar="DAYS", help="Delete versions without a tag after so long.")
    ] = None,
    keep_untagged: Annotated[bool, typer.Option("--keep-untagged", help="Never delete them.")] = False,
    yes: Yes = False,
    as_json: AsJSON = False,
) -> None:
    """Change a package's settings; what is not named stays."""
    if (unlink and repository is not None) or (keep_untagged and untagged_days is not None):
        raise Invalid("--repo and --no-repo exclude each other; so do the two about versions.", code="cli.options")
    changes: dict[str, Any] = {
        key: value
        for key, value in (
            ("visibility", visibility),
            ("inherit_access", inherit),
            ("repository", repository),
            ("untagged_retention_days", untagged_days),
        )
        if value is not None
    }
    changes |= ({"repository": None} if unlink else {}) | ({"untagged_retention_days": None} if keep_untagged else {})
    if not changes:
        raise Invalid("Name something to change.", code="cli.options", remedy="See berth package edit --help.")
    if visibility == "public":
        confirm(f"Make {clean_line(name)} public for ever?", yes)
    with connect() as client:
        settings = client.change_package(name, changes)
    if as_json:
        out_json(settings)
    else:
        out_table(("", ""), _settings_rows(settings))


@app.command()
def access(
    name: Name,
    user: User = None,
    repository: Annotated[
        str | None,
        typer.Option("--repo", metavar="OWNER/REPO", help="Its codespaces for a pull, its workflows for all else."),
    ] = None,
    action: Annotated[
        str | None, typer.Option("--action", metavar="pull|push|delete|administer", help="pull if not given.")
    ] = None,
    as_json: AsJSON = False,
) -> None:
    """Show who may use a package, and why. Of a user or a repository: whether it may, and by which rules."""
    if user is not None and repository is not None:
        raise Invalid("Ask about --user or --repo, one of them.", code="cli.options")
    asked_of = {"user": user} if user is not None else {"repository": repository} if repository is not None else {}
    if action is not None and not asked_of:
        raise Invalid("--action belongs to --user or --repo.", code="cli.options")
    with connect() as client:
        if asked_of:
            decision = client.explain_package(name, action or "pull", **asked_of)
            _show_decision(decision, as_json)
        else:
            _show_access(client.get_package_access(name), as_json)


def _show_decision(decision: PackageDecision, as_json: bool) -> None:
    if as_json:
        out_json(decision)
        return
    may = "may" if decision.allowed else "may not"
    who = clean_line(decision.asked_of)
    who = who[:1].upper() + who[1:] if " " in who else who  # a login stays as it is
    say(f"{who} {may} {clean_line(decision.action)} {clean_line(decision.package)}.")
    rows = [(_EFFECTS.get(each.effect, each.effect), each.rule, each.text) for each in decision.trail]
    out_table(("effect", "rule", "because"), rows, whole="rule")


def _show_access(found: PackageAccess, as_json: bool) -> None:
    if as_json:
        out_json(found)
        return
    if found.teams is None:
        say("Teams are not shown: that needs a token with the scope read:org.")
    rows = [
        *(("setting", key, value) for key, value in _settings_rows(found.settings)),
        *(("user", each.login, each.role) for each in found.users),
        *(("team", each.slug, each.role) for each in found.teams or ()),
        *(("codespaces", each.full_name, "pull") for each in found.codespaces),
        *(("workflows", each.full_name, _role(each)) for each in found.workflows),
    ]
    out_table(("what", "who", "may"), rows)
    say(_not_listed(found.settings))


def _not_listed(settings: PackageSettings) -> str:
    """Who may use it without being granted anything: the table would be half of the answer."""
    words = ["Besides these, the owner administers it; of an organization, its owners."]
    if settings.visibility == "public":
        words.append("Everybody pulls it.")
    if settings.visibility == "internal":
        words.append("Members of the organization pull it, and codespaces of its repositories that are not public.")
    if settings.inherit_access:
        linked = clean_line(settings.repository or "the linked repository")
        words.append(f"Roles on {linked} count; its codespaces pull, unless it is public, and its workflows push.")
    return " ".join(words)


@app.command()
def grant(
    name: Name,
    user: User = None,
    team: Team = None,
    codespaces: Codespaces = None,
    workflows: Workflows = None,
    role: Annotated[
        str | None, typer.Option("--role", metavar="read|write|admin", help="For all but codespaces, which only pull.")
    ] = None,
) -> None:
    """Let somebody use a package."""
    grantee = _grantee(user, team, codespaces, workflows)
    if (role is None) != (grantee.kind == "codespaces"):
        raise Invalid("--role belongs to --user, --team and --workflows, which need it.", code="cli.options")
    if role is not None and role not in _ROLES:
        raise Invalid(f"--role is one of {', '.join(_ROLES)}.", code="cli.options")
    with connect() as client:
        client.grant_package(name, grantee, role)
    say(f"{_words(grantee)}: {role or 'pull'} on {clean_line(name)}.")


@app.command()
def revoke(
    name: Name, user: User = None, team: Team = None, codespaces: Codespaces = None, workflows: Workflows = None
) -> None:
    """Take away what was granted. Other ways to the package that they may have stay: see berth package access."""
    grantee = _grantee(user, team, codespaces, workflows)
    with connect() as client:
        client.revoke_package(name, grantee)
    say(f"{_words(grantee)}: no longer granted {clean_line(name)}.")


@app.command()
def delete(name: Name, yes: Yes = False) -> None:
    """Delete a package with all its versions. It can be restored for 30 days."""
    confirm(f"Delete {clean_line(name)} and all its versions?", yes)
    with connect() as client:
        package = client.get_package(name)  # its id: the next one of this name is another one
        client.delete_package(name)
    shown = clean_line(package.full_name)
    say(f"Deleted {shown}. For 30 days: berth package restore {shown} --id {package.id}")


@app.command()
def restore(
    name: Name,
    package_id: Annotated[
        int | None, typer.Option("--id", metavar="ID", help="Which one, if several deleted ones had this name.")
    ] = None,
) -> None:
    """Restore a package. It was deleted in the last 30 days, and its name is free."""
    with connect() as client:
        try:
            client.restore_package(name, package_id)
        except NotFound as missing:
            raise _nothing_to_restore(missing) from None
    say(f"Restored {clean_line(name)}.")


def _nothing_to_restore(missing: NotFound) -> NotFound:
    """In the server's answer a package that is there looks like none at all: it has no deleted one to tell of."""
    if missing.code != "package.not_found":
        return missing
    return NotFound(
        "There is no deleted package of this name that can be restored (any more).",
        code=missing.code,
        remedy="Is it there? berth package view OWNER/NAME. What your account may not see looks the same as what does not exist.",
    )


def _grantee(user: str | None, team: str | None, codespaces: str | None, workflows: str | None) -> PackageGrantee:
    """Exactly one of them. Raises Invalid."""
    named = {"user": user, "team": team, "codespaces": codespaces, "workflows": workflows}
    given = [PackageGrantee(kind, text) for kind, text in named.items() if text is not None]
    if len(given) != 1:
        raise Invalid("Name one of --user, --team, --codespaces and --workflows.", code="cli.options")
    return given[0]


def _words(grantee: PackageGrantee) -> str:
    of_repository = f"{grantee.kind.capitalize()} of {grantee.name}"
    words = {"user": grantee.name, "team": f"Team {grantee.name}"}
    return clean_line(words.get(grantee.kind, of_repository))


def _settings_rows(settings: PackageSettings) -> list[tuple[str, str]]:
    link = settings.repository or ("one that you may not read" if settings.linked else "none")
    days = settings.untagged_retention_days
    return [
        ("visibility", settings.visibility),
        ("repository", link),
        ("inherit access", "yes" if settings.inherit_access else "no"),
        ("untagged versions", "stay" if days is None else f"go after {days} days"),
    ]


def _version(version: PackageVersion) -> str:
    tags = version.metadata.container.tags
    return f"{version.name} {'tagged ' + ', '.join(tags) if tags else 'without a tag'}"


def _repository(package: Package) -> str:
    return "" if package.repository is None else package.repository.full_name


def _role(repository: PackageRepository) -> str:
    return repository.role if isinstance(repository.role, str) else ""
