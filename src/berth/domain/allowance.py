"""What the site's administrator lets containers have of their host, narrowed by an organization's owners (L4, L6). Pure.

Policy, in evaluation order:
1. A launch for which something stands against all of it gets none of it: a fork's pull request, whose code is a stranger's.
2. What the setting DEV_CONTAINER_ALLOWED does not name is refused.
3. What a policy of the organization leaves out, if it says something of it, is refused; of several policies all count.
4. All else is allowed. Nothing implies anything else.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from berth.domain.finding import Finding, Fixer
from berth.domain.host_option import OPTIONS_LABEL, HostOption, parse_host_option
from berth.domain.jsonc import printable
from berth.domain.problem import Invalid

SETTING = "DEV_CONTAINER_ALLOWED"


@dataclass(frozen=True, slots=True)
class OptionPolicy:
    """A policy of the organization that says which of what the site allows its codespaces may have."""

    name: str
    options: frozenset[HostOption]


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionRefusal:
    """Why one thing is not allowed: the end of a sentence, the problem's code, who else can allow it."""

    why: str
    code: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowances:
    """What the containers of one launch may have."""

    site: frozenset[HostOption] = frozenset()
    policies: tuple[OptionPolicy, ...] = ()
    organization: str = ""
    withheld_reason: str = ""  # why there is none of it, whatever the rest says

    def refusal_of(self, option: HostOption) -> OptionRefusal | None:
        """None: it is allowed (policy 4)."""
        if self.withheld_reason:
            return OptionRefusal(
                why=self.withheld_reason,
                code="devcontainer.not_allowed",
                remedy="Create a codespace of a branch of the repository itself.",
            )
        if option not in self.site:
            return OptionRefusal(
                why=f"the setting {SETTING} of this server does not name it (L4)",
                code="devcontainer.not_allowed",
                remedy=f"Remove it, or ask the administrator of this server to add {option} to {SETTING}.",
            )
        for policy in self.policies:
            if option not in policy.options:
                return OptionRefusal(
                    why=f"the policy '{policy.name}' of {self.organization} leaves it out (L4, L6)",
                    code="codespace.policy_option",
                    remedy=f"Remove it, or ask an owner of {self.organization} to add {option} to 'allowed_options'.",
                )
        return None


NO_ALLOWANCES = Allowances()
_UNKNOWN = OptionRefusal(
    why="this version of Berth does not know it",
    code="devcontainer.not_allowed",
    remedy="ask the administrator of this server.",
)


def parse_allowed_options(tokens: Collection[str], site: Collection[HostOption]) -> tuple[str, ...]:
    """A policy's own list, each in its one form. Raises Invalid: owners choose among what the site allows."""
    options = dict.fromkeys(map(parse_host_option, tokens))
    for option in options:
        if option not in site:
            raise Invalid(
                f"This server does not allow {option}, so no policy can: the setting {SETTING} does not name it.",
                field="allowed_options",
                code="codespace.policy_options",
                remedy="Leave it out, or ask the administrator of this server.",
            )
    return tuple(map(str, options))


def find_withdrawn(
    labels: Mapping[str, str], allowances: Allowances, what: str = "The codespace's container"
) -> Finding | None:
    """Why a container that exists may not start again: it was given something that is not allowed any more."""
    for token in filter(None, labels.get(OPTIONS_LABEL, "").split(",")):
        try:
            refusal = allowances.refusal_of(parse_host_option(token))
        except Invalid:
            refusal = _UNKNOWN
        if refusal is not None:
            return Finding(
                code="codespace.option_withdrawn",
                sentence=f"{what} has {printable(token)}, which it may not have any more: {refusal.why}.",
                fixer=Fixer.DEVELOPER,
                next_step="Rebuild it without: remove what asks for it, push that, berth codespace rebuild NAME. "
                f"Otherwise: {refusal.remedy}",
                evidence={"rule": "L4", "option": printable(token)},
            )
    return None
