"""What people look up is written down, and what is written down exists: codes, log events, settings, routes, rules."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from berth.domain import compose_keys, ecr_finding
from berth.domain.access import Action
from berth.domain.dev_container_keys import REFUSED
from berth.domain.engine_request import Rule as EngineRule
from berth.domain.package_access import PackageAction
from berth.domain.problem import Problem
from berth.domain.registry_credential import BROKEN
from berth.domain.registry_finding import CONNECTION, TEXTS
from berth.domain.registry_login import UNPROVEN
from berth.domain.role import Role
from berth.rest.codespace_exec import socket_routes
from berth.rest.routes import ROUTES
from berth.settings import to_markdown

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
_LOUD = {"warning", "error", "exception", "critical"}
_MAKERS = {"disk_full", "translating_disk_full"}  # functions whose argument is a code


def sources() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted((ROOT / "src").rglob("*.py")):
        yield path, ast.parse(path.read_text())


def first_cells(document: str) -> set[str]:
    """What stands in backquotes in the first column of a document's tables."""
    lines = (DOCS / document).read_text().splitlines()
    return {match[1] for line in lines if (match := re.match(r"\| `([^`]+)` \|", line))}


def codes_in(tree: ast.Module) -> Iterator[str]:
    """Every stable code that a module can give to a Problem or a Finding."""
    constants = {
        node.targets[0].id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "code":
            yield from _values(node.value, constants)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _MAKERS:
            for argument in node.args:
                yield from _values(argument, constants)
        elif isinstance(node, ast.FunctionDef):
            yield from _codes_of_function(tree, node)


def _values(node: ast.expr, constants: dict[str, str]) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Name) and node.id in constants:
        yield constants[node.id]


def _codes_of_function(tree: ast.Module, function: ast.FunctionDef) -> Iterator[str]:
    """Default codes; and codes that are made of a function's first argument, with what it is called with."""
    for name, default in zip(reversed(function.args.args), reversed(function.args.defaults), strict=False):
        if name.arg == "code":
            yield from _values(default, {})
    for made in ast.walk(function):
        if isinstance(made, ast.keyword) and made.arg == "code" and isinstance(made.value, ast.JoinedStr):
            prefix = made.value.values[0]
            assert isinstance(prefix, ast.Constant)
            for call in ast.walk(tree):
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == function.name:
                    kind = call.args[0]
                    assert isinstance(kind, ast.Constant), f"{function.name} needs a constant: {ast.unparse(call)}"
                    yield f"{prefix.value!s}{kind.value!s}"


def all_problems(kind: type[Problem] = Problem) -> Iterator[type[Problem]]:
    yield kind
    for child in kind.__subclasses__():
        yield from all_problems(child)


def all_codes() -> set[str]:
    found = {code for _, tree in sources() for code in codes_in(tree)}
    found |= {kind.code for kind in all_problems()} - {Problem.code}  # that one is never raised itself
    found |= set(TEXTS) | set(CONNECTION) | set(ecr_finding.TEXTS) | set(UNPROVEN)
    found |= {str(rule) for rule in BROKEN} | {refused.code for refused in REFUSED.values()}
    found |= {refused.code for refused in compose_keys.SERVICE.refused.values()}
    return found


def test_the_search_finds_codes_in_each_of_their_forms() -> None:
    assert {
        "codespace.limit",
        "git.disk_full",
        "server.disk_full",
        "image_reference.empty",
        "registry.realm_elsewhere",
        "ecr.key_unknown",
        "credential.incomplete",
        "not_found",
    } <= all_codes()


def test_every_code_is_in_docs_errors() -> None:
    documented = first_cells("errors.md")
    assert not (missing := sorted(all_codes() - documented)), f"add to docs/errors.md: {missing}"
    assert not (gone := sorted(documented - all_codes())), f"remove from docs/errors.md: {gone}"


def log_events(*, loud: bool) -> set[str]:
    found = set()
    for path, tree in sources():
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and ast.unparse(node.func.value) == "_LOG"
                and (node.func.attr in _LOUD) == loud
            ):
                event = node.args[0]
                assert isinstance(event, ast.Constant), f"{path.name}:{node.lineno}: an event's name is constant"
                found.add(str(event.value))
    return found


def test_every_warning_is_in_docs_log_events() -> None:
    documented = first_cells("log-events.md")
    assert not (missing := sorted(log_events(loud=True) - documented)), f"add to docs/log-events.md: {missing}"
    everything = log_events(loud=True) | log_events(loud=False)
    assert not (gone := sorted(documented - everything)), f"remove from docs/log-events.md: {gone}"


def test_the_settings_are_current() -> None:
    assert (DOCS / "settings.md").read_text() == to_markdown(), "run: python -m berth.settings > docs/settings.md"


