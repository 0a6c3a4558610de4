"""Users, organizations and memberships by who asks, on both databases (A6, A13, A14); and races."""

import asyncio

from sqlalchemy import func, select
from tests.account_world import AccountWorld, outcome, outcomes

from berth.adapters.store.tables import accounts as account_table
from berth.adapters.store.tables import audit_log
from berth.domain.account import AccountType, OrganizationRole
from berth.domain.scope import Scope

ADMIN, MEMBER = OrganizationRole.ADMIN, OrganizationRole.MEMBER
MISSING = "NotFound account.not_found"


async def test_accounts_are_public_and_count_their_repositories(accounts: AccountWorld) -> None:
    service = accounts.services.accounts
    seen = await service.get(None, "ACME")
    assert (seen.account.login, seen.public_repositories, seen.private_repositories) == ("acme", 1, 2)
    assert (await service.get_own(accounts.who("otto"))).private_repositories == 1
    assert (await service.get_organization(None, "acme")).account.type is AccountType.ORGANIZATION
    assert await outcome(service.get_organization(None, "otto")) == MISSING
    assert await outcome(service.get(None, "nobody")) == MISSING
    users, total = await service.list_users(None, limit=2, offset=0)
    assert ([user.login for user in users], total) == (["olga", "mia"], 7)
    assert [one.login for one in (await service.list_own_organizations(accounts.who("mia"), limit=9, offset=0))[0]] == [
        "acme"
    ]


async def test_a13_memberships_are_for_members_with_a_token_that_may_read_them(accounts: AccountWorld) -> None:
    service = accounts.services.accounts
    expected = {"olga": 3, "mia": 3, "mia:read:org": 3, "mia:repo": 0, "rita": 0, "otto": 0, "mia@acme/web": 3}
    counts = {
        name: (await service.list_members(accounts.who(name), "acme", None, limit=9, offset=0))[1] for name in expected
    }
    assert counts == expected
    for name, count in expected.items():
        look = await outcome(service.list_memberships(accounts.who(name), "acme", limit=9, offset=0))
        assert look == ("ok" if count else MISSING)
    memberships, total = await service.list_memberships(accounts.who("mia"), "acme", limit=1, offset=0)
    assert ([(one.organization.login, one.user.login, one.role) for one in memberships], total) == (
        [("acme", "olga", ADMIN)],
        3,
    )
    owners, _total = await service.list_members(accounts.who("mia"), "acme", ADMIN, limit=9, offset=0)
    assert [user.login for user in owners] == ["olga"]
    got = {
        name: await outcome(service.get_membership(accounts.who(name), "acme", "olga"))
        for name in ("mia", "mia:repo", "rita", "otto")
    }
    assert got == {"mia": "ok", "mia:repo": MISSING, "rita": MISSING, "otto": MISSING}
    assert (
        await outcome(service.get_membership(accounts.who("mia"), "acme", "otto")) == "NotFound account.no_membership"
    )
    assert await outcome(service.list_members(accounts.who("mia"), "gone", None, limit=9, offset=0)) == MISSING


async def test_a_workflows_token_is_told_nothing_of_the_person(accounts: AccountWorld) -> None:
    expected = {"mia": "ok", "mia@acme/web": "ok", "mia job acme/web write": "Denied token.workflow"}
    got = await outcomes({name: accounts.services.accounts.get_own(accounts.who(name)) for name in expected})
    assert got == expected


async def test_only_an_owner_with_the_scope_changes_memberships(accounts: AccountWorld) -> None:
    service = accounts.services.accounts
    denied = "Denied account.not_owner"
    expected = {
        "olga": "ok",
        "olga:read:org": denied,  # A6
        "olga:write:org": denied,
        "olga:repo": MISSING,
        "olga@acme/web": "Denied token.codespace",
        "olga job acme/web write": "Denied token.codespace",
        "mia": denied,
        "wim": denied,
        "adam": MISSING,  # a role on a repository is none in the organization
        "otto": MISSING,
    }
    got = await outcomes(
        {name: service.set_membership(accounts.who(name), "acme", "rita", MEMBER) for name in expected}
    )
    assert got == expected
    olga = accounts.who("olga")
    assert await outcome(service.set_membership(olga, "acme", "nobody", MEMBER)) == MISSING
    assert await outcome(service.set_membership(olga, "acme", "acme", MEMBER)) == MISSING
    assert await outcome(service.set_membership(olga, "otto", "mia", MEMBER)) == MISSING
    assert (await service.set_membership(olga, "acme", "rita", ADMIN)).role is ADMIN


