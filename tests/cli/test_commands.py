"""argv → what reaches the server, what is printed, which exit code."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Berth
from tests.fakes.github_like import CODESPACE, GitHubLike

from berth.cli.problems import EXIT_CODES, exit_code_of
from berth.cli.registry import show_registries
from berth.client import RegistryLogin, RegistryLogins, UnsharedLogin
from berth.domain.problem import Problem

SECRETS = "/orgs/acme/codespaces/secrets"
TRIPLE = [f"{SECRETS}/REGISTRY_EXAMPLE_COM_CONTAINER_REGISTRY_{part}" for part in ("SERVER", "USER", "PASSWORD")]
ADD = ("registry", "add", "registry.example.com", "--username", "robot", "--org", "acme")

EFFECTS = [
    pytest.param(("codespace", "list"), f"GET /user/codespaces>{CODESPACE}", id="codespace list"),
    pytest.param(("codespace", "view", CODESPACE), f"GET /user/codespaces/{CODESPACE}>calm quay", id="codespace view"),
    pytest.param(("codespace", "stop", CODESPACE), f"POST /user/codespaces/{CODESPACE}/stop>", id="codespace stop"),
    pytest.param(
        ("codespace", "rebuild", CODESPACE), f"POST /user/codespaces/{CODESPACE}/rebuild>", id="codespace rebuild"
    ),
    pytest.param(("codespace", "start", CODESPACE), f"POST /user/codespaces/{CODESPACE}/start>", id="codespace start"),
    pytest.param(
        ("codespace", "delete", "-y", CODESPACE), f"DELETE /user/codespaces/{CODESPACE}>", id="codespace delete"
    ),
    pytest.param(("codespace", "logs", CODESPACE), f"GET /user/codespaces/{CODESPACE}/logs>installed", id="logs"),
    pytest.param(("token", "create", "ci", "--scopes", "repo"), "POST /user/tokens>berth_new_token", id="token create"),
    pytest.param(("token", "revoke", "7"), "DELETE /user/tokens/7>", id="token revoke"),
    pytest.param(("token", "list"), "GET /user/tokens>", id="token list"),
    pytest.param(("repo", "create", "acme/new"), "POST /orgs/acme/repos>acme/new", id="repo create"),
    pytest.param(("repo", "rename", "acme/shop", "mall"), "PATCH /repos/acme/shop>acme/mall", id="repo rename"),
    pytest.param(("secret", "list", "--user"), "GET /user/codespaces/secrets>", id="secret list"),
    pytest.param(
        ("admin", "create-user", "bob", "--email", "b@example.com", "--token-scopes", "repo"),
        "POST /admin/users/bob/authorizations>berth_bob_token",
        id="create-user",
    ),
    pytest.param(
        ("admin", "invite", "bob"), "POST /admin/users/bob/invitation>/login/invitation/berth_bob_link", id="invite"
    ),
    pytest.param(("admin", "suspend", "bob"), "PUT /users/bob/suspended>", id="suspend"),
    pytest.param(("admin", "unsuspend", "bob"), "DELETE /users/bob/suspended>", id="unsuspend"),
    pytest.param(
        ("admin", "create-organization", "umbrella", "--admin", "ada"),
        "POST /admin/organizations>umbrella",
        id="create-organization",
    ),
]


@pytest.mark.parametrize("argv, effect", EFFECTS)
def test_a_command_reaches_its_route_and_prints_the_result(
    berth: Berth, server: GitHubLike, argv: tuple[str, ...], effect: str
) -> None:
    request, _, printed = effect.partition(">")
    result = berth(*argv)
    assert result.exit_code == 0, result.output
    assert request in server.requests
    assert printed in result.stdout


def test_a_new_user_without_a_token_is_told_how_to_get_one(berth: Berth) -> None:
    made = ("admin", "create-user", "bob", "--email", "b@example.com")
    alone, with_token = berth(*made), berth(*made, "--token-scopes", "repo")
    assert (alone.exit_code, alone.stdout) == (0, "bob\n")
    assert "gh api -X POST admin/users/bob/authorizations" in alone.stderr
    assert "authorizations" not in with_token.stderr


@pytest.mark.parametrize(
    "argv",
    [("codespace", "list"), ("codespace", "view", CODESPACE), ("token", "list"), ("admin", "invite", "bob")],
    ids=" ".join,
)
def test_json_is_the_only_thing_on_stdout(berth: Berth, argv: tuple[str, ...]) -> None:
    json.loads(berth(*argv, "--json").stdout)


@pytest.mark.parametrize(
    "level, path",
    [
        (("--user",), "/user/codespaces/secrets/NPM"),
        (("--repo", "acme/shop"), "/repos/acme/shop/codespaces/secrets/NPM"),
        (("--org", "acme"), f"{SECRETS}/NPM"),
    ],
    ids=["user", "repository", "organization"],
)
def test_a_secret_arrives_sealed_without_the_last_newline(
    berth: Berth, server: GitHubLike, level: tuple[str, ...], path: str
) -> None:
    assert berth("secret", "set", "npm", *level, stdin="s3cret\n\n").exit_code == 0
    assert server.values() == {path: "s3cret\n"}
    assert berth("secret", "delete", "npm", *level).exit_code == 0
    assert server.secrets == {}


def test_selected_repositories_are_sent_by_id(berth: Berth, server: GitHubLike) -> None:
    berth("secret", "set", "A", "--org", "acme", "--repos", "shop,acme/site", stdin="x")
    body = server.secrets[f"{SECRETS}/A"]
    assert (body["visibility"], body["selected_repository_ids"]) == ("selected", [11, 12])


USAGE = [
    ("secret", "set", "A"),
    ("secret", "set", "A", "--user", "--org", "acme"),
    ("secret", "set", "A", "--user", "--visibility", "all"),
    ("secret", "set", "A", "--org", "acme", "--visibility", "everyone"),
    ("secret", "set", "A", "--org", "acme", "--visibility", "selected"),
    ("secret", "set", "A", "--repo", "acme/shop", "--repos", "acme/site"),
    ("secret", "set", "GITHUB_A", "--user"),
    ("secret", "list", "--repo", "no-slash"),
    ("codespace", "delete", CODESPACE),
    ("codespace", "nonsense"),
    ("registry", "add", "https://user:pw@host", "--username", "u", "--user"),
]


@pytest.mark.parametrize("argv", USAGE, ids=" ".join)
def test_wrong_usage_is_exit_2_and_changes_nothing(berth: Berth, server: GitHubLike, argv: tuple[str, ...]) -> None:
    assert berth(*argv, stdin="value").exit_code == 2
    assert not [request for request in server.requests if not request.startswith("GET")]


def test_a_registry_is_three_secrets_server_last(berth: Berth, server: GitHubLike) -> None:
    result = berth(*ADD, stdin="hunter2\n")
    assert result.exit_code == 0, result.output
    assert list(server.values().items()) == list(
        zip(TRIPLE[::-1], ("hunter2", "robot", "registry.example.com"), strict=True)
    )
    assert berth(*ADD, stdin="other").exit_code == 1
    assert server.values()[TRIPLE[2]] == "hunter2"
    assert berth("registry", "remove", "registry.example.com", "--org", "acme", "--yes").exit_code == 0
    assert server.secrets == {}


@pytest.mark.parametrize("failing", TRIPLE, ids=["SERVER", "USER", "PASSWORD"])
@pytest.mark.parametrize("options", [(), ("--replace",)], ids=["new", "replaced"])
def test_a_registry_is_stored_whole_or_not_at_all(
    berth: Berth, server: GitHubLike, failing: str, options: tuple[str, ...]
) -> None:
    if options:
        berth(*ADD, stdin="old")
    server.answers[f"PUT {failing}"] = (502, {"message": "upstream is ill"})
    result = berth(*ADD, *options, stdin="new")
    assert (result.exit_code, server.secrets) == (1, {})
    assert "upstream is ill" in result.stderr


@pytest.mark.parametrize(
    "argv, password, code, said",
    [
        (("eu-docker.pkg.dev", "--username", "_json_key"), "{c4nary", 2, "JSON key"),
        (("docker.io", "--username", "ana@example.com"), "c4nary", 0, "Warning: The user name is an e-mail"),
        (("docker.io", "--username", "ana"), "c4nary", 0, ""),
    ],
    ids=["refused", "a warning", "one of the server's"],
)
def test_a_form_is_checked_before_it_is_stored(
    berth: Berth, server: GitHubLike, argv: tuple[str, ...], password: str, code: int, said: str
) -> None:
    server.login["warnings"] = ["The user name is an e-mail address; Docker Hub wants the Docker ID."]
    result = berth("registry", "add", *argv, "--org", "acme", stdin=password)
    assert (result.exit_code, bool(server.secrets)) == (code, code == 0)
    assert said in result.stderr
    assert result.stderr.count("Warning: The user name is an e-mail") == (code == 0), "said once"
    assert "c4nary" not in result.output


REFUSED_LOGIN = {
    "outcome": "refused",
    "sentence": "registry.example.com rejected the credential.",
    "finding": {
        "code": "image.unauthorized",
        "sentence": "registry.example.com rejected the credential.",
        "fixer": "organization_owner",
        "next_step": "Make a new password.",
        "evidence": {"status": "401"},
    },
}
UNKNOWN_LOGIN = {
    "outcome": "unknown",
    "sentence": "The name is not known.",
    "finding": {**REFUSED_LOGIN["finding"], "code": "registry.name_unknown"},  # type: ignore[dict-item]
}


@pytest.mark.parametrize(
    "where, path",
    [
        (("--org", "acme"), "/orgs/acme/codespaces/registries/check"),
        (("--repo", "acme/shop"), "/repos/acme/shop/codespaces/registries/check"),
        (("--user",), "/user/codespaces/registries/check"),
    ],
    ids=["organization", "repository", "user"],
)
def test_a_login_is_tried_sealed_before_it_is_stored(
    berth: Berth, server: GitHubLike, where: tuple[str, ...], path: str
) -> None:
    server.login["warnings"] = ["The token is short-lived."]
    add = ("registry", "add", "https://r.example.com/", "--username", "robot", "--image", "r.example.com/a/b", *where)
    result = berth(*add, "--json", stdin="hunter2")
    assert result.exit_code == 0, result.output
    ((at, body),) = server.checks
    assert (at, body["server"], body["prefix"], body["image"]) == (
        path,
        "r.example.com",
        "R_EXAMPLE_COM",
        "r.example.com/a/b",
    )
    assert (body["encrypted_username"], body["encrypted_password"]) == ("robot", "hunter2")
    changes = [request.partition(" ")[0] for request in server.requests if not request.startswith("GET")]
    assert changes == ["POST", "PUT", "PUT", "PUT"]
    printed = json.loads(result.stdout)
    assert (printed["login"]["outcome"], len(printed["secrets"])) == ("accepted", 3)
    assert "It takes the login." in result.stderr
    assert "Warning: The token is short-lived." in result.stderr


@pytest.mark.parametrize("login, said", [(REFUSED_LOGIN, "Nothing was stored"), (UNKNOWN_LOGIN, "--unchecked")])
@pytest.mark.parametrize("options", [(), ("--replace",)], ids=["new", "replaced"])
def test_a_login_that_is_not_accepted_changes_nothing(
    berth: Berth, server: GitHubLike, login: dict[str, Any], said: str, options: tuple[str, ...]
) -> None:
    if options:
        berth(*ADD, stdin="old")
    before = dict(server.values())
    server.login = login
    result = berth(*ADD, *options, "--json", stdin="c4nary")
    assert (result.exit_code, server.values()) == (1, before)
    for text in (said, login["finding"]["code"], "Make a new password.", "an owner of the organization"):
        assert text in result.stderr
    assert json.loads(result.stdout)["secrets"] == []
    assert "c4nary" not in result.output
    unchecked = berth(*ADD, *options, "--unchecked", stdin="c4nary")
    assert (unchecked.exit_code, server.values()[TRIPLE[2]], len(server.checks)) == (0, "c4nary", 1 + len(options))
    assert "without trying it" in unchecked.stderr


@pytest.mark.parametrize(
    "options", [("--image", "other.example/a"), ("--image", "registry.example.com/a", "--unchecked")]
)
def test_an_image_that_does_not_fit_is_wrong_usage(berth: Berth, server: GitHubLike, options: tuple[str, ...]) -> None:
    assert berth(*ADD, *options, stdin="x").exit_code == 2
    assert (server.checks, server.secrets) == ([], {})


def test_who_may_not_is_told_before_anything_is_stored(berth: Berth, server: GitHubLike) -> None:
    server.answers["POST /orgs/acme/codespaces/registries/check"] = (403, {"message": "Must be an owner."})
    result = berth(*ADD, stdin="x")
    assert (result.exit_code, server.secrets) == (1, {})
    assert "Must be an owner." in result.stderr


def test_a_login_is_removed_only_if_that_is_meant(berth: Berth, server: GitHubLike) -> None:
    berth(*ADD, stdin="x")
    result = berth("registry", "remove", "registry.example.com", "--org", "acme")
    assert (result.exit_code, len(server.secrets)) == (2, 3)
    assert "--yes" in result.stderr


def test_a_replaced_server_never_meets_the_new_password(berth: Berth, server: GitHubLike) -> None:
    berth(*ADD, stdin="old")
    server.requests.clear()
    assert berth(*ADD, "--replace", stdin="new").exit_code == 0
    changes = [request for request in server.requests if not request.startswith("GET")]
    tried = "POST /orgs/acme/codespaces/registries/check"
    assert changes == [tried, f"DELETE {TRIPLE[0]}", *(f"PUT {path}" for path in TRIPLE[::-1])]


def test_a_session_token_is_a_fourth_secret_and_goes_with_its_keys(
    berth: Berth, server: GitHubLike, tmp_path: Path
) -> None:
    session = f"{SECRETS}/REGISTRY_EXAMPLE_COM_CONTAINER_REGISTRY_SESSION_TOKEN"
    (tmp_path / "session").write_text("s3ss10n\n")
    assert berth(*ADD, "--session-token-file", str(tmp_path / "session"), stdin="s").exit_code == 0
    assert next(iter(server.values().items())) == (session, "s3ss10n")
    assert len(server.secrets) == 4
    assert berth(*ADD, "--replace", stdin="new").exit_code == 0
    assert list(server.values()) == TRIPLE[::-1]
    berth(*ADD, "--replace", "--session-token-file", str(tmp_path / "session"), stdin="s")
    assert berth("registry", "remove", "registry.example.com", "--org", "acme", "--yes").exit_code == 0
    assert server.secrets == {}


@pytest.mark.parametrize("where", [("--org", "acme"), ("--repo", "acme/shop"), ("--user",)], ids=" ".join)
def test_who_removes_a_login_of_another_prefix_is_told_where_to_look(berth: Berth, where: tuple[str, ...]) -> None:
    result = berth("registry", "remove", "registry.example.com", *where)
    assert result.exit_code == 1
    assert f"berth secret list {' '.join(where)}, then --prefix" in result.stderr


def test_the_version_is_printed(anonymous: Berth) -> None:
    result = anonymous("--version")
    assert result.exit_code == 0
    assert re.fullmatch(r"berth \d+\.\S+\n", result.stdout)


def test_registries_are_listed_with_the_reason(berth: Berth, server: GitHubLike) -> None:
    shadowed = {"server": "r.example.com", "level": "user", "prefix": "R", "kind": "basic", "shadowed": True}
    untried = {"outcome": "untried", "code": None, "checked_at": None}
    refused = {"outcome": "refused", "code": "ecr.key_unknown", "checked_at": "2026-01-01T11:00:00Z"}
    server.registries = [
        {**shadowed, "reason": "that one.", "warnings": ["that one.", "Two of them."], "last_check": untried}
    ]
    server.unshared = [{"server": "f.example.com", "level": "user", "prefix": "F", "reason": "It does not select it."}]
    server.registries.append({"server": "berth.example", "level": None, "prefix": None, "kind": "codespace"})
    ecr = {
        "server": "e.example.com",
        "level": "user",
        "prefix": "E",
        "kind": "ecr",
        "expires_at": "2026-01-01T12:00:00Z",
    }
    accepted = {"outcome": "accepted", "code": None, "checked_at": "2026-01-01T11:00:00Z"}
    server.registries.append({**ecr, "last_check": accepted})
    server.registries.append(
        {**ecr, "kind": None, "expires_at": None, "warnings": ["E_…_USER is no access key id."], "last_check": refused}
    )
    server.withheld = "You may not write to acme/shop."
    result = berth("registry", "list", "--repo", "acme/shop")
    assert "may not write" in result.stderr
    last_check = "Last check: refused (ecr.key_unknown), 2026-01-01T11:00:00Z."
    assert result.stdout.splitlines() == [
        "r.example.com\tno, another one is used\tuser\tR\tbasic\tthat one.; Two of them.; Not tried since it was stored.",
        "berth.example\tyes\t\t\tcodespace\t",
        "e.example.com\tyes, until 2026-01-01T12:00:00Z\tuser\tE\tecr\tLast check: accepted, 2026-01-01T11:00:00Z.",
        f"e.example.com\tno, not usable\tuser\tE\t\tE_…_USER is no access key id.; {last_check}",
        "f.example.com\tno, not shared\tuser\tF\t\tIt does not select it.",
    ]


def test_a_list_without_a_repository_says_what_it_depends_on(berth: Berth, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    result = berth("registry", "list")
    assert result.exit_code == 2
    for text in ("its organization's", "--repo OWNER/REPO", "berth secret list"):
        assert text in result.stderr
    monkeypatch.setenv("GITHUB_REPOSITORY", "acme/shop")
    assert berth("registry", "list").exit_code == 0


def test_on_a_terminal_the_reasons_stand_below_the_table(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The command as a person sees it; a runner's stdout is no terminal."""
    reason = "there is no R_…_USER."
    login = RegistryLogin(level="user", prefix="R", incomplete=True, reason=reason, warnings=[reason, "White space."])
    logins = RegistryLogins(
        registries=[login],
        unshared=[
            UnsharedLogin(server="f.example.com", level="user", prefix="F", reason="Not selected.", next_step="Do.")
        ],
    )
    show_registries(logins)
    shown = capsys.readouterr().out.splitlines()
    assert shown[-8:] == [
        "", "R: no, incomplete", "  there is no R_…_USER.", "  White space.",
        "", "f.example.com: no, not shared", "  Not selected.", "  Do.",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "answer, argv, data, printed",
    [
        ({"exit_code": 0, "output": "hello\n"}, (), None, "hello\n"),
        ({"exit_code": 37, "output": "AP8=", "encoding": "base64"}, (), None, "\0\ufffd"),
        ({"exit_code": 0, "output": ""}, ("--stdin",), "aW4=", ""),
    ],
    ids=["text", "bytes and exit code", "stdin"],
)
def test_exec_for_a_program(
    berth: Berth, server: GitHubLike, answer: dict[str, Any], argv: tuple[str, ...], data: str | None, printed: str
) -> None:
    """Without --json it is a conversation: tests/main_job/test_exec.py."""
    server.exec_answer = answer
    result = berth("codespace", "exec", "--json", *argv, CODESPACE, "--", "sh", "-c", "x", stdin="in")
    assert result.exit_code == answer["exit_code"]
    assert json.loads(result.stdout) == {"exit_code": answer["exit_code"], "output": printed}
    assert server.executed == [{"command": ["sh", "-c", "x"], "stdin": data}]


