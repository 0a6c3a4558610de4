"""The policy of `domain/codespace_policy.py`, quoted by its numbers."""

import time
from dataclasses import replace

import pytest

from berth.domain.access import Effect
from berth.domain.allowance import OptionPolicy
from berth.domain.codespace_policy import (
    MAX_OPTIONS,
    MAX_PATTERN_LENGTH,
    MAX_PATTERNS,
    CodespaceCounts,
    CodespacePolicy,
    check_policy,
    decide_images,
    longest_of,
    matches,
    option_policies,
    parse_name,
    parse_pattern,
    refusal_of,
    require_room,
)
from berth.domain.codespace_timer import TimeLimits
from berth.domain.host_option import parse_host_option
from berth.domain.image_reference import parse_image_reference
from berth.domain.problem import Invalid, LimitReached

BASE = CodespacePolicy(name="base", allowed_images=("ghcr.io/acme/**", "docker.io/library/debian"))
OURS = CodespacePolicy(name="ours", allowed_images=("ghcr.io/acme/dev",))
IDLE = CodespacePolicy(name="idle", idle_timeout_max_minutes=60)
NOTHING = CodespacePolicy(name="nothing", allowed_images=())
SERVER = TimeLimits(idle_minutes=240, retention_minutes=43200)

MATCHES = [
    ("ghcr.io/acme/dev", "ghcr.io/acme/dev:1", True),
    ("ghcr.io/acme/dev", f"ghcr.io/acme/dev@sha256:{'0' * 64}", True),
    ("ghcr.io/acme/dev", "ghcr.io/acme/dev-evil", False),
    ("ghcr.io/acme/dev", "evil.io/ghcr.io/acme/dev", False),
    ("ghcr.io/acme/dev", "ghcr.io:5000/acme/dev", False),
    ("ghcr.io/acme/*", "ghcr.io/acme/dev", True),
    ("ghcr.io/acme/*", "ghcr.io/acme/team/dev", False),
    ("ghcr.io/acme/**", "ghcr.io/acme/team/dev", True),
    ("ghcr.io/acme/**", "ghcr.io/acme-evil/dev", False),
    ("ghcr.io/**/dev", "ghcr.io/a/b/dev", True),
    ("ghcr.io/**/dev", "ghcr.io/a/b/dev/x", False),
    ("ghcr.io/acme/dev*", "ghcr.io/acme/dev", True),
    ("ghcr.io/acme/*-*", "ghcr.io/acme/a-b-c", True),
    ("ghcr.io/acme/***", "ghcr.io/acme/a/b", True),
    ("*.example.com/*", "registry.example.com/dev", True),
    ("*.example.com/*", "example.com/dev", False),
    ("*.example.com/*", "x.example.com.evil.io/dev", False),
    ("*.io/acme/x", "evil.com/a.io/acme/x", False),
    ("ghcr.io.evil/acme/x", "ghcr.io/acme/x", False),
    ("ghcrxio.y/acme/dev", "ghcr.io/acme/dev", False),
    ("docker.io/debian", "debian:12", True),
    ("docker.io/library/debian", "debian", True),
    ("index.docker.io/acme/dev", "acme/dev", True),
    ("docker.io/*", "acme/dev", False),
    ("docker.io/**", "debian", True),
    ("localhost/dev", "localhost/dev", True),
    ("registry:5000/dev", "registry:5000/dev", True),
    ("ghcr.io:443/dev", "ghcr.io/dev", True),
    ("ghcr.io/dev", "GHCR.io/dev", True),
]


@pytest.mark.parametrize(("pattern", "image", "fits"), MATCHES)
def test_patterns(pattern: str, image: str, fits: bool) -> None:
    assert matches(parse_pattern(pattern), parse_image_reference(image)) is fits


