"""argv → what reaches the server, what is printed, which exit code."""

import json
from typing import Any

import pytest
from tests.cli.conftest import Berth
from tests.fakes.github_like import CODESPACE, GitHubLike

from berth.cli.problems import EXIT_CODES, exit_code_of
from berth.domain.problem import Problem

SECRETS = "/orgs/acme/codespaces/secrets"
TRIPLE = [f"{SECRETS}/REGISTRY_EXAMPLE_COM_CONTAINER_REGISTRY_{part}" for part in ("SERVER", "USER", "PASSWORD")]
ADD = ("registry", "add", "registry.example.com", "--username", "robot", "--org", "acme")

EFFECTS = [
    pytest.param(("codespace", "list"), f"GET /user/codespaces>{CODESPACE}", id="codespace list"),
    pytest.param(("codespace", "view", CODESPACE), f"GET /user/codespaces/{CODESPACE}>calm quay", id="codespace view"),
    pytest.param(("codespace", "stop", CODESPACE), f"POST /user/codespaces/{CODESPACE}/stop>", id="codespace stop"),
    pytest.param(("codespace", "start", CODESPACE), f"POST /user/codespaces/{CODESPACE}/start>", id="codespace start"),
    pytest.param(
        ("codespace", "delete", "-y", CODESPACE), f"DELETE /user/codespaces/{CODESPACE}>", id="codespace delete"
    ),
    pytest.param(("codespace", "logs", CODESPACE), f"GET /user/codespaces/{CODESPACE}/logs>installed", id="logs"),
    pytest.param(("token", "create", "ci", "--scopes", "repo"), "POST /user/tokens>berth_new_token", id="token create"),
    pytest.param(("token", "revoke", "7"), "DELETE /user/tokens/7>", id="token revoke"),
    pytest.param(("token", "list"), "GET /user/tokens>", id="token list"),
    pytest.param(("repo", "create", "acme/new"), "POST /orgs/acme/repos>acme/new", id="repo create"),
    pytest.param(("secret", "list", "--user"), "GET /user/codespaces/secrets>", id="secret list"),
    pytest.param(
        ("admin", "create-user", "bob", "--email", "b@example.com", "--token-scopes", "repo"),
        "POST /admin/users/bob/authorizations>berth_bob_token",
        id="create-user",
    ),
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


@pytest.mark.parametrize(
    "argv", [("codespace", "list"), ("codespace", "view", CODESPACE), ("token", "list")], ids=" ".join
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
    assert berth("registry", "remove", "registry.example.com", "--org", "acme").exit_code == 0
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


def test_a_replaced_server_never_meets_the_new_password(berth: Berth, server: GitHubLike) -> None:
    berth(*ADD, stdin="old")
    server.requests.clear()
    assert berth(*ADD, "--replace", stdin="new").exit_code == 0
    changes = [request for request in server.requests if not request.startswith("GET")]
    assert changes == [f"DELETE {TRIPLE[0]}", *(f"PUT {path}" for path in TRIPLE[::-1])]


def test_registries_are_listed_with_the_reason(berth: Berth, server: GitHubLike) -> None:
    server.registries = [{"server": "r.example.com", "level": "user", "prefix": "R", "kind": "basic", "shadowed": True}]
    server.withheld = "You may not write to acme/shop."
    result = berth("registry", "list", "--repo", "acme/shop")
    assert "may not write" in result.stderr
    assert result.stdout == "r.example.com\tno, shadowed\tuser\tR\tbasic\t\n"


@pytest.mark.parametrize(
    "answer, argv, data, printed",
    [
        ({"exit_code": 0, "output": "hello\n"}, (), None, b"hello\n"),
        ({"exit_code": 37, "output": "AP8=", "encoding": "base64"}, (), None, b"\x00\xff"),
        ({"exit_code": 0, "output": ""}, ("--stdin",), "aW4=", b""),
    ],
    ids=["text", "bytes and exit code", "stdin"],
)
def test_exec_passes_output_and_exit_code_through(
    berth: Berth, server: GitHubLike, answer: dict[str, Any], argv: tuple[str, ...], data: str | None, printed: bytes
) -> None:
    server.exec_answer = answer
    result = berth("codespace", "exec", *argv, CODESPACE, "--", "sh", "-c", "x", stdin="in")
    assert (result.exit_code, result.stdout_bytes) == (answer["exit_code"], printed)
    assert server.executed == [{"command": ["sh", "-c", "x"], "stdin": data}]


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