@pytest.mark.parametrize("argv", [("shell",), ("exec", "--tty"), ("exec", "--tty", "--json")])
def test_a_terminal_where_there_is_none(berth: Berth, argv: tuple[str, ...]) -> None:
    result = berth("codespace", *argv, CODESPACE, *(("--", "sh") if argv[0] == "exec" else ()))
    assert result.exit_code == 2


STATUSES = [
    (400, 2),
    (401, 4),
    (403, 1),
    (404, 1),
    (409, 1),
    (413, 1),
    (422, 2),
    (429, 1),
    (500, 1),
    (502, 1),
    (301, 1),
]


@pytest.mark.parametrize("status, code", STATUSES, ids=[str(status) for status, _ in STATUSES])
def test_a_status_becomes_an_exit_code_with_the_servers_text(
    berth: Berth, server: GitHubLike, status: int, code: int
) -> None:
    server.answers["GET /user/codespaces"] = (status, {"message": "what the server says"})
    result = berth("codespace", "list")
    assert (result.exit_code, result.stdout) == (code, "")
    assert "what the server says" in result.stderr
    assert "Traceback" not in result.stderr


REFUSED = [
    pytest.param({"message": "m", "code": "codespace.limit"}, 1, id="limit"),
    pytest.param({"message": "m", "code": "secret.selection_limit"}, 1, id="selection limit"),
    pytest.param({"message": "m", "code": "secret.too_large"}, 1, id="too large"),
    pytest.param({"message": "m", "code": "repository.name.taken"}, 1, id="already there"),
    pytest.param({"message": "m", "code": "account.login"}, 2, id="malformed"),
    pytest.param({"message": "m"}, 2, id="no code"),
]


