"""What an organization's owners decide: who may have codespaces, what those may be, how new packages are."""

from starlette.responses import Response

from berth.domain.codespace_access import AccessVisibility
from berth.domain.codespace_policy import CodespacePolicy
from berth.domain.problem import Invalid, LimitReached, NotFound, Problem
from berth.domain.repository import Visibility
from berth.domain.whole_number import parse_whole_number
from berth.ui.app import Route
from berth.ui.console import ORGANIZATION
from berth.ui.form import Form
from berth.ui.organization import render
from berth.ui.page import Page

_POLICIES = f"{ORGANIZATION}/settings/policies"
_POLICY = f"{ORGANIZATION}/settings/codespace-policies"
_NUMBERS = ("idle_timeout_max_minutes", "retention_max_minutes", "max_codespaces_per_user", "max_codespaces")
_ACCESS = (
    (AccessVisibility.ALL_MEMBERS, "All members", "Whoever is a member of the organization."),
    (
        AccessVisibility.ALL_AND_COLLABORATORS,
        "All members and outside collaborators",
        "Also who has a role on a repository by name.",
    ),
    (AccessVisibility.SELECTED_MEMBERS, "Selected people", "Only those on the list below."),
    (AccessVisibility.DISABLED, "Nobody", "Codespaces that run go on until they stop."),
)


def _at(page: Page) -> str:
    return f"/orgs/{page.path('org')}/settings/policies"


async def show_all(page: Page, problem: Problem | None = None) -> Response:
    org = page.path("org")
    policies = await page.services.codespace_policies.list_all(page.user, org)
    return await render(
        page,
        "policies.html",
        problem=problem,
        policies=policies,
        access=await page.services.codespace_access.get(page.user, org),
        choices=_ACCESS,
        package_policy=await page.services.package_policies.get(page.user, org),
        visibilities=list(Visibility),
    )


async def set_access(page: Page) -> Response:
    names = page.form.raw("usernames").replace(",", " ").split()
    if not page.form.has("visibility"):
        nothing = Invalid("Choose who may have codespaces.", field="visibility", code="request.invalid")
        return await show_all(page, nothing)
    try:
        await page.services.codespace_access.set_visibility(
            page.user, page.path("org"), page.form.text("visibility"), names
        )
    except Invalid as problem:
        return await show_all(page, problem)
    return page.redirect(_at(page), "Who may have codespaces was changed.")


async def set_package_policy(page: Page) -> Response:
    await page.services.package_policies.change(
        page.user,
        page.path("org"),
        inherit_access_default=page.form.has("inherit_access_default"),
        creatable_visibilities=page.form.all("creatable_visibilities"),
    )
    return page.redirect(_at(page), "The policy for packages was changed.")


async def new(page: Page) -> Response:
    await page.services.codespace_policies.list_all(page.user, page.path("org"))  # for owners
    return await _show_form(page, CodespacePolicy(name=""), is_new=True)


async def edit(page: Page) -> Response:
    policy = await page.services.codespace_policies.get(page.user, page.path("org"), page.path("policy_name"))
    return await _show_form(page, policy, is_new=False)


async def _show_form(page: Page, policy: CodespacePolicy, *, is_new: bool, problem: Problem | None = None) -> Response:
    return await render(page, "policy.html", problem=problem, policy=policy, is_new=is_new)


async def create(page: Page) -> Response:
    """A new one never replaces one that is there."""
    name = page.form.text("name")
    try:
        await page.services.codespace_policies.get(page.user, page.path("org"), name)
    except NotFound:
        return await _put(page, name, is_new=True)
    text = f"There is a policy '{name}' already."
    problem = Invalid(text, field="name", reason="already_exists", code="codespace.policy_name")
    return await _show_form(page, CodespacePolicy(name=name), is_new=True, problem=problem)


async def change(page: Page) -> Response:
    return await _put(page, page.path("policy_name"), is_new=False)


async def _put(page: Page, name: str, *, is_new: bool) -> Response:
    try:
        made = await page.services.codespace_policies.put(page.user, page.path("org"), _read(page.form, name))
    except (Invalid, LimitReached) as problem:
        return await _show_form(page, CodespacePolicy(name=name), is_new=is_new, problem=problem)
    return page.redirect(_at(page), f"The policy {made.name} holds from now on.")


def _read(form: Form, name: str) -> CodespacePolicy:
    """What is left empty, the policy says nothing of. Raises Invalid."""
    return CodespacePolicy(
        name=name,
        allowed_images=_lines(form, "allowed_images"),
        allowed_options=_lines(form, "allowed_options"),
        **{field: _number(form, field) for field in _NUMBERS},
    )


def _lines(form: Form, field: str) -> tuple[str, ...] | None:
    """A line each; None unless the box beside it says that there is a list, which may be empty."""
    return tuple(form.raw(field).split()) if form.has(f"has_{field}") else None


def _number(form: Form, field: str) -> int | None:
    text = form.text(field)
    if not text:
        return None
    number = parse_whole_number(text)
    if number is None:
        raise Invalid("That is no whole number.", field=field, code="codespace.policy_number")
    return number


async def ask_delete(page: Page) -> Response:
    policy = await page.services.codespace_policies.get(page.user, page.path("org"), page.path("policy_name"))
    return await page.confirm(
        title=f"Delete the policy {policy.name}",
        text="What it restricts is free again from then on, unless another policy restricts it too.",
        action=f"/orgs/{page.path('org')}/settings/codespace-policies/{policy.name}/delete",
        button="Delete the policy",
        back=_at(page),
    )


async def delete(page: Page) -> Response:
    await page.services.codespace_policies.delete(page.user, page.path("org"), page.path("policy_name"))
    return page.redirect(_at(page), "The policy was deleted.")


ROUTES: tuple[Route, ...] = (
    Route("GET", _POLICIES, show_all),
    Route("POST", f"{_POLICIES}/codespace-access", set_access),
    Route("POST", f"{_POLICIES}/packages", set_package_policy),
    Route("GET", _POLICY, new),
    Route("POST", _POLICY, create),
    Route("GET", _POLICY + "/{policy_name}", edit),
    Route("POST", _POLICY + "/{policy_name}", change),
    Route("GET", _POLICY + "/{policy_name}/delete", ask_delete),
    Route("POST", _POLICY + "/{policy_name}/delete", delete),
)
