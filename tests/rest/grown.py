"""The seeded server with more than a page in every list: for tests over all lists of the table of routes."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, Table, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.rest.seeded import Seeded, seal

from berth.adapters.store import package_tables, prebuild_tables, secret_tables, tables
from berth.domain.account import AccountType
from berth.domain.package_role import PackageRole
from berth.domain.role import Role

MORE = 33  # of everything: a page of 30 is full, and there is a second one
_BASES = ("/orgs/{org}", "/users/{username}", "/user")
_PUSH, _READ = int(Role.PUSH), int(PackageRole.READ)


async def make_alike(seeded: Seeded) -> None:
    """No list is empty, and every package is linked to a repository: an empty page, and one without links, cost less."""
    changes: list[tuple[str, str, dict[str, Any]]] = [("POST", "/user/repos", {"name": "own"})]
    for base in _BASES:
        package = f"{base}/packages/container/{{package_name}}"
        changes.append(("PUT", f"{package}/collaborators/{{collaborator}}", {"role": "read"}))
        changes.append(("PUT", f"{package}/codespaces/repositories/{{repository_id}}", {}))
        changes.append(("PUT", f"{package}/actions/repositories/{{repository_id}}", {"role": "read"}))
    changes.append(("PUT", "/orgs/{org}/packages/container/{package_name}/teams/{team_slug}", {"role": "read"}))
    for method, template, body in changes:
        answer = await seeded.octo.request(method, seeded.fill(template), json=body)
        assert answer.is_success, f"{template}: {answer.text}"
    async with seeded.berth.store.begin() as connection:
        linked = int(seeded.values["repository_id"])
        await connection.execute(update(package_tables.packages).values(repository_id=linked))
        own = (
            await connection.execute(select(tables.repositories.c.id).where(tables.repositories.c.name == "own"))
        ).scalar_one()
        await connection.execute(insert(tables.forks).values(repository_id=own, parent_id=linked))


async def grow(seeded: Seeded, rows: int = MORE) -> None:
    """That many more rows in every list that the operations of the table show; of files and triples MORE."""
    _grow_tree(seeded)
    async with seeded.berth.store.begin() as connection:
        accounts = {row.login: row.id for row in await connection.execute(select(tables.accounts))}
        growth = _Growth(connection, accounts["acme"], accounts["octo"], int(seeded.values["repository_id"]), rows)
        people = await growth.accounts(accounts["ada"])
        repositories = await growth.repositories()
        teams = await growth.teams(people, repositories)
        await growth.secrets(repositories)
        await growth.policies()
        await growth.prebuilds()
        await growth.what_octo_has(int(seeded.values["id"]))
        for package_id, owner_id in await growth.packages():
            await growth.versions(package_id)
            await growth.grants(package_id, people, repositories, teams if owner_id == growth.acme else [])
    await _grow_triples(seeded)


@dataclass(frozen=True)
class _Growth:
    """Rows straight in the store; octo owns acme, whose repository web is."""

    connection: AsyncConnection
    acme: int
    octo: int
    web: int
    rows: int

    async def accounts(self, ada: int) -> list[int]:
        """Members of acme, who have a role on web by name; and organizations that octo owns."""
        people = await self._copy(tables.accounts, ada, lambda n: _account(f"u{n}", AccountType.USER))
        owned = await self._copy(tables.accounts, self.acme, lambda n: _account(f"o{n}", AccountType.ORGANIZATION))
        joined = {"organization_id": self.acme, "role": "member"}
        await self._add(tables.memberships, *({**joined, "user_id": each} for each in people))
        await self._add(
            tables.memberships, *({"organization_id": each, "user_id": self.octo, "role": "admin"} for each in owned)
        )
        role = {"repository_id": self.web, "role": _PUSH}
        await self._add(tables.collaborators, *({**role, "user_id": each} for each in people))
        return people

    async def repositories(self) -> list[int]:
        """Of octo, forks of web, and of acme: the latters' ids. And pull requests of web."""
        table = tables.repositories
        named = [{"name": f"r{n}", "name_key": f"r{n}"} for n in range(self.rows)]
        forks = await self._copy(table, self.web, lambda n: {**named[n], "owner_id": self.octo})
        await self._add(tables.forks, *({"repository_id": each, "parent_id": self.web} for each in forks))
        pull = await self._newest(select(tables.pull_requests.c.id))
        await self._copy(tables.pull_requests, pull, lambda n: {"number": 100 + n})
        return await self._copy(table, self.web, lambda n: named[n])

    async def prebuilds(self) -> None:
        """Of web, each with a version and a line of its log."""
        first = await self._newest(select(prebuild_tables.prebuilds.c.id))
        made = await self._copy(prebuild_tables.prebuilds, first, lambda n: {"branch": f"b{n}"})
        at = datetime(2026, 1, 1, tzinfo=UTC)
        version = {"owner_id": self.acme, "digest": "d", "commit_id": "c", "created_at": at, "configuration_hash": "h"}
        await self._add(prebuild_tables.prebuild_versions, *({**version, "prebuild_id": each} for each in made))
        line = {"prebuild_id": first, "at": at, "kind": "output", "text": "x"}
        await self._add(prebuild_tables.prebuild_log, *(line for _ in range(self.rows)))

    async def teams(self, people: list[int], repositories: list[int]) -> list[int]:
        """All have a role on web; the one that was there has one on all, and all are in it."""
        core = await self._newest(select(tables.teams.c.id))
        teams = await self._copy(tables.teams, core, lambda n: {"slug": f"t{n}", "name": f"t{n}"})
        await self._add(tables.team_members, *({"team_id": core, "user_id": each, "role": "member"} for each in people))
        granted = [*((core, each) for each in repositories), *((each, self.web) for each in teams)]
        await self._add(
            tables.team_repositories,
            *({"team_id": team, "repository_id": repository, "role": _PUSH} for team, repository in granted),
        )
        return teams

    async def policies(self) -> None:
        """For codespaces of acme's repositories, saying nothing."""
        rows = ({"organization_id": self.acme, "name": f"p{n}"} for n in range(self.rows))
        await self._add(tables.codespace_policies, *rows)

    async def secrets(self, repositories: list[int]) -> None:
        """The selections of those that are there."""
        chosen = select(secret_tables.secrets.c.id).where(secret_tables.secrets.c.visibility == "selected")
        for secret in (await self.connection.execute(chosen)).scalars().all():
            await self._add(
                secret_tables.secret_repositories,
                *({"secret_id": secret, "repository_id": each} for each in repositories),
            )

    async def what_octo_has(self, token_id: int) -> None:
        """Tokens, codespaces, the first one's log, and audit logs."""
        await self._copy(tables.access_tokens, token_id, lambda n: {"hash": n.to_bytes(32)})
        codespace = await self._newest(select(tables.codespaces.c.id))
        await self._copy(
            tables.codespaces, codespace, lambda n: {"name": f"copy-{n}", "environment_id": f"environment-{n}"}
        )
        line = {"codespace_id": codespace, "at": datetime.now(UTC), "kind": "output"}
        await self._add(tables.codespace_log, *({**line, "text": str(number)} for number in range(self.rows)))
        event = await self._newest(select(tables.audit_log.c.id))
        await self._copy(tables.audit_log, event, lambda _: {"account_id": self.acme})
        await self._copy(tables.audit_log, event, lambda _: {"account_id": self.octo})

    async def packages(self) -> list[tuple[int, int]]:
        """Of octo, and of acme. Gives (id, owner's id) of those that were there."""
        columns = package_tables.packages.c
        there = (await self.connection.execute(select(columns.id, columns.owner_id))).all()
        for owner in (self.octo, self.acme):
            like = next(row.id for row in there if row.owner_id == owner)
            await self._copy(package_tables.packages, like, lambda n: {"name": f"copy-{n}"})
        return [(row.id, row.owner_id) for row in there]

    async def versions(self, package_id: int) -> None:
        """Each has a tag."""
        manifests = package_tables.manifests
        newest = await self._newest(select(manifests.c.id).where(manifests.c.package_id == package_id))
        made = await self._copy(manifests, newest, lambda n: {"digest": f"sha256:{n:064x}"})
        tag = {"package_id": package_id, "updated_at": datetime.now(UTC)}
        await self._add(package_tables.tags, *({**tag, "name": f"copy-{each}", "manifest_id": each} for each in made))

    async def grants(self, package_id: int, people: list[int], repositories: list[int], teams: list[int]) -> None:
        """People and teams have a role on it, it is open to the repositories."""
        for table, column, ids, role in (
            (package_tables.package_collaborators, "user_id", people, {"role": _READ}),
            (package_tables.package_teams, "team_id", teams, {"role": _READ}),
            (package_tables.package_codespaces, "repository_id", repositories, {}),
            (package_tables.package_workflows, "repository_id", repositories, {"role": _READ}),
        ):
            await self._add(table, *({"package_id": package_id, column: each, **role} for each in ids))

    async def _newest(self, ids: Select[Any]) -> int:
        newest = ids.order_by(ids.selected_columns[0].desc()).limit(1)
        return int((await self.connection.execute(newest)).scalar_one())

    async def _copy(self, table: Table, like: int, changed: Callable[[int], dict[str, Any]]) -> list[int]:
        """The ids of new rows, each as the given one but for what `changed` gives for its number."""
        row = (await self.connection.execute(select(table).where(table.c.id == like))).one()._asdict()
        del row["id"]
        await self._add(table, *({**row, **changed(number)} for number in range(self.rows)))
        ids = select(table.c.id).order_by(table.c.id.desc()).limit(self.rows)
        return list((await self.connection.execute(ids)).scalars())

    async def _add(self, table: Table, *rows: dict[str, Any]) -> None:
        if rows:
            await self.connection.execute(insert(table), list(rows))