@pytest.mark.parametrize("body, code", REFUSED)
def test_a_422_is_usage_only_if_the_input_is_malformed(
    berth: Berth, server: GitHubLike, body: dict[str, Any], code: int
) -> None:
    server.answers["GET /user/codespaces"] = (422, body)
    result = berth("codespace", "list")
    assert (result.exit_code, result.stderr) == (code, "berth: m\n")


def test_a_missing_scope_is_for_the_user_to_mend(berth: Berth, server: GitHubLike) -> None:
    message = "Must have admin rights to Repository. This needs a token with the scope codespace."
    server.answers["GET /user/codespaces"] = (403, {"message": message})
    result = berth("codespace", "list")
    assert "berth token create NAME --scopes codespace" in result.stderr
    assert "administrator" not in result.stderr
    assert result.stderr.startswith("berth: This needs a token"), "it was no repository that was asked for"


def test_a_secret_that_nothing_may_use_is_said_to_be_one(berth: Berth) -> None:
    add = ("registry", "add", "r.example.com", "--username", "u")
    for argv in (("secret", "set", "A"), add):
        assert "--repos OWNER/NAME" in berth(*argv, "--user", stdin="x").stderr
        assert "--repos OWNER/NAME" not in berth(*argv, "--org", "acme", stdin="x").stderr
    assert "--repos OWNER/NAME" not in berth("secret", "set", "B", "--user", "--repos", "acme/shop", stdin="x").stderr


