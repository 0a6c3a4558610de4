"""Typed client of our own REST API. What a terminal looks like and where a login is kept is `cli`'s business.

Decided: synchronous. The command line does one thing at a time, Ctrl-C arrives where the program is, and no loop has to
be started; a program that wants many requests at once has httpx and octokit. Only a command that is talked to while it
runs is asynchronous (`command.py`): it has two directions at once.

The token goes to the one origin that the client was made for: of a redirect only the id of a repository that has another
name now is taken, and lists are paged by number, not by the server's links. Every failure is a Problem with the server's own text.
"""

from berth.client.account import AccessToken, User
from berth.client.client import Client
from berth.client.codespace import (
    Codespace,
    CodespaceExport,
    ExecResult,
    Finding,
    GitStatus,
    LogEntry,
    PullProgress,
    parse_events,
)
from berth.client.command import RemoteCommand
from berth.client.doctor import Check, Diagnosis
from berth.client.package import (
    Package,
    PackageAccess,
    PackageDecision,
    PackageGrantee,
    PackageRepository,
    PackageSettings,
    PackageTeam,
    PackageUser,
    PackageVersion,
)
from berth.client.prebuild import Prebuild, PrebuildVersion
from berth.client.repository import Repository
from berth.client.secret import (
    LastCheck,
    LoginVerdict,
    RegistryLogin,
    RegistryLogins,
    Secret,
    SecretOwner,
    UnsharedLogin,
)

__all__ = [
    "AccessToken",
    "Check",
    "Client",
    "Codespace",
    "CodespaceExport",
    "Diagnosis",
    "ExecResult",
    "Finding",
    "GitStatus",
    "LastCheck",
    "LogEntry",
    "LoginVerdict",
    "Package",
    "PackageAccess",
    "PackageDecision",
    "PackageGrantee",
    "PackageRepository",
    "PackageSettings",
    "PackageTeam",
    "PackageUser",
    "PackageVersion",
    "Prebuild",
    "PrebuildVersion",
    "PullProgress",
    "RegistryLogin",
    "RegistryLogins",
    "RemoteCommand",
    "Repository",
    "Secret",
    "SecretOwner",
    "UnsharedLogin",
    "User",
    "parse_events",
]
