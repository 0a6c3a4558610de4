"""Findings for who has no server: who mends it is himself, and how, without a server's words."""

import re
from dataclasses import replace

import pytest

from berth.domain.finding import Finding, Fixer
from berth.domain.lone_finding import _STEPS, for_one_alone
from berth.domain.provider_failure import ROWS
from berth.domain.registry_finding import CONNECTION, TEXTS


def finding(code: str, fixer: Fixer = Fixer.SITE_ADMIN, **evidence: str) -> Finding:
    return Finding(code=code, sentence="No.", fixer=fixer, next_step="As before.", evidence=evidence)


@pytest.mark.parametrize("code", _STEPS)
def test_the_step_is_one_that_he_can_take(code: str) -> None:
    told = for_one_alone(finding(code, host="reg.example"))
    assert told.fixer is Fixer.DEVELOPER
    assert "reg.example" in told.next_step
    assert "administrator" not in told.next_step
    assert told.sentence == "No."


@pytest.mark.parametrize(
    "host,allowed",
    [("reg.example", "reg.example:443"), ("127.0.0.1:5000", "127.0.0.1:5000"), ("[::1]:5000", "[::1]:5000")],
)
def test_c9_what_may_be_allowed_is_named_as_the_setting_wants_it(host: str, allowed: str) -> None:
    step = for_one_alone(finding("registry.address_forbidden", host=host)).next_step
    assert f"BERTH_PRIVATE_ADDRESSES={allowed}, " in step


STEPS = [
    *(text[2] for text in TEXTS.values()),
    *(step for _, step in CONNECTION.values()),
    *(row.text[2] for row in ROWS),
]


@pytest.mark.parametrize("step", dict.fromkeys(STEPS))
def test_no_step_speaks_of_what_a_server_keeps(step: str) -> None:
    """Where a code has no step of its own here, the others' is told in words of variables."""
    told = for_one_alone(replace(finding("x"), next_step=step)).next_step
    assert re.search(r"(the|three) secrets|the secret …|berth registry add", told) is None
    assert for_one_alone(replace(finding("x"), next_step="Make a new secret in Azure.")).next_step.endswith("in Azure.")


def test_another_host_is_named_where_it_is_the_cause() -> None:
    step = for_one_alone(finding("registry.plain_http", host="reg.example", other_host="auth.example")).next_step
    assert step.endswith("=auth.example.")


@pytest.mark.parametrize(
    "fixer,told", [(Fixer.SITE_ADMIN, Fixer.DEVELOPER), (Fixer.REGISTRY, Fixer.REGISTRY)], ids=["ours", "theirs"]
)
def test_any_other_finding_keeps_its_step(fixer: Fixer, told: Fixer) -> None:
    other = for_one_alone(finding("registry.timeout", fixer))
    assert (other.fixer, other.next_step) == (told, "As before.")
    assert for_one_alone(finding("registry.plain_http")).next_step == "As before.", "no host is known"
