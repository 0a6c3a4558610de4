"""The services of accounts, teams, repositories and tokens on one store, with the people of `secret_world`."""

from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.rest.berth_api import Berth, make_berth
from tests.secret_world import SecretWorld, make_secret_world

from berth.adapters.store import collaborator as collaborator_rows
from berth.adapters.store.database import Store
from berth.domain.access import Subject
from berth.domain.problem import Problem
from berth.domain.role import Role
from berth.domain.scope import Scope
from berth.services.services import Services

SCOPES = frozenset({Scope.REPO, Scope.DELETE_REPO, Scope.ADMIN_ORG, Scope.USER, Scope.CODESPACE})


@dataclass
class AccountWorld:
    """acme: owner olga, member mia, writer wim (team writers), reader rita and administrator adam (by name on acme/web),
    outsider otto; acme/web is private, acme/site public, acme/docs internal, otto/own private.
    """

    people: SecretWorld
    berth: Berth

    @property
    def services(self) -> Services:
        return self.berth.services

    @property
    def store(self) -> Store:
        return self.berth.store

    def who(self, name: str) -> Subject:
        """A login; `login:scope,scope` with a token of these scopes only (`login:` of none); `login@owner/name` from a
        codespace of that repository; `login job owner/name write` a job of that repository, with this permission on
        contents.
        """
        if " job " in name:
            login, _job, repository, contents = name.split()
            return self.people.job(login, repository, contents=contents)
        login, at, repository = name.partition("@")
        login, colon, words = login.partition(":")
        scopes = frozenset(Scope(word) for word in words.split(",") if word) if colon else SCOPES
        return self.people.subject(login, scopes=scopes, codespace_of=repository if at else None)

    def anyone(self, name: str) -> Subject | None:
        return None if name == "anonymous" else self.who(name)

    def site_admin(self, scope: Scope = Scope.SITE_ADMIN) -> Subject:
        return replace(self.who("otto"), site_admin=True, scopes=frozenset({scope}))


@asynccontextmanager
async def make_account_world(store: Store, folder: Path) -> AsyncIterator[AccountWorld]:
    people = await make_secret_world(store, folder)
    async with make_berth(folder, store) as berth:
        admin = await berth.services.accounts.create_user(
            replace(people.subject("otto", scopes=frozenset({Scope.SITE_ADMIN})), site_admin=True), "adam", None
        )
        people.accounts["adam"] = admin.id
        async with store.begin() as connection:
            await collaborator_rows.set_collaborator(connection, people.repositories["acme/web"], admin.id, Role.ADMIN)
        yield AccountWorld(people, berth)


async def outcome(call: Awaitable[object]) -> str:
    """ "ok", or the Problem's class and code."""
    try:
        await call
    except Problem as problem:
        return f"{type(problem).__name__} {problem.code}"
    return "ok"


async def outcomes(calls: Mapping[str, Awaitable[object]]) -> dict[str, str]:
    """One after the other."""
    return {name: await outcome(call) for name, call in calls.items()}