def _account(login: str, kind: AccountType) -> dict[str, Any]:
    return {"login": login, "login_key": login, "type": kind}


async def _grow_triples(seeded: Seeded) -> None:
    """Secrets that are registries' triples, at each level: where registries are listed they are opened, so they are real."""
    for path in seeded.sealed:
        more = {"visibility": "all", "selected_repository_ids": [int(seeded.values["repository_id"])]}
        if path.startswith("/orgs"):
            del more["selected_repository_ids"]
        for number in range(MORE // 3):
            host = f"r{number}.example.com".encode()
            for word, value in (("SERVER", host), ("USER", b"robot"), ("PASSWORD", b"value")):
                body = {**await seal(seeded.octo, path, value), **more}
                answer = await seeded.octo.put(f"{path}/T{number}_CONTAINER_REGISTRY_{word}", json=body)
                assert answer.status_code == 201, answer.text


def _grow_tree(seeded: Seeded) -> None:
    """One commit with MORE files at the top and MORE dev containers."""
    content = b'{"image": "debian"}'
    files = [path for n in range(MORE) for path in (f"f{n}", f".devcontainer/d{n}/devcontainer.json")]
    stream = b"commit refs/heads/main\ncommitter m <m@example.com> 0 +0000\ndata 1\nm\nfrom refs/heads/main^0\n"
    stream += b"".join(b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(content), content) for path in files)
    folder = seeded.berth.repositories.path(int(seeded.values["repository_id"]))
    subprocess.run(["git", "fast-import", "--quiet"], cwd=folder, input=stream, check=True)
