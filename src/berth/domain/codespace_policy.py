"""What an organization's owners allow the codespaces of its repositories: images, times, numbers (L6). Pure.

Policy, in evaluation order:
1. A policy restricts what it names and says nothing of the rest. Of several, all count: the strictest decides.
2. Where no policy lists images, every image is allowed.
3. Otherwise each image of a launch has to fit a pattern of each policy that lists images. An empty list allows none (A14).
4. What a container may have of its host is likewise: `allowance.py`.

A pattern is matched against `host/path` of the normalised reference, without tag and digest: `*` stands for any characters
but `/`, `**` for any. Decided: it names a host always; what Docker calls `debian` is `docker.io/library/debian`.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from berth.domain.access import Decision, Effect, Reason
from berth.domain.allowance import OptionPolicy, parse_allowed_options
from berth.domain.codespace import MAX_IDLE_MINUTES, MAX_RETENTION_MINUTES, MIN_IDLE_MINUTES
from berth.domain.codespace_timer import TimeLimits
from berth.domain.docker_hub import DOCKER_HUB
from berth.domain.finding import Finding, Fixer
from berth.domain.host_option import HostOption, parse_host_option
from berth.domain.image_reference import ImageReference
from berth.domain.problem import Invalid, LimitReached

MAX_POLICIES = 20  # of an organization
MAX_PATTERNS = 100
MAX_PATTERN_LENGTH = 300
MAX_OPTIONS = 100
MAX_CODESPACES = 100_000
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_HOST = re.compile(r"[a-z0-9.*-]+(?::[0-9]{1,5})?")
_PATH = re.compile(r"[a-z0-9._*-]+(?:/[a-z0-9._*-]+)*")
_TOKEN = re.compile(r"\*\*|[^*]|\*")
_SHOWN_PATTERNS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class CodespacePolicy:
    """None: this policy says nothing of it. Times are in minutes."""

    name: str
    allowed_images: tuple[str, ...] | None = None
    allowed_options: tuple[str, ...] | None = None
    idle_timeout_max_minutes: int | None = None
    retention_max_minutes: int | None = None
    max_codespaces_per_user: int | None = None
    max_codespaces: int | None = None


def parse_name(name: str) -> str:
    """Raises Invalid."""
    if not _NAME.fullmatch(name):
        raise Invalid(
            "A policy's name has 1 to 40 lower-case letters, digits and hyphens, none of those at an end.",
            field="name",
            code="codespace.policy_name",
        )
    return name


def check_policy(policy: CodespacePolicy, site_options: Collection[HostOption] = ()) -> CodespacePolicy:
    """With its patterns and options in their normal form. `site_options` are all that there is to allow. Raises Invalid."""
    parse_name(policy.name)
    _check_number("idle_timeout_max_minutes", policy.idle_timeout_max_minutes, MIN_IDLE_MINUTES, MAX_IDLE_MINUTES)
    _check_number("retention_max_minutes", policy.retention_max_minutes, 0, MAX_RETENTION_MINUTES)
    _check_number("max_codespaces_per_user", policy.max_codespaces_per_user, 0, MAX_CODESPACES)
    _check_number("max_codespaces", policy.max_codespaces, 0, MAX_CODESPACES)
    patterns = policy.allowed_images
    if patterns is not None and len(patterns) > MAX_PATTERNS:
        raise _bad_images(f"allowed_images are at most {MAX_PATTERNS} patterns.")
    options = policy.allowed_options
    if options is not None and len(options) > MAX_OPTIONS:
        raise Invalid(
            f"allowed_options are at most {MAX_OPTIONS}.", field="allowed_options", code="codespace.policy_options"
        )
    return CodespacePolicy(
        name=policy.name,
        allowed_images=None if patterns is None else tuple(dict.fromkeys(map(parse_pattern, patterns))),
        allowed_options=None if options is None else parse_allowed_options(options, site_options),
        idle_timeout_max_minutes=policy.idle_timeout_max_minutes,
        retention_max_minutes=policy.retention_max_minutes,
        max_codespaces_per_user=policy.max_codespaces_per_user,
        max_codespaces=policy.max_codespaces,
    )


def _check_number(field: str, value: int | None, least: int, most: int) -> None:
    if value is not None and not least <= value <= most:
        raise Invalid(f"{field} is a number from {least} to {most}.", field=field, code="codespace.policy_number")


def parse_pattern(text: str) -> str:
    """A pattern of images in the form in which references are matched. Raises Invalid."""
    host, slash, path = text.partition("/")
    is_host = bool(_HOST.fullmatch(host)) and (host == "localhost" or bool({".", ":", "*"} & set(host)))
    if len(text) > MAX_PATTERN_LENGTH or not slash or not is_host or "**" in host or not _PATH.fullmatch(path):
        raise _bad_images(
            "A pattern of images is host/path in lower case, without tag and digest, such as ghcr.io/acme/** or "
            "docker.io/library/debian: * stands for any characters but /, ** for any; in the host only *."
        )
    host = host.removesuffix(":443")
    if host in {DOCKER_HUB, f"index.{DOCKER_HUB}"}:
        host = DOCKER_HUB
        path = path if "/" in path or "*" in path else f"library/{path}"
    return f"{host}/{path}"


def _bad_images(sentence: str) -> Invalid:
    return Invalid(sentence, field="allowed_images", code="codespace.policy_images")


def matches(pattern: str, image: ImageReference) -> bool:
    """Whether the image's `host/path` fits, in a time that no pattern makes long."""
    tokens = _TOKEN.findall(pattern)
    places = _skip({0}, tokens)
    for character in f"{image.host}/{image.path}":
        reached = set()
        for place in places - {len(tokens)}:
            part = tokens[place]
            if part == "**" or (part == "*" and character != "/"):
                reached.add(place)
            elif part == character:
                reached.add(place + 1)
        places = _skip(reached, tokens)
    return len(tokens) in places


