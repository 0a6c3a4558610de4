"""Resource scopes: what a registry token is asked for, `repository:owner/name:pull,push`. Parse and format side by side.

1. `type:name:actions`; a name may itself contain `:` (host:port), so the first and the last colon divide.
2. A class after the type, `repository(plugin):…`, is what no client of today sends: such a scope asks for nothing.
3. What is not understood asks for nothing and is no error: the answer is what is allowed of what was asked (token.md).
4. `*` asks for all actions. `registry:catalog:*` asks for the list of packages.

Source: distribution, "Token Scope Documentation" and "Token Authentication Specification".
"""

from collections.abc import Iterable
from dataclasses import dataclass

from berth.domain.package import PackageName, find_package_name
from berth.domain.package_access import PackageAction

MAX_SCOPES = 64  # of one request: a mount from every layer's own source needs a few
CATALOG = "registry:catalog:*"
_ACTIONS = {
    "pull": {PackageAction.PULL},
    "push": {PackageAction.PUSH},
    "delete": {PackageAction.DELETE},
    "*": {PackageAction.PULL, PackageAction.PUSH, PackageAction.DELETE},
}


@dataclass(frozen=True, slots=True)
class ScopeRequest:
    """What one token request asks for, packages in the order of their first mention."""

    packages: dict[PackageName, frozenset[PackageAction]]
    catalog: bool = False


def parse_scopes(values: Iterable[str]) -> ScopeRequest:
    """From the `scope` parameters of a request; each may hold several, separated by spaces. At most MAX_SCOPES count."""
    packages: dict[PackageName, frozenset[PackageAction]] = {}
    catalog = False
    words = [word for value in values for word in value.split(" ") if word]
    for word in words[:MAX_SCOPES]:
        if word == CATALOG:
            catalog = True
            continue
        kind, _, rest = word.partition(":")
        text, _, actions = rest.rpartition(":")
        name = find_package_name(text)
        if kind != "repository" or name is None:
            continue
        wanted = set().union(*(_ACTIONS.get(action, set()) for action in actions.split(",")))
        packages[name] = packages.get(name, frozenset()) | wanted
    return ScopeRequest(packages, catalog)


def format_scope(name: PackageName, actions: Iterable[PackageAction]) -> str:
    """One scope, its actions in a fixed order."""
    wanted = set(actions)
    return f"repository:{name}:{','.join(action for action in PackageAction if action in wanted)}"


def join_scopes(*texts: str) -> str:
    """All that they ask for, each package once."""
    asked = parse_scopes(texts)
    words = [format_scope(name, actions) for name, actions in asked.packages.items()]
    return " ".join([*words, CATALOG] if asked.catalog else words)
