"""An organization's pages: overview, people, teams. What may be done is decided in services/account.py and services/team.py."""

import pytest
from tests.ui.browser import Browser, ConsoleWorld

HOSTILE = '"><img src=x onerror=alert(1)><script>alert(1)</script>\u202eevil'
PAGES = ("", "/people", "/teams", "/teams/crew", "/teams/crew/repositories")
OWNERS_PAGES = ("/codespaces", "/settings/policies", "/settings/codespace-policies", "/audit")


async def acme(console: ConsoleWorld) -> tuple[Browser, Browser, Browser]:
    """The browsers of acme's owner olga, its member mia, and the outsider otto; acme has the team crew and a repository."""
    api = await console.berth.user("olga")
    await console.berth.organization("acme", "olga")
    await console.berth.user("mia")
    await console.berth.user("otto")
    await api.put("/orgs/acme/memberships/mia", json={"role": "member"})
    await api.post("/orgs/acme/teams", json={"name": "crew"})
    await api.post("/orgs/acme/repos", json={"name": "web", "private": True})
    olga, mia, otto = [await console.set_password(login) for login in ("olga", "mia", "otto")]
    return olga, mia, otto


async def test_a13_who_sees_which_page(console: ConsoleWorld) -> None:
    olga, mia, otto = await acme(console)
    for path in PAGES:
        statuses = [(await who.get(f"/orgs/acme{path}")).status_code for who in (olga, mia, otto)]
        assert statuses == [200, 200, 404 if path else 200], path
    for path in OWNERS_PAGES:
        statuses = [(await who.get(f"/orgs/acme{path}")).status_code for who in (olga, mia, otto)]
        assert statuses == [200, 403, 404], path
        assert (await otto.get(f"/orgs/nobody{path}")).status_code == 404
    seen = (await otto.get("/orgs/acme")).text
    assert "acme/web" not in seen
    assert 'aria-label="acme"' not in seen
    assert "acme/web" in (await olga.get("/orgs/ACME")).text


async def test_the_menu_is_what_one_may_see(console: ConsoleWorld) -> None:
    olga, mia, _otto = await acme(console)
    owners, members = (await olga.get("/orgs/acme/people")).text, (await mia.get("/orgs/acme/people")).text
    assert '<a href="/orgs/acme/people" aria-current="page">People</a>' in owners
    assert "/orgs/acme/audit" in owners
    assert "/orgs/acme/audit" not in members
    assert 'action="/orgs/acme/people"' not in members


async def test_people_are_added_changed_and_removed(console: ConsoleWorld) -> None:
    olga, mia, otto = await acme(console)
    people = "/orgs/acme/people"
    added = await olga.submit(people, people, {"login": "otto", "role": "member"})
    assert (added.status_code, added.headers["location"]) == (303, people)
    page = (await olga.get(people)).text
    assert "otto is a member now." in page
    assert (await otto.get(people)).status_code == 200
    changed = await olga.submit(people, people, {"login": "otto", "role": "admin"})
    assert changed.status_code == 303
    assert (await otto.get("/orgs/acme/audit")).status_code == 200
    gone = f"{people}/mia/remove"
    assert "Remove mia from acme" in (await otto.get(gone)).text
    assert (await otto.submit(gone, gone)).status_code == 303
    assert (await mia.get(people)).status_code == 404
    assert (await otto.get(gone)).status_code == 404
    left = f"{people}/olga/remove"
    assert "Leave acme" in (await olga.get(left)).text
    assert (await olga.submit(left, left)).headers["location"] == "/"
    last = await otto.submit(f"{people}/otto/remove", f"{people}/otto/remove")
    assert last.status_code == 409
    assert "last owner" in last.text


@pytest.mark.parametrize(
    ("values", "status", "said"),
    [
        ({"login": HOSTILE, "role": "member"}, 422, "There is no user"),
        ({"login": "otto", "role": HOSTILE}, 422, "A member&#39;s role is admin or member."),
        ({"login": "olga", "role": "member"}, 409, "last owner"),
    ],
    ids=["nobody", "no role", "the last owner"],
)
async def test_who_cannot_be_added(console: ConsoleWorld, values: dict[str, str], status: int, said: str) -> None:
    olga, _mia, _otto = await acme(console)
    answer = await olga.submit("/orgs/acme/people", "/orgs/acme/people", values)
    assert answer.status_code == status
    assert said in answer.text
    assert "<script>alert" not in answer.text
    assert "<img src=x" not in answer.text


async def test_a_member_changes_nobody(console: ConsoleWorld) -> None:
    """The form is not on his page; he sends it all the same."""
    _olga, mia, otto = await acme(console)
    for who, status in ((mia, 403), (otto, 404)):
        word = (await who.get("/settings/sessions")).text.partition('name="form_word" value="')[2][:64]
        data = {"form_word": word, "login": "mia", "role": "admin"}
        assert (await who.http.post("/orgs/acme/people", data=data)).status_code == status
        assert (await who.http.post("/orgs/acme/people/olga/remove", data=data)).status_code == status
        assert (await who.http.post("/orgs/acme/teams", data={**data, "name": "x"})).status_code == status
        assert (await who.http.post("/orgs/acme/teams/crew", data={**data, "role": "member"})).status_code == status
        assert (await who.http.post("/orgs/acme/teams/crew/delete", data=data)).status_code == status


async def test_a_teams_life(console: ConsoleWorld) -> None:
    olga, mia, _otto = await acme(console)
    made = await olga.submit("/orgs/acme/teams", "/orgs/acme/teams", {"name": "<b>Ops</b>", "description": HOSTILE})
    team = made.headers["location"]
    assert team == "/orgs/acme/teams/b-ops-b"
    listed = (await mia.get("/orgs/acme/teams")).text
    assert "&lt;b&gt;Ops" in listed
    assert "<b>Ops" not in listed
    assert "<script>alert" not in listed
    again = await olga.submit("/orgs/acme/teams", "/orgs/acme/teams", {"name": "crew"})
    assert again.status_code == 422
    for login, role, status in (("mia", "maintainer", 303), ("otto", "member", 422), (HOSTILE, "member", 422)):
        assert (await olga.submit(team, team, {"login": login, "role": role})).status_code == status
    assert (await mia.submit(team, team, {"login": "olga", "role": "member"})).status_code == 303  # a maintainer
    assert (await mia.submit(team, f"{team}/remove-member", {"login": "olga"})).status_code == 303
    there = f"{team}/repositories"
    assert (await olga.submit(there, there, {"repository": "web", "role": "push"})).status_code == 303
    refused = await olga.submit(there, there, {"repository": HOSTILE, "role": "push"})
    assert refused.status_code == 422
    assert "<script>alert" not in refused.text
    assert (await olga.submit(there, there, {"repository": "web", "role": "king"})).status_code == 422
    shown = (await mia.get(there)).text
    assert "acme/web" in shown
    assert '<span class="badge ">write</span>' in shown
    assert f'action="{there}"' not in shown
    assert (await olga.submit(there, f"{there}/remove", {"repository": "web"})).status_code == 303
    assert "acme/web" not in (await olga.get(there)).text
    assert "Its 1 members" in (await olga.get(f"{team}/delete")).text
    assert (await olga.submit(f"{team}/delete", f"{team}/delete")).status_code == 303
    assert (await olga.get(team)).status_code == 404
