"""Who reads an audit log: an organization's owners, oneself."""

from datetime import timedelta

from tests.account_world import outcomes
from tests.package_world import PackageWorld

from berth.domain.audit import AuditFilter

OK = "ok"
MISSING = "NotFound account.not_found"
NOT_OWNER = "Denied account.not_owner"


async def test_owners_read_their_organizations_log(packages: PackageWorld) -> None:
    expected = {
        "otto": MISSING,
        "mia": NOT_OWNER,
        "olga:read:org": NOT_OWNER,
        "olga@acme/web": "Denied token.codespace",
        "olga job acme/web": "Denied token.codespace",
        "olga": OK,
    }
    service = packages.services.audit
    calls = {who: service.list_of_organization(packages.who(who), "acme", limit=1, offset=0) for who in expected}
    assert await outcomes(calls) == expected


async def test_a_log_holds_what_concerns_the_account_newest_first(packages: PackageWorld) -> None:
    service, olga, otto = packages.services.audit, packages.who("olga"), packages.who("otto")
    await packages.package("acme/app")
    await packages.package("otto/app")
    await packages.services.packages.delete(olga, packages.place("acme/app"))
    await packages.services.packages.delete(otto, packages.place("otto/app"))
    await packages.services.packages.restore(olga, packages.place("acme/app"))
    organization, events, total = await service.list_of_organization(olga, "ACME", limit=2, offset=0)
    assert (organization.login, total) == ("acme", 2)
    assert [(each.actor_login, each.action, each.target) for each in events] == [
        ("olga", "package.restore", "acme/app"),
        ("olga", "package.delete", "acme/app"),
    ]
    assert events[0].id > events[1].id
    _organization, events, total = await service.list_of_organization(olga, "acme", limit=1, offset=1)
    assert ([each.action for each in events], total) == (["package.delete"], 2)
    mine, _total = await service.list_own(otto, limit=9, offset=0)
    assert [(each.actor_login, each.action, each.target) for each in mine] == [("otto", "package.delete", "otto/app")]


async def test_a_codespace_and_a_workflow_read_nobodys_log(packages: PackageWorld) -> None:
    expected = {"olga@acme/web": "Denied token.codespace", "olga job acme/web": "Denied token.codespace", "olga": OK}
    service = packages.services.audit
    calls = {who: service.list_own(packages.who(who), limit=1, offset=0) for who in expected}
    assert await outcomes(calls) == expected


async def test_owners_look_through_their_organizations_log(packages: PackageWorld) -> None:
    expected = {"otto": MISSING, "mia": NOT_OWNER, "olga@acme/web": "Denied token.codespace", "olga": OK}
    service, everything = packages.services.audit, AuditFilter()
    calls = {
        who: service.search_of_organization(packages.who(who), "acme", everything, before=None, limit=1)
        for who in expected
    }
    assert await outcomes(calls) == expected


async def test_what_is_found(packages: PackageWorld) -> None:
    service, olga = packages.services.audit, packages.who("olga")
    for name in ("acme/app", "acme/a_p", "otto/app"):
        await packages.package(name)
    await packages.services.packages.delete(olga, packages.place("acme/app"))
    await packages.services.packages.restore(olga, packages.place("acme/app"))
    await packages.services.packages.delete(olga, packages.place("acme/a_p"))
    await packages.services.packages.delete(packages.who("otto"), packages.place("otto/app"))
    events, _more = await service.search_of_organization(olga, "acme", AuditFilter(), before=None, limit=9)
    now = events[0].at
    for wanted, found in (
        (AuditFilter(), ["delete a_p", "restore app", "delete app"]),
        (AuditFilter(action="package"), ["delete a_p", "restore app", "delete app"]),
        (AuditFilter(action="package.restore"), ["restore app"]),
        (AuditFilter(action="pack"), []),
        (AuditFilter(action="packag_"), []),
        (AuditFilter(actor="olga", target="app"), ["restore app", "delete app"]),
        (AuditFilter(actor="olg"), []),
        (AuditFilter(target="_p"), ["delete a_p"]),
        (AuditFilter(target="%"), []),
        (
            AuditFilter(since=now - timedelta(hours=1), until=now + timedelta(hours=1)),
            ["delete a_p", "restore app", "delete app"],
        ),
        (AuditFilter(since=now + timedelta(hours=1)), []),
        (AuditFilter(until=now - timedelta(hours=1)), []),
    ):
        got, _more = await service.search_of_organization(olga, "acme", wanted, before=None, limit=9)
        assert [f"{each.action.partition('.')[2]} {each.target.partition('/')[2]}" for each in got] == found, wanted
    first, more = await service.search_of_organization(olga, "acme", AuditFilter(), before=None, limit=2)
    assert (len(first), more) == (2, True)
    rest, more = await service.search_of_organization(olga, "acme", AuditFilter(), before=first[-1].id, limit=2)
    assert ([each.id for each in first + rest], more) == ([each.id for each in events], False)
