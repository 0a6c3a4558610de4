"""The layers of docs/architecture.md, held by reading the imports; and the sizes that keep modules readable."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src"
MODULES = sorted((SOURCE / "berth").rglob("*.py"))

# What each layer may import of our own. The store is no port: services call its queries (DESIGN section 4).
ALLOWED = {
    "domain": {"domain"},
    "services": {"domain", "services", "adapters.store"},
    "adapters.store": {"domain", "adapters.store"},
    "adapters": {"domain", "services.ports", "adapters"},
    "edge": {"domain", "services", "edge"},
    "rest": {"domain", "services", "edge", "rest"},
    "git": {"domain", "services", "edge", "git"},
    "oci": {"domain", "services", "edge", "oci"},
    "ui": {"domain", "services", "edge", "ui"},
    "cli": {"domain", "client", "cli", "settings", "listen_address", "server", "standalone", "wiring"},
    "client": {"domain", "client"},
    "listen_address": set(),
    "settings": {"domain", "listen_address"},
    "local": {"domain", "services", "adapters", "settings", "listen_address"},
    "front": {"domain", "services", "edge", "rest", "git", "oci"},
    "outgoing": {"domain", "services", "adapters", "settings"},
    "standalone": {"domain", "services", "adapters", "outgoing", "settings"},
    "wiring": {
        "domain",
        "services",
        "adapters",
        "rest",
        "git",
        "oci",
        "ui",
        "front",
        "local",
        "outgoing",
        "settings",
        "wiring",
    },
    "http_protocol": {"upload_body"},
    "upload_body": set(),
    "event_loop": set(),
    "socket_protocol": set(),
    "server": {
        "domain",
        "listen_address",
        "settings",
        "local",
        "wiring",
        "event_loop",
        "http_protocol",
        "socket_protocol",
        "adapters.log_lines",
        "adapters.sealer",
    },
    "__main__": {"cli"},
}
# Programs on this machine that only the demonstration and the tests run; they are adapters without a port.
EXCEPTIONS = {("cli.demo", "adapters.engine_private")}

DOMAIN_STDLIB = {
    "abc", "base64", "binascii", "collections", "dataclasses", "datetime", "difflib", "enum", "functools", "hashlib", "hmac",
    "ipaddress", "itertools", "json", "math", "posixpath", "re", "shlex", "string", "typing", "urllib", "uuid", "zlib",
}  # fmt: skip
# A parser that does no I/O, and the one module that may use it.
DOMAIN_LIBRARIES = {("domain.yaml_document", "yaml")}
MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 50


def name_of(path: Path) -> str:
    parts = path.relative_to(SOURCE / "berth").with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def layer_of(module: str) -> str:
    return "adapters.store" if module.startswith("adapters.store") else module.partition(".")[0]


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
            yield from (
                f"{node.module}.{alias.name}" for alias in node.names if is_module(f"{node.module}.{alias.name}")
            )


def is_module(dotted: str) -> bool:
    path = SOURCE / Path(*dotted.split("."))
    return path.with_suffix(".py").exists() or path.is_dir()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_down(path: Path) -> None:
    module = name_of(path)
    allowed = ALLOWED.get(layer_of(module), set())
    for imported in imports_of(path):
        if not imported.startswith("berth.") or layer_of(module) == "":
            continue
        target = imported.removeprefix("berth.")
        fits = any(target == name or target.startswith(f"{name}.") for name in allowed)
        assert fits or (module, target.rpartition(".")[0] or target) in EXCEPTIONS or (module, target) in EXCEPTIONS, (
            f"{module} must not import {target}"
        )


@pytest.mark.parametrize("path", sorted((SOURCE / "berth" / "domain").glob("*.py")), ids=name_of)
def test_the_domain_is_pure(path: Path) -> None:
    for imported in imports_of(path):
        top = imported.partition(".")[0]
        if (name_of(path), top) in DOMAIN_LIBRARIES:
            continue
        assert top == "berth" or top in DOMAIN_STDLIB, f"{name_of(path)} imports {imported}"
        assert top == "berth" or top in sys.stdlib_module_names
    for node in ast.walk(ast.parse(path.read_text())):
        assert not isinstance(node, ast.AsyncFunctionDef | ast.Await), f"{name_of(path)}: the domain is colourless"


def test_there_is_no_import_cycle() -> None:
    graph = {
        f"berth.{name_of(path)}": {imported for imported in imports_of(path) if imported.startswith("berth.")}
        for path in MODULES
    }
    done: set[str] = set()

    def walk(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join((*trail, module))
        if module in done:
            return
        for imported in graph.get(module, set()):
            if imported in graph and imported != module:
                walk(imported, (*trail, module))
        done.add(module)

    for module in graph:
        walk(module, ())


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_and_functions_stay_readable(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= MAX_MODULE_LINES, f"{path.name} is too long"
    if "migrations" in path.parts:
        return  # written by alembic, read once
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= MAX_FUNCTION_LINES, f"{path.name}: {node.name} has {lines} lines"


def test_no_deferred_import_of_our_own() -> None:
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for inner in ast.walk(node):
                    module = inner.module if isinstance(inner, ast.ImportFrom) else None
                    assert not (module or "").startswith("berth"), f"{path.name}: {node.name} imports {module}"
