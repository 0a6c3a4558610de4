"""Where a package is in the API: below its organization, its user, or the caller himself; one table for all operations."""

from collections.abc import Iterable
from dataclasses import dataclass

from berth.domain.account import AccountType
from berth.domain.package import find_package_name
from berth.domain.scope import Scope
from berth.rest.app import Route
from berth.rest.call import Call, Handler
from berth.services.package_access import PackagePlace

READ = frozenset({Scope.READ_PACKAGES})
WRITE = frozenset({Scope.WRITE_PACKAGES})
DELETE = frozenset({Scope.DELETE_PACKAGES})

# Below these an account's packages are. A workflow's token stands for no person, so it has none of its own.
BASES = ("/orgs/{org}", "/users/{username}", "/user")
_OWN = "/user"
_PACKAGE = "/packages/container/{package_name}"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation on a package; `suffix` follows the package's path."""

    method: str
    suffix: str
    handler: Handler
    scopes: frozenset[Scope]
    accepted: frozenset[Scope] = frozenset()


def package_routes(operations: Iterable[Operation]) -> tuple[Route, ...]:
    """Each operation below every base."""
    return tuple(
        Route(
            operation.method,
            f"{base}{_PACKAGE}{operation.suffix}",
            operation.handler,
            operation.scopes,
            accepted=operation.accepted,
            workflows=base != _OWN and operation.scopes != WRITE,  # settings, which no job changes
        )
        for operation in operations
        for base in BASES
    )


def owner_of(call: Call) -> tuple[str, AccountType | None]:
    """Whose packages a request is about, and of which kind that account must be. Below `/users` any is found."""
    parameters = call.request.path_params
    if "org" in parameters:
        return call.path("org"), AccountType.ORGANIZATION
    return (call.path("username") if "username" in parameters else call.user.login), None


def place_of(call: Call) -> PackagePlace:
    """The package that a request names, in any case: names are lower-case."""
    owner, kind = owner_of(call)
    name = find_package_name(f"{owner}/{call.path('package_name')}".lower())
    return PackagePlace(name, of_organization=kind is AccountType.ORGANIZATION)
