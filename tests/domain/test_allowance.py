"""The policy of `domain/allowance.py`, quoted by its numbers."""

import pytest

from berth.domain.allowance import NO_ALLOWANCES, Allowances, OptionPolicy, find_withdrawn, parse_allowed_options
from berth.domain.finding import Fixer
from berth.domain.host_option import OPTIONS_LABEL, HostOption, parse_host_option
from berth.domain.problem import Invalid


def options(*tokens: str) -> frozenset[HostOption]:
    return frozenset(map(parse_host_option, tokens))


PTRACE, ADMIN = "capability:SYS_PTRACE", "capability:SYS_ADMIN"
SITE = options(PTRACE, "mount:/srv/cache", "device:/dev/kvm")
TOOLS = OptionPolicy("tools", options(PTRACE))
NOTHING = OptionPolicy("nothing", frozenset())

DECISIONS: dict[str, tuple[Allowances, str, str | None]] = {
    "policy 4: what the site names": (Allowances(site=SITE), PTRACE, None),
    "policy 2: what it does not": (Allowances(site=SITE), ADMIN, "devcontainer.not_allowed"),
    "policy 2: a site that names nothing": (NO_ALLOWANCES, PTRACE, "devcontainer.not_allowed"),
    "policy 2: a policy adds nothing": (
        Allowances(policies=(TOOLS,), organization="acme"),
        PTRACE,
        "devcontainer.not_allowed",
    ),
    "policy 3: what each policy names": (
        Allowances(site=SITE, policies=(TOOLS, TOOLS), organization="acme"),
        PTRACE,
        None,
    ),
    "policy 3: what one leaves out": (
        Allowances(site=SITE, policies=(TOOLS,), organization="acme"),
        "mount:/srv/cache",
        "codespace.policy_option",
    ),
    "policy 3: what the second leaves out": (
        Allowances(site=SITE, policies=(TOOLS, NOTHING), organization="acme"),
        PTRACE,
        "codespace.policy_option",
    ),
    "policy 1: a fork's": (
        Allowances(site=SITE, withheld_reason="it is a stranger's"),
        PTRACE,
        "devcontainer.not_allowed",
    ),
    "policy 4: privileged allows no capability": (
        Allowances(site=options("privileged")),
        PTRACE,
        "devcontainer.not_allowed",
    ),
    "policy 4: all capabilities allow no single one": (
        Allowances(site=options("capability:ALL")),
        PTRACE,
        "devcontainer.not_allowed",
    ),
    "policy 4: all single ones do not allow ALL": (Allowances(site=SITE), "capability:ALL", "devcontainer.not_allowed"),
    "policy 4: a folder allows none in it": (Allowances(site=SITE), "mount:/srv/cache/a", "devcontainer.not_allowed"),
    "policy 4: nor the one around it": (Allowances(site=SITE), "mount:/srv", "devcontainer.not_allowed"),
}


@pytest.mark.parametrize(("allowances", "token", "code"), DECISIONS.values(), ids=DECISIONS.keys())
def test_decisions(allowances: Allowances, token: str, code: str | None) -> None:
    refusal = allowances.refusal_of(parse_host_option(token))
    assert (None if refusal is None else refusal.code) == code


def test_a_refusal_says_who_can_allow_it() -> None:
    site = NO_ALLOWANCES.refusal_of(parse_host_option(PTRACE))
    policy = Allowances(site=SITE, policies=(NOTHING,), organization="acme").refusal_of(parse_host_option(PTRACE))
    assert site is not None
    assert policy is not None
    assert "DEV_CONTAINER_ALLOWED" in site.why
    assert f"ask the administrator of this server to add {PTRACE} to DEV_CONTAINER_ALLOWED" in site.remedy
    assert "the policy 'nothing' of acme leaves it out" in policy.why
    assert f"ask an owner of acme to add {PTRACE}" in policy.remedy


def test_owners_choose_among_what_the_site_allows() -> None:
    assert parse_allowed_options([], SITE) == ()
    assert parse_allowed_options(["capability:cap_sys_ptrace", PTRACE, "mount:/srv/cache/"], SITE) == (
        PTRACE,
        "mount:/srv/cache",
    )
    with pytest.raises(Invalid, match="This server does not allow capability:SYS_ADMIN") as refused:
        parse_allowed_options([PTRACE, ADMIN], SITE)
    assert (refused.value.field, refused.value.code) == ("allowed_options", "codespace.policy_options")
    with pytest.raises(Invalid, match="nothing that a container can be allowed"):
        parse_allowed_options(["SYS_PTRACE"], SITE)


LABELS: dict[str, tuple[dict[str, str], bool]] = {
    "no label": ({}, False),
    "nothing": ({OPTIONS_LABEL: ""}, False),
    "what is allowed": ({OPTIONS_LABEL: f"{PTRACE},device:/dev/kvm"}, False),
    "one that is not": ({OPTIONS_LABEL: f"{PTRACE},{ADMIN}"}, True),
    "one that nobody knows": ({OPTIONS_LABEL: "quantum:\n1"}, True),
}


@pytest.mark.parametrize(("labels", "is_withdrawn"), LABELS.values(), ids=LABELS.keys())
def test_what_a_container_has_must_still_be_allowed_at_a_start(labels: dict[str, str], is_withdrawn: bool) -> None:
    finding = find_withdrawn(labels, Allowances(site=SITE))
    assert (finding is not None) is is_withdrawn
    if finding is not None:
        assert (finding.code, finding.fixer) == ("codespace.option_withdrawn", Fixer.DEVELOPER)
        assert "rebuild" in finding.next_step
        assert "\n" not in finding.sentence
