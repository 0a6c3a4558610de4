"""Who gets which status from every operation of the REST API: the table that test_rest_routes.py asks for, call by call.

A new route needs three lines, and no more: how it succeeds, in ROWS of tests/rest/test_operations.py; who may call it, in ROWS
below; and in docs/api.md, whose cell "who; scope" is `Row.cell`: these three are compared with each other. To add a row:

1. Choose the `Who` that says for each person what the route answers, or write one: its `words` are those of docs/api.md.
2. Name the scopes that a personal token needs, as "repo or public_repo", "write:packages and read:org".
3. Say what the three tokens get that are no person's: `tokens`, if that is not REFUSED; `public` at a public place.

The statuses come from docs/api.md, DESIGN section 2 and GITHUB_API of the references, not from what the server happens to answer.

A cell is a status; `ok`: the one with which the operation succeeds; `none`: the same with an empty list.
A key is `METHOD path`, where `{package}` is a package below /orgs and /users, and what stands behind ` # ` tells two rows of
one operation apart. What is asked for belongs to acme or to octo, who owns acme: see rest_world.py.
"""

from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any

# PERSONS have personal tokens with every scope (but site_admin, which only `site` has):
#   stranger  has nothing to do with acme and octo
#   outsider  administers acme's repositories by name, and octo's package, and is no member of acme
#   reader    is a member of acme: reads its private repository, and what inherits access from that; read on octo's package
#   writer    is a member, too, may push there; write on the packages
#   admin     is a member, too, administers the repositories and packages by name; maintains the team core
#   owner     is octo, who owns acme
#   site      is the site administrator, who has no role anywhere
# TOKENS:
#   codespace is the token of octo's codespace of acme/web
#   workflow  is one that octo made for acme/web, with contents: write and packages: write
#   lacking   is octo's with every scope but those that the row names (site's, where `site` may); of "a and b" one of them
PERSONS = ("anonymous", "stranger", "outsider", "reader", "writer", "admin", "owner", "site")
TOKENS = ("codespace", "workflow", "lacking")
CALLERS = (*PERSONS, *TOKENS)
REFUSED = "403 403 403"


@dataclass(frozen=True)
class Who:
    """A cell of docs/api.md in words, and for each of PERSONS; `public`: the same where the place is a public one."""

    words: str
    cells: str
    public: str = ""


@dataclass(frozen=True)
class Row:
    """One operation, or one way of calling it."""

    who: Who
    scope: str = ""
    tokens: str = REFUSED
    _: KW_ONLY
    public: str = REFUSED  # the tokens at the public place
    but: dict[str, str] = field(default_factory=dict)  # by caller: other cells than those of `who`, at both places
    body: dict[str, Any] | None = None  # instead of the operation's; `{caller}` is the caller's login
    values: dict[str, str] = field(default_factory=dict)  # of the path's parameters, likewise
    after: str = ""  # an operation that the owner must have called before

    @property
    def lacks(self) -> list[list[str]]:
        """The scopes that a token lacks: all of "a or b" at once, of "a and b" one at a time."""
        return [part.split(" or ") for part in self.scope.split(" and ")]

    @property
    def cell(self) -> str:
        """What docs/api.md says."""
        scopes = " and ".join(" or ".join(f"`{one}`" for one in each) for each in self.lacks)
        if "{scope}" in self.who.words:
            return self.who.words.format(scope=scopes)
        return f"{self.who.words}; {scopes}" if self.scope else self.who.words

    def expected(self, place: str) -> dict[str, str]:
        """By caller."""
        persons, tokens = self.who.cells, self.tokens
        if place == PUBLIC:
            persons, tokens = self.who.public, self.public
        return dict(zip(CALLERS, [*persons.split(), *tokens.split()], strict=True)) | self.but


PRIVATE, PUBLIC = "private", "public"  # places: acme/web and its packages, acme/site and a public package

