"""GitHub's bodies of repositories: `minimal-repository`, `repository` and `full-repository`."""

from typing import Any

from berth.domain.account import AccountType
from berth.domain.repository import Repository, Visibility
from berth.domain.role import Role
from berth.edge.timestamp import timestamp
from berth.rest.call import Links
from berth.rest.simple_user import node_id, simple_user_of
from berth.services.repository import RepositoryView

# URL templates below a repository's own URL; clients expect the keys, nearly never the targets.
_URLS = {
    "archive_url": "/{archive_format}{/ref}",
    "assignees_url": "/assignees{/user}",
    "blobs_url": "/git/blobs{/sha}",
    "branches_url": "/branches{/branch}",
    "collaborators_url": "/collaborators{/collaborator}",
    "comments_url": "/comments{/number}",
    "commits_url": "/commits{/sha}",
    "compare_url": "/compare/{base}...{head}",
    "contents_url": "/contents/{+path}",
    "contributors_url": "/contributors",
    "deployments_url": "/deployments",
    "downloads_url": "/downloads",
    "events_url": "/events",
    "forks_url": "/forks",
    "git_commits_url": "/git/commits{/sha}",
    "git_refs_url": "/git/refs{/sha}",
    "git_tags_url": "/git/tags{/sha}",
    "hooks_url": "/hooks",
    "issue_comment_url": "/issues/comments{/number}",
    "issue_events_url": "/issues/events{/number}",
    "issues_url": "/issues{/number}",
    "keys_url": "/keys{/key_id}",
    "labels_url": "/labels{/name}",
    "languages_url": "/languages",
    "merges_url": "/merges",
    "milestones_url": "/milestones{/number}",
    "notifications_url": "/notifications{?since,all,participating}",
    "pulls_url": "/pulls{/number}",
    "releases_url": "/releases{/id}",
    "stargazers_url": "/stargazers",
    "statuses_url": "/statuses/{sha}",
    "subscribers_url": "/subscribers",
    "subscription_url": "/subscription",
    "tags_url": "/tags",
    "teams_url": "/teams",
    "trees_url": "/git/trees{/sha}",
}


def permissions(role: Role) -> dict[str, bool]:
    """Which of the roles it contains."""
    return {each.word: role >= each for each in Role if each is not Role.NONE}


def minimal_repository(links: Links, repository: Repository) -> dict[str, Any]:
    """GitHub's `minimal-repository`."""
    url = links.api(f"/repos/{repository.full_name}")
    kind = AccountType.ORGANIZATION if repository.owner_is_organization else AccountType.USER
    return {
        "id": repository.id,
        "node_id": node_id("Repository", repository.id),
        "name": repository.name,
        "full_name": repository.full_name,
        "owner": simple_user_of(links, repository.owner_id, repository.owner_login, kind),
        "private": repository.visibility is not Visibility.PUBLIC,
        "html_url": links.web(f"/{repository.full_name}"),
        "description": repository.description or None,
        "fork": repository.parent_id is not None,
        "url": url,
        **{key: f"{url}{path}" for key, path in _URLS.items()},
    }


def repository_item(links: Links, view: RepositoryView) -> dict[str, Any]:
    """GitHub's `repository`, which also holds for `minimal-repository` in lists."""
    repository = view.repository
    web = links.web(f"/{repository.full_name}")
    return {
        **minimal_repository(links, repository),
        "visibility": repository.visibility,
        "default_branch": repository.default_branch,
        "permissions": permissions(view.role),
        "created_at": timestamp(repository.created_at),
        "updated_at": timestamp(repository.updated_at),
        "pushed_at": timestamp(repository.pushed_at),
        "clone_url": f"{web}.git",
        "git_url": f"{web}.git",
        "ssh_url": f"{web}.git",  # there is no SSH here; this one works
        "svn_url": web,
        "mirror_url": None,
        "homepage": None,
        "language": None,
        "license": None,
        "topics": [],
        "size": 0,
        **dict.fromkeys(
            (
                "forks",
                "forks_count",
                "open_issues",
                "open_issues_count",
                "stargazers_count",
                "watchers",
                "watchers_count",
            ),
            0,
        ),
        **dict.fromkeys(
            (
                "archived",
                "disabled",
                "has_discussions",
                "has_downloads",
                "has_issues",
                "has_pages",
                "has_projects",
                "has_wiki",
                "is_template",
            ),
            False,
        ),
    }


def full_repository(links: Links, view: RepositoryView) -> dict[str, Any]:
    """GitHub's `full-repository`."""
    body = {**repository_item(links, view), "subscribers_count": 0, "network_count": 0}
    if view.repository.owner_is_organization:
        body["organization"] = body["owner"]
    return body
