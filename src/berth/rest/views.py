"""GitHub's bodies of accounts, organizations and teams, with every key that its description requires.

Source: GitHub's OpenAPI description; tests validate each body against it. Bodies of repositories: `rest/repository_views.py`.
"""

from typing import Any

from berth.domain.account import Account, AccountType, Team
from berth.edge.timestamp import maybe_timestamp, timestamp
from berth.rest.call import Links
from berth.rest.repository_views import full_repository, minimal_repository, repository_item
from berth.rest.simple_user import node_id, simple_user_of
from berth.services.account import AccountView, MembershipView
from berth.services.team import TeamView

__all__ = [
    "full_repository",
    "membership",
    "minimal_repository",
    "node_id",
    "organization_full",
    "organization_simple",
    "private_user",
    "public_user",
    "repository_item",
    "simple_user",
    "team_body",
    "team_full",
]


def simple_user(links: Links, account: Account) -> dict[str, Any]:
    """GitHub's `simple-user`."""
    return simple_user_of(links, account.id, account.login, account.type, site_admin=account.site_admin)


def public_user(links: Links, view: AccountView) -> dict[str, Any]:
    """GitHub's `public-user`. Email addresses are not shown to others; whether he is suspended, to site administrators."""
    account = view.account
    of_a_user = view.is_for_site_admin and account.type is AccountType.USER
    suspension = {"suspended_at": maybe_timestamp(account.suspended_at)} if of_a_user else {}
    return {
        **simple_user(links, account),
        "user_view_type": "public",
        "name": account.name,
        "company": None,
        "blog": None,
        "location": None,
        "email": None,
        "hireable": None,
        "bio": None,
        "public_repos": view.public_repositories,
        "public_gists": 0,
        "followers": 0,
        "following": 0,
        "created_at": timestamp(account.created_at),
        "updated_at": timestamp(account.updated_at),
        **suspension,
    }


def private_user(links: Links, view: AccountView) -> dict[str, Any]:
    """GitHub's `private-user`: for the user himself."""
    return {
        **public_user(links, view),
        "user_view_type": "private",
        "email": view.account.email,
        "private_gists": 0,
        "total_private_repos": view.private_repositories,
        "owned_private_repos": view.private_repositories,
        "disk_usage": 0,
        "collaborators": 0,
        "two_factor_authentication": False,
    }


def organization_simple(links: Links, account: Account) -> dict[str, Any]:
    """GitHub's `organization-simple`."""
    url = links.api(f"/orgs/{account.login}")
    return {
        "login": account.login,
        "id": account.id,
        "node_id": node_id("Organization", account.id),
        "url": url,
        "repos_url": f"{url}/repos",
        "events_url": f"{url}/events",
        "hooks_url": f"{url}/hooks",
        "issues_url": f"{url}/issues",
        "members_url": f"{url}/members{{/member}}",
        "public_members_url": f"{url}/public_members{{/member}}",
        "avatar_url": links.web("/favicon.ico"),
        "description": None,
    }


def organization_full(links: Links, view: AccountView) -> dict[str, Any]:
    """GitHub's `organization-full`."""
    account = view.account
    return {
        **organization_simple(links, account),
        "name": account.name or account.login,
        "has_organization_projects": False,
        "has_repository_projects": False,
        "public_repos": view.public_repositories,
        "public_gists": 0,
        "followers": 0,
        "following": 0,
        "html_url": links.web(f"/{account.login}"),
        "type": "Organization",
        "created_at": timestamp(account.created_at),
        "updated_at": timestamp(account.updated_at),
        "archived_at": None,
    }


def membership(links: Links, view: MembershipView) -> dict[str, Any]:
    """GitHub's `org-membership`."""
    url = links.api(f"/orgs/{view.organization.login}")
    return {
        "url": f"{url}/memberships/{view.user.login}",
        "state": "active",
        "role": view.role,
        "organization_url": url,
        "organization": organization_simple(links, view.organization),
        "user": simple_user(links, view.user),
    }


def team_body(links: Links, team: Team, organization: str, permission: str = "pull") -> dict[str, Any]:
    """GitHub's `team`."""
    url = links.api(f"/orgs/{organization}/teams/{team.slug}")
    return {
        "id": team.id,
        "node_id": node_id("Team", team.id),
        "name": team.name,
        "slug": team.slug,
        "description": team.description,
        "privacy": "closed",
        "notification_setting": "notifications_disabled",
        "permission": permission,
        "url": url,
        "html_url": links.web(f"/orgs/{organization}/teams/{team.slug}"),
        "members_url": f"{url}/members{{/member}}",
        "repositories_url": f"{url}/repos",
        "type": "organization",
        "organization_id": team.organization_id,
        "parent": None,
    }


def team_full(links: Links, view: TeamView) -> dict[str, Any]:
    """GitHub's `team-full`."""
    team = view.team
    organization = AccountView(account=view.organization, public_repositories=0, private_repositories=0)
    return {
        **team_body(links, team, view.organization.login),
        "members_count": view.members,
        "repos_count": view.repositories,
        "created_at": timestamp(team.created_at),
        "updated_at": timestamp(team.updated_at),
        "organization": organization_full(links, organization),
    }
