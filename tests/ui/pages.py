"""Every page of the console: one line a page. Screenshots, the tests with a real browser and those of queries walk this table.

`values` fill the parameters of a path for which `pictured.py` has no value of the parameter's own name, or not the one that is
meant: texts in which its values stand as `{word}`.
"""

from dataclasses import dataclass, field

_PACKAGE = "/packages/{owner}/{name:path}"
_TOOLS = {"name": "tools/dev"}
OWNER, ADMIN, NOBODY = "octo", "admin", ""


@dataclass(frozen=True)
class Shown:
    """A page: the name of its pictures, its path as in the table of routes, and who looks at it."""

    name: str
    path: str
    values: dict[str, str] = field(default_factory=dict)
    query: str = ""
    viewer: str = OWNER
    status: int = 200


PAGES: tuple[Shown, ...] = (
    Shown("login", "/login", viewer=NOBODY),
    Shown("invitation", "/login/invitation/{value}", {"value": "{invitation}"}, viewer=NOBODY),
    Shown("identity-refused", "/login/provider/answer", viewer=NOBODY, status=401),
    Shown("no-page", "/{path}", {"path": "nowhere"}, status=404),
    Shown("account", "/settings/account"),
    Shown("sessions", "/settings/sessions"),
    Shown("sessions-end", "/settings/sessions/end"),
    Shown("tokens", "/settings/tokens"),
    Shown("token-new", "/settings/tokens/new"),
    Shown("token-revoke", "/settings/tokens/{id}/revoke"),
    Shown("notifications", "/settings/notifications"),
    Shown("doctor", "/doctor", query="repo=acme/web&image=ghcr.io/acme/dev:1"),
    Shown("organization", "/orgs/{org}"),
    Shown("people", "/orgs/{org}/people"),
    Shown("person-remove", "/orgs/{org}/people/{username}/remove"),
    Shown("teams", "/orgs/{org}/teams"),
    Shown("team", "/orgs/{org}/teams/{team_slug}"),
    Shown("team-repositories", "/orgs/{org}/teams/{team_slug}/repositories"),
    Shown("team-delete", "/orgs/{org}/teams/{team_slug}/delete"),
    Shown("organization-codespaces", "/orgs/{org}/codespaces"),
    Shown("organization-codespace-delete", "/orgs/{org}/codespaces/{username}/{name}/delete", {"username": "octo"}),
    Shown("policies", "/orgs/{org}/settings/policies"),
    Shown("policy-new", "/orgs/{org}/settings/codespace-policies"),
    Shown("policy", "/orgs/{org}/settings/codespace-policies/{policy_name}"),
    Shown("policy-delete", "/orgs/{org}/settings/codespace-policies/{policy_name}/delete"),
    Shown("audit", "/orgs/{org}/audit"),
    Shown("site", "/site", viewer=ADMIN),
    Shown("site-users", "/site/users", viewer=ADMIN),
    Shown("site-organizations", "/site/organizations", viewer=ADMIN),
    Shown("packages", "/packages"),
    Shown("packages-of-organization", "/orgs/{org}/packages"),
    Shown("packages-of-user", "/users/{login}/packages", {"login": "octo"}),
    Shown("packages-deleted", "/packages/deleted"),
    Shown("package", f"{_PACKAGE}", _TOOLS),
    Shown("package-version", f"{_PACKAGE}/-/versions/{{id}}", {**_TOOLS, "id": "{version}"}),
    Shown("package-version-delete", f"{_PACKAGE}/-/versions/{{id}}/delete", {**_TOOLS, "id": "{version}"}),
    Shown("package-settings", f"{_PACKAGE}/-/settings", _TOOLS),
    Shown("package-visibility", f"{_PACKAGE}/-/settings/visibility/{{visibility}}", {**_TOOLS, "visibility": "public"}),
    Shown("package-inherit", f"{_PACKAGE}/-/settings/inherit", _TOOLS),
    Shown("package-access", f"{_PACKAGE}/-/access", _TOOLS),
    Shown("package-codespaces", f"{_PACKAGE}/-/codespaces", _TOOLS, query="q=a"),
    Shown("package-workflows", f"{_PACKAGE}/-/workflows", _TOOLS, query="q=a"),
    Shown("package-explain", f"{_PACKAGE}/-/explain", _TOOLS, query="who=ada"),
    Shown("package-delete", f"{_PACKAGE}/-/delete", _TOOLS),
    Shown("package-restore", f"{_PACKAGE}/-/restore", {"name": "retired"}),
)

# Paths of GET that show no page of their own, and why.
EXCUSED: dict[str, str] = {
    "/": "leads on",
    "/settings": "leads on",
    "/login/provider": "leads on to the provider",
    "/login/provider/answer": "leads on, or says why not: test_identity.py",
}