def _skip(places: set[int], tokens: Sequence[str]) -> set[int]:
    """With the places after the stars: each may stand for nothing."""
    found = set(places)
    for place in sorted(places):
        while place < len(tokens) and tokens[place].startswith("*"):
            place += 1  # noqa: PLW2901 it walks on from there
            found.add(place)
    return found


def decide_images(policies: Collection[CodespacePolicy], images: Sequence[ImageReference]) -> Decision:
    """May a launch use these images (L6)? The trail names each policy and pattern."""
    listing = [(policy, policy.allowed_images) for policy in policies if policy.allowed_images is not None]
    if not listing:
        reason = Reason("codespace.policy.none", Effect.ALLOW, "No policy of the organization lists images.")
        return Decision(allowed=True, may_know_it_exists=True, trail=(reason,))
    trail = tuple(_judge(policy, patterns, image) for image in images for policy, patterns in listing)
    allowed = all(reason.effect is Effect.ALLOW for reason in trail)
    return Decision(allowed=allowed, may_know_it_exists=True, trail=trail)


def _judge(policy: CodespacePolicy, patterns: Sequence[str], image: ImageReference) -> Reason:
    for pattern in patterns:
        if matches(pattern, image):
            text = f"The policy '{policy.name}' allows {image}: {pattern}."
            return Reason("codespace.policy.image", Effect.ALLOW, text)
    return Reason("codespace.policy.image_refused", Effect.DENY, f"The policy '{policy.name}' does not allow {image}.")


def refusal_of(decision: Decision, policies: Collection[CodespacePolicy], organization: str) -> Finding:
    """Why a launch is refused: the first image that does not fit, and what would."""
    reason = next(each for each in decision.trail if each.effect is Effect.DENY)
    listed = [pattern for policy in policies for pattern in policy.allowed_images or ()]
    some = f"one of {', '.join(listed[:_SHOWN_PATTERNS])}" if listed else "none"
    more = " and others" if len(listed) > _SHOWN_PATTERNS else ""
    return Finding(
        code="codespace.policy_image",
        sentence=f"{organization}: {reason.text}",
        fixer=Fixer.ORGANIZATION_OWNER,
        next_step=f"Use an image that the organization allows ({some}{more}), or ask an owner of {organization}.",
        evidence={"rule": reason.rule},
    )


def option_policies(policies: Collection[CodespacePolicy]) -> tuple[OptionPolicy, ...]:
    """Those that say what of its host a container may have."""
    return tuple(
        OptionPolicy(each.name, frozenset(map(parse_host_option, each.allowed_options)))
        for each in policies
        if each.allowed_options is not None
    )


def longest_of(policies: Collection[CodespacePolicy], server: TimeLimits) -> TimeLimits:
    """The longest times that the server and all policies allow (policy 1)."""
    idle = [each.idle_timeout_max_minutes for each in policies if each.idle_timeout_max_minutes is not None]
    kept = [each.retention_max_minutes for each in policies if each.retention_max_minutes is not None]
    return TimeLimits(
        idle_minutes=min([server.idle_minutes, *idle]), retention_minutes=min([server.retention_minutes, *kept])
    )


@dataclass(frozen=True, slots=True)
class CodespaceCounts:
    """How many codespaces of the organization's repositories there are: one user's, and all."""

    of_user: int
    of_all: int


def require_room(policies: Collection[CodespacePolicy], counts: CodespaceCounts, organization: str) -> None:
    """Raises LimitReached if a policy allows no further codespace."""
    for policy in policies:
        for most, count, whose in (
            (policy.max_codespaces_per_user, counts.of_user, "each user"),
            (policy.max_codespaces, counts.of_all, "all users together"),
        ):
            if most is not None and count >= most:
                raise LimitReached(
                    f"The policy '{policy.name}' of {organization} allows {whose} {most} codespaces; there are {count}.",
                    code="codespace.policy_limit",
                    remedy=f"Delete one of {organization}'s repositories that is not needed, or ask an owner of it.",
                )