def test_several_codespaces_are_deleted_past_one_that_is_gone(berth: Berth, server: GitHubLike) -> None:
    result = berth("codespace", "delete", "-y", "gone", CODESPACE)
    assert result.exit_code == 1
    assert f"DELETE /user/codespaces/{CODESPACE}" in server.requests
    assert "gone: Not Found" in result.stderr


def test_a_new_repository_says_where_to_push(berth: Berth, server: GitHubLike) -> None:
    url = "https://berth.example.com/acme/new.git"
    server.answers["POST /orgs/acme/repos"] = (201, {"id": 13, "full_name": "acme/new", "clone_url": url})
    result = berth("repo", "create", "acme/new")
    assert url in result.stderr
    assert "token" in result.stderr
    assert "'shop' is not OWNER/NAME." in berth("repo", "create", "shop").stderr


def test_a_renamed_repository_says_how_clones_get_the_new_address(berth: Berth, server: GitHubLike) -> None:
    url = "https://berth.example.com/acme/mall.git"
    server.answers["PATCH /repos/acme/shop"] = (200, {"id": 11, "full_name": "acme/mall", "clone_url": url})
    result = berth("repo", "rename", "acme/shop", "mall", "--json")
    assert json.loads(result.stdout) == {"id": 11, "full_name": "acme/mall", "clone_url": url}
    assert f"git remote set-url origin {url}" in result.stderr


