"""Where in the console a finding is mended, as far as who reads it may: the buttons beside it."""

from urllib.parse import quote, urlencode

from berth.domain.account import OrganizationRole
from berth.domain.finding import Finding, Fixer
from berth.domain.image_reference import parse_image_reference
from berth.domain.package import find_package_name
from berth.domain.package_access import PackageAction
from berth.domain.problem import Invalid, NotFound
from berth.domain.pull_finding import WITHHELD
from berth.domain.secret import SecretLevel
from berth.services.package_access import PackagePlace
from berth.ui.organization import find_own_role
from berth.ui.package_place import path_of
from berth.ui.page import Page
from berth.ui.registry_credential import may_keep, path_of_login

Step = tuple[str, str]  # address, words
_ABOUT_CREDENTIALS = ("image.", "credential.", "ecr.", "registry.")
_NOT_SHARED = "credential.not_shared"
_ANOTHER_LOGIN_HELPS = frozenset(
    {"image.unauthorized", "image.token_expired", "image.denied"}
    | {f"ecr.{word}" for word in ("key_unknown", "secret_wrong", "access_denied", "keys_expired", "key_malformed")}
    | {"ecr.token_expired", "ecr.refused"}
)


async def next_steps(
    page: Page, finding: Finding, repository: str, image: str, *, back: str, is_own: bool = True
) -> list[Step]:
    """The likeliest first. `back` is the page that shows them, and to which one returns when it is mended.

    `is_own`: it is about the reader's own codespaces, not about another person's.
    """
    code = finding.code
    if code == "codespace.policy_image":
        owner = repository.partition("/")[0]
        is_owner = await find_own_role(page, owner) is OrganizationRole.ADMIN
        return [(f"/orgs/{quote(owner)}/settings/policies", "The organization's policies")] * is_owner
    if code.startswith("package."):
        return await _steps_of_package(page, repository, image)
    if not code.startswith(_ABOUT_CREDENTIALS):
        return []
    steps = await _steps_of_login(page, finding, repository, back, is_own=is_own)
    if is_own:
        steps.append((f"/registries?{urlencode({'repo': repository})}", "Registries of this repository's codespaces"))
    return steps


async def _steps_of_login(page: Page, finding: Finding, repository: str, back: str, *, is_own: bool) -> list[Step]:
    code, host = finding.code, finding.evidence.get("host", "")
    if code == "image.credential_missing" and host and is_own and WITHHELD not in finding.evidence:
        given = urlencode({"server": host, "repo": repository, "return_to": back})
        return [(f"/registries/new?{given}", f"Add a login to {host}")]
    helps = code in _ANOTHER_LOGIN_HELPS or code.startswith("credential.")
    level, prefix = finding.evidence.get("level", ""), finding.evidence.get("prefix")
    if not helps or finding.fixer == Fixer.SITE_ADMIN or level not in list(SecretLevel) or prefix is None:
        return []
    if (not is_own and level == SecretLevel.USER) or not await may_keep(page, SecretLevel(level), repository):
        return []
    of_level = SecretLevel(level)
    if code == _NOT_SHARED:
        return [(path_of_login(of_level, prefix, repository, "repositories"), "Choose its repositories")]
    path = path_of_login(of_level, prefix, repository, "replace")
    return [(f"{path}?{urlencode({'return_to': back})}", "Replace the login")]


async def _steps_of_package(page: Page, repository: str, image: str) -> list[Step]:
    try:
        name = find_package_name(parse_image_reference(image).path)
        if name is None:
            return []
        actions = await page.services.packages.list_actions(page.user, PackagePlace(name))
    except (Invalid, NotFound):
        return []
    if PackageAction.ADMINISTER not in actions:
        return []
    return [(f"{path_of(name)}/-/codespaces?{urlencode({'q': repository})}", "Codespaces access of the package")]
