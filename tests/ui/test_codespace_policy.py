"""Settings → Policies of an organization. The rules: domain/codespace_policy.py, codespace_access.py, package.py."""

import pytest
from tests.ui.browser import Browser, ConsoleWorld

HOSTILE = '"><img src=x onerror=alert(1)><script>alert(1)</script>'
POLICIES = "/orgs/acme/settings/policies"
POLICY = "/orgs/acme/settings/codespace-policies"


async def olga_of(console: ConsoleWorld) -> Browser:
    await console.berth.user("olga")
    await console.berth.organization("acme", "olga")
    return await console.set_password("olga")


async def test_a_policy_is_made_changed_and_deleted(console: ConsoleWorld) -> None:
    olga = await olga_of(console)
    values = {
        "name": "strict",
        "has_allowed_images": "yes",
        "allowed_images": "ghcr.io/acme/**\r\ndebian:443/x\r\n",
        "idle_timeout_max_minutes": "60",
        "max_codespaces": "7",
    }
    made = await olga.submit(POLICY, POLICY, values)
    assert (made.status_code, made.headers["location"]) == (303, POLICIES)
    page = (await olga.get(POLICIES)).text
    assert "images: ghcr.io/acme/**, debian/x" in page
    assert "idle timeout at most 1 hour" in page
    assert "at most 7 in all" in page
    assert "retention period at most" not in page
    form = await olga.get(f"{POLICY}/strict")
    assert 'id="has_allowed_images-yes" name="has_allowed_images" value="yes" checked' in form.text
    assert 'name="has_allowed_options" value="yes">' in form.text
    assert ">ghcr.io/acme/**\ndebian/x</textarea>" in form.text
    assert 'value="60"' in form.text
    again = await olga.submit(POLICY, POLICY, {"name": "strict"})
    assert again.status_code == 422
    assert "There is a policy &#39;strict&#39; already." in again.text
    word = {"form_word": form.text.partition('name="form_word" value="')[2][:64]}
    changed = await olga.http.post(f"{POLICY}/strict", data={**word, "has_allowed_options": "yes"})
    assert changed.status_code == 303
    page = (await olga.get(POLICIES)).text
    assert "of their host: nothing" in page
    assert "images: " not in page
    gone = f"{POLICY}/strict/delete"
    assert (await olga.submit(gone, gone)).status_code == 303
    assert (await olga.get(f"{POLICY}/strict")).status_code == 404


@pytest.mark.parametrize(
    "values",
    [
        {"name": HOSTILE},
        {"name": "x", "has_allowed_images": "yes", "allowed_images": HOSTILE},
        {"name": "x", "has_allowed_options": "yes", "allowed_options": "capability:SYS_ADMIN"},
        {"name": "x", "max_codespaces": "-1"},
        {"name": "x", "max_codespaces": HOSTILE},
        {"name": "x", "idle_timeout_max_minutes": "1"},
        {"name": "x", "retention_max_minutes": "\u0667"},
    ],
)
async def test_a_mistake_shows_the_form_again(console: ConsoleWorld, values: dict[str, str]) -> None:
    olga = await olga_of(console)
    answer = await olga.submit(POLICY, POLICY, values)
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert "<script>alert" not in answer.text
    assert 'href="/orgs/acme/settings/codespace-policies/' not in (await olga.get(POLICIES)).text


async def test_one_more_than_there_may_be_is_told(console: ConsoleWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """A problem of no field."""
    monkeypatch.setattr("berth.services.codespace_policy.MAX_POLICIES", 1)
    olga = await olga_of(console)
    assert (await olga.submit(POLICY, POLICY, {"name": "first"})).status_code == 303
    more = await olga.submit(POLICY, POLICY, {"name": "second"})
    assert (more.status_code, "at most 1 policies" in more.text) == (422, True)


async def test_who_may_have_codespaces(console: ConsoleWorld) -> None:
    olga = await olga_of(console)
    assert "Nothing was decided yet" in (await olga.get(POLICIES)).text
    path = f"{POLICIES}/codespace-access"
    assert "Choose who may have codespaces." in (await olga.submit(POLICIES, path)).text
    chosen = {"visibility": "selected_members", "usernames": "olga,\r\n"}
    assert (await olga.submit(POLICIES, path, chosen)).status_code == 303
    page = (await olga.get(POLICIES)).text
    assert 'value="selected_members" checked' in page
    assert ">olga</textarea>" in page
    for values, status in (
        ({"visibility": HOSTILE}, 422),
        ({"visibility": "selected_members", "usernames": HOSTILE}, 400),
    ):
        refused = await olga.submit(POLICIES, path, values)
        assert refused.status_code == status
        assert "<script>alert" not in refused.text
    assert 'value="selected_members" checked' in (await olga.get(POLICIES)).text


async def test_how_new_packages_are(console: ConsoleWorld) -> None:
    olga = await olga_of(console)
    path = f"{POLICIES}/packages"
    page = (await olga.get(POLICIES)).text
    for each in ("public", "private", "internal"):
        assert f'value="{each}" checked' in page
    word = {"form_word": page.partition('name="form_word" value="')[2][:64]}
    answer = await olga.http.post(path, data={**word, "creatable_visibilities": ["private"]})
    assert answer.status_code == 303
    page = (await olga.get(POLICIES)).text
    assert 'value="private" checked' in page
    assert 'value="public" checked' not in page
    assert 'name="inherit_access_default" value="yes">' in page
    assert (await olga.http.post(path, data={**word, "creatable_visibilities": [HOSTILE]})).status_code == 422