def test_a_repositorys_former_name_is_as_good(berth: Berth, server: GitHubLike) -> None:
    """Secrets go by the id that the server names."""
    berth("secret", "set", "NPM", "--repo", "acme/old", stdin="value")
    assert server.values() == {"/repos/acme/shop/codespaces/secrets/NPM": "value"}
    assert "PUT /repositories/11/codespaces/secrets/NPM" in server.requests
    berth("secret", "set", "A", "--org", "acme", "--repos", "old", stdin="x")
    assert server.secrets["/orgs/acme/codespaces/secrets/A"]["selected_repository_ids"] == [11]


def test_of_a_redirect_the_id_is_taken_and_nothing_else(berth: Berth, server: GitHubLike) -> None:
    """The token goes to our own server only, whatever host and path the link has."""
    server.moved_to = "http://evil.invalid/api/v3/repositories/11/../../user?x"
    assert berth("secret", "list", "--repo", "acme/old").exit_code == 0
    assert server.requests[-2:] == [
        "GET /repositories/11/codespaces/secrets",
        "GET /repos/acme/shop/codespaces/secrets",
    ]


@pytest.mark.parametrize(
    "url",
    ["http://[evil/api/v3/repositories/11", "https://evil.invalid/repositories/11", "/api/v3/repositories/x", "/"],
)
def test_a_redirect_that_names_no_repository_is_a_failure(berth: Berth, server: GitHubLike, url: str) -> None:
    server.moved_to = url
    result = berth("secret", "list", "--repo", "acme/old")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("berth: ")
    assert [each for each in server.requests if "acme/old" not in each] == []