async def test_an_owner_removes_and_a_member_leaves(accounts: AccountWorld) -> None:
    service = accounts.services.accounts
    expected = {
        "mia:read:org": "Denied scope.missing",  # A6: leaving is a change
        "mia@acme/web": "Denied token.codespace",
        "mia job acme/web write": "Denied token.codespace",
        "wim": "Denied account.not_owner",
        "otto": MISSING,
        "mia": "ok",
    }
    got = await outcomes({name: service.remove_membership(accounts.who(name), "acme", "mia") for name in expected})
    assert got == expected
    olga = accounts.who("olga")
    assert await outcome(service.remove_membership(olga, "acme", "WIM")) == "ok"
    assert await outcome(service.remove_membership(olga, "acme", "wim")) == "NotFound account.no_membership"
    assert await outcome(service.remove_membership(olga, "acme", "olga")) == "Conflict account.last_owner"
    assert await outcome(service.set_membership(olga, "acme", "olga", MEMBER)) == "Conflict account.last_owner"
    assert await outcome(service.set_membership(olga, "acme", "olga", ADMIN)) == "ok"
    role = await accounts.services.repositories.find_role_of(accounts.who("adam"), "acme", "web", "wim")
    assert role[1].word == "none"  # his team went with his membership


async def test_only_site_administrators_make_accounts(accounts: AccountWorld) -> None:
    service, site = accounts.services.accounts, accounts.site_admin()
    denied = "Denied account.not_site_admin"
    assert await outcome(service.create_user(accounts.who("olga"), "nina", None)) == denied
    assert await outcome(service.create_user(accounts.who("otto:site_admin"), "nina", None)) == denied
    assert await outcome(service.create_user(accounts.site_admin(Scope.REPO), "nina", None)) == denied
    assert await outcome(service.create_organization(accounts.who("olga"), "nina", "olga")) == denied
    assert await outcome(service.create_user(site, "nina", "no address")) == "Invalid account.email"
    assert await outcome(service.create_user(site, "nina", "nina@example.com")) == "ok"
    assert await outcome(service.create_user(site, "Nina", "")) == "Invalid account.login.taken"
    assert await outcome(service.create_organization(site, "firm", "nobody")) == "Invalid account.owner_unknown"
    assert await outcome(service.create_organization(site, "firm", "acme")) == "Invalid account.owner_unknown"
    assert await outcome(service.create_organization(site, "firm", "nina")) == "ok"
    async with accounts.store.read() as connection:
        actions = (await connection.execute(select(audit_log.c.action).order_by(audit_log.c.id.desc()).limit(2))).all()
    assert [row.action for row in actions] == ["organization.create", "user.create"]


async def test_of_many_creations_of_one_name_one_succeeds(accounts: AccountWorld) -> None:
    service, site = accounts.services.accounts, accounts.site_admin()
    calls = [service.create_user(site, name, None) for name in ("same", "Same", "SAME")]
    calls += [service.create_organization(site, "samE", "mia")]
    got = await asyncio.gather(*(outcome(call) for call in calls))
    assert sorted(got) == ["Invalid account.login.taken"] * 3 + ["ok"]
    async with accounts.store.read() as connection:
        counted = select(func.count()).where(account_table.c.login_key == "same")
        assert (await connection.execute(counted)).scalar_one() == 1


async def test_the_last_owner_stays_when_all_owners_go_at_once(accounts: AccountWorld) -> None:
    service, names = accounts.services.accounts, ("olga", "mia", "wim")
    for name in names:
        await service.set_membership(accounts.who("olga"), "acme", name, ADMIN)
    calls = [
        service.remove_membership(accounts.who("olga"), "acme", "olga"),
        service.remove_membership(accounts.who("mia"), "acme", "mia"),
        service.set_membership(accounts.who("wim"), "acme", "wim", MEMBER),
    ]
    got = await asyncio.gather(*(outcome(call) for call in calls))
    assert sorted(got) == ["Conflict account.last_owner", "ok", "ok"]
    left = [await service.list_members(accounts.who(name), "acme", ADMIN, limit=9, offset=0) for name in names]
    assert max(total for _users, total in left) == 1
