"""GitHub's bodies of pull requests: `pull-request` and `pull-request-simple`."""

from typing import Any

from berth.domain.account import AccountType
from berth.domain.pull_request import Comparison
from berth.domain.repository import Repository
from berth.domain.role import Role
from berth.edge.timestamp import maybe_timestamp, timestamp
from berth.rest.call import Links
from berth.rest.simple_user import node_id, simple_user_of
from berth.rest.views import repository_item, simple_user
from berth.services.pull_request import PullRequestView
from berth.services.repository import RepositoryView

_LINKED = {
    "self": "url",
    "html": "html_url",
    "issue": "issue_url",
    "comments": "comments_url",
    "review_comments": "review_comments_url",
    "review_comment": "review_comment_url",
    "commits": "commits_url",
    "statuses": "statuses_url",
}


def pull_request_item(links: Links, view: PullRequestView) -> dict[str, Any]:
    """GitHub's `pull-request-simple`."""
    found, full_name = view.pull_request, view.repository.full_name
    url, issue = links.api(f"/repos/{full_name}/pulls/{found.number}"), f"/repos/{full_name}/issues/{found.number}"
    web = links.web(f"/{full_name}/pull/{found.number}")
    urls = {
        "url": url,
        "html_url": web,
        "diff_url": f"{web}.diff",
        "patch_url": f"{web}.patch",
        "issue_url": links.api(issue),
        "commits_url": f"{url}/commits",
        "review_comments_url": f"{url}/comments",
        "review_comment_url": links.api(f"/repos/{full_name}/pulls/comments{{/number}}"),
        "comments_url": links.api(f"{issue}/comments"),
        "statuses_url": links.api(f"/repos/{full_name}/statuses/{found.head_sha}"),
    }
    return {
        **urls,
        "_links": {name: {"href": urls[key]} for name, key in _LINKED.items()},
        "id": found.id,
        "node_id": node_id("PullRequest", found.id),
        "number": found.number,
        "state": found.state,
        "locked": False,
        "draft": False,
        "title": found.title,
        "body": found.body or None,
        "user": simple_user(links, view.author),
        "author_association": "CONTRIBUTOR" if found.is_from_fork else "COLLABORATOR",
        "created_at": timestamp(found.created_at),
        "updated_at": timestamp(found.updated_at),
        "closed_at": maybe_timestamp(found.closed_at),
        "head": _branch(links, view.head_repository, found.head_ref, found.head_sha),
        "base": _branch(links, view.repository, found.base_ref, found.base_sha),
        "labels": [],
        "assignees": [],
        "requested_reviewers": [],
        "requested_teams": [],
        **dict.fromkeys(("assignee", "milestone", "merged_at", "merge_commit_sha", "auto_merge")),
    }


def _branch(links: Links, repository: Repository, ref: str, sha: str) -> dict[str, Any]:
    kind = AccountType.ORGANIZATION if repository.owner_is_organization else AccountType.USER
    return {
        "label": f"{repository.owner_login}:{ref}",
        "ref": ref,
        "sha": sha,
        "user": simple_user_of(links, repository.owner_id, repository.owner_login, kind),
        "repo": repository_item(links, RepositoryView(repository=repository, role=Role.PULL)),
    }


def pull_request_body(links: Links, view: PullRequestView, comparison: Comparison | None) -> dict[str, Any]:
    """GitHub's `pull-request`. Whether it can be merged is not looked at: null and `unknown`, as GitHub says meanwhile."""
    seen = comparison or Comparison(commits=0, additions=0, deletions=0, changed_files=0)
    return {
        **pull_request_item(links, view),
        "commits": seen.commits,
        "additions": seen.additions,
        "deletions": seen.deletions,
        "changed_files": seen.changed_files,
        "comments": 0,
        "review_comments": 0,
        "merged": False,
        "merged_by": None,
        "mergeable": None,
        "mergeable_state": "unknown",
        "maintainer_can_modify": False,
    }
