"""What the dev container CLI may ask of the engine: the policy of the filter on its socket (L4, L7).

The filter trusts nothing that the CLI says: it is a wall of its own, for a CLI that a hostile repository or image has taken over.

1. Only the requests in the table below pass: what `devcontainer up --prebuild` sends for a container from a local image.
   Method, path and each key of the query are compared; what is not in the table is refused.
2. A path is compared as it came. One with escapes, empty or dotted segments, or another API version is not in the table.
3. A container is one of this codespace, by its labels and its name; it is meant by its id. A process (exec) is one that was made
   through this filter. An image is the launch's own. Lists and events show this codespace's containers and no others.
4. Nothing is passed on as it came: path, query and body are written anew, from what was understood.
5. A container gets from Berth: name, image, labels, mounts, tmpfs and limits; the request may repeat them, nothing else. From the
   request it gets what only concerns its own processes. All other keys must ask for nothing, known to Berth or not.

Source: Docker Engine API 1.41. Observed with version 0.89.0 of the CLI, and clients 20.10.24 and 28.2.2 of the engine 20.10.24.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import parse_qsl, urlencode

from berth.domain.engine_body import (
    LaunchScope,
    NotAllowed,
    Refused,
    Rule,
    container_body,
    process_body,
    refuse,
    start_body,
)
from berth.domain.jsonc import printable
from berth.domain.problem import Invalid
from berth.domain.strict_json import parse_json_object

__all__ = [
    "Answer",
    "EngineRequest",
    "Known",
    "LaunchScope",
    "Passed",
    "Refused",
    "Rule",
    "decide_engine_request",
    "own_containers",
]

_MAX_QUERY_FIELDS = 8


class Answer(StrEnum):
    """What the filter does with the engine's answer."""

    RELAY = "relay"
    UPGRADE = "upgrade"  # the connection becomes a stream of the process's input and output
    NEW_PROCESS = "new process"  # its Id may be used from now on


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """A request as it came; `target` is path and query."""

    method: str
    target: str
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Known:
    """What the filter has seen of this launch: full ids."""

    containers: frozenset[str] = frozenset()
    processes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """What the engine is asked instead; `body` is JSON, or None for none."""

    method: str
    target: str
    body: bytes | None = None
    answer: Answer = Answer.RELAY


def decide_engine_request(request: EngineRequest, scope: LaunchScope, known: Known) -> Passed | Refused:
    """Policies 1 to 5. `known` may be behind: with rule CONTAINER, look again and ask again."""
    path, _, query = request.target.partition("?")
    for route in _ROUTES:
        match = route.path.fullmatch(path)
        if match is not None and request.method in route.methods:
            try:
                return _pass(route, match, query, request, scope, known)
            except NotAllowed as refusal:
                return refusal.refused
            except Invalid as problem:
                return Refused(Rule.BODY, problem.message)
    return Refused(Rule.ROUTE, "A launch needs no such request of the engine.")


@dataclass(frozen=True, slots=True)
class _Call:
    """A request of a known route."""

    match: re.Match[str]
    query: Mapping[str, str]
    body: bytes
    scope: LaunchScope
    known: Known


# The path that the engine is asked; its query, if not as it came; its body.
_Checked = tuple[str, Mapping[str, str] | None, Mapping[str, object] | None]


@dataclass(frozen=True, slots=True)
class _Route:
    """`query`: each key that may be there, and its values; None: the route reads the value itself."""

    methods: frozenset[str]
    path: re.Pattern[str]
    check: Callable[[_Call], _Checked]
    query: Mapping[str, frozenset[str] | None]
    answer: Answer = Answer.RELAY
    has_body: bool = False


def _pass(
    route: _Route, match: re.Match[str], query: str, request: EngineRequest, scope: LaunchScope, known: Known
) -> Passed:
    """Raises NotAllowed, Invalid."""
    values = _parse_query(query, route.query)
    if request.body and not route.has_body:
        refuse(Rule.BODY, "This request has no body.")
    path, written, body = route.check(_Call(match, values, request.body, scope, known))
    fields = urlencode(values if written is None else written)
    return Passed(
        method=request.method,
        target=f"{match['version'] or ''}{path}{'?' if fields else ''}{fields}",
        body=None if body is None else json.dumps(body).encode(),
        answer=route.answer,
    )


def _parse_query(text: str, allowed: Mapping[str, frozenset[str] | None]) -> dict[str, str]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True, max_num_fields=_MAX_QUERY_FIELDS)
    except ValueError:
        pairs = [("", "")]
    values = dict(pairs) if text else {}
    for name, value in values.items():
        fits = allowed.get(name, frozenset())
        if fits is not None and value not in fits:
            refuse(Rule.QUERY, f"The query's {printable(name)} is not what a launch needs.")
    if text and len(values) != len(pairs):
        refuse(Rule.QUERY, "The query names something twice.")
    return values


