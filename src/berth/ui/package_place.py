"""Where a package is in the console: `/packages/{owner}/{name}`, and below it after `/-/`, which is part of no name."""

from berth.domain.package import PackageName, find_package_name
from berth.domain.problem import NotFound
from berth.services.package_access import PackagePlace
from berth.ui.page import Page

PACKAGE = "/packages/{owner}/{name:path}"
BELOW = f"{PACKAGE}/-"


def name_of(page: Page) -> PackageName:
    """The package that the address names, in any case. Raises NotFound for what no package can be named (A13)."""
    name = find_package_name(f"{page.path('owner')}/{page.path('name')}".lower())
    if name is None:
        raise NotFound("Not Found", code="package.not_found")
    return name


def place_of(page: Page) -> PackagePlace:
    """The same, for the use cases."""
    return PackagePlace(name_of(page))


def path_of(name: PackageName | str) -> str:
    """A package's page. Names are made of letters that stand for themselves in addresses."""
    return f"/packages/{name}"


def host_of(page: Page) -> str:
    """What stands before a package's name in an image reference."""
    return page.console.origin(page.request).partition("://")[2]