# fmt: off
#                                   anon strg outs read writ admn ownr site
ANYBODY = Who("anybody",           "ok   ok   ok   ok   ok   ok   ok   ok")
ANY_TOKEN = Who("any token",       "401  ok   ok   ok   ok   ok   ok   ok")
NO_JOB = Who("any token but a workflow's", ANY_TOKEN.cells)
YOU = Who("you",                   "401  ok   ok   ok   ok   ok   ok   ok")
YOURS = Who("you",                 "401  404  404  404  404  404  ok   404")  # what is named is octo's
SITE = Who("site administrators",  "401  403  403  403  403  403  403  ok")
# Of an organization. That it is there is no secret.
MEMBERS = Who("members",           "401  404  404  ok   ok   ok   ok   404")
OWNERS = Who("owners",             "401  404  404  403  403  403  ok   404")
KEEPERS = Who("owners and maintainers", "401  404  404  403  403  ok   ok   404")
CREATORS = Who("members",          "401  403  403  ok   ok   ok   ok   403")
SEEN_BY_MEMBERS = Who("any token; without {scope}, or for others than members: none",
                                   "401  none none ok   ok   ok   ok   none")
REMOVERS = Who("owners; {scope}; to leave: members, `write:org`", OWNERS.cells)
LEAVERS = Who("owners; `admin:org`; to leave: members, {scope}",
                                   "401  404  404  ok   ok   ok   409  404")  # octo is the last owner
# Of a repository.
READERS = Who("anybody who may read; what is not public: {scope}",
                                   "404  404  ok   ok   ok   ok   ok   404",
                                   "ok   ok   ok   ok   ok   ok   ok   ok")
WHO_READ = Who("who may read",     "401  404  ok   ok   ok   ok   ok   404",
                                   "401  ok   ok   ok   ok   ok   ok   ok")
WHO_CREATE = Who("who may create", WHO_READ.cells, WHO_READ.public)
PUSHERS = Who("who may push",      "401  404  ok   403  ok   ok   ok   404",
                                   "401  403  ok   403  ok   ok   ok   403")
PUSHERS_OR_AUTHOR = Who("its author, and who may push", PUSHERS.cells, PUSHERS.public)  # the author is octo
PUSHERS_TO_HEAD = Who("who may push to the head", PUSHERS.cells, PUSHERS.public)
FORKERS = Who("who may read a public one", "401  404  403  403  403  403  403  404", WHO_READ.public)
ADMINS = Who("administrators",     "401  404  ok   403  403  ok   ok   404",
                                   "401  403  ok   403  403  ok   ok   403")
SEE_TEAMS = Who("administrators; {scope}; others than members see none", ADMINS.cells, ADMINS.public)
ADMINS_OR_SELF = Who("administrators, and who may read about himself", ADMINS.cells, ADMINS.public)
SELF = Who(ADMINS_OR_SELF.words, WHO_READ.cells, WHO_READ.public)
# Of a package.
PULLERS = Who("who may pull", WHO_READ.cells, WHO_READ.public)
PACKAGE_ADMINS = Who("admins", ADMINS.cells, ADMINS.public)
LISTERS = Who("admins who may read it", ADMINS.cells, ADMINS.public)

_REPOSITORY = "/repos/{owner}/{repo}"
_PULL = f"{_REPOSITORY}/pulls/{{pull_number}}"
_PREBUILDS = f"{_REPOSITORY}/codespaces/prebuilds"
_TEAM = "/orgs/{org}/teams/{team_slug}"
_REPO = "repo or public_repo"
_ADMIN, _READ_ORG = "admin:org", "read:org"
_WRITE, _DELETE = "write:packages", "read:packages and delete:packages"

