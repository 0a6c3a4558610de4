"""GitHub's `simple-user`, which nearly every other body contains, and how ids are written."""

import base64
from typing import Any

from berth.domain.account import AccountType
from berth.rest.call import Links


def node_id(kind: str, number: int) -> str:
    """An opaque id that differs between kinds."""
    return base64.b64encode(f"{kind}:{number}".encode()).decode()


def simple_user_of(
    links: Links, account_id: int, login: str, kind: AccountType, *, site_admin: bool = False
) -> dict[str, Any]:
    """GitHub's `simple-user`, of a user or an organization."""
    url = links.api(f"/users/{login}")
    return {
        "login": login,
        "id": account_id,
        "node_id": node_id(kind, account_id),
        "avatar_url": links.web("/favicon.ico"),
        "gravatar_id": "",
        "url": url,
        "html_url": links.web(f"/{login}"),
        "followers_url": f"{url}/followers",
        "following_url": f"{url}/following{{/other_user}}",
        "gists_url": f"{url}/gists{{/gist_id}}",
        "starred_url": f"{url}/starred{{/owner}}{{/repo}}",
        "subscriptions_url": f"{url}/subscriptions",
        "organizations_url": f"{url}/orgs",
        "repos_url": f"{url}/repos",
        "events_url": f"{url}/events{{/privacy}}",
        "received_events_url": f"{url}/received_events",
        "type": kind,
        "site_admin": site_admin,
    }
