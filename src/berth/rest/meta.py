"""The API about itself. Source: GitHub REST docs, "Meta", "Rate limit"."""

from starlette.responses import Response

from berth.rest.app import API_VERSIONS, Route
from berth.rest.call import Call, json_response

# Where gh and octokit look things up. What Berth does not serve answers 404, as on GitHub with a feature switched off.
_ROOT = {
    "current_user_url": "/user",
    "authorizations_url": "/authorizations",
    "code_search_url": "/search/code?q={query}{&page,per_page,sort,order}",
    "commit_search_url": "/search/commits?q={query}{&page,per_page,sort,order}",
    "emails_url": "/user/emails",
    "emojis_url": "/emojis",
    "events_url": "/events",
    "feeds_url": "/feeds",
    "followers_url": "/user/followers",
    "following_url": "/user/following{/target}",
    "gists_url": "/gists{/gist_id}",
    "issue_search_url": "/search/issues?q={query}{&page,per_page,sort,order}",
    "issues_url": "/issues",
    "keys_url": "/user/keys",
    "label_search_url": "/search/labels?q={query}&repository_id={repository_id}{&page,per_page}",
    "notifications_url": "/notifications",
    "organization_url": "/orgs/{org}",
    "organization_repositories_url": "/orgs/{org}/repos{?type,page,per_page,sort}",
    "organization_teams_url": "/orgs/{org}/teams",
    "public_gists_url": "/gists/public",
    "rate_limit_url": "/rate_limit",
    "repository_url": "/repos/{owner}/{repo}",
    "repository_search_url": "/search/repositories?q={query}{&page,per_page,sort,order}",
    "current_user_repositories_url": "/user/repos{?type,page,per_page,sort}",
    "starred_url": "/user/starred{/owner}{/repo}",
    "starred_gists_url": "/gists/starred",
    "user_url": "/users/{user}",
    "user_organizations_url": "/user/orgs",
    "user_repositories_url": "/users/{user}/repos{?type,page,per_page,sort}",
    "user_search_url": "/search/users?q={query}{&page,per_page,sort,order}",
}
_NO_LIMIT = {"limit": 1_000_000, "used": 0, "remaining": 1_000_000, "reset": 4_102_444_800}  # the year 2100


async def root(call: Call) -> Response:
    body = {key: call.links.api(path) for key, path in _ROOT.items()}
    return json_response({**body, "current_user_authorizations_html_url": call.links.web("/settings/tokens")})


async def meta(_call: Call) -> Response:
    return json_response({"verifiable_password_authentication": False})


async def versions(_call: Call) -> Response:
    return json_response(list(API_VERSIONS))


async def rate_limit(_call: Call) -> Response:
    return json_response({"resources": {"core": _NO_LIMIT, "search": _NO_LIMIT}, "rate": _NO_LIMIT})


ROUTES: tuple[Route, ...] = (
    Route("GET", "/", root, anonymous=True),
    Route("GET", "/meta", meta, anonymous=True),
    Route("GET", "/versions", versions, anonymous=True),
    Route("GET", "/rate_limit", rate_limit, anonymous=True),
)
