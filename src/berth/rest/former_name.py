"""Requests for a repository by a name that it had are sent on to its id. Policies: edge/former_name.py.

Source: GitHub REST docs, "Best practices for using the REST API", "Follow redirects"; GITHUB_API section 8 of the references.
"""

from urllib.parse import quote

import msgspec
from starlette.responses import Response

from berth.domain.repository import Repository
from berth.edge import former_name
from berth.rest.call import Call, Handler, json_response
from berth.rest.errors_page import PATH as ERRORS_PATH

_PATH = "/:@!$&'()*+,;=~"  # what may stand in a path as it is; `%` is none of it: the path was decoded
_QUERY = f"{_PATH}?%[]"


class Moved(msgspec.Struct, kw_only=True):
    """The body, GitHub's with our `code`."""

    url: str
    documentation_url: str
    status: str
    code: str
    message: str = "Moved Permanently"  # for 307 too. Observed on GitHub.


def follow(handler: Handler) -> Handler:
    return former_name.follow(handler, _moved)


def _moved(call: Call, repository: Repository, status: int) -> Response:
    below = call.here.removeprefix(f"/repos/{call.path('owner')}/{call.path('repo')}")
    query = quote(call.request.scope["query_string"], safe=_QUERY)
    url = call.links.api(f"/repositories/{repository.id}{quote(below, safe=_PATH)}{'?' if query else ''}{query}")
    page = call.links.web(f"{ERRORS_PATH}#repository.moved")
    body = Moved(url=url, documentation_url=page, status=str(status), code="repository.moved")
    return json_response(body, status, {"Location": url})