def test_no_pattern_takes_long() -> None:
    pattern = parse_pattern("ghcr.io/" + "*a" * 140 + "b")
    started = time.process_time()
    assert not matches(pattern, parse_image_reference("ghcr.io/" + "a" * 250))
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "text",
    [
        "", "debian", "acme/dev", "ghcr.io", "ghcr.io/", "/dev", "**/dev", "ghcr.io/acme/dev:1", "ghcr.io/a@b", "ghcr.io/A",
        "ghcr.io//dev", "https://ghcr.io/dev", "ghcr.io/a b", "ghcr.io/a\n", "ghcr.io/\0", "GHCR.io/dev", "ghcr.io:x/dev",
        "ghcr.io/" + "a" * MAX_PATTERN_LENGTH,
    ],
)  # fmt: skip
def test_what_is_no_pattern(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_pattern(text)
    assert refused.value.code == "codespace.policy_images"


@pytest.mark.parametrize("name", ["a", "base-images", "0", "a" * 40])
def test_names(name: str) -> None:
    assert parse_name(name) == name


@pytest.mark.parametrize("name", ["", "A", "a b", "-a", "a-", "a/b", "a" * 41, "a\n"])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(Invalid):
        parse_name(name)


@pytest.mark.parametrize(
    ("field", "bad", "good"),
    [
        ("idle_timeout_max_minutes", (4, 241), (5, 240, None)),
        ("retention_max_minutes", (-1, 43201), (0, 43200, None)),
        ("max_codespaces_per_user", (-1, 10**30), (0, None)),
        ("max_codespaces", (-1, 10**30), (0, None)),
    ],
)
def test_numbers(field: str, bad: tuple[int, ...], good: tuple[int | None, ...]) -> None:
    for value in bad:
        with pytest.raises(Invalid) as refused:
            check_policy(replace(IDLE, **{field: value}))  # type: ignore[arg-type]
        assert refused.value.field == field
    for each in good:
        policy = replace(IDLE, **{field: each})  # type: ignore[arg-type]
        assert check_policy(policy) == policy


def test_patterns_are_kept_once_in_their_normal_form() -> None:
    checked = check_policy(replace(BASE, allowed_images=("docker.io/debian", "docker.io/library/debian")))
    assert checked.allowed_images == ("docker.io/library/debian",)
    with pytest.raises(Invalid):
        check_policy(replace(BASE, allowed_images=("a.b/c",) * (MAX_PATTERNS + 1)))


def test_options_are_kept_once_in_their_normal_form() -> None:
    site = frozenset(map(parse_host_option, ("capability:BPF", "mount:/srv/a")))
    policy = replace(BASE, allowed_options=("capability:bpf", "capability:CAP_BPF"))
    assert check_policy(policy, site).allowed_options == ("capability:BPF",)
    assert check_policy(replace(BASE, allowed_options=()), site).allowed_options == ()
    assert check_policy(BASE, site).allowed_options is None
    for bad in (("capability:SYS_ADMIN",), ("BPF",), ("capability:BPF",) * (MAX_OPTIONS + 1)):
        with pytest.raises(Invalid) as refused:
            check_policy(replace(BASE, allowed_options=bad), site)
        assert (refused.value.field, refused.value.code) == ("allowed_options", "codespace.policy_options")


def test_only_policies_that_say_something_of_options_count_for_them() -> None:
    tools = CodespacePolicy(name="tools", allowed_options=("capability:BPF",))
    none = CodespacePolicy(name="none", allowed_options=())
    assert option_policies((BASE, tools, none)) == (
        OptionPolicy("tools", frozenset({parse_host_option("capability:BPF")})),
        OptionPolicy("none", frozenset()),
    )


DECISIONS = {
    "policy 2: nobody listed images": ((IDLE,), ("evil.io/x",), ["codespace.policy.none"], True),
    "policy 2: no policy at all": ((), ("evil.io/x",), ["codespace.policy.none"], True),
    "policy 3: one that fits": ((IDLE, BASE), ("debian",), ["codespace.policy.image"], True),
    "policy 3: one that does not": ((BASE,), ("evil.io/x",), ["codespace.policy.image_refused"], False),
    "policy 3: each image has to fit": (
        (BASE,), ("debian", "evil.io/x"), ["codespace.policy.image", "codespace.policy.image_refused"], False,
    ),
    "policy 1: each policy counts": (
        (BASE, OURS), ("ghcr.io/acme/other",), ["codespace.policy.image", "codespace.policy.image_refused"], False,
    ),
    "policy 1: that all allow": (
        (BASE, OURS), ("ghcr.io/acme/dev",), ["codespace.policy.image", "codespace.policy.image"], True,
    ),
    "A14: an empty list allows none": ((NOTHING,), ("debian",), ["codespace.policy.image_refused"], False),
}  # fmt: skip


@pytest.mark.parametrize(("policies", "images", "rules", "allowed"), DECISIONS.values(), ids=DECISIONS.keys())
def test_decide_images(
    policies: tuple[CodespacePolicy, ...], images: tuple[str, ...], rules: list[str], allowed: bool
) -> None:
    decision = decide_images(policies, [parse_image_reference(image) for image in images])
    assert (bool(decision), [reason.rule for reason in decision.trail]) == (allowed, rules)
    if not allowed:
        finding = refusal_of(decision, policies, "acme")
        denied = next(reason for reason in decision.trail if reason.effect is Effect.DENY)
        assert denied.text in finding.sentence
        assert finding.code == "codespace.policy_image"


def test_a_refusal_names_the_policy_the_image_and_what_would_fit() -> None:
    decision = decide_images((BASE,), [parse_image_reference("evil.io/x:2")])
    finding = refusal_of(decision, (BASE,), "acme")
    assert finding.sentence == "acme: The policy 'base' does not allow evil.io/x:2."
    assert "ghcr.io/acme/**" in finding.next_step
    many = replace(BASE, allowed_images=tuple(f"a.b/{number}" for number in range(9)))
    assert "and others" in refusal_of(decision, (many,), "acme").next_step
    assert "(none)" in refusal_of(decision, (NOTHING,), "acme").next_step


@pytest.mark.parametrize(
    ("policies", "idle", "kept"),
    [
        ((), 240, 43200),
        ((BASE,), 240, 43200),
        ((IDLE,), 60, 43200),
        ((IDLE, replace(IDLE, idle_timeout_max_minutes=30, retention_max_minutes=0)), 30, 0),
        ((replace(IDLE, idle_timeout_max_minutes=None, retention_max_minutes=10),), 240, 10),
    ],
)
def test_policy_1_the_strictest_time_counts(policies: tuple[CodespacePolicy, ...], idle: int, kept: int) -> None:
    assert longest_of(policies, SERVER) == TimeLimits(idle_minutes=idle, retention_minutes=kept)


def test_policy_1_the_server_s_own_limit_counts_too() -> None:
    assert longest_of((IDLE,), replace(SERVER, idle_minutes=10)).idle_minutes == 10


@pytest.mark.parametrize(
    ("changes", "counts", "room"),
    [
        ({}, (99, 99), True),
        ({"max_codespaces_per_user": 2}, (1, 99), True),
        ({"max_codespaces_per_user": 2}, (2, 2), False),
        ({"max_codespaces_per_user": 0}, (0, 0), False),
        ({"max_codespaces": 5}, (1, 4), True),
        ({"max_codespaces": 5}, (0, 5), False),
    ],
)
def test_limits(changes: dict[str, int], counts: tuple[int, int], room: bool) -> None:
    policies = (BASE, replace(IDLE, **changes))  # type: ignore[arg-type]
    if room:
        require_room(policies, CodespaceCounts(*counts), "acme")
        return
    with pytest.raises(LimitReached, match="'idle' of acme") as refused:
        require_room(policies, CodespaceCounts(*counts), "acme")
    assert refused.value.code == "codespace.policy_limit"
