"""The audit log, of an organization and of one's own account.

The keys are those of `audit-log-event` of GitHub Enterprise Cloud, with our `target` and `detail`: what it was done to,
and what changed, by which rules. Source: GitHub REST docs, "Organizations", get the audit log for an organization.
"""

from typing import Any

from starlette.responses import Response

from berth.domain.audit import AuditEvent
from berth.domain.scope import Scope
from berth.rest.app import Route
from berth.rest.call import Call


def event_body(event: AuditEvent) -> dict[str, Any]:
    """Times are milliseconds since 1970."""
    at = int(event.at.timestamp() * 1000)
    return {
        "@timestamp": at,
        "_document_id": str(event.id),
        "action": event.action,
        "actor": event.actor_login or None,
        "actor_id": event.actor_id,
        "created_at": at,
        "target": event.target,
        "detail": event.detail,
    }


async def list_of_organization(call: Call) -> Response:
    page = call.page()
    organization, found, total = await call.services.audit.list_of_organization(
        call.user, call.path("org"), limit=page.limit, offset=page.offset
    )
    of = {"org": organization.login, "org_id": organization.id}
    return call.list_response([{**event_body(event), **of} for event in found], total, page)


async def list_own(call: Call) -> Response:
    page = call.page()
    found, total = await call.services.audit.list_own(call.user, limit=page.limit, offset=page.offset)
    of = {"user": call.user.login, "user_id": call.user.account_id}
    return call.list_response([{**event_body(event), **of} for event in found], total, page)


ROUTES: tuple[Route, ...] = (
    Route("GET", "/orgs/{org}/audit-log", list_of_organization, frozenset({Scope.ADMIN_ORG})),
    Route("GET", "/user/audit-log", list_own, frozenset({Scope.USER})),
)
