"""`berth package`: argv → what reaches the server, what is printed, which exit code."""

import json
import sys
from typing import Any

import pytest
from tests.cli.conftest import Berth
from tests.fakes.github_like import GitHubLike

from berth.cli.terminal import clean, out_table

NAME = "acme/tools/dev"
PATH = "/users/acme/packages/container/tools%2Fdev"


def test_packages_are_listed_with_what_they_really_are(berth: Berth, server: GitHubLike) -> None:
    for owner, path in (((), "/user/packages"), (("acme",), "/users/acme/packages")):
        result = berth("package", "list", *owner)
        assert result.stdout == f"{NAME}\tinternal\t1\tacme/shop\t2026-11-23T08:15:50Z\n"
        assert f"GET {path}" in server.requests
        assert "package_type=container" in server.queries[-1]


def test_a_package_is_shown_with_its_newest_versions(berth: Berth) -> None:
    result = berth("package", "view", NAME)
    assert result.exit_code == 0, result.output
    for line in (
        f"package\t{NAME}",
        "visibility\tinternal",
        "repository\tacme/shop",
        f"version\tsha256:{'0' * 64} tagged 1",
    ):
        assert line in result.stdout.splitlines()


def test_a_package_is_shown_with_the_name_that_docker_takes(berth: Berth, server: GitHubLike) -> None:
    package = {"id": 7, "name": "tools/dev", "visibility": "private", "owner": {"login": "Acme"}, "version_count": 31}
    server.answers[f"GET {PATH}"] = (200, package)
    result = berth("package", "view", NAME)
    assert f"image\t{server.url.partition('://')[2]}/acme/tools/dev" in result.stdout.splitlines()
    assert "the newest 1 versions" in result.stderr


def test_that_no_repository_is_linked_is_said_with_what_to_do(berth: Berth, server: GitHubLike) -> None:
    assert "linked to no repository" not in berth("package", "view", NAME).stderr
    server.answers[f"GET {PATH}"] = (
        200,
        {"id": 7, "name": "tools/dev", "visibility": "private", "owner": {"login": "acme"}},
    )
    assert f"berth package edit {NAME} --repo OWNER/REPO --inherit" in berth("package", "view", NAME).stderr


@pytest.mark.parametrize(
    ("owner", "words"),
    [((), "berth package list ORGANIZATION"), (("acme",), "acme has no packages that you may pull.")],
)
def test_an_empty_list_says_so(berth: Berth, server: GitHubLike, owner: tuple[str, ...], words: str) -> None:
    for path in ("/user/packages", "/users/acme/packages"):
        server.answers[f"GET {path}"] = (200, [])
    result = berth("package", "list", *owner)
    assert (result.exit_code, result.stdout) == (0, "")
    assert words in result.stderr
    assert json.loads(berth("package", "list", *owner, "--json").stdout) == []


def test_who_may_use_it_is_shown(berth: Berth, server: GitHubLike) -> None:
    lines = [
        "setting\tvisibility\tinternal",
        "setting\trepository\tacme/shop",
        "setting\tinherit access\tyes",
        "setting\tuntagged versions\tgo after 30 days",
        "user\tada\tadmin",
        "team\tcore\tread",
        "codespaces\tacme/shop\tpull",
        "workflows\tacme/site\twrite",
    ]
    result = berth("package", "access", NAME)
    assert result.stdout.splitlines() == lines
    assert "read:org" not in result.stderr
    server.teams_hidden = True
    result = berth("package", "access", NAME)
    assert result.stdout.splitlines() == [line for line in lines if "team" not in line]
    assert "read:org" in result.stderr


@pytest.mark.parametrize(
    ("visibility", "inherits", "linked", "words"),
    [
        ("private", False, None, ()),
        ("public", False, None, ("Everybody pulls it.",)),
        ("internal", False, None, ("Members of the organization",)),
        ("private", True, "acme/shop", ("Roles on acme/shop count;",)),
        ("private", True, None, ("Roles on the linked repository count;",)),
    ],
)
def test_who_may_use_it_without_a_grant_is_said_beside(
    berth: Berth, server: GitHubLike, visibility: str, inherits: bool, linked: str | None, words: tuple[str, ...]
) -> None:
    server.answers[f"GET {PATH}/settings"] = (
        200,
        {
            "name": "tools/dev",
            "owner": "acme",
            "visibility": visibility,
            "inherit_access": inherits,
            "linked": inherits,
            "repository": linked,
            "untagged_retention_days": None,
        },
    )
    said = berth("package", "access", NAME).stderr
    possible = ("Everybody", "Members of the organization", "Roles on")
    assert "the owner administers it" in said
    assert all(each in said for each in words)
    assert sum(each in said for each in possible) == len(words)


