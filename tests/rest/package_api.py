"""Packages for tests at the REST edge: in a server without a registry they are put straight into its store."""

import re
from dataclasses import dataclass

import httpx
from tests.package_world import insert_package, insert_version
from tests.rest.berth_api import Berth

from berth.domain.repository import Visibility

EVERYTHING = ("repo", "delete_repo", "user", "admin:org", "codespace", "write:packages", "delete:packages")


@dataclass
class Packages:
    """octo owns the organization acme and is a user with packages of his own; member is a member of acme."""

    berth: Berth
    octo: httpx.AsyncClient
    member: httpx.AsyncClient
    stranger: httpx.AsyncClient
    ids: dict[str, int]  # of accounts

    async def make(
        self, name: str, visibility: Visibility = Visibility.PRIVATE, *, repository_id: int | None = None
    ) -> int:
        """`owner/name`; the package's id."""
        owner, _, rest = name.partition("/")
        return await insert_package(
            self.berth.store, self.ids[owner], rest, visibility, repository_id=repository_id, inherits=False
        )

    async def version(self, package_id: int, *tags: str) -> int:
        return await insert_version(self.berth.store, package_id, *tags)


async def make_packages(berth: Berth) -> Packages:
    octo, member, stranger = [await berth.user(login, *EVERYTHING) for login in ("octo", "member", "stranger")]
    organization = await berth.organization("acme", "octo")
    assert (await octo.put("/orgs/acme/memberships/member", json={})).status_code == 200
    ids = {"acme": int(organization["id"]), "octo": int((await octo.get("/user")).json()["id"])}
    return Packages(berth, octo, member, stranger, ids)


def base_of(owner: str) -> str:
    """Where an account's packages are."""
    return "/orgs/acme/packages/container" if owner == "acme" else f"/users/{owner}/packages/container"


def links(answer: httpx.Response) -> dict[str, str]:
    """The targets of a Link header."""
    found = re.findall(r'<([^>]*)>; rel="(\w+)"', answer.headers.get("link", ""))
    return {name: url for url, name in found}