def test_json_has_no_key_that_the_server_did_not_send(berth: Berth) -> None:
    (codespace,) = json.loads(berth("codespace", "list", "--json").stdout)
    assert codespace["repository"] == {"id": 11, "full_name": "acme/shop"}


def test_a_creation_may_say_how_long(berth: Berth, server: GitHubLike) -> None:
    times = ("--idle-timeout", "60", "--retention-period", "0")
    assert berth("codespace", "create", "--repo", "acme/shop", "--no-wait", *times).exit_code == 0
    assert server.creations == [{"idle_timeout_minutes": 60, "retention_period_minutes": 0}]


def test_a_hook_that_failed_is_shown(berth: Berth, server: GitHubLike) -> None:
    server.more = {"failed_hook": {"hook": "postStartCommand", "exit_code": 3, "at": "2026-11-30T08:00:00Z"}}
    assert "postStartCommand ended with exit code 3" in berth("codespace", "view", CODESPACE).stderr


def test_a_deletion_to_come_is_shown(berth: Berth, server: GitHubLike) -> None:
    at, notice = "2026-12-01T00:00:00Z", "It is deleted soon."
    server.more = {"retention_expires_at": at, "retention_notice": notice, "last_known_stop_notice": "Not used."}
    for shown in (berth("codespace", "list"), berth("codespace", "view", CODESPACE)):
        assert at in shown.stdout
        assert notice in shown.stderr
    assert "Not used." in berth("codespace", "view", CODESPACE).stderr


