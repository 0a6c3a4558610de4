"""The codespaces of an organization's repositories, as its owners see and end them."""

from tests.ui.browser import ConsoleWorld

HOSTILE = '"><script>alert(1)</script>'
PATH = "/orgs/acme/codespaces"


async def test_owners_list_stop_and_delete(console: ConsoleWorld) -> None:
    api = await console.berth.user("olga")
    mia_api = await console.berth.user("mia")
    await console.berth.organization("acme", "olga")
    await api.put("/orgs/acme/memberships/mia", json={"role": "member"})
    await api.post("/orgs/acme/repos", json={"name": "web", "private": True})
    content = {"message": "x", "content": "e30="}
    await api.put("/repos/acme/web/contents/.devcontainer/devcontainer.json", json=content)
    await api.put("/repos/acme/web/collaborators/mia", json={"permission": "push"})
    body = {"display_name": HOSTILE}
    made = await mia_api.post("/repos/acme/web/codespaces", json=body)
    assert made.status_code in {201, 202}, made.text
    name = made.json()["name"]
    olga, mia = await console.set_password("olga"), await console.set_password("mia")
    page = await olga.get(PATH)
    assert "&#34;&gt;&lt;script&gt;alert" in page.text
    assert "<script>alert" not in page.text
    assert "acme/web" in page.text
    assert name in (await olga.get(f"{PATH}?user=mia")).text
    for user in ("olga", "nobody", "%22%3E%3Cscript%3Ealert"):
        shown = (await olga.get(f"{PATH}?user={user}")).text
        assert name not in shown
        assert "No codespaces" in shown
        assert "<script>alert" not in shown
    stop, delete = f"{PATH}/mia/{name}/stop", f"{PATH}/mia/{name}/delete"
    word = {"form_word": (await mia.get("/settings/sessions")).text.partition('name="form_word" value="')[2][:64]}
    assert (await mia.get(delete)).status_code == 403
    for path in (stop, delete):
        assert (await mia.http.post(path, data=word)).status_code == 403
    assert (await olga.submit(page, stop)).status_code == 303
    assert (await olga.submit(delete, delete)).status_code == 303
    assert "The codespace is being deleted." in (await olga.get(PATH)).text
    assert (await olga.get(f"{PATH}/mia/nothing/delete")).status_code == 404