def test_every_route_is_in_docs_api() -> None:
    """`/repositories/{id}/…` stands for every `/repos/{owner}/{repo}/…`, and is not listed; `{package}` for three paths."""
    routes = {
        re.sub(r" /(orgs/\{org\}|users/\{username\}|user)/packages/container/\{package_name\}", " {package}", each)
        for each in (
            *(f"{route.method} {route.path}" for route in ROUTES),
            *(f"GET {route.path}" for route in socket_routes()),
        )
        if " /repositories/" not in each
    }
    documented = first_cells("api.md")
    assert not (missing := sorted(routes - documented)), f"add to docs/api.md: {missing}"
    assert not (gone := sorted(documented - routes)), f"remove from docs/api.md: {gone}"


# How the names of rules end that are made of an action or a role.
_ENDS: dict[str, list[str]] = {
    "role.": [role.word for role in Role],
    "action.": list(Action),
    "package.action.": list(PackageAction),
}


def rules_in(tree: ast.Module) -> Iterator[str]:
    """Every rule that a module can name in a Reason: as a constant, or in a function that is called with one."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            for call in _own_calls(function, "Reason"):
                yield from _rules_of(tree, function, call.args[0])


def _own_calls(function: ast.FunctionDef, name: str) -> Iterator[ast.Call]:
    """Calls in a function, not in those that stand inside it."""
    nodes: list[ast.AST] = list(function.body)
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
            yield node
        if not isinstance(node, ast.FunctionDef):
            nodes.extend(ast.iter_child_nodes(node))


def _rules_of(tree: ast.Module, function: ast.FunctionDef, rule: ast.expr) -> Iterator[str]:
    if isinstance(rule, ast.Constant):
        yield str(rule.value)
        return
    prefix, name = "", rule
    if isinstance(rule, ast.JoinedStr):
        start, end = rule.values
        assert isinstance(start, ast.Constant)
        assert isinstance(end, ast.FormattedValue)
        prefix, name = str(start.value), end.value
    if prefix in _ENDS:
        yield from (f"{prefix}{end}" for end in _ENDS[prefix])
        return
    assert isinstance(name, ast.Name), f"nobody can look this rule up: {ast.unparse(rule)}"
    place = [argument.arg for argument in function.args.args].index(name.id)
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == function.name:
            value = call.args[place]
            assert isinstance(value, ast.Constant), f"{function.name} needs a constant: {ast.unparse(call)}"
            yield f"{prefix}{value.value!s}"


def all_rules() -> set[str]:
    return {rule for _, tree in sources() for rule in rules_in(tree)}


def test_the_search_finds_rules_in_each_of_their_forms() -> None:
    assert {
        "scope.repo",  # a constant
        "role.maintain",  # made of a role
        "action.admin",
        "package.action.administer",  # made of an action
        "package.owner",  # handed to a function
        "package.codespace.internal",  # made of what is handed to a function
    } <= all_rules()


def test_every_rule_is_in_docs_access_rules() -> None:
    documented = first_cells("access-rules.md")
    assert not (missing := sorted(all_rules() - documented)), f"add to docs/access-rules.md: {missing}"
    assert not (gone := sorted(documented - all_rules())), f"remove from docs/access-rules.md: {gone}"


def test_every_rule_of_the_engine_filter_is_in_docs_codespaces() -> None:
    documented = {cell for cell in first_cells("codespaces.md") if cell.startswith("engine.")}
    assert documented == set(EngineRule)


DOCUMENTS = [*sorted(DOCS.rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_what_a_document_points_to_is_there(document: Path) -> None:
    text = document.read_text()
    modules = set(re.findall(r"`((?:\w+/)+\w+\.py)`", text))
    links = set(re.findall(r"\]\(([\w./-]+\.md)\)", text))
    gone = {name for name in modules if not ((ROOT / "src" / "berth" / name).is_file() or (ROOT / name).is_file())}
    assert gone | {link for link in links if not (document.parent / link).is_file()} == set()


def secret_arguments(text: str) -> list[str]:
    """What everybody on the machine could read while a command of the text's blocks runs."""
    blocks = re.findall(r"^```\w*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    shown = r"login .*(?:-p|--password)[ =]|(?:-H|--header)[ =]?[\"']?Authorization|(?:-u|--user)[ =]?\S+:\$"
    return [found[0] for block in blocks for found in re.finditer(shown, block)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_no_document_shows_a_secret_as_an_argument(document: Path) -> None:
    assert secret_arguments(document.read_text()) == []


@pytest.mark.parametrize(
    "command",
    [
        "docker login ghcr.io -u ada -p secret",
        "docker login ghcr.io --username ada --password=secret",
        'curl -H "Authorization: token $TOKEN" http://x',
        "curl --user ada:$TOKEN http://x",
    ],
)
def test_the_search_finds_secrets_in_arguments(command: str) -> None:
    assert secret_arguments(f"x\n```console\n$ {command}\n```\n")


def test_the_map_has_the_use_cases_of_packages() -> None:
    services = (ROOT / "src" / "berth" / "services").glob("*.py")
    words = ("package", "registry", "garbage", "chore", "workflow_token", "repository_transfer")
    names = {f"services/{path.name}" for path in services if path.name.startswith(words)}
    assert len(names) > len(words)
    assert names - set(re.findall(r"`(services/\w+\.py)`", (DOCS / "architecture.md").read_text())) == set()
