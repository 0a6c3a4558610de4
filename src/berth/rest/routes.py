"""Every route of the API, in one table. `/repositories/{id}/…` is an alias of every `/repos/{owner}/{repo}/…`.

That is also where a request by a former name of the repository is sent on to (former_name.py).
"""

from dataclasses import replace

from starlette.responses import Response

from berth.domain.access import Action
from berth.rest import (
    access_token,
    admin,
    audit,
    codespace,
    codespace_access,
    codespace_export,
    codespace_policy,
    contents,
    dev_container,
    doctor,
    fork,
    graphql,
    meta,
    organization,
    organization_codespace,
    package,
    package_grant,
    package_settings,
    prebuild,
    pull_request,
    registry_check,
    registry_credential,
    repository,
    secret,
    team,
    user,
    workflow_token,
)
from berth.rest.app import Route
from berth.rest.call import Call, Handler
from berth.rest.former_name import follow
from berth.rest.openapi import with_description

_BY_NAME = "/repos/{owner}/{repo}"
_BY_ID = "/repositories/{repository_number}"

_NAMED: tuple[Route, ...] = (
    *meta.ROUTES,
    *graphql.ROUTES,
    *user.ROUTES,
    *access_token.ROUTES,
    *workflow_token.ROUTES,
    *admin.ROUTES,
    *organization.ROUTES,
    *team.ROUTES,
    *repository.ROUTES,
    *contents.ROUTES,
    *fork.ROUTES,
    *pull_request.ROUTES,
    *secret.ROUTES,
    *registry_credential.ROUTES,
    *registry_check.ROUTES,
    *doctor.ROUTES,
    *codespace.ROUTES,
    *codespace_export.ROUTES,
    *organization_codespace.ROUTES,
    *codespace_access.ROUTES,
    *codespace_policy.ROUTES,
    *dev_container.ROUTES,
    *prebuild.ROUTES,
    *package.ROUTES,
    *package_settings.ROUTES,
    *package_grant.ROUTES,
    *audit.ROUTES,
)


def _by_id(handler: Handler) -> Handler:
    """The same handler for a repository given by its id; who may know it is decided before its name is used."""

    async def respond(call: Call) -> Response:
        number = call.path_id("repository_number")
        found = await call.services.repositories.get_by_id(call.subject, number, Action.READ)
        call.request.path_params.update(owner=found.owner_login, repo=found.name)
        return await handler(call)

    return respond


ROUTES: tuple[Route, ...] = with_description(
    (
        *(
            replace(route, handler=follow(route.handler)) if route.path.startswith(_BY_NAME) else route
            for route in _NAMED
        ),
        *(
            replace(route, path=route.path.replace(_BY_NAME, _BY_ID, 1), handler=_by_id(route.handler))
            for route in _NAMED
            if route.path.startswith(_BY_NAME)
        ),
    )
)