@pytest.mark.parametrize(
    ("options", "query"),
    [
        (("--user", "ada"), "action=pull&user=ada"),
        (("--user", "ada", "--action", "push"), "action=push&user=ada"),
        (("--repo", "acme/site"), "action=pull&repository=acme%2Fsite"),
    ],
)
def test_a_decision_is_shown_with_its_rules(
    berth: Berth, server: GitHubLike, options: tuple[str, ...], query: str
) -> None:
    result = berth("package", "access", NAME, *options)
    assert server.queries[-1] == query
    assert result.stdout == "fact\tpackage.grant\tShe was granted a role: read.\n"
    assert result.stderr == f"ada may not push {NAME}.\n"


@pytest.mark.parametrize(("columns", "is_whole"), [(80, True), (40, False)])
def test_a_rule_is_not_broken_on_a_usual_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int, is_whole: bool
) -> None:
    rule, text = "package.codespace.public_repository", "The package is internal, and so on. " * 3
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    out_table(("effect", "rule", "because"), [("deny", rule, text)], whole="rule")
    shown = clean(capsys.readouterr().out)
    assert (rule in shown) is is_whole
    assert all(len(line) <= columns for line in shown.splitlines())
    printed = "effect rule because deny" + rule + text
    assert sum(map(str.isalnum, shown)) == sum(map(str.isalnum, printed))  # nothing is cut off


def test_of_whom_a_decision_is_begins_the_sentence(berth: Berth, server: GitHubLike) -> None:
    decision = {"package": NAME, "action": "pull", "asked_of": "a codespace of acme/site", "allowed": True}
    server.answers[f"GET {PATH}/access"] = (200, decision)
    result = berth("package", "access", NAME, "--repo", "acme/site")
    assert result.stderr == f"A codespace of acme/site may pull {NAME}.\n"


@pytest.mark.parametrize(
    "argv",
    [("list",), ("view", NAME), ("access", NAME), ("access", NAME, "--user", "ada"), ("edit", NAME, "--no-inherit")],
    ids=" ".join,
)
def test_json_is_the_only_thing_on_stdout(berth: Berth, argv: tuple[str, ...]) -> None:
    assert json.loads(berth("package", *argv, "--json").stdout)


@pytest.mark.parametrize(
    ("options", "body"),
    [
        (("--visibility", "internal"), {"visibility": "internal"}),
        (("--visibility", "public", "--yes"), {"visibility": "public"}),
        (("--repo", "acme/shop", "--inherit"), {"repository": "acme/shop", "inherit_access": True}),
        (("--no-repo", "--no-inherit"), {"repository": None, "inherit_access": False}),
        (("--untagged-days", "30"), {"untagged_retention_days": 30}),
        (("--keep-untagged",), {"untagged_retention_days": None}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_settings_are_changed(berth: Berth, server: GitHubLike, options: tuple[str, ...], body: dict[str, Any]) -> None:
    result = berth("package", "edit", NAME, *options)
    assert (result.exit_code, server.changes) == (0, [("PATCH ", body)])
    assert "inherit access\tyes" in result.stdout


@pytest.mark.parametrize(
    ("options", "path"),
    [
        (("--user", "ada"), "/collaborators/ada"),
        (("--team", "core"), "/teams/core"),
        (("--codespaces", "acme/shop"), "/codespaces/repositories/11"),
        (("--workflows", "acme/site"), "/actions/repositories/12"),
    ],
)
def test_grants_are_given_and_taken_away(berth: Berth, server: GitHubLike, options: tuple[str, ...], path: str) -> None:
    role = () if options[0] == "--codespaces" else ("--role", "write")
    given = berth("package", "grant", NAME, *options, *role)
    assert given.exit_code == 0, given.output
    assert f"{'write' if role else 'pull'} on {NAME}" in given.stderr
    assert berth("package", "revoke", NAME, *options).exit_code == 0
    assert server.changes == [(f"PUT {path}", {"role": "write"} if role else {}), (f"DELETE {path}", {})]


def test_a_package_is_deleted_and_restored(berth: Berth, server: GitHubLike) -> None:
    deleted = berth("package", "delete", NAME, "--yes")
    assert deleted.exit_code == 0
    assert f"berth package restore {NAME} --id 7" in deleted.stderr
    assert berth("package", "restore", NAME).exit_code == 0
    assert server.queries[-1] == ""
    assert berth("package", "restore", NAME, "--id", "7").exit_code == 0
    assert server.queries[-1] == "package_id=7"
    assert [request for request, _ in server.changes] == ["DELETE ", "POST /restore", "POST /restore"]


USAGE = [
    ("view", "tools"),
    ("view", "/tools"),
    ("view", "acme/tools:1"),
    ("view", "acme/tools@sha256:00"),
    ("view", "berth.example.com/acme/tools"),
    ("view", "localhost:8080/acme/tools"),
    ("edit", NAME),
    ("edit", NAME, "--repo", "acme/shop", "--no-repo"),
    ("edit", NAME, "--untagged-days", "3", "--keep-untagged"),
    ("edit", NAME, "--untagged-days", "soon"),
    ("edit", NAME, "--visibility", "public"),
    ("delete", NAME),
    ("restore", NAME, "--id", "x"),
    ("grant", NAME, "--role", "read"),
    ("grant", NAME, "--user", "ada"),
    ("grant", NAME, "--user", "ada", "--role", "push"),
    ("grant", NAME, "--user", "ada", "--team", "core", "--role", "read"),
    ("grant", NAME, "--codespaces", "acme/shop", "--role", "read"),
    ("grant", NAME, "--codespaces", "shop"),
    ("grant", NAME, "--user", "", "--role", "read"),
    ("revoke", NAME),
    ("access", NAME, "--user", "ada", "--repo", "acme/shop"),
    ("access", NAME, "--action", "push"),
]


@pytest.mark.parametrize("argv", USAGE, ids=" ".join)
def test_wrong_usage_is_exit_2_and_changes_nothing(berth: Berth, server: GitHubLike, argv: tuple[str, ...]) -> None:
    result = berth("package", *argv)
    assert result.exit_code == 2, result.output
    assert server.changes == []


def test_the_servers_refusal_is_shown(berth: Berth, server: GitHubLike) -> None:
    server.answers[f"POST {PATH}/restore"] = (
        404,
        {"message": "A package of this name exists again.", "code": "package.name_in_use"},
    )
    result = berth("package", "restore", NAME)
    assert result.exit_code == 1
    assert "exists again" in result.stderr
    assert "--id ID" in result.stderr
    assert "spelling" not in result.stderr


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("package.not_found", "There is no such package."),
        ("repository.not_found", "There is no such repository."),
        ("account.not_found", "There is no such user or organization."),
        ("else.not_found", "Not Found"),
    ],
)
def test_what_is_not_found_is_named(berth: Berth, server: GitHubLike, code: str, words: str) -> None:
    server.answers[f"GET {PATH}"] = (404, {"message": "Not Found", "code": code})
    result = berth("package", "view", NAME)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[0] == f"berth: {words}"
    assert "looks the same as what does not exist" in result.stderr


def test_what_cannot_be_restored_may_be_there(berth: Berth, server: GitHubLike) -> None:
    server.answers[f"POST {PATH}/restore"] = (404, {"message": "Not Found", "code": "package.not_found"})
    result = berth("package", "restore", NAME)
    assert result.exit_code == 1
    assert "There is no deleted package" in result.stderr
    assert "berth package view" in result.stderr


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        ("Nothing gives the right to administer. Ask an administrator of the package, or use another token.", ""),
        ("Must have admin rights to Repository.", "Ask an administrator of the repository or organization"),
    ],
    ids=["the server's own", "ours"],
)
def test_there_is_one_advice(berth: Berth, server: GitHubLike, message: str, advice: str) -> None:
    server.answers[f"PATCH {PATH}"] = (403, {"message": message, "code": "package.denied"})
    result = berth("package", "edit", NAME, "--no-inherit")
    first, *others = result.stderr.splitlines()
    assert (result.exit_code, first) == (1, f"berth: {message}")
    assert (advice in "".join(others)) if advice else not others


