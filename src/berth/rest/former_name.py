"""Requests for a repository by a name that it had are sent on to its id.

1. GET and HEAD are 301; every other method is 307, so that a client sends it again as it was.
2. Only who may read the repository is sent on; for everybody else the former name is as missing as any (A13).
3. `Location` is below the same root of the API as the request: clients send their token there, and nowhere else. A path with a
   dotted segment leads elsewhere once a client has resolved it, so it is not sent on.

Source: GitHub REST docs, "Best practices for using the REST API", "Follow redirects"; GITHUB_API section 8 of the references.
"""

from urllib.parse import quote

import msgspec
from starlette.responses import Response

from berth.domain.problem import NotFound
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
    """The same handler; where it finds nothing, former names are asked."""

    async def respond(call: Call) -> Response:
        try:
            return await handler(call)
        except NotFound:
            owner, name = call.path("owner"), call.path("repo")
            if {".", ".."} & set(call.request.scope["path"].split("/")):
                raise
            found = await call.services.former_names.find(call.subject, owner, name)
            if found is None:
                raise
            return _moved(call, f"/repos/{owner}/{name}", f"/repositories/{found.repository.id}")

    return respond


def _moved(call: Call, before: str, now: str) -> Response:
    below = call.request.scope["path"].removeprefix(before)
    query = quote(call.request.scope["query_string"], safe=_QUERY)
    url = call.links.api(f"{now}{quote(below, safe=_PATH)}{'?' if query else ''}{query}")
    status = 301 if call.request.method in {"GET", "HEAD"} else 307
    page = call.links.web(f"{ERRORS_PATH}#repository.moved")
    body = Moved(url=url, documentation_url=page, status=str(status), code="repository.moved")
    return json_response(body, status, {"Location": url})
