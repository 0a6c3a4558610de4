"""Who may have codespaces of an organization's repositories, as its owners read it. Setting it: tests/rest."""

from tests.account_world import AccountWorld, outcomes

from berth.services.codespace_access import AccessSetting


async def test_owners_read_what_was_said(accounts: AccountWorld) -> None:
    service, olga = accounts.services.codespace_access, accounts.who("olga")
    expected = {"otto": "NotFound account.not_found", "mia": "Denied account.not_owner", "olga": "ok"}
    assert await outcomes({name: service.get(accounts.who(name), "acme") for name in expected}) == expected
    assert await service.get(olga, "acme") == AccessSetting(visibility=None, logins=())
    await service.set_visibility(olga, "acme", "selected_members", ["wim", "MIA"])
    assert await service.get(olga, "acme") == AccessSetting(visibility="selected_members", logins=("mia", "wim"))