def test_an_option_is_named_where_the_server_names_a_field(berth: Berth, server: GitHubLike) -> None:
    server.answers[f"PATCH {PATH}"] = (422, {"message": "Linked to none.", "code": "package.not_linked"})
    result = berth("package", "edit", NAME, "--inherit")
    assert (result.exit_code, "--repo OWNER/REPO" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    "answer", [[], {}, {"repositories": 1}, [1], {"total_count": 1, "repositories": [{"id": "x"}]}]
)
def test_a_list_of_something_else_is_said_to_be_one(berth: Berth, server: GitHubLike, answer: object) -> None:
    for path, argv in (
        (f"{PATH}/codespaces/repositories", ("access", NAME)),
        ("/user/packages", ("list", "--json")),
    ):
        server.answers[f"GET {path}"] = (200, answer)
        result = berth("package", *argv)
        if (path, answer) != ("/user/packages", []):
            assert result.exit_code == 1, result.output
            assert "not what this version of berth understands" in result.stderr


def test_hostile_text_of_a_server_never_reaches_the_terminal(berth: Berth, server: GitHubLike) -> None:
    hostile = "\x1b]0;owned\x07[red]x\u202e"
    owner = {"login": hostile}
    package = {"id": 1, "name": hostile, "visibility": hostile, "owner": owner, "updated_at": hostile}
    server.answers["GET /user/packages"] = (200, [package])
    server.answers[f"GET {PATH}"] = (200, package)
    server.answers[f"GET {PATH}/access"] = (
        200,
        {
            "package": hostile,
            "action": hostile,
            "asked_of": hostile,
            "allowed": True,
            "trail": [{"rule": hostile, "effect": hostile, "text": hostile}],
        },
    )
    for argv in (("list",), ("view", NAME), ("access", NAME, "--user", "a"), ("list", "--json")):
        result = berth("package", *argv)
        assert result.exit_code == 0, result.output
        assert not set("\x1b\x07\u202e") & set(result.stdout + result.stderr)
