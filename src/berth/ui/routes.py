"""Every page of the console, in one table. The first path that fits answers: what is fixed stands before what is not."""

from berth.edge.sockets import SocketRoute
from berth.ui import (
    access_token,
    account,
    audit,
    codespace,
    codespace_log,
    codespace_new,
    codespace_policy,
    codespace_terminal,
    doctor,
    home,
    identity,
    notification,
    organization,
    organization_codespace,
    package,
    package_access,
    package_settings,
    password,
    registry_triple,
    repository,
    secret,
    session,
    site,
    team,
)
from berth.ui.app import Route

_PAGES: tuple[Route, ...] = (
    *home.ROUTES,
    *session.ROUTES,
    *password.ROUTES,
    *account.ROUTES,
    *identity.ROUTES,
    *access_token.ROUTES,
    *codespace_new.ROUTES,
    *codespace.ROUTES,
    *codespace_log.ROUTES,
    *codespace_terminal.ROUTES,
    *notification.ROUTES,
    *doctor.ROUTES,
    *organization.ROUTES,
    *team.ROUTES,
    *codespace_policy.ROUTES,
    *organization_codespace.ROUTES,
    *audit.ROUTES,
    *site.ROUTES,
    *package_settings.ROUTES,
    *package_access.ROUTES,
    *package.ROUTES,
    *registry_triple.ROUTES,
    *secret.ROUTES,
    *repository.ROUTES,
)
SOCKETS: tuple[SocketRoute, ...] = (*codespace_terminal.SOCKETS,)
# `/{owner}/…` would fit most paths: no account is called as one of our own begins (domain/account.py).
ROUTES: tuple[Route, ...] = tuple(sorted(_PAGES, key=lambda route: route.path.startswith("/{")))