def test_a_rebuild_is_full_only_if_that_is_said(berth: Berth, server: GitHubLike) -> None:
    assert "is Rebuilding" in berth("codespace", "rebuild", CODESPACE).stderr
    berth("codespace", "rebuild", CODESPACE, "--full")
    assert server.rebuilds == [{"full": False}, {"full": True}]


@pytest.mark.parametrize("verb", ["start", "rebuild"])
def test_who_does_not_wait_is_told_where_to_look(berth: Berth, server: GitHubLike, verb: str) -> None:
    told = berth("codespace", verb, CODESPACE, "--no-wait")
    assert f"berth codespace logs --follow {CODESPACE}" in told.stderr
    assert server.streams == []


@pytest.mark.parametrize("argv", [("token",), ("token", "--new"), ("rotate-key",)], ids=" ".join)
def test_admin_makes_nothing_where_no_server_ran(
    anonymous: Berth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...]
) -> None:
    monkeypatch.setenv("BERTH_DATA_DIR", str(tmp_path / "data"))
    result = anonymous("admin", *argv)
    assert result.exit_code == 1
    assert f"There is no Berth data in {tmp_path / 'data'}." in result.stderr
    assert "BERTH_DATA_DIR" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_every_problem_has_an_exit_code() -> None:
    for kind in Problem.__subclasses__():
        assert exit_code_of(kind("x")) in {1, 2, 4}
    assert set(EXIT_CODES) == set(Problem.__subclasses__())


def test_no_login_is_exit_4_with_the_remedy(anonymous: Berth) -> None:
    result = anonymous("codespace", "list")
    assert result.exit_code == 4
    assert "berth login URL" in result.stderr


def test_an_unreachable_server_is_exit_1(anonymous: Berth, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BERTH_HOST", "http://127.0.0.1:9")
    monkeypatch.setenv("BERTH_TOKEN", "x")
    result = anonymous("codespace", "list")
    assert result.exit_code == 1
    assert "cannot be reached" in result.stderr
    assert "Is the server running" in result.stderr
