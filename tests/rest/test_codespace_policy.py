"""An organization's policies: their bodies, and what is refused in them."""

from typing import Any

import httpx
import pytest
from tests.rest.berth_api import Berth

POLICIES = "/orgs/acme/codespaces/policies"
NOTHING = {
    "allowed_images": None,
    "allowed_options": None,
    "idle_timeout_max_minutes": None,
    "retention_max_minutes": None,
    "max_codespaces_per_user": None,
    "max_codespaces": None,
}


@pytest.fixture
async def octo(berth: Berth) -> httpx.AsyncClient:
    """An owner of acme."""
    client = await berth.user("octo")
    await berth.organization("acme", "octo")
    return client


@pytest.mark.parametrize(
    ("body", "difference"),
    [
        ({}, {}),
        ({"allowed_options": None}, {}),
        ({"allowed_options": []}, {"allowed_options": []}),
        (
            {
                "allowed_options": ["capability:cap_sys_ptrace", "capability:SYS_PTRACE", "privileged"],
                "max_codespaces": 3,
            },
            {"allowed_options": ["capability:SYS_PTRACE", "privileged"], "max_codespaces": 3},
        ),
        ({"allowed_images": ["ghcr.io/**"]}, {"allowed_images": ["ghcr.io/**"]}),
    ],
)
async def test_a_policy_is_kept_as_it_was_understood(
    octo: httpx.AsyncClient, body: dict[str, Any], difference: dict[str, Any]
) -> None:
    expected = {"name": "tools", **NOTHING, **difference}
    answer = await octo.put(f"{POLICIES}/tools", json=body)
    assert (answer.status_code, answer.json()) == (200, expected)
    assert (await octo.get(f"{POLICIES}/tools")).json() == expected
    assert (await octo.get(POLICIES)).json() == {"total_count": 1, "policies": [expected]}


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["capability:SYS_ADMIN"], "codespace.policy_options", "This server does not allow capability:SYS_ADMIN"),
        (["capability:SYS_PTRCE"], "codespace.policy_options", "Did you mean capability:SYS_PTRACE?"),
        (["privileged"] * 101, "codespace.policy_options", "at most 100"),
        ("privileged", "request.invalid", ""),
        ([1], "request.invalid", ""),
    ],
)
async def test_owners_choose_among_what_the_site_allows(
    octo: httpx.AsyncClient, options: object, code: str, said: str
) -> None:
    answer = await octo.put(f"{POLICIES}/tools", json={"allowed_options": options})
    assert answer.status_code == 422
    assert code in answer.text
    assert said in answer.text
    assert (await octo.get(f"{POLICIES}/tools")).status_code == 404, "nothing was stored"


async def test_a_misspelt_key_is_no_policy_that_allows_everything(octo: httpx.AsyncClient) -> None:
    answer = await octo.put(f"{POLICIES}/tools", json={"allowed_option": []})
    assert answer.status_code == 422
    assert "allowed_option" in answer.text
    assert (await octo.get(f"{POLICIES}/tools")).status_code == 404
    assert (await octo.put(f"{POLICIES}/tools", json={"allowed_options": []})).status_code == 200
