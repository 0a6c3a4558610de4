"""`GET /repos/{owner}/{repo}/codespaces/registries`: what the caller's codespace would be logged in to; no value."""

from starlette.responses import Response

from berth.domain.last_check import LastCheck
from berth.domain.scope import Scope
from berth.edge.timestamp import maybe_timestamp
from berth.rest.app import Route
from berth.rest.call import Call, json_response


async def list_registries(call: Call) -> Response:
    found = await call.services.registry_credentials.list_for(call.user, *call.repository)
    registries = [
        {
            "server": entry.server or None,
            "level": entry.source.level,
            "prefix": None if entry.source.level is None else entry.source.prefix,
            "kind": entry.kind,
            "expires_at": maybe_timestamp(entry.expires_at),
            "shadowed": entry.shadowed,
            "incomplete": entry.incomplete,
            "reason": entry.reason,
            "warnings": entry.warnings,
            "last_check": _last_check(entry.last_check),
        }
        for entry in found.entries
    ]
    unshared = [
        {
            "server": triple.host,
            "level": triple.source.level,
            "prefix": triple.source.prefix,
            "reason": triple.sentence,
            "next_step": triple.next_step,
        }
        for triple in found.unshared
    ]
    # The list stands right behind the count: octokit's paginate takes the first key after it as the items.
    body = {"total_count": len(registries), "registries": registries, "unshared": unshared}
    body["withheld_reason"] = found.withheld_reason or None
    return json_response(body)


def _last_check(check: LastCheck | None) -> dict[str, str | None] | None:
    if check is None:
        return None
    code = None if check.learnt is None else check.learnt.code or None
    return {"outcome": check.word, "code": code, "checked_at": maybe_timestamp(check.at)}


ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        "/repos/{owner}/{repo}/codespaces/registries",
        list_registries,
        frozenset({Scope.CODESPACE, Scope.REPO}),
    ),
)
