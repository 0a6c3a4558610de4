"""Findings for who has no server: who mends it is himself, and how, without a server's words."""

import pytest

from berth.domain.finding import Finding, Fixer
from berth.domain.lone_finding import _STEPS, for_one_alone


def finding(code: str, fixer: Fixer = Fixer.SITE_ADMIN, **evidence: str) -> Finding:
    return Finding(code=code, sentence="No.", fixer=fixer, next_step="As before.", evidence=evidence)


@pytest.mark.parametrize("code", _STEPS)
def test_the_step_is_one_that_he_can_take(code: str) -> None:
    told = for_one_alone(finding(code, host="reg.example"))
    assert told.fixer is Fixer.DEVELOPER
    assert "reg.example" in told.next_step
    assert "administrator" not in told.next_step
    assert told.sentence == "No."


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
