"""Prebuilds."""

import msgspec

from berth.client.codespace import Finding, LogEntry
from berth.client.connection import Connection, repository_path


class PrebuildVersion(msgspec.Struct, kw_only=True):
    configuration_hash: str
    digest: str
    commit: str = ""
    created_at: str = ""


class Prebuild(msgspec.Struct, kw_only=True):
    """`state`: queued, in_progress, ready, failed."""

    id: int
    branch: str
    state: str
    trigger: str = ""
    every_hours: int | None = None
    devcontainer_path: str | None = None
    kept_versions: int = 0
    commit: str | None = None
    created_at: str = ""
    finished_at: str | None = None
    finding: Finding | None = None
    package: str = ""
    versions: list[PrebuildVersion] = msgspec.field(default_factory=list)


class PrebuildCalls(Connection):
    """What the client calls about prebuilds."""

    def create_prebuild(self, full_name: str, **fields: str | int) -> Prebuild:
        return self.send("POST", _path(full_name), Prebuild, fields)

    def list_prebuilds(self, full_name: str) -> list[Prebuild]:
        return self.list_all(_path(full_name), Prebuild, "prebuilds")

    def get_prebuild(self, full_name: str, number: int) -> Prebuild:
        return self.send("GET", f"{_path(full_name)}/{number}", Prebuild)

    def run_prebuild(self, full_name: str, number: int) -> Prebuild:
        return self.send("POST", f"{_path(full_name)}/{number}/runs", Prebuild)

    def read_prebuild_log(self, full_name: str, number: int) -> list[LogEntry]:
        return self.send("GET", f"{_path(full_name)}/{number}/logs", list[LogEntry])

    def delete_prebuild(self, full_name: str, number: int) -> None:
        self.request("DELETE", f"{_path(full_name)}/{number}")


def _path(full_name: str) -> str:
    return f"{repository_path(full_name)}/codespaces/prebuilds"
