"""Repositories."""

import msgspec

from berth.client.account import AccountCalls
from berth.client.connection import repository_path


class Repository(msgspec.Struct, kw_only=True):  # inside a codespace it is short: what was not sent stays out of JSON
    id: int
    full_name: str
    private: bool | msgspec.UnsetType = msgspec.UNSET
    visibility: str | msgspec.UnsetType = msgspec.UNSET
    clone_url: str | msgspec.UnsetType = msgspec.UNSET


class RepositoryCalls(AccountCalls):
    """What the client calls about repositories. Whose one is made for is asked of the account."""

    def get_repository(self, full_name: str) -> Repository:
        return self.send("GET", repository_path(full_name), Repository)

    def rename_repository(self, full_name: str, name: str) -> Repository:
        return self.send("PATCH", repository_path(full_name), Repository, {"name": name})

    def create_repository(self, full_name: str, *, private: bool) -> Repository:
        owner = repository_path(full_name).split("/")[2]
        path = "/user/repos" if owner.lower() == self.get_user().login.lower() else f"/orgs/{owner}/repos"
        return self.send("POST", path, Repository, {"name": full_name.partition("/")[2], "private": private})