def _parse_filters(text: str) -> dict[str, set[str]]:
    """The engine's filters in both of their forms. Raises NotAllowed, Invalid."""
    found: dict[str, set[str]] = {}
    for name, value in parse_json_object(text.encode(errors="replace")).items():
        values = [key for key, is_set in value.items() if is_set is True] if isinstance(value, dict) else value
        if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
            refuse(Rule.QUERY, "The query's filters cannot be read.")
        found[name] = set(values)
    return found


def _own_labels(scope: LaunchScope) -> list[str]:
    return [f"{name}={value}" for name, value in scope.labels.items()]


def own_containers(scope: LaunchScope) -> dict[str, list[str]]:
    """The filters that find them. Labels come from images, too; a name is given by who makes a container, and to one only."""
    return {"label": _own_labels(scope), "name": [f"^/?{re.escape(scope.container_name)}$"]}


def _as_it_is(call: _Call) -> _Checked:
    return call.match["path"], None, None


def _image(call: _Call) -> _Checked:
    if call.match["image"] != call.scope.image:
        refuse(Rule.IMAGE, "The image is not this launch's.")
    return f"/images/{call.scope.image}/json", None, None


def _list(call: _Call) -> _Checked:
    labels = set(_own_labels(call.scope))
    if "filters" in call.query and _parse_filters(call.query["filters"]) != {"label": labels}:
        refuse(Rule.QUERY, "Only this codespace's containers are listed, by its labels.")
    return "/containers/json", {**call.query, "filters": json.dumps(own_containers(call.scope))}, None


def _events(call: _Call) -> _Checked:
    if _parse_filters(call.query.get("filters", "{}")) != {"event": {"start"}}:
        refuse(Rule.QUERY, "Only the start of this codespace's containers is told.")
    filters = {"type": ["container"], "event": ["start"], "label": _own_labels(call.scope)}
    return "/events", {"filters": json.dumps(filters)}, None


def _container(call: _Call) -> _Checked:
    return f"/containers/{_own_container(call)}/{call.match['action']}", None, None


def _own_container(call: _Call) -> str:
    """The full id: a short one could be somebody else's container's name."""
    found = [one for one in call.known.containers if one.startswith(call.match["container"])]
    if len(found) != 1:
        refuse(Rule.CONTAINER, "The container is not this codespace's.")
    return found[0]


def _process(call: _Call) -> _Checked:
    if call.match["process"] not in call.known.processes:
        refuse(Rule.PROCESS, "The process was not made by this launch.")
    return call.match["path"], None, None


def _start_process(call: _Call) -> _Checked:
    path, _, _ = _process(call)
    return path, None, start_body(call.body)


def _execute(call: _Call) -> _Checked:
    path, _, _ = _container(call)
    return path, None, process_body(call.body)


def _create(call: _Call) -> _Checked:
    if call.query.get("name") != call.scope.container_name:
        refuse(Rule.CREATE, "The container must have the name that Berth gives it.")
    return "/containers/create", None, container_body(call.body, call.scope)


_GET, _POST = frozenset({"GET"}), frozenset({"POST"})
_YES = frozenset({"1", "true"})
_VERSION = r"(?P<version>/v1\.(?:4[0-9]|[5-9][0-9]))"
_CONTAINER = r"(?P<container>[0-9a-f]{12,64})"
_PROCESS = r"(?P<process>[0-9a-f]{64})"


def _path(pattern: str) -> re.Pattern[str]:
    return re.compile(f"{_VERSION}(?P<path>{pattern})")


_ROUTES: Sequence[_Route] = (
    _Route(_GET | {"HEAD"}, re.compile(r"(?P<version>)(?P<path>/_ping)"), _as_it_is, {}),
    _Route(_GET, _path("/version"), _as_it_is, {}),
    _Route(_GET, _path(r"/images/(?P<image>.+)/json"), _image, {}),
    _Route(_GET, _path("/containers/json"), _list, {"all": frozenset({"0", "1"}), "filters": None}),
    _Route(_GET, _path("/events"), _events, {"filters": None}),
    _Route(_POST, _path("/containers/create"), _create, {"name": None}, has_body=True),
    _Route(_GET, _path(f"/containers/{_CONTAINER}/(?P<action>json)"), _container, {}),
    _Route(_POST, _path(f"/containers/{_CONTAINER}/(?P<action>start)"), _container, {}),
    _Route(
        _POST,
        _path(f"/containers/{_CONTAINER}/(?P<action>wait)"),
        _container,
        {"condition": frozenset({"next-exit"})},
    ),
    _Route(
        _POST,
        _path(f"/containers/{_CONTAINER}/(?P<action>attach)"),
        _container,
        {"stdout": _YES, "stderr": _YES, "stream": _YES},
        Answer.UPGRADE,
    ),
    _Route(
        _POST,
        _path(f"/containers/{_CONTAINER}/(?P<action>exec)"),
        _execute,
        {},
        Answer.NEW_PROCESS,
        has_body=True,
    ),
    _Route(_POST, _path(f"/exec/{_PROCESS}/start"), _start_process, {}, Answer.UPGRADE, has_body=True),
    _Route(_GET, _path(f"/exec/{_PROCESS}/json"), _process, {}),
)