_SERVER_AND_ACCOUNTS = {
    "GET /":                                            Row(ANYBODY, "", "ok ok ok"),
    "GET /meta":                                        Row(ANYBODY, "", "ok ok ok"),
    "GET /versions":                                    Row(ANYBODY, "", "ok ok ok"),
    "GET /openapi.json":                                Row(ANYBODY, "", "ok ok ok"),
    "GET /rate_limit":                                  Row(ANYBODY, "", "ok ok ok"),
    "POST /graphql":                                    Row(ANY_TOKEN, "", "ok ok ok"),
    "GET /user":                                        Row(NO_JOB, "", "ok 403 ok"),
    "GET /user/orgs":                                   Row(YOU, "read:org or read:user"),
    "GET /users":                                       Row(ANYBODY, "", "ok ok ok"),
    "GET /users/{username}":                            Row(ANYBODY, "", "ok ok ok"),
    "GET /user/tokens":                                 Row(YOU, "user"),
    "POST /user/tokens":                                Row(YOU, "user"),
    "DELETE /user/tokens/{id}":                         Row(YOURS, "user"),
    "GET /user/audit-log":                              Row(YOU, "user"),
    "POST /admin/users":                                Row(SITE, "site_admin"),
    "POST /admin/users/{login}/authorizations":         Row(SITE, "site_admin"),
    "POST /admin/users/{login}/invitation":             Row(SITE, "site_admin"),
    "POST /admin/organizations":                        Row(SITE, "site_admin"),
    "PUT /users/{username}/suspended":                  Row(SITE, "site_admin"),
    "DELETE /users/{username}/suspended":               Row(SITE, "site_admin"),
}
_ORGANIZATIONS = {
    "GET /orgs/{org}":                                  Row(ANYBODY, "", "ok ok ok"),
    "GET /orgs/{org}/members":                          Row(SEEN_BY_MEMBERS, _READ_ORG, "none none none"),
    "GET /orgs/{org}/members/{username}":               Row(MEMBERS, _READ_ORG),
    "DELETE /orgs/{org}/members/{username}":            Row(REMOVERS, _ADMIN),
    "DELETE /orgs/{org}/members/{username} # himself":  Row(LEAVERS, "write:org", values={"username": "{caller}"}),
    "GET /orgs/{org}/memberships/{username}":           Row(MEMBERS, _READ_ORG),
    "PUT /orgs/{org}/memberships/{username}":           Row(OWNERS, _ADMIN),
    "DELETE /orgs/{org}/memberships/{username}":        Row(REMOVERS, _ADMIN),
    "DELETE /orgs/{org}/memberships/{username} # himself": Row(LEAVERS, "write:org", values={"username": "{caller}"}),
    "GET /orgs/{org}/teams":                            Row(MEMBERS, _READ_ORG),
    "POST /orgs/{org}/teams":                           Row(OWNERS, _ADMIN),
    f"GET {_TEAM}":                                     Row(MEMBERS, _READ_ORG),
    f"PATCH {_TEAM}":                                   Row(OWNERS, _ADMIN),
    f"DELETE {_TEAM}":                                  Row(OWNERS, _ADMIN),
    f"GET {_TEAM}/members":                             Row(MEMBERS, _READ_ORG),
    f"GET {_TEAM}/memberships/{{username}}":            Row(MEMBERS, _READ_ORG),
    f"PUT {_TEAM}/memberships/{{username}}":            Row(KEEPERS, "write:org"),
    f"DELETE {_TEAM}/memberships/{{username}}":         Row(KEEPERS, "write:org"),
    f"GET {_TEAM}/repos":                               Row(MEMBERS, _READ_ORG),
    f"PUT {_TEAM}/repos/{{owner}}/{{repo}}":            Row(OWNERS, _ADMIN),
    f"DELETE {_TEAM}/repos/{{owner}}/{{repo}}":         Row(OWNERS, _ADMIN),
    "GET /orgs/{org}/packages/policy":                  Row(OWNERS, _ADMIN),
    "PUT /orgs/{org}/packages/policy":                  Row(OWNERS, _ADMIN),
    "GET /orgs/{org}/audit-log":                        Row(OWNERS, _ADMIN),
    "PUT /orgs/{org}/codespaces/access":                Row(OWNERS, _ADMIN),
    "POST /orgs/{org}/codespaces/access/selected_users": Row(OWNERS, _ADMIN, after="PUT /orgs/{org}/codespaces/access"),
    "DELETE /orgs/{org}/codespaces/access/selected_users": Row(OWNERS, _ADMIN, after="PUT /orgs/{org}/codespaces/access"),
    "GET /orgs/{org}/codespaces/policies":              Row(OWNERS, _ADMIN),
    "GET /orgs/{org}/codespaces/policies/{policy_name}": Row(OWNERS, _ADMIN),
    "PUT /orgs/{org}/codespaces/policies/{policy_name}": Row(OWNERS, _ADMIN),
    "DELETE /orgs/{org}/codespaces/policies/{policy_name}": Row(OWNERS, _ADMIN),
    "GET /orgs/{org}/codespaces":                       Row(OWNERS, _ADMIN),
    "GET /orgs/{org}/members/{username}/codespaces":    Row(OWNERS, _ADMIN),
    "DELETE /orgs/{org}/members/{username}/codespaces/{name}":    Row(OWNERS, _ADMIN),
    "POST /orgs/{org}/members/{username}/codespaces/{name}/stop": Row(OWNERS, _ADMIN),
}
_REPOSITORIES = {
    "GET /user/repos":                                  Row(ANY_TOKEN, "", "ok ok ok"),
    "POST /user/repos":                                 Row(YOU, _REPO),
    "GET /orgs/{org}/repos":                            Row(ANYBODY, "", "ok ok ok"),
    "POST /orgs/{org}/repos":                           Row(CREATORS, _REPO),
    "GET /users/{username}/repos":                      Row(ANYBODY, "", "ok ok ok"),
    "GET /search/repositories":                         Row(ANYBODY, "", "ok ok ok"),
    f"GET {_REPOSITORY}":                               Row(READERS, "repo", "ok ok 404", public="ok ok ok"),
    f"PATCH {_REPOSITORY}":                             Row(ADMINS, _REPO),
    f"DELETE {_REPOSITORY}":                            Row(ADMINS, "delete_repo"),
    f"POST {_REPOSITORY}/transfer":                     Row(ADMINS, "repo", body={"new_owner": "{caller}"}),
    f"GET {_REPOSITORY}/collaborators":                 Row(PUSHERS, _REPO, "ok ok 404"),
    f"GET {_REPOSITORY}/collaborators/{{username}}":    Row(PUSHERS, _REPO, "ok ok 404"),
    f"PUT {_REPOSITORY}/collaborators/{{username}}":    Row(ADMINS, _REPO),
    f"DELETE {_REPOSITORY}/collaborators/{{username}}": Row(ADMINS_OR_SELF, _REPO),
    f"DELETE {_REPOSITORY}/collaborators/{{username}} # himself": Row(SELF, _REPO, values={"username": "{caller}"}),
    f"GET {_REPOSITORY}/collaborators/{{username}}/permission": Row(PUSHERS, _REPO, "ok ok 404"),
    f"GET {_REPOSITORY}/teams":                         Row(SEE_TEAMS, _REPO, but={"outsider": "none"}),
    f"POST {_REPOSITORY}/workflow-tokens":              Row(PUSHERS, _REPO),
    f"GET {_REPOSITORY}/contents":                      Row(READERS, "repo", "ok ok 404", public="ok ok ok"),
    f"GET {_REPOSITORY}/contents/{{path:path}}":        Row(READERS, "repo", "ok ok 404", public="ok ok ok"),
    f"PUT {_REPOSITORY}/contents/{{path:path}}":        Row(PUSHERS, _REPO, "ok 403 403"),
    f"GET {_REPOSITORY}/branches/{{branch:path}}":      Row(READERS, "repo", "ok ok 404", public="ok ok ok"),
    f"GET {_REPOSITORY}/forks":                         Row(READERS, "repo", "ok ok 404", public="ok ok ok"),
    f"POST {_REPOSITORY}/forks":                        Row(FORKERS, _REPO),
    f"GET {_REPOSITORY}/pulls":                         Row(READERS, "repo", "ok ok 404", public="ok ok ok"),
    f"POST {_REPOSITORY}/pulls":                        Row(PUSHERS_TO_HEAD, _REPO, after=f"PATCH {_PULL}"),
    f"GET {_PULL}":                                     Row(READERS, "repo", "ok ok 404", public="ok ok ok"),
    f"PATCH {_PULL}":                                   Row(PUSHERS_OR_AUTHOR, _REPO),
}
_OWN_SECRETS, _SECRETS, _ORG_SECRETS = (
    f"{base}/codespaces/secrets" for base in ("/user", _REPOSITORY, "/orgs/{org}")
)
_NAME, _SELECTED = "/{secret_name}", "/{secret_name}/repositories"
_SECRETS_AND_CODESPACES = {
    f"GET {_OWN_SECRETS}":                              Row(YOU, "codespace:secrets"),
    f"GET {_OWN_SECRETS}/public-key":                   Row(YOU, "codespace:secrets"),
    f"GET {_OWN_SECRETS}{_NAME}":                       Row(YOURS, "codespace:secrets"),
    f"PUT {_OWN_SECRETS}{_NAME}":                       Row(YOU, "codespace:secrets"),
    f"DELETE {_OWN_SECRETS}{_NAME}":                    Row(YOURS, "codespace:secrets"),
    f"GET {_OWN_SECRETS}{_SELECTED}":                   Row(YOURS, "codespace:secrets"),
    f"PUT {_OWN_SECRETS}{_SELECTED}":                   Row(YOURS, "codespace:secrets"),
    f"PUT {_OWN_SECRETS}{_SELECTED}/{{repository_id}}": Row(YOURS, "codespace:secrets"),
    f"DELETE {_OWN_SECRETS}{_SELECTED}/{{repository_id}}": Row(YOURS, "codespace:secrets"),
    f"GET {_SECRETS}":                                  Row(PUSHERS, "repo", "ok 403 403"),
    f"GET {_SECRETS}/public-key":                       Row(PUSHERS, "repo", "ok 403 403"),
    f"GET {_SECRETS}{_NAME}":                           Row(PUSHERS, "repo", "ok 403 403"),
    f"PUT {_SECRETS}{_NAME}":                           Row(ADMINS, "repo"),
    f"DELETE {_SECRETS}{_NAME}":                        Row(ADMINS, "repo"),
    f"GET {_ORG_SECRETS}":                              Row(OWNERS, _ADMIN),
    f"GET {_ORG_SECRETS}/public-key":                   Row(OWNERS, _ADMIN),
    f"GET {_ORG_SECRETS}{_NAME}":                       Row(OWNERS, _ADMIN),
    f"PUT {_ORG_SECRETS}{_NAME}":                       Row(OWNERS, _ADMIN),
    f"DELETE {_ORG_SECRETS}{_NAME}":                    Row(OWNERS, _ADMIN),
    f"GET {_ORG_SECRETS}{_SELECTED}":                   Row(OWNERS, _ADMIN),
    f"PUT {_ORG_SECRETS}{_SELECTED}":                   Row(OWNERS, _ADMIN),
    f"PUT {_ORG_SECRETS}{_SELECTED}/{{repository_id}}": Row(OWNERS, _ADMIN),
    f"DELETE {_ORG_SECRETS}{_SELECTED}/{{repository_id}}": Row(OWNERS, _ADMIN),
    f"GET {_REPOSITORY}/codespaces/registries":         Row(WHO_READ, "repo or codespace", "ok 403 403"),
    "POST /user/codespaces/registries/check":           Row(YOU, "codespace:secrets"),
    f"POST {_REPOSITORY}/codespaces/registries/check":  Row(ADMINS, "repo"),
    "POST /orgs/{org}/codespaces/registries/check":     Row(OWNERS, _ADMIN),
    f"POST {_REPOSITORY}/codespaces/doctor":            Row(WHO_READ, "repo or codespace", "ok 403 403"),
    "GET /user/codespaces":                             Row(YOU, "codespace"),
    "POST /user/codespaces":                            Row(WHO_READ, "codespace"),
    "GET /user/codespaces/{name}":                      Row(YOURS, "codespace"),
    "PATCH /user/codespaces/{name}":                    Row(YOURS, "codespace"),
    "DELETE /user/codespaces/{name}":                   Row(YOURS, "codespace"),
    "GET /user/codespaces/{name}/machines":             Row(YOURS, "codespace"),
    "POST /user/codespaces/{name}/start":               Row(YOURS, "codespace", after="POST /user/codespaces/{name}/stop"),
    "POST /user/codespaces/{name}/stop":                Row(YOURS, "codespace"),
    "POST /user/codespaces/{name}/heartbeat":           Row(YOURS, "codespace"),
    "POST /user/codespaces/{name}/rebuild":             Row(YOURS, "codespace"),
    "GET /user/codespaces/{name}/logs":                 Row(YOURS, "codespace"),
    "POST /user/codespaces/{name}/exec":                Row(YOURS, "codespace"),
    "POST /user/codespaces/{name}/exports":             Row(YOURS, "codespace"),
    "GET /user/codespaces/{name}/exports/{export_id}":  Row(YOURS, "codespace"),
    f"GET {_REPOSITORY}/codespaces":                    Row(WHO_READ, "codespace"),
    f"POST {_REPOSITORY}/codespaces":                   Row(WHO_READ, "codespace"),
    f"POST {_PULL}/codespaces":                         Row(WHO_READ, "codespace"),
    f"GET {_REPOSITORY}/codespaces/machines":           Row(WHO_READ, "codespace"),
    f"GET {_REPOSITORY}/codespaces/devcontainers":      Row(WHO_READ, "codespace"),
    f"GET {_REPOSITORY}/codespaces/new":                Row(WHO_CREATE, "codespace"),
    f"GET {_REPOSITORY}/codespaces/permissions_check":  Row(WHO_READ, "codespace"),
    f"GET {_PREBUILDS}":                                Row(PUSHERS, "repo"),
    f"POST {_PREBUILDS}":                               Row(ADMINS, "repo"),
    f"GET {_PREBUILDS}/{{prebuild_id}}":                Row(PUSHERS, "repo"),
    f"DELETE {_PREBUILDS}/{{prebuild_id}}":             Row(ADMINS, "repo"),
    f"POST {_PREBUILDS}/{{prebuild_id}}/runs":          Row(ADMINS, "repo"),
    f"GET {_PREBUILDS}/{{prebuild_id}}/logs":           Row(PUSHERS, "repo"),
}
_OF_PACKAGE = {
    "GET {package}":                                    Row(PULLERS, "read:packages", "ok ok 403", public="ok ok 403"),
    "PATCH {package}":                                  Row(PACKAGE_ADMINS, _WRITE),
    "DELETE {package}":                                 Row(PACKAGE_ADMINS, _DELETE),
    "POST {package}/restore":                           Row(PACKAGE_ADMINS, _WRITE, after="DELETE {package}"),
    "GET {package}/versions":                           Row(PULLERS, "read:packages", "ok ok 403", public="ok ok 403"),
    "GET {package}/versions/{package_version_id}":      Row(PULLERS, "read:packages", "ok ok 403", public="ok ok 403"),
    "DELETE {package}/versions/{package_version_id}":   Row(PACKAGE_ADMINS, _DELETE),
    "POST {package}/versions/{package_version_id}/restore": Row(
        PACKAGE_ADMINS, _WRITE, after="DELETE {package}/versions/{package_version_id}"
    ),
    "GET {package}/settings":                           Row(PACKAGE_ADMINS, _WRITE),
    "GET {package}/access":                             Row(PACKAGE_ADMINS, _WRITE),
    "GET {package}/collaborators":                      Row(PACKAGE_ADMINS, _WRITE),
    "PUT {package}/collaborators/{collaborator}":       Row(PACKAGE_ADMINS, _WRITE),
    "DELETE {package}/collaborators/{collaborator}":    Row(PACKAGE_ADMINS, _WRITE),
    "GET {package}/codespaces/repositories":            Row(PACKAGE_ADMINS, _WRITE),
    "PUT {package}/codespaces/repositories/{repository_id}":    Row(LISTERS, _WRITE),
    "DELETE {package}/codespaces/repositories/{repository_id}": Row(PACKAGE_ADMINS, _WRITE),
    "GET {package}/actions/repositories":               Row(PACKAGE_ADMINS, _WRITE),
    "PUT {package}/actions/repositories/{repository_id}":       Row(LISTERS, _WRITE),
    "DELETE {package}/actions/repositories/{repository_id}":    Row(PACKAGE_ADMINS, _WRITE),
}
# Teams are shown and named to members of the organization only; a user has none.
_TEAM_ADMINS = Who("admins; {scope}; others than members see none", ADMINS.cells, ADMINS.public)
_TEAM_SETTERS = Who("admins who are members", ADMINS.cells, ADMINS.public)
_TEAMS = "write:packages and read:org"
_TEAMS_OF_PACKAGE = {
    "GET {package}/teams":                              Row(_TEAM_ADMINS, _TEAMS, but={"outsider": "none"}),
    "PUT {package}/teams/{team_slug}":                  Row(_TEAM_SETTERS, _TEAMS, but={"outsider": "404"}),
    "DELETE {package}/teams/{team_slug}":               Row(_TEAM_SETTERS, _TEAMS, but={"outsider": "404"}),
}
_OF_USER, _MINE = (f"{base}/packages/container/{{package_name}}" for base in ("/users/{username}", "/user"))
_ADMINISTERING = ("outsider", "admin", "owner")
_PACKAGES = {
    "GET /orgs/{org}/packages":                         Row(ANY_TOKEN, "read:packages", "ok ok 403"),
    "GET /users/{username}/packages":                   Row(ANY_TOKEN, "read:packages", "ok ok 403"),
    "GET /user/packages":                               Row(YOU, "read:packages", "ok 403 403"),
    "GET /orgs/{org}/docker/conflicts":                 Row(ANY_TOKEN, "read:packages", "ok ok 403"),
    "GET /users/{username}/docker/conflicts":           Row(ANY_TOKEN, "read:packages", "ok ok 403"),
    "GET /user/docker/conflicts":                       Row(YOU, "read:packages", "ok 403 403"),
    **_OF_PACKAGE,
    **_TEAMS_OF_PACKAGE,
    **{
        key.replace("{package}", _OF_USER): replace(
            row, but=dict.fromkeys(_ADMINISTERING, "none" if key.startswith("GET") else "404")
        )
        for key, row in _TEAMS_OF_PACKAGE.items()
    },
    **{  # one's own: of the callers octo alone has such a package; no job has one
        key.replace("{package}", _MINE): replace(
            row, who=YOURS, tokens="ok 403 403" if row.who is PULLERS else REFUSED, after=row.after.replace("{package}", _MINE)
        )
        for key, row in _OF_PACKAGE.items()
    },
    **{
        key.replace("{package}", _MINE): Row(YOURS, _TEAMS, but={"owner": "none" if key.startswith("GET") else "404"})
        for key in _TEAMS_OF_PACKAGE
    },
}
# fmt: on
ROWS: dict[str, Row] = {
    **_SERVER_AND_ACCOUNTS,
    **_ORGANIZATIONS,
    **_REPOSITORIES,
    **_SECRETS_AND_CODESPACES,
    **_PACKAGES,
}
