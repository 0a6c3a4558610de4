"""Every page of the console: one line a page. Screenshots, the tests with a real browser and those of queries walk this table.

`values` fill the parameters of a path for which `pictured.py` has no value of the parameter's own name, or not the one that is
meant: texts in which its values stand as `{word}`.
"""

from dataclasses import dataclass, field

_PACKAGE = "/packages/{owner}/{name:path}"
_ONE = {"name": "ONE"}
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
    press: str = ""  # the button that is pressed first, in a real browser
    until: str = ""  # what it is waited for then


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
    Shown("codespaces", "/codespaces"),
    Shown("codespace-new", "/codespaces/new", query="repo=acme/web"),
    Shown("codespace", "/codespaces/{name}"),
    Shown("codespace-failed", "/codespaces/{name}", {"name": "{failed}"}),
    Shown("codespace-provisioning", "/codespaces/{name}", {"name": "{provisioning}"}),
    Shown("codespace-change", "/codespaces/{name}/change"),
    Shown("codespace-delete", "/codespaces/{name}/delete"),
    Shown("codespace-terminal", "/codespaces/{name}/terminal", {"name": "{stopped}"}),
    Shown("registries", "/registries"),
    Shown("registry-new", "/registries/new"),
    Shown("registry-delete", "/registries/{prefix}/delete", {"prefix": "GHCR"}),
    Shown("registry-replace", "/registries/{prefix}/replace", {"prefix": "GHCR"}),
    Shown("registry-repositories", "/registries/{prefix}/repositories", {"prefix": "GHCR"}),
    Shown("secrets", "/settings/secrets"),
    Shown("secret-new", "/settings/secrets/new"),
    Shown("secret", "/settings/secrets/{name}", _ONE),
    Shown("secret-delete", "/settings/secrets/{name}/delete", _ONE),
    Shown("secret-repositories", "/settings/secrets/{name}/repositories", _ONE),
    Shown("organization-registries", "/orgs/{org}/settings/registries"),
    Shown("organization-registry-new", "/orgs/{org}/settings/registries/new"),
    Shown("organization-registry-delete", "/orgs/{org}/settings/registries/{prefix}/delete", {"prefix": "ACR"}),
    Shown("organization-registry-replace", "/orgs/{org}/settings/registries/{prefix}/replace", {"prefix": "ACR"}),
    Shown(
        "organization-registry-repositories", "/orgs/{org}/settings/registries/{prefix}/repositories", {"prefix": "ACR"}
    ),
    Shown("organization-secrets", "/orgs/{org}/settings/secrets"),
    Shown("organization-secret-new", "/orgs/{org}/settings/secrets/new"),
    Shown("organization-secret", "/orgs/{org}/settings/secrets/{name}", _ONE),
    Shown("organization-secret-delete", "/orgs/{org}/settings/secrets/{name}/delete", _ONE),
    Shown("organization-secret-repositories", "/orgs/{org}/settings/secrets/{name}/repositories", _ONE),
    Shown("repository", "/{owner}/{repo}"),
    Shown("repository-registries", "/{owner}/{repo}/settings/registries"),
    Shown("repository-registry-new", "/{owner}/{repo}/settings/registries/new"),
    Shown("repository-registry-delete", "/{owner}/{repo}/settings/registries/{prefix}/delete", {"prefix": "QUAY"}),
    Shown("repository-registry-replace", "/{owner}/{repo}/settings/registries/{prefix}/replace", {"prefix": "QUAY"}),
    Shown("repository-secrets", "/{owner}/{repo}/settings/secrets"),
    Shown("repository-secret-new", "/{owner}/{repo}/settings/secrets/new"),
    Shown("repository-secret", "/{owner}/{repo}/settings/secrets/{name}", _ONE),
    Shown("repository-secret-delete", "/{owner}/{repo}/settings/secrets/{name}/delete", _ONE),
    Shown("doctor", "/doctor", query="repo=acme/web&image=ghcr.io/acme/dev:1"),
    Shown(
        "doctor-finding", "/doctor", query="repo=acme/web&image=ghcr.io/acme/dev:1", press="Examine", until=".finding"
    ),
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
    Shown("site-user-suspend", "/site/users/{username}/suspend", viewer=ADMIN),
    Shown("site-user-unsuspend", "/site/users/{username}/unsuspend", {"username": "dennis"}, viewer=ADMIN),
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
    "/codespaces/{name}/log": "plain text",
    "/codespaces/{name}/log/events": "events for the script of the codespace's page",
    "/login/provider": "leads on to the provider",
    "/login/provider/answer": "leads on, or says why not: test_identity.py",
}
